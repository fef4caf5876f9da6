"""Runs an ASGI application on uvicorn, as one transport among others of a process."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Any

import uvicorn

from rtbridge.errors import ListenError
from rtbridge.transport.settings import Tls, bind, clear_socket

log = logging.getLogger("rtbridge.http")

_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

#: Centrifugo never closes an idle connection and does not repeat a call that meets a closed one, so neither do we.
_KEEP_ALIVE = 3600


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _protocol(limit: int) -> Any:
    """uvicorn's HTTP protocol, its faster one where httptools is there, with a bound on the request head.

    h11 has such a bound; httptools reads a head of any size before anybody could ask for a secret.
    """
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return "h11"

    class Bounded(HttpToolsProtocol):
        in_head = True
        head = 0

        def on_message_begin(self) -> None:
            self.in_head, self.head = True, 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self.in_head = False
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.in_head:
                self.head += len(data)
                if self.head > limit:
                    log.warning("closed a connection: a request head of more than %d bytes", limit)
                    self.transport.write(_HEAD_TOO_LARGE)
                    self.transport.close()

    return Bounded


class UvicornTransport:
    """Serves an ASGI application on one address.

    Args:
        app: The application.
        address: ``host:port`` or ``unix:path``.
        tls: Certificate, key, and the authority of the callers' certificates.
        header_size: Largest request head, in bytes.
        name: For people.

    """

    def __init__(self, app: Any, address: str, *, tls: Tls | None, header_size: int, name: str = "http") -> None:
        self.name = name
        self.address = address
        self._app = app
        self._tls = tls
        self._header_size = header_size
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None

    async def start(self) -> None:
        """Bind and begin to take calls."""
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            http=_protocol(4 * self._header_size),
            h11_max_incomplete_event_size=4 * self._header_size,
            ws="none",
        )
        config.load()
        if self._tls is not None:
            config.ssl = _context(self._tls)
        clear_socket(self.address, "HTTP")
        self._socket = bind(self.address, "HTTP")
        if not self.address.startswith("unix:"):
            self.address = f"{self.address.rpartition(':')[0]}:{self._socket.getsockname()[1]}"
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
                raise ListenError(f"HTTP cannot listen on {self.address}")
            await asyncio.sleep(0.002)

    async def stop(self, timeout: float) -> None:
        """Take no new calls, let those under way end, close idle connections."""
        if self._server is None or self._serving is None:
            return
        self._server.config.timeout_graceful_shutdown = max(1, int(timeout))
        self._server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving
        if self._socket is not None:
            self._socket.close()
        if self.address.startswith("unix:"):
            _remove(self.address)


def _remove(address: str) -> None:
    Path(address.removeprefix("unix:")).unlink(missing_ok=True)


def _context(tls: Tls) -> ssl.SSLContext:
    tls.read()  # ssl's own error does not name the file
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.cert, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as exc:
        raise ListenError(f"rtbridge.tls: the files cannot be used: {exc}") from exc
    return context
