"""The messages of the server API in protobuf.

Generated from proto/centrifugo/api.proto by `python -m rtbridge._codegen`; edit the proto, not this file.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, Raw

from rtbridge.api._generated import (
    BatchRequest,
    BatchResponse,
    BoolValue,
    BroadcastRequest,
    BroadcastResponse,
    BroadcastResult,
    ChannelInfo,
    ChannelsRequest,
    ChannelsResponse,
    ChannelsResult,
    ClientInfo,
    Command,
    Disconnect,
    DisconnectRequest,
    DisconnectResponse,
    DisconnectResult,
    Error,
    FilterNode,
    HistoryRemoveRequest,
    HistoryRemoveResponse,
    HistoryRemoveResult,
    HistoryRequest,
    HistoryResponse,
    HistoryResult,
    InfoRequest,
    InfoResponse,
    InfoResult,
    MapClearRequest,
    MapClearResponse,
    MapClearResult,
    MapEntry,
    MapPublishRequest,
    MapPublishResponse,
    MapPublishResult,
    MapReadStateRequest,
    MapReadStateResponse,
    MapReadStateResult,
    MapReadStreamRequest,
    MapReadStreamResponse,
    MapReadStreamResult,
    MapRemoveRequest,
    MapRemoveResponse,
    MapRemoveResult,
    MapStatsRequest,
    MapStatsResponse,
    MapStatsResult,
    Metrics,
    NodeResult,
    PresenceRequest,
    PresenceResponse,
    PresenceResult,
    PresenceStatsRequest,
    PresenceStatsResponse,
    PresenceStatsResult,
    Process,
    Publication,
    PublishRequest,
    PublishResponse,
    PublishResult,
    RefreshRequest,
    RefreshResponse,
    RefreshResult,
    Reply,
    RPCRequest,
    RPCResponse,
    RPCResult,
    SharedPollPublishRequest,
    SharedPollPublishResponse,
    SharedPollPublishResult,
    StreamPosition,
    SubscribeOptionOverride,
    SubscribeRequest,
    SubscribeResponse,
    SubscribeResult,
    UnsubscribeRequest,
    UnsubscribeResponse,
    UnsubscribeResult,
)
from rtbridge.codec.descriptors import DECODE_FAULTS, message_class
from rtbridge.errors import InvalidMessage

_BatchResponse = message_class("centrifugal.centrifugo.api.BatchResponse")
_PublishResponse = message_class("centrifugal.centrifugo.api.PublishResponse")
_BroadcastResponse = message_class("centrifugal.centrifugo.api.BroadcastResponse")
_SubscribeResponse = message_class("centrifugal.centrifugo.api.SubscribeResponse")
_UnsubscribeResponse = message_class("centrifugal.centrifugo.api.UnsubscribeResponse")
_DisconnectResponse = message_class("centrifugal.centrifugo.api.DisconnectResponse")
_PresenceResponse = message_class("centrifugal.centrifugo.api.PresenceResponse")
_PresenceStatsResponse = message_class("centrifugal.centrifugo.api.PresenceStatsResponse")
_HistoryResponse = message_class("centrifugal.centrifugo.api.HistoryResponse")
_HistoryRemoveResponse = message_class("centrifugal.centrifugo.api.HistoryRemoveResponse")
_InfoResponse = message_class("centrifugal.centrifugo.api.InfoResponse")
_RPCResponse = message_class("centrifugal.centrifugo.api.RPCResponse")
_RefreshResponse = message_class("centrifugal.centrifugo.api.RefreshResponse")
_ChannelsResponse = message_class("centrifugal.centrifugo.api.ChannelsResponse")
_MapPublishResponse = message_class("centrifugal.centrifugo.api.MapPublishResponse")
_MapRemoveResponse = message_class("centrifugal.centrifugo.api.MapRemoveResponse")
_MapReadStateResponse = message_class("centrifugal.centrifugo.api.MapReadStateResponse")
_MapReadStreamResponse = message_class("centrifugal.centrifugo.api.MapReadStreamResponse")
_MapStatsResponse = message_class("centrifugal.centrifugo.api.MapStatsResponse")
_MapClearResponse = message_class("centrifugal.centrifugo.api.MapClearResponse")
_SharedPollPublishResponse = message_class("centrifugal.centrifugo.api.SharedPollPublishResponse")
_BatchRequest = message_class("centrifugal.centrifugo.api.BatchRequest")
_PublishRequest = message_class("centrifugal.centrifugo.api.PublishRequest")
_BroadcastRequest = message_class("centrifugal.centrifugo.api.BroadcastRequest")
_SubscribeRequest = message_class("centrifugal.centrifugo.api.SubscribeRequest")
_UnsubscribeRequest = message_class("centrifugal.centrifugo.api.UnsubscribeRequest")
_DisconnectRequest = message_class("centrifugal.centrifugo.api.DisconnectRequest")
_PresenceRequest = message_class("centrifugal.centrifugo.api.PresenceRequest")
_PresenceStatsRequest = message_class("centrifugal.centrifugo.api.PresenceStatsRequest")
_HistoryRequest = message_class("centrifugal.centrifugo.api.HistoryRequest")
_HistoryRemoveRequest = message_class("centrifugal.centrifugo.api.HistoryRemoveRequest")
_InfoRequest = message_class("centrifugal.centrifugo.api.InfoRequest")
_RPCRequest = message_class("centrifugal.centrifugo.api.RPCRequest")
_RefreshRequest = message_class("centrifugal.centrifugo.api.RefreshRequest")
_ChannelsRequest = message_class("centrifugal.centrifugo.api.ChannelsRequest")
_MapPublishRequest = message_class("centrifugal.centrifugo.api.MapPublishRequest")
_MapRemoveRequest = message_class("centrifugal.centrifugo.api.MapRemoveRequest")
_MapReadStateRequest = message_class("centrifugal.centrifugo.api.MapReadStateRequest")
_MapReadStreamRequest = message_class("centrifugal.centrifugo.api.MapReadStreamRequest")
_MapStatsRequest = message_class("centrifugal.centrifugo.api.MapStatsRequest")
_MapClearRequest = message_class("centrifugal.centrifugo.api.MapClearRequest")
_SharedPollPublishRequest = message_class("centrifugal.centrifugo.api.SharedPollPublishRequest")


def _read_Error(m: Any) -> Error:
    return Error(m.code, m.message)


def _read_PublishResult(m: Any) -> PublishResult:
    return PublishResult(m.offset, m.epoch)


def _read_PublishResponse(m: Any) -> PublishResponse:
    has = m.HasField
    return PublishResponse(
        _read_Error(m.error) if has("error") else None, _read_PublishResult(m.result) if has("result") else None
    )


def _read_BroadcastResult(m: Any) -> BroadcastResult:
    return BroadcastResult([_read_PublishResponse(item) for item in m.responses])


def _read_SubscribeResult(m: Any) -> SubscribeResult:
    return SubscribeResult()


def _read_UnsubscribeResult(m: Any) -> UnsubscribeResult:
    return UnsubscribeResult()


def _read_DisconnectResult(m: Any) -> DisconnectResult:
    return DisconnectResult()


def _read_ClientInfo(m: Any) -> ClientInfo:
    return ClientInfo(
        m.user, m.client, Raw(data) if (data := m.conn_info) else UNSET, Raw(data) if (data := m.chan_info) else UNSET
    )


def _read_PresenceResult(m: Any) -> PresenceResult:
    return PresenceResult({key: _read_ClientInfo(value) for key, value in m.presence.items()})


def _read_PresenceStatsResult(m: Any) -> PresenceStatsResult:
    return PresenceStatsResult(m.num_clients, m.num_users)


def _read_Publication(m: Any) -> Publication:
    has = m.HasField
    return Publication(
        Raw(data) if (data := m.data) else UNSET,
        _read_ClientInfo(m.info) if has("info") else None,
        m.offset,
        dict(m.tags),
    )


def _read_HistoryResult(m: Any) -> HistoryResult:
    return HistoryResult([_read_Publication(item) for item in m.publications], m.epoch, m.offset)


def _read_HistoryRemoveResult(m: Any) -> HistoryRemoveResult:
    return HistoryRemoveResult()


def _read_Metrics(m: Any) -> Metrics:
    return Metrics(m.interval, dict(m.items))


def _read_Process(m: Any) -> Process:
    return Process(m.cpu, m.rss)


def _read_NodeResult(m: Any) -> NodeResult:
    has = m.HasField
    return NodeResult(
        m.uid,
        m.name,
        m.version,
        m.num_clients,
        m.num_users,
        m.num_channels,
        m.uptime,
        _read_Metrics(m.metrics) if has("metrics") else None,
        _read_Process(m.process) if has("process") else None,
        m.num_subs,
    )


def _read_InfoResult(m: Any) -> InfoResult:
    return InfoResult([_read_NodeResult(item) for item in m.nodes])


def _read_RPCResult(m: Any) -> RPCResult:
    return RPCResult(Raw(data) if (data := m.data) else UNSET)


def _read_RefreshResult(m: Any) -> RefreshResult:
    return RefreshResult()


def _read_ChannelInfo(m: Any) -> ChannelInfo:
    return ChannelInfo(m.num_clients)


def _read_ChannelsResult(m: Any) -> ChannelsResult:
    return ChannelsResult({key: _read_ChannelInfo(value) for key, value in m.channels.items()})


def _read_MapPublishResult(m: Any) -> MapPublishResult:
    return MapPublishResult(m.offset, m.epoch, m.suppressed, m.suppress_reason)


def _read_MapRemoveResult(m: Any) -> MapRemoveResult:
    return MapRemoveResult(m.offset, m.epoch, m.suppressed, m.suppress_reason)


def _read_MapEntry(m: Any) -> MapEntry:
    return MapEntry(m.key, Raw(data) if (data := m.data) else UNSET, dict(m.tags), m.offset, m.score, m.removed, m.time)


def _read_MapReadStateResult(m: Any) -> MapReadStateResult:
    return MapReadStateResult([_read_MapEntry(item) for item in m.entries], m.offset, m.epoch, m.cursor)


def _read_MapReadStreamResult(m: Any) -> MapReadStreamResult:
    return MapReadStreamResult([_read_MapEntry(item) for item in m.entries], m.offset, m.epoch)


def _read_MapStatsResult(m: Any) -> MapStatsResult:
    return MapStatsResult(m.num_keys)


def _read_MapClearResult(m: Any) -> MapClearResult:
    return MapClearResult()


def _read_SharedPollPublishResult(m: Any) -> SharedPollPublishResult:
    return SharedPollPublishResult()


def _read_Reply(m: Any) -> Reply:
    has = m.HasField
    return Reply(
        _read_Error(m.error) if has("error") else None,
        _read_PublishResult(m.publish) if has("publish") else None,
        _read_BroadcastResult(m.broadcast) if has("broadcast") else None,
        _read_SubscribeResult(m.subscribe) if has("subscribe") else None,
        _read_UnsubscribeResult(m.unsubscribe) if has("unsubscribe") else None,
        _read_DisconnectResult(m.disconnect) if has("disconnect") else None,
        _read_PresenceResult(m.presence) if has("presence") else None,
        _read_PresenceStatsResult(m.presence_stats) if has("presence_stats") else None,
        _read_HistoryResult(m.history) if has("history") else None,
        _read_HistoryRemoveResult(m.history_remove) if has("history_remove") else None,
        _read_InfoResult(m.info) if has("info") else None,
        _read_RPCResult(m.rpc) if has("rpc") else None,
        _read_RefreshResult(m.refresh) if has("refresh") else None,
        _read_ChannelsResult(m.channels) if has("channels") else None,
        _read_MapPublishResult(m.map_publish) if has("map_publish") else None,
        _read_MapRemoveResult(m.map_remove) if has("map_remove") else None,
        _read_MapReadStateResult(m.map_read_state) if has("map_read_state") else None,
        _read_MapReadStreamResult(m.map_read_stream) if has("map_read_stream") else None,
        _read_MapStatsResult(m.map_stats) if has("map_stats") else None,
        _read_MapClearResult(m.map_clear) if has("map_clear") else None,
        _read_SharedPollPublishResult(m.shared_poll_publish) if has("shared_poll_publish") else None,
    )


def _read_BatchResponse(m: Any) -> BatchResponse:
    return BatchResponse([_read_Reply(item) for item in m.replies])


def _read_BroadcastResponse(m: Any) -> BroadcastResponse:
    has = m.HasField
    return BroadcastResponse(
        _read_Error(m.error) if has("error") else None, _read_BroadcastResult(m.result) if has("result") else None
    )


def _read_SubscribeResponse(m: Any) -> SubscribeResponse:
    has = m.HasField
    return SubscribeResponse(
        _read_Error(m.error) if has("error") else None, _read_SubscribeResult(m.result) if has("result") else None
    )


def _read_UnsubscribeResponse(m: Any) -> UnsubscribeResponse:
    has = m.HasField
    return UnsubscribeResponse(
        _read_Error(m.error) if has("error") else None, _read_UnsubscribeResult(m.result) if has("result") else None
    )


def _read_DisconnectResponse(m: Any) -> DisconnectResponse:
    has = m.HasField
    return DisconnectResponse(
        _read_Error(m.error) if has("error") else None, _read_DisconnectResult(m.result) if has("result") else None
    )


def _read_PresenceResponse(m: Any) -> PresenceResponse:
    has = m.HasField
    return PresenceResponse(
        _read_Error(m.error) if has("error") else None, _read_PresenceResult(m.result) if has("result") else None
    )


def _read_PresenceStatsResponse(m: Any) -> PresenceStatsResponse:
    has = m.HasField
    return PresenceStatsResponse(
        _read_Error(m.error) if has("error") else None, _read_PresenceStatsResult(m.result) if has("result") else None
    )


def _read_HistoryResponse(m: Any) -> HistoryResponse:
    has = m.HasField
    return HistoryResponse(
        _read_Error(m.error) if has("error") else None, _read_HistoryResult(m.result) if has("result") else None
    )


def _read_HistoryRemoveResponse(m: Any) -> HistoryRemoveResponse:
    has = m.HasField
    return HistoryRemoveResponse(
        _read_Error(m.error) if has("error") else None, _read_HistoryRemoveResult(m.result) if has("result") else None
    )


def _read_InfoResponse(m: Any) -> InfoResponse:
    has = m.HasField
    return InfoResponse(
        _read_Error(m.error) if has("error") else None, _read_InfoResult(m.result) if has("result") else None
    )


def _read_RPCResponse(m: Any) -> RPCResponse:
    has = m.HasField
    return RPCResponse(
        _read_Error(m.error) if has("error") else None, _read_RPCResult(m.result) if has("result") else None
    )


def _read_RefreshResponse(m: Any) -> RefreshResponse:
    has = m.HasField
    return RefreshResponse(
        _read_Error(m.error) if has("error") else None, _read_RefreshResult(m.result) if has("result") else None
    )


def _read_ChannelsResponse(m: Any) -> ChannelsResponse:
    has = m.HasField
    return ChannelsResponse(
        _read_Error(m.error) if has("error") else None, _read_ChannelsResult(m.result) if has("result") else None
    )


def _read_MapPublishResponse(m: Any) -> MapPublishResponse:
    has = m.HasField
    return MapPublishResponse(
        _read_Error(m.error) if has("error") else None, _read_MapPublishResult(m.result) if has("result") else None
    )


def _read_MapRemoveResponse(m: Any) -> MapRemoveResponse:
    has = m.HasField
    return MapRemoveResponse(
        _read_Error(m.error) if has("error") else None, _read_MapRemoveResult(m.result) if has("result") else None
    )


def _read_MapReadStateResponse(m: Any) -> MapReadStateResponse:
    has = m.HasField
    return MapReadStateResponse(
        _read_Error(m.error) if has("error") else None, _read_MapReadStateResult(m.result) if has("result") else None
    )


def _read_MapReadStreamResponse(m: Any) -> MapReadStreamResponse:
    has = m.HasField
    return MapReadStreamResponse(
        _read_Error(m.error) if has("error") else None, _read_MapReadStreamResult(m.result) if has("result") else None
    )


def _read_MapStatsResponse(m: Any) -> MapStatsResponse:
    has = m.HasField
    return MapStatsResponse(
        _read_Error(m.error) if has("error") else None, _read_MapStatsResult(m.result) if has("result") else None
    )


def _read_MapClearResponse(m: Any) -> MapClearResponse:
    has = m.HasField
    return MapClearResponse(
        _read_Error(m.error) if has("error") else None, _read_MapClearResult(m.result) if has("result") else None
    )


def _read_SharedPollPublishResponse(m: Any) -> SharedPollPublishResponse:
    has = m.HasField
    return SharedPollPublishResponse(
        _read_Error(m.error) if has("error") else None,
        _read_SharedPollPublishResult(m.result) if has("result") else None,
    )


def _fill_PublishRequest(w: Any, r: PublishRequest) -> None:
    if r.channel:
        w.channel = r.channel
    if r.data is not UNSET:
        w.data = bytes(r.data)
    if r.b64data:
        w.b64data = r.b64data
    if r.skip_history:
        w.skip_history = r.skip_history
    if r.tags:
        w.tags.update(r.tags)
    if r.idempotency_key:
        w.idempotency_key = r.idempotency_key
    if r.delta:
        w.delta = r.delta
    if r.version:
        w.version = r.version
    if r.version_epoch:
        w.version_epoch = r.version_epoch


def _fill_BroadcastRequest(w: Any, r: BroadcastRequest) -> None:
    if r.channels:
        w.channels.extend(r.channels)
    if r.data is not UNSET:
        w.data = bytes(r.data)
    if r.b64data:
        w.b64data = r.b64data
    if r.skip_history:
        w.skip_history = r.skip_history
    if r.tags:
        w.tags.update(r.tags)
    if r.idempotency_key:
        w.idempotency_key = r.idempotency_key
    if r.delta:
        w.delta = r.delta
    if r.version:
        w.version = r.version
    if r.version_epoch:
        w.version_epoch = r.version_epoch


def _fill_StreamPosition(w: Any, r: StreamPosition) -> None:
    if r.offset:
        w.offset = r.offset
    if r.epoch:
        w.epoch = r.epoch


def _fill_BoolValue(w: Any, r: BoolValue) -> None:
    if r.value:
        w.value = r.value


def _fill_SubscribeOptionOverride(w: Any, r: SubscribeOptionOverride) -> None:
    if r.presence is not None:
        m = w.presence
        m.SetInParent()
        _fill_BoolValue(m, r.presence)
    if r.join_leave is not None:
        m = w.join_leave
        m.SetInParent()
        _fill_BoolValue(m, r.join_leave)
    if r.force_recovery is not None:
        m = w.force_recovery
        m.SetInParent()
        _fill_BoolValue(m, r.force_recovery)
    if r.force_positioning is not None:
        m = w.force_positioning
        m.SetInParent()
        _fill_BoolValue(m, r.force_positioning)
    if r.force_push_join_leave is not None:
        m = w.force_push_join_leave
        m.SetInParent()
        _fill_BoolValue(m, r.force_push_join_leave)


def _fill_FilterNode(w: Any, r: FilterNode) -> None:
    if r.op:
        w.op = r.op
    if r.key:
        w.key = r.key
    if r.cmp:
        w.cmp = r.cmp
    if r.val:
        w.val = r.val
    if r.vals:
        w.vals.extend(r.vals)
    for item in r.nodes:
        _fill_FilterNode(w.nodes.add(), item)


def _fill_SubscribeRequest(w: Any, r: SubscribeRequest) -> None:
    if r.channel:
        w.channel = r.channel
    if r.user:
        w.user = r.user
    if r.expire_at:
        w.expire_at = r.expire_at
    if r.info is not UNSET:
        w.info = bytes(r.info)
    if r.b64info:
        w.b64info = r.b64info
    if r.client:
        w.client = r.client
    if r.data is not UNSET:
        w.data = bytes(r.data)
    if r.b64data:
        w.b64data = r.b64data
    if r.recover_since is not None:
        m = w.recover_since
        m.SetInParent()
        _fill_StreamPosition(m, r.recover_since)
    if r.override is not None:
        m = w.override
        m.SetInParent()
        _fill_SubscribeOptionOverride(m, r.override)
    if r.session:
        w.session = r.session
    if r.label_filter is not None:
        m = w.label_filter
        m.SetInParent()
        _fill_FilterNode(m, r.label_filter)
    if r.all_users:
        w.all_users = r.all_users


def _fill_UnsubscribeRequest(w: Any, r: UnsubscribeRequest) -> None:
    if r.channel:
        w.channel = r.channel
    if r.user:
        w.user = r.user
    if r.client:
        w.client = r.client
    if r.session:
        w.session = r.session
    if r.label_filter is not None:
        m = w.label_filter
        m.SetInParent()
        _fill_FilterNode(m, r.label_filter)
    if r.all_users:
        w.all_users = r.all_users


def _fill_Disconnect(w: Any, r: Disconnect) -> None:
    if r.code:
        w.code = r.code
    if r.reason:
        w.reason = r.reason


def _fill_DisconnectRequest(w: Any, r: DisconnectRequest) -> None:
    if r.user:
        w.user = r.user
    if r.disconnect is not None:
        m = w.disconnect
        m.SetInParent()
        _fill_Disconnect(m, r.disconnect)
    if r.client:
        w.client = r.client
    if r.whitelist:
        w.whitelist.extend(r.whitelist)
    if r.session:
        w.session = r.session
    if r.label_filter is not None:
        m = w.label_filter
        m.SetInParent()
        _fill_FilterNode(m, r.label_filter)
    if r.all_users:
        w.all_users = r.all_users


def _fill_PresenceRequest(w: Any, r: PresenceRequest) -> None:
    if r.channel:
        w.channel = r.channel


def _fill_PresenceStatsRequest(w: Any, r: PresenceStatsRequest) -> None:
    if r.channel:
        w.channel = r.channel


def _fill_HistoryRequest(w: Any, r: HistoryRequest) -> None:
    if r.channel:
        w.channel = r.channel
    if r.limit:
        w.limit = r.limit
    if r.since is not None:
        m = w.since
        m.SetInParent()
        _fill_StreamPosition(m, r.since)
    if r.reverse:
        w.reverse = r.reverse


def _fill_HistoryRemoveRequest(w: Any, r: HistoryRemoveRequest) -> None:
    if r.channel:
        w.channel = r.channel


def _fill_RPCRequest(w: Any, r: RPCRequest) -> None:
    if r.method:
        w.method = r.method
    if r.params is not UNSET:
        w.params = bytes(r.params)


def _fill_RefreshRequest(w: Any, r: RefreshRequest) -> None:
    if r.user:
        w.user = r.user
    if r.client:
        w.client = r.client
    if r.expired:
        w.expired = r.expired
    if r.expire_at:
        w.expire_at = r.expire_at
    if r.info is not UNSET:
        w.info = bytes(r.info)
    if r.session:
        w.session = r.session
    if r.label_filter is not None:
        m = w.label_filter
        m.SetInParent()
        _fill_FilterNode(m, r.label_filter)
    if r.all_users:
        w.all_users = r.all_users


def _fill_ChannelsRequest(w: Any, r: ChannelsRequest) -> None:
    if r.pattern:
        w.pattern = r.pattern


def _fill_MapPublishRequest(w: Any, r: MapPublishRequest) -> None:
    if r.channel:
        w.channel = r.channel
    if r.key:
        w.key = r.key
    if r.data is not UNSET:
        w.data = bytes(r.data)
    if r.b64data:
        w.b64data = r.b64data
    if r.stream_data is not UNSET:
        w.stream_data = bytes(r.stream_data)
    if r.b64stream_data:
        w.b64stream_data = r.b64stream_data
    if r.tags:
        w.tags.update(r.tags)
    if r.idempotency_key:
        w.idempotency_key = r.idempotency_key
    if r.delta:
        w.delta = r.delta
    if r.version:
        w.version = r.version
    if r.version_epoch:
        w.version_epoch = r.version_epoch
    if r.score:
        w.score = r.score
    if r.key_mode:
        w.key_mode = r.key_mode


def _fill_MapRemoveRequest(w: Any, r: MapRemoveRequest) -> None:
    if r.channel:
        w.channel = r.channel
    if r.key:
        w.key = r.key
    if r.idempotency_key:
        w.idempotency_key = r.idempotency_key


def _fill_MapReadStateRequest(w: Any, r: MapReadStateRequest) -> None:
    if r.channel:
        w.channel = r.channel
    if r.cursor:
        w.cursor = r.cursor
    if r.limit:
        w.limit = r.limit
    if r.key:
        w.key = r.key
    if r.asc:
        w.asc = r.asc
    if r.revision_offset:
        w.revision_offset = r.revision_offset
    if r.revision_epoch:
        w.revision_epoch = r.revision_epoch


def _fill_MapReadStreamRequest(w: Any, r: MapReadStreamRequest) -> None:
    if r.channel:
        w.channel = r.channel
    if r.since_offset:
        w.since_offset = r.since_offset
    if r.since_epoch:
        w.since_epoch = r.since_epoch
    if r.limit:
        w.limit = r.limit
    if r.reverse:
        w.reverse = r.reverse


def _fill_MapStatsRequest(w: Any, r: MapStatsRequest) -> None:
    if r.channel:
        w.channel = r.channel


def _fill_MapClearRequest(w: Any, r: MapClearRequest) -> None:
    if r.channel:
        w.channel = r.channel


def _fill_SharedPollPublishRequest(w: Any, r: SharedPollPublishRequest) -> None:
    if r.channel:
        w.channel = r.channel
    if r.key:
        w.key = r.key
    if r.data is not UNSET:
        w.data = bytes(r.data)
    if r.b64data:
        w.b64data = r.b64data
    if r.version:
        w.version = r.version
    if r.epoch:
        w.epoch = r.epoch


def _fill_Command(w: Any, r: Command) -> None:
    if r.publish is not None:
        m = w.publish
        m.SetInParent()
        _fill_PublishRequest(m, r.publish)
    if r.broadcast is not None:
        m = w.broadcast
        m.SetInParent()
        _fill_BroadcastRequest(m, r.broadcast)
    if r.subscribe is not None:
        m = w.subscribe
        m.SetInParent()
        _fill_SubscribeRequest(m, r.subscribe)
    if r.unsubscribe is not None:
        m = w.unsubscribe
        m.SetInParent()
        _fill_UnsubscribeRequest(m, r.unsubscribe)
    if r.disconnect is not None:
        m = w.disconnect
        m.SetInParent()
        _fill_DisconnectRequest(m, r.disconnect)
    if r.presence is not None:
        m = w.presence
        m.SetInParent()
        _fill_PresenceRequest(m, r.presence)
    if r.presence_stats is not None:
        m = w.presence_stats
        m.SetInParent()
        _fill_PresenceStatsRequest(m, r.presence_stats)
    if r.history is not None:
        m = w.history
        m.SetInParent()
        _fill_HistoryRequest(m, r.history)
    if r.history_remove is not None:
        m = w.history_remove
        m.SetInParent()
        _fill_HistoryRemoveRequest(m, r.history_remove)
    if r.info is not None:
        m = w.info
        m.SetInParent()
    if r.rpc is not None:
        m = w.rpc
        m.SetInParent()
        _fill_RPCRequest(m, r.rpc)
    if r.refresh is not None:
        m = w.refresh
        m.SetInParent()
        _fill_RefreshRequest(m, r.refresh)
    if r.channels is not None:
        m = w.channels
        m.SetInParent()
        _fill_ChannelsRequest(m, r.channels)
    if r.map_publish is not None:
        m = w.map_publish
        m.SetInParent()
        _fill_MapPublishRequest(m, r.map_publish)
    if r.map_remove is not None:
        m = w.map_remove
        m.SetInParent()
        _fill_MapRemoveRequest(m, r.map_remove)
    if r.map_read_state is not None:
        m = w.map_read_state
        m.SetInParent()
        _fill_MapReadStateRequest(m, r.map_read_state)
    if r.map_read_stream is not None:
        m = w.map_read_stream
        m.SetInParent()
        _fill_MapReadStreamRequest(m, r.map_read_stream)
    if r.map_stats is not None:
        m = w.map_stats
        m.SetInParent()
        _fill_MapStatsRequest(m, r.map_stats)
    if r.map_clear is not None:
        m = w.map_clear
        m.SetInParent()
        _fill_MapClearRequest(m, r.map_clear)
    if r.shared_poll_publish is not None:
        m = w.shared_poll_publish
        m.SetInParent()
        _fill_SharedPollPublishRequest(m, r.shared_poll_publish)


def _fill_BatchRequest(w: Any, r: BatchRequest) -> None:
    for item in r.commands:
        _fill_Command(w.commands.add(), item)
    if r.parallel:
        w.parallel = r.parallel


def read_batch_response(data: bytes) -> BatchResponse:
    """A BatchResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _BatchResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a BatchResponse in protobuf") from exc
    return _read_BatchResponse(m)


def read_publish_response(data: bytes) -> PublishResponse:
    """A PublishResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _PublishResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a PublishResponse in protobuf") from exc
    return _read_PublishResponse(m)


def read_broadcast_response(data: bytes) -> BroadcastResponse:
    """A BroadcastResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _BroadcastResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a BroadcastResponse in protobuf") from exc
    return _read_BroadcastResponse(m)


def read_subscribe_response(data: bytes) -> SubscribeResponse:
    """A SubscribeResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _SubscribeResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a SubscribeResponse in protobuf") from exc
    return _read_SubscribeResponse(m)


def read_unsubscribe_response(data: bytes) -> UnsubscribeResponse:
    """A UnsubscribeResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _UnsubscribeResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a UnsubscribeResponse in protobuf") from exc
    return _read_UnsubscribeResponse(m)


def read_disconnect_response(data: bytes) -> DisconnectResponse:
    """A DisconnectResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _DisconnectResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a DisconnectResponse in protobuf") from exc
    return _read_DisconnectResponse(m)


def read_presence_response(data: bytes) -> PresenceResponse:
    """A PresenceResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _PresenceResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a PresenceResponse in protobuf") from exc
    return _read_PresenceResponse(m)


def read_presence_stats_response(data: bytes) -> PresenceStatsResponse:
    """A PresenceStatsResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _PresenceStatsResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a PresenceStatsResponse in protobuf") from exc
    return _read_PresenceStatsResponse(m)


def read_history_response(data: bytes) -> HistoryResponse:
    """A HistoryResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _HistoryResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a HistoryResponse in protobuf") from exc
    return _read_HistoryResponse(m)


def read_history_remove_response(data: bytes) -> HistoryRemoveResponse:
    """A HistoryRemoveResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _HistoryRemoveResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a HistoryRemoveResponse in protobuf") from exc
    return _read_HistoryRemoveResponse(m)


def read_info_response(data: bytes) -> InfoResponse:
    """A InfoResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _InfoResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a InfoResponse in protobuf") from exc
    return _read_InfoResponse(m)


def read_rpc_response(data: bytes) -> RPCResponse:
    """A RPCResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _RPCResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a RPCResponse in protobuf") from exc
    return _read_RPCResponse(m)


def read_refresh_response(data: bytes) -> RefreshResponse:
    """A RefreshResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _RefreshResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a RefreshResponse in protobuf") from exc
    return _read_RefreshResponse(m)


def read_channels_response(data: bytes) -> ChannelsResponse:
    """A ChannelsResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _ChannelsResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a ChannelsResponse in protobuf") from exc
    return _read_ChannelsResponse(m)


def read_map_publish_response(data: bytes) -> MapPublishResponse:
    """A MapPublishResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _MapPublishResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a MapPublishResponse in protobuf") from exc
    return _read_MapPublishResponse(m)


def read_map_remove_response(data: bytes) -> MapRemoveResponse:
    """A MapRemoveResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _MapRemoveResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a MapRemoveResponse in protobuf") from exc
    return _read_MapRemoveResponse(m)


def read_map_read_state_response(data: bytes) -> MapReadStateResponse:
    """A MapReadStateResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _MapReadStateResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a MapReadStateResponse in protobuf") from exc
    return _read_MapReadStateResponse(m)


def read_map_read_stream_response(data: bytes) -> MapReadStreamResponse:
    """A MapReadStreamResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _MapReadStreamResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a MapReadStreamResponse in protobuf") from exc
    return _read_MapReadStreamResponse(m)


def read_map_stats_response(data: bytes) -> MapStatsResponse:
    """A MapStatsResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _MapStatsResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a MapStatsResponse in protobuf") from exc
    return _read_MapStatsResponse(m)


def read_map_clear_response(data: bytes) -> MapClearResponse:
    """A MapClearResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _MapClearResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a MapClearResponse in protobuf") from exc
    return _read_MapClearResponse(m)


def read_shared_poll_publish_response(data: bytes) -> SharedPollPublishResponse:
    """A SharedPollPublishResponse from protobuf; raises InvalidMessage when it is none."""
    try:
        m = _SharedPollPublishResponse.FromString(data)
    except DECODE_FAULTS as exc:
        raise InvalidMessage("not a SharedPollPublishResponse in protobuf") from exc
    return _read_SharedPollPublishResponse(m)


def write_batch_request(message: BatchRequest) -> bytes:
    """A BatchRequest in protobuf."""
    w = _BatchRequest()
    _fill_BatchRequest(w, message)
    return bytes(w.SerializeToString())


def write_publish_request(message: PublishRequest) -> bytes:
    """A PublishRequest in protobuf."""
    w = _PublishRequest()
    _fill_PublishRequest(w, message)
    return bytes(w.SerializeToString())


def write_broadcast_request(message: BroadcastRequest) -> bytes:
    """A BroadcastRequest in protobuf."""
    w = _BroadcastRequest()
    _fill_BroadcastRequest(w, message)
    return bytes(w.SerializeToString())


def write_subscribe_request(message: SubscribeRequest) -> bytes:
    """A SubscribeRequest in protobuf."""
    w = _SubscribeRequest()
    _fill_SubscribeRequest(w, message)
    return bytes(w.SerializeToString())


def write_unsubscribe_request(message: UnsubscribeRequest) -> bytes:
    """A UnsubscribeRequest in protobuf."""
    w = _UnsubscribeRequest()
    _fill_UnsubscribeRequest(w, message)
    return bytes(w.SerializeToString())


def write_disconnect_request(message: DisconnectRequest) -> bytes:
    """A DisconnectRequest in protobuf."""
    w = _DisconnectRequest()
    _fill_DisconnectRequest(w, message)
    return bytes(w.SerializeToString())


def write_presence_request(message: PresenceRequest) -> bytes:
    """A PresenceRequest in protobuf."""
    w = _PresenceRequest()
    _fill_PresenceRequest(w, message)
    return bytes(w.SerializeToString())


def write_presence_stats_request(message: PresenceStatsRequest) -> bytes:
    """A PresenceStatsRequest in protobuf."""
    w = _PresenceStatsRequest()
    _fill_PresenceStatsRequest(w, message)
    return bytes(w.SerializeToString())


def write_history_request(message: HistoryRequest) -> bytes:
    """A HistoryRequest in protobuf."""
    w = _HistoryRequest()
    _fill_HistoryRequest(w, message)
    return bytes(w.SerializeToString())


def write_history_remove_request(message: HistoryRemoveRequest) -> bytes:
    """A HistoryRemoveRequest in protobuf."""
    w = _HistoryRemoveRequest()
    _fill_HistoryRemoveRequest(w, message)
    return bytes(w.SerializeToString())


def write_info_request(message: InfoRequest) -> bytes:
    """A InfoRequest in protobuf."""
    w = _InfoRequest()
    return bytes(w.SerializeToString())


def write_rpc_request(message: RPCRequest) -> bytes:
    """A RPCRequest in protobuf."""
    w = _RPCRequest()
    _fill_RPCRequest(w, message)
    return bytes(w.SerializeToString())


def write_refresh_request(message: RefreshRequest) -> bytes:
    """A RefreshRequest in protobuf."""
    w = _RefreshRequest()
    _fill_RefreshRequest(w, message)
    return bytes(w.SerializeToString())


def write_channels_request(message: ChannelsRequest) -> bytes:
    """A ChannelsRequest in protobuf."""
    w = _ChannelsRequest()
    _fill_ChannelsRequest(w, message)
    return bytes(w.SerializeToString())


def write_map_publish_request(message: MapPublishRequest) -> bytes:
    """A MapPublishRequest in protobuf."""
    w = _MapPublishRequest()
    _fill_MapPublishRequest(w, message)
    return bytes(w.SerializeToString())


def write_map_remove_request(message: MapRemoveRequest) -> bytes:
    """A MapRemoveRequest in protobuf."""
    w = _MapRemoveRequest()
    _fill_MapRemoveRequest(w, message)
    return bytes(w.SerializeToString())


def write_map_read_state_request(message: MapReadStateRequest) -> bytes:
    """A MapReadStateRequest in protobuf."""
    w = _MapReadStateRequest()
    _fill_MapReadStateRequest(w, message)
    return bytes(w.SerializeToString())


def write_map_read_stream_request(message: MapReadStreamRequest) -> bytes:
    """A MapReadStreamRequest in protobuf."""
    w = _MapReadStreamRequest()
    _fill_MapReadStreamRequest(w, message)
    return bytes(w.SerializeToString())


def write_map_stats_request(message: MapStatsRequest) -> bytes:
    """A MapStatsRequest in protobuf."""
    w = _MapStatsRequest()
    _fill_MapStatsRequest(w, message)
    return bytes(w.SerializeToString())


def write_map_clear_request(message: MapClearRequest) -> bytes:
    """A MapClearRequest in protobuf."""
    w = _MapClearRequest()
    _fill_MapClearRequest(w, message)
    return bytes(w.SerializeToString())


def write_shared_poll_publish_request(message: SharedPollPublishRequest) -> bytes:
    """A SharedPollPublishRequest in protobuf."""
    w = _SharedPollPublishRequest()
    _fill_SharedPollPublishRequest(w, message)
    return bytes(w.SerializeToString())


#: Every method by name: the gRPC method, what writes its request, and what reads its response.
CALLS: Final[dict[str, tuple[str, Callable[[Any], bytes], Callable[[bytes], Any]]]] = {
    "batch": ("Batch", write_batch_request, read_batch_response),
    "publish": ("Publish", write_publish_request, read_publish_response),
    "broadcast": ("Broadcast", write_broadcast_request, read_broadcast_response),
    "subscribe": ("Subscribe", write_subscribe_request, read_subscribe_response),
    "unsubscribe": ("Unsubscribe", write_unsubscribe_request, read_unsubscribe_response),
    "disconnect": ("Disconnect", write_disconnect_request, read_disconnect_response),
    "presence": ("Presence", write_presence_request, read_presence_response),
    "presence_stats": ("PresenceStats", write_presence_stats_request, read_presence_stats_response),
    "history": ("History", write_history_request, read_history_response),
    "history_remove": ("HistoryRemove", write_history_remove_request, read_history_remove_response),
    "info": ("Info", write_info_request, read_info_response),
    "rpc": ("RPC", write_rpc_request, read_rpc_response),
    "refresh": ("Refresh", write_refresh_request, read_refresh_response),
    "channels": ("Channels", write_channels_request, read_channels_response),
    "map_publish": ("MapPublish", write_map_publish_request, read_map_publish_response),
    "map_remove": ("MapRemove", write_map_remove_request, read_map_remove_response),
    "map_read_state": ("MapReadState", write_map_read_state_request, read_map_read_state_response),
    "map_read_stream": ("MapReadStream", write_map_read_stream_request, read_map_read_stream_response),
    "map_stats": ("MapStats", write_map_stats_request, read_map_stats_response),
    "map_clear": ("MapClear", write_map_clear_request, read_map_clear_response),
    "shared_poll_publish": ("SharedPollPublish", write_shared_poll_publish_request, read_shared_poll_publish_response),
}
