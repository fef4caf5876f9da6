"""uvicorn's HTTP protocol, with the bounds and the isolation that it lacks, and without a timer for each answer."""

import asyncio
import contextlib
import contextvars
import logging
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, Protocol

log = logging.getLogger("rtbridge.http")

_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class Connections(NamedTuple):
    """How connections are taken and kept; durations in seconds.

    Attributes:
        keep_alive: How long one may be idle between two requests. Centrifugo never closes an idle connection and does
            not repeat a call that meets a closed one, so the default is long.
        receive_timeout: How long a request may take to come, from its first byte or its connection's beginning to its
            last byte; None for ever.
        send_timeout: How long a caller may take to read a part of an answer; None for ever.
        long_bodies: Whether ``receive_timeout`` is for each part of a body rather than for the whole of it. While the
            application does not read, nobody is late.
        isolated: Whether each request has a fresh context.
        greeting: How long one may say nothing before its first request, where requests have a ``receive_timeout``; None
            for that.
        most: How many may be open; None for as many as the system allows.
        backlog: How many callers may wait to be let in.
        first: Makes the protocol that reads first, out of what makes the HTTP one, to which it may hand over.
        upgraded: Makes the protocol that goes on with a request for a WebSocket.

    """

    keep_alive: int = 3600
    receive_timeout: float | None = None
    send_timeout: float | None = None
    long_bodies: bool = False
    isolated: bool = False
    greeting: float | None = None
    most: int | None = None
    backlog: int = 2048
    first: Callable[[Callable[[], asyncio.Protocol]], asyncio.Protocol] | None = None
    upgraded: Callable[[], asyncio.Protocol] | None = None


class Progress(Protocol):
    """How far uvicorn has got with a request and its answer."""

    body: bytes | bytearray
    more_body: bool
    response_started: bool
    response_complete: bool
    disconnected: bool


def _cycles() -> tuple[type, ...]:
    from uvicorn.protocols.http import h11_impl

    try:
        from uvicorn.protocols.http import httptools_impl
    except ImportError:
        return (h11_impl.RequestResponseCycle,)
    return (httptools_impl.RequestResponseCycle, h11_impl.RequestResponseCycle)


_CYCLES: Final = _cycles()


def progress_of(send: object) -> Progress | None:
    """How far the answer is whose parts go through a scope's ``send``; None where that is not uvicorn's own."""
    cycle: Any = getattr(send, "__self__", None)
    return cycle if type(cycle) in _CYCLES else None


def cut(send: object) -> bool:
    """End the connection of the answer whose parts go through ``send``, so that nobody takes them for a whole one.

    Returns:
        Whether that is uvicorn's own; whether the connection was still there does not matter.

    """
    cycle: Any = progress_of(send)
    if cycle is None:
        return False
    transport: asyncio.Transport = cycle.transport
    if not transport.is_closing():
        peer = transport.get_extra_info("socket")
        if peer is not None:
            _reset(peer.fileno())
        transport.abort()
    return True


def _reset(descriptor: int) -> None:
    """Have the end of a connection be a reset: one that just ends would be a good end for a body without a length."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as same:  # uvloop's has no options
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Turns:
    """The event loop as uvicorn sees it for one connection: for tasks of requests, and for the end of an idle time.

    uvicorn sets a timer with each answer and cancels it with the next request. Here one timer stands as long as the
    connection is used, and looks again where it was too early.

    A task takes over the context that it is made in. That may be one of an earlier request: a pipelined request is
    begun by the end of the one before it, and a connection that is read again keeps the context of whoever asked for
    that (CPython issue 140947). So requests that are to be apart get a copy of the connection's.

    Args:
        loop: The event loop.
        context: That of the connection; None where requests need not be apart.

    """

    __slots__ = ("_context", "_due", "_timer", "_wanted", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context | None) -> None:
        self.loop = loop
        self._context = context
        self._due = 0.0
        self._wanted: Callable[[], object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def create_task(self, answering: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """A task that answers a request."""
        if self._context is None:
            return self.loop.create_task(answering)
        return self.loop.create_task(answering, context=self._context.copy())

    def call_later(self, delay: float, callback: Callable[[], object]) -> "Turns":
        """Call that once the connection was idle so long, in place of what was to be called before."""
        self._due = self.loop.time() + delay
        self._wanted = callback
        if self._timer is None:
            self._timer = self.loop.call_later(delay, self._look)
        return self

    def cancel(self) -> None:
        """The connection is idle no more."""
        self._wanted = None

    def close(self) -> None:
        """Call nothing any more."""
        self._wanted = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        wanted = self._wanted
        if wanted is None:
            return
        left = self._due - self.loop.time()
        if left > 0.0:
            self._timer = self.loop.call_later(left, self._look)
        else:
            self._wanted = None
            wanted()


def protocol_of(limit: int, connections: Connections) -> Any:
    """uvicorn's HTTP protocol, its faster one where httptools is there.

    With a bound on the request head, which h11 has and httptools lacks: it reads a head of any size before anybody
    could ask for a secret. With bounds on the time that a caller takes to send a request and to read an answer, and a
    fresh context for each request, where they are asked for.

    Args:
        limit: Bytes of a request head.
        connections: How connections are taken and kept.

    """
    base: Any
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as base
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol as base
    bounded = base.__name__ == "HttpToolsProtocol"
    received, completed = base.data_received, base.on_response_complete
    receive, send, isolated = connections.receive_timeout, connections.send_timeout, connections.isolated
    long_bodies = connections.long_bodies
    greeting = receive if connections.greeting is None else connections.greeting

    class Bounded(base):  # type: ignore[misc]  # one of two classes, found at run time
        head = 0
        silent = greeting != receive
        loop: Any
        turns: Any = None
        receiving: asyncio.TimerHandle | None = None
        sending: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            loop = self.loop
            self.loop = self.turns = Turns(loop, contextvars.copy_context() if isolated else None)
            if receive is not None:
                self.receiving = loop.call_later(greeting, transport.abort)

        def data_received(self, data: bytes) -> None:
            if self.silent:
                self.silent = False
                self._stop_waiting()
            received(self, data)
            cycle, scope = self.cycle, self.scope
            if cycle is not None and cycle.scope is scope and not cycle.more_body and not cycle.response_complete:
                self.head = 0  # a request is here as a whole, and nothing of another one
                if self.receiving is not None:
                    self._stop_waiting()
                return
            if self.transport.get_protocol() is not self:  # it is a WebSocket from now on
                self._stop_waiting()
                self.turns.close()
                return
            if bounded:
                self._measure(scope, len(data))
            if receive is not None:
                self._time(cycle)

        def _measure(self, scope: Any, size: int) -> None:
            if scope is None or "method" in scope:  # which is known when the head is complete
                self.head = 0
                return
            self.head += size
            if self.head > limit:
                log.warning("closed a connection: a request head of more than %d bytes", limit)
                self.transport.write(_HEAD_TOO_LARGE)
                self.transport.close()

        def _time(self, cycle: Any) -> None:
            if cycle is None or cycle.response_complete:
                self._wait()
                return
            if long_bodies or not cycle.more_body:
                self._stop_waiting()  # of a body that comes in parts the next one has its own time
            if cycle.more_body:
                self._wait()

        def on_response_complete(self) -> None:
            completed(self)  # which may begin with a request that came together with the last one
            cycle = self.cycle
            if cycle.more_body and not cycle.response_complete and receive is not None:
                self._wait()

        def pause_writing(self) -> None:
            super().pause_writing()
            if send is not None:
                self.sending = self.turns.loop.call_later(send, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop_sending()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            self._stop_sending()
            super().connection_lost(exc)
            if self.turns is not None:
                self.turns.close()

        def _wait(self) -> None:
            if self.receiving is None:
                self.receiving = self.turns.loop.call_later(receive, self._late)

        def _late(self) -> None:
            self.receiving = None
            if long_bodies and self.flow.read_paused:
                self._wait()  # the application does not read
            else:
                self.transport.abort()

        def _stop_waiting(self) -> None:
            if self.receiving is not None:
                self.receiving.cancel()
                self.receiving = None

        def _stop_sending(self) -> None:
            if self.sending is not None:
                self.sending.cancel()
                self.sending = None

    return Bounded
