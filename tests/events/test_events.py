"""Events: what hooks read of a call, and how they answer it."""

from typing import Any

import msgspec
import pytest

import rtbridge as rt
from rtbridge.events import METHODS, Call, Event, Headers
from rtbridge.events.base import InvalidEvent
from rtbridge.testing import VirtualClock

EVENTS = [method.event for method in METHODS.values()]
WITH_DATA = [event for event in EVENTS if "raw_data" in event.__struct_fields__]
WITH_META = [event for event in EVENTS if "raw_meta" in event.__struct_fields__]

SECRET = b'"hunter2"'


class Profile(msgspec.Struct):
    role: str


@pytest.mark.parametrize("kind", EVENTS)
def test_events_are_frozen(kind: type[Event]) -> None:
    """A hook cannot change what the next one sees; a middleware makes another event."""
    event = kind()
    with pytest.raises(AttributeError):
        event.call = Call()  # type: ignore[misc]
    name = kind.__struct_fields__[0]
    with pytest.raises(AttributeError):
        setattr(event, name, "other")


def test_a_middleware_makes_another_event() -> None:
    """Fields are replaced, the call stays; what was decoded of the old payload is not shown for the new one."""
    event = rt.PublishEvent(channel="a", raw_data=b'{"n":1}', raw_meta=b'{"role":"user"}')
    assert (event.data, event.meta) == ({"n": 1}, {"role": "user"})
    other = msgspec.structs.replace(event, channel="b", raw_data=b'{"n":2}', raw_meta=b'{"role":"admin"}')
    assert other.call is event.call
    assert (other.channel, other.data, other.meta) == ("b", {"n": 2}, {"role": "admin"})
    assert (event.channel, event.data, event.meta) == ("a", {"n": 1}, {"role": "user"})


@pytest.mark.parametrize("kind", WITH_DATA)
def test_data_is_decoded_once(kind: Any) -> None:
    """`data` is the JSON value, `raw_data` the bytes as they came."""
    event = kind(raw_data=b'{"n": [1, 2.5, "\xc3\xa9", null]}', encoding="json")
    assert event.data == event.parse(dict[str, Any]) == {"n": [1, 2.5, "é", None]}
    assert event.data is event.data
    assert event.raw_data == b'{"n": [1, 2.5, "\xc3\xa9", null]}'


@pytest.mark.parametrize("kind", WITH_DATA)
def test_absent_data_is_none(kind: Any) -> None:
    """Nothing was sent: None; JSON null was sent: None, too, and `raw_data` tells them apart."""
    assert (kind().data, kind().raw_data) == (None, None)
    null = kind(raw_data=b"null")
    assert (null.data, null.raw_data) == (None, b"null")


@pytest.mark.parametrize("kind", WITH_DATA)
def test_data_that_is_not_json_is_the_clients_fault(kind: Any) -> None:
    """Error 107, whose text does not repeat the payload."""
    for raw in (b"hunter2", b"\xff\xfe", b'{"a":', b"[" * 100_000):
        event = kind(raw_data=raw, encoding="json")
        with pytest.raises(rt.BadRequest) as caught:
            event.data
        assert (caught.value.code, caught.value.message) == (107, "data is not valid JSON")


@pytest.mark.parametrize("kind", WITH_DATA)
def test_binary_data_has_no_json_value(kind: Any) -> None:
    """A proxy with `binary_encoding` delivers bytes; the error names where they are."""
    event = kind(raw_data=SECRET, encoding="binary")
    with pytest.raises(rt.BinaryPayload) as caught:
        event.data
    text = f"{kind.__name__}.data: the proxy has binary_encoding, so read the bytes in event.raw_data"
    assert str(caught.value) == text
    assert event.raw_data == SECRET
    assert kind(encoding="binary").data is None


@pytest.mark.parametrize("kind", WITH_META)
def test_meta(kind: Any) -> None:
    """The object that `ConnectResult(meta=...)` kept comes back, decoded once or as the model."""
    event = kind(raw_meta=b'{"role":"admin"}', encoding="binary")
    assert event.meta == {"role": "admin"}
    assert event.meta is event.meta
    assert event.meta_as(Profile) == Profile(role="admin")


@pytest.mark.parametrize("kind", WITH_META)
def test_absent_meta(kind: Any) -> None:
    """`meta` is None; asking for a model says what to switch on."""
    assert kind().meta is None
    with pytest.raises(rt.MetaError) as caught:
        kind().meta_as(Profile)
    assert str(caught.value) == (
        f"{kind.__name__} carries no meta: set include_connection_meta for this proxy in Centrifugo, "
        "and return ConnectResult(meta=...)"
    )


def test_meta_that_does_not_fit_is_no_fault_of_the_client() -> None:
    """The backend wrote it itself, so it is an error of the backend and not error 107."""
    event = rt.RPCEvent(raw_meta=b'{"role":"hunter2","n":[]}')
    with pytest.raises(rt.MetaError, match=r"^the connection's meta is no int: meta does not fit: Expected `int`, got"):
        event.meta_as(int)
    with pytest.raises(rt.MetaError, match=r"^the connection's meta is no int | None: "):
        event.meta_as(int | None)  # type: ignore[arg-type]
    broken = rt.RPCEvent(raw_meta=b"{hunter2")
    with pytest.raises(rt.MetaError, match=r"^the connection's meta is not valid JSON$"):
        broken.meta
    with pytest.raises(rt.MetaError, match=r"^the connection's meta is no Profile: meta does not fit: not valid JSON$"):
        broken.meta_as(Profile)


def test_headers_transport_and_time_are_those_of_the_call() -> None:
    """They belong to the call, and every event shows them."""
    clock = VirtualClock()
    event = rt.RPCEvent(call=Call(Headers([("Cookie", "sid=1")]), "grpcio", clock.monotonic() + 1.0, clock))
    assert event.headers["cookie"] == "sid=1"
    assert event.via == "grpcio"
    assert event.time_remaining() == 1.0
    clock.advance(0.75)
    assert event.time_remaining() == 0.25
    clock.advance(5)
    assert event.time_remaining() == 0.0
    assert rt.RPCEvent().time_remaining() is None
    assert rt.RPCEvent().via == "memory"


def test_state_belongs_to_one_call() -> None:
    """Middleware and hooks hand things on in it; the next call starts with an empty one."""
    first, second = rt.RPCEvent(), rt.RPCEvent()
    first.state["user"] = 42
    assert first.state == {"user": 42}
    assert msgspec.structs.replace(first, method="b").state == {"user": 42}
    assert second.state == {}


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_respond_takes_the_events_own_answers(method: Any) -> None:
    """Its result, a disconnect or an error; the last one is pending."""
    event = method.event()
    required: dict[str, Any] = {
        "ConnectResult": {"user": ""},
        "RefreshResult": {"expired": True},
        "SubRefreshResult": {"expired": True},
    }
    result = method.result(**required.get(method.result.__name__, {}))
    for answer in (rt.Disconnect(4000), rt.ClientError(400), result):
        event.respond(answer)
        assert event.call.pending is answer
    mistakes: list[Any] = [None, {}, rt.FilterNode(), method.result]
    for wrong in mistakes:
        with pytest.raises(rt.WrongAnswer) as caught:
            event.respond(wrong)
        wanted = f"{method.event.__name__} is answered with {method.result.__name__}, not {type(wrong).__name__}"
        assert str(caught.value) == wanted
    assert event.call.pending is result


def test_an_invalid_event_is_answered_with_a_refusal_only() -> None:
    """There is no result to a request that nobody could read."""
    event = InvalidEvent(method="Connect", raw=b"\xff", error=rt.InvalidMessage("not a ConnectRequest in protobuf"))
    event.respond(rt.Disconnect("BAD_REQUEST"))
    assert event.call.pending == rt.Disconnect(3501)
    with pytest.raises(
        rt.WrongAnswer, match=r"^InvalidEvent is answered with Disconnect or ClientError, not ConnectResult$"
    ):
        event.respond(rt.ConnectResult(user=""))  # type: ignore[arg-type]


def test_stop_propagation_is_noted_on_the_call() -> None:
    """The first reason stands."""
    event = rt.RPCEvent()
    event.stop_propagation()
    assert event.call.stopped_by == "stop_propagation"
    event.call.stopped_by = "hook"
    event.stop_propagation()
    assert event.call.stopped_by == "hook"


def test_repr_shows_who_and_where_and_no_payload() -> None:
    """It ends up in logs."""
    event = rt.SubscribeEvent(
        client="c1",
        user="42",
        channel="news",
        token="hunter2",
        raw_data=SECRET,
        raw_meta=SECRET,
        labels={"a": "hunter2"},
    )
    assert repr(event) == "SubscribeEvent(client='c1', user='42', channel='news')"
    assert repr(rt.ConnectEvent(channels=("a",), raw_data=SECRET)) == "ConnectEvent(channels=('a',))"
    assert repr(InvalidEvent(method="Connect", raw=SECRET)) == "InvalidEvent(method='Connect')"
    assert str(event) == repr(event)


@pytest.mark.parametrize("kind", WITH_DATA)
def test_no_repr_of_an_event_shows_its_payload(kind: Any) -> None:
    """Not of any event, and not inside anything that holds one."""
    more = {"raw_meta": SECRET} if kind in WITH_META else {}
    event = kind(call=Call(Headers([("authorization", "hunter2")])), raw_data=SECRET, **more)
    assert "hunter2" not in f"{event!r} {[event]} {event.headers!r}"


def test_items_of_a_stream_carry_their_payload() -> None:
    """What a client publishes into a stream is read like an event's payload."""
    item = rt.ReceivedPublication(raw_data=b'{"role":"admin"}', tags={"a": "b"})
    assert item.data == {"role": "admin"}
    assert item.parse(Profile) == Profile(role="admin")
    assert rt.ReceivedPublication().data is None
    with pytest.raises(rt.BadRequest, match=r"\(data is missing\)$"):
        rt.ReceivedPublication().parse(Profile)
    with pytest.raises(rt.BadRequest, match=r"\(data is not valid JSON\)$"):
        rt.ReceivedPublication(raw_data=b"\xff").data


async def test_a_bidirectional_stream_shows_what_comes_in() -> None:
    """`incoming` is whatever the transport put on the call."""

    async def publications() -> Any:
        yield rt.ReceivedPublication(raw_data=b"1")

    event = rt.SubscribeBidirectionalEvent()
    event.call.incoming = publications()
    assert [item.data async for item in event.incoming] == [1]
