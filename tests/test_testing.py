"""`rtbridge.testing`: one's hooks without a server, and a clock that the test moves."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from rtbridge import (
    Api,
    ClientError,
    Config,
    ConnectEvent,
    ConnectResult,
    Disconnect,
    Event,
    Publication,
    RefreshResult,
    RPCResult,
    SubRefreshResult,
    SubscribeBidirectionalEvent,
    SubscribeResult,
    SubscribeUnidirectionalEvent,
    hookimpl,
)
from rtbridge.bridge import StreamFailed
from rtbridge.testing import App, VirtualClock


class Records:
    """Keeps the events that came."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    @hookimpl
    async def on_event(self, event: Event, call_next: Any) -> Any:
        self.events.append(event)
        return await call_next(event)


async def test_each_call_makes_its_event() -> None:
    """What the test gives is what the hooks see."""
    records = Records()
    common: dict[str, Any] = {"headers": {"X-Trace": "abc"}, "client": "c-1", "deadline": 20}
    async with App([records]) as app:
        await app.connect(data={"a": 1}, channels=["x"], name="js", version="5", **common)
        await app.refresh(user="42", meta={"m": 1}, **common)
        await app.subscribe("c", user="42", data=[1], meta={"m": 1}, token="t", **common)
        await app.publish("c", b"\x00", user="42", meta={"m": 1}, **common)
        await app.rpc("m", "text", user="42", meta={"m": 1}, **common)
        await app.sub_refresh("c", user="42", meta={"m": 1}, **common)
    connect, refresh, subscribe, publish, rpc, sub_refresh = records.events
    for event in records.events:
        assert (event.client, event.transport, event.protocol, event.encoding) == ("c-1", "websocket", "json", "json")
        assert event.via == "memory"
        assert event.headers["x-trace"] == "abc"
        assert 0 < event.time_remaining() <= 20
        if event is not connect:
            assert (event.user, event.meta) == ("42", {"m": 1})
    assert (connect.data, connect.channels, connect.name, connect.version) == ({"a": 1}, ("x",), "js", "5")
    assert refresh.kind == "refresh"
    assert (subscribe.channel, subscribe.data, subscribe.token) == ("c", [1], "t")
    assert (publish.channel, publish.raw_data) == ("c", b"\x00")
    assert (rpc.method, rpc.data) == ("m", "text")
    assert sub_refresh.channel == "c"


async def test_an_event_without_anything() -> None:
    """Everything but the names may be left out."""
    records = Records()
    async with App([records]) as app:
        await app.connect()
        await app.rpc("m")
    for event in records.events:
        assert event.raw_data is None
        assert event.time_remaining() is None
        assert len(event.headers) == 0
        assert event.client


async def test_outcomes() -> None:
    """A result, a disconnect, an error, a failure and a denial are told apart."""

    class Plugin:
        @hookimpl
        async def on_connect(self, event: ConnectEvent) -> ConnectResult:
            if event.data == "go":
                raise Disconnect(4501)
            if event.data == "no":
                raise ClientError(1000)
            return ConnectResult(user="42")

        @hookimpl
        async def on_refresh(self) -> RefreshResult:
            raise RuntimeError

    async with App([Plugin()]) as app:
        let_in = await app.connect()
        assert (let_in.result.user, let_in.disconnect, let_in.error, let_in.denied_by_default) == (
            "42",
            None,
            None,
            False,
        )
        assert (await app.connect(data="go")).disconnect == Disconnect(4501)
        assert (await app.connect(data="no")).error == ClientError(1000)
        assert (await app.refresh()).failure == "internal"
        assert (await app.sub_refresh("c")).result.expired
        denied = await app.subscribe("c")
        assert denied.denied_by_default
        assert "no hook implements on_subscribe" in denied.why


async def test_what_no_wire_could_carry_fails_here_too() -> None:
    """Answers are written as for Centrifugo."""

    class Plugin:
        @hookimpl
        async def on_rpc(self) -> RPCResult:
            return RPCResult(data={1, 2}.__iter__())

    async with App([Plugin()]) as app:
        assert (await app.rpc("m")).error == ClientError("INTERNAL")


async def test_streams() -> None:
    """The publications of a stream come one by one, until it ends."""

    class Plugin:
        @hookimpl
        async def on_subscribe_unidirectional(self, event: SubscribeUnidirectionalEvent) -> AsyncIterator[Any]:
            yield SubscribeResult(data=event.channel)
            yield Publication(data=1)
            yield Publication(data=2)
            if event.user:
                raise RuntimeError

    async with App([Plugin()]) as app:
        stream = await app.stream(SubscribeUnidirectionalEvent(channel="c"))
        assert stream.outcome.result == SubscribeResult(data="c")
        assert [item.data async for item in stream] == [1, 2]
        failing = await app.stream(SubscribeUnidirectionalEvent(user="42"))
        items = aiter(failing)
        assert [(await anext(items)).data, (await anext(items)).data] == [1, 2]
        with pytest.raises(StreamFailed):
            await anext(items)
        denied = await app.stream(SubscribeBidirectionalEvent())
        assert denied.outcome.denied_by_default
        assert [item async for item in denied] == []


async def test_the_clock_is_virtual() -> None:
    """Expiries count from the test's clock."""
    clock = VirtualClock()

    class Plugin:
        @hookimpl
        async def on_sub_refresh(self, event: Event) -> SubRefreshResult:
            return SubRefreshResult(expire_at=timedelta(minutes=5))

    async with App([Plugin()], clock=clock) as app:
        clock.advance(10)
        reply = await app.memory.request("sub_refresh", b"{}", wire="json")
    assert reply.payload == b'{"result":{"expire_at":1767225910}}'


async def test_expiries_that_hooks_give_the_server_count_from_it() -> None:
    """Those of `api`, also of its `sync`."""

    class Plugin:
        @hookimpl
        async def on_rpc(self, event: Event, api: Api) -> RPCResult:
            await api.refresh("ann", expire_at=timedelta(seconds=60))
            await asyncio.to_thread(api.sync.refresh, "bob", expire_at=timedelta(seconds=60))
            return RPCResult()

    async with App([Plugin()], clock=VirtualClock(1000)) as app:
        assert (await app.rpc("x")).result == RPCResult()
        assert [(request.user, request.expire_at) for _, request in app.api.calls] == [("ann", 1060), ("bob", 1060)]


def test_a_clock_does_not_run_backwards() -> None:
    """Time moves when the test says so, and only forwards."""
    clock = VirtualClock(100)
    clock.advance(0)
    clock.advance(2.5)
    assert (clock.monotonic(), clock.time()) == (2.5, 102.5)
    with pytest.raises(ValueError, match="time does not run backwards"):
        clock.advance(-1)


async def test_configurations() -> None:
    """A Config or a mapping; installed plugins stay out unless asked for."""
    assert not App().runtime.config.rtbridge.entry_points
    assert App(config={"rtbridge": {"entry_points": True}}).runtime.config.rtbridge.entry_points
    given = Config()
    assert App(config=given).runtime.config is given
    assert App(config={"rtbridge": {"threads": 3}}).runtime.config.rtbridge.threads == 3


async def test_the_memory_transport_starts_and_stops() -> None:
    """It has the shape of every transport, and nothing to bind."""
    async with App() as app:
        await app.memory.start()
        await app.memory.stop(1)
        assert (app.memory.name, app.memory.address) == ("memory", "memory")
        pairs = app.memory.call([("a", "1"), ("A", "2")]).headers
        assert pairs.getall("a") == ["1", "2"]
