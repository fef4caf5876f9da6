"""What the configuration says of a channel or an RPC method: its namespace, its options, who may do what.

Source: centrifugal.dev, "Channels and namespaces" and "Channel permission model".
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from rtbridge.config import Embedded
from rtbridge.config.embedded import ChannelOptions
from rtbridge.config.regex import compile_regex
from rtbridge.embedded.grants import Override, SubscribeOptions
from rtbridge.errors import ClientError

_NO_OVERRIDE: Final = Override()


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one channel namespace, ready to use."""

    name: str
    options: ChannelOptions
    pattern: re.Pattern[str] | None
    cache: bool
    history: bool


class Plan(msgspec.Struct, kw_only=True):
    """What a subscription is going to be, once it is allowed.

    Attributes:
        space: The channel's namespace.
        presence: Whether the client is listed in presence.
        join_leave: Whether its join and leave are published.
        push_join_leave: Whether it gets those of others.
        recovery: Whether missed publications are recovered.
        positioning: Whether its position is kept.
        auto_cache: Deliver the newest publication without being asked for a position.
        expire_at: Seconds since the epoch; 0 = never.
        info: About the client in this channel.
        data: Goes to the client with the subscription.
        client_refresh: Whether the client renews it with ``sub_refresh``; else this side asks the hooks.
        from_token: Whether the connection's token granted it, on the server side.

    """

    space: Space
    presence: bool
    join_leave: bool
    push_join_leave: bool
    recovery: bool
    positioning: bool
    auto_cache: bool = False
    expire_at: int = 0
    info: bytes | None = None
    data: bytes | None = None
    client_refresh: bool = True
    from_token: bool = False


class Rules:
    """Looks up namespaces and answers questions of permission.

    Nothing is remembered of channel names: clients choose them.

    Args:
        config: The section ``rtbridge.embedded``.

    """

    def __init__(self, config: Embedded) -> None:
        channel = config.channel
        self._private = channel.private_prefix
        self._boundary = channel.namespace_boundary
        self._user_boundary = channel.user_boundary
        self._user_separator = channel.user_separator
        self._insecure = config.client.insecure
        self._root = _space("", channel.without_namespace)
        self._spaces: Mapping[str, Space] = {each.name: _space(each.name, each) for each in channel.namespaces}
        self._personal = config.client.subscribe_to_user_personal_channel.personal_channel_namespace
        self._rpc_boundary = config.rpc.namespace_boundary
        self._rpc_root = config.rpc.without_namespace.proxy_enabled
        self._rpc = {each.name: each.proxy_enabled for each in config.rpc.namespaces}
        spaces = [self._root, *self._spaces.values()]
        #: Whether any namespace asks the hooks that answer this event.
        self.asks_subscribe = any(each.options.subscribe_proxy_enabled for each in spaces)
        self.asks_sub_refresh = any(each.options.sub_refresh_proxy_enabled for each in spaces)
        self.asks_rpc = self._rpc_root or any(self._rpc.values())

    def space(self, channel: str) -> Space | None:
        """The namespace of a channel; None where it names one that is not configured."""
        bare = channel.removeprefix(self._private) if self._private else channel
        if self._boundary and self._boundary in bare:
            name = bare.partition(self._boundary)[0]
            return self._spaces.get(name) if name else self._root
        return self._root

    def known(self, channel: str) -> Space:
        """The namespace of a channel.

        Raises:
            ClientError: 102, it names one that is not configured.

        """
        space = self.space(channel)
        if space is None:
            raise ClientError("UNKNOWN_CHANNEL")
        return space

    def well_named(self, space: Space, channel: str) -> bool:
        """Whether the name fits the namespace's ``channel_regex``, or is ASCII where there is none."""
        if space.pattern is None:
            return channel.isascii()
        return space.pattern.search(self._rest(channel)) is not None

    def check(self, channel: str) -> Space:
        """The namespace of a channel that a client names.

        Raises:
            ClientError: 102 or 107.

        """
        space = self.known(channel)
        if not self.well_named(space, channel):
            raise ClientError("BAD_REQUEST")
        return space

    def _rest(self, channel: str) -> str:
        bare = channel.removeprefix(self._private) if self._private else channel
        if self._boundary and self._boundary in bare:
            return bare.partition(self._boundary)[2]
        return channel

    def private(self, channel: str) -> bool:
        """Whether a subscription needs a token."""
        return bool(self._private) and channel.startswith(self._private)

    def user_limited(self, space: Space, channel: str) -> bool:
        """Whether the name lists the users that may subscribe."""
        boundary = self._user_boundary
        return space.options.allow_user_limited_channels and bool(boundary) and boundary in channel

    def user_allowed(self, channel: str, user: str) -> bool:
        """Whether a user-limited channel lists the user."""
        users = channel.rpartition(self._user_boundary)[2]
        return user in (users.split(self._user_separator) if self._user_separator else [users])

    def personal_channel(self, user: str) -> str:
        """The channel that belongs to a user alone."""
        prefix = f"{self._personal}{self._boundary}" if self._personal else ""
        return f"{prefix}{self._user_boundary}{user}"

    def may_subscribe(self, space: Space, channel: str, user: str) -> bool:
        """Whether ``allow_subscribe_*`` or insecure mode lets the user in; tokens, user lists and hooks come first."""
        options = space.options
        if options.allow_subscribe_for_client and (user or options.allow_subscribe_for_anonymous):
            return not self.user_limited(space, channel) or self._insecure
        return self._insecure

    def may_publish(self, space: Space, user: str, *, subscribed: bool) -> bool:
        """Whether ``allow_publish_*`` or insecure mode lets the user publish."""
        options = space.options
        allowed = options.allow_publish_for_client or (options.allow_publish_for_subscriber and subscribed)
        return (allowed and bool(user or options.allow_publish_for_anonymous)) or self._insecure

    def may_read_presence(self, space: Space, user: str, *, subscribed: bool) -> bool:
        """Whether ``allow_presence_*`` or insecure mode lets the user see who is there."""
        options = space.options
        allowed = options.allow_presence_for_client or (options.allow_presence_for_subscriber and subscribed)
        return (allowed and bool(user or options.allow_presence_for_anonymous)) or self._insecure

    def may_read_history(self, space: Space, user: str, *, subscribed: bool) -> bool:
        """Whether ``allow_history_*`` or insecure mode lets the user read what was published."""
        options = space.options
        allowed = options.allow_history_for_client or (options.allow_history_for_subscriber and subscribed)
        return (allowed and bool(user or options.allow_history_for_anonymous)) or self._insecure

    def rpc_enabled(self, method: str) -> bool:
        """Whether hooks answer an RPC method.

        Raises:
            ClientError: 104, the method names a namespace that is not configured.

        """
        if self._rpc_boundary and self._rpc_boundary in method:
            name = method.partition(self._rpc_boundary)[0]
            if name:
                if name not in self._rpc:
                    raise ClientError("METHOD_NOT_FOUND")
                return self._rpc[name]
        return self._rpc_root

    def plan(self, space: Space, granted: SubscribeOptions | None = None) -> Plan:
        """The subscription that the namespace's options and a grant make together."""
        options = space.options
        override = _NO_OVERRIDE if granted is None or granted.override is None else granted.override
        recovery = _either(override.force_recovery, options.force_recovery)
        auto = options.auto_cache_recover or (granted is not None and granted.cache_recover)
        return Plan(
            space=space,
            presence=_either(override.presence, options.presence),
            join_leave=_either(override.join_leave, options.join_leave),
            push_join_leave=_either(override.force_push_join_leave, options.force_push_join_leave),
            recovery=recovery,
            positioning=_either(override.force_positioning, options.force_positioning),
            auto_cache=recovery and space.cache and auto,
            expire_at=0 if granted is None else granted.expire_at,
            info=None if granted is None else granted.info,
            data=None if granted is None else granted.data,
        )


def _either(override: bool | None, configured: bool) -> bool:
    return configured if override is None else override


def _space(name: str, options: ChannelOptions) -> Space:
    return Space(
        name=name,
        options=options,
        pattern=compile_regex(options.channel_regex) if options.channel_regex else None,
        cache=options.force_recovery_mode == "cache",
        history=options.history_size > 0 and options.history_ttl > 0,
    )
