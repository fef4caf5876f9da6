"""The shape of a codec: one row a call, from bytes to an event and from an outcome to bytes."""

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from rtbridge.clock import Clock
from rtbridge.errors import InvalidMessage
from rtbridge.events.base import Event
from rtbridge.events.call import Call
from rtbridge.events.outcome import Outcome

_ONE_BYTE: Final = tuple(bytes((value,)) for value in range(0x80))


class Codec(NamedTuple):
    """How one call is read and written on one wire.

    Attributes:
        decode: The request's bytes and its call → the event. Raises InvalidMessage.
        encode: The outcome → the answer's bytes; the clock turns timedeltas into times. For a stream, its first
            message. Raises TypeError or ValueError where a value of the result has no form on the wire.
        decode_item: A later message of the caller's stream; None where there is none.
        encode_item: A later message of the answering stream; None where there is none.

    """

    decode: Callable[[bytes, Call], Event]
    encode: Callable[[Outcome, Clock], bytes]
    decode_item: Callable[[bytes], Any] | None = None
    encode_item: Callable[[Any], bytes] | None = None


def unbase64(field: str, text: str) -> bytes:
    """The bytes that a ``b64*`` field carries.

    Raises:
        InvalidMessage: It is not base64 (RFC 4648, section 4).

    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidMessage(f"{field} is not base64") from exc


def enclosed(outer: int, inner: int, data: bytes) -> bytes:
    """A message whose field ``outer`` has nothing but the field ``inner``, which holds ``data``.

    Source: the encoding of protobuf: a field is its tag, its length as a varint, and its bytes; an empty one is left
    out.

    Args:
        outer: The tag of one field.
        inner: That of the other.
        data: Its bytes.

    """
    size = len(data)
    if not size:
        return bytes((outer, 0))
    if size < 0x80 - 2:
        return b"%c%c%c%c%b" % (outer, size + 2, inner, size, data)
    if 0x80 <= size < 0x4000 - 3:
        whole = size + 3
        lengths = (whole & 0x7F | 0x80, whole >> 7, inner, size & 0x7F | 0x80, size >> 7)
        return b"%c%c%c%c%c%c%b" % (outer, *lengths, data)
    length = varint(size)
    return b"%c%b%c%b%b" % (outer, varint(1 + len(length) + size), inner, length, data)


def varint(number: int) -> bytes:
    """A number that is not negative, as protobuf writes it: seven bits a byte, the lowest first."""
    if number < 0x80:
        return _ONE_BYTE[number]
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
