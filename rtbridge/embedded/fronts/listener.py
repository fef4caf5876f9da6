"""One port for everything: requests for a WebSocket go straight to their protocol, others to an ASGI application."""

import asyncio
import re
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from rtbridge.embedded.fronts.endpoints import Endpoints
from rtbridge.embedded.fronts.websocket import WebSocket
from rtbridge.transport.uvicorn import UvicornTransport
from rtbridge.transport.uvicorn_protocol import Connections

#: A head that asks for a WebSocket; whether it does so properly is looked at where it is answered.
_ASKS: Final = re.compile(rb"\r\nupgrade:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE)

_GET: Final = b"GET "

#: Callers that the system may hold back in one moment, so that a crowd that comes back at once gets in.
_BACKLOG: Final = 4096


class _Door(asyncio.Protocol):
    """Reads a connection's first bytes, until they tell who is to have it."""

    __slots__ = ("_http", "_listener", "_read", "_timer", "_transport")

    _transport: asyncio.Transport
    _timer: asyncio.TimerHandle

    def __init__(self, listener: "Listener", http: Callable[[], asyncio.Protocol]) -> None:
        self._listener = listener
        self._http = http
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        if self._listener.stopping:  # the system had let it in before the socket was closed
            self._transport.abort()
            return
        self._listener.doors.add(self)
        self._timer = self._listener.endpoints.loop.call_later(self._listener.handshake_timeout, self.close)

    def data_received(self, data: bytes) -> None:
        data = self._read + data if self._read else data
        if data[:4] != _GET[: len(data)]:
            self._pass_on(self._http(), data)
            return
        end = data.find(b"\r\n\r\n")
        if end < 0 and len(data) <= self._listener.endpoints.header_size:
            self._read = data
        elif end >= 0 and _ASKS.search(data, 0, end + 2) is not None:
            self._pass_on(WebSocket(self._listener.endpoints), data)
        else:
            self._pass_on(self._http(), data)  # which refuses a head that is too large

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def close(self) -> None:
        """Send the caller away."""
        self._transport.abort()

    def _pass_on(self, protocol: asyncio.Protocol, data: bytes) -> None:
        self._leave()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    def _leave(self) -> None:
        if self in self._listener.doors:
            self._timer.cancel()
            self._listener.doors.discard(self)


class Listener:
    """Listens on one address for WebSocket and HTTP.

    Args:
        app: The ASGI application for what is no request for a WebSocket.
        address: ``host:port``.
        endpoints: The WebSocket paths.
        closing: Called when it stops, after the last connection was let in: sends clients away.
        tls: With it, all is encrypted.
        handshake_timeout: Seconds that a caller may take to send its first request's head.
        receive_timeout: Seconds that a later request may take to come, or the body of any.
        send_timeout: Seconds that a caller may take to read a part of an answer.
        keep_alive: Seconds that an HTTP connection may be idle.

    Attributes:
        address: Where it listens, once started.
        doors: Connections that have not said what they are.
        stopping: Whether nobody is let in any more.

    """

    def __init__(
        self,
        app: Any,
        address: str,
        endpoints: Endpoints,
        *,
        closing: Callable[[], None] = lambda: None,
        tls: ssl.SSLContext | None = None,
        handshake_timeout: float = 10.0,
        receive_timeout: float = 30.0,
        send_timeout: float = 30.0,
        keep_alive: int = 75,
    ) -> None:
        self.endpoints = endpoints
        self.handshake_timeout = handshake_timeout
        self.doors: set[_Door] = set()
        self.stopping = False
        self._closing = closing
        connections = Connections(
            keep_alive=keep_alive,
            receive_timeout=receive_timeout,
            send_timeout=send_timeout,
            backlog=_BACKLOG,
            first=lambda http: _Door(self, http),
            upgraded=lambda: WebSocket(endpoints),
        )
        self._server = UvicornTransport(
            app, address, tls=tls, header_size=endpoints.header_size, connections=connections
        )

    @property
    def address(self) -> str:
        """``host:port``, with the port that it has once started."""
        return self._server.address

    async def start(self) -> None:
        """Bind and begin to take connections.

        Raises:
            ListenError: The address cannot be bound.

        """
        await self._server.start()

    async def stop(self, timeout: float) -> None:
        """Take no new connections, send clients away, and wait up to ``timeout`` seconds until all have left.

        WebSocket clients get the codes that their sessions close with; HTTP requests under way are answered.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        self.stopping = True
        await self._server.close_sockets()
        for door in list(self.doors):
            door.close()
        self._closing()
        await self.endpoints.ended(timeout)
        await self._server.stop(max(0.0, deadline - asyncio.get_running_loop().time()))
