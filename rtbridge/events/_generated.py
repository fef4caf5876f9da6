"""Events, results and the method table of the Centrifugo proxy service.

Generated from proto/centrifugo/proxy.proto by `python -m rtbridge._codegen`; edit the proto, not this file.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar, cast

import msgspec

from rtbridge.errors import ClientError, Disconnect
from rtbridge.events.base import Event, Received, Result
from rtbridge.events.method import Method
from rtbridge.events.values import NEVER, ExpireAt, Never, parse_payload

__all__ = [
    "METHODS",
    "CacheEmptyEvent",
    "CacheEmptyResult",
    "ChannelEvent",
    "ChannelStateEvent",
    "ChannelStateResult",
    "ChannelsCapability",
    "ConnectEvent",
    "ConnectResult",
    "FilterNode",
    "MapPublishEvent",
    "MapPublishResult",
    "MapRemoveEvent",
    "MapRemoveResult",
    "Publication",
    "PublishEvent",
    "PublishResult",
    "RPCEvent",
    "RPCResult",
    "ReceivedPublication",
    "RefreshEvent",
    "RefreshResult",
    "SharedPollRefreshEvent",
    "SharedPollRefreshItem",
    "SharedPollRefreshResult",
    "SharedPollRefreshResultItem",
    "SubRefreshEvent",
    "SubRefreshResult",
    "SubscribeBidirectionalEvent",
    "SubscribeEvent",
    "SubscribeOptionOverride",
    "SubscribeOptions",
    "SubscribeResult",
    "SubscribeUnidirectionalEvent",
]

_T = TypeVar("_T")


class FilterNode(Result, frozen=True, kw_only=True):
    """A condition on the tags of a publication, or a combination of conditions.

    Centrifugo PRO.

    Attributes:
        op: `and`, `or`, `not`; empty for a comparison.
        key: The tag to compare.
        cmp: `eq`, `neq`, `in`, `nin`, `ex`, `nex`, `sw`, `ew`, `ct`, `lt`, `lte`, `gt`, `gte`.
        val: What to compare with.
        vals: What to compare with, for `in` and `nin`.
        nodes: The operands of `and`, `or`, `not`.

    """

    op: str = ""
    key: str = ""
    cmp: str = ""
    val: str = ""
    vals: Sequence[str] = ()
    nodes: "Sequence[FilterNode]" = ()

    def __post_init__(self) -> None:
        if not isinstance(self.op, str):
            self._refuse("op", "str", self.op)
        if not isinstance(self.key, str):
            self._refuse("key", "str", self.key)
        if not isinstance(self.cmp, str):
            self._refuse("cmp", "str", self.cmp)
        if not isinstance(self.val, str):
            self._refuse("val", "str", self.val)
        if self.vals != ():
            self._check_items("vals", self.vals, str)
        if self.nodes != ():
            self._check_items("nodes", self.nodes, FilterNode)


class SubscribeOptionOverride(Result, frozen=True, kw_only=True):
    """Options of a namespace, replaced for one subscription; an absent one stays as configured.

    Attributes:
        presence: Take part in presence.
        join_leave: Send join and leave messages.
        force_recovery: Recover missed publications.
        force_positioning: Keep the position in the stream.
        force_push_join_leave: Receive join and leave messages.

    """

    presence: bool | None = None
    join_leave: bool | None = None
    force_recovery: bool | None = None
    force_positioning: bool | None = None
    force_push_join_leave: bool | None = None

    def __post_init__(self) -> None:
        if self.presence is not None and not isinstance(self.presence, bool):
            self._refuse("presence", "bool or None", self.presence)
        if self.join_leave is not None and not isinstance(self.join_leave, bool):
            self._refuse("join_leave", "bool or None", self.join_leave)
        if self.force_recovery is not None and not isinstance(self.force_recovery, bool):
            self._refuse("force_recovery", "bool or None", self.force_recovery)
        if self.force_positioning is not None and not isinstance(self.force_positioning, bool):
            self._refuse("force_positioning", "bool or None", self.force_positioning)
        if self.force_push_join_leave is not None and not isinstance(self.force_push_join_leave, bool):
            self._refuse("force_push_join_leave", "bool or None", self.force_push_join_leave)


class SubscribeOptions(Result, frozen=True, kw_only=True):
    """What one server-side subscription is given.

    Attributes:
        expire_at: When the subscription expires. Centrifugo does not read it on connect.
        info: Channel information about the client, seen in presence, join and leave.
        data: Goes to the client with the subscription.
        override: Options of the namespace to override.
        server_tags_filter: Only publications with such tags reach the client. Centrifugo PRO.
        cache_recover: Deliver the newest publication at once, in cache recovery mode.

    """

    expire_at: ExpireAt | None = None
    info: Any = None
    data: Any = None
    override: SubscribeOptionOverride | None = None
    server_tags_filter: FilterNode | None = None
    cache_recover: bool = False

    def __post_init__(self) -> None:
        if self.expire_at is not None:
            self._check_expiry("expire_at", self.expire_at)
        if self.override is not None and not isinstance(self.override, SubscribeOptionOverride):
            self._refuse("override", "SubscribeOptionOverride or None", self.override)
        if self.server_tags_filter is not None and not isinstance(self.server_tags_filter, FilterNode):
            self._refuse("server_tags_filter", "FilterNode or None", self.server_tags_filter)
        if not isinstance(self.cache_recover, bool):
            self._refuse("cache_recover", "bool", self.cache_recover)


class ChannelsCapability(Result, frozen=True, kw_only=True):
    """What a client may do in some channels.

    Centrifugo PRO.

    Attributes:
        channels: Channel names or patterns.
        allow: `sub`, `pub`, `prs`, `hst`.
        match: How names match: empty, `wildcard` or `regex`.

    """

    channels: Sequence[str] = ()
    allow: Sequence[str] = ()
    match: str = ""

    def __post_init__(self) -> None:
        if self.channels != ():
            self._check_items("channels", self.channels, str)
        if self.allow != ():
            self._check_items("allow", self.allow, str)
        if not isinstance(self.match, str):
            self._refuse("match", "str", self.match)


class ConnectResult(Result, frozen=True, kw_only=True):
    """Lets the client in.

    Attributes:
        user: The user's id; empty lets the client in anonymously.
        expire_at: When Centrifugo asks again through `on_refresh`; absent for a connection that never expires.
        info: Information about the client, seen by others in presence, join, leave and publications.
        data: Goes to the client with the connect reply.
        channels: Server-side subscriptions with the options of their namespaces.
        subs: Server-side subscriptions with options of their own.
        meta: Kept by Centrifugo, never shown to the client, given back in later events as `event.meta`.
        caps: Capabilities on channels. Centrifugo PRO.
        labels: Labels of the connection. Centrifugo PRO.

    """

    user: str
    expire_at: ExpireAt | None = None
    info: Any = None
    data: Any = None
    channels: Sequence[str] = ()
    subs: Mapping[str, SubscribeOptions] = {}
    meta: Any = None
    caps: Sequence[ChannelsCapability] = ()
    labels: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        if not isinstance(self.user, str):
            self._refuse("user", "str", self.user)
        if self.expire_at is not None:
            self._check_expiry("expire_at", self.expire_at)
        if self.channels != ():
            self._check_items("channels", self.channels, str)
        if self.subs != {}:
            self._check_map("subs", self.subs, SubscribeOptions)
        if self.caps != ():
            self._check_items("caps", self.caps, ChannelsCapability)
        if self.labels != {}:
            self._check_map("labels", self.labels, str)


class RefreshResult(Result, frozen=True, kw_only=True):
    """Prolongs a connection or ends it.

    Attributes:
        expired: Ends the connection; the client sees code 3005.
        expire_at: The next time to ask.
        info: Replaces the client's information.
        meta: Replaces the connection's meta.
        caps: Replaces the capabilities. Centrifugo PRO.

    """

    expired: bool = False
    expire_at: ExpireAt | None = None
    info: Any = None
    meta: Any = None
    caps: Sequence[ChannelsCapability] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.expired, bool):
            self._refuse("expired", "bool", self.expired)
        if self.expire_at is not None:
            self._check_expiry("expire_at", self.expire_at)
        if self.caps != ():
            self._check_items("caps", self.caps, ChannelsCapability)
        self._check_one_of(self.expired, self.expire_at)


class SubscribeResult(Result, frozen=True, kw_only=True):
    """Lets the client subscribe.

    Attributes:
        expire_at: When Centrifugo asks again through `on_sub_refresh`; absent for a subscription that never expires.
        info: Channel information about the client, seen in presence, join and leave.
        data: Goes to the client with the subscribe reply.
        override: Options of the namespace to override.
        allow: Capabilities in this channel. Centrifugo PRO.
        server_tags_filter: Only publications with such tags reach the client. Centrifugo PRO.

    """

    expire_at: ExpireAt | None = None
    info: Any = None
    data: Any = None
    override: SubscribeOptionOverride | None = None
    allow: Sequence[str] = ()
    server_tags_filter: FilterNode | None = None

    def __post_init__(self) -> None:
        if self.expire_at is not None:
            self._check_expiry("expire_at", self.expire_at)
        if self.override is not None and not isinstance(self.override, SubscribeOptionOverride):
            self._refuse("override", "SubscribeOptionOverride or None", self.override)
        if self.allow != ():
            self._check_items("allow", self.allow, str)
        if self.server_tags_filter is not None and not isinstance(self.server_tags_filter, FilterNode):
            self._refuse("server_tags_filter", "FilterNode or None", self.server_tags_filter)


class PublishResult(Result, frozen=True, kw_only=True):
    """Lets the publication pass.

    Attributes:
        data: Published in place of the client's data; absent to publish what the client sent.
        skip_history: Do not keep the publication in history.
        tags: Tags of the publication.
        idempotency_key: A key seen again within five minutes publishes nothing.
        delta: Send the publication as a delta where the channel allows it.
        version: Version of the document; Centrifugo drops a publication that is not newer.
        version_epoch: Versions are compared within one epoch.

    """

    data: Any = None
    skip_history: bool = False
    tags: Mapping[str, str] = {}
    idempotency_key: str = ""
    delta: bool = False
    version: int = 0
    version_epoch: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.skip_history, bool):
            self._refuse("skip_history", "bool", self.skip_history)
        if self.tags != {}:
            self._check_map("tags", self.tags, str)
        if not isinstance(self.idempotency_key, str):
            self._refuse("idempotency_key", "str", self.idempotency_key)
        if not isinstance(self.delta, bool):
            self._refuse("delta", "bool", self.delta)
        if type(self.version) is not int or self.version:
            self._check_int("version", self.version, 0, 18446744073709551615)
        if not isinstance(self.version_epoch, str):
            self._refuse("version_epoch", "str", self.version_epoch)


class MapPublishResult(Result, frozen=True, kw_only=True):
    """Lets the write pass.

    Attributes:
        key: Written in place of the client's key.
        data: Written in place of the client's value.
        tags: Tags of the publication.
        score: Place in an ordered map. Not read by the open-source server.
        key_mode: `if_new` or `if_exists`.
        stream_data: Goes into the stream in place of the value. Not read by the open-source server.
        idempotency_key: A key seen again within five minutes writes nothing.
        delta: Send the publication as a delta where the channel allows it.
        version: Version of the value; one that is not newer is dropped.
        version_epoch: Versions are compared within one epoch.

    """

    key: str = ""
    data: Any = None
    tags: Mapping[str, str] = {}
    score: int = 0
    key_mode: str = ""
    stream_data: Any = None
    idempotency_key: str = ""
    delta: bool = False
    version: int = 0
    version_epoch: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.key, str):
            self._refuse("key", "str", self.key)
        if self.tags != {}:
            self._check_map("tags", self.tags, str)
        if type(self.score) is not int or self.score:
            self._check_int("score", self.score, -9223372036854775808, 9223372036854775807)
        if not isinstance(self.key_mode, str):
            self._refuse("key_mode", "str", self.key_mode)
        if not isinstance(self.idempotency_key, str):
            self._refuse("idempotency_key", "str", self.idempotency_key)
        if not isinstance(self.delta, bool):
            self._refuse("delta", "bool", self.delta)
        if type(self.version) is not int or self.version:
            self._check_int("version", self.version, 0, 18446744073709551615)
        if not isinstance(self.version_epoch, str):
            self._refuse("version_epoch", "str", self.version_epoch)


class MapRemoveResult(Result, frozen=True, kw_only=True):
    """Lets the removal pass.

    Attributes:
        key: Removed in place of the client's key.
        tags: Tags of the publication.
        idempotency_key: A key seen again within five minutes removes nothing.

    """

    key: str = ""
    tags: Mapping[str, str] = {}
    idempotency_key: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.key, str):
            self._refuse("key", "str", self.key)
        if self.tags != {}:
            self._check_map("tags", self.tags, str)
        if not isinstance(self.idempotency_key, str):
            self._refuse("idempotency_key", "str", self.idempotency_key)


class RPCResult(Result, frozen=True, kw_only=True):
    """Answers the call.

    Attributes:
        data: Goes to the client.

    """

    data: Any = None


class SubRefreshResult(Result, frozen=True, kw_only=True):
    """Prolongs a subscription or ends it.

    Attributes:
        expired: Ends the subscription; the client sees code 2501.
        expire_at: The next time to ask; `NEVER` ends the asking.
        info: Replaces the channel information about the client.

    """

    expired: bool = False
    expire_at: ExpireAt | Never | None = None
    info: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.expired, bool):
            self._refuse("expired", "bool", self.expired)
        if self.expire_at is not None and self.expire_at is not NEVER:
            self._check_expiry("expire_at", self.expire_at)
        self._check_one_of(self.expired, self.expire_at)


class Publication(Result, frozen=True, kw_only=True):
    """One message of a subscription stream.

    Attributes:
        data: The payload.
        tags: Tags of the publication.

    """

    data: Any = None
    tags: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        if self.tags != {}:
            self._check_map("tags", self.tags, str)


class CacheEmptyResult(Result, frozen=True, kw_only=True):
    """Says whether the channel has been filled.

    Attributes:
        populated: A publication is there now; Centrifugo looks again.

    """

    populated: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.populated, bool):
            self._refuse("populated", "bool", self.populated)


class ChannelStateResult(Result, frozen=True, kw_only=True):
    """Says that the changes were taken."""


class SharedPollRefreshResultItem(Result, frozen=True, kw_only=True):
    """A changed key.

    Attributes:
        key: The key.
        data: Its value.
        version: Its version.
        removed: The key is gone.
        prev_data: The value before, for deltas.

    """

    key: str = ""
    data: Any = None
    version: int = 0
    removed: bool = False
    prev_data: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.key, str):
            self._refuse("key", "str", self.key)
        if type(self.version) is not int or self.version:
            self._check_int("version", self.version, 0, 18446744073709551615)
        if not isinstance(self.removed, bool):
            self._refuse("removed", "bool", self.removed)


class SharedPollRefreshResult(Result, frozen=True, kw_only=True):
    """What has changed.

    Attributes:
        items: Changed keys; one that is left out is unchanged.
        epoch: Versions are compared within one epoch.

    """

    items: Sequence[SharedPollRefreshResultItem] = ()
    epoch: str = ""

    def __post_init__(self) -> None:
        if self.items != ():
            self._check_items("items", self.items, SharedPollRefreshResultItem)
        if not isinstance(self.epoch, str):
            self._refuse("epoch", "str", self.epoch)


class ReceivedPublication(Received, frozen=True, kw_only=True):
    """One message of a subscription stream.

    Attributes:
        raw_data: The payload. As bytes.
        tags: Tags of the publication.

    """

    raw_data: bytes | None = None
    tags: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    @property
    def data(self) -> Any:
        """The payload. Decoded from JSON; None when absent."""
        return self._decoded(self.raw_data, "data")

    def parse(self, model: type[_T]) -> _T:
        """The payload as an instance of ``model``; raises BadRequest when it does not fit."""
        return parse_payload(self.raw_data, model, "data")


class ChannelEvent(Received, frozen=True, kw_only=True):
    """One change of one channel.

    Attributes:
        time_ms: When, in milliseconds since the Unix epoch.
        channel: The channel.
        type: `occupied` or `vacated`.

    """

    time_ms: int = 0
    channel: str = ""
    type: str = ""


class SharedPollRefreshItem(Received, frozen=True, kw_only=True):
    """A tracked key and the version that Centrifugo has.

    Attributes:
        key: The key.
        version: Its version; 0 when none is known.

    """

    key: str = ""
    version: int = 0


class ConnectEvent(Event, frozen=True, kw_only=True):
    """A client connects without a token.

    Called for every transport, unidirectional ones too, when `client.proxy.connect.enabled` is set. A client that
    brings a token is let in by the token, unseen by the backend.

    Attributes:
        client: The connection's id, a UUID that Centrifugo made.
        transport: `websocket`, `sse`, `http_stream`, `webtransport`, `uni_websocket`, `uni_sse`, `uni_http_stream`,
            `uni_grpc`.
        protocol: The client's protocol, `json` or `protobuf`.
        encoding: `json`, or `binary` when the proxy has `binary_encoding`.
        raw_data: What the client sent with connect. As bytes.
        name: The name that the SDK gives itself, such as `js`.
        version: The version of the SDK or application.
        channels: Server-side channels the client asks for.

    """

    kind: ClassVar[str] = "connect"
    result_type: ClassVar[type[msgspec.Struct] | None] = ConnectResult

    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    raw_data: bytes | None = None
    name: str = ""
    version: str = ""
    channels: tuple[str, ...] = ()

    def respond(self, answer: ConnectResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)

    @property
    def data(self) -> Any:
        """What the client sent with connect. Decoded from JSON once; None when absent."""
        return self._data(self.raw_data)

    def parse(self, model: type[_T]) -> _T:
        """The payload as an instance of ``model``; raises BadRequest when it does not fit."""
        return parse_payload(self.raw_data, model, "data")


class RefreshEvent(Event, frozen=True, kw_only=True):
    """A connection has reached the `expire_at` it was given: is the session still valid? Called at that second, and
    again whenever the next one passes, when `client.proxy.refresh.enabled` is set.

    Centrifugo reads nothing but the result: an error or a disconnect ends the connection with code 3005, a failed call
    prolongs it by 60 seconds.

    Attributes:
        client: The connection's id.
        transport: The client's transport.
        protocol: The client's protocol, `json` or `protobuf`.
        encoding: `json`, or `binary` when the proxy has `binary_encoding`.
        user: The user's id.
        raw_meta: The connection's meta, when the proxy has `include_connection_meta`. As bytes.
        labels: Labels of the connection. Centrifugo PRO.

    """

    kind: ClassVar[str] = "refresh"
    result_type: ClassVar[type[msgspec.Struct] | None] = RefreshResult

    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    raw_meta: bytes | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    def respond(self, answer: RefreshResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)

    @property
    def meta(self) -> Any:
        """The connection's meta, when the proxy has `include_connection_meta`. Decoded from JSON once."""
        return self._meta(self.raw_meta)

    def meta_as(self, model: type[_T]) -> _T:
        """The meta as an instance of ``model``; raises MetaError when it is absent or does not fit."""
        return self._meta_as(self.raw_meta, model)


class SubscribeEvent(Event, frozen=True, kw_only=True):
    """A client subscribes to a channel whose namespace has `subscribe_proxy_enabled`.

    Not called for a subscription that brings a token, nor for user-limited (`#`) and private (`$`) channels.

    Attributes:
        client: The connection's id.
        transport: The client's transport.
        protocol: The client's protocol, `json` or `protobuf`.
        encoding: `json`, or `binary` when the proxy has `binary_encoding`.
        user: The user's id.
        channel: The channel.
        token: A subscription token, where one came along.
        raw_meta: The connection's meta, when the proxy has `include_connection_meta`. As bytes.
        raw_data: What the client sent with subscribe. As bytes.
        labels: Labels of the connection. Centrifugo PRO.

    """

    kind: ClassVar[str] = "subscribe"
    result_type: ClassVar[type[msgspec.Struct] | None] = SubscribeResult

    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    channel: str = ""
    token: str = ""
    raw_meta: bytes | None = None
    raw_data: bytes | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    def respond(self, answer: SubscribeResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)

    @property
    def data(self) -> Any:
        """What the client sent with subscribe. Decoded from JSON once; None when absent."""
        return self._data(self.raw_data)

    def parse(self, model: type[_T]) -> _T:
        """The payload as an instance of ``model``; raises BadRequest when it does not fit."""
        return parse_payload(self.raw_data, model, "data")

    @property
    def meta(self) -> Any:
        """The connection's meta, when the proxy has `include_connection_meta`. Decoded from JSON once."""
        return self._meta(self.raw_meta)

    def meta_as(self, model: type[_T]) -> _T:
        """The meta as an instance of ``model``; raises MetaError when it is absent or does not fit."""
        return self._meta_as(self.raw_meta, model)


class PublishEvent(Event, frozen=True, kw_only=True):
    """A client publishes into a channel whose namespace has `publish_proxy_enabled`; it need not be subscribed.

    The client learns only that it worked or failed: the data of the result goes to the subscribers.

    Attributes:
        client: The connection's id.
        transport: The client's transport.
        protocol: The client's protocol, `json` or `protobuf`.
        encoding: `json`, or `binary` when the proxy has `binary_encoding`.
        user: The user's id.
        channel: The channel.
        raw_data: What the client wants to publish. As bytes.
        raw_meta: The connection's meta, when the proxy has `include_connection_meta`. As bytes.
        labels: Labels of the connection. Centrifugo PRO.

    """

    kind: ClassVar[str] = "publish"
    result_type: ClassVar[type[msgspec.Struct] | None] = PublishResult

    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    channel: str = ""
    raw_data: bytes | None = None
    raw_meta: bytes | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    def respond(self, answer: PublishResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)

    @property
    def data(self) -> Any:
        """What the client wants to publish. Decoded from JSON once; None when absent."""
        return self._data(self.raw_data)

    def parse(self, model: type[_T]) -> _T:
        """The payload as an instance of ``model``; raises BadRequest when it does not fit."""
        return parse_payload(self.raw_data, model, "data")

    @property
    def meta(self) -> Any:
        """The connection's meta, when the proxy has `include_connection_meta`. Decoded from JSON once."""
        return self._meta(self.raw_meta)

    def meta_as(self, model: type[_T]) -> _T:
        """The meta as an instance of ``model``; raises MetaError when it is absent or does not fit."""
        return self._meta_as(self.raw_meta, model)


class RPCEvent(Event, frozen=True, kw_only=True):
    """A client calls a method, when `rpc.without_namespace.proxy_enabled`, or that of the method's namespace, is
    set.

    Attributes:
        client: The connection's id.
        transport: The client's transport.
        protocol: The client's protocol, `json` or `protobuf`.
        encoding: `json`, or `binary` when the proxy has `binary_encoding`.
        user: The user's id.
        method: The method's name.
        raw_data: What the client sent with the call. As bytes.
        raw_meta: The connection's meta, when the proxy has `include_connection_meta`. As bytes.
        labels: Labels of the connection. Centrifugo PRO.

    """

    kind: ClassVar[str] = "rpc"
    result_type: ClassVar[type[msgspec.Struct] | None] = RPCResult

    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    method: str = ""
    raw_data: bytes | None = None
    raw_meta: bytes | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    def respond(self, answer: RPCResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)

    @property
    def data(self) -> Any:
        """What the client sent with the call. Decoded from JSON once; None when absent."""
        return self._data(self.raw_data)

    def parse(self, model: type[_T]) -> _T:
        """The payload as an instance of ``model``; raises BadRequest when it does not fit."""
        return parse_payload(self.raw_data, model, "data")

    @property
    def meta(self) -> Any:
        """The connection's meta, when the proxy has `include_connection_meta`. Decoded from JSON once."""
        return self._meta(self.raw_meta)

    def meta_as(self, model: type[_T]) -> _T:
        """The meta as an instance of ``model``; raises MetaError when it is absent or does not fit."""
        return self._meta_as(self.raw_meta, model)


class SubRefreshEvent(Event, frozen=True, kw_only=True):
    """A subscription has passed the `expire_at` it was given, in a namespace with `sub_refresh_proxy_enabled`.

    Centrifugo looks once per presence update, so the call comes 25 to 52 seconds after that time by default. It reads
    nothing but the result: an error or a disconnect ends the subscription with code 2501.

    Attributes:
        client: The connection's id.
        transport: The client's transport.
        protocol: The client's protocol, `json` or `protobuf`.
        encoding: `json`, or `binary` when the proxy has `binary_encoding`.
        user: The user's id.
        channel: The channel.
        raw_meta: The connection's meta, when the proxy has `include_connection_meta`. As bytes.
        labels: Labels of the connection. Centrifugo PRO.

    """

    kind: ClassVar[str] = "sub_refresh"
    result_type: ClassVar[type[msgspec.Struct] | None] = SubRefreshResult

    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    channel: str = ""
    raw_meta: bytes | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    def respond(self, answer: SubRefreshResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)

    @property
    def meta(self) -> Any:
        """The connection's meta, when the proxy has `include_connection_meta`. Decoded from JSON once."""
        return self._meta(self.raw_meta)

    def meta_as(self, model: type[_T]) -> _T:
        """The meta as an instance of ``model``; raises MetaError when it is absent or does not fit."""
        return self._meta_as(self.raw_meta, model)


class SubscribeUnidirectionalEvent(Event, frozen=True, kw_only=True):
    """A client subscribes to a channel whose namespace has `subscribe_stream_proxy_enabled`: the backend feeds the
    subscription for as long as it lasts.

    The first message must come within the proxy's timeout and answers the subscribe; there is no history and no
    recovery. gRPC only.

    Attributes:
        client: The connection's id.
        transport: The client's transport.
        protocol: The client's protocol, `json` or `protobuf`.
        encoding: `json`, or `binary` when the proxy has `binary_encoding`.
        user: The user's id.
        channel: The channel.
        token: A subscription token, where one came along.
        raw_meta: The connection's meta, when the proxy has `include_connection_meta`. As bytes.
        raw_data: What the client sent with subscribe. As bytes.
        labels: Labels of the connection. Centrifugo PRO.

    """

    kind: ClassVar[str] = "subscribe_unidirectional"
    result_type: ClassVar[type[msgspec.Struct] | None] = SubscribeResult

    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    channel: str = ""
    token: str = ""
    raw_meta: bytes | None = None
    raw_data: bytes | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    def respond(self, answer: SubscribeResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)

    @property
    def data(self) -> Any:
        """What the client sent with subscribe. Decoded from JSON once; None when absent."""
        return self._data(self.raw_data)

    def parse(self, model: type[_T]) -> _T:
        """The payload as an instance of ``model``; raises BadRequest when it does not fit."""
        return parse_payload(self.raw_data, model, "data")

    @property
    def meta(self) -> Any:
        """The connection's meta, when the proxy has `include_connection_meta`. Decoded from JSON once."""
        return self._meta(self.raw_meta)

    def meta_as(self, model: type[_T]) -> _T:
        """The meta as an instance of ``model``; raises MetaError when it is absent or does not fit."""
        return self._meta_as(self.raw_meta, model)


class SubscribeBidirectionalEvent(Event, frozen=True, kw_only=True):
    """As the unidirectional stream, with `subscribe_stream_proxy_bidirectional`: what the client publishes into the
    channel arrives here instead of going to subscribers.

    gRPC only.

    Attributes:
        client: The connection's id.
        transport: The client's transport.
        protocol: The client's protocol, `json` or `protobuf`.
        encoding: `json`, or `binary` when the proxy has `binary_encoding`.
        user: The user's id.
        channel: The channel.
        token: A subscription token, where one came along.
        raw_meta: The connection's meta, when the proxy has `include_connection_meta`. As bytes.
        raw_data: What the client sent with subscribe. As bytes.
        labels: Labels of the connection. Centrifugo PRO.

    """

    kind: ClassVar[str] = "subscribe_bidirectional"
    result_type: ClassVar[type[msgspec.Struct] | None] = SubscribeResult

    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    channel: str = ""
    token: str = ""
    raw_meta: bytes | None = None
    raw_data: bytes | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    def respond(self, answer: SubscribeResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)

    @property
    def data(self) -> Any:
        """What the client sent with subscribe. Decoded from JSON once; None when absent."""
        return self._data(self.raw_data)

    def parse(self, model: type[_T]) -> _T:
        """The payload as an instance of ``model``; raises BadRequest when it does not fit."""
        return parse_payload(self.raw_data, model, "data")

    @property
    def meta(self) -> Any:
        """The connection's meta, when the proxy has `include_connection_meta`. Decoded from JSON once."""
        return self._meta(self.raw_meta)

    def meta_as(self, model: type[_T]) -> _T:
        """The meta as an instance of ``model``; raises MetaError when it is absent or does not fit."""
        return self._meta_as(self.raw_meta, model)

    @property
    def incoming(self) -> AsyncIterator[ReceivedPublication]:
        """What the client publishes into the channel, until it unsubscribes or goes away."""
        return cast("AsyncIterator[ReceivedPublication]", self.call.incoming)


class CacheEmptyEvent(Event, frozen=True, kw_only=True):
    """Cache recovery found no publication in a channel; the backend may publish one before answering.

    Centrifugo PRO.

    Attributes:
        channel: The channel.

    """

    kind: ClassVar[str] = "cache_empty"
    result_type: ClassVar[type[msgspec.Struct] | None] = CacheEmptyResult

    channel: str = ""

    def respond(self, answer: CacheEmptyResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)


class ChannelStateEvent(Event, frozen=True, kw_only=True):
    """Channels became occupied or vacated.

    Centrifugo PRO, a preview there.

    Attributes:
        events: What happened, in order.

    """

    kind: ClassVar[str] = "channel_state"
    result_type: ClassVar[type[msgspec.Struct] | None] = ChannelStateResult

    events: "tuple[ChannelEvent, ...]" = ()

    def respond(self, answer: ChannelStateResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)


class MapPublishEvent(Event, frozen=True, kw_only=True):
    """A client writes a key of a map channel, in a namespace with `map.publish_proxy_enabled`.

    Centrifugo 6.9.1 answers the client with error 107 even when the backend allowed it and the write was done.

    Attributes:
        client: The connection's id.
        transport: The client's transport.
        protocol: The client's protocol, `json` or `protobuf`.
        encoding: `json`, or `binary` when the proxy has `binary_encoding`.
        user: The user's id.
        channel: The channel.
        key: The key in the map.
        raw_data: The value the client wants to write. As bytes.
        raw_meta: The connection's meta, when the proxy has `include_connection_meta`. As bytes.
        labels: Labels of the connection. Centrifugo PRO.

    """

    kind: ClassVar[str] = "map_publish"
    result_type: ClassVar[type[msgspec.Struct] | None] = MapPublishResult

    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    channel: str = ""
    key: str = ""
    raw_data: bytes | None = None
    raw_meta: bytes | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    def respond(self, answer: MapPublishResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)

    @property
    def data(self) -> Any:
        """The value the client wants to write. Decoded from JSON once; None when absent."""
        return self._data(self.raw_data)

    def parse(self, model: type[_T]) -> _T:
        """The payload as an instance of ``model``; raises BadRequest when it does not fit."""
        return parse_payload(self.raw_data, model, "data")

    @property
    def meta(self) -> Any:
        """The connection's meta, when the proxy has `include_connection_meta`. Decoded from JSON once."""
        return self._meta(self.raw_meta)

    def meta_as(self, model: type[_T]) -> _T:
        """The meta as an instance of ``model``; raises MetaError when it is absent or does not fit."""
        return self._meta_as(self.raw_meta, model)


class MapRemoveEvent(Event, frozen=True, kw_only=True):
    """A client removes a key of a map channel, in a namespace with `map.remove_proxy_enabled`.

    Centrifugo 6.9.1 answers the client with error 107 even when the backend allowed it and the key was removed.

    Attributes:
        client: The connection's id.
        transport: The client's transport.
        protocol: The client's protocol, `json` or `protobuf`.
        encoding: `json`, or `binary` when the proxy has `binary_encoding`.
        user: The user's id.
        channel: The channel.
        key: The key in the map.
        raw_meta: The connection's meta, when the proxy has `include_connection_meta`. As bytes.
        labels: Labels of the connection. Centrifugo PRO.

    """

    kind: ClassVar[str] = "map_remove"
    result_type: ClassVar[type[msgspec.Struct] | None] = MapRemoveResult

    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    channel: str = ""
    key: str = ""
    raw_meta: bytes | None = None
    labels: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    def respond(self, answer: MapRemoveResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)

    @property
    def meta(self) -> Any:
        """The connection's meta, when the proxy has `include_connection_meta`. Decoded from JSON once."""
        return self._meta(self.raw_meta)

    def meta_as(self, model: type[_T]) -> _T:
        """The meta as an instance of ``model``; raises MetaError when it is absent or does not fit."""
        return self._meta_as(self.raw_meta, model)


class SharedPollRefreshEvent(Event, frozen=True, kw_only=True):
    """Centrifugo polls the keys that clients track in a `shared_poll` namespace.

    No client stands behind the call.

    Attributes:
        channel: The channel.
        items: The keys that clients track.

    """

    kind: ClassVar[str] = "shared_poll_refresh"
    result_type: ClassVar[type[msgspec.Struct] | None] = SharedPollRefreshResult

    channel: str = ""
    items: "tuple[SharedPollRefreshItem, ...]" = ()

    def respond(self, answer: SharedPollRefreshResult | Disconnect | ClientError) -> None:
        """Set the pending answer; later hooks still run, and the last answer stands."""
        self._respond(answer)


#: Every call of the service, by kind.
METHODS: Final[dict[str, Method]] = {
    method.kind: method
    for method in (
        Method(
            kind="connect",
            name="Connect",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/Connect",
            event=ConnectEvent,
            result=ConnectResult,
            silence="disconnect",
            stream="",
            item=None,
            route="channels",
        ),
        Method(
            kind="refresh",
            name="Refresh",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/Refresh",
            event=RefreshEvent,
            result=RefreshResult,
            silence="expired",
            stream="",
            item=None,
            route="",
        ),
        Method(
            kind="subscribe",
            name="Subscribe",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/Subscribe",
            event=SubscribeEvent,
            result=SubscribeResult,
            silence="disconnect",
            stream="",
            item=None,
            route="channel",
        ),
        Method(
            kind="publish",
            name="Publish",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/Publish",
            event=PublishEvent,
            result=PublishResult,
            silence="disconnect",
            stream="",
            item=None,
            route="channel",
        ),
        Method(
            kind="rpc",
            name="RPC",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/RPC",
            event=RPCEvent,
            result=RPCResult,
            silence="disconnect",
            stream="",
            item=None,
            route="method",
        ),
        Method(
            kind="sub_refresh",
            name="SubRefresh",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/SubRefresh",
            event=SubRefreshEvent,
            result=SubRefreshResult,
            silence="expired",
            stream="",
            item=None,
            route="channel",
        ),
        Method(
            kind="subscribe_unidirectional",
            name="SubscribeUnidirectional",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/SubscribeUnidirectional",
            event=SubscribeUnidirectionalEvent,
            result=SubscribeResult,
            silence="disconnect",
            stream="out",
            item=Publication,
            route="channel",
        ),
        Method(
            kind="subscribe_bidirectional",
            name="SubscribeBidirectional",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/SubscribeBidirectional",
            event=SubscribeBidirectionalEvent,
            result=SubscribeResult,
            silence="disconnect",
            stream="both",
            item=Publication,
            route="channel",
        ),
        Method(
            kind="cache_empty",
            name="NotifyCacheEmpty",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/NotifyCacheEmpty",
            event=CacheEmptyEvent,
            result=CacheEmptyResult,
            silence="unimplemented",
            stream="",
            item=None,
            route="channel",
        ),
        Method(
            kind="channel_state",
            name="NotifyChannelState",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/NotifyChannelState",
            event=ChannelStateEvent,
            result=ChannelStateResult,
            silence="error",
            stream="",
            item=None,
            route="",
        ),
        Method(
            kind="map_publish",
            name="MapPublish",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/MapPublish",
            event=MapPublishEvent,
            result=MapPublishResult,
            silence="disconnect",
            stream="",
            item=None,
            route="channel",
        ),
        Method(
            kind="map_remove",
            name="MapRemove",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/MapRemove",
            event=MapRemoveEvent,
            result=MapRemoveResult,
            silence="disconnect",
            stream="",
            item=None,
            route="channel",
        ),
        Method(
            kind="shared_poll_refresh",
            name="SharedPollRefresh",
            path="/centrifugal.centrifugo.proxy.CentrifugoProxy/SharedPollRefresh",
            event=SharedPollRefreshEvent,
            result=SharedPollRefreshResult,
            silence="error",
            stream="",
            item=None,
            route="channel",
        ),
    )
}
