"""The server API as hooks and applications call it; implementations say how a call travels.

Source: centrifugal.dev, "Server API".
"""

import base64
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import UNSET, Raw, UnsetType

from rtbridge.api import _generated as messages
from rtbridge.api.results import (
    ClientInfo,
    History,
    Position,
    PresenceStats,
    client_info,
    publication,
)
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.errors import ApiError, Disconnect
from rtbridge.events import ExpireAt, SubscribeOptionOverride
from rtbridge.events.values import encode_payload, unix_seconds


class Api(ABC):
    """What a backend may ask of the server, in coroutines. Payloads are JSON values; ``bytes`` travel as they are.

    Every method raises :class:`rtbridge.ApiError` when the server refuses the call.
    """

    clock: Clock = SYSTEM_CLOCK

    @abstractmethod
    async def call(self, method: str, request: Any) -> Any:
        """The result of a method by its name in the API, ``presence_stats``.

        Args:
            method: The name.
            request: Its request, of :mod:`rtbridge.api.messages`.

        Raises:
            ApiError: The server refuses the call.

        """

    async def publish(
        self,
        channel: str,
        data: Any,
        *,
        tags: Mapping[str, str] | None = None,
        skip_history: bool = False,
        idempotency_key: str = "",
        delta: bool = False,
        version: int = 0,
        version_epoch: str = "",
    ) -> Position:
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
        raw, b64 = _payload(data)
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
        result = await self.call("publish", request)
        return Position(result.offset, result.epoch)

    async def broadcast(
        self,
        channels: Iterable[str],
        data: Any,
        *,
        tags: Mapping[str, str] | None = None,
        skip_history: bool = False,
        idempotency_key: str = "",
        delta: bool = False,
    ) -> list[Position | ApiError]:
        """Publish the same into several channels; for each one its position, or why it was refused."""
        raw, b64 = _payload(data)
        request = messages.BroadcastRequest(
            channels=list(channels),
            data=raw,
            b64data=b64,
            skip_history=skip_history,
            tags=dict(tags or {}),
            idempotency_key=idempotency_key,
            delta=delta,
        )
        result = await self.call("broadcast", request)
        return [_position(response) for response in result.responses]

    async def subscribe(
        self,
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
    ) -> None:
        """Subscribe a user's connections, or the one of ``client`` or ``session``, on the server's side."""
        raw, b64 = _payload(data)
        raw_info, b64info = _payload(info)
        request = messages.SubscribeRequest(
            channel=channel,
            user=user,
            expire_at=0 if expire_at is None else unix_seconds(expire_at, self.clock),
            info=raw_info,
            b64info=b64info,
            client=client,
            data=raw,
            b64data=b64,
            override=_override(override),
            session=session,
        )
        if recover_since is not None:
            request.recover_since = messages.StreamPosition(recover_since.offset, recover_since.epoch)
        await self.call("subscribe", request)

    async def unsubscribe(self, user: str, channel: str, *, client: str = "", session: str = "") -> None:
        """Unsubscribe a user's connections, or the one of ``client`` or ``session``."""
        request = messages.UnsubscribeRequest(channel=channel, user=user, client=client, session=session)
        await self.call("unsubscribe", request)

    async def disconnect(
        self,
        user: str,
        disconnect: Disconnect | None = None,
        *,
        client: str = "",
        session: str = "",
        whitelist: Sequence[str] = (),
    ) -> None:
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
        await self.call("disconnect", request)

    async def refresh(
        self,
        user: str,
        *,
        expire_at: ExpireAt | None = None,
        expired: bool = False,
        info: Any = None,
        client: str = "",
        session: str = "",
    ) -> None:
        """Change when a user's connections expire: never without ``expire_at``, now with ``expired``."""
        request = messages.RefreshRequest(
            user=user,
            client=client,
            expired=expired,
            expire_at=0 if expire_at is None else unix_seconds(expire_at, self.clock),
            info=UNSET if info is None else Raw(encode_payload(info)),
            session=session,
        )
        await self.call("refresh", request)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """The clients in a channel, by client id."""
        result = await self.call("presence", messages.PresenceRequest(channel))
        return {client: client_info(info) for client, info in result.presence.items()}

    async def presence_stats(self, channel: str) -> PresenceStats:
        """How many clients and users are in a channel."""
        result = await self.call("presence_stats", messages.PresenceStatsRequest(channel))
        return PresenceStats(result.num_clients, result.num_users)

    async def history(
        self, channel: str, *, limit: int = 0, since: Position | None = None, reverse: bool = False
    ) -> History:
        """What a channel keeps.

        Args:
            channel: The channel.
            limit: Publications at most; 0 for the position alone, -1 for all.
            since: Only those after it, or before it when ``reverse``.
            reverse: Newest first.

        """
        request = messages.HistoryRequest(channel=channel, limit=limit, reverse=reverse)
        if since is not None:
            request.since = messages.StreamPosition(since.offset, since.epoch)
        result = await self.call("history", request)
        return History(
            publications=tuple(publication(each) for each in result.publications),
            position=Position(result.offset, result.epoch),
        )

    async def history_remove(self, channel: str) -> None:
        """Forget the publications of a channel; its offset goes on."""
        await self.call("history_remove", messages.HistoryRemoveRequest(channel))

    async def channels(self, pattern: str = "") -> dict[str, int]:
        """The channels with subscribers and how many each has, those of a glob pattern where one is given."""
        result = await self.call("channels", messages.ChannelsRequest(pattern))
        return {name: info.num_clients for name, info in result.channels.items()}

    async def info(self) -> list[messages.NodeResult]:
        """The nodes of the server."""
        result = await self.call("info", messages.InfoRequest())
        return list(result.nodes)


def _payload(value: Any) -> tuple[Raw | UnsetType, str]:
    """A payload in its two forms: JSON, or base64 of bytes."""
    if value is None:
        return UNSET, ""
    if isinstance(value, bytes | bytearray | memoryview):
        return UNSET, base64.b64encode(value).decode("ascii")
    return Raw(encode_payload(value)), ""


def _position(response: messages.PublishResponse) -> Position | ApiError:
    if response.error is not None:
        return ApiError(response.error.code, response.error.message)
    result = response.result or messages.PublishResult()
    return Position(result.offset, result.epoch)


def _override(given: SubscribeOptionOverride | None) -> messages.SubscribeOptionOverride | None:
    if given is None:
        return None
    names = messages.SubscribeOptionOverride.__struct_fields__
    values = {name: getattr(given, name) for name in names}
    return messages.SubscribeOptionOverride(
        **{name: messages.BoolValue(value) for name, value in values.items() if value is not None}
    )
