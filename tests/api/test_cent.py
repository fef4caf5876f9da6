"""Centrifugo's own client as the judge: the same calls through it and through ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cent
import pytest

from rtbridge import ApiError, Command, Position
from rtbridge.api.settings import GrpcSettings, HttpSettings
from tests.api.conftest import client_of, started

pytestmark = pytest.mark.timeout(60)

Pair = tuple[Callable[[Any], Any], Callable[[Any], Any], Callable[[Any], Any]]

#: The same call of ours and of cent's, and what cent's result is in ours.
PAIRS: dict[str, Pair] = {
    "publish": (
        lambda api: api.publish("room", {"a": [1, "ä"]}, tags={"t": "v"}, idempotency_key="k"),
        lambda api: api.publish(
            cent.PublishRequest(channel="room", data={"a": [1, "ä"]}, tags={"t": "v"}, idempotency_key="k")
        ),
        lambda result: (result.offset, result.epoch),
    ),
    "publish nowhere": (
        lambda api: api.publish("nowhere:x", 1),
        lambda api: api.publish(cent.PublishRequest(channel="nowhere:x", data=1)),
        lambda result: None,
    ),
    "publish nothing": (
        lambda api: api.publish("room", None),
        lambda api: api.publish(cent.PublishRequest(channel="room", data=None)),
        lambda result: None,
    ),
    "broadcast": (
        lambda api: api.broadcast(["bare:x", "nowhere:x"], 1),
        lambda api: api.broadcast(cent.BroadcastRequest(channels=["bare:x", "nowhere:x"], data=1)),
        lambda result: [
            (each.error.code, each.error.message) if each.error else (each.result.offset or 0, each.result.epoch or "")
            for each in result.responses
        ],
    ),
    "presence": (
        lambda api: api.presence("room"),
        lambda api: api.presence(cent.PresenceRequest(channel="room")),
        lambda result: result.presence,
    ),
    "presence refused": (
        lambda api: api.presence("bare:room"),
        lambda api: api.presence(cent.PresenceRequest(channel="bare:room")),
        lambda result: None,
    ),
    "presence_stats": (
        lambda api: api.presence_stats("room"),
        lambda api: api.presence_stats(cent.PresenceStatsRequest(channel="room")),
        lambda result: (result.num_clients, result.num_users),
    ),
    "history": (
        lambda api: api.history("room", limit=10, reverse=True),
        lambda api: api.history(cent.HistoryRequest(channel="room", limit=10, reverse=True)),
        lambda result: ([(each.data, each.offset) for each in result.publications], (result.offset, result.epoch)),
    ),
    "history lost": (
        lambda api: api.history("room", limit=10, since=Position(1, "another")),
        lambda api: api.history(
            cent.HistoryRequest(channel="room", limit=10, since=cent.StreamPosition(offset=1, epoch="another"))
        ),
        lambda result: None,
    ),
    "subscribe nowhere": (
        lambda api: api.subscribe("42", "nowhere:x"),
        lambda api: api.subscribe(cent.SubscribeRequest(user="42", channel="nowhere:x")),
        lambda result: None,
    ),
    "unsubscribe": (
        lambda api: api.unsubscribe("42", "room"),
        lambda api: api.unsubscribe(cent.UnsubscribeRequest(user="42", channel="room")),
        lambda result: None,
    ),
    "disconnect": (
        lambda api: api.disconnect("42"),
        lambda api: api.disconnect(cent.DisconnectRequest(user="42")),
        lambda result: None,
    ),
    "refresh": (
        lambda api: api.refresh("42", expired=True),
        lambda api: api.refresh(cent.RefreshRequest(user="42", expired=True)),
        lambda result: None,
    ),
    "channels": (
        lambda api: api.channels("x*"),
        lambda api: api.channels(cent.ChannelsRequest(pattern="x*")),
        lambda result: {name: each.num_clients for name, each in result.channels.items()},
    ),
    "info": (
        lambda api: api.info(),
        lambda api: api.info(cent.InfoRequest()),
        lambda result: [(node.uid, node.name, node.version) for node in result.nodes],
    ),
    "history_remove": (
        lambda api: api.history_remove("room"),
        lambda api: api.history_remove(cent.HistoryRemoveRequest(channel="room")),
        lambda result: None,
    ),
}


def plain(value: Any) -> Any:
    """A result of ours in the form that the table has for cent's."""
    if isinstance(value, Position):
        return value.offset, value.epoch
    if isinstance(value, ApiError):
        return value.code, value.message
    if isinstance(value, list):
        return [(each.uid, each.name, each.version) if hasattr(each, "uid") else plain(each) for each in value]
    if hasattr(value, "publications"):
        return [(each.data, each.offset) for each in value.publications], plain(value.position)
    if hasattr(value, "num_users"):
        return value.num_clients, value.num_users
    return value


async def outcome(call: Any, error: type[Exception], read: Callable[[Any], Any]) -> Any:
    """What a call gives, or the code and message of its error."""
    try:
        return read(await call)
    except error as exc:
        refused: Any = exc
        return "refused", refused.code, refused.message


@pytest.mark.parametrize("way", ["embedded http", "embedded http-sync", "centrifugo http", "centrifugo grpc"])
async def test_the_same_calls_through_cent(way: str, tmp_path: Path) -> None:
    """The same answers, and the same errors."""
    kind, wire = way.split()
    server, grpc = await started(kind, tmp_path)
    theirs = cent.AsyncClient(f"{server.http}/api", "key")
    settings: HttpSettings | GrpcSettings = HttpSettings(url=f"{server.http}/api", key="key")
    ours = client_of(GrpcSettings(target=grpc, key="key") if wire == "grpc" else settings, sync=wire.endswith("sync"))
    try:
        for name, (own, other, read) in PAIRS.items():
            found = await outcome(own(ours), ApiError, plain)
            assert found == await outcome(other(theirs), cent.CentApiResponseError, read), name
        batch: list[Any] = await ours.batch(
            [Command.publish("b", 1), Command.presence_stats("b"), Command.channels("none")]
        )
        their: Any = await theirs.batch(
            cent.BatchRequest(
                requests=[
                    cent.PublishRequest(channel="c", data=1),
                    cent.PresenceStatsRequest(channel="b"),
                    cent.ChannelsRequest(pattern="none"),
                ]
            )
        )
        assert batch[0].offset == their.replies[0].offset == 1
        assert plain(batch[1]) == (their.replies[1].num_clients, their.replies[1].num_users)
        assert batch[2] == their.replies[2].channels == {}
    finally:
        await ours.close()
        await theirs.close()
        await server.stop()
