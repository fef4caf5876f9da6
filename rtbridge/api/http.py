"""The server API over HTTP: kept connections, in coroutines and for threads."""

import asyncio
import os
import select
import socket
import ssl
import threading
import time
from collections import deque
from typing import Any, Final

import msgspec

from rtbridge.api.base import Api, SyncApi
from rtbridge.api.http_wire import MAX_IDLE, Reply, Site, Wire, result_of
from rtbridge.api.retries import Attempts, repeatable
from rtbridge.api.settings import HttpSettings, seconds
from rtbridge.errors import ApiFailure

#: Connections that one asynchronous client opens at most; calls beyond them wait for their turn.
MAX_CONNECTIONS: Final = 100

_READ: Final = 64 * 1024
_ENCODE: Final = msgspec.json.Encoder().encode


class _Shared:
    """What both clients know."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.site = Site.of(settings.url)
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext | None:
        """TLS, made once; None for plain HTTP."""
        if self.site.secure and self._context is None:
            self._context = self.settings.trust.context()
        return self._context

    @property
    def server_name(self) -> str:
        """The name that the certificate has to have."""
        return self.settings.trust.server_name or self.site.host

    def wire(self) -> Wire:
        """What is said on a new connection."""
        return Wire(self.site, self.settings.key)

    def unreached(self, exc: OSError) -> ApiFailure:
        """No connection came about."""
        if isinstance(exc, ssl.SSLError):
            return ApiFailure(
                f"{self.settings.url} does not come to terms over TLS: {exc}; see rtbridge.centrifugo_api.tls", False
            )
        return ApiFailure(
            f"nothing answers on {self.settings.url}: {exc.strerror or exc}; is the server running there?", False, True
        )

    def late(self, timeout: float, *, sent: bool) -> ApiFailure:
        """Time is up."""
        what = "did not answer" if sent else "could not be reached"
        return ApiFailure(f"{self.settings.url} {what} within {timeout:g} s", sent, True)

    def broken(self, exc: OSError, *, sent: bool) -> ApiFailure:
        """The connection broke under a call."""
        return ApiFailure(f"the connection to {self.settings.url} broke: {exc.strerror or exc}", sent, True)


class _Stream:
    """A connection of the asynchronous client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: Wire) -> None:
        self.reader = reader
        self.writer = writer
        self.wire = wire
        self.since = 0.0

    async def exchange(self, method: str, body: bytes) -> Reply:
        """The answer to a call."""
        self.writer.write(self.wire.request(method, body))
        while (reply := self.wire.receive(await self.reader.read(_READ))) is None:
            pass
        return reply

    def fresh(self) -> bool:
        """Whether it may be used again."""
        return not (self.writer.is_closing() or self.reader.at_eof() or time.monotonic() - self.since > MAX_IDLE)

    def abort(self) -> None:
        """Drop it."""
        self.writer.transport.abort()


class HttpApi(Api):
    """The server API over HTTP. Connections are kept, and belong to the event loop that made them.

    Args:
        settings: Where and how.

    """

    def __init__(self, settings: HttpSettings) -> None:
        self.sync = SyncHttpApi(settings)
        self._shared = _Shared(settings)
        self._idle: deque[_Stream] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)

    def __repr__(self) -> str:
        return f"HttpApi({self._shared.settings.url!r})"

    async def call(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """See :meth:`Api.call`."""
        settings = self._shared.settings
        body = _ENCODE(request)
        attempts = Attempts(seconds(timeout, settings.timeout), repeatable(method, request))
        while True:
            try:
                return result_of(settings, method, await self._attempt(method, body, attempts))
            except ApiFailure as failure:
                await asyncio.sleep(attempts.again(failure))

    async def _attempt(self, method: str, body: bytes, attempts: Attempts) -> Reply:
        self._here()
        sent = False
        stream: _Stream | None = None
        try:
            async with asyncio.timeout(attempts.left), self._places:
                stream = await self._connected()
                sent = True
                reply = await stream.exchange(method, body)
                if stream.wire.again():
                    stream.since = time.monotonic()
                    self._idle.append(stream)
                    stream = None
                return reply
        except TimeoutError as exc:
            raise self._shared.late(attempts.timeout, sent=sent) from exc
        except OSError as exc:
            raise (self._shared.broken(exc, sent=True) if sent else self._shared.unreached(exc)) from exc
        finally:
            if stream is not None:
                stream.abort()

    def _here(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # connections of another loop cannot be used here, nor closed
            self._loop = loop
            self._idle.clear()
            self._places = asyncio.Semaphore(MAX_CONNECTIONS)

    async def _connected(self) -> _Stream:
        while self._idle:
            stream = self._idle.pop()
            if stream.fresh():
                return stream
            stream.abort()
        shared = self._shared
        context = shared.context()
        reader, writer = await asyncio.open_connection(
            shared.site.host,
            shared.site.port,
            limit=_READ,
            ssl=context,
            server_hostname=None if context is None else shared.server_name,
        )
        return _Stream(reader, writer, shared.wire())

    async def close(self) -> None:
        """Close idle connections; a later call opens new ones."""
        self.sync.close()
        self._here()
        while self._idle:
            stream = self._idle.pop()
            stream.abort()
        await asyncio.sleep(0)  # their sockets are closed with the loop's next turn


class _Socket:
    """A connection of the blocking client."""

    def __init__(self, connection: socket.socket, wire: Wire) -> None:
        self.connection = connection
        self.wire = wire
        self.since = 0.0
        self.sent = False

    def exchange(self, method: str, body: bytes, deadline: float) -> Reply:
        """The answer to a call.

        Raises:
            TimeoutError: It takes longer than until ``deadline``.
            OSError: The connection breaks.

        """
        self.sent = False
        self._wait(deadline)
        self.connection.sendall(self.wire.request(method, body))
        self.sent = True  # a request that did not leave as a whole cannot be carried out
        while True:
            self._wait(deadline)
            reply = self.wire.receive(self.connection.recv(_READ))
            if reply is not None:
                return reply

    def _wait(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.connection.settimeout(left)

    def fresh(self) -> bool:
        """Whether it may be used again: whatever an idle connection has to say, an end or garbage, it may not."""
        if time.monotonic() - self.since > MAX_IDLE:
            return False
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close it."""
        self.connection.close()


class SyncHttpApi(SyncApi):
    """The server API over HTTP, for threads. Connections are kept; a forked process opens its own.

    Args:
        settings: Where and how.

    """

    def __init__(self, settings: HttpSettings) -> None:
        self._shared = _Shared(settings)
        self._idle: deque[_Socket] = deque()  # whose append and pop are atomic
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"SyncHttpApi({self._shared.settings.url!r})"

    def call(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """See :meth:`Api.call`."""
        settings = self._shared.settings
        body = _ENCODE(request)
        attempts = Attempts(seconds(timeout, settings.timeout), repeatable(method, request))
        while True:
            try:
                return result_of(settings, method, self._attempt(method, body, attempts))
            except ApiFailure as failure:
                time.sleep(attempts.again(failure))

    def _attempt(self, method: str, body: bytes, attempts: Attempts) -> Reply:
        deadline = time.monotonic() + attempts.left
        one: _Socket | None = None
        try:
            one = self._connected(deadline)
            reply = one.exchange(method, body, deadline)
            if one.wire.again():
                one.since = time.monotonic()
                self._idle.append(one)
                one = None
            return reply
        except TimeoutError as exc:
            raise self._shared.late(attempts.timeout, sent=one is not None and one.sent) from exc
        except OSError as exc:
            if one is None:
                raise self._shared.unreached(exc) from exc
            raise self._shared.broken(exc, sent=one.sent) from exc
        finally:
            if one is not None:
                one.close()

    def _connected(self, deadline: float) -> _Socket:
        with self._lock:
            if self._process != os.getpid():
                while self._idle:  # they are the parent's, too: to close them here says nothing to the server
                    self._idle.pop().close()
                self._process = os.getpid()
        while True:
            try:
                one = self._idle.pop()
            except IndexError:
                break
            if one.fresh():
                return one
            one.close()
        shared = self._shared
        context = shared.context()
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection = socket.create_connection((shared.site.host, shared.site.port), left)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                connection = context.wrap_socket(connection, server_hostname=shared.server_name)
        except BaseException:
            connection.close()
            raise
        return _Socket(connection, shared.wire())

    def close(self) -> None:
        """Close idle connections; a later call opens new ones."""
        while self._idle:
            self._idle.pop().close()
