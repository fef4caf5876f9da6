"""For every result: stock protobuf and stock JSON read what a hook gave."""

import base64
import json
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rtbridge as rt
from rtbridge.codec import JSON, PROTO
from rtbridge.codec.descriptors import message_class
from rtbridge.events import METHODS, Outcome, Result
from rtbridge.testing import VirtualClock

PACKAGE = "centrifugal.centrifugo.proxy"
NOW = 1_767_225_600
CLOCK = VirtualClock(NOW)

short = settings(deadline=None, max_examples=25, derandomize=bool(os.environ.get("CI")))

TEXT = st.text(max_size=12)
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda below: st.lists(st.none() | below, max_size=3) | st.dictionaries(TEXT, st.none() | below, max_size=3),
    max_leaves=6,
)
DOCUMENTS = JSON_VALUES.map(lambda value: json.dumps(value).encode())
PAYLOADS = st.none() | st.just(rt.JSON_NULL) | JSON_VALUES | DOCUMENTS | st.just(b"") | st.binary(max_size=12)
#: For a field that has no base64 form over HTTP.
PLAIN_PAYLOADS = st.none() | st.just(rt.JSON_NULL) | JSON_VALUES | DOCUMENTS | st.just(b"")
TIMES = (
    st.integers(1, 99_999_999_999)
    | st.datetimes(datetime(1971, 1, 1), datetime(4000, 1, 1), timezones=st.just(UTC))
    | st.timedeltas(timedelta(microseconds=1), timedelta(days=365_000))
)
#: Numbers by field: the proto's type is not in the annotation.
NUMBERS = {"version": st.integers(0, 2**64 - 1), "score": st.integers(-(2**63), 2**63 - 1)}


def proto_name(kind: type) -> str:
    """The name of a result's message."""
    notify = kind in (rt.CacheEmptyResult, rt.ChannelStateResult)
    return f"{PACKAGE}.{'Notify' if notify else ''}{kind.__name__}"


def has_twin(kind: type, name: str) -> bool:
    """Whether a payload field has a base64 form."""
    return f"b64{name}" in message_class(proto_name(kind)).DESCRIPTOR.fields_by_name


def values_of(kind: type, name: str, annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a field of a result, by its annotation."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return PAYLOADS if has_twin(kind, name) else PLAIN_PAYLOADS
    if annotation is str:
        return TEXT
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return NUMBERS[name]
    if origin is Sequence:
        items = st.lists(values_of(kind, name, arguments[0]), max_size=3)
        return items | items.map(tuple)
    if origin is Mapping:
        return st.dictionaries(TEXT, values_of(kind, name, arguments[1]), max_size=3)
    if origin is types.UnionType or origin is typing.Union:
        if timedelta in arguments:
            return st.none() | TIMES
        return st.none() | values_of(kind, name, arguments[0])
    if annotation is rt.FilterNode:
        return st.recursive(
            st.builds(rt.FilterNode, op=TEXT, key=TEXT, cmp=TEXT, val=TEXT, vals=st.lists(TEXT, max_size=2)),
            lambda below: st.builds(rt.FilterNode, op=TEXT, nodes=st.lists(below, max_size=2)),
            max_leaves=4,
        )
    if isinstance(annotation, type) and issubclass(annotation, Result):
        return results(annotation)
    raise AssertionError(f"no values for {annotation}")


def results(kind: type) -> st.SearchStrategy[Any]:
    """Results of a kind."""
    hints = typing.get_type_hints(kind)
    fields = {f.name: values_of(kind, f.name, hints[f.name]) for f in msgspec.structs.fields(kind)}
    if "expired" in fields:
        del fields["expired"], fields["expire_at"]
        times = TIMES | st.just(rt.NEVER) if kind is rt.SubRefreshResult else TIMES
        return st.builds(kind, expired=st.just(True), **fields) | st.builds(kind, expire_at=times, **fields)
    return st.builds(kind, **fields)


def seconds(value: Any) -> int:
    """The time of an ``expire_at``, in whole seconds rounded up."""
    if value is rt.NEVER:
        return 0
    if isinstance(value, int):
        return value
    start = datetime.fromtimestamp(NOW, UTC) + value if isinstance(value, timedelta) else value
    since = start - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(seconds=1) + bool(since % timedelta(seconds=1))


def plain(value: Any) -> Any:
    """A payload as stock JSON shows it."""
    return None if value is rt.JSON_NULL else value


def check_proto(result: Any, message: Any) -> None:
    """The message holds the result's fields and nothing else."""
    left = {field.name for field, _ in message.ListFields()}
    for field in msgspec.structs.fields(result):
        name, value = field.name, getattr(result, field.name)
        found = getattr(message, name)
        left.discard(name)
        if field.type is Any:
            if value is None or isinstance(value, bytes):
                assert found == (value or b"")
            else:
                assert json.loads(found) == plain(value)
        elif name == "expire_at":
            assert found == (0 if value is None else seconds(value))
        elif isinstance(value, Result):
            assert message.HasField(name)
            check_proto(value, found)
        elif value is None:
            assert not message.HasField(name)
        elif field.type == (bool | None):
            assert message.HasField(name)
            assert found.value is value
        elif isinstance(value, Mapping):
            assert set(found) == set(value)
            for key, item in value.items():
                check_item(item, found[key])
        elif isinstance(value, list | tuple):
            assert len(found) == len(value)
            for one, other in zip(value, found, strict=True):
                check_item(one, other)
        else:
            assert found == value
    assert left == set(), "no base64 field is used over gRPC, and no field that the result does not have"


def check_item(given: Any, found: Any) -> None:
    """An item of a list or a mapping."""
    if isinstance(given, Result):
        check_proto(given, found)
    else:
        assert found == given


def check_json(result: Any, found: dict[str, Any]) -> None:
    """The object holds the result's fields that have a value, and no key besides."""
    keys = set(found)
    for field in msgspec.structs.fields(result):
        name, value = field.name, getattr(result, field.name)
        keys -= {name, f"b64{name}"}
        if field.type is Any:
            check_payload(name, value, found)
        elif name == "expire_at":
            wanted = 0 if value is None else seconds(value)
            assert found.get(name, 0) == wanted
            assert (name in found) == bool(wanted)
        elif isinstance(value, Result):
            check_json(value, found[name])
        elif field.type == (bool | None):
            assert found.get(name) == (None if value is None else {"value": value})
        elif not value:
            assert name not in found, "zero values are left out"
        elif isinstance(value, Mapping):
            assert set(found[name]) == set(value)
            for key, item in value.items():
                check_json(item, found[name][key]) if isinstance(item, Result) else check_same(item, found[name][key])
        elif isinstance(value, list | tuple):
            assert len(found[name]) == len(value)
            for one, other in zip(value, found[name], strict=True):
                check_json(one, other) if isinstance(one, Result) else check_same(one, other)
        else:
            check_same(value, found[name])
    assert keys == set()


def check_same(given: Any, found: Any) -> None:
    """The same value of the same type: a number is no string and no bool."""
    assert found == given
    assert type(found) is type(given)


def check_payload(name: str, value: Any, found: dict[str, Any]) -> None:
    """A payload: absent, raw JSON, or base64, never two of them."""
    assert not {name, f"b64{name}"} <= found.keys()
    if value is None or value == b"":
        assert not {name, f"b64{name}"} & found.keys()
    elif f"b64{name}" in found:
        assert isinstance(value, bytes)
        assert base64.b64decode(found[f"b64{name}"], validate=True) == value
    elif isinstance(value, bytes):
        assert found[name] == json.loads(value)
    else:
        assert found[name] == plain(value)


def envelope(kind: str) -> tuple[Any, str]:
    """The class of a call's answer, and the field of its envelope that holds the response."""
    if METHODS[kind].stream:
        return message_class(f"{PACKAGE}.StreamSubscribeResponse"), "subscribe_response"
    return message_class(f"{PACKAGE}.{METHODS[kind].name}Response"), ""


def read_proto(kind: str, outcome: Outcome) -> Any:
    """The response that stock protobuf reads of an outcome."""
    cls, inner = envelope(kind)
    message = cls.FromString(PROTO[kind].encode(outcome, CLOCK))
    if inner:
        assert message.HasField(inner)
    return getattr(message, inner) if inner else message


@pytest.mark.parametrize("kind", METHODS)
@short
@given(data=st.data())
def test_protobuf(kind: str, data: st.DataObject) -> None:
    """Any result arrives over gRPC as it was given; a payload is bytes, whatever it was."""
    result = data.draw(results(METHODS[kind].result))
    response = read_proto(kind, Outcome(result=result))
    assert [field.name for field, _ in response.ListFields()] == ["result"]
    check_proto(result, response.result)


@pytest.mark.parametrize("kind", JSON)
@short
@given(data=st.data())
def test_json(kind: str, data: st.DataObject) -> None:
    """Any result arrives over HTTP as it was given, with Centrifugo's names and shapes."""
    result = data.draw(results(METHODS[kind].result))
    body = json.loads(JSON[kind].encode(Outcome(result=result), CLOCK))
    assert set(body) == {"result"}
    check_json(result, body["result"])


@short
@given(result=results(rt.Publication))
def test_items_of_a_stream(result: rt.Publication) -> None:
    """What a stream yields arrives as a publication."""
    for kind in ("subscribe_unidirectional", "subscribe_bidirectional"):
        encode = PROTO[kind].encode_item
        assert encode is not None
        message = message_class(f"{PACKAGE}.StreamSubscribeResponse").FromString(encode(result))
        assert message.HasField("publication")
        assert not message.HasField("subscribe_response")
        check_proto(result, message.publication)


DISCONNECT = Outcome(disconnect=rt.Disconnect(4501, "ünder"))
ERROR = Outcome(error=rt.ClientError("TOO_MANY_REQUESTS"))


@pytest.mark.parametrize("kind", METHODS)
def test_refusals_over_grpc(kind: str) -> None:
    """Code, reason, message and the temporary flag arrive where the answer has a field for them."""
    names = set(read_proto(kind, Outcome()).DESCRIPTOR.fields_by_name)
    response = read_proto(kind, DISCONNECT)
    if "disconnect" in names:
        assert (response.disconnect.code, response.disconnect.reason) == (4501, "ünder")
    response = read_proto(kind, ERROR)
    if "error" in names:
        error = response.error
        assert (error.code, error.message, error.temporary) == (111, "too many requests", True)
    assert len(response.ListFields()) == ("error" in names)
    assert not read_proto(kind, Outcome()).ListFields()


@pytest.mark.parametrize("kind", JSON)
def test_refusals_over_http(kind: str) -> None:
    """The same as JSON; zero values are left out."""
    names = set(envelope(kind)[0].DESCRIPTOR.fields_by_name)
    disconnect = {"disconnect": {"code": 4501, "reason": "ünder"}} if "disconnect" in names else {}
    assert json.loads(JSON[kind].encode(DISCONNECT, CLOCK)) == disconnect
    error = {"error": {"code": 111, "message": "too many requests", "temporary": True}} if "error" in names else {}
    assert json.loads(JSON[kind].encode(ERROR, CLOCK)) == error
    bare = Outcome(error=rt.ClientError(400))
    assert JSON[kind].encode(bare, CLOCK) == (b'{"error":{"code":400}}' if error else b"{}")
    assert JSON[kind].encode(Outcome(), CLOCK) == b"{}"


def json_of(result: Any, kind: str = "rpc") -> bytes:
    """The answer's text."""
    return JSON[kind].encode(Outcome(result=result), CLOCK)


TEXTS: list[tuple[Any, bytes]] = [
    (None, b"{}"),
    (b"", b"{}"),
    (rt.JSON_NULL, b'{"data":null}'),
    (b"null", b'{"data":null}'),
    (b' {"a" : 1} ', b'{"data": {"a" : 1} }'),
    (bytearray(b"[1]"), b'{"data":[1]}'),
    (memoryview(b"[1]"), b'{"data":[1]}'),
    (msgspec.Raw(b"[1]"), b'{"data":[1]}'),
    (msgspec.Raw(b""), b"{}"),
    (b'"text"', b'{"data":"text"}'),
    (b"text", b'{"b64data":"dGV4dA=="}'),
    (b"{", b'{"b64data":"ew=="}'),
    (b"\xff", b'{"b64data":"/w=="}'),
    (b'"\xff"', b'{"b64data":"Iv8i"}'),
    (b"NaN", b'{"b64data":"TmFO"}'),
    (b"{}{}", b'{"b64data":"e317fQ=="}'),
    ("text", b'{"data":"text"}'),
    ("", b'{"data":""}'),
    (0, b'{"data":0}'),
    (False, b'{"data":false}'),
    ([], b'{"data":[]}'),
    ({"a": None}, b'{"data":{"a":null}}'),
    ({"a": rt.JSON_NULL}, b'{"data":{"a":null}}'),
    (2**70, b'{"data":1180591620717411303424}'),
]


@pytest.mark.parametrize(("data", "result"), TEXTS)
def test_payloads_over_http(data: Any, result: bytes) -> None:
    """Bytes that are JSON go in as they are, other bytes as base64, and nothing is ever a null that means absent."""
    assert json_of(rt.RPCResult(data=data)) == b'{"result":' + result + b"}"


def test_deep_bytes_go_in_base64() -> None:
    """Nobody can tell whether they are JSON, and no reader has to survive them."""
    deep = b"[" * 100_000 + b"]" * 100_000
    assert json.loads(json_of(rt.RPCResult(data=deep))) == {"result": {"b64data": base64.b64encode(deep).decode()}}


def test_other_payload_fields_have_their_own_base64() -> None:
    """`info` and `stream_data` are written like `data`."""
    found = json_of(rt.ConnectResult(user="", info=b"\xff", subs={"a": rt.SubscribeOptions(info=b"\xff")}), "connect")
    assert found == b'{"result":{"b64info":"/w==","subs":{"a":{"b64info":"/w=="}}}}'
    found = json_of(rt.MapPublishResult(stream_data=b"\xff", data=1), "map_publish")
    assert found == b'{"result":{"data":1,"b64stream_data":"/w=="}}'


@pytest.mark.parametrize(
    ("kind", "field", "make"),
    [
        ("connect", "meta", lambda: rt.ConnectResult(user="", meta=b"\xff")),
        ("refresh", "meta", lambda: rt.RefreshResult(expired=True, meta=b"\xff")),
        (
            "shared_poll_refresh",
            "data",
            lambda: rt.SharedPollRefreshResult(items=[rt.SharedPollRefreshResultItem(data=b"\xff")]),
        ),
        (
            "shared_poll_refresh",
            "prev_data",
            lambda: rt.SharedPollRefreshResult(items=[rt.SharedPollRefreshResultItem(prev_data=b"\xff")]),
        ),
    ],
)
def test_a_field_without_base64_takes_no_other_bytes(kind: str, field: str, make: Callable[[], Any]) -> None:
    """Over HTTP only; gRPC carries any bytes."""
    text = f"^{field} is bytes that are not JSON, and this field has no base64 form over HTTP$"
    with pytest.raises(ValueError, match=text):
        json_of(make(), kind)
    assert b"\xff" in PROTO[kind].encode(Outcome(result=make()), CLOCK)


def test_absent_meta_is_absent() -> None:
    """Not null: Centrifugo would take it for the new meta."""
    assert json_of(rt.ConnectResult(user="", meta=None), "connect") == b'{"result":{}}'
    assert json_of(rt.ConnectResult(user="", meta=b""), "connect") == b'{"result":{}}'
    assert json_of(rt.ConnectResult(user="", meta=rt.JSON_NULL), "connect") == b'{"result":{"meta":null}}'


@pytest.mark.parametrize("codec", [PROTO, JSON], ids=["proto", "json"])
def test_what_has_no_form_on_the_wire_raises(codec: Any) -> None:
    """An error of the hook, before a byte leaves."""
    for data in (object(), {"a": {(1, 2): 3}}):
        with pytest.raises(TypeError, match=r" cannot be written as JSON$"):
            codec["rpc"].encode(Outcome(result=rt.RPCResult(data=data)), CLOCK)
    for broken in (rt.PublishResult(tags={"a": "\ud800"}), rt.PublishResult(data="\ud800")):
        with pytest.raises(ValueError):
            codec["publish"].encode(Outcome(result=broken), CLOCK)


def test_the_clock_is_asked_when_the_answer_is_written() -> None:
    """A timedelta counts from then."""
    clock = VirtualClock(NOW)
    outcome = Outcome(result=rt.RefreshResult(expire_at=timedelta(seconds=30)))
    assert JSON["refresh"].encode(outcome, clock) == b'{"result":{"expire_at":%d}}' % (NOW + 30)
    clock.advance(10)
    assert JSON["refresh"].encode(outcome, clock) == b'{"result":{"expire_at":%d}}' % (NOW + 40)


@pytest.mark.parametrize(
    "size", [0, 1, 2, 122, 123, 124, 125, 126, 127, 128, 129, 16_379, 16_380, 16_381, 16_383, 16_384, 16_385, 2**21]
)
def test_an_answer_of_one_payload_is_what_protobuf_writes_for_every_size(size: int) -> None:
    """It is written without a message object: lengths of one, two and more bytes, and those at the edges."""
    data = b"x" * size
    stock = message_class(f"{PACKAGE}.RPCResponse")()
    stock.result.SetInParent()
    stock.result.data = data
    assert PROTO["rpc"].encode(Outcome(result=rt.RPCResult(data=data)), CLOCK) == stock.SerializeToString()
