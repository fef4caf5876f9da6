"""The official JavaScript client in Node, over WebSocket and HTTP streaming, in JSON and in Protobuf."""

import asyncio
import base64
import itertools
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from rtbridge import (
    ClientError,
    ConnectResult,
    Disconnect,
    MapPublishResult,
    MapRemoveResult,
    Publication,
    PublishResult,
    RPCResult,
    SharedPollRefreshResult,
    SharedPollRefreshResultItem,
    SubscribeResult,
)
from tests.processes import ended

# The first test installs the client; each wait has its own bound.
pytestmark = [pytest.mark.real, pytest.mark.timeout(200)]

BOUND: Final = 20.0


class Node:
    """Node at work: one command is one line to it and one line back, and handlers speak up in between."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: dict[tuple[str, str], asyncio.Queue[Any]] = {}
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for text in self._process.stdout:
            line = json.loads(text, object_hook=_bytes)
            if "id" in line:
                self._waiting.pop(line["id"]).set_result(line)
            else:
                self._queue(line.get("channel", ""), line["event"]).put_nowait(line["context"])
        for future in self._waiting.values():
            future.set_exception(ConnectionError("Node has ended"))

    def _queue(self, channel: str, event: str) -> asyncio.Queue[Any]:
        return self._events.setdefault((channel, event), asyncio.Queue())

    async def do(self, command: str, **given: Any) -> Any:
        """What a command came to: its result, or the error as a mapping of code and message."""
        assert self._process.stdin is not None
        number = next(self._ids)
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        content = {"id": number, "do": command, "client": "a", **given}
        self._process.stdin.write(json.dumps(content, default=_base64).encode() + b"\n")
        async with asyncio.timeout(BOUND):
            line = await answer
        return line.get("error") or line["result"]

    async def told(self, event: str, channel: str = "") -> Any:
        """What the next call of a handler was given; handlers of the client have no channel."""
        async with asyncio.timeout(BOUND):
            return await self._queue(channel, event).get()

    async def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await ended(self._process, BOUND)
        finally:
            await self._reader


def _bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["base64"]) if value.keys() == {"base64"} else value


def _base64(value: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(value).decode()}


@pytest.fixture
async def js(centrifugo_binary: Path, node_program: tuple[Path, Path]) -> AsyncIterator[Node]:
    """The JavaScript client, ready for commands."""
    process = await asyncio.create_subprocess_exec(
        *node_program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
    )
    running = Node(process)
    yield running
    await running.end()


def packed(protobuf: bool, value: Any) -> Any:
    """A JSON value as a client of that protocol wants payloads."""
    return json.dumps(value).encode() if protobuf else value


def unpacked(payload: Any) -> Any:
    """A payload of either protocol as a JSON value."""
    return json.loads(payload) if isinstance(payload, bytes) else payload


@pytest.mark.parametrize("protobuf", [False, True], ids=["json", "protobuf"])
async def test_a_conversation(protobuf: bool, wire: str, stand: Any, hooks: Any, js: Any) -> None:
    """Connect with data and emulated headers, subscribe, publish, receive, rpc, error reply, disconnect."""

    def rpc(event: Any) -> RPCResult:
        if event.method == "refused":
            raise ClientError(1000, "custom")
        if event.method == "out":
            raise Disconnect(4501, "go away")
        return RPCResult(data={"sum": event.data["a"] + event.data["b"]})

    plugin = hooks(
        connect=ConnectResult(user="42", info={"name": "Ann"}, data={"hello": 1}, channels=["pushed:a"]),
        subscribe=SubscribeResult(data={"topic": "t"}),
        publish=lambda event: PublishResult(data={"clean": event.data}, tags={"a": "1"}),
        rpc=rpc,
    )
    running = await stand(wire, plugin, proxies={"emulated_headers": ["Authorization"]})
    options = {"data": packed(protobuf, {"authToken": "t"}), "headers": {"Authorization": "Bearer t"}}
    await js.do("connect", endpoint=running.centrifugo.url, protobuf=protobuf, options=options)
    connected = await js.told("connected")
    assert (unpacked(connected["data"]), connected["transport"]) == ({"hello": 1}, "websocket")
    event = await plugin.heard("connect")
    assert (event.client, event.name) == (connected["client"], "js")
    assert (event.protocol, event.data) == ("protobuf" if protobuf else "json", {"authToken": "t"})
    assert event.headers["authorization"] == "Bearer t"
    assert (await js.told("subscribed"))["channel"] == "pushed:a"

    await js.do("subscribe", channel="room", options={"data": packed(protobuf, {"since": 5})})
    assert unpacked((await js.told("subscribed", "room"))["data"]) == {"topic": "t"}
    assert (await plugin.heard("subscribe")).data == {"since": 5}
    assert await js.do("publish", channel="room", data=packed(protobuf, {"text": "hé"})) == {}
    publication = await js.told("publication", "room")
    assert (unpacked(publication["data"]), publication["tags"]) == ({"clean": {"text": "hé"}}, {"a": "1"})
    assert unpacked(publication["info"]["connInfo"]) == {"name": "Ann"}

    result = await js.do("rpc", method="sum", data=packed(protobuf, {"a": 1, "b": 2}))
    assert unpacked(result["data"]) == {"sum": 3}
    refused = await js.do("rpc", method="refused", data=packed(protobuf, {}))
    assert refused == {"code": 1000, "message": "custom"}
    await js.do("rpc", method="out", data=packed(protobuf, {}))
    assert await js.told("disconnected") == {"code": 4501, "reason": "go away"}


async def test_http_streaming(wire: str, stand: Any, hooks: Any, js: Any) -> None:
    """Over HTTP streaming the hooks learn of the transport, and all else is as over WebSocket."""
    plugin = hooks(rpc=lambda event: RPCResult(data=event.transport))
    running = await stand(wire, plugin, over={"http_stream": {"enabled": True}})
    base = f"http://127.0.0.1:{running.centrifugo.port}"
    endpoint = [{"transport": "http_stream", "endpoint": f"{base}/connection/http_stream"}]
    await js.do("connect", endpoint=endpoint, options={"emulationEndpoint": f"{base}/emulation"})
    assert (await js.told("connected"))["transport"] == "http_stream"
    assert (await plugin.heard("connect")).transport == "http_stream"
    assert await js.do("rpc", method="m", data={}) == {"data": "http_stream"}


async def test_bugs_do_not_lock_out(wire: str, stand: Any, hooks: Any, js: Any) -> None:
    """After a failed connect and a failed subscribe the client tries again by itself."""
    asked = {"connect": 0, "subscribe": 0}

    def answer(event: Any) -> Any:
        asked[event.kind] += 1
        if asked[event.kind] == 1:
            raise ZeroDivisionError("a bug")
        return ConnectResult(user="42") if event.kind == "connect" else SubscribeResult()

    running = await stand(wire, hooks(connect=answer, subscribe=answer))
    await js.do("connect", endpoint=running.centrifugo.url)
    assert (await js.told("error"))["error"]["code"] == 100
    await js.told("connected")
    await js.do("subscribe", channel="room")
    assert (await js.told("error", "room"))["error"]["code"] == 100
    await js.told("subscribed", "room")


async def test_silence_ends_the_client(wire: str, stand: Any, js: Any) -> None:
    """With no plugin the client is told 4500 and does not come back."""
    running = await stand(wire)
    await js.do("connect", endpoint=running.centrifugo.url)
    assert await js.told("disconnected") == {"code": 4500, "reason": "not handled"}


async def test_streams(stand: Any, hooks: Any, js: Any) -> None:
    """A stream feeds the subscription, and a bidirectional one hears what the client publishes."""

    async def feed(event: Any) -> Any:
        yield SubscribeResult(data={"topic": "t"})
        yield Publication(data={"n": 1})

    async def echo(event: Any) -> Any:
        yield SubscribeResult()
        async for publication in event.incoming:
            yield Publication(data={"echo": publication.data})

    running = await stand("grpc", hooks(subscribe_unidirectional=feed, subscribe_bidirectional=echo))
    await js.do("connect", endpoint=running.centrifugo.url)
    await js.do("subscribe", channel="out:1")
    assert (await js.told("subscribed", "out:1"))["data"] == {"topic": "t"}
    assert (await js.told("publication", "out:1"))["data"] == {"n": 1}
    ended = await js.told("unsubscribed", "out:1")
    assert (ended["code"], ended["reason"]) == (2000, "server unsubscribe")
    await js.do("subscribe", channel="both:1")
    await js.told("subscribed", "both:1")
    assert await js.do("publish", channel="both:1", data={"n": 2}) == {}
    assert (await js.told("publication", "both:1"))["data"] == {"echo": {"n": 2}}


async def test_maps(wire: str, stand: Any, hooks: Any, js: Any) -> None:
    """Writes and removals are done and seen, and the promise is rejected with error 107 all the same."""
    plugin = hooks(map_publish=MapPublishResult(data={"clean": True}), map_remove=MapRemoveResult())
    running = await stand(wire, plugin)
    await js.do("connect", endpoint=running.centrifugo.url)
    await js.do("subscribe", channel="map:1", kind="map")
    assert (await js.told("sync", "map:1"))["entries"] == []
    refused = {"code": 107, "message": "bad request"}
    assert await js.do("publish", channel="map:1", key="k", data={"v": 1}) == refused
    update = await js.told("update", "map:1")
    assert (update["key"], update["data"]) == ("k", {"clean": True})
    assert await js.do("remove", channel="map:1", key="k") == refused
    update = await js.told("update", "map:1")
    assert (update["key"], update["removed"]) == ("k", True)
    assert (await plugin.heard("map_publish")).data == {"v": 1}
    assert (await plugin.heard("map_remove")).key == "k"


async def test_shared_polls(wire: str, stand: Any, hooks: Any, js: Any) -> None:
    """Tracked keys are asked for, and their values arrive."""
    items = [
        SharedPollRefreshResultItem(key="a", data={"score": 1}, version=1),
        SharedPollRefreshResultItem(key="b", removed=True),
    ]
    plugin = hooks(subscribe=SubscribeResult(), shared_poll_refresh=SharedPollRefreshResult(items=items))
    running = await stand(wire, plugin)
    await js.do("connect", endpoint=running.centrifugo.url)
    await js.do("subscribe", channel="poll:scores", kind="poll", secret="poll-secret", user="42")
    await js.told("subscribed", "poll:scores")
    await js.do("track", channel="poll:scores", keys=["a", "b"])
    updates = [await js.told("update", "poll:scores") for _ in range(2)]
    seen = {each["key"]: (each.get("data"), each.get("removed", False)) for each in updates}
    assert seen == {"a": ({"score": 1}, False), "b": (None, True)}
