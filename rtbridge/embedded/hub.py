"""Channels: who is subscribed, what was published, who is there. One process's memory."""

import heapq
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Raw

from rtbridge.clock import Clock
from rtbridge.embedded._client_generated import ClientInfo, Join, Leave, Push
from rtbridge.embedded.delta import delta_or_full
from rtbridge.embedded.history import NOWHERE, Match, Position, Pub, Stream
from rtbridge.embedded.timers import Timer, Timers
from rtbridge.embedded.wire import Wire
from rtbridge.errors import Disconnect

if TYPE_CHECKING:
    from rtbridge.embedded.session import Session

log = logging.getLogger("rtbridge.embedded")

#: Streams that are kept for channels without subscribers and publications, just for their offsets: clients choose
#: channel names, so they must not be able to fill the memory with them. The one that expires first goes first.
IDLE_STREAMS: Final = 100_000

#: Idempotency keys that are remembered, and for how many seconds.
IDEMPOTENCY_KEYS: Final = 100_000
IDEMPOTENCY_SECONDS: Final = 300.0

_NOT_JSON: Final = Disconnect("INAPPROPRIATE_PROTOCOL")


class Keep(NamedTuple):
    """How publications of a channel are kept.

    Attributes:
        size: How many; 0 for none, then there are no offsets either.
        ttl: For how many seconds after the newest.
        meta_ttl: For how many seconds the stream's offset and epoch outlive them.

    """

    size: int
    ttl: float
    meta_ttl: float


class Subscription:
    """One client in one channel."""

    __slots__ = (
        "client_refresh",
        "delta",
        "delta_ready",
        "expire_at",
        "from_token",
        "info",
        "join_leave",
        "match",
        "positioned",
        "presence",
        "push_join_leave",
        "server_side",
        "stop",
    )

    def __init__(self, info: ClientInfo) -> None:
        self.info = info
        self.expire_at = 0
        self.match: Match | None = None
        self.delta = False
        self.delta_ready = False
        self.join_leave = False
        self.presence = False
        self.push_join_leave = False
        self.positioned = False
        self.server_side = False
        self.client_refresh = True
        self.from_token = False
        self.stop: Callable[[], None] | None = None  # ends what feeds the subscription


class Channel:
    """What is known of one channel."""

    __slots__ = ("name", "plain", "presence", "special", "stream", "subs", "watchers")

    def __init__(self, name: str) -> None:
        self.name = name
        self.subs: dict[Session, Subscription] = {}
        #: Those that get every publication as it is, by how they are spoken to, with the function that takes it.
        self.plain: dict[Wire, dict[Session, Callable[[bytes], None]]] = {}
        #: Those with a delta or a filter.
        self.special: dict[Session, Subscription] = {}
        self.watchers: dict[Session, None] = {}
        self.presence: dict[str, ClientInfo] = {}
        self.stream: Stream | None = None


class Hub:
    """All channels of the server.

    Args:
        clock: Measures lifetimes.
        timers: Wakes it up when something expires.

    """

    def __init__(self, clock: Clock, timers: Timers) -> None:
        self._clock = clock
        self._timers = timers
        self._channels: dict[str, Channel] = {}
        self._streams = 0
        self._idle: OrderedDict[str, None] = OrderedDict()
        self._looks: list[tuple[float, str]] = []  # when to look whose history has expired
        self._sweep: Timer | None = None
        self._done: OrderedDict[tuple[str, str], tuple[float, Position]] = OrderedDict()

    def __len__(self) -> int:
        return sum(1 for channel in self._channels.values() if channel.subs)

    def channels(self) -> Iterator[tuple[str, int]]:
        """Channels with subscribers, and how many."""
        return ((name, len(channel.subs)) for name, channel in self._channels.items() if channel.subs)

    def subscription(self, channel: str, session: "Session") -> Subscription | None:
        """A client's subscription; None where it has none."""
        found = self._channels.get(channel)
        return None if found is None else found.subs.get(session)

    # Subscriptions.

    def subscribe(self, name: str, session: "Session", sub: Subscription) -> None:
        """Add a client to a channel; it gets every later publication."""
        channel = self._open(name)
        if session in channel.subs:
            self._detach(channel, session)
        channel.subs[session] = sub
        self._idle.pop(name, None)
        if sub.delta or sub.match is not None:
            channel.special[session] = sub
        else:
            channel.plain.setdefault(session.wire, {})[session] = session.outlet.write
        if sub.push_join_leave:
            channel.watchers[session] = None
        if sub.presence:
            channel.presence[session.id] = sub.info

    def unsubscribe(self, name: str, session: "Session") -> Subscription | None:
        """Remove a client from a channel; None where it was not there."""
        channel = self._channels.get(name)
        sub = None if channel is None else channel.subs.pop(session, None)
        if channel is None or sub is None:
            return None
        self._detach(channel, session)
        self._close(channel)
        return sub

    @staticmethod
    def _detach(channel: Channel, session: "Session") -> None:
        group = channel.plain.get(session.wire)
        if group is not None:
            group.pop(session, None)
            if not group:
                del channel.plain[session.wire]
        channel.special.pop(session, None)
        channel.watchers.pop(session, None)
        channel.presence.pop(session.id, None)

    def _open(self, name: str) -> Channel:
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(name)
        return channel

    def _close(self, channel: Channel) -> None:
        if channel.stream is not None:
            self._rest(channel)
        elif not channel.subs:
            self._channels.pop(channel.name, None)

    # Presence.

    def presence(self, channel: str) -> dict[str, ClientInfo]:
        """The clients in a channel, by client id."""
        found = self._channels.get(channel)
        return {} if found is None else dict(found.presence)

    def presence_stats(self, channel: str) -> tuple[int, int]:
        """How many clients, and how many different users, are in a channel."""
        found = self._channels.get(channel)
        if found is None:
            return 0, 0
        return len(found.presence), len({info.user for info in found.presence.values()})

    def update_info(self, channel: str, session: "Session", info: ClientInfo) -> None:
        """Replace what others see of a client in a channel."""
        found = self._channels.get(channel)
        if found is not None and session.id in found.presence:
            found.presence[session.id] = info

    def join(self, channel: str, info: ClientInfo) -> None:
        """Tell those who watch that a client came."""
        self._tell(Push(channel=channel, join=Join(info=info)))

    def leave(self, channel: str, info: ClientInfo) -> None:
        """Tell those who watch that a client went."""
        self._tell(Push(channel=channel, leave=Leave(info=info)))

    def _tell(self, push: Push) -> None:
        found = self._channels.get(push.channel)
        if found is None:
            return
        frames: dict[Wire, bytes] = {}
        for session in tuple(found.watchers):
            wire = session.wire
            frame = frames.get(wire)
            if frame is None:
                frame = frames[wire] = wire.push(push)
            session.outlet.write(frame)

    # Publications.

    def publish(
        self,
        name: str,
        data: bytes,
        keep: Keep,
        *,
        info: ClientInfo | None = None,
        tags: Mapping[str, str] | None = None,
        delta: bool = False,
        idempotency_key: str = "",
        version: int = 0,
        version_epoch: str = "",
    ) -> Position:
        """Keep a publication as the channel does, and hand it to every subscriber.

        Args:
            name: The channel.
            data: The payload.
            keep: How it is kept.
            info: The client that published it; None for the server.
            tags: For tag filters.
            delta: Send delta subscribers the difference to the publication before it.
            idempotency_key: A second publication with the same key within 5 minutes is dropped.
            version: One that is not above that of the newest publication is dropped; 0 for no version.
            version_epoch: Names the series that ``version`` counts in.

        Returns:
            Its position, or the newest one where it was dropped; nowhere in a channel that keeps nothing.

        """
        now = self._clock.monotonic()
        if idempotency_key:
            known = self._done.get((name, idempotency_key))
            if known is not None and known[0] > now:
                return known[1]
        pub = Pub(data, info, tags)
        previous: Pub | None = None
        position = NOWHERE
        if keep.size > 0 and keep.ttl > 0:
            stream = self.stream(name, keep.meta_ttl)
            if stream.outdated(version, version_epoch):
                return stream.position
            if delta and stream.pubs:
                previous = stream.pubs[-1]
            stream.add(pub, keep.size, version, version_epoch)
            stream.until = now + keep.ttl
            self._look_at(name, stream, stream.until)
            self._idle.pop(name, None)
            position = stream.position
        if idempotency_key:
            self._remember(name, idempotency_key, now, position)
        channel = self._channels.get(name)
        if channel is not None and channel.subs:
            self._deliver(channel, pub, previous)
        return position

    def _deliver(self, channel: Channel, pub: Pub, previous: Pub | None) -> None:
        for wire, group in tuple(channel.plain.items()):
            if wire.json:
                data = pub.json
                if data is None:
                    for session in tuple(group):
                        session.close(_NOT_JSON.code, _NOT_JSON.reason)
                    continue
            else:
                data = Raw(pub.data)
            frame = wire.push(Push(channel=channel.name, pub=pub.message(data)))
            for write in tuple(group.values()):
                write(frame)
        if channel.special:
            self._deliver_special(channel, pub, previous)

    def _deliver_special(self, channel: Channel, pub: Pub, previous: Pub | None) -> None:
        patch: tuple[bytes, bool] | None = None
        frames: dict[tuple[Wire, bool, bool], bytes | None] = {}
        for session, sub in tuple(channel.special.items()):
            if sub.match is not None and not sub.match(pub.tags):
                sub.delta_ready = False  # it lacks this one, so the next cannot be a patch
                continue
            patched = sub.delta and sub.delta_ready and previous is not None
            if sub.delta:
                sub.delta_ready = True
            key = session.wire, sub.delta, patched
            if key not in frames:
                if patched and patch is None and previous is not None:
                    patch = delta_or_full(previous.data, pub.data)
                given = patch[0] if patched and patch is not None and patch[1] else None
                frames[key] = _special_frame(channel.name, session.wire, pub, given, sub.delta)
            frame = frames[key]
            if frame is None:
                session.close(_NOT_JSON.code, _NOT_JSON.reason)
            else:
                session.outlet.write(frame)

    def _remember(self, channel: str, key: str, now: float, position: Position) -> None:
        self._done[channel, key] = now + IDEMPOTENCY_SECONDS, position
        self._done.move_to_end((channel, key))
        while self._done and (len(self._done) > IDEMPOTENCY_KEYS or next(iter(self._done.values()))[0] <= now):
            self._done.popitem(last=False)

    # History.

    def stream(self, name: str, meta_ttl: float) -> Stream:
        """The stream of a channel, made where there is none; asking for it prolongs its life."""
        channel = self._open(name)
        stream = channel.stream
        now = self._clock.monotonic()
        if stream is not None and stream.meta_until <= now:
            self._streams -= 1
            stream = None
        if stream is None:
            stream = channel.stream = Stream()
            self._streams += 1
        elif stream.pubs and stream.until <= now:
            stream.pubs.clear()
        stream.meta_until = now + meta_ttl
        self._look_at(name, stream, stream.meta_until)
        self._rest(channel)
        return stream

    def forget(self, name: str) -> None:
        """Remove the publications of a channel; offset and epoch stay."""
        channel = self._channels.get(name)
        if channel is not None and channel.stream is not None:
            channel.stream.pubs.clear()
            self._rest(channel)

    def _rest(self, channel: Channel) -> None:
        """Note whether a channel is kept for its offset alone, and drop the oldest of too many."""
        if channel.subs or channel.stream is None or channel.stream.pubs:
            self._idle.pop(channel.name, None)
            return
        self._idle[channel.name] = None
        self._idle.move_to_end(channel.name)
        if len(self._idle) > IDLE_STREAMS:
            self._drop_stream(self._channels[next(iter(self._idle))])

    def _drop_stream(self, channel: Channel) -> None:
        channel.stream = None
        self._streams -= 1
        self._idle.pop(channel.name, None)
        self._close(channel)

    def _look_at(self, name: str, stream: Stream, when: float) -> None:
        """Look at a stream at this time, unless that happens earlier anyway."""
        now = self._clock.monotonic()
        if now < stream.due <= when:
            return
        stream.due = when
        heapq.heappush(self._looks, (when, name))
        if len(self._looks) > 2 * self._streams + 64:  # streams that went left theirs behind
            live = [(each.stream.due, key) for key, each in self._channels.items() if each.stream is not None]
            self._looks = live
            heapq.heapify(live)
        self._arm()

    def _arm(self) -> None:
        if not self._looks:
            return
        due = self._looks[0][0]
        if self._sweep is not None and self._sweep.run is not None:
            if self._sweep.at <= due:
                return
            self._timers.cancel(self._sweep)
        self._sweep = self._timers.after(max(0.0, due - self._clock.monotonic()), self._expire)

    def _expire(self) -> None:
        now = self._clock.monotonic()
        while self._looks and self._looks[0][0] <= now:
            when, name = heapq.heappop(self._looks)
            channel = self._channels.get(name)
            if channel is not None and channel.stream is not None and channel.stream.due == when:
                self._age(channel, channel.stream, now)
        self._arm()

    def _age(self, channel: Channel, stream: Stream, now: float) -> None:
        if stream.meta_until <= now:
            self._drop_stream(channel)
            return
        if stream.pubs and stream.until <= now:
            stream.pubs.clear()
            self._rest(channel)
        self._look_at(channel.name, stream, min(stream.until, stream.meta_until) if stream.pubs else stream.meta_until)


def _special_frame(channel: str, wire: Wire, pub: Pub, patch: bytes | None, delta: bool) -> bytes | None:
    """A publication for those with a delta or a filter; None where it cannot stand in JSON."""
    if not wire.json:
        message = pub.message(Raw(pub.data if patch is None else patch), delta=patch is not None)
    elif not delta:
        raw = pub.json
        if raw is None:
            return None
        message = pub.message(raw)
    else:
        text = pub.text(patch)
        if text is None:
            return None
        message = text
    return wire.push(Push(channel=channel, pub=message))
