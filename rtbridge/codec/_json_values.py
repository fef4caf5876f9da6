"""Payloads in Centrifugo's JSON: raw documents in, documents or base64 out, and never a null that means "absent"."""

import base64
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from rtbridge.codec.base import unbase64
from rtbridge.errors import InvalidMessage
from rtbridge.events.values import JSON_ENCODER, as_bytes

__all__ = ["JSON_ENCODER", "decoded", "document", "payload", "read_payload", "uint64"]

T = TypeVar("T")


def decoded(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """The wire Struct that a request body holds.

    Raises:
        InvalidMessage: It is not UTF-8, not JSON, or a field has another type; the text names the place.

    """
    try:
        data.decode()  # raw documents are passed on unread, and would carry broken UTF-8 into the application
        return decoder.decode(data)
    except UnicodeDecodeError as exc:
        raise InvalidMessage(f"not UTF-8 at byte {exc.start}") from exc
    except RecursionError as exc:
        raise InvalidMessage("nested too deeply") from exc
    except msgspec.ValidationError as exc:
        raise InvalidMessage(str(exc)) from exc
    except msgspec.DecodeError as exc:
        raise InvalidMessage("not valid JSON") from exc


def read_payload(raw: Raw | UnsetType, field: str = "", b64: str = "") -> bytes | None:
    """The bytes of a payload, from the base64 field where it is filled."""
    if b64:
        return unbase64(field, b64)
    return None if raw is UNSET else bytes(raw)


def uint64(field: str, value: int) -> int:
    """The value of an unsigned field.

    Raises:
        InvalidMessage: Protobuf could not carry it.

    """
    if not 0 <= value < 2**64:
        raise InvalidMessage(f"{field} is no unsigned integer of 64 bits")
    return value


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def payload(value: Any) -> tuple[Any, str | UnsetType]:
    """What goes into a field and its base64 twin: bytes that are no JSON document travel in base64."""
    data = as_bytes(value)
    if data is not None:
        if not data:
            return UNSET, UNSET
        if _is_json(data):
            return Raw(data), UNSET
        return UNSET, base64.b64encode(data).decode("ascii")
    return value, UNSET


def document(field: str, value: Any) -> Any:
    """What goes into a field that has no base64 twin.

    Raises:
        ValueError: The value is bytes that are no JSON document.

    """
    data, b64 = payload(value)
    if b64 is not UNSET:
        raise ValueError(f"{field} is bytes that are not JSON, and this field has no base64 form over HTTP")
    return data
