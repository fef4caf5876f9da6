"""What calls of the server API give back: JSON values where Centrifugo has JSON."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from rtbridge.api import _generated as messages


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


def value_of(raw: Raw | msgspec.UnsetType) -> Any:
    """The value of a payload; None where there is none."""
    return None if raw is UNSET else msgspec.json.decode(raw)


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
