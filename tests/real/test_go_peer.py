"""Unary calls by grpc-go, the library that Centrifugo dials with: what arrives, what is read, how calls fail."""

import asyncio
import base64
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from rtbridge import (
    NEVER,
    CacheEmptyResult,
    ChannelEvent,
    ChannelsCapability,
    ChannelStateResult,
    ClientError,
    ConnectResult,
    Disconnect,
    FilterNode,
    MapPublishResult,
    MapRemoveResult,
    PublishResult,
    RefreshResult,
    RPCResult,
    SharedPollRefreshItem,
    SharedPollRefreshResult,
    SharedPollRefreshResultItem,
    SubRefreshResult,
    SubscribeOptionOverride,
    SubscribeOptions,
    SubscribeResult,
)
from rtbridge.events import METHODS

# The first test builds the Go program, which takes minutes where Go's caches are empty; each wait has its own bound.
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

SERVICE: Final = "/centrifugal.centrifugo.proxy.CentrifugoProxy"
KINDS: Final = {method.name: kind for kind, method in METHODS.items() if not method.stream}

INT64_MIN, INT64_MAX, UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1
EVERY_BYTE: Final = bytes(range(256))


def b64(content: bytes) -> str:
    """Bytes as protobuf's JSON has them."""
    return base64.b64encode(content).decode()


CLIENT: Final = {"client": "8f1f1c0e", "transport": "websocket", "protocol": "protobuf", "encoding": "json"}
SESSION: Final = {**CLIENT, "user": "ann ✓", "labels": {"tier": "gold", "": "empty"}}
META, DATA = b'{"role":"admin"}', b'{"text":"h\xc3\xa9"}'
WITH_META: Final = {**SESSION, "meta": b64(META)}
SEEN: Final = {**SESSION, "raw_meta": META}

#: Method → a request with every field, and the fields of the event that the hook has to see.
REQUESTS: Final[dict[str, tuple[Any, Any]]] = {
    "Connect": (
        {**CLIENT, "data": b64(DATA), "name": "js", "version": "5.3", "channels": ["news", "chat:1"]},
        {**CLIENT, "raw_data": DATA, "name": "js", "version": "5.3", "channels": ("news", "chat:1")},
    ),
    "Refresh": (WITH_META, SEEN),
    "Subscribe": (
        {**WITH_META, "channel": "chat:1", "token": "jwt", "data": b64(DATA)},
        {**SEEN, "channel": "chat:1", "token": "jwt", "raw_data": DATA},
    ),
    "Publish": ({**WITH_META, "channel": "chat:1", "data": b64(DATA)}, {**SEEN, "channel": "chat:1", "raw_data": DATA}),
    "RPC": ({**WITH_META, "method": "sum", "data": b64(DATA)}, {**SEEN, "method": "sum", "raw_data": DATA}),
    "SubRefresh": ({**WITH_META, "channel": "chat:1"}, {**SEEN, "channel": "chat:1"}),
    "MapPublish": (
        {**WITH_META, "channel": "map:1", "key": "k", "data": b64(DATA)},
        {**SEEN, "channel": "map:1", "key": "k", "raw_data": DATA},
    ),
    "MapRemove": ({**WITH_META, "channel": "map:1", "key": "k"}, {**SEEN, "channel": "map:1", "key": "k"}),
    "NotifyCacheEmpty": ({"channel": "cache:1"}, {"channel": "cache:1"}),
    "NotifyChannelState": (
        {
            "events": [
                {"time_ms": str(INT64_MAX), "channel": "a", "type": "occupied"},
                {"time_ms": str(INT64_MIN), "channel": "b", "type": "vacated"},
            ]
        },
        {
            "events": (
                ChannelEvent(time_ms=INT64_MAX, channel="a", type="occupied"),
                ChannelEvent(time_ms=INT64_MIN, channel="b", type="vacated"),
            )
        },
    ),
    "SharedPollRefresh": (
        {"channel": "poll:1", "items": [{"key": "a", "version": str(UINT64_MAX)}, {"key": "b"}]},
        {
            "channel": "poll:1",
            "items": (SharedPollRefreshItem(key="a", version=UINT64_MAX), SharedPollRefreshItem(key="b")),
        },
    ),
}

FILTER: Final = FilterNode(op="and", nodes=[FilterNode(key="lang", cmp="in", vals=["en", "de"]), FilterNode(val="x")])
FILTER_READ: Final = {"op": "and", "nodes": [{"key": "lang", "cmp": "in", "vals": ["en", "de"]}, {"val": "x"}]}
OVERRIDE: Final = SubscribeOptionOverride(presence=True, join_leave=False, force_recovery=True, force_positioning=False)
OVERRIDE_READ: Final = {
    "presence": {"value": True},
    "join_leave": {},
    "force_recovery": {"value": True},
    "force_positioning": {},
}
CAPS: Final = [ChannelsCapability(channels=["a", "b*"], allow=["sub", "pub"], match="wildcard")]
CAPS_READ: Final = [{"channels": ["a", "b*"], "allow": ["sub", "pub"], "match": "wildcard"}]
LATEST: Final = 99_999_999_999

#: Method, an answer, and what generated Go code has to read of it; 64-bit integers are strings in protobuf's JSON.
ANSWERS: Final[list[tuple[str, Any, Any]]] = [
    (
        "Connect",
        ConnectResult(
            user="ann ✓",
            expire_at=LATEST,
            info={"name": "Ann"},
            data=EVERY_BYTE,
            channels=["news"],
            subs={
                "chat:1": SubscribeOptions(
                    expire_at=1,
                    info=[1],
                    data=EVERY_BYTE,
                    override=OVERRIDE,
                    server_tags_filter=FILTER,
                    cache_recover=True,
                ),
                "": SubscribeOptions(override=SubscribeOptionOverride()),
            },
            meta={"role": "admin"},
            caps=CAPS,
            labels={"tier": "gold"},
        ),
        {
            "user": "ann ✓",
            "expire_at": str(LATEST),
            "info": b64(b'{"name":"Ann"}'),
            "data": b64(EVERY_BYTE),
            "channels": ["news"],
            "subs": {
                "chat:1": {
                    "expire_at": "1",
                    "info": b64(b"[1]"),
                    "data": b64(EVERY_BYTE),
                    "override": OVERRIDE_READ,
                    "server_tags_filter": FILTER_READ,
                    "cache_recover": True,
                },
                "": {"override": {}},
            },
            "meta": b64(b'{"role":"admin"}'),
            "caps": CAPS_READ,
            "labels": {"tier": "gold"},
        },
    ),
    ("Connect", ConnectResult(user=""), {}),
    (
        "Refresh",
        RefreshResult(expire_at=LATEST, info="x", meta=EVERY_BYTE, caps=CAPS),
        {"expire_at": str(LATEST), "info": b64(b'"x"'), "meta": b64(EVERY_BYTE), "caps": CAPS_READ},
    ),
    ("Refresh", RefreshResult(expired=True), {"expired": True}),
    (
        "Subscribe",
        SubscribeResult(
            expire_at=LATEST,
            info=EVERY_BYTE,
            data={"a": 1},
            override=OVERRIDE,
            allow=["pub", "hst"],
            server_tags_filter=FILTER,
        ),
        {
            "expire_at": str(LATEST),
            "info": b64(EVERY_BYTE),
            "data": b64(b'{"a":1}'),
            "override": OVERRIDE_READ,
            "allow": ["pub", "hst"],
            "server_tags_filter": FILTER_READ,
        },
    ),
    (
        "Publish",
        PublishResult(
            data=EVERY_BYTE,
            skip_history=True,
            tags={"a": "1", "b": ""},
            idempotency_key="once",
            delta=True,
            version=UINT64_MAX,
            version_epoch="e",
        ),
        {
            "data": b64(EVERY_BYTE),
            "skip_history": True,
            "tags": {"a": "1", "b": ""},
            "idempotency_key": "once",
            "delta": True,
            "version": str(UINT64_MAX),
            "version_epoch": "e",
        },
    ),
    ("RPC", RPCResult(data=EVERY_BYTE), {"data": b64(EVERY_BYTE)}),
    ("RPC", RPCResult(data={"sum": [1, 2.5, None, "é"]}), {"data": b64('{"sum":[1,2.5,null,"é"]}'.encode())}),
    ("SubRefresh", SubRefreshResult(expire_at=LATEST, info=[]), {"expire_at": str(LATEST), "info": b64(b"[]")}),
    ("SubRefresh", SubRefreshResult(expire_at=NEVER), {}),
    (
        "MapPublish",
        MapPublishResult(
            key="k2",
            data=EVERY_BYTE,
            tags={"a": "1"},
            score=INT64_MIN,
            key_mode="if_new",
            stream_data=b"\0",
            idempotency_key="once",
            delta=True,
            version=UINT64_MAX,
            version_epoch="e",
        ),
        {
            "key": "k2",
            "data": b64(EVERY_BYTE),
            "tags": {"a": "1"},
            "score": str(INT64_MIN),
            "key_mode": "if_new",
            "stream_data": b64(b"\0"),
            "idempotency_key": "once",
            "delta": True,
            "version": str(UINT64_MAX),
            "version_epoch": "e",
        },
    ),
    ("MapPublish", MapPublishResult(score=INT64_MAX), {"score": str(INT64_MAX)}),
    (
        "MapRemove",
        MapRemoveResult(key="k2", tags={"a": "1"}, idempotency_key="once"),
        {"key": "k2", "tags": {"a": "1"}, "idempotency_key": "once"},
    ),
    ("NotifyCacheEmpty", CacheEmptyResult(populated=True), {"populated": True}),
    ("NotifyCacheEmpty", CacheEmptyResult(), {}),
    ("NotifyChannelState", ChannelStateResult(), {}),
    (
        "SharedPollRefresh",
        SharedPollRefreshResult(
            items=[
                SharedPollRefreshResultItem(key="a", data=EVERY_BYTE, version=UINT64_MAX, prev_data={"n": 1}),
                SharedPollRefreshResultItem(key="b", removed=True),
            ],
            epoch="e",
        ),
        {
            "items": [
                {"key": "a", "data": b64(EVERY_BYTE), "version": str(UINT64_MAX), "prev_data": b64(b'{"n":1}')},
                {"key": "b", "removed": True},
            ],
            "epoch": "e",
        },
    ),
]


def test_the_tables_cover_every_unary_method() -> None:
    """A method that is added to the proto has to be added here."""
    assert set(REQUESTS) == {method for method, _, _ in ANSWERS} == set(KINDS)


def test_the_go_program_is_in_order(go: Path, go_peer_program: Path) -> None:
    """`go fmt` would change nothing in it, and `go vet` has nothing to say."""
    for command in ("fmt", "vet"):
        done = subprocess.run([go, command, "./..."], cwd=go_peer_program.parent, capture_output=True, text=True)
        assert (command, done.returncode, done.stdout + done.stderr) == (command, 0, "")


async def test_every_field_of_every_request_arrives(backend: Any, grpc_server: str, serve: Any, go_peer: Any) -> None:
    """The hook of each unary method sees every field as grpc-go sent it."""
    connection = await go_peer.dial((await serve(backend)).address)
    for method, (request, expected) in REQUESTS.items():
        await connection.call(method, request)
        event = backend.seen.pop()
        assert (event.kind, event.via, backend.seen) == (KINDS[method], grpc_server, [])
        seen = {name: getattr(event, name) for name in event.__struct_fields__ if name != "call"}
        assert seen == expected, method


async def test_every_field_of_every_answer_is_read(backend: Any, serve: Any, go_peer: Any) -> None:
    """Generated Go code reads each result as the hook gave it, and leaves no byte unread."""
    connection = await go_peer.dial((await serve(backend)).address)
    for method, result, expected in ANSWERS:
        backend.answer = lambda event, result=result: result
        answer = await connection.call(method)
        assert (answer["code"], answer["reply"], answer["unread"]) == ("OK", {"result": expected}, []), method


async def test_bytes_on_the_wire(backend: Any, serve: Any, go_peer: Any) -> None:
    """Known messages are known bytes, both ways; an empty result is there and not absent."""
    connection = await go_peer.dial((await serve(backend)).address)
    backend.answer = lambda event: RPCResult(data=event.raw_data)
    answer = await connection.call("RPC", {"user": "7", "method": "m", "data": b64(b"{}")})
    assert base64.b64decode(answer["sent"]).hex(" ") == "52 01 37 5a 01 6d 62 02 7b 7d"
    assert base64.b64decode(answer["received"]).hex(" ") == "0a 04 0a 02 7b 7d"
    backend.answer = lambda event: PublishResult()
    assert base64.b64decode((await connection.call("Publish"))["received"]) == b"\x0a\x00"


async def test_binary_encoding(backend: Any, serve: Any, go_peer: Any) -> None:
    """A proxy with `binary_encoding` sends base64; the hook sees the bytes and its bytes go back as they are."""
    connection = await go_peer.dial((await serve(backend)).address)
    results = {"Connect": ConnectResult(user="", data=EVERY_BYTE), "Subscribe": SubscribeResult(data=EVERY_BYTE)}
    results |= {"Publish": PublishResult(data=EVERY_BYTE), "RPC": RPCResult(data=EVERY_BYTE)}
    for method, result in {**results, "MapPublish": MapPublishResult(data=EVERY_BYTE)}.items():
        backend.answer = lambda event, result=result: result
        answer = await connection.call(method, {"encoding": "binary", "b64data": b64(EVERY_BYTE)})
        assert backend.seen.pop().raw_data == EVERY_BYTE
        assert answer["reply"] == {"result": {"data": b64(EVERY_BYTE)}}


TEMPORARY: Final = {"error": {"code": 100, "message": "internal server error", "temporary": True}}
UNAVAILABLE: Final = {"error": {"code": 108, "message": "not available"}}
REFUSED: Final = {"error": {"code": 1000, "message": "no", "temporary": True}}
EXPIRED: Final = {"result": {"expired": True}}
FAILED: Final = ("Internal", "internal error")

#: How the answer can deny → what comes back for silence, a disconnect, an error and a bug.
DENIED: Final[dict[str, tuple[Any, Any, Any, Any]]] = {
    "disconnect": (
        {"disconnect": {"code": 4500, "reason": "not handled"}},
        {"disconnect": {"code": 4501, "reason": "bye"}},
        REFUSED,
        TEMPORARY,
    ),
    "expired": (EXPIRED, EXPIRED, EXPIRED, FAILED),
    "error": (UNAVAILABLE, UNAVAILABLE, REFUSED, FAILED),
    "unimplemented": ("Unimplemented", FAILED, FAILED, FAILED),
}


@pytest.mark.parametrize("method", KINDS)
async def test_denials(method: str, backend: Any, serve: Any, go_peer: Any) -> None:
    """Silence, `Disconnect`, `ClientError` and a bug: what grpc-go reads for each."""
    connection = await go_peer.dial((await serve(backend)).address)
    answers: list[Any] = [
        None,
        Disconnect(4501, "bye"),
        ClientError(1000, "no", temporary=True),
        RuntimeError("s3cret"),
    ]

    def answer(event: object) -> None:
        if answers[0] is not None:
            raise answers[0]

    backend.answer = answer
    for expected in DENIED[METHODS[KINDS[method]].silence]:
        found = await connection.call(method)
        if isinstance(expected, dict):
            assert (found["code"], found["reply"]) == ("OK", expected)
        elif isinstance(expected, tuple):
            assert (found["code"], found["text"]) == expected
        else:
            assert found["code"] == expected
        assert "s3cret" not in str(found)
        answers.pop(0)


async def test_metadata(backend: Any, serve: Any, go_peer: Any) -> None:
    """A name with several values keeps them all in order, and binary values arrive as the bytes they were."""
    connection = await go_peer.dial((await serve(backend)).address)
    metadata = [("x-real-ip", b"10.0.0.1"), ("x-multi", b"one"), ("X-Multi", b"two"), ("trace-bin", EVERY_BYTE)]
    await connection.call("RPC", metadata=metadata)
    headers = backend.seen[0].headers
    assert headers["X-Real-IP"] == "10.0.0.1"
    assert headers.getall("x-multi") == ["one", "two"]
    assert headers["trace-bin"].encode("latin-1") == EVERY_BYTE
    assert headers["user-agent"].startswith("grpc-go/")


async def test_credentials(backend: Any, serve: Any, go_peer: Any) -> None:
    """With a secret, calls without it or with a wrong one are UNAUTHENTICATED; each of several values is let in."""
    served = await serve(backend, secret={"key": "x-proxy-key", "values": ["old", "new"]})
    for credentials in (None, {"key": "x-proxy-key", "value": "guess"}, {"key": "x-other", "value": "new"}):
        connection = await go_peer.dial(served.address, credentials=credentials)
        for refused in (
            await connection.call("Connect"),
            await connection.raw(f"{SERVICE}/NoSuchMethod", b""),
            await (await connection.open("SubscribeUnidirectional")).receive(),
            await (await connection.open("SubscribeBidirectional")).receive(),
        ):
            assert refused["code"] == "Unauthenticated"
            assert refused["text"] == "metadata x-proxy-key: missing or wrong"
    assert backend.seen == []
    for value in ("old", "new"):
        connection = await go_peer.dial(served.address, credentials={"key": "X-Proxy-Key", "value": value})
        assert (await connection.call("Connect"))["code"] == "OK"


async def test_deadline(backend: Any, serve: Any, go_peer: Any) -> None:
    """A hook that outlasts the caller's deadline is cancelled, and the answer still comes in time."""
    connection = await go_peer.dial((await serve(backend)).address)
    await connection.call("Connect", timeout=1)
    assert 0 < backend.seen[0].time_remaining() <= 1
    cancelled = []

    async def wait(event: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(event.kind)
            raise

    backend.answer = wait
    assert (await connection.call("Publish", timeout=0.4))["reply"] == TEMPORARY
    refresh = await connection.call("Refresh", timeout=0.4)
    assert (refresh["code"], refresh["text"]) == FAILED
    assert cancelled == ["publish", "refresh"]


async def test_client_cancel(backend: Any, serve: Any, go_peer: Any) -> None:
    """When the client goes away Centrifugo cancels the call; the hook is cancelled and gives its place back."""
    connection = await go_peer.dial((await serve(backend, limits={"concurrency": 1})).address)
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(event: Any) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    backend.answer = wait
    call = connection.begin("RPC")
    async with asyncio.timeout(10):
        await started.wait()
        await call.cancel()
        await cancelled.wait()
    assert (await call.answer())["code"] == "Canceled"
    backend.answer = lambda event: RPCResult()
    assert (await connection.call("RPC"))["code"] == "OK"


async def test_undecodable_and_unknown(backend: Any, serve: Any, go_peer: Any) -> None:
    """Bytes that are no request are INVALID_ARGUMENT, other methods UNIMPLEMENTED, and the connection goes on."""
    connection = await go_peer.dial((await serve(backend)).address)
    cases = [(f"{SERVICE}/{name}", "InvalidArgument") for name in KINDS]
    cases += [(f"{SERVICE}/NoSuchMethod", "Unimplemented"), ("/other.Service/Connect", "Unimplemented")]
    for path, code in cases:
        for content in (b"\xff\xff\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe"):
            answer = await connection.raw(path, content)
            assert (path, content, answer["code"]) == (path, content, code)
    assert backend.seen == []
    assert (await connection.call("RPC"))["code"] == "OK"
    assert (await connection.do("traffic"))["connections"] == 1
