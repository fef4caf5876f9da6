"""A connection without its socket: messages in, replies and closings out, on a virtual clock."""

import asyncio
from typing import Any

import pytest

from rtbridge import (
    ClientError,
    ConnectResult,
    Disconnect,
    PublishResult,
    RefreshResult,
    RPCResult,
    SubRefreshResult,
    SubscribeResult,
    hookimpl,
)
from rtbridge.embedded.connection import INBOX_LIMIT, INBOX_PAUSE, fits_close_frame
from rtbridge.embedded.wire import UNI_WEBSOCKET_JSON
from tests.embedded.conftest import Start

OPEN: dict[str, Any] = {"client": {"insecure": True}}
ASKED: dict[str, Any] = {
    "client": {
        "proxy": {
            "connect": {"enabled": True, "http_headers": ["Cookie"], "emulated_headers": ["Authorization"]},
            "refresh": {"enabled": True, "include_connection_meta": True},
        },
        "presence_update_interval": "1s",
        "expired_sub_close_delay": "1s",
        "ping_interval": "1h",
    },
    "channel": {
        "proxy": {"publish": {"include_connection_meta": True}},
        "without_namespace": {
            "subscribe_proxy_enabled": True,
            "publish_proxy_enabled": True,
            "sub_refresh_proxy_enabled": True,
            "presence": True,
            "allow_presence_for_subscriber": True,
        },
    },
    "rpc": {"without_namespace": {"proxy_enabled": True}},
}
BAD_REQUEST = (3501, "bad request")


class Hooks:
    """Answers by name; an exception is raised, and everything that was asked is kept."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"connect": ConnectResult(user="ann"), **answers}
        self.seen: list[Any] = []

    async def _answer(self, event: Any) -> Any:
        self.seen.append(event)
        answer = self.answers.get(event.kind)
        if callable(answer):
            answer = await answer(event)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @hookimpl
    async def on_connect(self, event: Any) -> Any:
        return await self._answer(event)

    @hookimpl
    async def on_refresh(self, event: Any) -> Any:
        return await self._answer(event)

    @hookimpl
    async def on_subscribe(self, event: Any) -> Any:
        return await self._answer(event)

    @hookimpl
    async def on_publish(self, event: Any) -> Any:
        return await self._answer(event)

    @hookimpl
    async def on_rpc(self, event: Any) -> Any:
        return await self._answer(event)

    @hookimpl
    async def on_sub_refresh(self, event: Any) -> Any:
        return await self._answer(event)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "\n",
        "garbage",
        "[]",
        '{"id":-1}',
        "{}",
        '{"id":0,"connect":{}}',
        '{"id":1}',
        '{"id":1,"rpc":{}}',
        '{"ping":{}}',
    ],
)
async def test_a_bad_first_message(message: str, desk: Start) -> None:
    """Whatever is no connect, or no command at all, closes the connection."""
    client = (await desk(**OPEN)).client()
    client.send(message)
    assert client.closed == BAD_REQUEST
    client.send({"id": 1, "connect": {}})
    assert client.got == []


async def test_commands_before_a_broken_one_are_served(desk: Start) -> None:
    """A message is served as far as it can be read."""
    client = (await desk(**OPEN)).user()
    client.send({"id": 2, "unsubscribe": {"channel": "c"}}, "garbage", {"id": 3, "unsubscribe": {"channel": "c"}})
    assert client.take() == [{"id": 2, "unsubscribe": {}}]
    assert client.closed == BAD_REQUEST


async def test_pings_and_pongs(desk: Start) -> None:
    """A client that answers pings stays, one that does not is closed, one that answers what was not asked, too."""
    config = {"client": {"insecure": True, "ping_interval": "10s", "pong_timeout": "3s"}}
    node = await desk(**config)
    alive, dead, eager = node.user(), node.user(), node.user()
    eager.send("{}")
    assert eager.closed == BAD_REQUEST
    for _ in range(26):  # the first comes when it likes, within the interval
        node.advance(0.5)
        for _ in alive.take():
            alive.send("{}")
    assert (alive.closed, dead.closed) == (None, (3012, "no pong"))


async def test_a_paused_client_is_not_asked_for_its_pong(desk: Start) -> None:
    """While the server does not read, a pong may lie unread."""
    gate = asyncio.Event()

    async def wait(event: Any) -> RPCResult:
        await gate.wait()
        return RPCResult(data=1)

    node = await desk(Hooks(rpc=wait), **{**ASKED, "client": {**ASKED["client"], "ping_interval": "25s"}})
    client = node.client(connect={})
    await node.settle()
    client.send(*({"id": 2 + n, "rpc": {"method": "m"}} for n in range(INBOX_PAUSE + 2)))
    assert client.paused
    node.advance(60)
    assert client.closed is None
    gate.set()
    await node.settle()
    await node.settle()
    await node.settle()
    await node.settle()
    assert not client.paused


async def test_stale_connections(desk: Start) -> None:
    """Who says nothing is closed; so is one whose connect was answered with an error, without a close frame."""
    node = await desk(client={"stale_close_delay": "2s"})
    silent = node.client()
    node.advance(2)
    assert silent.closed == (3502, "stale")
    refused = (await desk(Hooks(connect=ClientError(1000, "no")), **ASKED)).client(connect={})
    await node.settle()
    assert refused.take() == [{"id": 1, "error": {"code": 1000, "message": "no"}}]
    refused.send({"id": 2, "connect": {}})
    assert refused.got == []


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (ClientError(1000, "no"), {"code": 1000, "message": "no"}),
        (ClientError("TOO_MANY_REQUESTS"), {"code": 111, "message": "too many requests", "temporary": True}),
        (RuntimeError("bug"), {"code": 100, "message": "internal server error", "temporary": True}),
        (Disconnect(4501, "go"), (4501, "go")),
        (None, (4500, "not handled")),
    ],
)
@pytest.mark.parametrize("command", ["subscribe", "publish", "rpc"])
async def test_what_hooks_answer(command: str, answer: Any, seen: Any, desk: Start) -> None:
    """Errors reach the client as replies, disconnects as closings, bugs as a temporary error, silence as a denial."""
    node = await desk(Hooks(**{command: answer}), **ASKED)
    client = node.client(connect={})
    await node.settle()
    client.take()
    request = {"method": "m"} if command == "rpc" else {"channel": "c", "data": 1}
    client.send({"id": 2, command: request})
    await node.settle()
    if isinstance(seen, tuple):
        assert client.closed == seen
    else:
        assert client.take() == [{"id": 2, "error": seen}]
        assert client.session.channels == {}


async def test_what_hooks_are_told(desk: Start) -> None:
    """Headers that the proxy forwards, meta where it is wanted, and who the client is."""
    hooks = Hooks(
        connect=ConnectResult(user="ann", meta={"k": 1}, info={"name": "Ann"}, data="hi", channels=["news"]),
        subscribe=SubscribeResult(info={"role": 1}),
        publish=PublishResult(data={"x": 2}, tags={"t": "v"}),
        rpc=RPCResult(data=[1]),
    )
    node = await desk(hooks, **ASKED)
    client = node.client(headers={"cookie": "c=1", "authorization": "from the request"})
    client.send({"id": 1, "connect": {"data": {"a": 1}, "headers": {"Authorization": "mine", "X-Other": "no"}}})
    await node.settle()
    connected = client.take()[0]["connect"]
    assert (connected["data"], connected["subs"]) == ("hi", {"news": {}})
    client.send({"id": 2, "subscribe": {"channel": "c", "data": 5}})
    await node.settle()
    assert client.take() == [{"id": 2, "subscribe": {}}]
    client.send({"id": 3, "publish": {"channel": "c", "data": 1}}, {"id": 4, "rpc": {"method": "m"}})
    await node.settle()
    info = {"user": "ann", "client": client.session.id, "conn_info": {"name": "Ann"}, "chan_info": {"role": 1}}
    push = {"push": {"channel": "c", "pub": {"data": {"x": 2}, "info": info, "tags": {"t": "v"}}}}
    assert client.take() == [push, {"id": 3, "publish": {}}, {"id": 4, "rpc": {"data": [1]}}]
    connect, subscribe, publish, rpc = hooks.seen
    assert dict(connect.headers) == {"cookie": "c=1", "authorization": "mine"}
    assert (connect.data, connect.via, connect.transport, connect.protocol) == (
        {"a": 1},
        "embedded",
        "websocket",
        "json",
    )
    assert (subscribe.user, subscribe.data, subscribe.raw_meta) == ("ann", 5, None)
    assert (publish.meta, rpc.method, rpc.data) == ({"k": 1}, "m", None)


async def test_order_of_commands(desk: Start) -> None:
    """One after another by default; as many at once as the configuration says."""
    for concurrency, expected in ((0, [2, 3]), (2, [3, 2])):
        gate = asyncio.Event()

        async def answer(event: Any, gate: asyncio.Event = gate) -> RPCResult:
            if event.method == "slow":
                await gate.wait()
            return RPCResult(data=1)

        config = {**ASKED, "client": {**ASKED["client"], "concurrency": concurrency}}
        node = await desk(Hooks(rpc=answer), **config)
        client = node.client(connect={})
        await node.settle()
        client.take()
        client.send({"id": 2, "rpc": {"method": "slow"}}, {"id": 3, "rpc": {"method": "quick"}})
        await node.settle()
        gate.set()
        await node.settle()
        assert [reply["id"] for reply in client.take()] == expected


async def test_hooks_are_cancelled_when_the_client_goes(desk: Start) -> None:
    """Nobody waits for the answer any more."""
    cancelled = []

    async def wait(event: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(event.method)
            raise

    node = await desk(Hooks(rpc=wait), **ASKED)
    client = node.client(connect={})
    await node.settle()
    client.send({"id": 2, "rpc": {"method": "m"}})
    await node.settle()
    client.session.disconnected()
    await node.settle()
    assert cancelled == ["m"]
    assert node.node.open == set() == set(node.node.clients)


async def test_too_many_commands(desk: Start) -> None:
    """A client that sends without end while a hook does not answer is sent away."""

    async def never(event: Any) -> None:
        await asyncio.Event().wait()

    node = await desk(Hooks(rpc=never), **ASKED)
    client = node.client(connect={})
    await node.settle()
    client.send(*({"id": 2 + n, "rpc": {"method": "m"}} for n in range(INBOX_LIMIT + 2)))
    assert client.closed == (3013, "too many requests")


async def test_unsubscribe_waits_for_the_subscription(desk: Start) -> None:
    """A client that leaves a channel before it is in gets both answers in order, and is not in."""
    gate = asyncio.Event()

    async def wait(event: Any) -> SubscribeResult:
        await gate.wait()
        return SubscribeResult()

    config = {**ASKED, "client": {**ASKED["client"], "concurrency": 8}}
    node = await desk(Hooks(subscribe=wait), **config)
    client = node.client(connect={})
    await node.settle()
    client.take()
    client.send({"id": 2, "subscribe": {"channel": "c"}}, {"id": 3, "unsubscribe": {"channel": "c"}})
    client.send({"id": 4, "subscribe": {"channel": "c"}})
    await node.settle()
    gate.set()
    await node.settle()
    twice = {"id": 4, "error": {"code": 105, "message": "already subscribed"}}
    assert client.take() == [twice, {"id": 2, "subscribe": {}}, {"id": 3, "unsubscribe": {}}]
    assert client.session.channels == {}
    assert node.node.hub.presence("c") == {}


async def test_refresh_by_hooks(desk: Start) -> None:
    """A connection whose time is over goes on as the hook says, for a minute when it fails, and not when it says so."""
    now = (await desk()).clock.time()
    answers: list[Any] = [
        RefreshResult(expire_at=int(now) + 20, info={"n": 2}),
        RuntimeError(),
        RefreshResult(expired=True),
    ]
    hooks = Hooks(connect=ConnectResult(user="ann", expire_at=int(now) + 10), subscribe=SubscribeResult())

    async def pop(event: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    hooks.answers["refresh"] = pop
    node = await desk(hooks, **ASKED)
    client = node.client(connect={})
    await node.settle()
    assert "ttl" not in client.take()[0]["connect"]
    client.send({"id": 2, "subscribe": {"channel": "c"}})
    await node.settle()
    for seconds, left in ((10, 2), (10, 1), (59, 1)):
        node.advance(seconds)
        await node.settle()
        assert (client.closed, len(answers)) == (None, left)
    client.take()
    client.send({"id": 3, "presence": {"channel": "c"}})
    assert client.take()[0]["presence"]["presence"][client.session.id]["conn_info"] == {"n": 2}
    node.advance(2)
    await node.settle()
    assert client.closed == (3005, "connection expired")


async def test_sub_refresh_by_hooks(desk: Start) -> None:
    """The same for a subscription, which ends with 2501."""
    now = int((await desk()).clock.time())
    answers: list[Any] = [SubRefreshResult(expire_at=now + 20), RuntimeError(), SubRefreshResult(expired=True)]
    hooks = Hooks(subscribe=SubscribeResult(expire_at=now + 5))

    async def pop(event: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    hooks.answers["sub_refresh"] = pop
    node = await desk(hooks, **ASKED)
    client = node.client(connect={})
    await node.settle()
    client.send({"id": 2, "subscribe": {"channel": "c"}})
    await node.settle()
    client.take()
    for _ in range(100):
        node.advance(1)
        await node.settle()
    pushes = [each for each in client.take() if each]
    assert pushes == [{"push": {"channel": "c", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}}]
    assert answers == []


async def test_unidirectional_clients(desk: Start) -> None:
    """They get bare pushes, a disconnect push before the closing, and have nothing to say after their start."""
    node = await desk(Hooks(connect=ConnectResult(user="u", channels=["c"])), **ASKED)
    client = node.client(wire=UNI_WEBSOCKET_JSON)
    client.session.receive(b"{}")
    await node.settle()
    connected = client.take()[0]["connect"]
    assert (connected["session"], connected["subs"], "pong" in connected) == (
        client.session.session_id,
        {"c": {}},
        False,
    )
    client.session.receive(b"garbage")
    client.session.disconnect(Disconnect(4000, "bye"))
    assert client.take() == [{"disconnect": {"code": 4000, "reason": "bye"}}]
    assert client.closed == (4000, "bye")
    for code, seen in ((109, 3005), (111, 3013), (1000, 3004)):
        refused = (await desk(Hooks(connect=ClientError(code, "x")), **ASKED)).client(wire=UNI_WEBSOCKET_JSON)
        refused.session.receive(b"{}")
        await node.settle()
        assert refused.take()[0]["disconnect"]["code"] == seen
    broken = node.client(wire=UNI_WEBSOCKET_JSON)
    broken.session.receive(b"garbage")
    assert broken.closed == BAD_REQUEST


async def test_limits(desk: Start) -> None:
    """Channels of a client, connections of a user, connections in all, and new ones in a second."""
    config = {"insecure": True, "channel_limit": 2, "connection_limit": 3, "connection_rate_limit": 2}
    node = await desk(client=config)
    assert node.node.admits_connection()
    client = node.user()
    assert [client.do("subscribe", channel=name) for name in "ab"] == [{}, {}]
    assert client.do("subscribe", channel="c") == {"code": 106, "message": "limit exceeded"}
    assert client.do("subscribe", channel="a" * 256) == {"code": 107, "message": "bad request"}
    assert (node.node.admits_connection(), node.node.admits_connection()) == (True, False)
    node.advance(1)
    assert node.node.admits_connection()
    node.user(), node.user()
    assert not node.node.admits_connection()
    one = await desk(client={"user_id_http_header": "X-User", "user_connection_limit": 1})
    one.user("ann")
    second = one.client(headers={"x-user": "ann"}, connect={})
    assert second.closed == (3504, "connection limit")


@pytest.mark.parametrize(
    ("code", "reason", "fits"), [(4000, "r" * 123, True), (4000, "ü" * 62, False), (999, "", False), (5000, "", False)]
)
async def test_codes_that_no_close_frame_carries(code: int, reason: str, fits: bool, desk: Start) -> None:
    """They drop the connection, as Centrifugo's do."""
    client = (await desk(**OPEN)).user()
    client.session.close(code, reason)
    assert client.closed == ((code, reason) if fits else "aborted")
    assert fits_close_frame(code, reason) is fits


async def test_shutdown(desk: Start) -> None:
    """Everybody is sent away with the code at which SDKs come back, and nobody is let in."""
    node = await desk(**OPEN)
    clients = [node.user(), node.user()]
    node.node.shut()
    assert [client.closed for client in clients] == [(3001, "shutdown")] * 2
    assert not node.node.admits_connection()
