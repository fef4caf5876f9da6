"""Requests and replies of the proxy service as JSON values, with the payloads as they are meant."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from rtbridge.codec.descriptors import message_class
from rtbridge.events import METHODS

_PACKAGE: Final = "centrifugal.centrifugo.proxy"


def request_message(kind: str, request: Mapping[str, Any]) -> bytes:
    """The request in protobuf; its ``data`` and ``meta`` are JSON values there and JSON text here."""
    message = message_class(f"{_PACKAGE}.{METHODS[kind].name}Request")()
    for name, value in request.items():
        if name in ("data", "meta"):
            setattr(message, name, json.dumps(value, ensure_ascii=False).encode())
        elif isinstance(value, list):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return bytes(message.SerializeToString())


def reply_value(kind: str, reply: bytes) -> dict[str, Any]:
    """A reply in protobuf as it would read in JSON.

    Raises:
        google.protobuf.message.DecodeError: It is none.

    """
    return _value(message_class(f"{_PACKAGE}.{METHODS[kind].name}Response").FromString(reply))


def _value(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        name, plain = field.name, value
        if field.type == field.TYPE_BYTES:
            try:
                plain = json.loads(value)
            except ValueError:
                name, plain = f"b64{name}", base64.b64encode(value).decode()
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name["value"]
            plain = {key: _value(value[key]) if entry.message_type is not None else value[key] for key in value}
        elif field.message_type is not None:
            plain = [_value(each) for each in value] if _repeated(field) else _value(value)
        elif _repeated(field):
            plain = list(value)
        found[name] = plain
    return found


def _repeated(field: Any) -> bool:
    # protobuf 6 brought the property and 7 took the label away; the floor knows the label only.
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
