"""Sections of ``rtbridge.embedded`` about channels and RPC: Centrifugo's keys ``channel`` and ``rpc``."""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from rtbridge.config.embedded_kinds import HEADER_NAME, NAMESPACE, REGEX
from rtbridge.config.faults import Misfit
from rtbridge.config.fields import CentrifugoSection, Count, Duration
from rtbridge.config.kinds import DURATION
from rtbridge.config.values import format_duration

#: A century: history may be kept longer than anything that gRPC waits for.
MAX_AGE: Final = 100 * 365 * 86_400

Age: TypeAlias = Annotated[float, Meta(ge=0, le=MAX_AGE, extra={"kind": DURATION})]
HeaderName: TypeAlias = Annotated[str, Meta(extra={"kind": HEADER_NAME})]
NamespaceName: TypeAlias = Annotated[str, Meta(extra={"kind": NAMESPACE})]
Regex: TypeAlias = Annotated[str, Meta(extra={"kind": REGEX})]
DataFormat: TypeAlias = Literal["", "json", "json_object", "binary"]


def _whole_seconds(key: str, seconds: float) -> None:
    if seconds != int(seconds):
        raise Misfit(key, f"found {format_duration(seconds)}, allowed: whole seconds")


def _unique(names: tuple[str, ...]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise Misfit(f"namespaces.{index}.name", f"found {name!r} a second time, allowed: each name once")


class Proxy(CentrifugoSection, frozen=True, kw_only=True):
    """How hooks are asked; they are in this process, so there is no endpoint."""

    timeout: Annotated[Duration, Meta(description="How long hooks may take; then the client gets an error.")] = 1.0
    http_headers: Annotated[
        tuple[HeaderName, ...], Meta(description="Headers of the client's HTTP request that hooks see.")
    ] = ()
    emulated_headers: Annotated[
        tuple[HeaderName, ...],
        Meta(description="Headers that clients send in the connect frame and hooks see; they are the client's word."),
    ] = ()
    binary_encoding: Annotated[bool, Meta(description="Data is bytes to hooks, not JSON.")] = False
    include_connection_meta: Annotated[bool, Meta(description="Hooks see the connection's meta.")] = False


class ChannelProxies(CentrifugoSection, frozen=True, kw_only=True):
    """How hooks are asked about channels."""

    subscribe: Annotated[Proxy, Meta(description="For on_subscribe.")] = Proxy()
    publish: Annotated[Proxy, Meta(description="For on_publish.")] = Proxy()
    sub_refresh: Annotated[Proxy, Meta(description="For on_sub_refresh.")] = Proxy()
    subscribe_stream: Annotated[
        Proxy, Meta(description="For on_subscribe_unidirectional and on_subscribe_bidirectional.")
    ] = Proxy()


class ChannelOptions(CentrifugoSection, frozen=True, kw_only=True):
    """What channels of a namespace are, and what clients may do in them."""

    presence: Annotated[bool, Meta(description="Keep a list of who is subscribed.")] = False
    join_leave: Annotated[bool, Meta(description="Publish who comes and goes.")] = False
    force_push_join_leave: Annotated[
        bool, Meta(description="Send joins and leaves to subscribers that did not ask for them, too.")
    ] = False
    history_size: Annotated[Count, Meta(description="Publications kept; 0 = none.")] = 0
    history_ttl: Annotated[
        Age, Meta(description="How long publications are kept, in whole seconds; wants history_size.")
    ] = 0.0
    history_meta_ttl: Annotated[
        Age,
        Meta(description="How long offset and epoch outlive the last publication; 0s = channel.history_meta_ttl."),
    ] = 0.0
    force_positioning: Annotated[
        bool, Meta(description="Watch the position of every subscriber, so that nothing is missed unnoticed.")
    ] = False
    allow_positioning: Annotated[bool, Meta(description="Subscribers may ask for positioning.")] = False
    force_recovery: Annotated[
        bool, Meta(description="Send every subscriber what it missed while it was away; wants history.")
    ] = False
    allow_recovery: Annotated[bool, Meta(description="Subscribers may ask for recovery.")] = False
    force_recovery_mode: Annotated[
        Literal["", "stream", "cache"],
        Meta(description='What recovery brings: all that was missed (stream, also ""), or the newest only (cache).'),
    ] = ""
    auto_cache_recover: Annotated[
        bool, Meta(description="Send the newest publication on every subscription, unasked; wants recovery by cache.")
    ] = False
    allowed_delta_types: Annotated[
        tuple[Literal["fossil"], ...], Meta(description="Kinds of delta compression that subscribers may ask for.")
    ] = ()
    allow_tags_filter: Annotated[bool, Meta(description="Subscribers may filter by tags.")] = False
    delta_publish: Annotated[bool, Meta(description="Every publication is a candidate for a delta.")] = False
    allow_subscribe_for_anonymous: Annotated[
        bool, Meta(description="Clients without a user id may subscribe, too; wants allow_subscribe_for_client.")
    ] = False
    allow_subscribe_for_client: Annotated[bool, Meta(description="Clients may subscribe without being asked.")] = False
    allow_publish_for_anonymous: Annotated[bool, Meta(description="Publishing: without a user id, too.")] = False
    allow_publish_for_subscriber: Annotated[bool, Meta(description="Subscribers may publish.")] = False
    allow_publish_for_client: Annotated[bool, Meta(description="Clients may publish, subscribed or not.")] = False
    allow_presence_for_anonymous: Annotated[bool, Meta(description="Presence: without a user id, too.")] = False
    allow_presence_for_subscriber: Annotated[bool, Meta(description="Subscribers may see who is subscribed.")] = False
    allow_presence_for_client: Annotated[
        bool, Meta(description="Clients may see who is subscribed, subscribed or not.")
    ] = False
    allow_history_for_anonymous: Annotated[bool, Meta(description="History: without a user id, too.")] = False
    allow_history_for_subscriber: Annotated[bool, Meta(description="Subscribers may read history.")] = False
    allow_history_for_client: Annotated[bool, Meta(description="Clients may read history, subscribed or not.")] = False
    allow_user_limited_channels: Annotated[
        bool, Meta(description="Channel names may end in the users that may subscribe: room#1,2.")
    ] = False
    channel_regex: Annotated[
        Regex, Meta(description='What channel names look like behind the namespace; "" = ASCII.')
    ] = ""
    publication_data_format: Annotated[
        DataFormat, Meta(description='What data has to be; "" = channel.publication_data_format.')
    ] = ""
    subscribe_proxy_enabled: Annotated[bool, Meta(description="on_subscribe decides who subscribes.")] = False
    publish_proxy_enabled: Annotated[bool, Meta(description="on_publish decides what clients publish.")] = False
    sub_refresh_proxy_enabled: Annotated[
        bool, Meta(description="on_sub_refresh decides whether a subscription that expires goes on.")
    ] = False
    subscribe_stream_proxy_enabled: Annotated[
        bool, Meta(description="A subscription is a stream of on_subscribe_unidirectional or _bidirectional.")
    ] = False
    subscribe_stream_proxy_bidirectional: Annotated[
        bool, Meta(description="The stream is that of on_subscribe_bidirectional.")
    ] = False

    def check(self) -> None:
        for key in ("history_ttl", "history_meta_ttl"):
            _whole_seconds(key, getattr(self, key))
        if bool(self.history_size) != bool(self.history_ttl):
            given, other = ("history_size", "history_ttl")[:: 1 if self.history_size else -1]
            raise Misfit(given, f"found it without {other}, allowed: both or neither")
        if self.force_recovery and not self.history_size:
            raise Misfit("force_recovery", "found true, which needs history_size and history_ttl")
        if self.auto_cache_recover and not (self.force_recovery and self.force_recovery_mode == "cache"):
            raise Misfit("auto_cache_recover", "found true, which needs force_recovery and force_recovery_mode: cache")
        if self.subscribe_stream_proxy_enabled:
            for other in ("subscribe_proxy_enabled", "publish_proxy_enabled", "sub_refresh_proxy_enabled"):
                if getattr(self, other):
                    raise Misfit("subscribe_stream_proxy_enabled", f"found true beside {other}, allowed: one of them")


class ChannelNamespace(ChannelOptions, frozen=True, kw_only=True):
    """A namespace: the channels whose names start with its name and a boundary."""

    name: Annotated[NamespaceName, Meta(description="What stands before the boundary in names of its channels.")]


class Channel(CentrifugoSection, frozen=True, kw_only=True):
    """Channels, and the namespaces that they belong to."""

    proxy: Annotated[ChannelProxies, Meta(description="How hooks are asked about channels.")] = ChannelProxies()
    without_namespace: Annotated[
        ChannelOptions, Meta(description="Options of channels whose names have no namespace.")
    ] = ChannelOptions()
    namespaces: Annotated[tuple[ChannelNamespace, ...], Meta(description="Namespaces, with options of their own.")] = ()
    history_meta_ttl: Annotated[
        Age, Meta(description="How long offset and epoch outlive the last publication, in whole seconds.")
    ] = 720 * 3600.0
    publication_data_format: Annotated[
        DataFormat,
        Meta(description='What data has to be; "" = anything that is not empty, binary = anything at all.'),
    ] = ""
    max_length: Annotated[Count, Meta(description="Longest channel name, in bytes.")] = 255
    private_prefix: Annotated[
        str, Meta(description="Start of channel names that always need a subscription token.")
    ] = "$"
    namespace_boundary: Annotated[str, Meta(description="What stands between namespace and the rest.")] = ":"
    user_boundary: Annotated[str, Meta(description="What stands before the users of a user-limited channel.")] = "#"
    user_separator: Annotated[str, Meta(description="What stands between those users.")] = ","

    def check(self) -> None:
        _whole_seconds("history_meta_ttl", self.history_meta_ttl)
        _unique(tuple(space.name for space in self.namespaces))
        places = [("without_namespace", self.without_namespace)]
        places += [(f"namespaces.{index}", space) for index, space in enumerate(self.namespaces)]
        for path, options in places:
            meta = options.history_meta_ttl or self.history_meta_ttl
            if options.history_ttl > meta:
                found, most = format_duration(options.history_ttl), format_duration(meta)
                raise Misfit(f"{path}.history_ttl", f"found {found}, allowed: at most its history_meta_ttl of {most}")


class RpcOptions(CentrifugoSection, frozen=True, kw_only=True):
    """What RPC methods of a namespace are."""

    proxy_enabled: Annotated[bool, Meta(description="on_rpc answers them.")] = False


class RpcNamespace(RpcOptions, frozen=True, kw_only=True):
    """A namespace: the methods whose names start with its name and a boundary."""

    name: Annotated[NamespaceName, Meta(description="What stands before the boundary in names of its methods.")]


class Rpc(CentrifugoSection, frozen=True, kw_only=True):
    """RPC methods, and the namespaces that they belong to."""

    proxy: Annotated[Proxy, Meta(description="For on_rpc.")] = Proxy()
    without_namespace: Annotated[RpcOptions, Meta(description="Options of methods whose names have no namespace.")] = (
        RpcOptions()
    )
    namespaces: Annotated[tuple[RpcNamespace, ...], Meta(description="Namespaces, with options of their own.")] = ()
    namespace_boundary: Annotated[str, Meta(description="What stands between namespace and the rest.")] = ":"

    def check(self) -> None:
        _unique(tuple(space.name for space in self.namespaces))
