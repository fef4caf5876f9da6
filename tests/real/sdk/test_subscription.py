"""Subscriptions of the official clients: permission, tokens, publications, presence, history, pushes of the server."""

import time
from typing import Any

import pytest

from tests.real.sdk.ways import JAVASCRIPT, PATIENT
from tests.tokens import sign

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

DENIED = {"code": 103, "message": "permission denied"}


def token(channel: str, seconds: float | None = None, **claims: Any) -> str:
    """A subscription token; one that expires so many seconds from now, if it does."""
    dated = {} if seconds is None else {"exp": int(time.time() + seconds)}
    return sign({"sub": "42", "channel": channel, **dated, **claims})


async def met(start: Any, peer: Any, config: Any = None, *plugins: object) -> Any:
    """A server and a client that is connected to it as user 42."""
    stand = await start(config, *plugins)
    await peer.connected(stand.address, token=sign({"sub": "42"}))
    return stand


@pytest.mark.parametrize("payload", [{"text": "hé"}, [1, 2.5, None], "a\nline", 0, False, {}])
async def test_publish(payload: Any, start: Any, peer: Any) -> None:
    """What is published arrives as it was, with who published it; behind the server API there is nobody."""
    stand = await met(start, peer)
    await peer.subscribed("bare:room")
    assert await peer.do("publish", channel="bare:room", data=payload) == DENIED
    await peer.subscribed("room")
    assert await peer.do("publish", channel="room", data=payload) == {}
    mine = await peer.told("publication", "room")
    assert (mine["data"], mine["offset"], mine["info"]["user"]) == (payload, 1, "42")
    await stand.publish("room", payload, tags={"kind": "x"})
    assert await peer.told("publication", "room") == {"data": payload, "offset": 2, "tags": {"kind": "x"}}
    await stand.publish("bare:room", payload)
    assert await peer.told("publication", "bare:room") == {"data": payload}


async def test_publish_unsubscribed(start: Any, peer: Any) -> None:
    """Only subscribers may publish, read and look around here."""
    await met(start, peer)
    assert await peer.do("publish", channel="room", data={}) == DENIED
    assert await peer.do("presence", channel="room") == DENIED
    assert await peer.do("history", channel="room", limit=1) == DENIED
    assert await peer.do("presence", channel="nowhere:room") == {"code": 102, "message": "unknown channel"}


@pytest.mark.parametrize("channel", ["closed:room", "nowhere:room", "$private"])
async def test_refused(channel: str, start: Any, peer: Any) -> None:
    """A subscription that is not allowed ends, with the server's error."""
    await met(start, peer)
    await peer.subscribe(channel)
    unknown = {"code": 102, "reason": "unknown channel"}
    refused = {"code": 103, "reason": "permission denied"}
    assert await peer.told("unsubscribed", channel) == (unknown if channel == "nowhere:room" else refused)


async def test_token(start: Any, peer: Any) -> None:
    """A token opens a channel that nothing else opens, and can say what others see and what the subscriber gets."""
    await met(start, peer, {"channel": {"namespaces": [{"name": "closed", "presence": True, "join_leave": True}]}})
    grant = token(
        "closed:room", info={"seat": 7}, data={"topic": "t"}, override={"force_push_join_leave": {"value": True}}
    )
    assert (await peer.subscribed("closed:room", token=grant))["data"] == {"topic": "t"}
    assert (await peer.told("join", "closed:room"))["info"]["chan_info"] == {"seat": 7}


async def test_token_given_by_the_application(start: Any, peer: Any) -> None:
    """A client asks the application for a token, and again where the first one is past its time."""
    await met(start, peer)
    await peer.subscribed("closed:room", tokens=[token("closed:room", seconds=-10), token("closed:room")])
    await peer.told("token", "closed:room")
    await peer.told("token", "closed:room")


@pytest.mark.parametrize("given", ["nothing", "garbage"])
async def test_token_refused(given: str, start: Any, peer: Any) -> None:
    """Without a good token there is no subscription."""
    await met(start, peer)
    await peer.subscribe("closed:room", tokens=[None] if given == "nothing" else ["garbage"])
    unauthorized = {"code": 1, "reason": "unauthorized"}
    denied = {"code": 103, "reason": "permission denied"}
    assert await peer.told("unsubscribed", "closed:room") == (unauthorized if given == "nothing" else denied)


async def test_token_of_another(start: Any, peer: Any) -> None:
    """A token for another user's subscription ends the connection for good."""
    await met(start, peer)
    await peer.subscribe("closed:room", token=sign({"sub": "43", "channel": "closed:room"}))
    assert await peer.told("disconnected") == {"code": 3500, "reason": "invalid token"}


@PATIENT
async def test_refresh(start: Any, peer: Any) -> None:
    """A subscription lives on with another token, and ends where the application gives none."""
    await met(start, peer, {"client": {"expired_sub_close_delay": "1ms"}})
    await peer.subscribed("closed:kept", tokens=[token("closed:kept", seconds=2), token("closed:kept", seconds=60)])
    await peer.subscribed("closed:ended", tokens=[token("closed:ended", seconds=2), None])
    for channel in ("closed:kept", "closed:kept", "closed:ended", "closed:ended"):
        await peer.told("token", channel)
    assert await peer.told("unsubscribed", "closed:ended") == {"code": 1, "reason": "unauthorized"}
    assert peer.untold("unsubscribed", "closed:kept") == 0
    assert peer.untold("subscribed", "closed:kept") == 0


async def test_unsubscribe(start: Any, peer: Any) -> None:
    """A client that has left a channel hears nothing of it, and can come back."""
    stand = await met(start, peer)
    await peer.subscribed("room")
    await peer.do("unsubscribe", channel="room")
    assert await peer.told("unsubscribed", "room") == {"code": 0, "reason": "unsubscribe called"}
    await stand.becomes({"num_clients": 0, "num_users": 0}, "presence_stats", channel="room")
    await stand.publish("room", "missed")
    await peer.do("resubscribe", channel="room")
    await peer.told("subscribed", "room")
    await stand.publish("room", "heard")
    assert await peer.publications("room", 1) == ["heard"]


async def test_unsubscribed_by_the_server(start: Any, peer: Any) -> None:
    """The server API ends a subscription, and the client knows by whom it was ended."""
    stand = await met(start, peer)
    await peer.subscribed("room")
    await stand.api("unsubscribe", user="42", channel="room")
    assert await peer.told("unsubscribed", "room") == {"code": 2000, "reason": "server unsubscribe"}


async def test_server_side_subscriptions(start: Any, peer: Any) -> None:
    """Channels of the token are subscribed with the connection; the server API adds and takes away some."""
    stand = await start()
    claims = {"sub": "42", "subs": {"kept:room": {"data": {"topic": "t"}}, "bare:room": {}}}
    await peer.connected(stand.address, token=sign(claims))
    subscribed = {each["channel"]: each for each in [await peer.told("subscribed"), await peer.told("subscribed")]}
    assert subscribed.keys() == {"kept:room", "bare:room"}
    kept = subscribed["kept:room"]
    assert (kept["recoverable"], kept["positioned"], kept["data"]) == (True, True, {"topic": "t"})
    assert subscribed["bare:room"]["recoverable"] is False
    await stand.publish("kept:room", 1)
    assert await peer.told("publication") == {"channel": "kept:room", "data": 1, "offset": 1}
    await stand.api("subscribe", user="42", channel="lively:room", data={"by": "api"})
    added = await peer.told("subscribed")
    assert (added["channel"], added["data"]) == ("lively:room", {"by": "api"})
    assert (await peer.told("join"))["channel"] == "lively:room"
    await stand.api("unsubscribe", user="42", channel="lively:room")
    assert await peer.told("unsubscribed") == {"channel": "lively:room"}


async def test_personal_channel(start: Any, peer: Any) -> None:
    """Each user has a channel from the start, where the configuration says so."""
    stand = await start({"client": {"subscribe_to_user_personal_channel": {"enabled": True}}})
    await peer.connected(stand.address, token=sign({"sub": "42"}))
    assert (await peer.told("subscribed"))["channel"] == "#42"
    await stand.publish("#42", "psst")
    assert (await peer.told("publication"))["data"] == "psst"


async def test_presence(start: Any, peer: Any) -> None:
    """Presence has every connection with its user and info; the statistics count both."""
    stand = await start()
    users = {"a": "42", "b": "42", "c": "43"}
    clients = {}
    for name, user in users.items():
        grant = sign({"sub": user, "info": {"name": name}})
        clients[name] = (await peer.connected(stand.address, client=name, token=grant))["client"]
        await peer.subscribed("room", client=name)
    present = await peer.do("presence", channel="room")
    assert present["clients"] == {
        clients[name]: {"client": clients[name], "user": user, "conn_info": {"name": name}}
        for name, user in users.items()
    }
    assert await peer.do("presence_stats", channel="room") == {"num_clients": 3, "num_users": 2}
    await peer.do("disconnect", client="b")
    await peer.told("disconnected", client="b")
    await peer.do("unsubscribe", client="c", channel="room")
    await peer.told("unsubscribed", "room", client="c")
    await stand.server.left(2)
    assert await peer.do("presence_stats", channel="room") == {"num_clients": 1, "num_users": 1}
    await peer.subscribed("bare:room")
    assert await peer.do("presence", channel="bare:room") == {"code": 108, "message": "not available"}


async def test_join_and_leave(start: Any, peer: Any) -> None:
    """A client that asks for it hears who comes and goes, another one does not, unless it is forced on all."""
    stand = await met(start, peer)
    await peer.subscribed("room", join_leave=True)
    mine = await peer.told("join", "room")
    assert mine["info"]["user"] == "42"
    other = await peer.connected(stand.address, client="b", token=sign({"sub": "43", "info": {"name": "Bob"}}))
    bob = {"info": {"client": other["client"], "user": "43", "conn_info": {"name": "Bob"}}}
    await peer.subscribed("room", client="b")
    assert await peer.told("join", "room") == bob
    await peer.do("unsubscribe", client="b", channel="room")
    assert await peer.told("leave", "room") == bob
    assert peer.untold("join", "room", client="b") == 0
    await peer.subscribed("lively:room", client="b")
    assert await peer.told("join", "lively:room", client="b") == bob


async def test_history(start: Any, peer: Any) -> None:
    """History is read from either end, from a position, in pages."""
    stand = await met(start, peer)
    await peer.subscribed("room")
    await stand.publish("room", 1, 2, 3, 4, 5)
    top = await peer.do("history", channel="room")
    assert (top["offset"], top["publications"]) == (5, [])

    async def read(**options: Any) -> list[Any]:
        page = await peer.do("history", channel="room", **options)
        assert (page["offset"], page["epoch"]) == (5, top["epoch"])
        assert all(each["offset"] == each["data"] for each in page["publications"])
        return [each["data"] for each in page["publications"]]

    def since(offset: int) -> dict[str, Any]:
        return {"offset": offset, "epoch": top["epoch"]}

    assert await read(limit=2) == [1, 2]
    assert await read(limit=-1) == [1, 2, 3, 4, 5]
    assert await read(limit=2, reverse=True) == [5, 4]
    assert await read(limit=2, since=since(2)) == [3, 4]
    assert await read(limit=-1, since=since(5)) == []
    assert await read(limit=5, since=since(3), reverse=True) == [2, 1]
    lost = await peer.do("history", channel="room", limit=1, since={"offset": 1, "epoch": "another"})
    assert lost == {"code": 112, "message": "unrecoverable position"}
    await peer.subscribed("bare:room")
    assert await peer.do("history", channel="bare:room", limit=1) == {"code": 108, "message": "not available"}


async def test_history_has_publishers(start: Any, peer: Any) -> None:
    """A publication of a client keeps its publisher in history, and its tags."""
    stand = await met(start, peer)
    await peer.subscribed("room")
    await peer.do("publish", channel="room", data={"n": 1})
    await stand.publish("room", {"n": 2}, tags={"kind": "x"})
    mine, other = (await peer.do("history", channel="room", limit=2))["publications"]
    assert (mine["data"], mine["info"]["user"]) == ({"n": 1}, "42")
    assert (other["data"], other["tags"]) == ({"n": 2}, {"kind": "x"})
    assert "info" not in other


async def test_tags_filter(start: Any, peer: Any) -> None:
    """Only publications whose tags fit reach the subscriber."""
    stand = await met(start, peer)
    either = {"op": "or", "nodes": [{"key": "kind", "cmp": "eq", "val": "x"}, {"key": "size", "cmp": "gt", "val": "9"}]}
    await peer.subscribed("tagged:room", tags_filter=either)
    for data, tags in enumerate([{"kind": "x"}, {"kind": "y"}, {"size": "10"}, {}, {"size": "9"}, {"kind": "x"}]):
        await stand.publish("tagged:room", data, tags=tags)
    assert await peer.publications("tagged:room", 3) == [0, 2, 5]


async def test_tags_filter_off(start: Any, peer: Any) -> None:
    """Where filters are not allowed a subscription with one is refused."""
    await met(start, peer)
    await peer.subscribe("room", tags_filter={"key": "kind", "cmp": "eq", "val": "x"})
    assert await peer.told("unsubscribed", "room") == {"code": 107, "reason": "bad request"}


@JAVASCRIPT
async def test_batch(start: Any, peer: Any) -> None:
    """Many commands in one frame are all answered, each with its own answer."""
    await met(start, peer)
    await peer.subscribed("room")
    publishes = [("publish", {"channel": "room", "data": number}) for number in range(50)]
    answers = await peer.batch(*publishes, ("presence_stats", {"channel": "room"}), ("rpc", {"method": "m", "data": 1}))
    assert answers[:50] == [{}] * 50
    assert answers[50:] == [{"num_clients": 1, "num_users": 1}, {"code": 108, "message": "not available"}]
    assert await peer.publications("room", 50) == list(range(50))


@JAVASCRIPT
async def test_send(start: Any, peer: Any) -> None:
    """Messages to the server itself have no taker, which ends the connection."""
    await met(start, peer)
    await peer.do("send", data={"n": 1})
    assert await peer.told("disconnected") == {"code": 3508, "reason": "not available"}


async def test_limits(start: Any, peer: Any) -> None:
    """A channel's name and the number of a client's channels are limited."""
    await met(start, peer, {"client": {"channel_limit": 2}, "channel": {"max_length": 20}})
    await peer.subscribe("a-name-of-21-letters-")
    assert await peer.told("unsubscribed", "a-name-of-21-letters-") == {"code": 107, "reason": "bad request"}
    await peer.subscribed("one")
    await peer.subscribed("two")
    await peer.subscribe("three")
    assert await peer.told("unsubscribed", "three") == {"code": 106, "reason": "limit exceeded"}
