"""One suite for every way that a call travels: local, HTTP, gRPC; awaited and blocking; embedded and Centrifugo."""

import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from rtbridge import (
    JSON_NULL,
    Api,
    ApiError,
    ApiFailure,
    Command,
    Disconnect,
    Position,
    PresenceStats,
    SubscribeOptionOverride,
)

pytestmark = pytest.mark.timeout(60)


async def refused(call: Awaitable[Any]) -> tuple[int, str]:
    """The code and message of the error that a call raises; it is the server's."""
    with pytest.raises(ApiError) as caught:
        await call
    assert not isinstance(caught.value, ApiFailure), caught.value
    return caught.value.code, caught.value.message


async def test_publish(api: Api, witness: Any) -> None:
    """A publication is numbered where there is history; once is once, by its key and by its version."""
    peer, _ = await witness()
    await peer.subscribed("room")
    first = await api.publish("room", {"n": 1}, tags={"kind": "x"})
    assert (first.offset, bool(first.epoch)) == (1, True)
    assert await peer.told("publication", "room") == {"data": {"n": 1}, "offset": 1, "tags": {"kind": "x"}}
    assert (await api.publish("room", 2, idempotency_key="k")).offset == 2
    assert (await api.publish("room", 2, idempotency_key="k")).offset == 2
    assert await api.publish("room", 3, skip_history=True) == Position()
    assert (await api.publish("room", b'{"n":4}')).offset == 3
    assert (await api.publish("room", 5, version=9, version_epoch="e")).offset == 4
    assert (await api.publish("room", 6, version=8, version_epoch="e")).offset == 4
    await api.publish("room", "last")
    assert await peer.publications("room", 5) == [2, 3, {"n": 4}, 5, "last"]


async def test_values(api: Api) -> None:
    """JSON goes in and comes out as it is, whatever it holds."""
    values: list[Any] = [0, "", [], {}, False, None, "schön 🎉\u2028", 1.5, 2**53, [{"a": [None]}]]
    for value in values:
        await api.publish("room", JSON_NULL if value is None else value)
    history = await api.history("room", limit=-1)
    assert [each.data for each in history.publications] == values
    assert [type(each.data) for each in history.publications] == [type(value) for value in values]


async def test_publish_refused(api: Api) -> None:
    """Errors are typed, with the server's code."""
    assert await refused(api.publish("nowhere:room", 1)) == (102, "unknown channel")
    assert await refused(api.publish("", 1)) == (107, "bad request")
    assert await refused(api.publish("room", None)) == (107, "bad request")


async def test_broadcast(api: Api, witness: Any) -> None:
    """Each channel has its own answer, and one that fails does not stop the others."""
    peer, _ = await witness()
    await peer.subscribed("room")
    first, second, third = await api.broadcast(["room", "nowhere:x", "bare:x"], [1], tags={"a": "b"})
    assert isinstance(first, Position)
    assert isinstance(second, ApiError)
    assert (first.offset, second.code, third) == (1, 102, Position())
    assert await peer.publications("room", 1) == [[1]]
    assert await refused(api.broadcast([], 1)) == (107, "bad request")


async def test_subscribe_and_unsubscribe(api: Api, witness: Any) -> None:
    """A user's connections are subscribed and unsubscribed by the server, with options of their own."""
    peer, client = await witness()
    override = SubscribeOptionOverride(force_recovery=True, presence=True)
    expiry = timedelta(hours=1)
    await api.subscribe("42", "room", info={"seat": 1}, data={"topic": "t"}, override=override, expire_at=expiry)
    subscribed = await peer.told("subscribed")
    assert (subscribed["channel"], subscribed["recoverable"], subscribed["data"]) == ("room", True, {"topic": "t"})
    present = await api.presence("room")
    assert (present[client].chan_info, present[client].conn_info) == ({"seat": 1}, {"name": "Ann"})
    await api.unsubscribe("42", "room")
    assert await peer.told("unsubscribed") == {"channel": "room"}
    await api.subscribe("42", "room", client="another")
    await api.subscribe("42", "mine", client=client)
    assert (await peer.told("subscribed"))["channel"] == "mine"
    assert await refused(api.subscribe("42", "nowhere:room")) == (102, "unknown channel")


async def test_disconnect(api: Api, witness: Any) -> None:
    """A user's connections are closed, some or all."""
    peer, client = await witness()
    await api.disconnect("42", whitelist=[client])
    await api.disconnect("42", client="another")
    await peer.subscribed("room")
    await api.disconnect("42", Disconnect(4501, "enough"), client=client)
    assert await peer.told("disconnected") == {"code": 4501, "reason": "enough"}


async def test_refresh(api: Api, witness: Any) -> None:
    """A connection is given a new time to live, or ended as expired."""
    peer, client = await witness()
    await peer.told("connecting")
    await api.refresh("42", expire_at=int(time.time()) + 60, info={"name": "Bea"})
    await api.refresh("42", client=client, expired=True)
    assert await peer.told("connecting") == {"code": 3005, "reason": "connection expired"}


async def test_presence(api: Api, witness: Any) -> None:
    """Who is in a channel, and how many."""
    peer, client = await witness()
    assert await api.presence("room") == {}
    await peer.subscribed("room")
    present = await api.presence("room")
    assert {each: (info.user, info.client) for each, info in present.items()} == {client: ("42", client)}
    assert await api.presence_stats("room") == PresenceStats(1, 1)
    assert await refused(api.presence("bare:room")) == (108, "not available")
    assert await refused(api.presence_stats("bare:room")) == (108, "not available")


async def test_history(api: Api) -> None:
    """What was published, in pages, and how it is forgotten."""
    for number in (1, 2, 3, 4):
        top = await api.publish("room", number, tags={"kind": "x"})

    async def read(**options: Any) -> list[Any]:
        page = await api.history("room", **options)
        assert page.position == top
        return [each.data for each in page.publications]

    assert await read() == []
    assert await read(limit=-1) == [1, 2, 3, 4]
    assert await read(limit=2) == [1, 2]
    assert await read(limit=2, reverse=True) == [4, 3]
    assert await read(limit=2, since=Position(1, top.epoch)) == [2, 3]
    (first,) = (await api.history("room", limit=1)).publications
    assert (first.offset, first.tags, first.info) == (1, {"kind": "x"}, None)
    lost = api.history("room", limit=1, since=Position(1, "another"))
    assert await refused(lost) == (112, "unrecoverable position")
    await api.history_remove("room")
    assert await read(limit=-1) == []
    assert await refused(api.history("bare:room")) == (108, "not available")
    assert await refused(api.history_remove("bare:room")) == (108, "not available")


async def test_channels(api: Api, witness: Any) -> None:
    """Channels with subscribers, all of them or those whose names fit."""
    await witness()
    for channel in ("bare:1", "bare:2", "other"):
        await api.subscribe("42", channel)
    assert await api.channels() == {"bare:1": 1, "bare:2": 1, "other": 1}
    assert await api.channels("bare:*") == {"bare:1": 1, "bare:2": 1}
    assert await api.channels("none:*") == {}


async def test_info(api: Api) -> None:
    """One node, which says who it is."""
    (node,) = await api.info()
    assert node.uid
    assert node.name
    assert node.version


async def test_rpc(api: Api) -> None:
    """The stock server has no extensions."""
    assert await refused(api.rpc("x", {"a": 1})) == (104, "not found")
    with pytest.raises(ValueError, match=r"^params: the server API takes JSON here, and these bytes are none$"):
        await api.rpc("x", b"\xff")


async def test_batch(api: Api) -> None:
    """Calls of several kinds in one request; each has its result or its error, in its place."""
    for parallel in (False, True):
        found = await api.batch(
            [
                Command.publish("room", 1),
                Command.presence("bare:room"),
                Command.broadcast(["room", "nowhere:x"], 2),
                Command.unsubscribe("42", "room"),
                Command.info(),
                Command.rpc("x"),
                Command.map_stats("room"),
            ],
            parallel=parallel,
        )
        published, present, (sent, unknown), nothing, (node,), rpc, stats = found  # type: ignore[misc]
        assert isinstance(published, Position)
        assert isinstance(sent, Position)
        assert nothing is None
        assert node.name
        assert [error.code for error in (present, unknown, rpc, stats)] == [108, 102, 104, 107]
    assert (await api.history("room")).position.offset == 4
    assert await api.batch([]) == []


async def test_maps(api: Api, stand: Any) -> None:
    """Map channels, where the server has them; elsewhere they are refused by code."""
    if not stand.real:
        for call in (
            api.map_publish("room", "k", 1),
            api.map_remove("room", "k"),
            api.map_read_state("room"),
            api.map_read_stream("room"),
            api.map_stats("room"),
            api.map_clear("room"),
            api.shared_poll_publish("room", "k", 1, version=1),
        ):
            assert await refused(call) == (107, "bad request")
        return
    await api.map_publish("board:a", "one", {"n": 1}, tags={"t": "v"}, idempotency_key="k")
    await api.map_publish("board:a", "two", b"[2]")
    again = await api.map_publish("board:a", "one", 3, key_mode="if_new")
    assert (again.suppressed, bool(again.suppress_reason)) == (True, True)
    assert await api.map_stats("board:a") == 2
    state = await api.map_read_state("board:a", limit=10)
    assert {entry.key: entry.data for entry in state.entries} == {"one": {"n": 1}, "two": [2]}
    (one,) = (await api.map_read_state("board:a", key="one")).entries
    assert (one.key, one.tags, one.removed) == ("one", {"t": "v"}, False)
    assert not (await api.map_remove("board:a", "one")).suppressed
    await api.map_clear("board:a")
    assert (await api.map_read_state("board:a", limit=10)).entries == ()
    assert await refused(api.map_stats("room")) == (107, "bad request")


async def test_binary(api: Api, stand: Any) -> None:
    """Bytes go in over every wire; only gRPC has a way for them to come out."""
    assert (await api.publish("binary:a", b"\xff\x00")).offset == 1
    if stand.wire.startswith("grpc"):
        (found,) = (await api.history("binary:a", limit=1)).publications
        assert found.data == b"\xff\x00"
    elif stand.real:
        with pytest.raises(ApiFailure, match="answers HTTP 500"):
            await api.history("binary:a", limit=1)
    else:
        assert await refused(api.history("binary:a", limit=1)) == (100, "internal server error")


async def test_a_key_that_is_wrong(stand: Any) -> None:
    """Nothing is done, and the text says where to look, without the key."""
    if stand.wire == "local":
        return
    stranger = stand.client(key="guess")
    said = "refuses the token; give" if stand.wire.startswith("control") else "refuses the API key: check"
    with pytest.raises(ApiFailure, match=said) as caught:
        await stranger.publish("room", 1)
    await stranger.close()
    assert (caught.value.code, caught.value.may_have_happened, caught.value.temporary) == (0, False, False)
    assert "guess" not in f"{caught.value}{caught.value!r}{stranger!r}{stand.settings('guess')!r}"
    assert (await stand.api.history("room")).position.offset == 0


async def test_a_client_can_be_used_after_it_was_closed(api: Api) -> None:
    """Closing ends what is open; the next call opens it again."""
    await api.publish("room", 1)
    await api.close()
    await api.close()
    assert (await api.publish("room", 2)).offset == 2
