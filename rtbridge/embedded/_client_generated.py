"""The messages of the client protocol.

Generated from proto/centrifuge/client.proto by `python -m rtbridge._codegen`; edit the proto, not this file.
"""

from typing import Any

from msgspec import UNSET, Raw, field

from rtbridge.codec import messages
from rtbridge.codec.descriptors import DECODE_FAULTS, message_class
from rtbridge.codec.messages import Int32, Int64, Payload, UInt32, UInt64, check_uint64, new_dict, new_list
from rtbridge.errors import InvalidMessage


class FilterNode(messages.Message):
    """A condition on the tags of a publication, or a combination of conditions.

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
    vals: list[str] = field(default_factory=list)
    nodes: "list[FilterNode]" = field(default_factory=list)


class SubscribeRequest(messages.Message):
    """Subscribes to a channel.

    In `connect.subs`, only where to go on is read.

    Attributes:
        channel: The channel.
        token: A subscription token, or nothing.
        recover: Whether to deliver what was missed since the position.
        epoch: The stream of the position.
        offset: The last publication that the client has seen.
        data: For the application.
        positioned: Ask the server to watch for gaps.
        recoverable: Ask for recovery after a break.
        join_leave: Ask for joins and leaves.
        delta: The kind of patches that the client understands, `fossil`, or nothing.
        tf: Which publications to deliver, by their tags.
        flag: Features of the subscription: 1 numbers for channels, 2 fail where nothing can be recovered.
        type: The kind of channel: 0 stream, 1 to 3 maps, 4 shared poll.
        phase: How far the state of a map is read: 0 live, 1 its stream, 2 its entries.
        cursor: The page of entries to read on from.
        limit: How many entries a page holds.
        asc: Whether an ordered map is read from the lowest score on.

    """

    channel: str = ""
    token: str = ""
    recover: bool = False
    epoch: str = ""
    offset: UInt64 = 0
    data: Payload = UNSET
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    delta: str = ""
    tf: FilterNode | None = None
    flag: Int64 = 0
    type: Int32 = 0
    phase: Int32 = 0
    cursor: str = ""
    limit: Int32 = 0
    asc: bool = False

    def __post_init__(self) -> None:
        check_uint64("offset", self.offset)


class ConnectRequest(messages.Message):
    """Opens a session; also the whole of what a unidirectional client says.

    Attributes:
        token: A connection token, or nothing.
        data: For the application.
        subs: Where to go on in the server's subscriptions, by channel.
        name: What the client is called.
        version: The version of the client.
        headers: Stand in for HTTP headers where the client cannot set them.
        flag: Features of the connection, one a bit.

    """

    token: str = ""
    data: Payload = UNSET
    subs: dict[str, SubscribeRequest] = field(default_factory=dict)
    name: str = ""
    version: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    flag: Int64 = 0


class UnsubscribeRequest(messages.Message):
    """Leaves a channel.

    Attributes:
        channel: The channel.

    """

    channel: str = ""


class PublishRequest(messages.Message):
    """Publishes into a channel.

    Attributes:
        channel: The channel.
        data: The payload.
        type: The kind of channel: 0 stream, 1 map.
        key: The entry of a map to set.
        removed: Whether to remove that entry instead.

    """

    channel: str = ""
    data: Payload = UNSET
    type: Int32 = 0
    key: str = ""
    removed: bool = False


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


class StreamPosition(messages.Message):
    """A place in the stream of a channel.

    Attributes:
        offset: The publication's number.
        epoch: Which stream it counts in: another one begins when the server has lost the old.

    """

    offset: UInt64 = 0
    epoch: str = ""

    def __post_init__(self) -> None:
        check_uint64("offset", self.offset)


class HistoryRequest(messages.Message):
    """Reads the kept publications of a channel.

    Attributes:
        channel: The channel.
        limit: How many at most; 0 for the position alone, negative for as many as the server gives.
        since: Where to begin, itself left out.
        reverse: Newest first.

    """

    channel: str = ""
    limit: Int32 = 0
    since: StreamPosition | None = None
    reverse: bool = False


class PingRequest(messages.Message):
    """Unused in this version, in which the server pings."""


class SendRequest(messages.Message):
    """A message to the application.

    Attributes:
        data: The payload.

    """

    data: Payload = UNSET


class RPCRequest(messages.Message):
    """Calls the application.

    Attributes:
        data: For the application.
        method: What to call.

    """

    data: Payload = UNSET
    method: str = ""


class RefreshRequest(messages.Message):
    """Brings a new connection token before the old one is out of date.

    Attributes:
        token: The token.

    """

    token: str = ""


class KeyedItem(messages.Message):
    """A key of a shared poll channel and how new the client's value is.

    Attributes:
        key: The key.
        version: The version that the client has.

    """

    key: str = ""
    version: UInt64 = 0

    def __post_init__(self) -> None:
        check_uint64("version", self.version)


class TrackBatch(messages.Message):
    """Keys of a shared poll channel that were signed together.

    Attributes:
        signature: What permits the client to track exactly these keys.
        items: All of the keys that were signed.

    """

    signature: str = ""
    items: list[KeyedItem] = field(default_factory=list)


class SubRefreshRequest(messages.Message):
    """Prolongs a subscription, or changes which keys of a shared poll channel are tracked.

    Attributes:
        channel: The channel.
        token: A subscription token, with type 0.
        type: 0 prolongs, 1 tracks, 2 gives keys up.
        track: What to track, with type 1.
        untrack: What to give up, with type 2.

    """

    channel: str = ""
    token: str = ""
    type: Int32 = 0
    track: list[TrackBatch] = field(default_factory=list)
    untrack: list[str] = field(default_factory=list)


class Command(messages.Message):
    """What a client asks for.

    One request is filled; a command without any is the answer to a ping.

    Attributes:
        id: Chosen by the client and repeated in the reply; 0 where no reply is expected.
        connect: Opens the session; the first command of every connection.
        subscribe: Subscribes to a channel.
        unsubscribe: Leaves a channel.
        publish: Publishes into a channel.
        presence: Asks who is in a channel.
        presence_stats: Asks how many are in a channel.
        history: Reads the kept publications of a channel.
        ping: Unused in this version, in which the server pings.
        send: A message to the application, which is not answered.
        rpc: A call that the application answers.
        refresh: Brings a new connection token.
        sub_refresh: Brings a new subscription token, or changes the keys that are tracked.

    """

    id: UInt32 = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: UnsubscribeRequest | None = None
    publish: PublishRequest | None = None
    presence: PresenceRequest | None = None
    presence_stats: PresenceStatsRequest | None = None
    history: HistoryRequest | None = None
    ping: PingRequest | None = None
    send: SendRequest | None = None
    rpc: RPCRequest | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: SubRefreshRequest | None = None


class EmulationRequest(messages.Message):
    """What a client of a stream transport sends on another request: commands for a session that is open elsewhere.

    Attributes:
        node: The node that the connect reply named.
        session: The secret that the connect reply gave.
        data: Commands in the framing of the session; in JSON, a string that holds them.

    """

    node: str = ""
    session: str = ""
    data: Payload = UNSET


class Error(messages.Message):
    """A command that was refused, inside a reply.

    The connection goes on.

    Attributes:
        code: 100-399 are the server's own, 400-1999 the application's.
        message: For developers, at most one line.
        temporary: Whether the same command may work later.

    """

    code: UInt32 = 0
    message: str = ""
    temporary: bool = False


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


class Publication(messages.Message):
    """What was published into a channel.

    Attributes:
        data: The payload. With delta compression in JSON, a string that holds it or holds a patch.
        info: Who published; absent for publications of the server.
        offset: The place in the channel's stream, counted from 1; 0 where nothing is kept.
        tags: What the publisher attached, for filters.
        delta: Whether the payload is a patch to the one before.
        time: When it was published, in milliseconds since the epoch.
        channel: The channel, where the subscription is for a pattern.
        key: The entry of a map channel that it sets.
        removed: Whether it removes that entry.
        score: The entry's rank in an ordered map.
        epoch: Which stream the offset counts in.
        prev_data: The payload before, which servers tell one another to make patches.
        version: The application's version of the payload.

    """

    data: Payload = UNSET
    info: ClientInfo | None = None
    offset: UInt64 = 0
    tags: dict[str, str] = field(default_factory=dict)
    delta: bool = False
    time: Int64 = 0
    channel: str = ""
    key: str = ""
    removed: bool = False
    score: Int64 = 0
    epoch: str = ""
    prev_data: Payload = UNSET
    version: UInt64 = 0


class Join(messages.Message):
    """Somebody has subscribed to a channel.

    Attributes:
        info: Who.

    """

    info: ClientInfo | None = None


class Leave(messages.Message):
    """Somebody has left a channel.

    Attributes:
        info: Who.

    """

    info: ClientInfo | None = None


class Unsubscribe(messages.Message):
    """The server ended a subscription.

    Attributes:
        code: 2000-2499 ends it for good, from 2500 on clients subscribe again.
        reason: Why, for developers.

    """

    code: UInt32 = 0
    reason: str = ""


class Message(messages.Message):
    """A message of the server to one connection, outside of any channel.

    Attributes:
        data: The payload.

    """

    data: Payload = UNSET


class Subscribe(messages.Message):
    """The server subscribed a client.

    Attributes:
        recoverable: Whether missed publications can be had after a break.
        epoch: Which stream the offset counts in.
        offset: The newest publication's place in the stream.
        positioned: Whether the server watches for gaps.
        data: What the application gives with the subscription.

    """

    recoverable: bool = False
    epoch: str = ""
    offset: UInt64 = 0
    positioned: bool = False
    data: Payload = UNSET


class SubscribeResult(messages.Message):
    """The client is subscribed.

    Attributes:
        expires: Whether the client has to refresh its subscription token.
        ttl: Within how long.
        recoverable: Whether missed publications can be had after a break.
        epoch: Which stream the offset counts in.
        publications: What was missed, oldest first.
        recovered: Whether that is everything that was missed.
        offset: The position that the client is at before these publications.
        positioned: Whether the server watches for gaps.
        data: What the application gives with the subscription.
        was_recovering: Whether the request asked for recovery.
        delta: Whether payloads come as patches.
        id: A number that stands for the channel in pushes.
        type: The kind of channel, as in the request.
        phase: What of a map this is, as in the request.
        cursor: Where the next page of entries begins; empty on the last one.
        state: Entries of a map.
        publish_debounce: How long a client gathers its publications into the channel, in milliseconds.

    """

    expires: bool = False
    ttl: UInt32 = 0
    recoverable: bool = False
    epoch: str = ""
    publications: list[Publication] = field(default_factory=list)
    recovered: bool = False
    offset: UInt64 = 0
    positioned: bool = False
    data: Payload = UNSET
    was_recovering: bool = False
    delta: bool = False
    id: Int64 = 0
    type: Int32 = 0
    phase: Int32 = 0
    cursor: str = ""
    state: list[Publication] = field(default_factory=list)
    publish_debounce: UInt32 = 0


class Connect(messages.Message):
    """Opens the session of a unidirectional client.

    Attributes:
        client: The connection's id.
        version: The server's version.
        data: What the application gives with the connection.
        subs: Subscriptions made by the server, by channel.
        expires: Whether the connection ends by itself.
        ttl: After how long it does.
        ping: How often the server pings.
        pong: Whether pings want an answer.
        session: A secret that stands for this session.
        node: The node that holds it.
        time: The server's time, in milliseconds since the epoch.

    """

    client: str = ""
    version: str = ""
    data: Payload = UNSET
    subs: dict[str, SubscribeResult] = field(default_factory=dict)
    expires: bool = False
    ttl: UInt32 = 0
    ping: UInt32 = 0
    pong: bool = False
    session: str = ""
    node: str = ""
    time: Int64 = 0


class Disconnect(messages.Message):
    """Tells a unidirectional client that its connection ends.

    Attributes:
        code: Why, as a number; its range says whether to come back.
        reason: Why, for developers.
        reconnect: Unused in this version.

    """

    code: UInt32 = 0
    reason: str = ""
    reconnect: bool = False


class Refresh(messages.Message):
    """The server changed how long a connection lives.

    Attributes:
        expires: Whether the connection ends by itself.
        ttl: After how long it does.

    """

    expires: bool = False
    ttl: UInt32 = 0


class Push(messages.Message):
    """What the server says unasked.

    One kind is filled; unidirectional clients get it without a reply around it.

    Attributes:
        id: Stands for the channel, where the two sides have agreed on a number.
        channel: The channel; empty where the push is about the connection.
        pub: A publication.
        join: Somebody has come.
        leave: Somebody has gone.
        unsubscribe: The server ended the client's subscription.
        message: A message to this connection alone.
        subscribe: The server subscribed the client.
        connect: The session is open, for unidirectional clients.
        disconnect: The connection ends, for unidirectional clients.
        refresh: The server changed how long the connection lives.

    """

    id: Int64 = 0
    channel: str = ""
    pub: Publication | None = None
    join: Join | None = None
    leave: Leave | None = None
    unsubscribe: Unsubscribe | None = None
    message: Message | None = None
    subscribe: Subscribe | None = None
    connect: Connect | None = None
    disconnect: Disconnect | None = None
    refresh: Refresh | None = None


class ConnectResult(messages.Message):
    """The session is open.

    Attributes:
        client: The connection's id.
        version: The server's version.
        expires: Whether the client has to refresh its token.
        ttl: Within how long.
        data: What the application gives with the connection.
        subs: Subscriptions made by the server, by channel.
        ping: How often the server pings.
        pong: Whether pings want an answer.
        session: The secret for emulation requests.
        node: The node to name in emulation requests.
        time: The server's time, in milliseconds since the epoch.

    """

    client: str = ""
    version: str = ""
    expires: bool = False
    ttl: UInt32 = 0
    data: Payload = UNSET
    subs: dict[str, SubscribeResult] = field(default_factory=dict)
    ping: UInt32 = 0
    pong: bool = False
    session: str = ""
    node: str = ""
    time: Int64 = 0


class UnsubscribeResult(messages.Message):
    """The client has left the channel."""


class PublishResult(messages.Message):
    """The publication is accepted."""


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


class PingResult(messages.Message):
    """Unused in this version."""


class RPCResult(messages.Message):
    """What the application answered.

    Attributes:
        data: The answer.

    """

    data: Payload = UNSET


class RefreshResult(messages.Message):
    """How long the connection lives on.

    Attributes:
        client: The connection's id.
        version: The server's version.
        expires: Whether the client has to refresh its token again.
        ttl: Within how long.

    """

    client: str = ""
    version: str = ""
    expires: bool = False
    ttl: UInt32 = 0


class SubRefreshResult(messages.Message):
    """How long the subscription, or the tracking, lives on.

    Attributes:
        expires: Whether it ends by itself.
        ttl: After how long; the shortest of all batches with type 1.
        items: Values that are newer than those of the client.

    """

    expires: bool = False
    ttl: UInt32 = 0
    items: list[Publication] = field(default_factory=list)


class Reply(messages.Message):
    """What the server says: the answer to a command, or a push.

    A reply without anything is a ping.

    Attributes:
        id: The command's id; 0 in pushes and pings.
        error: Why the command was refused.
        push: What the server says unasked.
        connect: The session is open.
        subscribe: The client is in the channel.
        unsubscribe: The client is out of the channel.
        publish: The publication is accepted.
        presence: Who is in the channel.
        presence_stats: How many are in the channel.
        history: The kept publications.
        ping: Unused in this version.
        rpc: What the application answered.
        refresh: How long the connection lives on.
        sub_refresh: How long the subscription lives on.

    """

    id: UInt32 = 0
    error: Error | None = None
    push: Push | None = None
    connect: ConnectResult | None = None
    subscribe: SubscribeResult | None = None
    unsubscribe: UnsubscribeResult | None = None
    publish: PublishResult | None = None
    presence: PresenceResult | None = None
    presence_stats: PresenceStatsResult | None = None
    history: HistoryResult | None = None
    ping: PingResult | None = None
    rpc: RPCResult | None = None
    refresh: RefreshResult | None = None
    sub_refresh: SubRefreshResult | None = None


_Command = message_class("centrifugal.centrifuge.protocol.Command")
_ConnectRequest = message_class("centrifugal.centrifuge.protocol.ConnectRequest")
_EmulationRequest = message_class("centrifugal.centrifuge.protocol.EmulationRequest")
_Reply = message_class("centrifugal.centrifuge.protocol.Reply")
_Push = message_class("centrifugal.centrifuge.protocol.Push")


def _read_FilterNode(m: Any) -> FilterNode:
    return FilterNode(m.op, m.key, m.cmp, m.val, list(m.vals), [_read_FilterNode(item) for item in m.nodes])


def _read_SubscribeRequest(m: Any) -> SubscribeRequest:
    has = m.HasField
    return SubscribeRequest(
        m.channel,
        m.token,
        m.recover,
        m.epoch,
        m.offset,
        Raw(data) if (data := m.data) else UNSET,
        m.positioned,
        m.recoverable,
        m.join_leave,
        m.delta,
        _read_FilterNode(m.tf) if has("tf") else None,
        m.flag,
        m.type,
        m.phase,
        m.cursor,
        m.limit,
        m.asc,
    )


def _read_ConnectRequest(m: Any) -> ConnectRequest:
    return ConnectRequest(
        m.token,
        Raw(data) if (data := m.data) else UNSET,
        {key: _read_SubscribeRequest(value) for key, value in m.subs.items()},
        m.name,
        m.version,
        dict(m.headers),
        m.flag,
    )


def _read_UnsubscribeRequest(m: Any) -> UnsubscribeRequest:
    return UnsubscribeRequest(m.channel)


def _read_PublishRequest(m: Any) -> PublishRequest:
    return PublishRequest(m.channel, Raw(data) if (data := m.data) else UNSET, m.type, m.key, m.removed)


def _read_PresenceRequest(m: Any) -> PresenceRequest:
    return PresenceRequest(m.channel)


def _read_PresenceStatsRequest(m: Any) -> PresenceStatsRequest:
    return PresenceStatsRequest(m.channel)


def _read_StreamPosition(m: Any) -> StreamPosition:
    return StreamPosition(m.offset, m.epoch)


def _read_HistoryRequest(m: Any) -> HistoryRequest:
    has = m.HasField
    return HistoryRequest(m.channel, m.limit, _read_StreamPosition(m.since) if has("since") else None, m.reverse)


def _read_PingRequest(m: Any) -> PingRequest:
    return PingRequest()


def _read_SendRequest(m: Any) -> SendRequest:
    return SendRequest(Raw(data) if (data := m.data) else UNSET)


def _read_RPCRequest(m: Any) -> RPCRequest:
    return RPCRequest(Raw(data) if (data := m.data) else UNSET, m.method)


def _read_RefreshRequest(m: Any) -> RefreshRequest:
    return RefreshRequest(m.token)


def _read_KeyedItem(m: Any) -> KeyedItem:
    return KeyedItem(m.key, m.version)


def _read_TrackBatch(m: Any) -> TrackBatch:
    return TrackBatch(m.signature, [_read_KeyedItem(item) for item in m.items])


def _read_SubRefreshRequest(m: Any) -> SubRefreshRequest:
    return SubRefreshRequest(m.channel, m.token, m.type, [_read_TrackBatch(item) for item in m.track], list(m.untrack))


def _read_Command(m: Any) -> Command:
    has = m.HasField
    return Command(
        m.id,
        _read_ConnectRequest(m.connect) if has("connect") else None,
        _read_SubscribeRequest(m.subscribe) if has("subscribe") else None,
        _read_UnsubscribeRequest(m.unsubscribe) if has("unsubscribe") else None,
        _read_PublishRequest(m.publish) if has("publish") else None,
        _read_PresenceRequest(m.presence) if has("presence") else None,
        _read_PresenceStatsRequest(m.presence_stats) if has("presence_stats") else None,
        _read_HistoryRequest(m.history) if has("history") else None,
        _read_PingRequest(m.ping) if has("ping") else None,
        _read_SendRequest(m.send) if has("send") else None,
        _read_RPCRequest(m.rpc) if has("rpc") else None,
        _read_RefreshRequest(m.refresh) if has("refresh") else None,
        _read_SubRefreshRequest(m.sub_refresh) if has("sub_refresh") else None,
    )


def _read_EmulationRequest(m: Any) -> EmulationRequest:
    return EmulationRequest(m.node, m.session, Raw(data) if (data := m.data) else UNSET)


def _fill_Error(w: Any, r: Error) -> None:
    if r.code:
        w.code = r.code
    if r.message:
        w.message = r.message
    if r.temporary:
        w.temporary = r.temporary


def _fill_ClientInfo(w: Any, r: ClientInfo) -> None:
    if r.user:
        w.user = r.user
    if r.client:
        w.client = r.client
    if r.conn_info is not UNSET:
        w.conn_info = bytes(r.conn_info)
    if r.chan_info is not UNSET:
        w.chan_info = bytes(r.chan_info)


def _fill_Publication(w: Any, r: Publication) -> None:
    if r.data is not UNSET:
        w.data = bytes(r.data)
    if r.info is not None:
        m = w.info
        m.SetInParent()
        _fill_ClientInfo(m, r.info)
    if r.offset:
        w.offset = r.offset
    if r.tags:
        w.tags.update(r.tags)
    if r.delta:
        w.delta = r.delta
    if r.time:
        w.time = r.time
    if r.channel:
        w.channel = r.channel
    if r.key:
        w.key = r.key
    if r.removed:
        w.removed = r.removed
    if r.score:
        w.score = r.score
    if r.epoch:
        w.epoch = r.epoch
    if r.prev_data is not UNSET:
        w.prev_data = bytes(r.prev_data)
    if r.version:
        w.version = r.version


def _fill_Join(w: Any, r: Join) -> None:
    if r.info is not None:
        m = w.info
        m.SetInParent()
        _fill_ClientInfo(m, r.info)


def _fill_Leave(w: Any, r: Leave) -> None:
    if r.info is not None:
        m = w.info
        m.SetInParent()
        _fill_ClientInfo(m, r.info)


def _fill_Unsubscribe(w: Any, r: Unsubscribe) -> None:
    if r.code:
        w.code = r.code
    if r.reason:
        w.reason = r.reason


def _fill_Message(w: Any, r: Message) -> None:
    if r.data is not UNSET:
        w.data = bytes(r.data)


def _fill_Subscribe(w: Any, r: Subscribe) -> None:
    if r.recoverable:
        w.recoverable = r.recoverable
    if r.epoch:
        w.epoch = r.epoch
    if r.offset:
        w.offset = r.offset
    if r.positioned:
        w.positioned = r.positioned
    if r.data is not UNSET:
        w.data = bytes(r.data)


def _fill_SubscribeResult(w: Any, r: SubscribeResult) -> None:
    if r.expires:
        w.expires = r.expires
    if r.ttl:
        w.ttl = r.ttl
    if r.recoverable:
        w.recoverable = r.recoverable
    if r.epoch:
        w.epoch = r.epoch
    for item in r.publications:
        _fill_Publication(w.publications.add(), item)
    if r.recovered:
        w.recovered = r.recovered
    if r.offset:
        w.offset = r.offset
    if r.positioned:
        w.positioned = r.positioned
    if r.data is not UNSET:
        w.data = bytes(r.data)
    if r.was_recovering:
        w.was_recovering = r.was_recovering
    if r.delta:
        w.delta = r.delta
    if r.id:
        w.id = r.id
    if r.type:
        w.type = r.type
    if r.phase:
        w.phase = r.phase
    if r.cursor:
        w.cursor = r.cursor
    for item in r.state:
        _fill_Publication(w.state.add(), item)
    if r.publish_debounce:
        w.publish_debounce = r.publish_debounce


def _fill_Connect(w: Any, r: Connect) -> None:
    if r.client:
        w.client = r.client
    if r.version:
        w.version = r.version
    if r.data is not UNSET:
        w.data = bytes(r.data)
    for key, value in r.subs.items():
        _fill_SubscribeResult(w.subs[key], value)
    if r.expires:
        w.expires = r.expires
    if r.ttl:
        w.ttl = r.ttl
    if r.ping:
        w.ping = r.ping
    if r.pong:
        w.pong = r.pong
    if r.session:
        w.session = r.session
    if r.node:
        w.node = r.node
    if r.time:
        w.time = r.time


def _fill_Disconnect(w: Any, r: Disconnect) -> None:
    if r.code:
        w.code = r.code
    if r.reason:
        w.reason = r.reason
    if r.reconnect:
        w.reconnect = r.reconnect


def _fill_Refresh(w: Any, r: Refresh) -> None:
    if r.expires:
        w.expires = r.expires
    if r.ttl:
        w.ttl = r.ttl


def _fill_Push(w: Any, r: Push) -> None:
    if r.id:
        w.id = r.id
    if r.channel:
        w.channel = r.channel
    if r.pub is not None:
        m = w.pub
        m.SetInParent()
        _fill_Publication(m, r.pub)
    if r.join is not None:
        m = w.join
        m.SetInParent()
        _fill_Join(m, r.join)
    if r.leave is not None:
        m = w.leave
        m.SetInParent()
        _fill_Leave(m, r.leave)
    if r.unsubscribe is not None:
        m = w.unsubscribe
        m.SetInParent()
        _fill_Unsubscribe(m, r.unsubscribe)
    if r.message is not None:
        m = w.message
        m.SetInParent()
        _fill_Message(m, r.message)
    if r.subscribe is not None:
        m = w.subscribe
        m.SetInParent()
        _fill_Subscribe(m, r.subscribe)
    if r.connect is not None:
        m = w.connect
        m.SetInParent()
        _fill_Connect(m, r.connect)
    if r.disconnect is not None:
        m = w.disconnect
        m.SetInParent()
        _fill_Disconnect(m, r.disconnect)
    if r.refresh is not None:
        m = w.refresh
        m.SetInParent()
        _fill_Refresh(m, r.refresh)


def _fill_ConnectResult(w: Any, r: ConnectResult) -> None:
    if r.client:
        w.client = r.client
    if r.version:
        w.version = r.version
    if r.expires:
        w.expires = r.expires
    if r.ttl:
        w.ttl = r.ttl
    if r.data is not UNSET:
        w.data = bytes(r.data)
    for key, value in r.subs.items():
        _fill_SubscribeResult(w.subs[key], value)
    if r.ping:
        w.ping = r.ping
    if r.pong:
        w.pong = r.pong
    if r.session:
        w.session = r.session
    if r.node:
        w.node = r.node
    if r.time:
        w.time = r.time


def _fill_PresenceResult(w: Any, r: PresenceResult) -> None:
    for key, value in r.presence.items():
        _fill_ClientInfo(w.presence[key], value)


def _fill_PresenceStatsResult(w: Any, r: PresenceStatsResult) -> None:
    if r.num_clients:
        w.num_clients = r.num_clients
    if r.num_users:
        w.num_users = r.num_users


def _fill_HistoryResult(w: Any, r: HistoryResult) -> None:
    for item in r.publications:
        _fill_Publication(w.publications.add(), item)
    if r.epoch:
        w.epoch = r.epoch
    if r.offset:
        w.offset = r.offset


def _fill_RPCResult(w: Any, r: RPCResult) -> None:
    if r.data is not UNSET:
        w.data = bytes(r.data)


def _fill_RefreshResult(w: Any, r: RefreshResult) -> None:
    if r.client:
        w.client = r.client
    if r.version:
        w.version = r.version
    if r.expires:
        w.expires = r.expires
    if r.ttl:
        w.ttl = r.ttl


def _fill_SubRefreshResult(w: Any, r: SubRefreshResult) -> None:
    if r.expires:
        w.expires = r.expires
    if r.ttl:
        w.ttl = r.ttl
    for item in r.items:
        _fill_Publication(w.items.add(), item)


def _fill_Reply(w: Any, r: Reply) -> None:
    if r.id:
        w.id = r.id
    if r.error is not None:
        m = w.error
        m.SetInParent()
        _fill_Error(m, r.error)
    if r.push is not None:
        m = w.push
        m.SetInParent()
        _fill_Push(m, r.push)
    if r.connect is not None:
        m = w.connect
        m.SetInParent()
        _fill_ConnectResult(m, r.connect)
    if r.subscribe is not None:
        m = w.subscribe
        m.SetInParent()
        _fill_SubscribeResult(m, r.subscribe)
    if r.unsubscribe is not None:
        m = w.unsubscribe
        m.SetInParent()
    if r.publish is not None:
        m = w.publish
        m.SetInParent()
    if r.presence is not None:
        m = w.presence
        m.SetInParent()
        _fill_PresenceResult(m, r.presence)
    if r.presence_stats is not None:
        m = w.presence_stats
        m.SetInParent()
        _fill_PresenceStatsResult(m, r.presence_stats)
    if r.history is not None:
        m = w.history
        m.SetInParent()
        _fill_HistoryResult(m, r.history)
    if r.ping is not None:
        m = w.ping
        m.SetInParent()
    if r.rpc is not None:
        m = w.rpc
        m.SetInParent()
        _fill_RPCResult(m, r.rpc)
    if r.refresh is not None:
        m = w.refresh
        m.SetInParent()
        _fill_RefreshResult(m, r.refresh)
    if r.sub_refresh is not None:
        m = w.sub_refresh
        m.SetInParent()
        _fill_SubRefreshResult(m, r.sub_refresh)


def read_command(data: bytes) -> Command:
    """A Command from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _Command.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a Command in protobuf") from exc
    return _read_Command(m)


def read_connect_request(data: bytes) -> ConnectRequest:
    """A ConnectRequest from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _ConnectRequest.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a ConnectRequest in protobuf") from exc
    return _read_ConnectRequest(m)


def read_emulation_request(data: bytes) -> EmulationRequest:
    """A EmulationRequest from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _EmulationRequest.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a EmulationRequest in protobuf") from exc
    return _read_EmulationRequest(m)


def write_reply(message: Reply) -> bytes:
    """A Reply in protobuf."""
    w = _Reply()
    _fill_Reply(w, message)
    return bytes(w.SerializeToString())


def write_push(message: Push) -> bytes:
    """A Push in protobuf."""
    w = _Push()
    _fill_Push(w, message)
    return bytes(w.SerializeToString())
