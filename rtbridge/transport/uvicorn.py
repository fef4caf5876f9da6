"""Runs an ASGI application on uvicorn, as one transport among others of a process."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Generator, Mapping
from typing import Any, Final

import uvicorn

from rtbridge.errors import ListenError
from rtbridge.transport.accepting import SocketServer
from rtbridge.transport.settings import Tls, bind, clear_socket, remove_socket
from rtbridge.transport.uvicorn_protocol import Connections, protocol_of

log = logging.getLogger("rtbridge.http")

#: Seconds between two looks at connections that are about to end.
_LOOK: Final = 0.05

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
        protocol: Any = protocol_of(4 * self._header_size, connections)
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
