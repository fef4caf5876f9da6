"""Every call that a real Centrifugo made becomes the right typed event, from its exact bytes."""

import base64
import json
from typing import Any

import msgspec
import pytest

from rtbridge import BadRequest, BinaryPayload, CallNext, ConnectResult, Event, RPCEvent, RPCResult, hookimpl
from rtbridge.events import METHODS

KINDS = {method.name: kind for kind, method in METHODS.items()}

#: The secret of the recordings.
SECRET = {"key": "x-proxy-key", "values": ["s3cret"]}


class Seen:
    """Keeps the events that came."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    @hookimpl
    async def on_event(self, event: Event, call_next: CallNext) -> Any:
        self.events.append(event)
        return await call_next(event)


def sent(line: dict[str, Any]) -> tuple[bytes, list[tuple[str, str]], float | None]:
    """The call's bytes, headers and deadline."""
    if line["wire"] == "grpc":
        headers = [(name, value) for name, values in line["metadata"].items() for value in values]
        return base64.b64decode(line["request_b64"]), headers, line["deadline_s"]
    return line["body"].encode(), list(line["headers"].items()), None


def expected(line: dict[str, Any]) -> dict[str, Any]:
    """The event's fields, from the recorder's own decoding."""
    if line["wire"] == "grpc":
        fields = dict(line["request"])
        for name in ("data", "meta"):
            if name in fields:
                fields[name] = base64.b64decode(fields[name])
    else:
        fields = json.loads(line["body"])
        for name in ("data", "meta"):
            if name in fields:
                start = line["body"].index(f'"{name}":') + len(name) + 3
                _, end = json.JSONDecoder().raw_decode(line["body"], start)
                fields[name] = line["body"][start:end].encode()
    if "b64data" in fields:
        fields["data"] = base64.b64decode(fields.pop("b64data"))
    return fields


def check(peer: Any, line: dict[str, Any], given: Event, headers: list[tuple[str, str]]) -> None:
    method = METHODS[KINDS[line["method"]]]
    assert type(given) is method.event
    event: Any = given
    assert event.via == peer.name
    wanted = expected(line)
    for name in method.event.__struct_fields__:
        if name == "call":
            continue
        value = getattr(event, name)
        if name.startswith("raw_"):
            assert value == wanted.get(name.removeprefix("raw_")), name
        else:
            assert value == wanted.get(name, type(value)()), name
    assert set(wanted) <= {name.removeprefix("raw_") for name in method.event.__struct_fields__}
    for name, value in headers:
        if name.lower() != "user-agent":  # a gRPC client insists on its own
            assert event.headers[name.upper()] == value
            assert event.headers.getall(name) == [v for n, v in headers if n == name]
    if line["wire"] == "grpc":
        assert 0 < event.time_remaining() < 2 * line["deadline_s"]  # grpc-timeout is rounded up on its way
    else:
        assert event.time_remaining() is None
    if "meta" in wanted:
        assert event.meta == json.loads(wanted["meta"])
        assert event.meta_as(dict[str, str]) == {"role": "admin"}
    if "data" not in wanted:
        assert getattr(event, "data", None) is None
    elif line["binary_encoding"]:
        with pytest.raises(BinaryPayload, match="raw_data"):
            _ = event.data
    elif wanted["data"].startswith(b"{"):
        assert event.data == json.loads(wanted["data"])
    else:  # a Protobuf client's bytes, through a proxy that is not set to binary_encoding
        with pytest.raises(BadRequest, match="data is not valid JSON"):
            _ = event.data


async def test_each_recorded_call(peer: Any, recordings: Any) -> None:
    """Fields, payload, meta, headers and deadline are what Centrifugo sent, with and without binary encoding."""
    seen = Seen()
    await peer.start(seen, secret=SECRET)
    wire = "grpc" if peer.wire == "proto" else "http"
    lines = [line for line in recordings["calls"] if line["wire"] == wire]
    assert len(lines) == 24 if wire == "grpc" else 20
    for line in lines:
        body, headers, deadline = sent(line)
        status, answer = await peer.raw(KINDS[line["method"]], body, headers, deadline)
        assert status == "ok"
        assert answer not in (b"", b"{}")
        check(peer, line, seen.events.pop(), headers)
    assert seen.events == []


async def test_the_typed_payload_of_a_recorded_call(peer: Any, recordings: Any) -> None:
    """`event.parse` gives the recorded payload as one's own model."""

    class Numbers(msgspec.Struct):
        a: int
        b: int

    class Plugin:
        @hookimpl
        async def on_rpc(self, event: RPCEvent) -> RPCResult:
            numbers = event.parse(Numbers)
            return RPCResult(data={"sum": numbers.a + numbers.b})

        @hookimpl
        async def on_connect(self) -> ConnectResult:
            return ConnectResult(user="")

    await peer.start(Plugin())
    wire = "grpc" if peer.wire == "proto" else "http"
    answers = []
    for line in recordings["calls"]:
        if line["wire"] == wire and line["method"] == "RPC" and "sum" in str(sent(line)[0]):
            body, headers, _ = sent(line)
            status, answer = await peer.raw("rpc", body, headers)
            assert status == "ok"
            answers.append(b'{"sum":3}' in answer)
    assert answers == [True, True]  # with and without binary encoding
