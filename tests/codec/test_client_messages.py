"""The messages of the client protocol, in JSON and in protobuf, against protobuf's own classes."""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from rtbridge.api import _generated as api
from rtbridge.codec.descriptors import message_class
from rtbridge.codec.messages import Message, json_decoder
from rtbridge.embedded import _client_generated as client
from rtbridge.embedded._client_generated import (
    ClientInfo,
    Command,
    ConnectRequest,
    ConnectResult,
    EmulationRequest,
    FilterNode,
    HistoryRequest,
    Join,
    Publication,
    PublishRequest,
    PublishResult,
    Push,
    Reply,
    StreamPosition,
    SubscribeRequest,
    SubscribeResult,
    UnsubscribeResult,
    read_command,
    read_connect_request,
    read_emulation_request,
    write_push,
    write_reply,
)
from rtbridge.errors import InvalidMessage

PACKAGE = "centrifugal.centrifuge.protocol"

encode = msgspec.json.encode
decode_command = json_decoder(Command)


READERS: dict[str, Callable[[bytes], Message]] = {
    "Command": read_command,
    "ConnectRequest": read_connect_request,
    "EmulationRequest": read_emulation_request,
}


def stock(kind: str) -> Any:
    """Protobuf's class of a message."""
    return message_class(f"{PACKAGE}.{kind}")


def in_range(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers, the ends of their range among them."""
    return st.sampled_from([low, -1 if low else 1, high]) | st.integers(low, high)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: TEXT,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: in_range(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: in_range(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: in_range(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: in_range(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: in_range(0, 2**64 - 1),
}

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=3), max_leaves=3
).map(lambda value: Raw(encode(value)))
BINARY = st.binary(min_size=1, max_size=20).map(Raw)


@st.composite
def messages(draw: st.DrawFn, kind: str, payloads: st.SearchStrategy[Raw], depth: int = 4) -> Message:
    """A message of some filled fields and, as long as there is depth left, messages inside."""
    fields = [f for f in stock(kind).DESCRIPTOR.fields if depth or not holds_messages(f)]
    chosen = draw(st.lists(st.sampled_from(fields), max_size=4, unique_by=lambda f: f.name)) if fields else []
    made: Message = getattr(client, kind)()
    for field in chosen:
        one = payloads if field.type == FieldDescriptor.TYPE_BYTES else SCALARS.get(field.type)
        entry = field.message_type.fields_by_name["value"] if is_map(field) else field
        if entry.message_type:
            one = messages(entry.message_type.name, payloads, depth - 1)
        elif is_map(field):
            one = SCALARS[entry.type]
        assert one is not None
        if is_map(field):
            one = st.dictionaries(TEXT, one, max_size=2)
        elif is_list(field):
            one = st.lists(one, max_size=2)
        setattr(made, field.name, draw(one))
    return made


def is_map(field: Any) -> bool:
    """Whether a field is a map."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def is_list(field: Any) -> bool:
    """Whether a field is repeated; older versions of protobuf say so by its label."""
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def holds_messages(field: Any) -> bool:
    """Whether a field holds messages of the proto."""
    return field.message_type is not None and not (
        is_map(field) and field.message_type.fields_by_name["value"].message_type is None
    )


def of_struct(message: Message) -> dict[str, Any]:
    """What is set in a Struct."""
    found: dict[str, Any] = {}
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if value is None or value is UNSET or (not isinstance(value, Message) and not value):
            continue
        found[name] = of_value(value)
    return found


def of_value(value: Any) -> Any:
    if isinstance(value, Message):
        return of_struct(value)
    if isinstance(value, list):
        return [of_value(item) for item in value]
    if isinstance(value, dict):
        return {key: of_value(item) for key, item in value.items()}
    return bytes(value) if isinstance(value, Raw) else value


def of_stock(message: Any) -> dict[str, Any]:
    """What is set in a message of protobuf's class."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if is_map(field):
            inner = holds_messages(field)
            found[field.name] = {key: of_stock(value[key]) if inner else value[key] for key in value}
        elif field.message_type and is_list(field):
            found[field.name] = [of_stock(item) for item in value]
        elif field.message_type:
            found[field.name] = of_stock(value)
        else:
            found[field.name] = list(value) if is_list(field) else value
    return found


def to_stock(values: dict[str, Any], message: Any) -> Any:
    """A message of protobuf's class with these values set."""
    for name, value in values.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if is_map(field) and holds_messages(field):
            for key, item in value.items():
                to_stock(item, getattr(message, name)[key])
        elif is_map(field):
            getattr(message, name).update(value)
        elif field.message_type and is_list(field):
            for item in value:
                to_stock(item, getattr(message, name).add())
        elif field.message_type:
            getattr(message, name).SetInParent()
            to_stock(value, getattr(message, name))
        elif is_list(field):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


def filled(kind: str, depth: int = 5) -> Message:
    """A message in which every field is filled, and messages inside down to a depth."""
    made: Message = getattr(client, kind)()
    for number, field in enumerate(stock(kind).DESCRIPTOR.fields):
        entry = field.message_type.fields_by_name["value"] if is_map(field) else field
        if entry.message_type and not depth:
            continue
        one = filled(entry.message_type.name, depth - 1) if entry.message_type else FILLED.get(entry.type, number + 1)
        setattr(made, field.name, {"a": one, "b": one} if is_map(field) else [one, one] if is_list(field) else one)
    return made


FILLED: dict[int, Any] = {
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_BOOL: True,
    FieldDescriptor.TYPE_BYTES: Raw(b'"payload"'),
}


@pytest.mark.parametrize("kind", ["Reply", "Push", "Command", "ConnectRequest", "EmulationRequest"])
def test_every_field(kind: str) -> None:
    """All of them are written, or read, at once."""
    message: Any = filled(kind)
    stocked = to_stock(of_struct(message), stock(kind)())
    if kind in READERS:
        assert READERS[kind](stocked.SerializeToString()) == message
    else:
        data = write_reply(message) if kind == "Reply" else write_push(message)
        assert of_stock(stock(kind).FromString(data)) == of_stock(stocked) == of_struct(message)
    assert msgspec.json.decode(encode(message), type=type(message)) == message


@given(messages("Reply", BINARY))
def test_replies_in_protobuf(reply: Reply) -> None:
    """What is written is what protobuf's class reads: zero values absent, empty messages present."""
    assert of_stock(stock("Reply").FromString(write_reply(reply))) == of_struct(reply)


@given(messages("Push", BINARY))
def test_pushes_in_protobuf(push: Push) -> None:
    """The same of what unidirectional clients get."""
    assert of_stock(stock("Push").FromString(write_push(push))) == of_struct(push)


@given(st.sampled_from(sorted(READERS)).flatmap(lambda kind: messages(kind, BINARY)))
def test_what_arrives_in_protobuf(message: Message) -> None:
    """What protobuf's class writes is read into the same message, whose maps and lists are plain ones."""
    kind = type(message).__name__
    data = to_stock(of_struct(message), stock(kind)()).SerializeToString()
    assert READERS[kind](data) == message


@given(messages("Command", DOCUMENTS))
def test_commands_in_json(command: Command) -> None:
    """JSON gives back the same message, payloads as they were written."""
    assert decode_command(encode(command)) == command


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05ab", b"\x07"])
def test_broken_protobuf(kind: str, data: bytes) -> None:
    """What ends too early, and a field that no protobuf has."""
    with pytest.raises(InvalidMessage, match=rf"^not a {kind} in protobuf$"):
        READERS[kind](data)


def test_broken_text_in_protobuf() -> None:
    """A channel that is no UTF-8."""
    with pytest.raises(InvalidMessage, match=r"^not a Command in protobuf$"):
        read_command(b"\x2a\x03\x0a\x01\xff")


def test_a_filter_too_deep_for_protobuf() -> None:
    """Protobuf ends at 100 levels, which is an invalid message like any other."""
    data = b""
    for _ in range(200):
        data = b"\x32" + varint(len(data)) + data
    request = b"\x6a" + varint(len(data)) + data
    with pytest.raises(InvalidMessage):
        read_command(b"\x2a" + varint(len(request)) + request)


def varint(number: int) -> bytes:
    """As protobuf writes lengths."""
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def test_unknown_fields_are_skipped() -> None:
    """Of a newer client, on both wires."""
    assert read_command(b"\x08\x03\xfa\x7f\x01x") == Command(3)
    assert decode_command(b'{"id":3,"later":{"a":[1]},"rpc":{"more":null,"method":"m"}}') == Command(
        3, rpc=client.RPCRequest(method="m")
    )


SHAPES = [
    (Reply(), b"{}"),
    (Reply(1, publish=PublishResult()), b'{"id":1,"publish":{}}'),
    (Reply(2, unsubscribe=UnsubscribeResult()), b'{"id":2,"unsubscribe":{}}'),
    (
        Reply(3, error=client.Error(103, "permission denied")),
        b'{"id":3,"error":{"code":103,"message":"permission denied"}}',
    ),
    (Reply(4, error=client.Error(100, "x", True)), b'{"id":4,"error":{"code":100,"message":"x","temporary":true}}'),
    (Reply(5, rpc=client.RPCResult(Raw(b'{"a": 1.50}'))), b'{"id":5,"rpc":{"data":{"a": 1.50}}}'),
    (
        Reply(
            push=Push(channel="c", pub=Publication(Raw(b"[]"), ClientInfo("u", "1", chan_info=Raw(b"1")), 2**64 - 1))
        ),
        b'{"push":{"channel":"c","pub":{"data":[],"info":{"user":"u","client":"1","chan_info":1},'
        b'"offset":18446744073709551615}}}',
    ),
    (
        Push(channel="c", pub=Publication(Raw(b'"2o\\n"'), tags={"k": "v"}, delta=True, score=-1, epoch="e")),
        b'{"channel":"c","pub":{"data":"2o\\n","tags":{"k":"v"},"delta":true,"score":-1,"epoch":"e"}}',
    ),
    (Push(channel="c", join=Join(ClientInfo("u", "1"))), b'{"channel":"c","join":{"info":{"user":"u","client":"1"}}}'),
    (Push(message=client.Message(Raw(b"1"))), b'{"message":{"data":1}}'),
    (
        Reply(1, connect=ConnectResult("1", "6", subs={"c": SubscribeResult(positioned=True)}, ping=25, pong=True)),
        b'{"id":1,"connect":{"client":"1","version":"6","subs":{"c":{"positioned":true}},"ping":25,"pong":true}}',
    ),
    (
        Reply(1, subscribe=SubscribeResult(publications=[Publication(Raw(b"1")), Publication(Raw(b"null"))])),
        b'{"id":1,"subscribe":{"publications":[{"data":1},{"data":null}]}}',
    ),
]


@pytest.mark.parametrize(("message", "text"), SHAPES, ids=range(len(SHAPES)))
def test_json_shapes(message: Message, text: bytes) -> None:
    """Zero values are absent, empty messages are there, payloads stand as they are."""
    assert encode(message) == text


def test_commands_of_clients() -> None:
    """As they are written by a client."""
    command = decode_command(
        b'{"id":7,"subscribe":{"channel":"c","recover":true,"offset":18446744073709551615,"epoch":"e","data":{"a": 1},'
        b'"tf":{"op":"and","nodes":[{"key":"k","cmp":"in","vals":["a"]},{"op":"not","nodes":[{}]}]}}}'
    )
    assert command == Command(
        7,
        subscribe=SubscribeRequest(
            "c",
            recover=True,
            epoch="e",
            offset=2**64 - 1,
            data=Raw(b'{"a": 1}'),
            tf=FilterNode(
                "and", nodes=[FilterNode(key="k", cmp="in", vals=["a"]), FilterNode("not", nodes=[FilterNode()])]
            ),
        ),
    )
    assert decode_command(b"{}") == Command() == read_command(b"")
    assert decode_command(b'{"send":{"data":null}}') == Command(send=client.SendRequest(Raw(b"null")))
    request = json_decoder(EmulationRequest)(b'{"session":"s","node":"n","data":"{\\"id\\":1}"}')
    assert request == EmulationRequest("n", "s", Raw(b'"{\\"id\\":1}"'))
    asked = decode_command(b'{"history":{"channel":"c","limit":-1,"since":{"offset":1,"epoch":"e"}}}')
    assert asked.history == HistoryRequest("c", -1, StreamPosition(1, "e"))


def test_null_is_absent_in_json() -> None:
    """In fields and messages at any depth, while a payload keeps it; all the rest is kept as it was written."""
    given = (
        b'{"id":1,"rpc":null,"connect":{"token":null,"data":{"n":null,"f":1.50},"headers":null,"x":null,'
        b'"subs":{"c":{"epoch":null,"offset":5}}},"publish":{"channel":"c","data":null},'
        b'"subscribe":{"tf":{"op":"or","nodes":[{"val":null,"vals":["a"]},{"nodes":null}]}}}'
    )
    assert decode_command(given) == Command(
        1,
        connect=ConnectRequest(data=Raw(b'{"n":null,"f":1.50}'), subs={"c": SubscribeRequest(epoch="", offset=5)}),
        publish=PublishRequest("c", Raw(b"null")),
        subscribe=SubscribeRequest(tf=FilterNode("or", nodes=[FilterNode(vals=["a"]), FilterNode()])),
    )


@pytest.mark.parametrize(
    "text",
    [
        b"null",
        b"[]",
        b'{"id":4294967296}',
        b'{"id":-1}',
        b'{"id":"1"}',
        b'{"id":"null"}',
        b'{"connect":[null]}',
        b'{"connect":{"flag":9223372036854775808}}',
        b'{"connect":{"subs":{"c":null}}}',
        b'{"connect":{"headers":{"a":null}}}',
        b'{"subscribe":{"limit":2147483648}}',
        b'{"subscribe":{"offset":18446744073709551616}}',
        b'{"subscribe":{"offset":18446744073709551616,"token":null}}',
        b'{"history":{"since":{"offset":-1}}}',
        b'{"sub_refresh":{"track":[{"items":[{"version":18446744073709551616}]}]}}',
    ],
)
def test_json_that_protobuf_could_not_carry(text: bytes) -> None:
    """Other types, and integers beyond their range, at any depth."""
    with pytest.raises(msgspec.ValidationError):
        decode_command(text)


@pytest.mark.parametrize("text", [b"", b"{", b'{"id":1}x', b'{"id":nul}', b'{"publish":{"data":nul}}'])
def test_what_is_no_json(text: bytes) -> None:
    """It raises as msgspec does."""
    with pytest.raises(msgspec.DecodeError):
        decode_command(text)


def test_messages_of_the_server_api() -> None:
    """Both ways to give a payload are kept apart; overrides are messages, as they can be absent."""
    request = json_decoder(api.SubscribeRequest)(
        b'{"user":"u","channel":"c","data":{"a":1},"b64data":"eA==","override":{"presence":{"value":false}},"info":null}'
    )
    assert request == api.SubscribeRequest(
        "c",
        "u",
        data=Raw(b'{"a":1}'),
        b64data="eA==",
        override=api.SubscribeOptionOverride(presence=api.BoolValue()),
        info=Raw(b"null"),
    )
    batch = json_decoder(api.BatchRequest)(b'{"commands":[{"info":{}},{"publish":{"channel":"c","data":1}}]}')
    assert batch.commands == [
        api.Command(info=api.InfoRequest()),
        api.Command(publish=api.PublishRequest("c", Raw(b"1"))),
    ]
    replies = [api.Reply(error=api.Error(102, "unknown channel")), api.Reply(publish=api.PublishResult())]
    assert encode(api.BatchResponse(replies)) == (
        b'{"replies":[{"error":{"code":102,"message":"unknown channel"}},{"publish":{}}]}'
    )
    node = api.NodeResult("1", metrics=api.Metrics(60.0, {"a": math.pi}), process=api.Process(rss=2**40))
    assert json_decoder(api.InfoResult)(encode(api.InfoResult([node]))).nodes == [node]
    with pytest.raises(msgspec.ValidationError, match=r"^version is no unsigned integer of 64 bits"):
        json_decoder(api.PublishRequest)(b'{"version":18446744073709551616}')
