"""How messages are told apart on the wire: WebSocket frames, lengths before messages, server-sent events.

Sources: RFC 6455, sections 5.2, 5.5 and 7.4; protobuf.dev, "Encoding"; the HTML standard, "Server-sent events".
"""

from collections.abc import Iterator
from struct import pack
from typing import Final

from rtbridge.errors import MAX_REASON_BYTES, InvalidMessage

_FINAL: Final = 0x80
_TEXT: Final = _FINAL | 0x1
_BINARY: Final = _FINAL | 0x2
_CLOSE: Final = _FINAL | 0x8

_SHORT: Final = 126  # payloads from here on have their length behind the header's second byte
_TEXT_HEADERS: Final = tuple(bytes((_TEXT, size)) for size in range(_SHORT))
_BINARY_HEADERS: Final = tuple(bytes((_BINARY, size)) for size in range(_SHORT))

_VARINT_BYTES: Final = 10


def text_frame(payload: bytes) -> bytes:
    """One whole WebSocket text message, as a server sends it: a single frame without a mask."""
    size = len(payload)
    return (_TEXT_HEADERS[size] if size < _SHORT else _long_header(_TEXT, size)) + payload


def binary_frame(payload: bytes) -> bytes:
    """One whole WebSocket binary message, as a server sends it: a single frame without a mask."""
    size = len(payload)
    return (_BINARY_HEADERS[size] if size < _SHORT else _long_header(_BINARY, size)) + payload


def close_frame(code: int, reason: str) -> bytes:
    """The close frame of a server.

    Args:
        code: The status code, below 65536.
        reason: Cut at a character where it has more than 123 bytes, all that fits. What is no Unicode becomes ``?``.

    """
    text = reason.encode(errors="replace")
    if len(text) > MAX_REASON_BYTES:
        text = text[:MAX_REASON_BYTES].decode(errors="ignore").encode()
    return pack("!BBH", _CLOSE, 2 + len(text), code) + text


def _long_header(first: int, size: int) -> bytes:
    if size <= 0xFFFF:
        return pack("!BBH", first, 126, size)
    return pack("!BBQ", first, 127, size)


def split_varint(data: bytes) -> Iterator[bytes]:
    """The messages of a block in which each has its length before it as a varint.

    They come one after the other, so that those before a broken one can be served.

    Raises:
        InvalidMessage: The next length is cut off or has more than 10 bytes, or the block ends before its message.

    """
    at, end = 0, len(data)
    while at < end:
        size = data[at]
        at += 1
        if size >= 0x80:
            size, at = _long_size(data, at - 1)
        after = at + size
        if after > end:
            raise InvalidMessage("the message ends before its length says")
        yield data[at:after]
        at = after


def _long_size(data: bytes, at: int) -> tuple[int, int]:
    """A length of several bytes, and where it ends."""
    size = 0
    for shift, byte in enumerate(data[at : at + _VARINT_BYTES]):
        size |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return size, at + shift + 1
    raise InvalidMessage("a message without a proper length")


def sse_event(data: bytes) -> bytes:
    """A server-sent event with one line of data, which must be UTF-8 without a line break."""
    return b"data: " + data + b"\n\n"
