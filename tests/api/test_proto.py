"""Requests to protobuf and responses from it, every field of every message, against protobuf's own classes."""

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from msgspec import Raw

from rtbridge.api import METHODS
from rtbridge.api import _generated as messages
from rtbridge.api._proto_generated import CALLS
from rtbridge.codec.descriptors import message_class
from rtbridge.codec.messages import json_decoder
from rtbridge.errors import InvalidMessage
from tests.api.fakes import PACKAGE

#: How deep messages hold messages; a filter holds filters without an end.
DEPTH = 5


def scalar(field: FieldDescriptor, numbers: Iterator[int]) -> Any:
    """A value that no other field has, as far as its type allows."""
    number = next(numbers)
    if field.type == FieldDescriptor.TYPE_STRING:
        return f"{field.name} {number} ä"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return f'{{"{field.name}":{number}}}'.encode()
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return number + 0.5
    if field.type == FieldDescriptor.TYPE_UINT64:
        return 2**64 - number
    return number


def repeated(field: Any) -> bool:
    """Whether a field is; older versions of protobuf say so by its label."""
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def filled(kind: Descriptor, numbers: Iterator[int], depth: int = DEPTH) -> dict[str, Any]:
    """A message with every field set, as JSON has it; bytes are documents."""
    found: dict[str, Any] = {}
    for field in kind.fields:
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            value = inner.fields_by_name["value"]
            if value.message_type is not None and not depth:
                continue
            found[field.name] = {
                f"key {next(numbers)}": filled(value.message_type, numbers, depth - 1)
                if value.message_type is not None
                else scalar(value, numbers)
                for _ in range(2)
            }
        elif inner is not None:
            if depth:
                one = [filled(inner, numbers, depth - 1) for _ in range(2 if repeated(field) else 1)]
                found[field.name] = one if repeated(field) else one[0]
        else:
            several = [scalar(field, numbers) for _ in range(2 if repeated(field) else 1)]
            found[field.name] = several if repeated(field) else several[0]
    return found


def stock(name: str, value: dict[str, Any]) -> Any:
    """Protobuf's own message of these values."""
    made = message_class(f"{PACKAGE}.{name}")()
    put(made, value)
    return made


def put(made: Any, value: dict[str, Any]) -> None:
    made.SetInParent()
    for name, each in value.items():
        field = made.DESCRIPTOR.fields_by_name[name]
        target = getattr(made, name)
        if isinstance(each, dict) and field.message_type.GetOptions().map_entry:
            for key, item in each.items():
                if isinstance(item, dict):
                    put(target[key], item)
                else:
                    target[key] = item
        elif isinstance(each, dict):
            put(target, each)
        elif isinstance(each, list):
            for item in each:
                if isinstance(item, dict):
                    put(target.add(), item)
                else:
                    target.append(item)
        else:
            setattr(made, name, each)


def struct(name: str, value: dict[str, Any]) -> Any:
    """Our message of these values, by way of JSON."""

    def raw(each: Any) -> Any:
        if isinstance(each, bytes):
            return Raw(each)
        if isinstance(each, dict):
            return {key: raw(item) for key, item in each.items()}
        return [raw(item) for item in each] if isinstance(each, list) else each

    return json_decoder(getattr(messages, name))(msgspec.json.encode(raw(value)))


def plain(message: Any) -> Any:
    """The values of a Struct."""
    return msgspec.json.decode(msgspec.json.encode(message))


def documents(value: Any) -> Any:
    """Values with what is in their documents."""
    if isinstance(value, bytes):
        return msgspec.json.decode(value)
    if isinstance(value, dict):
        return {key: documents(item) for key, item in value.items()}
    return [documents(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("method", METHODS)
def test_a_full_request(method: str) -> None:
    """Protobuf reads what we write as what it was."""
    name = METHODS[method][0].__name__
    value = filled(message_class(f"{PACKAGE}.{name}").DESCRIPTOR, itertools.count(1))
    assert message_class(f"{PACKAGE}.{name}").FromString(CALLS[method][1](struct(name, value))) == stock(name, value)


@pytest.mark.parametrize("method", METHODS)
def test_a_full_response(method: str) -> None:
    """We read what protobuf writes as what it was."""
    name = f"{CALLS[method][0]}Response"
    value = filled(message_class(f"{PACKAGE}.{name}").DESCRIPTOR, itertools.count(1))
    assert plain(CALLS[method][2](stock(name, value).SerializeToString())) == documents(value)


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_message(method: str) -> None:
    """Nothing is written for what is not set; an empty result is there, an absent one is not."""
    assert CALLS[method][1](METHODS[method][0]()) == b""
    if method != "batch":
        read = CALLS[method][2]
        assert read(b"").result is None
        assert read(stock(f"{CALLS[method][0]}Response", {"result": {}}).SerializeToString()).result is not None
    with pytest.raises(InvalidMessage):
        CALLS[method][2](b"\xff\xff")
