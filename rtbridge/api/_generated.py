"""The messages and methods of the server API.

Generated from proto/centrifugo/api.proto by `python -m rtbridge._codegen`; edit the proto, not this file.
"""

from typing import Final

from msgspec import UNSET, field

from rtbridge.codec import messages
from rtbridge.codec.messages import Int32, Int64, Payload, UInt32, UInt64, check_uint64, new_dict, new_list


class Error(messages.Message):
    """Why a request was refused.

    Attributes:
        code: 100 internal, 102 unknown channel, 104 unknown method, 107 bad request, 108 not available.
        message: For developers.

    """

    code: UInt32 = 0
    message: str = ""


class PublishRequest(messages.Message):
    """Publishes into a channel.

    Attributes:
        channel: The channel.
        data: The payload.
        b64data: The same in base64.
        skip_history: Whether the publication is not kept.
        tags: Goes to subscribers with the payload, and is what filters look at.
        idempotency_key: A second request with the same key publishes nothing and gets the first one's result.
        delta: Whether subscribers who asked for patches get one.
        version: What is not above the version that the channel has is dropped.
        version_epoch: Versions of different epochs are not compared: another one begins anew.

    """

    channel: str = ""
    data: Payload = UNSET
    b64data: str = ""
    skip_history: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    idempotency_key: str = ""
    delta: bool = False
    version: UInt64 = 0
    version_epoch: str = ""

    def __post_init__(self) -> None:
        check_uint64("version", self.version)


class BroadcastRequest(messages.Message):
    """Publishes the same into several channels.

    Attributes:
        channels: The channels.
        data: The payload.
        b64data: The same in base64.
        skip_history: Whether the publication is not kept.
        tags: Goes to subscribers with the payload, and is what filters look at.
        idempotency_key: A second request with the same key publishes nothing and gets the first one's result.
        delta: Whether subscribers who asked for patches get one.
        version: What is not above the version that a channel has is dropped there.
        version_epoch: Versions of different epochs are not compared: another one begins anew.

    """

    channels: list[str] = field(default_factory=list)
    data: Payload = UNSET
    b64data: str = ""
    skip_history: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    idempotency_key: str = ""
    delta: bool = False
    version: UInt64 = 0
    version_epoch: str = ""

    def __post_init__(self) -> None:
        check_uint64("version", self.version)


class StreamPosition(messages.Message):
    """A place in the stream of a channel.

    Attributes:
        offset: The publication's number.
        epoch: Which stream it counts in.

    """

    offset: UInt64 = 0
    epoch: str = ""

    def __post_init__(self) -> None:
        check_uint64("offset", self.offset)


class BoolValue(messages.Message):
    """A boolean that can be absent.

    Attributes:
        value: The boolean.

    """

    value: bool = False


class SubscribeOptionOverride(messages.Message):
    """Options of a namespace, replaced for one subscription; an absent one stays as configured.

    Attributes:
        presence: Take part in presence.
        join_leave: Send join and leave messages.
        force_recovery: Recover missed publications.
        force_positioning: Keep the position in the stream.
        force_push_join_leave: Receive join and leave messages.

    """

    presence: BoolValue | None = None
    join_leave: BoolValue | None = None
    force_recovery: BoolValue | None = None
    force_positioning: BoolValue | None = None
    force_push_join_leave: BoolValue | None = None


class FilterNode(messages.Message):
    """Compares tags, or labels, or combines such comparisons.

    Attributes:
        op: `and`, `or`, `not`; empty for a comparison.
        key: What to compare.
        cmp: `eq`, `neq`, `in`, `nin`, `ex`, `nex`, `sw`, `ew`, `ct`, `lt`, `lte`, `gt`, `gte`.
        val: What to compare with.
        vals: What to compare with, for `in` and `nin`.
        nodes: The operands of `and`, `or`, `not`.

    """

    op: str = ""
    key: str = ""
    cmp: str = ""
    val: str = ""
    vals: list[str] = field(default_factory=list)
    nodes: "list[FilterNode]" = field(default_factory=list)


class SubscribeRequest(messages.Message):
    """Subscribes the connections of a user, or one of them, to a channel.

    Attributes:
        channel: The channel.
        user: The user's id; empty for all anonymous ones.
        expire_at: When the subscription ends, in seconds since the epoch; 0 for never.
        info: What is known about the client in this channel.
        b64info: The same in base64.
        client: One connection, by its id.
        data: Goes to the client with the subscription.
        b64data: The same in base64.
        recover_since: The position that the client is told.
        override: Options of the namespace to override.
        session: One connection, by its session.
        label_filter: Only connections with such labels. Centrifugo PRO.
        all_users: With an empty user, every connection. Centrifugo PRO.

    """

    channel: str = ""
    user: str = ""
    expire_at: Int64 = 0
    info: Payload = UNSET
    b64info: str = ""
    client: str = ""
    data: Payload = UNSET
    b64data: str = ""
    recover_since: StreamPosition | None = None
    override: SubscribeOptionOverride | None = None
    session: str = ""
    label_filter: FilterNode | None = None
    all_users: bool = False


class UnsubscribeRequest(messages.Message):
    """Ends the subscriptions of a user, or of one connection, to a channel.

    Attributes:
        channel: The channel.
        user: The user's id; empty for all anonymous ones.
        client: One connection, by its id.
        session: One connection, by its session.
        label_filter: Only connections with such labels. Centrifugo PRO.
        all_users: With an empty user, every connection. Centrifugo PRO.

    """

    channel: str = ""
    user: str = ""
    client: str = ""
    session: str = ""
    label_filter: FilterNode | None = None
    all_users: bool = False


class Disconnect(messages.Message):
    """What a closed connection is told.

    Attributes:
        code: 3000-3499 and 4000-4499 let SDKs reconnect, 3500-3999 and 4500-4999 end them.
        reason: At most 123 bytes.

    """

    code: UInt32 = 0
    reason: str = ""


class DisconnectRequest(messages.Message):
    """Closes the connections of a user, or one of them.

    Attributes:
        user: The user's id; empty for all anonymous ones.
        disconnect: What they are told; code 3503 where it is absent.
        client: One connection, by its id.
        whitelist: Ids of connections that stay.
        session: One connection, by its session.
        label_filter: Only connections with such labels. Centrifugo PRO.
        all_users: With an empty user, every connection. Centrifugo PRO.

    """

    user: str = ""
    disconnect: Disconnect | None = None
    client: str = ""
    whitelist: list[str] = field(default_factory=list)
    session: str = ""
    label_filter: FilterNode | None = None
    all_users: bool = False


class PresenceRequest(messages.Message):
    """Asks who is in a channel.

    Attributes:
        channel: The channel.

    """

    channel: str = ""


class PresenceStatsRequest(messages.Message):
    """Asks how many are in a channel.

    Attributes:
        channel: The channel.

    """

    channel: str = ""


class HistoryRequest(messages.Message):
    """Reads the kept publications of a channel.

    Attributes:
        channel: The channel.
        limit: How many at most; 0 for the position alone, -1 for all.
        since: Where to begin, itself left out.
        reverse: Newest first.

    """

    channel: str = ""
    limit: Int32 = 0
    since: StreamPosition | None = None
    reverse: bool = False


class HistoryRemoveRequest(messages.Message):
    """Forgets the kept publications of a channel.

    Attributes:
        channel: The channel.

    """

    channel: str = ""


class InfoRequest(messages.Message):
    """Asks for the nodes that run."""


class RPCRequest(messages.Message):
    """Calls an extension inside of the server.

    Attributes:
        method: What to call.
        params: For the extension.

    """

    method: str = ""
    params: Payload = UNSET


class RefreshRequest(messages.Message):
    """Changes when the connections of a user, or one of them, expire.

    Attributes:
        user: The user's id; empty for all anonymous ones.
        client: One connection, by its id.
        expired: Whether they expire now; the client sees code 3005.
        expire_at: When they expire, in seconds since the epoch; 0 for never.
        info: Replaces what is known about the client.
        session: One connection, by its session.
        label_filter: Only connections with such labels. Centrifugo PRO.
        all_users: With an empty user, every connection. Centrifugo PRO.

    """

    user: str = ""
    client: str = ""
    expired: bool = False
    expire_at: Int64 = 0
    info: Payload = UNSET
    session: str = ""
    label_filter: FilterNode | None = None
    all_users: bool = False


class ChannelsRequest(messages.Message):
    """Asks for the channels that have subscribers.

    Attributes:
        pattern: A glob that their names match; empty for all.

    """

    pattern: str = ""


class MapPublishRequest(messages.Message):
    """Writes a key of a map channel.

    Attributes:
        channel: The channel.
        key: The key.
        data: The value.
        b64data: The same in base64.
        stream_data: What goes into the stream of changes, where that is not the value.
        b64stream_data: The same in base64.
        tags: Goes to subscribers with the value, and is what filters look at.
        idempotency_key: A second request with the same key writes nothing.
        delta: Whether subscribers who asked for patches get one.
        version: What is not above the version that the key has is dropped.
        version_epoch: Versions of different epochs are not compared: another one begins anew.
        score: The key's rank in an ordered map.
        key_mode: `if_new` and `if_exists` write only then; empty writes always.

    """

    channel: str = ""
    key: str = ""
    data: Payload = UNSET
    b64data: str = ""
    stream_data: Payload = UNSET
    b64stream_data: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    idempotency_key: str = ""
    delta: bool = False
    version: UInt64 = 0
    version_epoch: str = ""
    score: Int64 = 0
    key_mode: str = ""

    def __post_init__(self) -> None:
        check_uint64("version", self.version)


class MapRemoveRequest(messages.Message):
    """Removes a key of a map channel.

    Attributes:
        channel: The channel.
        key: The key.
        idempotency_key: A second request with the same key removes nothing.

    """

    channel: str = ""
    key: str = ""
    idempotency_key: str = ""


class MapReadStateRequest(messages.Message):
    """Reads the entries of a map channel.

    Attributes:
        channel: The channel.
        cursor: Where the page begins; empty for the first one.
        limit: How many entries a page holds.
        key: One key alone.
        asc: Whether an ordered map is read from the lowest score on.
        revision_offset: The state that earlier pages are of.
        revision_epoch: Which stream that offset counts in.

    """

    channel: str = ""
    cursor: str = ""
    limit: Int32 = 0
    key: str = ""
    asc: bool = False
    revision_offset: UInt64 = 0
    revision_epoch: str = ""

    def __post_init__(self) -> None:
        check_uint64("revision_offset", self.revision_offset)


class MapReadStreamRequest(messages.Message):
    """Reads the changes of a map channel.

    Attributes:
        channel: The channel.
        since_offset: Where to begin, itself left out.
        since_epoch: Which stream that offset counts in.
        limit: How many at most.
        reverse: Newest first.

    """

    channel: str = ""
    since_offset: UInt64 = 0
    since_epoch: str = ""
    limit: Int32 = 0
    reverse: bool = False

    def __post_init__(self) -> None:
        check_uint64("since_offset", self.since_offset)


class MapStatsRequest(messages.Message):
    """Asks how many keys a map channel has.

    Attributes:
        channel: The channel.

    """

    channel: str = ""


class MapClearRequest(messages.Message):
    """Removes every key of a map channel.

    Attributes:
        channel: The channel.

    """

    channel: str = ""


class SharedPollPublishRequest(messages.Message):
    """Hands a new value of a shared poll channel to those who track its key.

    Attributes:
        channel: The channel.
        key: The key.
        data: The value.
        b64data: The same in base64.
        version: The value's version, above 0.
        epoch: Versions of different epochs are not compared.

    """

    channel: str = ""
    key: str = ""
    data: Payload = UNSET
    b64data: str = ""
    version: UInt64 = 0
    epoch: str = ""

    def __post_init__(self) -> None:
        check_uint64("version", self.version)


class Command(messages.Message):
    """One command of a batch; one request is filled.

    Attributes:
        publish: Publishes into a channel.
        broadcast: Publishes the same into several channels.
        subscribe: Subscribes a user.
        unsubscribe: Ends a user's subscriptions.
        disconnect: Closes a user's connections.
        presence: Who is in a channel.
        presence_stats: How many are in a channel.
        history: The kept publications of a channel.
        history_remove: Forgets them.
        info: The nodes that run.
        rpc: Calls an extension.
        refresh: Changes when a user's connections expire.
        channels: The channels that have subscribers.
        map_publish: Writes a key of a map.
        map_remove: Removes a key of a map.
        map_read_state: Reads the entries of a map.
        map_read_stream: Reads the changes of a map.
        map_stats: How many keys a map has.
        map_clear: Removes every key of a map.
        shared_poll_publish: Hands out a new value of a shared poll channel.

    """

    publish: PublishRequest | None = None
    broadcast: BroadcastRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: UnsubscribeRequest | None = None
    disconnect: DisconnectRequest | None = None
    presence: PresenceRequest | None = None
    presence_stats: PresenceStatsRequest | None = None
    history: HistoryRequest | None = None
    history_remove: HistoryRemoveRequest | None = None
    info: InfoRequest | None = None
    rpc: RPCRequest | None = None
    refresh: RefreshRequest | None = None
    channels: ChannelsRequest | None = None
    map_publish: MapPublishRequest | None = None
    map_remove: MapRemoveRequest | None = None
    map_read_state: MapReadStateRequest | None = None
    map_read_stream: MapReadStreamRequest | None = None
    map_stats: MapStatsRequest | None = None
    map_clear: MapClearRequest | None = None
    shared_poll_publish: SharedPollPublishRequest | None = None


class PublishResult(messages.Message):
    """Where the publication has gone.

    Attributes:
        offset: The place in the channel's stream; 0 where nothing is kept.
        epoch: Which stream the offset counts in.

    """

    offset: UInt64 = 0
    epoch: str = ""


class PublishResponse(messages.Message):
    """The answer to a publish.

    Attributes:
        error: Why it was refused.
        result: Where the publication has gone.

    """

    error: Error | None = None
    result: PublishResult | None = None


class BroadcastResult(messages.Message):
    """What became of each channel.

    Attributes:
        responses: In the order of the channels; one may fail where others do not.

    """

    responses: list[PublishResponse] = field(default_factory=list)


class SubscribeResult(messages.Message):
    """The user is subscribed."""


class UnsubscribeResult(messages.Message):
    """The user's subscriptions have ended."""


class DisconnectResult(messages.Message):
    """The user's connections are closed."""


class ClientInfo(messages.Message):
    """One connection as others see it.

    Attributes:
        user: The user's id; empty for an anonymous one.
        client: The connection's id.
        conn_info: What is known about the client everywhere.
        chan_info: What is known about the client in this channel.

    """

    user: str = field(default_factory=str)
    client: str = field(default_factory=str)
    conn_info: Payload = UNSET
    chan_info: Payload = UNSET


class PresenceResult(messages.Message):
    """Who is in a channel.

    Attributes:
        presence: The connections, by their ids.

    """

    presence: dict[str, ClientInfo] = field(default_factory=new_dict)


class PresenceStatsResult(messages.Message):
    """How many are in a channel.

    Attributes:
        num_clients: Connections.
        num_users: Different users.

    """

    num_clients: UInt32 = field(default_factory=int)
    num_users: UInt32 = field(default_factory=int)


class Publication(messages.Message):
    """What was published into a channel.

    Attributes:
        data: The payload.
        info: Who published; absent for publications of the server.
        offset: The place in the channel's stream.
        tags: What the publisher attached.

    """

    data: Payload = UNSET
    info: ClientInfo | None = None
    offset: UInt64 = 0
    tags: dict[str, str] = field(default_factory=dict)


class HistoryResult(messages.Message):
    """The kept publications of a channel.

    Attributes:
        publications: In the order that was asked for.
        epoch: Which stream the offset counts in.
        offset: The newest publication's place in the stream.

    """

    publications: list[Publication] = field(default_factory=new_list)
    epoch: str = field(default_factory=str)
    offset: UInt64 = field(default_factory=int)


class HistoryRemoveResult(messages.Message):
    """They are forgotten."""


class Metrics(messages.Message):
    """Measured values of a node.

    Attributes:
        interval: Over how many seconds they were taken.
        items: The values, by name.

    """

    interval: float = 0.0
    items: dict[str, float] = field(default_factory=dict)


class Process(messages.Message):
    """What a node takes of its machine.

    Attributes:
        cpu: Share of a processor, in percent.
        rss: Memory in bytes.

    """

    cpu: float = 0.0
    rss: Int64 = 0


class NodeResult(messages.Message):
    """One node and its figures.

    Attributes:
        uid: The node's id, another one each time it starts.
        name: The node's name.
        version: The server's version.
        num_clients: Connections.
        num_users: Different users.
        num_channels: Channels that have subscribers.
        uptime: How long it runs, in seconds.
        metrics: Measured values.
        process: What it takes of the machine.
        num_subs: Subscriptions.

    """

    uid: str = ""
    name: str = ""
    version: str = ""
    num_clients: UInt32 = field(default_factory=int)
    num_users: UInt32 = field(default_factory=int)
    num_channels: UInt32 = field(default_factory=int)
    uptime: UInt32 = 0
    metrics: Metrics | None = None
    process: Process | None = None
    num_subs: UInt32 = field(default_factory=int)


class InfoResult(messages.Message):
    """The nodes that run.

    Attributes:
        nodes: The nodes.

    """

    nodes: list[NodeResult] = field(default_factory=list)


class RPCResult(messages.Message):
    """What the extension answered.

    Attributes:
        data: The answer.

    """

    data: Payload = UNSET


class RefreshResult(messages.Message):
    """The user's connections expire at another time."""


class ChannelInfo(messages.Message):
    """A channel in a list of channels.

    Attributes:
        num_clients: Connections that are subscribed.

    """

    num_clients: UInt32 = field(default_factory=int)


class ChannelsResult(messages.Message):
    """The channels that have subscribers.

    Attributes:
        channels: The channels, by name.

    """

    channels: dict[str, ChannelInfo] = field(default_factory=new_dict)


class MapPublishResult(messages.Message):
    """What became of the write.

    Attributes:
        offset: The change's place in the stream.
        epoch: Which stream the offset counts in.
        suppressed: Whether nothing was written.
        suppress_reason: Why not.

    """

    offset: UInt64 = 0
    epoch: str = ""
    suppressed: bool = False
    suppress_reason: str = ""


class MapRemoveResult(messages.Message):
    """What became of the removal.

    Attributes:
        offset: The change's place in the stream.
        epoch: Which stream the offset counts in.
        suppressed: Whether nothing was removed.
        suppress_reason: Why not.

    """

    offset: UInt64 = 0
    epoch: str = ""
    suppressed: bool = False
    suppress_reason: str = ""


class MapEntry(messages.Message):
    """An entry of a map, or a change of one.

    Attributes:
        key: The key.
        data: The value.
        tags: What the publisher attached.
        offset: The change's place in the stream.
        score: The key's rank in an ordered map.
        removed: Whether the change removed the key.
        time: When it was written, in milliseconds since the epoch.

    """

    key: str = ""
    data: Payload = UNSET
    tags: dict[str, str] = field(default_factory=dict)
    offset: UInt64 = 0
    score: Int64 = 0
    removed: bool = False
    time: Int64 = 0


class MapReadStateResult(messages.Message):
    """A page of entries.

    Attributes:
        entries: The entries.
        offset: The newest change's place in the stream.
        epoch: Which stream the offset counts in.
        cursor: Where the next page begins; empty on the last one.

    """

    entries: list[MapEntry] = field(default_factory=list)
    offset: UInt64 = 0
    epoch: str = ""
    cursor: str = ""


class MapReadStreamResult(messages.Message):
    """The changes of a map channel.

    Attributes:
        entries: The changes, in the order that was asked for.
        offset: The newest change's place in the stream.
        epoch: Which stream the offset counts in.

    """

    entries: list[MapEntry] = field(default_factory=list)
    offset: UInt64 = 0
    epoch: str = ""


class MapStatsResult(messages.Message):
    """How many keys a map channel has.

    Attributes:
        num_keys: The number of keys.

    """

    num_keys: Int32 = 0


class MapClearResult(messages.Message):
    """The map is empty."""


class SharedPollPublishResult(messages.Message):
    """The value is handed out."""


class Reply(messages.Message):
    """The answer to one command of a batch: an error, or the result under the command's name.

    Attributes:
        error: Why the command was refused.
        publish: The publication is accepted.
        broadcast: What became of each channel.
        subscribe: The user is subscribed.
        unsubscribe: The user's subscriptions have ended.
        disconnect: The user's connections are closed.
        presence: Who is in the channel.
        presence_stats: How many are in the channel.
        history: The kept publications.
        history_remove: They are forgotten.
        info: The nodes that run.
        rpc: What the extension answered.
        refresh: The user's connections expire at another time.
        channels: The channels that have subscribers.
        map_publish: The key is written.
        map_remove: The key is removed.
        map_read_state: Entries of the map.
        map_read_stream: Changes of the map.
        map_stats: How many keys the map has.
        map_clear: The map is empty.
        shared_poll_publish: The value is handed out.

    """

    error: Error | None = None
    publish: PublishResult | None = None
    broadcast: BroadcastResult | None = None
    subscribe: SubscribeResult | None = None
    unsubscribe: UnsubscribeResult | None = None
    disconnect: DisconnectResult | None = None
    presence: PresenceResult | None = None
    presence_stats: PresenceStatsResult | None = None
    history: HistoryResult | None = None
    history_remove: HistoryRemoveResult | None = None
    info: InfoResult | None = None
    rpc: RPCResult | None = None
    refresh: RefreshResult | None = None
    channels: ChannelsResult | None = None
    map_publish: MapPublishResult | None = None
    map_remove: MapRemoveResult | None = None
    map_read_state: MapReadStateResult | None = None
    map_read_stream: MapReadStreamResult | None = None
    map_stats: MapStatsResult | None = None
    map_clear: MapClearResult | None = None
    shared_poll_publish: SharedPollPublishResult | None = None


class BatchRequest(messages.Message):
    """Several commands.

    Attributes:
        commands: The commands.
        parallel: Whether they may be worked off side by side, and not one after the other.

    """

    commands: list[Command] = field(default_factory=list)
    parallel: bool = False


class BatchResponse(messages.Message):
    """The answers to the commands of a batch.

    Attributes:
        replies: In the order of the commands.

    """

    replies: list[Reply] = field(default_factory=list)


class BroadcastResponse(messages.Message):
    """The answer to a broadcast.

    Attributes:
        error: Why it was refused as a whole.
        result: What became of each channel.

    """

    error: Error | None = None
    result: BroadcastResult | None = None


class SubscribeResponse(messages.Message):
    """The answer to a subscribe.

    Attributes:
        error: Why it was refused.
        result: The user is subscribed.

    """

    error: Error | None = None
    result: SubscribeResult | None = None


class UnsubscribeResponse(messages.Message):
    """The answer to an unsubscribe.

    Attributes:
        error: Why it was refused.
        result: The user's subscriptions have ended.

    """

    error: Error | None = None
    result: UnsubscribeResult | None = None


class DisconnectResponse(messages.Message):
    """The answer to a disconnect.

    Attributes:
        error: Why it was refused.
        result: The user's connections are closed.

    """

    error: Error | None = None
    result: DisconnectResult | None = None


class PresenceResponse(messages.Message):
    """The answer to a presence request.

    Attributes:
        error: Why it was refused.
        result: Who is in the channel.

    """

    error: Error | None = None
    result: PresenceResult | None = None


class PresenceStatsResponse(messages.Message):
    """The answer to a request for presence figures.

    Attributes:
        error: Why it was refused.
        result: How many are in the channel.

    """

    error: Error | None = None
    result: PresenceStatsResult | None = None


class HistoryResponse(messages.Message):
    """The answer to a history request.

    Attributes:
        error: Why it was refused.
        result: The kept publications.

    """

    error: Error | None = None
    result: HistoryResult | None = None


class HistoryRemoveResponse(messages.Message):
    """The answer to the removal of a history.

    Attributes:
        error: Why it was refused.
        result: The publications are forgotten.

    """

    error: Error | None = None
    result: HistoryRemoveResult | None = None


class InfoResponse(messages.Message):
    """The answer to an info request.

    Attributes:
        error: Why it was refused.
        result: The nodes that run.

    """

    error: Error | None = None
    result: InfoResult | None = None


class RPCResponse(messages.Message):
    """The answer to a call.

    Attributes:
        error: Why it was refused.
        result: What the extension answered.

    """

    error: Error | None = None
    result: RPCResult | None = None


class RefreshResponse(messages.Message):
    """The answer to a refresh.

    Attributes:
        error: Why it was refused.
        result: The user's connections expire at another time.

    """

    error: Error | None = None
    result: RefreshResult | None = None


class ChannelsResponse(messages.Message):
    """The answer to a request for channels.

    Attributes:
        error: Why it was refused.
        result: The channels that have subscribers.

    """

    error: Error | None = None
    result: ChannelsResult | None = None


class MapPublishResponse(messages.Message):
    """The answer to a write into a map.

    Attributes:
        error: Why it was refused.
        result: What became of the write.

    """

    error: Error | None = None
    result: MapPublishResult | None = None


class MapRemoveResponse(messages.Message):
    """The answer to a removal from a map.

    Attributes:
        error: Why it was refused.
        result: What became of the removal.

    """

    error: Error | None = None
    result: MapRemoveResult | None = None


class MapReadStateResponse(messages.Message):
    """The answer to a read of a map's entries.

    Attributes:
        error: Why it was refused.
        result: A page of entries.

    """

    error: Error | None = None
    result: MapReadStateResult | None = None


class MapReadStreamResponse(messages.Message):
    """The answer to a read of a map's changes.

    Attributes:
        error: Why it was refused.
        result: The changes.

    """

    error: Error | None = None
    result: MapReadStreamResult | None = None


class MapStatsResponse(messages.Message):
    """The answer to a request for a map's figures.

    Attributes:
        error: Why it was refused.
        result: How many keys the map has.

    """

    error: Error | None = None
    result: MapStatsResult | None = None


class MapClearResponse(messages.Message):
    """The answer to the clearing of a map.

    Attributes:
        error: Why it was refused.
        result: The map is empty.

    """

    error: Error | None = None
    result: MapClearResult | None = None


class SharedPollPublishResponse(messages.Message):
    """The answer to a shared poll publication.

    Attributes:
        error: Why it was refused.
        result: The value is handed out.

    """

    error: Error | None = None
    result: SharedPollPublishResult | None = None


#: Every method by name: what it is asked with, and what it gives.
METHODS: Final[dict[str, tuple[type[messages.Message], type[messages.Message]]]] = {
    "batch": (BatchRequest, BatchResponse),
    "publish": (PublishRequest, PublishResult),
    "broadcast": (BroadcastRequest, BroadcastResult),
    "subscribe": (SubscribeRequest, SubscribeResult),
    "unsubscribe": (UnsubscribeRequest, UnsubscribeResult),
    "disconnect": (DisconnectRequest, DisconnectResult),
    "presence": (PresenceRequest, PresenceResult),
    "presence_stats": (PresenceStatsRequest, PresenceStatsResult),
    "history": (HistoryRequest, HistoryResult),
    "history_remove": (HistoryRemoveRequest, HistoryRemoveResult),
    "info": (InfoRequest, InfoResult),
    "rpc": (RPCRequest, RPCResult),
    "refresh": (RefreshRequest, RefreshResult),
    "channels": (ChannelsRequest, ChannelsResult),
    "map_publish": (MapPublishRequest, MapPublishResult),
    "map_remove": (MapRemoveRequest, MapRemoveResult),
    "map_read_state": (MapReadStateRequest, MapReadStateResult),
    "map_read_stream": (MapReadStreamRequest, MapReadStreamResult),
    "map_stats": (MapStatsRequest, MapStatsResult),
    "map_clear": (MapClearRequest, MapClearResult),
    "shared_poll_publish": (SharedPollPublishRequest, SharedPollPublishResult),
}
