"""What a WebSocket client sends, without a socket: bytes in, messages and control frames out.

Nearly every frame of a client of ours is a whole short message, so those are read here. All others go to websockets'
protocol, made for as long as it is needed: fragments, compressed messages, control frames and whatever is wrong.
Source: RFC 6455, sections 5 and 7.
"""

import logging
from typing import Final, Protocol

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.extensions import Extension
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

log = logging.getLogger("rtbridge.embedded")

#: websockets logs whole frames at DEBUG, and those hold tokens.
_SILENT: Final = logging.Logger("silent", logging.CRITICAL + 1)

_TEXT: Final = 0x81
_WHOLE: Final = (_TEXT, 0x82)  # a message in one frame, text or binary
_CONTROL: Final = 0x08
_OPCODE: Final = 0x0F

PROTOCOL_ERROR: Final = 1002
INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009
INTERNAL: Final = 1011


class Broken(Exception):
    """The connection cannot go on.

    Args:
        code: For the close frame.
        reason: Likewise.

    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Sink(Protocol):
    """Takes what came."""

    def message(self, data: bytes) -> None:
        """One message."""
        ...

    def pinged(self, data: bytes) -> None:
        """A ping, to be answered with the same data."""
        ...

    def ponged(self) -> None:
        """A pong."""
        ...

    def closed(self, data: bytes) -> None:
        """The close frame: its payload. Nothing comes after it."""
        ...


class Incoming:
    """Reads what one client sends.

    Args:
        sink: Takes it.
        limit: Largest message, in bytes as they were sent.
        inflated: Largest message, in bytes after decompression.
        extension: The negotiated compression.

    Attributes:
        paused: Whether to keep what comes until :meth:`feed` is called with this off.
        over: Whether the sink wants nothing more.

    """

    __slots__ = (
        "_extension",
        "_inflated",
        "_kind",
        "_limit",
        "_message",
        "_need",
        "_parser",
        "_sent",
        "_sink",
        "_tail",
        "over",
        "paused",
    )

    def __init__(self, sink: Sink, limit: int, inflated: int = 0, extension: Extension | None = None) -> None:
        self.paused = False
        self.over = False
        self._sink = sink
        self._limit = limit
        self._inflated = inflated or limit
        self._extension = extension
        self._tail: bytearray | None = None  # the beginning of a frame, of _need bytes or more
        self._need = 0
        self._parser: ServerProtocol | None = None
        self._message: bytearray | None = None  # of a message in fragments: what came, its bytes as they were sent,
        self._sent = 0  # and whether it is a text
        self._kind = Opcode.BINARY

    def feed(self, data: bytes) -> None:
        """Take bytes of the client.

        Raises:
            Broken: They are not what a client may send.

        """
        tail = self._tail
        if tail is not None:
            tail += data
            if len(tail) < self._need or self.paused:
                return
            data, self._tail = bytes(tail), None
        at, end = 0, len(data)
        need = 2
        while at + need <= end and not self.paused:
            second = data[at + 1]
            size = second & 127
            body = at + 6
            if size > 125:
                need = body = 8 if size == 126 else 14
                if at + need > end:
                    break
                size = int.from_bytes(data[at + 2 : at + need - 4])
                body += at
            if second < 128:
                raise Broken(PROTOCOL_ERROR, "incorrect masking")
            if size > self._limit:
                raise Broken(TOO_BIG)
            need = body + size - at
            if at + need > end:
                break
            first = data[at]
            if first in _WHOLE and self._parser is None:
                payload = apply_mask(data[body : at + need], data[body - 4 : body])
                self._deliver(payload, first == _TEXT)
            else:
                self._unusual(data[at : at + need], size)
            if self.over:
                return
            at += need
            need = 2
        if at < end:
            self._tail, self._need = bytearray(data[at:]), need

    def _deliver(self, data: bytes, text: bool) -> None:
        if text and not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError as exc:
                raise Broken(INVALID_DATA, "invalid UTF-8") from exc
        self._sink.message(data)

    def _unusual(self, data: bytes, size: int) -> None:
        """A whole frame that is no whole uncompressed message, or comes while one is under way."""
        if not data[0] & _CONTROL:
            self._sent = size if data[0] & _OPCODE else self._sent + size
            if self._sent > self._limit:
                raise Broken(TOO_BIG)
        parser = self._parser
        if parser is None:
            parser = self._parser = ServerProtocol(state=OPEN, max_size=self._inflated, logger=_SILENT)
            if self._extension is not None:
                parser.extensions = [self._extension]
        parser.receive_data(data)
        parser.data_to_send()  # its answers are ours to write
        if parser.parser_exc is not None:
            raise _broken(parser.parser_exc)
        for frame in parser.events_received():
            assert isinstance(frame, Frame)
            self._frame(frame)
        if self._message is None:
            self._parser = None

    def _frame(self, frame: Frame) -> None:
        data, opcode = bytes(frame.data), frame.opcode
        if opcode is Opcode.PING:
            self._sink.pinged(data)
        elif opcode is Opcode.PONG:
            self._sink.ponged()
        elif opcode is Opcode.CLOSE:
            self.over = True
            self._sink.closed(data)
        elif frame.fin and self._message is None:
            self._deliver(data, opcode is Opcode.TEXT)
        elif self._message is None:
            self._message, self._kind = bytearray(data), opcode
        else:
            self._message += data
            if frame.fin:
                whole, self._message = bytes(self._message), None
                self._deliver(whole, self._kind is Opcode.TEXT)


def _broken(error: Exception) -> Broken:
    if isinstance(error, PayloadTooBig):
        return Broken(TOO_BIG)
    if isinstance(error, ProtocolError):
        return Broken(PROTOCOL_ERROR, str(error))
    if isinstance(error, UnicodeDecodeError):
        return Broken(INVALID_DATA, "invalid UTF-8")
    log.error("a frame could not be read: %s", error, exc_info=error)
    return Broken(INTERNAL)
