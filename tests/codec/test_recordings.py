"""What a real Centrifugo 6.9.1 sent becomes the right typed events.

`tests/recordings/calls.jsonl` holds its calls: over gRPC the exact bytes, the same decoded, and the metadata; over HTTP
the exact text and the headers. `binary_encoding` is the proxy's setting.
"""

import base64
import json
from typing import Any

import msgspec
import pytest

import rtbridge as rt
from rtbridge.codec import JSON, PROTO
from rtbridge.events import METHODS, Call, Event, Headers

Recorded = dict[str, Any]

BY_NAME = {method.name: method for method in METHODS.values()}
LINES = range(44)


def headers_of(record: Recorded) -> list[tuple[str, str]]:
    """What the transport would hand over."""
    if record["wire"] == "http":
        return list(record["headers"].items())
    return [(name, value) for name, values in record["metadata"].items() for value in values]


def decoded(record: Recorded) -> Event:
    """The call's event."""
    kind = BY_NAME[record["method"]].kind
    call = Call(Headers(headers_of(record)), record["wire"])
    if record["wire"] == "http":
        return JSON[kind].decode(record["body"].encode(), call)
    return PROTO[kind].decode(base64.b64decode(record["request_b64"]), call)


def fields_of(record: Recorded) -> Recorded:
    """The request, decoded by somebody else: payloads as bytes, as the event has to show them."""
    given: Recorded = dict(record["request"] if record["wire"] == "grpc" else json.loads(record["body"]))
    plain: Recorded = {name: value for name, value in given.items() if name not in ("data", "b64data", "meta")}
    if "b64data" in given:
        plain["raw_data"] = base64.b64decode(given["b64data"])
    for name in {"data", "meta"} & given.keys():
        value = given[name]
        plain[f"raw_{name}"] = base64.b64decode(value) if record["wire"] == "grpc" else compact(value)
    return plain


def compact(value: Any) -> bytes:
    """JSON as Go writes it: without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def test_there_are_44(recordings: list[Recorded]) -> None:
    """24 over gRPC and 20 over HTTP; every call of them that an open-source server makes without streams and maps."""
    assert len(recordings) == len(LINES)
    assert sum(r["wire"] == "grpc" for r in recordings) == 24
    assert {r["method"] for r in recordings} == {"Connect", "RPC", "Publish", "Subscribe", "Refresh", "SubRefresh"}


@pytest.mark.parametrize("line", LINES)
def test_every_field(recordings: list[Recorded], line: int) -> None:
    """Each field that was sent is in the event, and each that was not has its default."""
    record = recordings[line]
    event = decoded(record)
    assert type(event) is BY_NAME[record["method"]].event
    found = {f.name: getattr(event, f.name) for f in msgspec.structs.fields(event) if f.name != "call"}
    empty = {f.name: getattr(type(event)(), f.name) for f in msgspec.structs.fields(event) if f.name != "call"}
    assert found == empty | fields_of(record)
    assert event.via == record["wire"]


@pytest.mark.parametrize("line", LINES)
def test_every_header(recordings: list[Recorded], line: int) -> None:
    """Forwarded and static headers and emulated ones are found in any case, over both wires."""
    event = decoded(recordings[line])
    pairs = headers_of(recordings[line])
    assert len(event.headers) == len(pairs)
    for name, value in pairs:
        assert event.headers[name.upper()] == value
        assert event.headers.getall(name.title()) == [value]
    if "x-trace" in event.headers:
        assert event.headers["X-Trace"] == "abc"
        assert event.headers["Cookie"] == "sid=1; b=2"
        assert event.headers["authorization"] == "Bearer t"


@pytest.mark.parametrize("line", LINES)
def test_payload_and_meta(recordings: list[Recorded], line: int) -> None:
    """JSON payloads are decoded, bytes are refused as JSON, the meta comes back."""
    record = recordings[line]
    event: Any = decoded(record)
    fields = fields_of(record)
    if "raw_meta" in fields:
        assert event.meta == {"role": "admin"}
        assert event.meta_as(dict[str, str]) == {"role": "admin"}
    if record["method"] in ("Refresh", "SubRefresh"):
        assert not hasattr(event, "data")
    elif "raw_data" not in fields:
        assert event.data is None
    elif record["binary_encoding"]:
        with pytest.raises(rt.BinaryPayload, match=r"read the bytes in event\.raw_data$"):
            event.data
    elif event.protocol == "protobuf":
        with pytest.raises(rt.BadRequest, match=r"data is not valid JSON"):
            event.data
    else:
        assert event.data == json.loads(fields["raw_data"])


def test_binary_encoding_delivers_the_same_bytes(recordings: list[Recorded]) -> None:
    """A proxy with `binary_encoding` and one without give the same `raw_data` for the same call of a client."""

    def key(record: Recorded) -> tuple[Any, ...]:
        event: Any = decoded(record)
        where = getattr(event, "channel", ""), getattr(event, "method", ""), getattr(event, "name", "")
        return (record["method"], event.protocol, *where)

    def payloads(wire: str, *, binary: bool) -> dict[tuple[Any, ...], bytes | None]:
        chosen = [r for r in recordings if r["wire"] == wire and r["binary_encoding"] is binary]
        return {key(r): getattr(decoded(r), "raw_data", None) for r in chosen}

    plain = payloads("grpc", binary=False)
    assert len(plain) == 12
    assert payloads("grpc", binary=True) == plain
    assert payloads("http", binary=True) == plain
    # Without binary encoding the HTTP proxy embeds the client's JSON and takes its spaces away.
    for call, raw in payloads("http", binary=False).items():
        wanted = plain[call]
        assert (raw, wanted) == (None, None) or json.loads(raw or b"") == json.loads(wanted or b"")
