"""What calls of the server API give back: JSON values where Centrifugo has JSON."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from rtbridge.api import _generated as messages
from rtbridge.errors import ApiError


class Position(msgspec.Struct, frozen=True):
    """A place in a channel's stream.

    Attributes:
        offset: The number of a publication; 0 in a channel without history.
        epoch: Names the stream that the offset counts in.

    """

    offset: int = 0
    epoch: str = ""


class ClientInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A client, as others see it.

    Attributes:
        user: The user's id.
        client: The connection's id.
        conn_info: What its connect was given as ``info``.
        chan_info: What its subscription was given as ``info``.

    """

    user: str
    client: str
    conn_info: Any = None
    chan_info: Any = None


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """A publication that a channel keeps.

    Attributes:
        data: The payload.
        offset: Its place in the stream.
        tags: Its tags.
        info: The client that published it; None for the server.

    """

    data: Any
    offset: int
    tags: Mapping[str, str]
    info: ClientInfo | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The publications of a channel, and where its stream stands.

    Attributes:
        publications: In the order that was asked for.
        position: The newest place of the stream.

    """

    publications: tuple[Publication, ...]
    position: Position


class PresenceStats(msgspec.Struct, frozen=True):
    """How many are in a channel.

    Attributes:
        num_clients: Connections.
        num_users: Different users.

    """

    num_clients: int = 0
    num_users: int = 0


class MapChange(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a write into a map.

    Attributes:
        position: The change's place in the stream of the map.
        suppressed: Whether nothing was written.
        suppress_reason: Why not, in Centrifugo's word.

    """

    position: Position
    suppressed: bool = False
    suppress_reason: str = ""


class MapEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a map, or a change of one.

    Attributes:
        key: The key.
        data: The value.
        tags: Its tags.
        offset: The change's place in the stream.
        score: The key's rank in an ordered map.
        removed: Whether the change removed the key.
        time: When it was written, in milliseconds since the epoch.

    """

    key: str
    data: Any
    tags: Mapping[str, str]
    offset: int
    score: int
    removed: bool
    time: int


class MapState(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a map's entries.

    Attributes:
        entries: The entries.
        position: The newest place of the stream.
        cursor: Where the next page begins; "" on the last one.

    """

    entries: tuple[MapEntry, ...]
    position: Position
    cursor: str = ""


class MapStream(msgspec.Struct, frozen=True, kw_only=True):
    """Changes of a map.

    Attributes:
        entries: In the order that was asked for.
        position: The newest place of the stream.

    """

    entries: tuple[MapEntry, ...]
    position: Position


def value_of(raw: Raw | msgspec.UnsetType) -> Any:
    """The value of a payload; None where there is none, the bytes themselves where they are no JSON."""
    if raw is UNSET:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return bytes(raw)


def client_info(message: messages.ClientInfo) -> ClientInfo:
    """The public form of a client."""
    return ClientInfo(
        user=message.user,
        client=message.client,
        conn_info=value_of(message.conn_info),
        chan_info=value_of(message.chan_info),
    )


def publication(message: messages.Publication) -> Publication:
    """The public form of a publication."""
    return Publication(
        data=value_of(message.data),
        offset=message.offset,
        tags=message.tags,
        info=None if message.info is None else client_info(message.info),
    )


def map_change(message: messages.MapPublishResult | messages.MapRemoveResult) -> MapChange:
    """The public form of what became of a write."""
    return MapChange(
        position=Position(message.offset, message.epoch),
        suppressed=message.suppressed,
        suppress_reason=message.suppress_reason,
    )


def map_entries(entries: list[messages.MapEntry]) -> tuple[MapEntry, ...]:
    """The public form of entries."""
    return tuple(
        MapEntry(
            key=each.key,
            data=value_of(each.data),
            tags=each.tags,
            offset=each.offset,
            score=each.score,
            removed=each.removed,
            time=each.time,
        )
        for each in entries
    )


def position_or_error(response: messages.PublishResponse) -> Position | ApiError:
    """What became of one channel of a broadcast."""
    if response.error is not None:
        return ApiError(response.error.code, response.error.message)
    result = response.result or messages.PublishResult()
    return Position(result.offset, result.epoch)
