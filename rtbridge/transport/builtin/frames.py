"""HTTP/2 frames: numbers of RFC 9113 and how frames are written."""

from struct import Struct
from typing import Final

#: What a client sends first (RFC 9113, section 3.4).
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

#: Bytes before a frame's payload (section 4.1).
HEADER: Final = 9

#: The largest payload that may be sent where the peer did not say otherwise; what is received is held to it, too.
FRAME_SIZE: Final = 16_384

#: Flow-control windows before anything was said about them, and their bound (section 6.9).
WINDOW: Final = 65_535
WINDOW_MAX: Final = 2**31 - 1

# Types (section 6).
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

# Flags.
ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

# Settings (section 6.5.2).
HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

# Error codes (section 7).
NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
FLOW_CONTROL_ERROR: Final = 3
SETTINGS_TIMEOUT: Final = 4
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
ENHANCE_YOUR_CALM: Final = 11

#: A frame's header as numbers: length << 8 | type, flags, stream.
HEAD: Final = Struct(">IBI")

U32: Final = Struct(">I")

_WINDOW_UPDATE: Final = Struct(">IBII")
_SETTING: Final = Struct(">HI")
_GOAWAY: Final = Struct(">IBIII")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Any frame."""
    return HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """SETTINGS with these values by number."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*each) for each in values.items()))


def window_update(stream: int, size: int) -> bytes:
    """WINDOW_UPDATE: ``size`` more bytes may come; stream 0 is the connection."""
    return _WINDOW_UPDATE.pack(4 << 8 | WINDOW_UPDATE, 0, stream, size)


def rst_stream(stream: int, code: int) -> bytes:
    """RST_STREAM: this stream is over."""
    return _WINDOW_UPDATE.pack(4 << 8 | RST_STREAM, 0, stream, code)


def goaway(last: int, code: int, debug: bytes = b"") -> bytes:
    """GOAWAY: streams after ``last`` are not served; ``debug`` says why, to whoever reads traces."""
    return _GOAWAY.pack(8 + len(debug) << 8 | GOAWAY, 0, 0, last, code) + debug


#: Answers to SETTINGS.
SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0)
