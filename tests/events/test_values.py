"""Payloads and times on their way to the wire, and the small types beside the events."""

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pydantic
import pytest

import rtbridge as rt
from rtbridge.events import Call, Headers, Outcome
from rtbridge.events.values import as_bytes, encode_payload, unix_seconds
from rtbridge.testing import VirtualClock

NOW = 1_767_225_600


class Struct(msgspec.Struct):
    text: str


@dataclasses.dataclass
class Data:
    text: str


class Model(pydantic.BaseModel):
    text: str
    at: datetime


PAYLOADS: list[tuple[Any, bytes]] = [
    (b"\xff raw", b"\xff raw"),
    (bytearray(b"\xff"), b"\xff"),
    (memoryview(b"\xff"), b"\xff"),
    (msgspec.Raw(b"{}"), b"{}"),
    (rt.JSON_NULL, b"null"),
    ({"a": rt.JSON_NULL}, b'{"a":null}'),
    ([None, rt.JSON_NULL], b"[null,null]"),
    ("text", b'"text"'),
    (0, b"0"),
    (False, b"false"),
    (2**70, b"1180591620717411303424"),
    ({"a": [1, 2.5]}, b'{"a":[1,2.5]}'),
    ({"b": b"\x00\xff"}, b'{"b":"AP8="}'),
    ({"b": memoryview(b"\x00\xff")}, b'{"b":"AP8="}'),
    (Struct(text="a"), b'{"text":"a"}'),
    (Data(text="a"), b'{"text":"a"}'),
    ([Model(text="a", at=datetime(2030, 1, 1, tzinfo=UTC))], b'[{"text":"a","at":"2030-01-01T00:00:00Z"}]'),
    (datetime(2030, 1, 1, tzinfo=UTC), b'"2030-01-01T00:00:00Z"'),
]


@pytest.mark.parametrize(("value", "raw"), PAYLOADS, ids=[type(value).__name__ for value, _ in PAYLOADS])
def test_payloads(value: Any, raw: bytes) -> None:
    """Bytes go as they are, JSON_NULL as null, anything else as JSON."""
    assert encode_payload(value) == raw
    assert (as_bytes(value) is not None) == isinstance(value, bytes | bytearray | memoryview | msgspec.Raw)


@pytest.mark.parametrize("value", [object(), {object(): 1}, [lambda: None]], ids=["object", "key", "inside"])
def test_what_has_no_json_form(value: Any) -> None:
    """The type is named."""
    with pytest.raises(TypeError, match=r"^(object|function) cannot be written as JSON$"):
        encode_payload(value)


def test_a_lone_surrogate_has_no_utf8() -> None:
    """It is an error of the hook, not broken bytes for the client."""
    with pytest.raises(UnicodeEncodeError):
        encode_payload("\ud800")


def test_sentinels_show_their_name() -> None:
    """They read in logs and signatures as they are written."""
    assert (repr(rt.JSON_NULL), repr(rt.NEVER)) == ("JSON_NULL", "NEVER")
    assert rt.JSON_NULL is not None


def test_never_is_no_payload() -> None:
    """It says something about a time."""
    with pytest.raises(TypeError):
        encode_payload({"until": rt.NEVER})


EAST = timezone(timedelta(hours=5, minutes=30))
TIMES: list[tuple[Any, int]] = [
    (NOW, NOW),
    (timedelta(seconds=60), NOW + 60),
    (timedelta(microseconds=1), NOW + 1),
    (timedelta(seconds=1, microseconds=1), NOW + 2),
    (timedelta(days=365_000), NOW + 365_000 * 86_400),
    (datetime(2026, 1, 1, tzinfo=UTC), NOW),
    (datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC), NOW + 1),
    (datetime(2026, 1, 1, 5, 30, tzinfo=EAST), NOW),
    (datetime(2515, 1, 1, 0, 0, 0, 1, tzinfo=UTC), 17_198_524_801),
    (rt.NEVER, 0),
]


@pytest.mark.parametrize(("given", "seconds"), TIMES)
def test_times_are_whole_seconds_rounded_up(given: Any, seconds: int) -> None:
    """A session never ends before the time it was given."""
    assert unix_seconds(given, VirtualClock(NOW)) == seconds


def test_a_time_from_now_counts_from_the_clock() -> None:
    """The clock is asked when the answer is written."""
    clock = VirtualClock(NOW)
    clock.advance(0.5)
    assert unix_seconds(timedelta(seconds=10), clock) == NOW + 11


PAIRS: list[tuple[str | bytes, str | bytes]] = [
    ("Cookie", "sid=1"),
    (b"X-Trace", b"\xe9"),
    ("cookie", "b=2"),
    ("trace-bin", b"\x00\xff"),
]


def test_headers_are_found_in_any_case() -> None:
    """gRPC metadata and HTTP headers look the same."""
    headers = Headers(PAIRS)
    assert headers["COOKIE"] == headers["cookie"] == "sid=1"
    assert headers["x-trace"] == "é"
    assert headers["trace-bin"] == "\x00\xff"
    assert "X-TRACE" in headers
    assert "authorization" not in headers
    assert 7 not in headers  # type: ignore[comparison-overlap]
    assert headers.get("authorization") is None
    with pytest.raises(KeyError):
        headers["authorization"]
    assert list(headers) == ["cookie", "x-trace", "trace-bin"]
    assert len(headers) == 3
    assert dict(headers) == {"cookie": "sid=1", "x-trace": "é", "trace-bin": "\x00\xff"}


def test_headers_keep_every_value() -> None:
    """A name that came twice has its first value and a list of both."""
    headers = Headers(PAIRS)
    assert headers.getall("Cookie") == ["sid=1", "b=2"]
    assert headers.getall("authorization") == []
    headers.getall("cookie").append("mine")
    assert headers.getall("cookie") == ["sid=1", "b=2"]


def test_headers_as_pairs() -> None:
    """As they came until somebody read one, then by name."""
    headers = Headers(PAIRS)
    assert list(headers.pairs()) == PAIRS
    assert len(headers) == 3
    assert list(headers.pairs()) == [
        ("cookie", "sid=1"),
        ("cookie", "b=2"),
        ("x-trace", "é"),
        ("trace-bin", "\x00\xff"),
    ]
    assert list(Headers().pairs()) == []
    assert dict(Headers()) == {}


def test_a_repr_of_headers_hides_values() -> None:
    """They are cookies and tokens."""
    assert (
        repr(Headers([("Authorization", "hunter2"), ("Cookie", "hunter2")])) == "Headers(['authorization', 'cookie'])"
    )


def test_a_call_starts_empty() -> None:
    """Whatever it does not bring is absent, and nothing is shared with another call."""
    call = Call()
    assert (call.via, call.deadline, dict(call.headers)) == ("memory", None, {})
    assert call.time_remaining() is None
    assert (call.state, call.pending, call.stopped_by, call.data, call.meta) == (None,) * 5
    assert call.headers is not Call().headers
    given = Headers()
    assert Call(given).headers is given
    with pytest.raises(AttributeError):
        call.other = 1  # type: ignore[attr-defined]


LABELS: list[tuple[Outcome, str]] = [
    (Outcome(), "ok"),
    (Outcome(result=rt.RPCResult(data="hunter2")), "ok"),
    (Outcome(result=rt.RefreshResult(expire_at=NOW)), "ok"),
    (Outcome(result=rt.RefreshResult(expired=True)), "expired"),
    (Outcome(disconnect=rt.Disconnect(4500, "hunter2")), "disconnect 4500"),
    (Outcome(error=rt.ClientError(400, "hunter2")), "error 400"),
    (Outcome(failure="internal"), "failure internal"),
]


@pytest.mark.parametrize(("outcome", "label"), LABELS)
def test_labels_of_outcomes_are_safe_to_log(outcome: Outcome, label: str) -> None:
    """The kind and the code; no text of a hook and no payload."""
    assert outcome.label == label
