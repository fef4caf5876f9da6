"""Hooks decide: in process behind the embedded server, over gRPC behind a Centrifugo. Clients see the same."""

import asyncio
from datetime import timedelta
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
    SubscribeOptions,
    SubscribeResult,
)
from tests.real.sdk.hooks import Answers
from tests.real.sdk.ways import PATIENT

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

IN = ConnectResult(user="42")

#: What clients say of a call whose connection ended.
CUT_OFF = {"code": 11, "message": "connection closed"}


def refusing(problem: Exception) -> Any:
    """A hook that raises."""

    def answer(event: Any) -> Any:
        raise problem

    return answer


async def test_connect(start: Any, peer: Any) -> None:
    """The hook learns what the client said and how it came, and says who it is, what it gets and where it listens."""
    plugin = Answers(
        connect=ConnectResult(
            user="42",
            info={"name": "Ann"},
            data={"hello": ["é", 1]},
            channels=["news"],
            subs={"room": SubscribeOptions(info={"seat": 1}, data={"topic": "t"})},
        )
    )
    # One client sends headers with its request, the other one in the connect command.
    headers = {"http_headers": ["Authorization"], "emulated_headers": ["Authorization"]}
    stand = await start({"client": {"proxy": {"connect": headers}}}, plugin)
    given = {"data": {"ticket": "é"}, "headers": {"Authorization": "Bearer t"}, "version": "1.2"}
    connected = await peer.connected(stand.address, **given)
    assert connected["data"] == {"hello": ["é", 1]}
    (event,) = plugin.seen["connect"]
    assert (event.client, event.name, event.version) == (connected["client"], peer.sdk, "1.2")
    assert (event.transport, event.protocol) == (peer.transport, "protobuf" if peer.protobuf else "json")
    assert (event.data, event.headers["authorization"]) == ({"ticket": "é"}, "Bearer t")
    subscribed = {each["channel"]: each for each in [await peer.told("subscribed"), await peer.told("subscribed")]}
    assert subscribed.keys() == {"news", "room"}
    assert subscribed["room"]["data"] == {"topic": "t"}
    present = (await peer.do("presence", channel="room"))["clients"]
    mine = {"client": connected["client"], "user": "42", "conn_info": {"name": "Ann"}, "chan_info": {"seat": 1}}
    assert present == {connected["client"]: mine}


@pytest.mark.parametrize("code", [4500, 4501, 3500])
async def test_connect_refused(code: int, start: Any, peer: Any) -> None:
    """A client that the hook sends away learns why, and stays away."""
    stand = await start({}, Answers(connect=refusing(Disconnect(code, "no entry"))))
    await peer.connect(stand.address)
    assert await peer.told("disconnected") == {"code": code, "reason": "no entry"}


@pytest.mark.parametrize("event", ["connect", "subscribe", "publish", "rpc"])
async def test_silence(event: str, start: Any, peer: Any) -> None:
    """Where no hook answers the client is sent away for good."""
    answers = {"connect": IN, "subscribe": SubscribeResult(), "publish": PublishResult(), "rpc": RPCResult()}
    stand = await start({}, Answers(**{**answers, event: None}))
    await peer.connect(stand.address)
    calls = {
        "publish": lambda: peer.do("publish", channel="room", data={}),
        "rpc": lambda: peer.do("rpc", method="m", data={}),
    }
    if event == "subscribe":
        await peer.subscribe("room")
    elif event in calls:
        await peer.told("connected")
        assert await calls[event]() == CUT_OFF
    assert await peer.told("disconnected") == {"code": 4500, "reason": "not handled"}


async def test_bugs_do_not_lock_out(start: Any, peer: Any) -> None:
    """After a hook that failed the client tries again by itself: to connect, and to subscribe."""
    asked = {"connect": 0, "subscribe": 0}

    def answer(event: Any) -> Any:
        asked[event.kind] += 1
        if asked[event.kind] == 1:
            raise ZeroDivisionError("a bug")
        return IN if event.kind == "connect" else SubscribeResult()

    stand = await start({}, Answers(connect=answer, subscribe=answer))
    await peer.connect(stand.address)
    assert await peer.told("error") == {"code": 100, "message": "internal server error"}
    await peer.told("connected")
    await peer.subscribe("room")
    assert await peer.told("error", "room") == {"code": 100, "message": "internal server error"}
    await peer.told("subscribed", "room")


async def test_subscribe(start: Any, peer: Any) -> None:
    """The hook learns who wants in where and with what, and decides for each channel."""

    def answer(event: Any) -> Any:
        if event.channel == "refused":
            raise ClientError(1403, "not yours")
        return SubscribeResult(data={"topic": "é"}, info={"seat": 3})

    plugin = Answers(connect=IN, subscribe=answer)
    stand = await start({}, plugin)
    connected = await peer.connected(stand.address)
    assert (await peer.subscribed("room", data={"since": 5}))["data"] == {"topic": "é"}
    (event,) = plugin.seen["subscribe"]
    assert (event.client, event.user, event.channel) == (connected["client"], "42", "room")
    assert event.data == {"since": 5}
    present = (await peer.do("presence", channel="room"))["clients"]
    assert present[connected["client"]]["chan_info"] == {"seat": 3}
    await peer.subscribe("refused")
    assert await peer.told("unsubscribed", "refused") == {"code": 1403, "reason": "not yours"}


async def test_subscribe_disconnects(start: Any, peer: Any) -> None:
    """A hook can send a client away for what it wants to subscribe to."""
    stand = await start({}, Answers(connect=IN, subscribe=refusing(Disconnect(4501, "enough"))))
    await peer.connected(stand.address)
    await peer.subscribe("room")
    assert await peer.told("disconnected") == {"code": 4501, "reason": "enough"}


async def test_publish(start: Any, peer: Any) -> None:
    """The hook can let a publication pass, change it, or refuse it; the publisher need not be subscribed."""

    def answer(event: Any) -> Any:
        if event.data == "refuse":
            raise ClientError(1000, "refused")
        if event.data == "change":
            return PublishResult(data={"was": "change"}, tags={"kind": "x"})
        return PublishResult()

    plugin = Answers(connect=IN, subscribe=SubscribeResult(), publish=answer)
    stand = await start({}, plugin)
    await peer.connected(stand.address)
    await peer.connected(stand.address, client="b")
    await peer.subscribed("room", client="b")
    assert await peer.do("publish", channel="room", data="refuse") == {"code": 1000, "message": "refused"}
    assert await peer.do("publish", channel="room", data="pass") == {}
    assert await peer.do("publish", channel="room", data="change") == {}
    passed = await peer.told("publication", "room", client="b")
    assert (passed["data"], passed["offset"], passed["info"]["user"]) == ("pass", 1, "42")
    changed = await peer.told("publication", "room", client="b")
    assert (changed["data"], changed["offset"], changed["tags"]) == ({"was": "change"}, 2, {"kind": "x"})
    assert [event.channel for event in plugin.seen["publish"]] == ["room"] * 3


async def test_rpc(start: Any, peer: Any) -> None:
    """A call's answer is the hook's: data, an error, or the end of the connection."""

    def answer(event: Any) -> Any:
        if event.method == "refused":
            raise ClientError(1000, "custom")
        if event.method == "broken":
            raise ZeroDivisionError("a bug")
        if event.method == "out":
            raise Disconnect(4501, "go away")
        return RPCResult(data={"sum": sum(event.data)})

    stand = await start({}, Answers(connect=IN, rpc=answer))
    await peer.connected(stand.address)
    assert await peer.do("rpc", method="sum", data=[1, 2, 3]) == {"data": {"sum": 6}}
    assert await peer.do("rpc", method="refused", data={}) == {"code": 1000, "message": "custom"}
    assert await peer.do("rpc", method="broken", data={}) == {"code": 100, "message": "internal server error"}
    assert await peer.do("rpc", method="out", data={}) == CUT_OFF
    assert await peer.told("disconnected") == {"code": 4501, "reason": "go away"}


@pytest.mark.parametrize("concurrency", [0, 8])
async def test_concurrency(concurrency: int, start: Any, peer: Any) -> None:
    """Calls of a connection are answered one after another, and beside each other where the configuration says so."""
    both = asyncio.Event()
    active = most = 0

    async def answer(event: Any) -> RPCResult:
        nonlocal active, most
        active += 1
        most = max(most, active)
        if active == 2:
            both.set()
        if concurrency:
            await both.wait()
        else:
            await stand.api("info")  # the other call has the time to come meanwhile
        active -= 1
        return RPCResult(data=event.method)

    stand = await start({"client": {"concurrency": concurrency}}, Answers(connect=IN, rpc=answer))
    await peer.connected(stand.address)
    answers = await asyncio.gather(*(peer.do("rpc", method=name, data={}) for name in ("first", "second")))
    assert answers == [{"data": "first"}, {"data": "second"}]
    # A Centrifugo takes every request to the emulation endpoint by itself, whatever the configuration says.
    assert most == (2 if concurrency else 1) or peer.transport != "websocket"


@PATIENT
async def test_refresh(start: Any, peer: Any) -> None:
    """The hook is asked when a connection's time is over; the client learns of it only when the hook ends it."""
    answers = [RefreshResult(expire_at=timedelta(seconds=1), meta={"turn": 1}), RefreshResult(expired=True)]
    connects = [ConnectResult(user="42", expire_at=timedelta(seconds=1), meta={"turn": 0}), IN]
    plugin = Answers(connect=lambda event: connects.pop(0), refresh=lambda event: answers.pop(0))
    stand = await start({"client": {"proxy": {"refresh": {"enabled": True, "include_connection_meta": True}}}}, plugin)
    connected = await peer.connected(stand.address)
    await peer.told("connecting")
    assert await peer.told("connecting") == {"code": 3005, "reason": "connection expired"}
    assert (await peer.told("connected"))["client"] != connected["client"]
    assert [(event.client, event.meta) for event in plugin.seen["refresh"]] == [
        (connected["client"], {"turn": 0}),
        (connected["client"], {"turn": 1}),
    ]


@PATIENT
async def test_sub_refresh(start: Any, peer: Any) -> None:
    """The hook prolongs subscriptions whose time is over, or ends them, whereupon the client subscribes anew."""
    subscribes = {"kept": 0, "ended": 0}

    def subscribe(event: Any) -> SubscribeResult:
        subscribes[event.channel] += 1
        return SubscribeResult(expire_at=timedelta(seconds=1 if subscribes[event.channel] == 1 else 600))

    def refresh(event: Any) -> SubRefreshResult:
        if event.channel == "kept":
            return SubRefreshResult(expire_at=timedelta(seconds=600), info={"seat": 2})
        return SubRefreshResult(expired=True)

    plugin = Answers(connect=IN, subscribe=subscribe, sub_refresh=refresh)
    stand = await start({"client": {"expired_sub_close_delay": "1ms"}}, plugin)
    connected = await peer.connected(stand.address)
    await peer.subscribed("kept")
    await peer.subscribed("ended")
    await peer.told("subscribing", "ended")
    assert await peer.told("subscribing", "ended") == {"code": 2501, "reason": "subscription expired"}
    await peer.told("subscribed", "ended")
    assert subscribes == {"kept": 1, "ended": 2}
    mine: dict[str, Any] = {}
    while "chan_info" not in mine:  # a Centrifugo tells presence with the next of its updates
        mine = (await peer.do("presence", channel="kept"))["clients"][connected["client"]]
    assert mine["chan_info"] == {"seat": 2}
