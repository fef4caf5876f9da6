"""The shape of a codec: one row a call, from bytes to an event and from an outcome to bytes."""

import base64
import binascii
from collections.abc import Callable
from typing import Any, NamedTuple

from rtbridge.clock import Clock
from rtbridge.errors import InvalidMessage
from rtbridge.events.base import Event
from rtbridge.events.call import Call
from rtbridge.events.outcome import Outcome


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
