"""Runs an ASGI application on uvicorn, as one transport among others of a process."""

import asyncio
import contextlib
import contextvars
import logging
import os
import socket
import ssl
import struct
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, NamedTuple, Protocol

import uvicorn

from rtbridge.errors import ListenError
from rtbridge.transport.accepting import SocketServer
from rtbridge.transport.settings import Tls, bind, clear_socket, remove_socket

log = logging.getLogger("rtbridge.http")

#: Seconds between two looks at connections that are about to end.
_LOOK: Final = 0.05

_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


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


#: Of the HTTP proxy. Go's client opens connections that it may not need for a while.
PROXY_CONNECTIONS: Final = Connections(receive_timeout=30.0, send_timeout=30.0, greeting=3600.0)


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers, which the process has, and without its ten looks a second."""

    def __init__(self, config: uvicorn.Config, state: Mapping[str, Any], most: int | None, *, shared: bool) -> None:
        super().__init__(config)
        self._state = state
        self._most = most
        self._shared = shared
        self.ending = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state.update(self._state)
        config = self.config

        def make() -> Any:
            protocol: Any = config.http_protocol_class
            return protocol(config=config, server_state=self.server_state, app_state=self.lifespan.state)

        self.servers: Any = [
            SocketServer(
                each,
                make,
                name="HTTP",
                tls=config.ssl,
                backlog=config.backlog,
                connections=self._most,
                shared=self._shared,
            )
            for each in sockets or ()
        ]
        for server in self.servers:
            server.start()
        self.started = True

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.ending.wait()

    async def close_sockets(self) -> None:
        """Take no new connections; return when those that were taken are ready for their first byte."""
        for server in self.servers:
            listening = server.sockets
            server.close()
            if not self._shared:  # else others go on with it
                for each in listening:
                    each.close()
            await server.wait_closed()


class Progress(Protocol):
    """How far uvicorn has got with an answer."""

    response_started: bool
    response_complete: bool
    disconnected: bool


def _cycles() -> tuple[type, ...]:
    from uvicorn.protocols.http import h11_impl

    try:
        from uvicorn.protocols.http import httptools_impl
    except ImportError:
        return (h11_impl.RequestResponseCycle,)
    return (h11_impl.RequestResponseCycle, httptools_impl.RequestResponseCycle)


_CYCLES: Final = _cycles()


def progress_of(send: object) -> Progress | None:
    """How far the answer is whose parts go through a scope's ``send``; None where that is not uvicorn's own."""
    cycle: Any = getattr(send, "__self__", None)
    found: Progress | None = cycle if isinstance(cycle, _CYCLES) else None  # type: ignore[assignment]
    return found


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


def _protocol(limit: int, connections: Connections) -> Any:
    """uvicorn's HTTP protocol, its faster one where httptools is there, with a bound on the request head.

    h11 has such a bound; httptools reads a head of any size before anybody could ask for a secret.
    """
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol

        return _timed(_isolated(H11Protocol, connections), connections)

    class Bounded(HttpToolsProtocol):
        head = 0

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            scope: Any = self.scope
            if scope is None or "method" in scope:  # which is known when the head is complete
                self.head = 0
            else:
                self.head += len(data)
                if self.head > limit:
                    log.warning("closed a connection: a request head of more than %d bytes", limit)
                    self.transport.write(_HEAD_TOO_LARGE)
                    self.transport.close()

    return _timed(_isolated(Bounded, connections), connections)


def _isolated(base: Any, connections: Connections) -> Any:
    """The protocol with a fresh context for each request.

    A task takes over the context that it is made in. Here that may be one of an earlier request: a pipelined request is
    begun by the end of the one before it, and a connection that is read again keeps the context of whoever asked for
    that (CPython issue 140947).
    """
    if not connections.isolated:
        return base

    received, completed = base.data_received, base.on_response_complete

    class Isolated(base):  # type: ignore[misc]  # one of two classes, found at run time
        def connection_made(self, transport: asyncio.Transport) -> None:
            self.fresh = contextvars.copy_context()
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            self.fresh.copy().run(received, self, data)

        def on_response_complete(self) -> None:
            if getattr(self, "pipeline", True):  # httptools: else nothing begins
                self.fresh.copy().run(completed, self)
            else:
                completed(self)

    return Isolated


def _reset(descriptor: int) -> None:
    """Have the end of a connection be a reset: one that just ends would be a good end for a body without a length."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as same:  # uvloop's has no options
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _timed(base: Any, connections: Connections) -> Any:
    """The protocol with bounds on the time that a caller takes to send a request and to read an answer."""
    receive, send, greeting = connections.receive_timeout, connections.send_timeout, connections.greeting
    if receive is None or send is None:
        return base

    class Timed(base):  # type: ignore[misc]  # one of two classes, found at run time
        receiving: asyncio.TimerHandle | None = None
        sending: asyncio.TimerHandle | None = None
        silent = greeting is not None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self.receiving = self.loop.call_later(receive if greeting is None else greeting, transport.abort)

        def data_received(self, data: bytes) -> None:
            if self.silent:
                self.silent = False
                self._stop_waiting()
            super().data_received(data)
            cycle = self.cycle
            whole = cycle is not None and not cycle.response_complete and not cycle.more_body
            if whole or self.transport.get_protocol() is not self:
                if self.receiving is not None:
                    self._stop_waiting()
                return
            if connections.long_bodies and cycle is not None and cycle.more_body and not cycle.response_complete:
                self._stop_waiting()  # a part of the body came, and the next one has its own time
            self._wait()

        def on_response_complete(self) -> None:
            super().on_response_complete()  # which may begin with a request that came together with the last one
            if self.cycle.more_body and not self.cycle.response_complete:
                self._wait()

        def pause_writing(self) -> None:
            super().pause_writing()
            self.sending = self.loop.call_later(send, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop_sending()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            self._stop_sending()
            super().connection_lost(exc)

        def _wait(self) -> None:
            if self.receiving is None:
                self.receiving = self.loop.call_later(receive, self._late)

        def _late(self) -> None:
            self.receiving = None
            if connections.long_bodies and self.flow.read_paused:
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

    return Timed


class UvicornTransport:
    """Serves an ASGI application on one address.

    Args:
        app: The application.
        address: ``host:port`` or ``unix:path``.
        tls: Certificate, key, and the authority of the callers' certificates.
        header_size: Largest request head, in bytes.
        name: For people.
        connections: How connections are taken and kept.
        listener: A bound socket to take them from, rather than one of ``address``; other processes may take some, too.
            It is closed with the transport.
        state: What each scope has as its state.

    """

    def __init__(
        self,
        app: Any,
        address: str,
        *,
        tls: Tls | ssl.SSLContext | None,
        header_size: int,
        name: str = "http",
        connections: Connections | None = None,
        listener: socket.socket | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self._state = state or {}
        self.address = address
        self._app = app
        self._tls = tls
        self._header_size = header_size
        self._connections = Connections() if connections is None else connections
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._given = listener is not None
        self._socket = listener

    async def start(self) -> None:
        """Bind and begin to take calls."""
        config = self._config()
        config.load()
        if self._tls is not None:
            config.ssl = self._tls if isinstance(self._tls, ssl.SSLContext) else _context(self._tls)
        if self._socket is None:
            clear_socket(self.address, "HTTP")
            self._socket = bind(self.address, "HTTP")
        if not self.address.startswith("unix:"):
            self.address = f"{self.address.rpartition(':')[0]}:{self._socket.getsockname()[1]}"
        self._server = _Server(config, self._state, self._connections.most, shared=self._given)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
                raise ListenError(f"HTTP cannot listen on {self.address}")
            await asyncio.sleep(0.002)

    def _config(self) -> uvicorn.Config:
        connections = self._connections
        first, upgraded = connections.first, connections.upgraded
        protocol: Any = _protocol(4 * self._header_size, connections)
        http: Any = protocol if first is None else lambda **given: first(lambda: protocol(**given))
        websocket: Any = "none" if upgraded is None else lambda **_: upgraded()
        return uvicorn.Config(
            self._app,
            interface="asgi3",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            proxy_headers=False,  # whoever asks for a client's address decides whom to believe
            timeout_keep_alive=connections.keep_alive,
            backlog=connections.backlog,
            http=http,
            ws=websocket,
            h11_max_incomplete_event_size=4 * self._header_size,
        )

    async def close_sockets(self) -> None:
        """Take no new connections; calls under way go on until :meth:`stop`."""
        if self._server is not None:
            await self._server.close_sockets()

    async def leave(self, timeout: float) -> None:
        """Take no new connections while others do; wait until the last one is gone, for ``timeout`` seconds.

        A connection that is closed while it is idle may carry a request already, which is lost. So the application ends
        each with its next answer, and only those are closed afterwards that had nothing to say for so long.
        """
        if self._server is None:
            return
        await self._server.close_sockets()
        connections = self._server.server_state.connections
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while connections:  # noqa: ASYNC110  # uvicorn's own set, which tells nobody
                    await asyncio.sleep(_LOOK)

    async def stop(self, timeout: float) -> None:
        """Take no new calls, let those under way end, close idle connections."""
        if self._server is None or self._serving is None:
            if self._socket is not None:
                self._socket.close()
            return
        await self._server.close_sockets()
        self._server.config.timeout_graceful_shutdown = max(1, int(timeout))
        self._server.ending.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving
        if self._socket is not None:
            self._socket.close()
        if not self._given:  # else others may serve it still
            remove_socket(self.address)


def _context(tls: Tls) -> ssl.SSLContext:
    tls.read()  # ssl's own error does not name the file
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.cert, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL if tls.optional else ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as exc:
        raise ListenError(f"{tls.section}: the files cannot be used: {exc}") from exc
    return context
