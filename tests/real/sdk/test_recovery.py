"""Clients that lose their connection and get what they missed, and publications that travel as differences."""

from typing import Any

import pytest

from tests.real.sdk.ways import JAVASCRIPT
from tests.tokens import sign

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]


async def cabled(start: Any, peer: Any, lay: Any, config: Any = None, **claims: Any) -> Any:
    """A server, a cable to it, and a client at the cable's end, connected as user 42."""
    stand = await start(config)
    cable = await lay(stand)
    await peer.connected(cable.address, token=sign({"sub": "42", **claims}))
    return stand, cable


async def test_recovery(start: Any, peer: Any, lay: Any) -> None:
    """After a cut the client gets each publication that it missed once, in order, and goes on from there."""
    stand, cable = await cabled(start, peer, lay)
    subscribed = await peer.subscribed("kept:room")
    assert (subscribed["recoverable"], subscribed["positioned"], subscribed["recovered"]) == (True, True, False)
    await stand.publish("kept:room", 1, 2)
    assert await peer.publications("kept:room", 2) == [1, 2]
    cable.cut()
    await peer.told("subscribing", "kept:room")
    await peer.told("subscribing", "kept:room")
    await stand.publish("kept:room", 3, 4, 5)
    cable.mend()
    again = await peer.told("subscribed", "kept:room")
    assert (again["was_recovering"], again["recovered"]) == (True, True)
    await stand.publish("kept:room", 6)
    assert await peer.publications("kept:room", 4) == [3, 4, 5, 6]
    assert peer.untold("publication", "kept:room") == 0


async def test_nothing_missed(start: Any, peer: Any, lay: Any) -> None:
    """A client that missed nothing is told that it is up to date."""
    stand, cable = await cabled(start, peer, lay)
    await peer.subscribed("kept:room")
    await stand.publish("kept:room", 1)
    await peer.publications("kept:room", 1)
    cable.cut()
    await peer.told("subscribing", "kept:room")
    cable.mend()
    again = await peer.told("subscribed", "kept:room")
    assert (again["was_recovering"], again["recovered"]) == (True, True)
    await stand.publish("kept:room", 2)
    assert await peer.publications("kept:room", 1) == [2]


async def test_too_much_missed(start: Any, peer: Any, lay: Any) -> None:
    """What history no longer has cannot be recovered: the client learns that, and where the channel is now."""
    stand, cable = await cabled(start, peer, lay)
    await peer.subscribed("short:room")
    await stand.publish("short:room", 1)
    await peer.publications("short:room", 1)
    cable.cut()
    await peer.told("subscribing", "short:room")
    await peer.told("subscribing", "short:room")
    await stand.publish("short:room", 2, 3, 4, 5)
    cable.mend()
    again = await peer.told("subscribed", "short:room")
    assert (again["was_recovering"], again["recovered"], again["position"]["offset"]) == (True, False, 5)
    await stand.publish("short:room", 6)
    assert await peer.publications("short:room", 1) == [6]


async def test_another_epoch(start: Any, peer: Any, lay: Any) -> None:
    """A server that has started anew knows nothing of the old positions, and says so."""
    stand, cable = await cabled(start, peer, lay)
    await peer.subscribed("kept:room")
    await stand.publish("kept:room", 1)
    await peer.publications("kept:room", 1)
    successor = await start()
    cable.target = successor.server.port
    cable.cut()
    await peer.told("subscribing", "kept:room")
    cable.mend()
    again = await peer.told("subscribed", "kept:room")
    assert (again["was_recovering"], again["recovered"]) == (True, False)


async def test_server_side_recovery(start: Any, peer: Any, lay: Any) -> None:
    """Server-side subscriptions recover as well."""
    stand, cable = await cabled(start, peer, lay, subs={"kept:room": {}})
    await peer.told("subscribed")
    await stand.publish("kept:room", 1)
    await peer.told("publication")
    cable.cut()
    await peer.told("subscribing")
    await stand.publish("kept:room", 2, 3)
    cable.mend()
    again = await peer.told("subscribed")
    assert (again["was_recovering"], again["recovered"]) == (True, True)
    assert await peer.publications("", 2) == [2, 3]


async def test_asked_for(start: Any, peer: Any, lay: Any) -> None:
    """Where it is not forced a client gets recovery and positioning by asking."""
    stand, cable = await cabled(start, peer, lay)
    plain = await peer.subscribed("room")
    assert (plain["recoverable"], plain["positioned"]) == (False, False)
    asked = await peer.subscribed("tagged:room", recoverable=True, positioned=True)
    assert (asked["recoverable"], asked["positioned"]) == (True, True)
    cable.cut()
    await peer.told("subscribing", "tagged:room")
    await stand.publish("tagged:room", 1)
    await stand.publish("room", 1)
    cable.mend()
    assert await peer.publications("tagged:room", 1) == [1]
    await peer.told("subscribed", "room")
    assert peer.untold("publication", "room") == 0


async def test_from_a_state(start: Any, peer: Any) -> None:
    """A client that has loaded its state elsewhere goes on from that state's position."""
    stand = await start()
    await peer.connected(stand.address, token=sign({"sub": "42"}))
    await stand.publish("kept:room", 1, 2, 3)
    top = await stand.api("history", channel="kept:room")
    position = {"offset": 1, "epoch": top["epoch"]}
    subscribed = await peer.subscribed("kept:room", states=[position])
    assert (subscribed["was_recovering"], subscribed["recovered"]) == (True, True)
    assert await peer.publications("kept:room", 2) == [2, 3]


async def test_from_a_lost_state(start: Any, peer: Any) -> None:
    """A position that the server cannot go on from makes the client load its state again."""
    stand = await start()
    await peer.connected(stand.address, token=sign({"sub": "42"}))
    await stand.publish("short:room", 1, 2, 3, 4)
    epoch = (await stand.api("history", channel="short:room"))["epoch"]
    states = [{"offset": 1, "epoch": epoch}, {"offset": 4, "epoch": epoch}]
    assert (await peer.subscribed("short:room", states=states))["recovered"] is True
    await peer.told("state", "short:room")
    await peer.told("state", "short:room")


async def test_cache(start: Any, peer: Any, lay: Any) -> None:
    """In cache mode a subscriber that was away gets the latest publication alone."""
    stand, cable = await cabled(start, peer, lay)
    await peer.subscribed("cache:room")
    await stand.publish("cache:room", 1)
    assert await peer.publications("cache:room", 1) == [1]
    cable.cut()
    await peer.told("subscribing", "cache:room")
    await stand.publish("cache:room", 2, 3)
    cable.mend()
    assert (await peer.told("subscribed", "cache:room"))["recovered"] is True
    await stand.publish("cache:room", 4)
    assert await peer.publications("cache:room", 2) == [3, 4]


def document(number: int) -> dict[str, Any]:
    """A payload most of which does not change."""
    return {"number": number, "text": "the same words again and again, é too", "more": ["unchanged"] * 20}


async def test_delta(start: Any, peer: Any) -> None:
    """With deltas the client gets what was published, whoever publishes, and in history, too."""
    stand = await start()
    await peer.connected(stand.address, token=sign({"sub": "42"}))
    await peer.subscribed("delta:room", delta=True)
    await stand.publish("delta:room", document(1), document(2))
    assert await peer.publications("delta:room", 2) == [document(1), document(2)]
    await peer.do("publish", channel="delta:room", data=document(3))
    assert await peer.publications("delta:room", 1) == [document(3)]
    await stand.publish("delta:room", "something else", document(4))
    assert await peer.publications("delta:room", 2) == ["something else", document(4)]
    page = await peer.do("history", channel="delta:room", limit=3)
    assert [each["data"] for each in page["publications"]] == [document(1), document(2), document(3)]


@JAVASCRIPT
async def test_deltas_are_small(start: Any, peer: Any) -> None:
    """What changes little travels as a difference."""
    stand = await start()
    await peer.connected(stand.address, token=sign({"sub": "42"}))
    await peer.subscribed("delta:room", delta=True)
    await stand.publish("delta:room", *(document(number) for number in range(5)))
    await peer.publications("delta:room", 5)
    stats = await peer.do("delta_stats", channel="delta:room")
    assert (stats["num_full_payloads"], stats["num_delta_payloads"]) == (1, 4)
    assert stats["bytes_received"] < stats["bytes_decoded"] / 2


async def test_delta_recovery(start: Any, peer: Any, lay: Any) -> None:
    """Recovered publications are read as they were published, and so are the differences that follow them."""
    stand, cable = await cabled(start, peer, lay)
    await peer.subscribed("delta:room", delta=True)
    await stand.publish("delta:room", document(1))
    await peer.publications("delta:room", 1)
    cable.cut()
    await peer.told("subscribing", "delta:room")
    await peer.told("subscribing", "delta:room")
    await stand.publish("delta:room", document(2), document(3))
    cable.mend()
    assert (await peer.told("subscribed", "delta:room"))["recovered"] is True
    await stand.publish("delta:room", document(4))
    assert await peer.publications("delta:room", 3) == [document(2), document(3), document(4)]


async def test_filtered_recovery(start: Any, peer: Any, lay: Any) -> None:
    """What a filter keeps away is not recovered either."""
    stand, cable = await cabled(start, peer, lay)
    only = {"key": "kind", "cmp": "eq", "val": "x"}
    await peer.subscribed("tagged:room", recoverable=True, tags_filter=only)
    await stand.publish("tagged:room", 1, tags={"kind": "x"})
    await peer.publications("tagged:room", 1)
    cable.cut()
    await peer.told("subscribing", "tagged:room")
    await peer.told("subscribing", "tagged:room")
    await stand.publish("tagged:room", 2, tags={"kind": "x"})
    await stand.publish("tagged:room", 3)
    await stand.publish("tagged:room", 4, tags={"kind": "x"})
    cable.mend()
    assert (await peer.told("subscribed", "tagged:room"))["recovered"] is True
    assert await peer.publications("tagged:room", 2) == [2, 4]
    assert peer.untold("publication", "tagged:room") == 0
