"""The client protocol in protobuf, read and written by stock protobuf: the judge does not ask the accused."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format

from rtbridge.codec.descriptors import message_class


def _message(name: str) -> Any:
    return message_class(f"centrifugal.centrifuge.protocol.{name}")


def write_commands(commands: Iterable[Mapping[str, Any]]) -> bytes:
    """One frame with these commands; bytes are base64 in them."""
    frame = bytearray()
    for command in commands:
        data = json_format.ParseDict(dict(command), _message("Command")()).SerializeToString()
        frame += _varint(len(data)) + data
    return bytes(frame)


def write_emulation(session: str, node: str, data: bytes) -> bytes:
    """The body of a request to ``/emulation``."""
    return bytes(_message("EmulationRequest")(session=session, node=node, data=data).SerializeToString())


def read_replies(data: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """The whole replies at the start, as JSON values without zero fields, and the bytes after them."""
    replies: list[dict[str, Any]] = []
    while (head := _read_varint(data)) is not None:
        size, start = head
        if len(data) < start + size:
            break
        replies.append(_plain(_message("Reply").FromString(data[start : start + size])))
        data = data[start + size :]
    return replies, data


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if not hasattr(value, "ListFields"):
        return value
    found: dict[str, Any] = {}
    for field, each in value.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            found[field.name] = {key: _plain(item) for key, item in each.items()}
        elif isinstance(each, bytes | str | int | float) or hasattr(each, "ListFields"):
            found[field.name] = _plain(each)
        else:
            found[field.name] = [_plain(item) for item in each]
    return found


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def _read_varint(data: bytes) -> tuple[int, int] | None:
    number = 0
    for index, byte in enumerate(data):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, index + 1
    return None
