"""For every event: what stock protobuf or stock JSON writes is what the event shows."""

import base64
import json
import os
import typing
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtbridge.codec import JSON, PROTO
from rtbridge.codec.descriptors import message_class
from rtbridge.events import METHODS, Call, Headers, Received

PACKAGE = "centrifugal.centrifugo.proxy"

short = settings(deadline=None, max_examples=25, derandomize=bool(os.environ.get("CI")))

TEXT = st.text(max_size=20)
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3),
    max_leaves=6,
)
DOCUMENTS = JSON_VALUES.map(lambda value: json.dumps(value).encode())


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a field of an event, by its annotation."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is str:
        return TEXT
    if annotation is int:
        return st.integers(0, 2**63 - 1)
    if annotation == (bytes | None):
        return st.none() | DOCUMENTS | st.binary(min_size=1, max_size=20)
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(TEXT, values_of(arguments[1]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, Received):
        return st.builds(annotation, **fields_of(annotation))
    raise AssertionError(f"no values for {annotation}")


def fields_of(kind: type[msgspec.Struct]) -> dict[str, st.SearchStrategy[Any]]:
    """Values of every field of a Struct, the call left out."""
    return {f.name: values_of(f.type) for f in msgspec.structs.fields(kind) if f.name != "call"}


def as_json(value: Any) -> Any:
    """A field's value as stock JSON takes it; items are written without their defaults, as Go does."""
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return {name: item for name, item in msgspec.structs.asdict(value).items() if item}
    return value


def written(fields: dict[str, Any], twins: set[str], base64_for: set[str]) -> dict[str, Any]:
    """The request's fields with their payloads as bytes, those named in ``base64_for`` in base64."""
    out: dict[str, Any] = {}
    for name, value in fields.items():
        if not name.startswith("raw_"):
            out[name] = as_json(value)
        elif value is not None and name in base64_for & twins:
            out[f"b64{name[4:]}"] = base64.b64encode(value).decode()
        elif value is not None:
            out[name[4:]] = value
    return out


def shown(event: Any) -> dict[str, Any]:
    """The event's fields."""
    return {f.name: getattr(event, f.name) for f in msgspec.structs.fields(event) if f.name != "call"}


def request_class(kind: str) -> tuple[Any, str]:
    """The class of a call's request, and the field of the envelope that holds it."""
    if METHODS[kind].stream == "both":
        return message_class(f"{PACKAGE}.StreamSubscribeRequest"), "subscribe_request"
    names = {"subscribe_unidirectional": "Subscribe"}
    return message_class(f"{PACKAGE}.{names.get(kind, METHODS[kind].name)}Request"), ""


def twins_of(descriptor: Any) -> set[str]:
    """The payload fields that have a base64 form, as events name them."""
    names = {field.name for field in descriptor.fields}
    return {f"raw_{name}" for name in names if f"b64{name}" in names}


@pytest.mark.parametrize("kind", METHODS)
@short
@given(data=st.data())
def test_protobuf(kind: str, data: st.DataObject) -> None:
    """Protobuf bytes of any values decode to an event with the same values."""
    event_type = METHODS[kind].event
    fields = data.draw(st.fixed_dictionaries(fields_of(event_type)))
    encoded = data.draw(st.sets(st.sampled_from(["raw_data"])))
    message, inner = request_class(kind)
    descriptor = message.DESCRIPTOR.fields_by_name[inner].message_type if inner else message.DESCRIPTOR
    request = written(fields, twins_of(descriptor), encoded)
    body = message(**({inner: request} if inner else request)).SerializeToString()

    call = Call(Headers())
    event = PROTO[kind].decode(body, call)
    assert type(event) is event_type
    assert event.call is call
    assert shown(event) == fields


@pytest.mark.parametrize("kind", JSON)
@short
@given(data=st.data())
def test_json(kind: str, data: st.DataObject) -> None:
    """JSON of any values decodes to an event with the same values; payloads are passed on byte by byte."""
    event_type = METHODS[kind].event
    fields = data.draw(st.fixed_dictionaries(fields_of(event_type)))
    message, _ = request_class(kind)
    encoded = data.draw(st.sets(st.sampled_from(["raw_data"])))
    fields["raw_meta"] = data.draw(st.none() | DOCUMENTS)
    if "raw_data" not in encoded:
        fields["raw_data"] = data.draw(st.none() | DOCUMENTS)
    fields = {name: value for name, value in fields.items() if name in event_type.__struct_fields__}
    request = written(fields, twins_of(message.DESCRIPTOR), encoded)
    marks = {name: f"@{name}@" for name, value in request.items() if isinstance(value, bytes)}
    body = json.dumps(request | marks).encode()
    for name, mark in marks.items():
        body = body.replace(json.dumps(mark).encode(), request[name])

    call = Call(Headers())
    event = JSON[kind].decode(body, call)
    assert type(event) is event_type
    assert event.call is call
    assert shown(event) == fields


@short
@given(
    fields=st.fixed_dictionaries({"raw_data": st.none() | st.binary(min_size=1), "tags": st.dictionaries(TEXT, TEXT)})
)
def test_items_of_a_stream(fields: dict[str, Any]) -> None:
    """What a client publishes into a bidirectional stream arrives as it was sent."""
    decode = PROTO["subscribe_bidirectional"].decode_item
    assert decode is not None
    message = message_class(f"{PACKAGE}.StreamSubscribeRequest")
    body = message(publication={"data": fields["raw_data"] or b"", "tags": fields["tags"]}).SerializeToString()
    assert shown(decode(body)) == fields


def test_only_streams_stay_off_http() -> None:
    """Every other event has a row in both codecs."""
    assert list(PROTO) == list(METHODS)
    assert list(JSON) == [kind for kind, method in METHODS.items() if not method.stream]
