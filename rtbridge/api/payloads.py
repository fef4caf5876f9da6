"""Values of a caller in the form that requests of the server API have."""

import base64
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from rtbridge.api import _generated as messages
from rtbridge.events import SubscribeOptionOverride
from rtbridge.events.values import as_bytes, encode_payload


def payload(value: Any) -> tuple[Raw | UnsetType, str]:
    """A payload in its two forms, JSON or base64 of bytes; None is absent.

    Raises:
        TypeError: The value has no JSON form.
        UnicodeEncodeError: A string holds a lone surrogate.

    """
    if value is None:
        return UNSET, ""
    data = as_bytes(value)
    if data is None:
        return Raw(encode_payload(value)), ""
    return UNSET, base64.b64encode(data).decode("ascii")


def json_payload(value: Any, what: str) -> Raw | UnsetType:
    """A payload that the API takes as JSON only; None is absent.

    Raises:
        ValueError: Bytes that are no JSON, which would break the request around them.
        TypeError: The value has no JSON form.

    """
    if value is None:
        return UNSET
    data = encode_payload(value)
    if as_bytes(value) is not None:
        try:
            msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise ValueError(f"{what}: the server API takes JSON here, and these bytes are none") from exc
    return Raw(data)


def override_of(given: SubscribeOptionOverride | None) -> messages.SubscribeOptionOverride | None:
    """Options of one subscription; those that are None stay as configured."""
    if given is None:
        return None
    names = messages.SubscribeOptionOverride.__struct_fields__
    values = {name: getattr(given, name) for name in names}
    return messages.SubscribeOptionOverride(
        **{name: messages.BoolValue(value) for name, value in values.items() if value is not None}
    )
