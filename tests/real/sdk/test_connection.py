"""Connections of the official clients: tokens, expiry, data, disconnects, reconnects."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.real.sdk.ways import PATIENT
from tests.tokens import sign

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]


def token(user: str = "42", seconds: float | None = None, **claims: Any) -> str:
    """A connection token; one that expires so many seconds from now, if it does."""
    dated: Mapping[str, Any] = {} if seconds is None else {"exp": int(time.time() + seconds)}
    return sign({"sub": user, **dated, **claims})


async def test_connect(start: Any, peer: Any) -> None:
    """A token lets the client in, who it is shows in presence, and rpc has nobody to answer it."""
    stand = await start()
    connected = await peer.connected(stand.address, token=token(info={"name": "Ann"}), version="1.2")
    assert connected.keys() == {"client"}
    await peer.subscribed("room")
    mine = {"client": connected["client"], "user": "42", "conn_info": {"name": "Ann"}}
    assert await peer.do("presence", channel="room") == {"clients": {connected["client"]: mine}}
    assert await peer.do("rpc", method="m", data={}) == {"code": 108, "message": "not available"}
    await peer.do("disconnect")
    assert await peer.told("disconnected") == {"code": 0, "reason": "disconnect called"}
    await stand.becomes({"presence": {}}, "presence", channel="room")


async def test_anonymous(start: Any, peer: Any) -> None:
    """Without a token a client is let in where the configuration says so, as nobody."""
    open_to_all = {"allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True, "join_leave": True}
    stand = await start(
        {
            "client": {"allow_anonymous_connect_without_token": True},
            "channel": {"namespaces": [{"name": "lively", **open_to_all, "force_push_join_leave": True}]},
        }
    )
    connected = await peer.connected(stand.address)
    await peer.subscribed("lively:room", join_leave=True)
    joined = await peer.told("join", "lively:room")
    assert joined == {"info": {"client": connected["client"], "user": ""}}


@pytest.mark.parametrize("given", ["nothing", "garbage", "another key", "another algorithm"])
async def test_refused(given: str, start: Any, peer: Any) -> None:
    """A client with no token or a false one is sent away for good."""
    tokens = {
        "nothing": "",
        "garbage": "no token",
        "another key": sign({"sub": "42"}, key="guess"),
        "another algorithm": sign({"sub": "42"}, alg="none"),
    }
    stand = await start()
    await peer.connect(stand.address, token=tokens[given])
    bad_request = {"code": 3501, "reason": "bad request"}
    invalid_token = {"code": 3500, "reason": "invalid token"}
    assert await peer.told("disconnected") == (bad_request if given == "nothing" else invalid_token)


async def test_an_expired_token_is_exchanged(start: Any, peer: Any) -> None:
    """A client whose token is past its time asks the application for another one, and gets in."""
    stand = await start()
    await peer.connected(stand.address, token=token(seconds=-10), tokens=[token(user="new")])
    await peer.told("token")
    await peer.subscribed("room")
    present = await peer.do("presence", channel="room")
    assert [each["user"] for each in present["clients"].values()] == ["new"]


async def test_turned_away(start: Any, peer: Any) -> None:
    """A user to whom the application gives no token is disconnected by the client itself."""
    stand = await start()
    await peer.connect(stand.address, tokens=[None])
    assert await peer.told("disconnected") == {"code": 1, "reason": "unauthorized"}


@PATIENT
async def test_refresh(start: Any, peer: Any) -> None:
    """Before the token's time is over the client gives another one; the connection stays, and is what that one says."""
    stand = await start({"client": {"expired_close_delay": "100ms"}})
    connected = await peer.connected(
        stand.address, token=token(seconds=2, info={"n": 1}), tokens=[token(seconds=60, info={"n": 2})]
    )
    await peer.subscribed("room")
    await peer.told("token")
    info: dict[str, Any] = {}
    while info.get("conn_info") != {"n": 2}:  # the new token is on its way
        await peer.do("publish", channel="room", data={})
        info = (await peer.told("publication", "room"))["info"]
    assert info == {"client": connected["client"], "user": "42", "conn_info": {"n": 2}}


@PATIENT
async def test_no_refresh(start: Any, peer: Any) -> None:
    """A connection whose token nobody renews is closed, and the client comes back with another one if it can."""
    stand = await start({"client": {"expired_close_delay": "100ms"}})
    await peer.connected(stand.address, token=token(seconds=2), tokens=["garbage"])
    await peer.told("token")
    assert await peer.told("disconnected") == {"code": 3500, "reason": "invalid token"}


@pytest.mark.parametrize(
    ("given", "seen", "returns"),
    [
        ({}, {"code": 3503, "reason": "force disconnect"}, False),
        ({"code": 3501, "reason": "no"}, {"code": 3501, "reason": "no"}, False),
        ({"code": 4501, "reason": "enough"}, {"code": 4501, "reason": "enough"}, False),
        ({"code": 4100, "reason": "later"}, {"code": 4100, "reason": "later"}, True),
        ({"code": 3005, "reason": "over"}, {"code": 3005, "reason": "over"}, True),
    ],
    ids=["force", "terminal", "application", "application-reconnect", "reconnect"],
)
async def test_disconnect(given: Any, seen: Any, returns: bool, start: Any, peer: Any) -> None:
    """The client is told the code and reason of the server API, and comes back where the code lets it."""
    stand = await start()
    await peer.connected(stand.address, token=token())
    await peer.told("connecting")
    await stand.api("disconnect", user="42", **({"disconnect": given} if given else {}))
    assert await peer.told("connecting" if returns else "disconnected") == seen
    if returns:
        await peer.told("connected")


async def test_disconnect_one_of_two(start: Any, peer: Any) -> None:
    """A disconnect can name one connection of a user, and spare one."""
    stand = await start()
    ids = {name: (await peer.connected(stand.address, client=name, token=token()))["client"] for name in "abc"}
    await stand.api("disconnect", user="42", client=ids["a"])
    await peer.told("disconnected", client="a")
    await stand.api("disconnect", user="42", whitelist=[ids["c"]])
    await peer.told("disconnected", client="b")
    await peer.subscribed("room", client="c")
    assert (await peer.do("presence_stats", client="c", channel="room")) == {"num_clients": 1, "num_users": 1}


async def test_shutdown(start: Any, peer: Any, lay: Any) -> None:
    """A server that ends says so with a code at which clients come back, here to its successor."""
    first, second = await start(), await start()
    cable = await lay(first)
    await peer.connected(cable.address, token=token())
    await peer.subscribed("room")
    await peer.told("connecting")
    cable.target = second.server.port
    first.server.terminate()
    assert await peer.told("connecting") == {"code": 3001, "reason": "shutdown"}
    await peer.told("connected")
    await peer.told("subscribed", "room")
    assert await second.api("presence_stats", channel="room") == {"num_clients": 1, "num_users": 1}


async def test_a_cut_connection(start: Any, peer: Any, lay: Any) -> None:
    """A client that loses its connection is a new one when it is back, and is subscribed again."""
    stand = await start()
    cable = await lay(stand)
    before = await peer.connected(cable.address, token=token())
    await peer.subscribed("room")
    cable.cut()
    await peer.told("subscribing", "room")
    cable.mend()
    after = await peer.told("connected")
    await peer.told("subscribed", "room")
    assert after["client"] != before["client"]
    await stand.publish("room", {"back": True})
    assert await peer.publications("room", 1) == [{"back": True}]


@PATIENT
async def test_silence(start: Any, peer: Any, lay: Any) -> None:
    """When the network swallows everything the client misses the pings and the server the pongs."""
    stand = await start({"client": {"ping_interval": "1s", "pong_timeout": "500ms"}})
    cable = await lay(stand)
    await peer.connected(cable.address, token=token(), ping_delay=0.5)
    await peer.connected(stand.address, client="witness", token=token(user="43"))
    await peer.subscribed("lively:room")
    await peer.subscribed("lively:room", client="witness", join_leave=True)
    await peer.told("connecting")
    cable.freeze()
    assert await peer.told("connecting") == {"code": 2, "reason": "no ping"}
    left = await peer.told("leave", "lively:room", client="witness")
    assert left["info"]["user"] == "42"
    cable.thaw()
    await peer.told("connected")
