"""The calls of the server API: what is asked, and how its result is read.

``Api`` and ``SyncApi`` have a method for each, rendered from here with the same arguments: change a signature or a
docstring here and run ``python -m rtbridge._codegen``. Source: centrifugal.dev, "Server API".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from rtbridge.api import _generated as messages
from rtbridge.api.payloads import json_payload, override_of, payload
from rtbridge.api.results import (
    ClientInfo,
    History,
    MapChange,
    MapState,
    MapStream,
    Position,
    PresenceStats,
    client_info,
    map_change,
    map_entries,
    position_or_error,
    publication,
    value_of,
)
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.errors import ApiError, Disconnect
from rtbridge.events import ExpireAt, SubscribeOptionOverride
from rtbridge.events.values import unix_seconds

T_co = TypeVar("T_co", covariant=True)


class Command(Generic[T_co]):
    """One call of the server API that has not been made yet, for :meth:`Api.batch`: ``Command.publish("news", 1)``.

    Payloads are JSON values, or ``bytes`` that are sent as they are; None is no payload, ``JSON_NULL`` is null.

    Args:
        method: Its name in the API: ``presence_stats``.
        request: Its request, of :mod:`rtbridge.api._generated`.
        read: Makes the caller's result of the API's.

    """

    __slots__ = ("method", "read", "request")

    def __init__(self, method: str, request: Any, read: Callable[[Any], T_co]) -> None:
        self.method = method
        self.request = request
        self.read = read

    def __repr__(self) -> str:
        return f"Command({self.method!r})"

    @staticmethod
    def publish(
        channel: str,
        data: Any,
        *,
        tags: Mapping[str, str] | None = None,
        skip_history: bool = False,
        idempotency_key: str = "",
        delta: bool = False,
        version: int = 0,
        version_epoch: str = "",
    ) -> "Command[Position]":
        """Publish into a channel.

        Args:
            channel: The channel.
            data: A JSON value, or ``bytes`` that are sent as they are.
            tags: For tag filters.
            skip_history: Deliver without keeping it.
            idempotency_key: A second publication with the same key is dropped within 5 minutes.
            delta: Delta subscribers get the difference to the publication before.
            version: A publication whose version is not above the newest one's is dropped; 0 for no version.
            version_epoch: Names the series that ``version`` counts in.

        """
        raw, b64 = payload(data)
        request = messages.PublishRequest(
            channel=channel,
            data=raw,
            b64data=b64,
            skip_history=skip_history,
            tags=dict(tags or {}),
            idempotency_key=idempotency_key,
            delta=delta,
            version=version,
            version_epoch=version_epoch,
        )
        return Command("publish", request, _position)

    @staticmethod
    def broadcast(
        channels: Iterable[str],
        data: Any,
        *,
        tags: Mapping[str, str] | None = None,
        skip_history: bool = False,
        idempotency_key: str = "",
        delta: bool = False,
        version: int = 0,
        version_epoch: str = "",
    ) -> "Command[list[Position | ApiError]]":
        """Publish the same into several channels; for each one its position, or why it was refused."""
        raw, b64 = payload(data)
        request = messages.BroadcastRequest(
            channels=list(channels),
            data=raw,
            b64data=b64,
            skip_history=skip_history,
            tags=dict(tags or {}),
            idempotency_key=idempotency_key,
            delta=delta,
            version=version,
            version_epoch=version_epoch,
        )
        return Command("broadcast", request, lambda result: [position_or_error(each) for each in result.responses])

    @staticmethod
    def subscribe(
        user: str,
        channel: str,
        *,
        info: Any = None,
        data: Any = None,
        expire_at: ExpireAt | None = None,
        override: SubscribeOptionOverride | None = None,
        recover_since: Position | None = None,
        client: str = "",
        session: str = "",
        clock: Clock = SYSTEM_CLOCK,
    ) -> "Command[None]":
        """Subscribe a user's connections, or the one of ``client`` or ``session``, on the server's side."""
        raw, b64 = payload(data)
        raw_info, b64info = payload(info)
        request = messages.SubscribeRequest(
            channel=channel,
            user=user,
            expire_at=0 if expire_at is None else unix_seconds(expire_at, clock),
            info=raw_info,
            b64info=b64info,
            client=client,
            data=raw,
            b64data=b64,
            override=override_of(override),
            session=session,
        )
        request.recover_since = _since(recover_since)
        return Command("subscribe", request, _nothing)

    @staticmethod
    def unsubscribe(user: str, channel: str, *, client: str = "", session: str = "") -> "Command[None]":
        """Unsubscribe a user's connections, or the one of ``client`` or ``session``."""
        request = messages.UnsubscribeRequest(channel=channel, user=user, client=client, session=session)
        return Command("unsubscribe", request, _nothing)

    @staticmethod
    def disconnect(
        user: str,
        disconnect: Disconnect | None = None,
        *,
        client: str = "",
        session: str = "",
        whitelist: Sequence[str] = (),
    ) -> "Command[None]":
        """Close a user's connections, or the one of ``client`` or ``session``.

        Args:
            user: The user; the empty one has the anonymous connections, not all.
            disconnect: Code and reason; 3503, at which SDKs do not reconnect, by default.
            client: A connection's id.
            session: A connection's session.
            whitelist: Ids of connections that stay.

        """
        request = messages.DisconnectRequest(user=user, client=client, session=session, whitelist=list(whitelist))
        if disconnect is not None:
            request.disconnect = messages.Disconnect(disconnect.code, disconnect.reason)
        return Command("disconnect", request, _nothing)

    @staticmethod
    def refresh(
        user: str,
        *,
        expire_at: ExpireAt | None = None,
        expired: bool = False,
        info: Any = None,
        client: str = "",
        session: str = "",
        clock: Clock = SYSTEM_CLOCK,
    ) -> "Command[None]":
        """Change when a user's connections expire: never without ``expire_at``, now with ``expired``."""
        request = messages.RefreshRequest(
            user=user,
            client=client,
            expired=expired,
            expire_at=0 if expire_at is None else unix_seconds(expire_at, clock),
            info=json_payload(info, "info"),
            session=session,
        )
        return Command("refresh", request, _nothing)

    @staticmethod
    def presence(channel: str) -> "Command[dict[str, ClientInfo]]":
        """The clients in a channel, by client id."""
        return Command(
            "presence",
            messages.PresenceRequest(channel),
            lambda result: {client: client_info(info) for client, info in result.presence.items()},
        )

    @staticmethod
    def presence_stats(channel: str) -> "Command[PresenceStats]":
        """How many clients and users are in a channel."""
        return Command(
            "presence_stats",
            messages.PresenceStatsRequest(channel),
            lambda result: PresenceStats(result.num_clients, result.num_users),
        )

    @staticmethod
    def history(
        channel: str, *, limit: int = 0, since: Position | None = None, reverse: bool = False
    ) -> "Command[History]":
        """What a channel keeps.

        Args:
            channel: The channel.
            limit: Publications at most; 0 for the position alone, -1 for all.
            since: Only those after it, or before it when ``reverse``.
            reverse: Newest first.

        """
        request = messages.HistoryRequest(channel=channel, limit=limit, since=_since(since), reverse=reverse)
        return Command(
            "history",
            request,
            lambda result: History(
                publications=tuple(publication(each) for each in result.publications), position=_position(result)
            ),
        )

    @staticmethod
    def history_remove(channel: str) -> "Command[None]":
        """Forget the publications of a channel; its offset goes on."""
        return Command("history_remove", messages.HistoryRemoveRequest(channel), _nothing)

    @staticmethod
    def channels(pattern: str = "") -> "Command[dict[str, int]]":
        """The channels with subscribers and how many each has, those of a glob pattern where one is given."""
        return Command(
            "channels",
            messages.ChannelsRequest(pattern),
            lambda result: {name: info.num_clients for name, info in result.channels.items()},
        )

    @staticmethod
    def info() -> "Command[list[messages.NodeResult]]":
        """The nodes of the server."""
        return Command("info", messages.InfoRequest(), lambda result: list(result.nodes))

    @staticmethod
    def rpc(method: str, params: Any = None) -> "Command[Any]":
        """Call an extension that a Centrifugo was built with; the stock server has none and answers 104."""
        request = messages.RPCRequest(method=method, params=json_payload(params, "params"))
        return Command("rpc", request, lambda result: value_of(result.data))

    @staticmethod
    def map_publish(
        channel: str,
        key: str,
        data: Any,
        *,
        stream_data: Any = None,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str = "",
        delta: bool = False,
        version: int = 0,
        version_epoch: str = "",
        score: int = 0,
        key_mode: str = "",
    ) -> "Command[MapChange]":
        """Write a key of a map channel.

        Args:
            channel: A channel of a map namespace.
            key: The key.
            data: A JSON value, or ``bytes`` that are sent as they are.
            stream_data: What the stream gets in place of ``data``.
            tags: For tag filters.
            idempotency_key: A second write with the same key is dropped within 5 minutes.
            delta: Delta subscribers get the difference to the value before.
            version: A write whose version is not above the newest one's is dropped; 0 for no version.
            version_epoch: Names the series that ``version`` counts in.
            score: The key's rank in an ordered map.
            key_mode: ``if_new`` or ``if_exists``: when to write at all.

        """
        raw, b64 = payload(data)
        raw_stream, b64stream = payload(stream_data)
        request = messages.MapPublishRequest(
            channel=channel,
            key=key,
            data=raw,
            b64data=b64,
            stream_data=raw_stream,
            b64stream_data=b64stream,
            tags=dict(tags or {}),
            idempotency_key=idempotency_key,
            delta=delta,
            version=version,
            version_epoch=version_epoch,
            score=score,
            key_mode=key_mode,
        )
        return Command("map_publish", request, map_change)

    @staticmethod
    def map_remove(channel: str, key: str, *, idempotency_key: str = "") -> "Command[MapChange]":
        """Remove a key of a map channel."""
        request = messages.MapRemoveRequest(channel=channel, key=key, idempotency_key=idempotency_key)
        return Command("map_remove", request, map_change)

    @staticmethod
    def map_read_state(
        channel: str,
        *,
        key: str = "",
        cursor: str = "",
        limit: int = 0,
        asc: bool = False,
        revision: Position | None = None,
    ) -> "Command[MapState]":
        """A page of the entries of a map channel.

        Args:
            channel: The channel.
            key: Only this one.
            cursor: Where the page before ended.
            limit: Entries at most; 0 for the server's own limit.
            asc: Lowest score first.
            revision: The position of the first page, which the others have to be of.

        """
        at = revision or Position()
        request = messages.MapReadStateRequest(
            channel=channel,
            cursor=cursor,
            limit=limit,
            key=key,
            asc=asc,
            revision_offset=at.offset,
            revision_epoch=at.epoch,
        )
        return Command(
            "map_read_state",
            request,
            lambda result: MapState(
                entries=map_entries(result.entries), position=_position(result), cursor=result.cursor
            ),
        )

    @staticmethod
    def map_read_stream(
        channel: str, *, since: Position | None = None, limit: int = 0, reverse: bool = False
    ) -> "Command[MapStream]":
        """Changes of a map channel, all or those after ``since``; newest first when ``reverse``."""
        at = since or Position()
        request = messages.MapReadStreamRequest(
            channel=channel, since_offset=at.offset, since_epoch=at.epoch, limit=limit, reverse=reverse
        )
        return Command(
            "map_read_stream",
            request,
            lambda result: MapStream(entries=map_entries(result.entries), position=_position(result)),
        )

    @staticmethod
    def map_stats(channel: str) -> "Command[int]":
        """How many keys a map channel has."""
        return Command("map_stats", messages.MapStatsRequest(channel), lambda result: int(result.num_keys))

    @staticmethod
    def map_clear(channel: str) -> "Command[None]":
        """Remove every key of a map channel."""
        return Command("map_clear", messages.MapClearRequest(channel), _nothing)

    @staticmethod
    def shared_poll_publish(channel: str, key: str, data: Any, *, version: int, epoch: str = "") -> "Command[None]":
        """Hand a newer value of a key to those who poll it.

        Args:
            channel: A channel of a shared poll namespace.
            key: The key.
            data: A JSON value, or ``bytes`` that are sent as they are.
            version: The value's version, above 0.
            epoch: Names the series that ``version`` counts in.

        """
        raw, b64 = payload(data)
        request = messages.SharedPollPublishRequest(
            channel=channel, key=key, data=raw, b64data=b64, version=version, epoch=epoch
        )
        return Command("shared_poll_publish", request, _nothing)


def _nothing(_: object) -> None:
    """The result of a call that only does something."""


def _position(result: Any) -> Position:
    return Position(result.offset, result.epoch)


def _since(position: Position | None) -> messages.StreamPosition | None:
    return None if position is None else messages.StreamPosition(position.offset, position.epoch)
