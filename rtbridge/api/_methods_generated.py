"""The methods of the server API, awaited and blocking.

Generated from rtbridge/api/commands.py by `python -m rtbridge._codegen`; edit that file, not this one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from rtbridge.api import _generated as messages
from rtbridge.api.commands import Command
from rtbridge.api.results import (
    ClientInfo,
    History,
    MapChange,
    MapState,
    MapStream,
    Position,
    PresenceStats,
)
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.errors import ApiError, Disconnect
from rtbridge.events import ExpireAt, SubscribeOptionOverride

T = TypeVar("T")


class AsyncMethods(ABC):
    """The methods of the server API, in coroutines."""

    clock: Clock = SYSTEM_CLOCK

    @abstractmethod
    async def run(self, command: Command[T], *, timeout: float | None = None) -> T:
        """The result of a command.

        Args:
            command: The command.
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        Raises:
            ApiError: The server refuses it, or does not answer.

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
        timeout: float | None = None,
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
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        """
        return await self.run(
            Command.publish(
                channel,
                data,
                tags=tags,
                skip_history=skip_history,
                idempotency_key=idempotency_key,
                delta=delta,
                version=version,
                version_epoch=version_epoch,
            ),
            timeout=timeout,
        )

    async def broadcast(
        self,
        channels: Iterable[str],
        data: Any,
        *,
        tags: Mapping[str, str] | None = None,
        skip_history: bool = False,
        idempotency_key: str = "",
        delta: bool = False,
        version: int = 0,
        version_epoch: str = "",
        timeout: float | None = None,
    ) -> list[Position | ApiError]:
        """Publish the same into several channels; for each one its position, or why it was refused."""
        return await self.run(
            Command.broadcast(
                channels,
                data,
                tags=tags,
                skip_history=skip_history,
                idempotency_key=idempotency_key,
                delta=delta,
                version=version,
                version_epoch=version_epoch,
            ),
            timeout=timeout,
        )

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
        timeout: float | None = None,
    ) -> None:
        """Subscribe a user's connections, or the one of ``client`` or ``session``, on the server's side."""
        await self.run(
            Command.subscribe(
                user,
                channel,
                info=info,
                data=data,
                expire_at=expire_at,
                override=override,
                recover_since=recover_since,
                client=client,
                session=session,
                clock=self.clock,
            ),
            timeout=timeout,
        )

    async def unsubscribe(
        self, user: str, channel: str, *, client: str = "", session: str = "", timeout: float | None = None
    ) -> None:
        """Unsubscribe a user's connections, or the one of ``client`` or ``session``."""
        await self.run(Command.unsubscribe(user, channel, client=client, session=session), timeout=timeout)

    async def disconnect(
        self,
        user: str,
        disconnect: Disconnect | None = None,
        *,
        client: str = "",
        session: str = "",
        whitelist: Sequence[str] = (),
        timeout: float | None = None,
    ) -> None:
        """Close a user's connections, or the one of ``client`` or ``session``.

        Args:
            user: The user; the empty one has the anonymous connections, not all.
            disconnect: Code and reason; 3503, at which SDKs do not reconnect, by default.
            client: A connection's id.
            session: A connection's session.
            whitelist: Ids of connections that stay.
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        """
        await self.run(
            Command.disconnect(user, disconnect, client=client, session=session, whitelist=whitelist), timeout=timeout
        )

    async def refresh(
        self,
        user: str,
        *,
        expire_at: ExpireAt | None = None,
        expired: bool = False,
        info: Any = None,
        client: str = "",
        session: str = "",
        timeout: float | None = None,
    ) -> None:
        """Change when a user's connections expire: never without ``expire_at``, now with ``expired``."""
        await self.run(
            Command.refresh(
                user, expire_at=expire_at, expired=expired, info=info, client=client, session=session, clock=self.clock
            ),
            timeout=timeout,
        )

    async def presence(self, channel: str, *, timeout: float | None = None) -> dict[str, ClientInfo]:
        """The clients in a channel, by client id."""
        return await self.run(Command.presence(channel), timeout=timeout)

    async def presence_stats(self, channel: str, *, timeout: float | None = None) -> PresenceStats:
        """How many clients and users are in a channel."""
        return await self.run(Command.presence_stats(channel), timeout=timeout)

    async def history(
        self,
        channel: str,
        *,
        limit: int = 0,
        since: Position | None = None,
        reverse: bool = False,
        timeout: float | None = None,
    ) -> History:
        """What a channel keeps.

        Args:
            channel: The channel.
            limit: Publications at most; 0 for the position alone, -1 for all.
            since: Only those after it, or before it when ``reverse``.
            reverse: Newest first.
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        """
        return await self.run(Command.history(channel, limit=limit, since=since, reverse=reverse), timeout=timeout)

    async def history_remove(self, channel: str, *, timeout: float | None = None) -> None:
        """Forget the publications of a channel; its offset goes on."""
        await self.run(Command.history_remove(channel), timeout=timeout)

    async def channels(self, pattern: str = "", *, timeout: float | None = None) -> dict[str, int]:
        """The channels with subscribers and how many each has, those of a glob pattern where one is given."""
        return await self.run(Command.channels(pattern), timeout=timeout)

    async def info(self, *, timeout: float | None = None) -> list[messages.NodeResult]:
        """The nodes of the server."""
        return await self.run(Command.info(), timeout=timeout)

    async def rpc(self, method: str, params: Any = None, *, timeout: float | None = None) -> Any:
        """Call an extension that a Centrifugo was built with; the stock server has none and answers 104."""
        return await self.run(Command.rpc(method, params), timeout=timeout)

    async def map_publish(
        self,
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
        timeout: float | None = None,
    ) -> MapChange:
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
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        """
        return await self.run(
            Command.map_publish(
                channel,
                key,
                data,
                stream_data=stream_data,
                tags=tags,
                idempotency_key=idempotency_key,
                delta=delta,
                version=version,
                version_epoch=version_epoch,
                score=score,
                key_mode=key_mode,
            ),
            timeout=timeout,
        )

    async def map_remove(
        self, channel: str, key: str, *, idempotency_key: str = "", timeout: float | None = None
    ) -> MapChange:
        """Remove a key of a map channel."""
        return await self.run(Command.map_remove(channel, key, idempotency_key=idempotency_key), timeout=timeout)

    async def map_read_state(
        self,
        channel: str,
        *,
        key: str = "",
        cursor: str = "",
        limit: int = 0,
        asc: bool = False,
        revision: Position | None = None,
        timeout: float | None = None,
    ) -> MapState:
        """A page of the entries of a map channel.

        Args:
            channel: The channel.
            key: Only this one.
            cursor: Where the page before ended.
            limit: Entries at most; 0 for the server's own limit.
            asc: Lowest score first.
            revision: The position of the first page, which the others have to be of.
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        """
        return await self.run(
            Command.map_read_state(channel, key=key, cursor=cursor, limit=limit, asc=asc, revision=revision),
            timeout=timeout,
        )

    async def map_read_stream(
        self,
        channel: str,
        *,
        since: Position | None = None,
        limit: int = 0,
        reverse: bool = False,
        timeout: float | None = None,
    ) -> MapStream:
        """Changes of a map channel, all or those after ``since``; newest first when ``reverse``."""
        return await self.run(
            Command.map_read_stream(channel, since=since, limit=limit, reverse=reverse), timeout=timeout
        )

    async def map_stats(self, channel: str, *, timeout: float | None = None) -> int:
        """How many keys a map channel has."""
        return await self.run(Command.map_stats(channel), timeout=timeout)

    async def map_clear(self, channel: str, *, timeout: float | None = None) -> None:
        """Remove every key of a map channel."""
        await self.run(Command.map_clear(channel), timeout=timeout)

    async def shared_poll_publish(
        self, channel: str, key: str, data: Any, *, version: int, epoch: str = "", timeout: float | None = None
    ) -> None:
        """Hand a newer value of a key to those who poll it.

        Args:
            channel: A channel of a shared poll namespace.
            key: The key.
            data: A JSON value, or ``bytes`` that are sent as they are.
            version: The value's version, above 0.
            epoch: Names the series that ``version`` counts in.
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        """
        await self.run(Command.shared_poll_publish(channel, key, data, version=version, epoch=epoch), timeout=timeout)


class SyncMethods(ABC):
    """The methods of the server API, for code that blocks."""

    clock: Clock = SYSTEM_CLOCK

    @abstractmethod
    def run(self, command: Command[T], *, timeout: float | None = None) -> T:
        """The result of a command.

        Args:
            command: The command.
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        Raises:
            ApiError: The server refuses it, or does not answer.

        """

    def publish(
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
        timeout: float | None = None,
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
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        """
        return self.run(
            Command.publish(
                channel,
                data,
                tags=tags,
                skip_history=skip_history,
                idempotency_key=idempotency_key,
                delta=delta,
                version=version,
                version_epoch=version_epoch,
            ),
            timeout=timeout,
        )

    def broadcast(
        self,
        channels: Iterable[str],
        data: Any,
        *,
        tags: Mapping[str, str] | None = None,
        skip_history: bool = False,
        idempotency_key: str = "",
        delta: bool = False,
        version: int = 0,
        version_epoch: str = "",
        timeout: float | None = None,
    ) -> list[Position | ApiError]:
        """Publish the same into several channels; for each one its position, or why it was refused."""
        return self.run(
            Command.broadcast(
                channels,
                data,
                tags=tags,
                skip_history=skip_history,
                idempotency_key=idempotency_key,
                delta=delta,
                version=version,
                version_epoch=version_epoch,
            ),
            timeout=timeout,
        )

    def subscribe(
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
        timeout: float | None = None,
    ) -> None:
        """Subscribe a user's connections, or the one of ``client`` or ``session``, on the server's side."""
        self.run(
            Command.subscribe(
                user,
                channel,
                info=info,
                data=data,
                expire_at=expire_at,
                override=override,
                recover_since=recover_since,
                client=client,
                session=session,
                clock=self.clock,
            ),
            timeout=timeout,
        )

    def unsubscribe(
        self, user: str, channel: str, *, client: str = "", session: str = "", timeout: float | None = None
    ) -> None:
        """Unsubscribe a user's connections, or the one of ``client`` or ``session``."""
        self.run(Command.unsubscribe(user, channel, client=client, session=session), timeout=timeout)

    def disconnect(
        self,
        user: str,
        disconnect: Disconnect | None = None,
        *,
        client: str = "",
        session: str = "",
        whitelist: Sequence[str] = (),
        timeout: float | None = None,
    ) -> None:
        """Close a user's connections, or the one of ``client`` or ``session``.

        Args:
            user: The user; the empty one has the anonymous connections, not all.
            disconnect: Code and reason; 3503, at which SDKs do not reconnect, by default.
            client: A connection's id.
            session: A connection's session.
            whitelist: Ids of connections that stay.
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        """
        self.run(
            Command.disconnect(user, disconnect, client=client, session=session, whitelist=whitelist), timeout=timeout
        )

    def refresh(
        self,
        user: str,
        *,
        expire_at: ExpireAt | None = None,
        expired: bool = False,
        info: Any = None,
        client: str = "",
        session: str = "",
        timeout: float | None = None,
    ) -> None:
        """Change when a user's connections expire: never without ``expire_at``, now with ``expired``."""
        self.run(
            Command.refresh(
                user, expire_at=expire_at, expired=expired, info=info, client=client, session=session, clock=self.clock
            ),
            timeout=timeout,
        )

    def presence(self, channel: str, *, timeout: float | None = None) -> dict[str, ClientInfo]:
        """The clients in a channel, by client id."""
        return self.run(Command.presence(channel), timeout=timeout)

    def presence_stats(self, channel: str, *, timeout: float | None = None) -> PresenceStats:
        """How many clients and users are in a channel."""
        return self.run(Command.presence_stats(channel), timeout=timeout)

    def history(
        self,
        channel: str,
        *,
        limit: int = 0,
        since: Position | None = None,
        reverse: bool = False,
        timeout: float | None = None,
    ) -> History:
        """What a channel keeps.

        Args:
            channel: The channel.
            limit: Publications at most; 0 for the position alone, -1 for all.
            since: Only those after it, or before it when ``reverse``.
            reverse: Newest first.
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        """
        return self.run(Command.history(channel, limit=limit, since=since, reverse=reverse), timeout=timeout)

    def history_remove(self, channel: str, *, timeout: float | None = None) -> None:
        """Forget the publications of a channel; its offset goes on."""
        self.run(Command.history_remove(channel), timeout=timeout)

    def channels(self, pattern: str = "", *, timeout: float | None = None) -> dict[str, int]:
        """The channels with subscribers and how many each has, those of a glob pattern where one is given."""
        return self.run(Command.channels(pattern), timeout=timeout)

    def info(self, *, timeout: float | None = None) -> list[messages.NodeResult]:
        """The nodes of the server."""
        return self.run(Command.info(), timeout=timeout)

    def rpc(self, method: str, params: Any = None, *, timeout: float | None = None) -> Any:
        """Call an extension that a Centrifugo was built with; the stock server has none and answers 104."""
        return self.run(Command.rpc(method, params), timeout=timeout)

    def map_publish(
        self,
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
        timeout: float | None = None,
    ) -> MapChange:
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
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        """
        return self.run(
            Command.map_publish(
                channel,
                key,
                data,
                stream_data=stream_data,
                tags=tags,
                idempotency_key=idempotency_key,
                delta=delta,
                version=version,
                version_epoch=version_epoch,
                score=score,
                key_mode=key_mode,
            ),
            timeout=timeout,
        )

    def map_remove(
        self, channel: str, key: str, *, idempotency_key: str = "", timeout: float | None = None
    ) -> MapChange:
        """Remove a key of a map channel."""
        return self.run(Command.map_remove(channel, key, idempotency_key=idempotency_key), timeout=timeout)

    def map_read_state(
        self,
        channel: str,
        *,
        key: str = "",
        cursor: str = "",
        limit: int = 0,
        asc: bool = False,
        revision: Position | None = None,
        timeout: float | None = None,
    ) -> MapState:
        """A page of the entries of a map channel.

        Args:
            channel: The channel.
            key: Only this one.
            cursor: Where the page before ended.
            limit: Entries at most; 0 for the server's own limit.
            asc: Lowest score first.
            revision: The position of the first page, which the others have to be of.
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        """
        return self.run(
            Command.map_read_state(channel, key=key, cursor=cursor, limit=limit, asc=asc, revision=revision),
            timeout=timeout,
        )

    def map_read_stream(
        self,
        channel: str,
        *,
        since: Position | None = None,
        limit: int = 0,
        reverse: bool = False,
        timeout: float | None = None,
    ) -> MapStream:
        """Changes of a map channel, all or those after ``since``; newest first when ``reverse``."""
        return self.run(Command.map_read_stream(channel, since=since, limit=limit, reverse=reverse), timeout=timeout)

    def map_stats(self, channel: str, *, timeout: float | None = None) -> int:
        """How many keys a map channel has."""
        return self.run(Command.map_stats(channel), timeout=timeout)

    def map_clear(self, channel: str, *, timeout: float | None = None) -> None:
        """Remove every key of a map channel."""
        self.run(Command.map_clear(channel), timeout=timeout)

    def shared_poll_publish(
        self, channel: str, key: str, data: Any, *, version: int, epoch: str = "", timeout: float | None = None
    ) -> None:
        """Hand a newer value of a key to those who poll it.

        Args:
            channel: A channel of a shared poll namespace.
            key: The key.
            data: A JSON value, or ``bytes`` that are sent as they are.
            version: The value's version, above 0.
            epoch: Names the series that ``version`` counts in.
            timeout: Seconds that the call may take, retries included; None for the configured ones.

        """
        self.run(Command.shared_poll_publish(channel, key, data, version=version, epoch=epoch), timeout=timeout)
