"""Channels without sockets: positions, recovery, expiry, presence, joins, and bounds, on a virtual clock."""

from typing import Any

import pytest

from rtbridge.embedded import hub as hubs
from rtbridge.embedded.history import Position, Pub, Stream, recover, recover_newest
from rtbridge.embedded.hub import Hub, Keep
from rtbridge.embedded.timers import Timers
from rtbridge.errors import ClientError
from rtbridge.testing import VirtualClock
from tests.embedded.conftest import Start

KEPT: dict[str, Any] = {"history_size": 3, "history_ttl": "60s", "force_recovery": True}
KEEP = Keep(3, 60.0, 3600.0)


def stream(count: int, size: int = 3) -> Stream:
    """A stream of so many publications, whose data is their offset."""
    made = Stream()
    for number in range(1, count + 1):
        made.add(Pub(str(number).encode(), tags={"odd": str(number % 2)}), size, 0, "")
    return made


@pytest.mark.parametrize(
    ("since", "limit", "reverse", "offsets"),
    [
        (None, -1, False, [3, 4, 5]),
        (None, 2, False, [3, 4]),
        (None, 2, True, [5, 4]),
        (None, 0, False, []),
        (0, -1, False, [3, 4, 5]),
        (1, -1, False, [3, 4, 5]),
        (3, -1, False, [4, 5]),
        (4, 10, False, [5]),
        (5, -1, False, []),
        (9, -1, False, []),
        (5, -1, True, [4, 3]),
        (4, 1, True, [3]),
        (3, -1, True, []),
        (2, -1, True, []),
        (9, -1, True, []),
    ],
)
def test_reading(since: int | None, limit: int, reverse: bool, offsets: list[int]) -> None:
    """Three of five publications are kept; a position takes what is after it, or before it when backwards."""
    position = None if since is None else Position(since)
    assert [pub.offset for pub in stream(5).read(position, limit, reverse=reverse)] == offsets


def test_positions_that_make_no_sense() -> None:
    """Backwards from nothing is a bad request; another epoch is unrecoverable."""
    for since, reverse, code in ((Position(0), True, 107), (Position(1, "other"), False, 112)):
        with pytest.raises(ClientError) as refused:
            stream(5).read(since, -1, reverse=reverse)
        assert refused.value.code == code


@pytest.mark.parametrize(
    ("since", "limit", "complete", "offsets"),
    [
        (5, -1, True, []),
        (3, -1, True, [4, 5]),
        (2, -1, True, [3, 4, 5]),
        (1, -1, False, []),
        (6, -1, False, []),
        (2, 2, False, []),
    ],
)
def test_recovery(since: int, limit: int, complete: bool, offsets: list[int]) -> None:
    """All that was missed, or nothing and the word that something is missing."""
    found = recover(stream(5), Position(since), limit, None)
    assert (found.complete, [pub.offset for pub in found.pubs]) == (complete, offsets)
    assert not recover(stream(5), Position(since, "other"), limit, None).complete


def test_recovery_with_a_filter() -> None:
    """What a filter hides counts as received."""
    found = recover(stream(5), Position(2), -1, lambda tags: tags["odd"] == "0")
    assert (found.complete, [pub.offset for pub in found.pubs]) == (True, [4])
    newest = recover_newest(stream(5), Position(2), -1, lambda tags: tags["odd"] == "0")
    assert (newest.complete, [pub.offset for pub in newest.pubs]) == (True, [4])


@pytest.mark.parametrize(
    ("count", "since", "complete", "offsets"),
    [(0, 0, False, []), (5, 0, True, [5]), (5, 5, True, []), (5, 9, True, [5])],
)
def test_recovery_of_the_newest(count: int, since: int, complete: bool, offsets: list[int]) -> None:
    """A channel that is a cache of one value gives that value, unless the client has it."""
    made = stream(count)
    found = recover_newest(made, Position(since, made.epoch), -1, None)
    assert (found.complete, [pub.offset for pub in found.pubs]) == (complete, offsets)


def test_versions_and_idempotency() -> None:
    """What is older, or was published before, is dropped, and the newest position is the answer."""
    clock = VirtualClock()
    hub = Hub(clock, Timers(clock))
    first = hub.publish("c", b"1", KEEP, version=5)
    assert hub.publish("c", b"2", KEEP, version=5) == first
    assert hub.publish("c", b"2", KEEP, version=1, version_epoch="new").offset == 2
    once = hub.publish("c", b"3", KEEP, idempotency_key="k")
    assert hub.publish("c", b"4", KEEP, idempotency_key="k") == once
    assert hub.publish("d", b"4", KEEP, idempotency_key="k").offset == 1
    clock.advance(300)
    assert hub.publish("c", b"4", KEEP, idempotency_key="k").offset == 4


def test_everything_expires() -> None:
    """Publications go after their time, the stream after its own, and then nothing is known of the channel."""
    clock = VirtualClock()
    timers = Timers(clock)
    hub = Hub(clock, timers)
    epoch = hub.publish("c", b"1", KEEP).epoch
    clock.advance(40)
    hub.publish("c", b"2", KEEP)
    clock.advance(40)
    timers.run_due()
    assert [pub.data for pub in hub.stream("c", 3600).pubs] == [b"1", b"2"]
    clock.advance(20)
    timers.run_due()
    assert (list(hub.stream("c", 3600).pubs), hub.stream("c", 3600).position) == ([], Position(2, epoch))
    clock.advance(3600)
    while (due := timers.next()) is not None and due <= clock.monotonic():
        timers.run_due()
    assert hub._channels == {}
    assert len(timers) == 0
    assert hub.publish("c", b"3", KEEP).epoch != epoch


def test_a_publication_that_nobody_swept_is_gone_all_the_same() -> None:
    """Time alone decides, not whether a timer has run."""
    clock = VirtualClock()
    hub = Hub(clock, Timers(clock))
    hub.publish("c", b"1", KEEP)
    clock.advance(61)
    assert list(hub.stream("c", 3600).pubs) == []
    clock.advance(3601)
    assert hub.stream("c", 3600).top == 0


def test_channels_kept_for_their_offset_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients choose names: the one that was left alone for longest goes, none that is in use does."""
    monkeypatch.setattr(hubs, "IDLE_STREAMS", 3)
    clock = VirtualClock()
    hub = Hub(clock, Timers(clock))
    hub.publish("full", b"1", KEEP)
    for number in range(200):
        hub.stream(f"c{number}", 3600)
    assert sorted(hub._channels) == ["c197", "c198", "c199", "full"]
    assert len(hub._looks) < 100
    hub.forget("full")
    assert "c197" not in hub._channels


def test_idempotency_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first."""
    monkeypatch.setattr(hubs, "IDEMPOTENCY_KEYS", 2)
    clock = VirtualClock()
    hub = Hub(clock, Timers(clock))
    for key in "abc":
        hub.publish("c", b"1", KEEP, idempotency_key=key)
    assert [key for _, key in hub._done] == ["b", "c"]


async def test_presence_and_joins(desk: Start) -> None:
    """Who comes and goes is told to those who watch; who is there is listed until they leave or are gone."""
    options = {"presence": True, "join_leave": True, "force_push_join_leave": True}
    node = await desk(client={"insecure": True}, channel={"without_namespace": options})
    ann, bob = node.user(), node.user()
    ann.do("subscribe", channel="c")
    join = {"push": {"channel": "c", "join": {"info": {"user": "", "client": ann.session.id}}}}
    assert ann.take() == [join]
    bob.do("subscribe", channel="c")
    assert [list(each["push"])[1] for each in ann.take()] == ["join"]
    assert bob.do("presence", channel="c")["presence"].keys() == {ann.session.id, bob.session.id}
    assert bob.do("presence_stats", channel="c") == {"num_clients": 2, "num_users": 1}
    bob.session.disconnected()
    assert ann.take() == [{"push": {"channel": "c", "leave": {"info": {"user": "", "client": bob.session.id}}}}]
    ann.do("unsubscribe", channel="c")
    assert node.node.hub.presence("c") == {}
    assert node.node.hub._channels == {}


async def test_data_that_is_no_json(desk: Start) -> None:
    """Clients that speak JSON cannot be told, and are closed."""
    node = await desk(client={"insecure": True}, channel={"without_namespace": {"allow_tags_filter": True}})
    plain, filtered = node.user(), node.user()
    plain.do("subscribe", channel="c")
    filtered.do("subscribe", channel="c", tf={"key": "k", "cmp": "eq", "val": "v"})
    node.node.hub.publish("c", b"\xff", Keep(0, 0, 0), tags={"k": "v"})
    assert plain.closed == filtered.closed == (3506, "inappropriate protocol")


async def test_filters_and_deltas(desk: Start) -> None:
    """A filter hides what does not match; a delta subscriber gets patches once it has something to patch."""
    options = {**KEPT, "allow_tags_filter": True, "allowed_delta_types": ["fossil"]}
    node = await desk(client={"insecure": True}, channel={"without_namespace": options})
    filtered, patched = node.user(), node.user()
    filtered.do("subscribe", channel="c", tf={"key": "k", "cmp": "eq", "val": "v"})
    assert patched.do("subscribe", channel="c", delta="fossil")["delta"] is True
    text = '{"a":"' + "x" * 50 + '"}'
    for number, tag in enumerate("vwv"):
        data = text[:-1].encode() + b',"n":%d}' % number
        node.node.hub.publish("c", data, KEEP, tags={"k": tag}, delta=True)
    assert [each["push"]["pub"]["offset"] for each in filtered.take()] == [1, 3]
    deltas = [each["push"]["pub"].get("delta", False) for each in patched.take()]
    assert deltas == [False, True, True]


async def test_unknown_requests(desk: Start) -> None:
    """Maps are not served, unknown deltas close, filters and deltas that are not allowed do as Centrifugo does."""
    node = await desk(client={"insecure": True})
    client = node.user()
    assert client.do("subscribe", channel="c", type=1) == {"code": 108, "message": "not available"}
    assert client.do("publish", channel="c", data=1, type=1) == {"code": 108, "message": "not available"}
    assert client.do("subscribe", channel="c", tf={"key": "k", "cmp": "eq"}) == {"code": 107, "message": "bad request"}
    assert client.do("subscribe", channel="d", delta="fossil") == {}
    client.send({"id": 9, "subscribe": {"channel": "e", "delta": "other"}})
    assert client.closed == (3501, "bad request")
