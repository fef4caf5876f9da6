"""What a connection or a subscription is granted: by a token, by a hook's answer, or by the server API."""

from collections.abc import Mapping

import msgspec


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """Channel options replaced for one subscription; None leaves one as configured."""

    presence: bool | None = None
    join_leave: bool | None = None
    force_recovery: bool | None = None
    force_positioning: bool | None = None
    force_push_join_leave: bool | None = None


class SubscribeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What one subscription is given.

    Attributes:
        info: JSON about the client in this channel, shown in presence, join, leave and publications.
        data: Goes to the client with the subscription.
        expire_at: Seconds since the epoch; 0 for a subscription that does not expire.
        override: Replaced channel options.
        cache_recover: Deliver the newest publication at once where the channel recovers in cache mode.

    """

    info: bytes | None = None
    data: bytes | None = None
    expire_at: int = 0
    override: Override | None = None
    cache_recover: bool = False


class SubscribeGrant(SubscribeOptions, frozen=True, kw_only=True):
    """What a subscription token grants, and to whom.

    Attributes:
        user: The user that the token was made for.
        channel: The channel that it opens.
        client: The one connection that may use it; empty for any.

    """

    user: str = ""
    channel: str = ""
    client: str = ""


class ConnectGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What lets a client in.

    Attributes:
        user: The user's id; empty for an anonymous one.
        expire_at: Seconds since the epoch; 0 for a connection that does not expire.
        info: JSON about the client, shown in presence, join, leave and publications.
        data: Goes to the client with the connect reply.
        meta: Kept here and given to hooks, never to a client.
        channels: Server-side subscriptions with the options of their namespaces.
        subs: Server-side subscriptions with options of their own; they win over ``channels``.

    """

    user: str
    expire_at: int = 0
    info: bytes | None = None
    data: bytes | None = None
    meta: bytes | None = None
    channels: tuple[str, ...] = ()
    subs: Mapping[str, SubscribeOptions] = {}
