"""What no Centrifugo sends: each gets a clear refusal, an event where a request exists, a log line, and no more."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from rtbridge import ClientError, Disconnect, InvalidEvent, Router, RPCEvent, RPCResult, SubscribeEvent, hookimpl
from rtbridge.codec.descriptors import message_class


class Plugin:
    """Answers RPCs, and remembers what could not be decoded."""

    router = Router()

    def __init__(self) -> None:
        self.invalid: list[InvalidEvent] = []
        self.subscribed: list[int] = []

    @hookimpl
    async def on_rpc(self, event: RPCEvent) -> RPCResult:
        return RPCResult(data="alive")

    @hookimpl
    async def on_subscribe(self, event: SubscribeEvent) -> None:
        self.subscribed.append(len(event.channel))

    @hookimpl
    async def on_invalid(self, event: InvalidEvent) -> None:
        self.invalid.append(event)

    @staticmethod
    @router.on_subscribe("{room}")
    async def listen() -> None:
        raise AssertionError


async def alive(peer: Any) -> bool:
    return bool(await peer.call("rpc") == {"result": {"data": "alive"}})


def _proto(kind: str, **fields: Any) -> bytes:
    message = message_class(f"centrifugal.centrifugo.proxy.{kind}Request")(**fields)
    return bytes(message.SerializeToString())


BAD: list[Any] = [
    pytest.param("proto", b"\xff\xff\xff", "protobuf", id="undecodable protobuf"),
    pytest.param("proto", b"\x0a\x02\xc3\x28", "protobuf", id="invalid UTF-8 in protobuf"),
    pytest.param("proto", _proto("RPC", b64data="no base64!"), "b64data is not base64", id="b64 in protobuf"),
    pytest.param("json", b"{", "not valid JSON", id="truncated JSON"),
    pytest.param("json", b"", "not valid JSON", id="empty JSON"),
    pytest.param("json", b"[]", "Expected `object`, got `array`", id="another type"),
    pytest.param("json", b'{"user": 7}', "Expected `str`, got `int` - at `$.user`", id="a field's type"),
    pytest.param("json", b'{"user": "\xc3\x28"}', "not UTF-8 at byte 10", id="invalid UTF-8 in JSON"),
    pytest.param("json", b'{"b64data": "no base64!"}', "b64data is not base64", id="b64 in JSON"),
    pytest.param("json", b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply", id="deep JSON"),
]


@pytest.mark.parametrize(("wire", "body", "said"), BAD)
async def test_undecodable(dial: Any, wire: str, body: bytes, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """The call is refused as a failed call, `on_invalid` gets it, a line says why, and the next call is answered."""
    caplog.set_level(logging.INFO, "rtbridge.events")
    for name in {"proto": ["memory", "grpcio", "builtin"], "json": ["memory-json", "asgi", "uvicorn"]}[wire]:
        peer = await dial(name)
        plugin = Plugin()
        await peer.start(plugin)
        caplog.clear()
        assert (await peer.raw("rpc", body))[0] == "invalid"
        (event,) = plugin.invalid
        assert event.raw == body
        assert event.method in ("RPC", "/rpc")
        assert said in str(event.error)
        assert repr(event) == f"InvalidEvent(method={event.method!r})"
        assert f"denied: {event.error}" in caplog.text
        assert "→ failure invalid in " in caplog.text
        if hasattr(peer, "details"):
            assert said in peer.details
        assert await alive(peer)


@pytest.mark.parametrize("kind", ["connect", "subscribe", "publish", "rpc", "map_publish", "map_remove"])
@pytest.mark.parametrize("way", ["raise", "respond"])
async def test_on_invalid_may_answer(peer: Any, kind: str, way: str) -> None:
    """Where the kind is known and its answer can say so, a raised or pending answer leaves in place of the refusal."""

    class Answers:
        @hookimpl
        async def on_invalid(self, event: InvalidEvent) -> None:
            if way == "raise":
                raise Disconnect("BAD_REQUEST")
            event.respond(ClientError(107))

    await peer.start(Answers())
    expected = {
        "raise": {"disconnect": {"code": 3501, "reason": "bad request"}},
        "respond": {"error": {"code": 107, "message": "bad request"}},
    }[way]
    status, body = await peer.raw(kind, b"\xff")
    assert status == "ok"
    assert await read(peer, kind, body) == expected


async def read(peer: Any, kind: str, body: bytes) -> Any:
    """The answer in those bytes, read by the peer."""

    async def raw(*_: Any) -> tuple[str, bytes]:
        return "ok", body

    peer.raw = raw
    return await peer.call(kind)


@pytest.mark.parametrize("kind", ["refresh", "sub_refresh", "cache_empty", "shared_poll_refresh", "nowhere"])
async def test_on_invalid_cannot_answer_everywhere(peer: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Where no answer can carry it the call is refused all the same, and the log says so."""

    class Answers:
        @hookimpl
        async def on_invalid(self, event: InvalidEvent) -> None:
            raise Disconnect(4000)

    await peer.start(Answers())
    kind = "/some.Service/nowhere" if kind == "nowhere" and peer.over_grpc else kind
    assert (await peer.raw(kind, b"\xff"))[0] in ("invalid", "unimplemented")
    assert "on_invalid answered a call that cannot carry the answer" in caplog.text


@pytest.mark.parametrize("bad", ["raises", "returns"])
async def test_a_bug_in_on_invalid(peer: Any, bad: str) -> None:
    """A hook that fails while it looks at bad input fails that call only."""

    class Bug:
        @hookimpl
        def on_invalid(self, event: InvalidEvent) -> Any:
            return RPCResult() if bad == "returns" else 1 / 0

    await peer.start(Bug(), Plugin())
    assert (await peer.raw("rpc", b"\xff"))[0] == "internal"
    assert await alive(peer)


async def test_an_unknown_kind(peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A method or path that is none is refused, with an event that names it."""
    plugin = Plugin()
    await peer.start(plugin)
    kind = "/some.Service/Method" if peer.over_grpc else "nowhere"
    assert (await peer.raw(kind, b""))[0] == "unimplemented"
    (event,) = plugin.invalid
    assert kind.rpartition("/")[2] in event.method
    assert "denied: " in caplog.text
    assert await alive(peer)


async def test_a_large_message(peer: Any) -> None:
    """A payload of 3 MiB, which Centrifugo's own limits allow, is answered."""
    await peer.start(Plugin())
    assert await peer.call("rpc", {"data": "x" * 3_000_000}) == {"result": {"data": "alive"}}


async def test_a_body_over_the_limit(wire_peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """10 MiB are refused with the limit named, in the reply and in the log."""
    plugin = Plugin()
    await wire_peer.start(plugin)
    body = _proto("RPC", data=b"x" * 10 * 2**20) if wire_peer.wire == "proto" else b'"' + b"x" * 10 * 2**20 + b'"'
    status, _ = await wire_peer.raw("rpc", body)
    assert status == ("invalid" if wire_peer.wire == "proto" else "413")
    assert "rtbridge.limits.message_size is 4194304" in wire_peer.details
    assert "rtbridge.limits.message_size is 4194304" in caplog.text
    (event,) = plugin.invalid
    assert event.method in ("RPC", "/rpc")
    assert await alive(wire_peer)


async def test_a_body_over_the_limit_without_its_length(http_peer: Any) -> None:
    """A chunked body is counted while it comes."""
    await http_peer.start(Plugin(), limits={"message_size": "1KiB"})
    if http_peer.name == "http" and hasattr(http_peer, "client"):

        async def chunks() -> Any:
            for _ in range(5):
                yield b" " * 1024

        response = await http_peer.client.post("/rpc", content=chunks(), headers={"content-type": "application/json"})
        assert response.status_code == 413
    else:
        assert (await http_peer.raw("rpc", b" " * 5000))[0] == "413"
    assert await alive(http_peer)


async def test_a_body_far_over_the_limit(grpc_peer: Any) -> None:
    """What gRPC's core refuses on its own leaves the server answering."""
    await grpc_peer.start(Plugin())
    assert (await grpc_peer.raw("rpc", b"\0" * 20 * 2**20))[0] == "RESOURCE_EXHAUSTED"
    assert await alive(grpc_peer)


async def test_a_stream_message_over_the_limit(grpc_peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A later message of a stream that is too large, or none, fails the stream and nothing else."""

    class Streams(Plugin):
        @hookimpl
        async def on_subscribe_bidirectional(self, event: Any) -> Any:
            from rtbridge import SubscribeResult

            yield SubscribeResult()
            async for _ in event.incoming:
                pass

    await grpc_peer.start(Streams(), limits={"message_size": "1KiB"})
    for bad in (b"\0" * 2000, b"\xff"):
        stream = await grpc_peer.subscribe("subscribe_bidirectional")
        assert stream.first == {"result": {}}
        await stream._call.write(bad)
        assert await stream.next() == {"failure": "internal"}
    assert "rtbridge.limits.message_size is 1024" in caplog.text
    assert (await grpc_peer.subscribe("subscribe_unidirectional", data="x" * 2000)).first == {"failure": "invalid"}
    assert await alive(grpc_peer)


async def test_a_long_channel_name(peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A name of 1 MB reaches hooks as it is, matches no pattern, and is cut in the log."""
    plugin = Plugin()
    await peer.start(plugin)
    answer = await peer.call("subscribe", {"channel": "x" * 1_000_000})
    assert answer == {"disconnect": {"code": 4500, "reason": "not handled"}}
    assert plugin.subscribed == [1_000_000]
    assert max(len(record.getMessage()) for record in caplog.records) < 1000
    assert await alive(peer)


async def test_headers_over_the_limit(wire_peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Headers of 20 KB are refused with the limit named."""
    await wire_peer.start(Plugin())
    status, _ = await wire_peer.raw(
        "rpc", b"" if wire_peer.wire == "proto" else b"{}", [(f"x-{n}", "v" * 1000) for n in range(20)]
    )
    assert status == ("invalid" if wire_peer.wire == "proto" else "431")
    assert "rtbridge.limits.header_size is 16384" in wire_peer.details
    assert "rtbridge.limits.header_size is 16384" in caplog.text
    assert await alive(wire_peer)


async def test_headers_far_over_the_limit(wire_peer: Any) -> None:
    """Headers of 1 MB are refused by whatever reads them first, and the server goes on.

    A connection that is closed while its caller still sends may be reset before the caller has read the refusal.
    """
    await wire_peer.start(Plugin())
    body = b"" if wire_peer.wire == "proto" else b"{}"
    try:
        status, _ = await wire_peer.raw("rpc", body, [(f"x-{n}", "v" * 4000) for n in range(250)])
    except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
        status = "closed"
    assert status in ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "431", "invalid", "closed")
    assert await alive(wire_peer)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (("Content-Type", "application/x-www-form-urlencoded"), "the content type is application/json"),
        (("Content-Type", "text/json"), "the content type is application/json"),
        (("Content-Encoding", "gzip"), "without content-encoding"),
    ],
)
async def test_a_wrong_content_type(http_peer: Any, header: tuple[str, str], said: str) -> None:
    """A body that is not plain JSON is refused with 415 and an event."""
    plugin = Plugin()
    await http_peer.start(plugin)
    assert (await http_peer.raw("rpc", b"{}", [header]))[0] == "415"
    assert said in http_peer.details
    assert [said in str(event.error) for event in plugin.invalid] == [True]
    assert await alive(http_peer)


@pytest.mark.parametrize("value", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
async def test_content_types_of_json(http_peer: Any, value: str) -> None:
    """Parameters and case do not matter."""
    await http_peer.start(Plugin())
    assert (await http_peer.raw("rpc", b"{}", [("Content-Type", value), ("Content-Encoding", "identity")]))[0] == "ok"


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
async def test_a_wrong_method(http_peer: Any, method: str) -> None:
    """Anything but POST is 405."""
    await http_peer.start(Plugin())
    assert (await http_peer.post("/rpc", b"", [], method))[0] == "405"
    assert await alive(http_peer)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/", "no event at '/': there are connect, refresh"),
        ("/nowhere", "no event at '/nowhere': there are connect"),
        ("/subscribe_unidirectional", "streams travel over gRPC only"),
    ],
)
async def test_an_unknown_path(http_peer: Any, path: str, said: str) -> None:
    """A path that is no event's is 404, and says which there are."""
    await http_peer.start(Plugin())
    assert (await http_peer.post(path, b"{}", [("Content-Type", "application/json")]))[0] == "unimplemented"
    assert said in http_peer.details


@pytest.mark.parametrize("path", ["/rpc/", "/centrifugo/rpc", "/a/b/rpc"])
async def test_under_any_prefix(http_peer: Any, path: str) -> None:
    """The last part of the path names the event."""
    await http_peer.start(Plugin())
    assert (await http_peer.post(path, b"{}", [("Content-Type", "application/json")]))[0] == "ok"


@pytest.mark.parametrize(
    "junk",
    [b"\x16\x03\x01\x00\xa5", b"GARBAGE\r\n\r\n", b"POST /rpc HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"PRI * HTTP/2"],
    ids=["TLS", "no HTTP", "no length", "half a preface"],
)
async def test_junk_on_the_socket(socket_peer: Any, junk: bytes) -> None:
    """Bytes of another protocol end their connection, and the server goes on."""
    await socket_peer.start(Plugin())
    host, _, port = socket_peer.transport.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(junk)
    writer.write_eof()
    await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert await alive(socket_peer)


async def test_a_caller_that_leaves_in_the_middle_of_its_body(http_peer: Any) -> None:
    """Half a request reaches no hook."""
    plugin = Plugin()
    await http_peer.start(plugin)
    app: Callable[..., Any] = http_peer.runtime.http_app()
    parts = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return parts.pop(0)

    async def send(event: Any) -> None:
        raise AssertionError(event)

    await app({"type": "http", "method": "POST", "path": "/rpc", "headers": []}, receive, send)
    assert plugin.invalid == []
    assert await alive(http_peer)
