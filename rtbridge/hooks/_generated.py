"""Hook specifications of the Centrifugo events, and the decorators of the router.

Generated from proto/centrifugo/proxy.proto by `python -m rtbridge._codegen`; edit the proto, not this file.
"""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from rtbridge import events

if TYPE_CHECKING:
    from rtbridge.api import Api
    from rtbridge.config import Config
    from rtbridge.stores import KvStores

hookspec = pluggy.HookspecMarker("rtbridge")
F = TypeVar("F", bound=Callable[..., Any])


@hookspec(firstresult=True)
def on_connect(event: events.ConnectEvent, api: "Api", kv: "KvStores", config: "Config") -> events.ConnectResult | None:
    """A client connects without a token.

    Called for every transport, unidirectional ones too, when `client.proxy.connect.enabled` is set. A client that
    brings a token is let in by the token, unseen by the backend.
    """


@hookspec(firstresult=True)
def on_refresh(event: events.RefreshEvent, api: "Api", kv: "KvStores", config: "Config") -> events.RefreshResult | None:
    """A connection has reached the `expire_at` it was given: is the session still valid? Called at that second, and
    again whenever the next one passes, when `client.proxy.refresh.enabled` is set.

    Centrifugo reads nothing but the result: an error or a disconnect ends the connection with code 3005, a failed call
    prolongs it by 60 seconds.
    """


@hookspec(firstresult=True)
def on_subscribe(
    event: events.SubscribeEvent, api: "Api", kv: "KvStores", config: "Config"
) -> events.SubscribeResult | None:
    """A client subscribes to a channel whose namespace has `subscribe_proxy_enabled`.

    Not called for a subscription that brings a token, nor for user-limited (`#`) and private (`$`) channels.
    """


@hookspec(firstresult=True)
def on_publish(event: events.PublishEvent, api: "Api", kv: "KvStores", config: "Config") -> events.PublishResult | None:
    """A client publishes into a channel whose namespace has `publish_proxy_enabled`; it need not be subscribed.

    The client learns only that it worked or failed: the data of the result goes to the subscribers.
    """


@hookspec(firstresult=True)
def on_rpc(event: events.RPCEvent, api: "Api", kv: "KvStores", config: "Config") -> events.RPCResult | None:
    """A client calls a method, when `rpc.without_namespace.proxy_enabled`, or that of the method's namespace, is
    set.
    """


@hookspec(firstresult=True)
def on_sub_refresh(
    event: events.SubRefreshEvent, api: "Api", kv: "KvStores", config: "Config"
) -> events.SubRefreshResult | None:
    """A subscription has passed the `expire_at` it was given, in a namespace with `sub_refresh_proxy_enabled`.

    Centrifugo looks once per presence update, so the call comes 25 to 52 seconds after that time by default. It reads
    nothing but the result: an error or a disconnect ends the subscription with code 2501.
    """


@hookspec(firstresult=True)
def on_subscribe_unidirectional(
    event: events.SubscribeUnidirectionalEvent, api: "Api", kv: "KvStores", config: "Config"
) -> AsyncIterator[events.SubscribeResult | events.Publication] | None:
    """A client subscribes to a channel whose namespace has `subscribe_stream_proxy_enabled`: the backend feeds the
    subscription for as long as it lasts.

    The first message must come within the proxy's timeout and answers the subscribe; there is no history and no
    recovery. gRPC only.
    """


@hookspec(firstresult=True)
def on_subscribe_bidirectional(
    event: events.SubscribeBidirectionalEvent, api: "Api", kv: "KvStores", config: "Config"
) -> AsyncIterator[events.SubscribeResult | events.Publication] | None:
    """As the unidirectional stream, with `subscribe_stream_proxy_bidirectional`: what the client publishes into the
    channel arrives here instead of going to subscribers.

    gRPC only.
    """


@hookspec(firstresult=True)
def on_cache_empty(
    event: events.CacheEmptyEvent, api: "Api", kv: "KvStores", config: "Config"
) -> events.CacheEmptyResult | None:
    """Cache recovery found no publication in a channel; the backend may publish one before answering.

    Centrifugo PRO.
    """


@hookspec(firstresult=True)
def on_channel_state(
    event: events.ChannelStateEvent, api: "Api", kv: "KvStores", config: "Config"
) -> events.ChannelStateResult | None:
    """Channels became occupied or vacated.

    Centrifugo PRO, a preview there.
    """


@hookspec(firstresult=True)
def on_map_publish(
    event: events.MapPublishEvent, api: "Api", kv: "KvStores", config: "Config"
) -> events.MapPublishResult | None:
    """A client writes a key of a map channel, in a namespace with `map.publish_proxy_enabled`.

    Centrifugo 6.9.1 answers the client with error 107 even when the backend allowed it and the write was done.
    """


@hookspec(firstresult=True)
def on_map_remove(
    event: events.MapRemoveEvent, api: "Api", kv: "KvStores", config: "Config"
) -> events.MapRemoveResult | None:
    """A client removes a key of a map channel, in a namespace with `map.remove_proxy_enabled`.

    Centrifugo 6.9.1 answers the client with error 107 even when the backend allowed it and the key was removed.
    """


@hookspec(firstresult=True)
def on_shared_poll_refresh(
    event: events.SharedPollRefreshEvent, api: "Api", kv: "KvStores", config: "Config"
) -> events.SharedPollRefreshResult | None:
    """Centrifugo polls the keys that clients track in a `shared_poll` namespace.

    No client stands behind the call.
    """


class Routes:
    """The decorators of a router, one for each event that has something to route by."""

    def _route(self, kind: str, pattern: str, priority: int, blocking: bool | None) -> Callable[[F], F]:
        raise NotImplementedError  # pragma: no cover  # Router has it

    def on_connect(self, pattern: str, *, priority: int = 0, blocking: bool | None = None) -> Callable[[F], F]:
        """Listen to ``ConnectEvent`` where ``pattern`` matches any requested channel."""
        return self._route("connect", pattern, priority, blocking)

    def on_subscribe(self, pattern: str, *, priority: int = 0, blocking: bool | None = None) -> Callable[[F], F]:
        """Listen to ``SubscribeEvent`` where ``pattern`` matches the event's channel."""
        return self._route("subscribe", pattern, priority, blocking)

    def on_publish(self, pattern: str, *, priority: int = 0, blocking: bool | None = None) -> Callable[[F], F]:
        """Listen to ``PublishEvent`` where ``pattern`` matches the event's channel."""
        return self._route("publish", pattern, priority, blocking)

    def on_rpc(self, pattern: str, *, priority: int = 0, blocking: bool | None = None) -> Callable[[F], F]:
        """Listen to ``RPCEvent`` where ``pattern`` matches the method's name."""
        return self._route("rpc", pattern, priority, blocking)

    def on_sub_refresh(self, pattern: str, *, priority: int = 0, blocking: bool | None = None) -> Callable[[F], F]:
        """Listen to ``SubRefreshEvent`` where ``pattern`` matches the event's channel."""
        return self._route("sub_refresh", pattern, priority, blocking)

    def on_subscribe_unidirectional(
        self, pattern: str, *, priority: int = 0, blocking: bool | None = None
    ) -> Callable[[F], F]:
        """Listen to ``SubscribeUnidirectionalEvent`` where ``pattern`` matches the event's channel."""
        return self._route("subscribe_unidirectional", pattern, priority, blocking)

    def on_subscribe_bidirectional(
        self, pattern: str, *, priority: int = 0, blocking: bool | None = None
    ) -> Callable[[F], F]:
        """Listen to ``SubscribeBidirectionalEvent`` where ``pattern`` matches the event's channel."""
        return self._route("subscribe_bidirectional", pattern, priority, blocking)

    def on_cache_empty(self, pattern: str, *, priority: int = 0, blocking: bool | None = None) -> Callable[[F], F]:
        """Listen to ``CacheEmptyEvent`` where ``pattern`` matches the event's channel."""
        return self._route("cache_empty", pattern, priority, blocking)

    def on_map_publish(self, pattern: str, *, priority: int = 0, blocking: bool | None = None) -> Callable[[F], F]:
        """Listen to ``MapPublishEvent`` where ``pattern`` matches the event's channel."""
        return self._route("map_publish", pattern, priority, blocking)

    def on_map_remove(self, pattern: str, *, priority: int = 0, blocking: bool | None = None) -> Callable[[F], F]:
        """Listen to ``MapRemoveEvent`` where ``pattern`` matches the event's channel."""
        return self._route("map_remove", pattern, priority, blocking)

    def on_shared_poll_refresh(
        self, pattern: str, *, priority: int = 0, blocking: bool | None = None
    ) -> Callable[[F], F]:
        """Listen to ``SharedPollRefreshEvent`` where ``pattern`` matches the event's channel."""
        return self._route("shared_poll_refresh", pattern, priority, blocking)
