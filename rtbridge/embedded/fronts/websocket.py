"""One WebSocket connection: the socket's side of a session.

What a session writes is framed already, so a publication is the same bytes for all who get it, and everything that one
turn of the event loop queued for a connection leaves in one write.
Sources: RFC 6455; centrifugal.dev, "Client protocol".
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from rtbridge.embedded.connection import Peer
from rtbridge.embedded.framing import close_frame
from rtbridge.embedded.fronts.deflate import negotiate
from rtbridge.embedded.fronts.endpoints import Endpoint, Endpoints, Receiver, Settings
from rtbridge.embedded.fronts.incoming import Broken, Incoming
from rtbridge.embedded.fronts.upgrade import HeadLines, Refused, Upgrade, read_head
from rtbridge.embedded.wire import UNI_WEBSOCKET_JSON, WEBSOCKET_JSON, WEBSOCKET_PROTOBUF, Wire
from rtbridge.errors import Disconnect, InvalidMessage
from rtbridge.events.call import Headers

_JSON: Final = "centrifuge-json"
_PROTOBUF: Final = "centrifuge-protobuf"

_SLOW: Final = Disconnect("SLOW")
_WRITE_ERROR: Final = Disconnect("WRITE_ERROR")

_PING: Final = b"\x89\x00"

#: What the socket's buffer holds before asyncio says that the client does not keep up; its own default.
_HIGH_WATER: Final = 65536

# A connection's life: before its handshake; open; closed by us, and the client's close frame awaited; over.
_NEW, _OPEN, _CLOSING, _OVER = range(4)

_NO_SETTINGS: Final = Settings()


class WebSocket(asyncio.Protocol):
    """A connection from its request for an upgrade on.

    The request's whole head has to be in the first bytes that it gets; frames may follow it.

    Args:
        endpoints: What the server's connections share.

    """

    __slots__ = (
        "_accepts",
        "_deflate",
        "_endpoints",
        "_incoming",
        "_limit",
        "_pinged",
        "_queue",
        "_queued",
        "_sent",
        "_session",
        "_settings",
        "_state",
        "_stuck",
        "_timer",
        "_transport",
        "_watched",
    )

    _transport: asyncio.Transport
    _incoming: Incoming

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._settings = _NO_SETTINGS
        self._limit = 0
        self._session: Receiver | None = None
        self._state = _NEW
        self._accepts = False
        self._queue: list[bytes] = []
        self._queued = 0  # bytes in it
        self._sent = 0  # bytes given to the transport
        self._stuck = False  # the transport's buffer is full
        self._watched = False
        self._pinged = False
        self._deflate: Callable[[bytes], bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<WebSocket {('new', 'open', 'closing', 'over')[self._state]}>"

    # The socket's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a socket."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._endpoints.open.add(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client."""
        if self._state == _NEW:
            self._handshake(data)
        elif self._state != _OVER:
            self._feed(data)

    def eof_received(self) -> None:
        """The client sends nothing more; without a close frame before, it is gone."""
        self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._state = _OVER
        self._accepts = False
        self._queue.clear()
        self._cancel_timer()
        self._endpoints.gone(self)
        self._leave()

    def pause_writing(self) -> None:
        """The client does not keep up: what comes now waits here, where connections share it."""
        self._stuck = True
        if not self._watched:
            self._watch()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._stuck = False
        self.flush()

    # The session's side.

    def write(self, frame: bytes) -> None:
        """Queue framed bytes; what one tick of the loop queued leaves together."""
        if not self._accepts:
            return
        if self._deflate is not None:
            frame = self._deflate(frame)
        queue = self._queue
        if not queue:
            self._endpoints.dirty(self)
        queue.append(frame)
        self._queued += len(frame)
        if self._queued > self._limit:
            self._overflow(frame)

    def flush(self) -> None:
        """Write what is queued, unless the client does not keep up."""
        queue = self._queue
        if queue and not self._stuck:
            data = queue[0] if len(queue) == 1 else b"".join(queue)
            queue.clear()
            self._queued = 0
            self._sent += len(data)
            self._transport.write(data)

    def close(self, code: int, reason: str) -> None:
        """Send what is queued and a close frame, and wait for the client's, for a bounded time."""
        if self._state != _OPEN:
            return
        self._state = _CLOSING
        self._accepts = False
        self._stuck = False
        self.flush()
        self._transport.write(close_frame(code, reason))
        if self._incoming.paused:
            self.resume()  # the client's close frame is still to come
        self._start_timer(self._settings.write_timeout, self._check_closing)

    def abort(self) -> None:
        """Drop the connection without a close frame."""
        self._state = _OVER
        self._accepts = False
        self._queue.clear()
        self._transport.abort()

    def pause(self) -> None:
        """Read nothing more for now."""
        self._incoming.paused = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again, once what runs now has run."""
        self._incoming.paused = False
        self._endpoints.loop.call_soon(self._resumed)

    def close_slow(self) -> None:
        """Close a connection that reads more slowly than it is written to."""
        if self._state == _OPEN and self._session is not None:
            if self._stuck:
                self._queue.clear()
            self._session.close(_SLOW.code, _SLOW.reason)

    # Handshake.

    def _handshake(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n") + 4
        try:
            if end > self._endpoints.header_size:
                raise Refused(431)
            self._open(read_head(data[:end]))
        except Refused as exc:
            self._transport.write(exc.response())
            self._finish()
            return
        if len(data) > end:
            self._feed(data[end:])

    def _open(self, upgrade: Upgrade) -> None:
        endpoints = self._endpoints
        endpoint = endpoints.paths.get(upgrade.path.rstrip("/") or "/")
        if endpoint is None:
            raise Refused(404, "404 page not found")
        if not endpoints.admits():
            endpoints.full()
            raise Refused(503)
        if not endpoints.origins.admits(upgrade.field(b"origin")):
            raise Refused(403)
        lines = HeadLines(upgrade.lines)
        name = "uni_websocket" if endpoint.unidirectional else "websocket"
        address: tuple[str, int] | None = self._transport.get_extra_info("peername")
        peer = Peer(name, Headers(lines), endpoints.forwarded.address(address[0] if address else "", lines))
        wire, subprotocol = _choose(upgrade, endpoint)
        start = _start(upgrade, wire) if endpoint.unidirectional else b""
        settings = self._settings = endpoint.settings
        extensions, extension = "", None
        if endpoint.deflater is not None:
            extensions, extension, window = negotiate(upgrade.field(b"sec-websocket-extensions"))
            if extension is not None:
                self._deflate = endpoint.deflater.writer(window)
        inflated = endpoint.inflated_size if extension is not None else 0
        self._incoming = Incoming(self, settings.message_size, inflated, extension)
        self._limit = settings.queue_size
        if self._limit < _HIGH_WATER:
            self._transport.set_write_buffer_limits(self._limit)
        self._transport.write(upgrade.response(subprotocol, extensions))
        native = endpoint.unidirectional or upgrade.parameter("cf_ws_frame_ping_pong") == "true"
        self._state = _OPEN
        self._accepts = True
        self._session = endpoint.start(self, wire, peer, native)
        if native:
            self._start_timer(settings.ping_interval, self._ping)
        if start:
            self.message(start)

    # What the client sends.

    def _feed(self, data: bytes) -> None:
        try:
            self._incoming.feed(data)
        except Broken as exc:
            self._fail(exc)

    def _resumed(self) -> None:
        if self._incoming.paused or self._state == _OVER:
            return
        self._feed(b"")
        if not self._incoming.paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def message(self, data: bytes) -> None:
        """One message."""
        if self._state == _OPEN and self._session is not None:
            self._session.receive(data)

    def pinged(self, data: bytes) -> None:
        """A ping; a client that reads nothing gets no pongs heaped up for it."""
        if not self._stuck:
            self.write(bytes((0x8A, len(data))) + data)

    def ponged(self) -> None:
        """A pong."""
        self._pinged = False

    def closed(self, data: bytes) -> None:
        """The client's close frame: the answer to ours, or the first, which is answered with the same."""
        if self._state == _OPEN:
            self._accepts = False
            self._stuck = False
            self.flush()
            self._transport.write(bytes((0x88, len(data))) + data)
        self._finish()

    # Ends.

    def _leave(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.disconnected()

    def _finish(self) -> None:
        """Close the socket, once what was written has left, for a bounded time."""
        self._state = _OVER
        self._accepts = False
        self._leave()
        self._transport.close()
        self._start_timer(self._settings.write_timeout, self.abort)

    def _fail(self, why: Broken) -> None:
        """Tell the client what is wrong with its frames and read nothing more of them.

        The socket stays open for a while, because closing it with something unread would take back the close frame.
        """
        if self._state == _OPEN:
            self._stuck = False
            self.flush()
            self._transport.write(close_frame(why.code, why.reason))
        self._state = _OVER
        self._accepts = False
        self._leave()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._start_timer(self._settings.write_timeout, self.abort)

    def _check_closing(self) -> None:
        """A client that has not read the close frame by now never will; others have some time to answer it."""
        if self._transport.get_write_buffer_size():
            self.abort()
        else:
            self._start_timer(self._settings.close_timeout, self.abort)

    def _overflow(self, frame: bytes) -> None:
        self.flush()
        if len(frame) > self._limit or self._queued + self._transport.get_write_buffer_size() > self._limit:
            self._accepts = False
            self._endpoints.slow(self)

    def _watch(self) -> None:
        """Look later whether the client has read anything."""
        self._watched = True
        read = self._sent - self._transport.get_write_buffer_size()
        self._endpoints.loop.call_later(self._settings.write_timeout, self._check_progress, read)

    def _check_progress(self, read: int) -> None:
        self._watched = False
        if not self._stuck or self._state != _OPEN or self._session is None:
            return
        if self._sent - self._transport.get_write_buffer_size() > read:
            self._watch()
            return
        self._session.close(_WRITE_ERROR.code, _WRITE_ERROR.reason)
        self.abort()

    def _ping(self) -> None:
        if not self._stuck:
            self.write(_PING)
        self._pinged = True
        self._start_timer(self._settings.pong_timeout, self._check_pong)

    def _check_pong(self) -> None:
        if self._pinged and not self._incoming.paused:
            self.abort()
        else:
            self._start_timer(self._settings.ping_interval - self._settings.pong_timeout, self._ping)

    def _start_timer(self, seconds: float, run: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = self._endpoints.loop.call_later(seconds, run)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _choose(upgrade: Upgrade, endpoint: Endpoint) -> tuple[Wire, str]:
    """The wire that the client asks for, and the subprotocol to confirm."""
    if endpoint.unidirectional:
        return UNI_WEBSOCKET_JSON, ""
    subprotocol = upgrade.subprotocol((_JSON, _PROTOBUF))
    protobuf = (
        subprotocol == _PROTOBUF
        or upgrade.parameter("cf_protocol") == "protobuf"
        or upgrade.parameter("format") == "protobuf"
    )
    return WEBSOCKET_PROTOBUF if protobuf else WEBSOCKET_JSON, subprotocol


def _start(upgrade: Upgrade, wire: Wire) -> bytes:
    """The connect request in the query; empty without one, which then is the first message."""
    start = upgrade.parameter("cf_connect").encode()
    if start:
        try:
            wire.connect_request(start)
        except InvalidMessage as exc:
            raise Refused(400, "invalid connect request") from exc
    return start
