"""The official client of the server API, every method of it that the open source server has."""

import time
from collections.abc import AsyncIterator
from typing import Any

import cent
import pytest

from tests.real.sdk.python_peer import PythonPeer
from tests.tokens import sign

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]


class Desk:
    """A server, its API through the official client, and a connected client as a witness."""

    def __init__(self, stand: Any, witness: PythonPeer, client: str) -> None:
        self.stand = stand
        self.witness = witness
        self.client = client
        self.api = cent.AsyncClient(f"{stand.server.http}/api", "key")


@pytest.fixture
async def desk(start: Any) -> AsyncIterator[Desk]:
    """The desk; its witness is user 42 and subscribed to nothing."""
    stand = await start()
    witness = PythonPeer(protobuf=False)
    connected = await witness.connected(stand.address, token=sign({"sub": "42", "info": {"name": "Ann"}}))
    made = Desk(stand, witness, connected["client"])
    yield made
    await witness.close()
    await made.api.close()


async def refused(call: Any) -> tuple[int, str]:
    """The code and message of the typed error that a call raises."""
    with pytest.raises(cent.CentApiResponseError) as caught:
        await call
    return caught.value.code, caught.value.message


async def test_publish(desk: Any) -> None:
    """A publication is numbered where there is history, and once is once: by its key, and by its version."""
    await desk.witness.subscribed("room")
    first = await desk.api.publish(cent.PublishRequest(channel="room", data={"n": 1}, tags={"kind": "x"}))
    assert (first.offset, bool(first.epoch)) == (1, True)
    assert await desk.witness.told("publication", "room") == {"data": {"n": 1}, "offset": 1, "tags": {"kind": "x"}}
    keyed = cent.PublishRequest(channel="room", data=2, idempotency_key="k")
    assert (await desk.api.publish(keyed)).offset == (await desk.api.publish(keyed)).offset == 2
    skipped = await desk.api.publish(cent.PublishRequest(channel="room", data=3, skip_history=True))
    assert (skipped.offset, skipped.epoch) == (0, "")
    encoded = await desk.api.publish(cent.PublishRequest(channel="room", data=None, b64data="eyJuIjo0fQ=="))
    assert encoded.offset == 3
    versions = [  # which the client passes on without a name for it
        cent.PublishRequest.model_validate({"channel": "room", "data": data, "version": version})
        for data, version in ((5, 9), (6, 8))
    ]
    newer, older = [await desk.api.publish(request) for request in versions]
    assert (newer.offset, older.offset) == (4, 4)
    await desk.api.publish(cent.PublishRequest(channel="room", data="last"))
    assert await desk.witness.publications("room", 5) == [2, 3, {"n": 4}, 5, "last"]


async def test_publish_refused(desk: Any) -> None:
    """Errors are typed exceptions with the server's code."""
    publish = desk.api.publish
    assert await refused(publish(cent.PublishRequest(channel="nowhere:room", data=1))) == (102, "unknown channel")
    assert await refused(publish(cent.PublishRequest(channel="", data=1))) == (107, "bad request")
    assert await refused(publish(cent.PublishRequest(channel="room", data=None))) == (107, "bad request")


async def test_broadcast(desk: Any) -> None:
    """One publication for many channels: each has its own answer, and one that fails does not stop the others."""
    await desk.witness.subscribed("room")
    result = await desk.api.broadcast(cent.BroadcastRequest(channels=["room", "nowhere:x", "bare:x"], data=[1]))
    answers = [each.error.code if each.error else each.result.offset for each in result.responses]
    assert answers == [1, 102, 0]
    assert await desk.witness.publications("room", 1) == [[1]]


async def test_subscribe_and_unsubscribe(desk: Any) -> None:
    """A user's connections are subscribed and unsubscribed by the server, with options of their own."""
    override = cent.ChannelOptionsOverride(
        force_recovery=cent.BoolValue(value=True), presence=cent.BoolValue(value=True)
    )
    request = cent.SubscribeRequest(user="42", channel="room", info={"seat": 1}, data={"topic": "t"}, override=override)
    await desk.api.subscribe(request)
    subscribed = await desk.witness.told("subscribed")
    assert (subscribed["channel"], subscribed["recoverable"], subscribed["data"]) == ("room", True, {"topic": "t"})
    present = (await desk.api.presence(cent.PresenceRequest(channel="room"))).presence
    assert (present[desk.client].chan_info, present[desk.client].conn_info) == ({"seat": 1}, {"name": "Ann"})
    await desk.api.unsubscribe(cent.UnsubscribeRequest(user="42", channel="room"))
    assert await desk.witness.told("unsubscribed") == {"channel": "room"}
    await desk.api.subscribe(cent.SubscribeRequest(user="42", channel="room", client="another"))
    await desk.api.subscribe(cent.SubscribeRequest(user="42", channel="mine", client=desk.client))
    assert (await desk.witness.told("subscribed"))["channel"] == "mine"
    unknown = cent.SubscribeRequest(user="42", channel="nowhere:room")
    assert await refused(desk.api.subscribe(unknown)) == (102, "unknown channel")


async def test_disconnect(desk: Any) -> None:
    """A user's connections are closed, some or all."""
    keep = cent.DisconnectRequest(user="42", whitelist=[desk.client])
    other = cent.DisconnectRequest(user="42", client="another")
    await desk.api.disconnect(keep)
    await desk.api.disconnect(other)
    await desk.witness.subscribed("room")
    custom = cent.Disconnect(code=4501, reason="enough")
    await desk.api.disconnect(cent.DisconnectRequest(user="42", client=desk.client, disconnect=custom))
    assert await desk.witness.told("disconnected") == {"code": 4501, "reason": "enough"}


async def test_refresh(desk: Any) -> None:
    """A connection is given a new time to live, or ended as expired."""
    await desk.api.refresh(cent.RefreshRequest(user="42", expire_at=int(time.time()) + 60))
    await desk.witness.told("connecting")
    await desk.api.refresh(cent.RefreshRequest(user="42", client=desk.client, expired=True))
    assert await desk.witness.told("connecting") == {"code": 3005, "reason": "connection expired"}


async def test_presence(desk: Any) -> None:
    """Who is in a channel, and how many."""
    empty = await desk.api.presence(cent.PresenceRequest(channel="room"))
    assert empty.presence == {}
    await desk.witness.subscribed("room")
    present = (await desk.api.presence(cent.PresenceRequest(channel="room"))).presence
    assert {client: (info.user, info.client) for client, info in present.items()} == {desk.client: ("42", desk.client)}
    stats = await desk.api.presence_stats(cent.PresenceStatsRequest(channel="room"))
    assert (stats.num_clients, stats.num_users) == (1, 1)
    off = (108, "not available")
    assert await refused(desk.api.presence(cent.PresenceRequest(channel="bare:room"))) == off
    assert await refused(desk.api.presence_stats(cent.PresenceStatsRequest(channel="bare:room"))) == off


async def test_history(desk: Any) -> None:
    """What was published, in pages, and how it is forgotten."""
    await desk.stand.publish("room", 1, 2, 3, 4, tags={"kind": "x"})

    async def read(**options: Any) -> list[Any]:
        page = await desk.api.history(cent.HistoryRequest(channel="room", **options))
        assert page.offset == 4
        return [each.data for each in page.publications]

    assert await read() == []
    assert await read(limit=-1) == [1, 2, 3, 4]
    assert await read(limit=2) == [1, 2]
    assert await read(limit=2, reverse=True) == [4, 3]
    top = await desk.api.history(cent.HistoryRequest(channel="room", limit=1))
    assert (top.publications[0].offset, top.publications[0].tags) == (1, {"kind": "x"})
    assert await read(limit=2, since=cent.StreamPosition(offset=1, epoch=top.epoch)) == [2, 3]
    lost = cent.HistoryRequest(channel="room", limit=1, since=cent.StreamPosition(offset=1, epoch="another"))
    assert await refused(desk.api.history(lost)) == (112, "unrecoverable position")
    await desk.api.history_remove(cent.HistoryRemoveRequest(channel="room"))
    assert await read(limit=-1) == []
    off = (108, "not available")
    assert await refused(desk.api.history(cent.HistoryRequest(channel="bare:room"))) == off
    assert await refused(desk.api.history_remove(cent.HistoryRemoveRequest(channel="bare:room"))) == off


async def test_channels(desk: Any) -> None:
    """Channels with subscribers, all of them or those whose names fit."""
    for channel in ("room:1", "room:2", "kept:1"):
        await desk.api.subscribe(cent.SubscribeRequest(user="42", channel=channel.replace("room:", "bare:")))
    found = (await desk.api.channels(cent.ChannelsRequest())).channels
    assert {channel: info.num_clients for channel, info in found.items()} == {"bare:1": 1, "bare:2": 1, "kept:1": 1}
    assert (await desk.api.channels(cent.ChannelsRequest(pattern="bare:*"))).channels.keys() == {"bare:1", "bare:2"}
    assert (await desk.api.channels(cent.ChannelsRequest(pattern="none:*"))).channels == {}


async def test_info(desk: Any) -> None:
    """One node, which says who it is."""
    (node,) = (await desk.api.info(cent.InfoRequest())).nodes
    assert node.uid
    assert node.name
    assert node.version


async def test_batch(desk: Any) -> None:
    """Calls of several kinds in one request, each with its own answer."""
    await desk.witness.subscribed("room")
    for parallel in (False, True):
        requests = [
            cent.PublishRequest(channel="kept:room", data=1),
            cent.PresenceStatsRequest(channel="room"),
            cent.BroadcastRequest(channels=["kept:a", "kept:b"], data=2),
            cent.InfoRequest(),
        ]
        result = await desk.api.batch(cent.BatchRequest(requests=requests, parallel=parallel))
        published, stats, broadcast, info = result.replies
        assert published.offset == (2 if parallel else 1)
        assert (stats.num_clients, stats.num_users) == (1, 1)
        assert len(broadcast.responses) == 2
        assert len(info.nodes) == 1


async def test_the_key(desk: Any) -> None:
    """Without the right key nothing is done, which is a typed error, too."""
    stranger = cent.AsyncClient(f"{desk.stand.server.http}/api", "guess")
    with pytest.raises(cent.CentUnauthorizedError):
        await stranger.publish(cent.PublishRequest(channel="room", data=1))
    await stranger.close()
    assert (await desk.api.history(cent.HistoryRequest(channel="room"))).offset == 0


async def test_methods_of_the_other_edition(desk: Any) -> None:
    """What only Centrifugo PRO has is not there."""
    with pytest.raises(cent.CentTransportError) as caught:
        await desk.api.connections(cent.ConnectionsRequest(user="42", expression=""))
    assert caught.value.status_code == 404
