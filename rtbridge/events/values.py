"""The values that hooks read from events and write into results: payloads and expiry times."""

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

import msgspec

from rtbridge.clock import Clock
from rtbridge.errors import BadRequest
from rtbridge.events.misfit import pydantic_text, struct_text

T = TypeVar("T")


class _Sentinel(Enum):
    # msgspec writes the value of a member: null wherever JSON_NULL stands, and an error for NEVER in a payload.
    JSON_NULL = None
    NEVER = object()

    def __repr__(self) -> str:
        return self.name


#: The payload JSON ``null``, where Python's ``None`` means that there is no payload.
JSON_NULL: Final = _Sentinel.JSON_NULL

#: ``SubRefreshResult(expire_at=NEVER)``: the subscription stays and Centrifugo does not ask again.
NEVER: Final = _Sentinel.NEVER
Never: TypeAlias = Literal[_Sentinel.NEVER]

#: Seconds since the Unix epoch, an aware datetime, or a time from now.
ExpireAt: TypeAlias = int | datetime | timedelta

#: Any larger number of seconds is a number of milliseconds (it would be after the year 5000).
_LATEST: Final = 100_000_000_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)

_BYTES: Final = (bytes, bytearray, memoryview, msgspec.Raw)

_DECODE_FAULTS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def check_expiry(value: object) -> str | None:
    """What is wrong with an ``expire_at``, or None."""
    if isinstance(value, bool) or not isinstance(value, int | datetime | timedelta):
        return f"is {type(value).__name__}; give seconds since the epoch, an aware datetime or a timedelta"
    if isinstance(value, timedelta):
        return None if value > timedelta(0) else "is a timedelta of zero or less"
    if isinstance(value, datetime):
        return None if value.utcoffset() is not None else "is a datetime without a timezone; use datetime.now(UTC)"
    if value <= 0:
        return f"is {value}; leave it out for no expiry"
    return None if value < _LATEST else f"is {value}: it counts seconds since the epoch, not milliseconds"


def unix_seconds(value: ExpireAt | Never, clock: Clock) -> int:
    """The ``expire_at`` of the wire: whole seconds since the epoch, rounded up; 0 for ``NEVER``."""
    if isinstance(value, int):
        return value
    if isinstance(value, timedelta):
        return -int(-(clock.time() + value.total_seconds()) // 1)
    if isinstance(value, datetime):
        return -((_EPOCH - value) // _SECOND)
    return 0


def _encode_other(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump):  # a pydantic model; pydantic is no dependency
        return dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


JSON_ENCODER: Final = msgspec.json.Encoder(enc_hook=_encode_other)


def as_bytes(value: Any) -> bytes | None:
    """The bytes of a value that is sent as it is; None for one that is written as JSON."""
    return bytes(value) if isinstance(value, _BYTES) else None


def encode_payload(value: Any) -> bytes:
    """The bytes of a payload: ``bytes`` as they are, ``JSON_NULL`` as ``null``, anything else as JSON.

    Raises:
        TypeError: The value has no JSON form.
        UnicodeEncodeError: A string holds a lone surrogate.

    """
    data = as_bytes(value)
    return JSON_ENCODER.encode(value) if data is None else data


def decode_payload(raw: bytes, what: str) -> Any:
    """The JSON value of a payload.

    Raises:
        BadRequest: It is not JSON; ``what`` names the payload in the text.

    """
    try:
        return msgspec.json.decode(raw)
    except _DECODE_FAULTS as exc:
        raise BadRequest(f"{what} is not valid JSON") from exc


def parse_payload(raw: bytes | None, model: type[T], what: str) -> T:
    """The payload as an instance of ``model``: a Struct, a dataclass, a TypedDict, a builtin or a pydantic model.

    Raises:
        BadRequest: It is absent, not JSON, or does not fit; the text names the place and never repeats the payload.

    """
    if raw is None:
        raise BadRequest(f"{what} is missing")
    validate = getattr(model, "model_validate_json", None)
    try:
        if validate is not None:
            return cast("T", validate(raw))
        return msgspec.json.decode(raw, type=model)
    except _DECODE_FAULTS as exc:
        text = struct_text(exc) if isinstance(exc, msgspec.ValidationError) else "not valid JSON"
        raise BadRequest(f"{what} does not fit: {text}") from exc
    except ValueError as exc:
        raise BadRequest(f"{what} does not fit: {pydantic_text(exc, model)}") from exc
