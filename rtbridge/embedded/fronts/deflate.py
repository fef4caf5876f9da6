"""Compressed WebSocket messages: permessage-deflate without a context that outlives a message.

As in Centrifugo: a context for each direction of each connection would cost more memory than all the rest of it, and
without one a publication is compressed once for all its subscribers. Source: RFC 7692.
"""

import zlib
from collections.abc import Callable
from typing import Final

from websockets.exceptions import InvalidHeaderFormat, NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

from rtbridge.embedded.framing import binary_frame, text_frame

_FACTORY: Final = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)

_SMALLEST_WINDOW: Final = 9  # bits; zlib cannot compress for 8

_TEXT: Final = 0x81
_BINARY: Final = 0x82
_COMPRESSED: Final = 0x40  # RSV1: the first frame of a compressed message
_TAIL: Final = 4  # of an empty block, which the other side adds again


def negotiate(asked: str) -> tuple[str, Extension | None, int]:
    """What a client gets that asks for extensions.

    Returns:
        The header that answers, the extension that reads its messages, the window for those that it is sent; an empty
        header and None where nothing is agreed on.

    """
    try:
        offers = parse_extension(asked) if asked else []
    except InvalidHeaderFormat:
        return "", None, 0
    for name, parameters in offers:
        if name != _FACTORY.name:
            continue
        try:
            agreed, extension = _FACTORY.process_request_params(parameters, [])
        except NegotiationError:
            continue  # a variant that cannot be served; another one may follow
        window = extension.local_max_window_bits
        if window >= _SMALLEST_WINDOW:
            return build_extension([(name, agreed)]), extension, window
    return "", None, 0


class Deflater:
    """Compresses the frames of a server's connections.

    Args:
        level: 1 is fast, 9 is small.
        smallest: Payloads of fewer bytes travel as they are.

    """

    def __init__(self, level: int, smallest: int) -> None:
        self._level = level
        self._smallest = smallest
        self._done: dict[tuple[int, bytes], bytes] = {}

    def writer(self, window: int) -> Callable[[bytes], bytes]:
        """A function that compresses frames for a window of so many bits."""

        def write(frame: bytes) -> bytes:
            key = (window, frame)
            found = self._done.get(key)
            if found is None:
                found = self._done[key] = self._compress(window, frame)
            return found

        return write

    def forget(self) -> None:
        """Drop what was kept for the other subscribers of the same publication."""
        if self._done:
            self._done.clear()

    def _compress(self, window: int, frame: bytes) -> bytes:
        first, size = frame[0], frame[1]
        if first not in (_TEXT, _BINARY):
            return frame
        payload = frame[2:] if size < 126 else frame[4:] if size == 126 else frame[10:]
        if len(payload) < self._smallest:
            return frame
        packer = zlib.compressobj(self._level, zlib.DEFLATED, -window, 5)
        packed = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
        if len(packed) - _TAIL >= len(payload):
            return frame
        framed = (text_frame if first == _TEXT else binary_frame)(packed[:-_TAIL])
        return bytes((first | _COMPRESSED,)) + framed[1:]
