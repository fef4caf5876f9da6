"""Messages of gRPC as they travel: compressed or not, within a size."""

import zlib
from typing import Final

_INTERNAL: Final = 13
_UNIMPLEMENTED: Final = 12
_RESOURCE_EXHAUSTED: Final = 8


class Unacceptable(Exception):
    """A message that cannot be taken.

    Args:
        status: The status of gRPC that says so.
        why: What is wrong with it.

    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def unpacked(flag: int, data: bytes, encoding: str, most: int) -> bytes:
    """A message inflated, where it is compressed.

    Args:
        flag: Its first byte: 1 where it is compressed.
        data: The message.
        encoding: What the call's ``grpc-encoding`` says.
        most: Bytes that it may inflate to.

    Raises:
        Unacceptable: It is not what it says, is compressed in another way, or is too large (gRPC over HTTP/2, and
            compression.md of grpc/grpc).

    """
    if not flag:
        return data
    if flag != 1 or not encoding:
        raise Unacceptable(_INTERNAL, "a message that is compressed, without grpc-encoding")
    if encoding != "gzip":
        raise Unacceptable(_UNIMPLEMENTED, f"grpc-encoding {encoding[:50]!r}: gzip and identity are understood")
    inflating = zlib.decompressobj(wbits=31)
    try:
        found = inflating.decompress(data, most + 1)
    except zlib.error as exc:
        raise Unacceptable(_INTERNAL, "a message that is not gzip") from exc
    if len(found) > most:
        raise Unacceptable(_RESOURCE_EXHAUSTED, f"a message that inflates to more than {most} bytes")
    if not inflating.eof or inflating.unused_data:
        raise Unacceptable(_INTERNAL, "a message that is not one piece of gzip")
    return found
