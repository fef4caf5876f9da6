"""What the WebSocket connections of one server share: paths, origins, and the one write that each gets in a tick."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from rtbridge.embedded.connection import Peer
from rtbridge.embedded.fronts.deflate import Deflater
from rtbridge.embedded.fronts.origins import Origins
from rtbridge.embedded.wire import Wire
from rtbridge.transport.forwarded import Forwarded

if TYPE_CHECKING:
    from rtbridge.embedded.fronts.websocket import WebSocket

log = logging.getLogger("rtbridge.embedded")

#: Seconds between two lines about refused connections.
_LOG_EVERY: Final = 3.0


class Receiver(Protocol):
    """The front's side of a session."""

    def receive(self, data: bytes) -> None:
        """Take one message."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close the connection, by way of its outlet."""
        ...

    def disconnected(self) -> None:
        """The connection is gone; told once or more."""
        ...


class Settings(NamedTuple):
    """Bounds of the connections of one path: sizes in bytes, durations in seconds.

    Attributes:
        message_size: Largest message of a client, as it is sent.
        inflated_size: The same after decompression; 0 for ten times ``message_size``.
        queue_size: What may wait for a client that reads slowly (3008 above it).
        write_timeout: How long a client may read nothing while something waits for it (3009 after it).
        close_timeout: How long a client may take to answer a close frame.
        ping_interval: Between two ping frames, where there are any.
        pong_timeout: How long a client may take to answer one.
        compression: Whether messages are compressed for clients that ask for it.
        compression_level: 1 is fast, 9 is small.
        compression_min_size: Payloads of fewer bytes travel as they are.

    """

    message_size: int = 65536
    inflated_size: int = 0
    queue_size: int = 1048576
    write_timeout: float = 1.0
    close_timeout: float = 5.0
    ping_interval: float = 25.0
    pong_timeout: float = 8.0
    compression: bool = False
    compression_level: int = 1
    compression_min_size: int = 0


class Endpoint:
    """One path.

    Args:
        start: Makes the session of a connection, from its outlet, wire and peer, and whether the connection is kept
            alive by ping frames, in which case the session sends no pings.
        unidirectional: Whether clients send nothing but their connect request.
        settings: Bounds.

    """

    def __init__(
        self,
        start: Callable[["WebSocket", Wire, Peer, bool], Receiver],
        *,
        unidirectional: bool = False,
        settings: Settings | None = None,
    ) -> None:
        self.start = start
        self.unidirectional = unidirectional
        self.settings = settings = Settings() if settings is None else settings
        self.inflated_size = settings.inflated_size or 10 * settings.message_size
        self.deflater = (
            Deflater(settings.compression_level, settings.compression_min_size) if settings.compression else None
        )


class Endpoints:
    """The paths of one server, and its open connections.

    Args:
        paths: Path → what it serves.
        origins: Which pages are let in.
        forwarded: Finds the addresses of clients.
        admits: Whether there is room for one more connection.
        header_size: Largest head of a request, in bytes.

    Attributes:
        open: The connections, from their handshake on until their sockets are closed.

    """

    def __init__(
        self,
        paths: Mapping[str, Endpoint],
        *,
        origins: Origins,
        forwarded: Forwarded,
        admits: Callable[[], bool] = lambda: True,
        header_size: int = 16384,
    ) -> None:
        self.paths = {path.rstrip("/") or "/": endpoint for path, endpoint in paths.items()}
        self.origins = origins
        self.forwarded = forwarded
        self.admits = admits
        self.header_size = header_size
        self.open: set[WebSocket] = set()
        self._deflaters = [endpoint.deflater for endpoint in paths.values() if endpoint.deflater is not None]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dirty: list[WebSocket] = []
        self._slow: list[WebSocket] = []
        self._logged = float("-inf")
        self._empty: asyncio.Event | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that serves the connections: the one that is running at the first."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def dirty(self, connection: "WebSocket") -> None:
        """A connection has something to write; it does so with all the others, once what runs now has run."""
        if not self._dirty:
            self.loop.call_soon(self._tick)
        self._dirty.append(connection)

    def slow(self, connection: "WebSocket") -> None:
        """More waits for a connection than may; it is closed when whoever publishes to it is through its list."""
        if not self._dirty:
            self.loop.call_soon(self._tick)
            self._dirty.append(connection)
        self._slow.append(connection)

    def _tick(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            try:
                connection.flush()
            except Exception:
                log.exception("a connection could not be written to")
                connection.abort()
        for deflater in self._deflaters:
            deflater.forget()
        if self._slow:
            slow, self._slow = self._slow, []
            for connection in slow:
                connection.close_slow()

    def gone(self, connection: "WebSocket") -> None:
        """A connection's socket is closed."""
        self.open.discard(connection)
        if not self.open and self._empty is not None:
            self._empty.set()

    def full(self) -> None:
        """Say that a connection was refused for want of room."""
        now = self.loop.time()
        if now - self._logged >= _LOG_EVERY:
            self._logged = now
            log.warning("refused a connection: client.connection_limit is reached, or the server stops")

    async def ended(self, timeout: float) -> None:
        """Wait until every connection is closed, up to ``timeout`` seconds; then drop those that are left."""
        if self.open:
            self._empty = asyncio.Event()
            try:
                await asyncio.wait_for(self._empty.wait(), timeout)
            except TimeoutError:
                log.warning("dropped %d connections that did not close in time", len(self.open))
                for connection in list(self.open):
                    connection.abort()
