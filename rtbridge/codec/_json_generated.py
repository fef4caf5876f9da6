"""Conversions between Centrifugo's JSON and events.

Generated from proto/centrifugo/proxy.proto by `python -m rtbridge._codegen`; edit the proto, not this file.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from rtbridge import events
from rtbridge.clock import Clock
from rtbridge.codec._json_values import JSON_ENCODER, decoded, document, payload, read_payload, uint64
from rtbridge.codec.base import Codec
from rtbridge.events.call import Call
from rtbridge.events.outcome import Outcome
from rtbridge.events.values import unix_seconds


class _InChannelEvent(Struct, gc=False):
    time_ms: Annotated[int, Meta(ge=-9223372036854775808, le=9223372036854775807)] = 0
    channel: str = ""
    type: str = ""


class _InSharedPollRefreshItem(Struct, gc=False):
    key: str = ""
    version: int = 0


class _InConnectRequest(Struct, gc=False):
    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    data: Raw | UnsetType = UNSET
    b64data: str = ""
    name: str = ""
    version: str = ""
    channels: tuple[str, ...] = ()


class _InRefreshRequest(Struct, gc=False):
    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    meta: Raw | UnsetType = UNSET
    labels: dict[str, str] = {}


class _InSubscribeRequest(Struct, gc=False):
    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    channel: str = ""
    token: str = ""
    meta: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    b64data: str = ""
    labels: dict[str, str] = {}


class _InPublishRequest(Struct, gc=False):
    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    channel: str = ""
    data: Raw | UnsetType = UNSET
    b64data: str = ""
    meta: Raw | UnsetType = UNSET
    labels: dict[str, str] = {}


class _InRPCRequest(Struct, gc=False):
    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    method: str = ""
    data: Raw | UnsetType = UNSET
    b64data: str = ""
    meta: Raw | UnsetType = UNSET
    labels: dict[str, str] = {}


class _InSubRefreshRequest(Struct, gc=False):
    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    channel: str = ""
    meta: Raw | UnsetType = UNSET
    labels: dict[str, str] = {}


class _InNotifyCacheEmptyRequest(Struct, gc=False):
    channel: str = ""


class _InMapPublishRequest(Struct, gc=False):
    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    channel: str = ""
    key: str = ""
    data: Raw | UnsetType = UNSET
    b64data: str = ""
    meta: Raw | UnsetType = UNSET
    labels: dict[str, str] = {}


class _InMapRemoveRequest(Struct, gc=False):
    client: str = ""
    transport: str = ""
    protocol: str = ""
    encoding: str = ""
    user: str = ""
    channel: str = ""
    key: str = ""
    meta: Raw | UnsetType = UNSET
    labels: dict[str, str] = {}


class _InNotifyChannelStateRequest(Struct, gc=False):
    events: "tuple[_InChannelEvent, ...]" = ()


class _InSharedPollRefreshRequest(Struct, gc=False):
    channel: str = ""
    items: "tuple[_InSharedPollRefreshItem, ...]" = ()


class _OutFilterNode(Struct, omit_defaults=True, gc=False):
    op: str = ""
    key: str = ""
    cmp: str = ""
    val: str = ""
    vals: Any = UNSET
    nodes: Any = UNSET


class _OutDisconnect(Struct, omit_defaults=True, gc=False):
    code: int = 0
    reason: str = ""


class _OutError(Struct, omit_defaults=True, gc=False):
    code: int = 0
    message: str = ""
    temporary: bool = False


class _OutChannelsCapability(Struct, omit_defaults=True, gc=False):
    channels: Any = UNSET
    allow: Any = UNSET
    match: str = ""


class _OutSubscribeOptionOverride(Struct, omit_defaults=True, gc=False):
    presence: dict[str, bool] | UnsetType = UNSET
    join_leave: dict[str, bool] | UnsetType = UNSET
    force_recovery: dict[str, bool] | UnsetType = UNSET
    force_positioning: dict[str, bool] | UnsetType = UNSET
    force_push_join_leave: dict[str, bool] | UnsetType = UNSET


class _OutPublishResult(Struct, omit_defaults=True, gc=False):
    data: Any = UNSET
    b64data: str | UnsetType = UNSET
    skip_history: bool = False
    tags: Any = UNSET
    idempotency_key: str = ""
    delta: bool = False
    version: int = 0
    version_epoch: str = ""


class _OutMapPublishResult(Struct, omit_defaults=True, gc=False):
    key: str = ""
    data: Any = UNSET
    b64data: str | UnsetType = UNSET
    tags: Any = UNSET
    score: int = 0
    key_mode: str = ""
    stream_data: Any = UNSET
    b64stream_data: str | UnsetType = UNSET
    idempotency_key: str = ""
    delta: bool = False
    version: int = 0
    version_epoch: str = ""


class _OutMapRemoveResult(Struct, omit_defaults=True, gc=False):
    key: str = ""
    tags: Any = UNSET
    idempotency_key: str = ""


class _OutRPCResult(Struct, omit_defaults=True, gc=False):
    data: Any = UNSET
    b64data: str | UnsetType = UNSET


class _OutSubRefreshResult(Struct, omit_defaults=True, gc=False):
    expired: bool = False
    expire_at: int = 0
    info: Any = UNSET
    b64info: str | UnsetType = UNSET


class _OutNotifyCacheEmptyResult(Struct, omit_defaults=True, gc=False):
    populated: bool = False


class _OutNotifyChannelStateResult(Struct, omit_defaults=True, gc=False):
    """It has no fields."""


class _OutSharedPollRefreshResultItem(Struct, omit_defaults=True, gc=False):
    key: str = ""
    data: Any = UNSET
    version: int = 0
    removed: bool = False
    prev_data: Any = UNSET


class _OutSubscribeOptions(Struct, omit_defaults=True, gc=False):
    expire_at: int = 0
    info: Any = UNSET
    b64info: str | UnsetType = UNSET
    data: Any = UNSET
    b64data: str | UnsetType = UNSET
    override: "_OutSubscribeOptionOverride | UnsetType" = UNSET
    server_tags_filter: "_OutFilterNode | UnsetType" = UNSET
    cache_recover: bool = False


class _OutRefreshResult(Struct, omit_defaults=True, gc=False):
    expired: bool = False
    expire_at: int = 0
    info: Any = UNSET
    b64info: str | UnsetType = UNSET
    meta: Any = UNSET
    caps: Any = UNSET


class _OutSubscribeResult(Struct, omit_defaults=True, gc=False):
    expire_at: int = 0
    info: Any = UNSET
    b64info: str | UnsetType = UNSET
    data: Any = UNSET
    b64data: str | UnsetType = UNSET
    override: "_OutSubscribeOptionOverride | UnsetType" = UNSET
    allow: Any = UNSET
    server_tags_filter: "_OutFilterNode | UnsetType" = UNSET


class _OutPublishResponse(Struct, omit_defaults=True, gc=False):
    result: "_OutPublishResult | UnsetType" = UNSET
    error: "_OutError | UnsetType" = UNSET
    disconnect: "_OutDisconnect | UnsetType" = UNSET


class _OutMapPublishResponse(Struct, omit_defaults=True, gc=False):
    result: "_OutMapPublishResult | UnsetType" = UNSET
    error: "_OutError | UnsetType" = UNSET
    disconnect: "_OutDisconnect | UnsetType" = UNSET


class _OutMapRemoveResponse(Struct, omit_defaults=True, gc=False):
    result: "_OutMapRemoveResult | UnsetType" = UNSET
    error: "_OutError | UnsetType" = UNSET
    disconnect: "_OutDisconnect | UnsetType" = UNSET


class _OutRPCResponse(Struct, omit_defaults=True, gc=False):
    result: "_OutRPCResult | UnsetType" = UNSET
    error: "_OutError | UnsetType" = UNSET
    disconnect: "_OutDisconnect | UnsetType" = UNSET


class _OutSubRefreshResponse(Struct, omit_defaults=True, gc=False):
    result: "_OutSubRefreshResult | UnsetType" = UNSET
    error: "_OutError | UnsetType" = UNSET
    disconnect: "_OutDisconnect | UnsetType" = UNSET


class _OutNotifyCacheEmptyResponse(Struct, omit_defaults=True, gc=False):
    result: "_OutNotifyCacheEmptyResult | UnsetType" = UNSET


class _OutNotifyChannelStateResponse(Struct, omit_defaults=True, gc=False):
    result: "_OutNotifyChannelStateResult | UnsetType" = UNSET
    error: "_OutError | UnsetType" = UNSET


class _OutSharedPollRefreshResult(Struct, omit_defaults=True, gc=False):
    items: Any = UNSET
    epoch: str = ""


class _OutConnectResult(Struct, omit_defaults=True, gc=False):
    user: str = ""
    expire_at: int = 0
    info: Any = UNSET
    b64info: str | UnsetType = UNSET
    data: Any = UNSET
    b64data: str | UnsetType = UNSET
    channels: Any = UNSET
    subs: Any = UNSET
    meta: Any = UNSET
    caps: Any = UNSET
    labels: Any = UNSET


class _OutRefreshResponse(Struct, omit_defaults=True, gc=False):
    result: "_OutRefreshResult | UnsetType" = UNSET
    error: "_OutError | UnsetType" = UNSET
    disconnect: "_OutDisconnect | UnsetType" = UNSET


class _OutSubscribeResponse(Struct, omit_defaults=True, gc=False):
    result: "_OutSubscribeResult | UnsetType" = UNSET
    error: "_OutError | UnsetType" = UNSET
    disconnect: "_OutDisconnect | UnsetType" = UNSET


class _OutSharedPollRefreshResponse(Struct, omit_defaults=True, gc=False):
    result: "_OutSharedPollRefreshResult | UnsetType" = UNSET
    error: "_OutError | UnsetType" = UNSET


class _OutConnectResponse(Struct, omit_defaults=True, gc=False):
    result: "_OutConnectResult | UnsetType" = UNSET
    error: "_OutError | UnsetType" = UNSET
    disconnect: "_OutDisconnect | UnsetType" = UNSET


def _write_FilterNode(r: events.FilterNode, clock: Clock) -> _OutFilterNode:
    w = _OutFilterNode(op=r.op, key=r.key, cmp=r.cmp, val=r.val)
    if r.vals:
        w.vals = list(r.vals)
    if r.nodes:
        w.nodes = [_write_FilterNode(item, clock) for item in r.nodes]
    return w


def _write_SubscribeOptions(r: events.SubscribeOptions, clock: Clock) -> _OutSubscribeOptions:
    w = _OutSubscribeOptions(cache_recover=r.cache_recover)
    if r.expire_at is not None:
        w.expire_at = unix_seconds(r.expire_at, clock)
    if r.info is not None:
        w.info, w.b64info = payload(r.info)
    if r.data is not None:
        w.data, w.b64data = payload(r.data)
    if r.override is not None:
        w.override = _write_SubscribeOptionOverride(r.override, clock)
    if r.server_tags_filter is not None:
        w.server_tags_filter = _write_FilterNode(r.server_tags_filter, clock)
    return w


def _write_ConnectResult(r: events.ConnectResult, clock: Clock) -> _OutConnectResult:
    w = _OutConnectResult(user=r.user)
    if r.expire_at is not None:
        w.expire_at = unix_seconds(r.expire_at, clock)
    if r.info is not None:
        w.info, w.b64info = payload(r.info)
    if r.data is not None:
        w.data, w.b64data = payload(r.data)
    if r.channels:
        w.channels = list(r.channels)
    if r.subs:
        w.subs = {key: _write_SubscribeOptions(value, clock) for key, value in r.subs.items()}
    if r.meta is not None:
        w.meta = document("meta", r.meta)
    if r.caps:
        w.caps = [_write_ChannelsCapability(item, clock) for item in r.caps]
    if r.labels:
        w.labels = dict(r.labels)
    return w


def _write_ChannelsCapability(r: events.ChannelsCapability, clock: Clock) -> _OutChannelsCapability:
    w = _OutChannelsCapability(match=r.match)
    if r.channels:
        w.channels = list(r.channels)
    if r.allow:
        w.allow = list(r.allow)
    return w


def _write_RefreshResult(r: events.RefreshResult, clock: Clock) -> _OutRefreshResult:
    w = _OutRefreshResult(expired=r.expired)
    if r.expire_at is not None:
        w.expire_at = unix_seconds(r.expire_at, clock)
    if r.info is not None:
        w.info, w.b64info = payload(r.info)
    if r.meta is not None:
        w.meta = document("meta", r.meta)
    if r.caps:
        w.caps = [_write_ChannelsCapability(item, clock) for item in r.caps]
    return w


def _write_SubscribeOptionOverride(r: events.SubscribeOptionOverride, clock: Clock) -> _OutSubscribeOptionOverride:
    w = _OutSubscribeOptionOverride()
    if r.presence is not None:
        w.presence = {"value": r.presence}
    if r.join_leave is not None:
        w.join_leave = {"value": r.join_leave}
    if r.force_recovery is not None:
        w.force_recovery = {"value": r.force_recovery}
    if r.force_positioning is not None:
        w.force_positioning = {"value": r.force_positioning}
    if r.force_push_join_leave is not None:
        w.force_push_join_leave = {"value": r.force_push_join_leave}
    return w


def _write_SubscribeResult(r: events.SubscribeResult, clock: Clock) -> _OutSubscribeResult:
    w = _OutSubscribeResult()
    if r.expire_at is not None:
        w.expire_at = unix_seconds(r.expire_at, clock)
    if r.info is not None:
        w.info, w.b64info = payload(r.info)
    if r.data is not None:
        w.data, w.b64data = payload(r.data)
    if r.override is not None:
        w.override = _write_SubscribeOptionOverride(r.override, clock)
    if r.allow:
        w.allow = list(r.allow)
    if r.server_tags_filter is not None:
        w.server_tags_filter = _write_FilterNode(r.server_tags_filter, clock)
    return w


def _write_PublishResult(r: events.PublishResult, clock: Clock) -> _OutPublishResult:
    w = _OutPublishResult(
        skip_history=r.skip_history,
        idempotency_key=r.idempotency_key,
        delta=r.delta,
        version=r.version,
        version_epoch=r.version_epoch,
    )
    if r.data is not None:
        w.data, w.b64data = payload(r.data)
    if r.tags:
        w.tags = dict(r.tags)
    return w


def _write_MapPublishResult(r: events.MapPublishResult, clock: Clock) -> _OutMapPublishResult:
    w = _OutMapPublishResult(
        key=r.key,
        score=r.score,
        key_mode=r.key_mode,
        idempotency_key=r.idempotency_key,
        delta=r.delta,
        version=r.version,
        version_epoch=r.version_epoch,
    )
    if r.data is not None:
        w.data, w.b64data = payload(r.data)
    if r.tags:
        w.tags = dict(r.tags)
    if r.stream_data is not None:
        w.stream_data, w.b64stream_data = payload(r.stream_data)
    return w


def _write_MapRemoveResult(r: events.MapRemoveResult, clock: Clock) -> _OutMapRemoveResult:
    w = _OutMapRemoveResult(key=r.key, idempotency_key=r.idempotency_key)
    if r.tags:
        w.tags = dict(r.tags)
    return w


def _write_RPCResult(r: events.RPCResult, clock: Clock) -> _OutRPCResult:
    w = _OutRPCResult()
    if r.data is not None:
        w.data, w.b64data = payload(r.data)
    return w


def _write_SubRefreshResult(r: events.SubRefreshResult, clock: Clock) -> _OutSubRefreshResult:
    w = _OutSubRefreshResult(expired=r.expired)
    if r.expire_at is not None:
        w.expire_at = unix_seconds(r.expire_at, clock)
    if r.info is not None:
        w.info, w.b64info = payload(r.info)
    return w


def _write_NotifyCacheEmptyResult(r: events.CacheEmptyResult, clock: Clock) -> _OutNotifyCacheEmptyResult:
    return _OutNotifyCacheEmptyResult(populated=r.populated)


def _write_NotifyChannelStateResult(r: events.ChannelStateResult, clock: Clock) -> _OutNotifyChannelStateResult:
    return _OutNotifyChannelStateResult()


def _write_SharedPollRefreshResult(r: events.SharedPollRefreshResult, clock: Clock) -> _OutSharedPollRefreshResult:
    w = _OutSharedPollRefreshResult(epoch=r.epoch)
    if r.items:
        w.items = [_write_SharedPollRefreshResultItem(item, clock) for item in r.items]
    return w


def _write_SharedPollRefreshResultItem(
    r: events.SharedPollRefreshResultItem, clock: Clock
) -> _OutSharedPollRefreshResultItem:
    w = _OutSharedPollRefreshResultItem(key=r.key, version=r.version, removed=r.removed)
    if r.data is not None:
        w.data = document("data", r.data)
    if r.prev_data is not None:
        w.prev_data = document("prev_data", r.prev_data)
    return w


def _read_ChannelEvent(m: _InChannelEvent) -> events.ChannelEvent:
    return events.ChannelEvent(time_ms=m.time_ms, channel=m.channel, type=m.type)


def _read_SharedPollRefreshItem(m: _InSharedPollRefreshItem) -> events.SharedPollRefreshItem:
    return events.SharedPollRefreshItem(key=m.key, version=uint64("version", m.version))


_connect_decoder = msgspec.json.Decoder(_InConnectRequest)


def _decode_connect(data: bytes, call: Call) -> events.ConnectEvent:
    m = decoded(_connect_decoder, data)
    return events.ConnectEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        raw_data=read_payload(m.data, "b64data", m.b64data),
        name=m.name,
        version=m.version,
        channels=m.channels,
    )


def _encode_connect(outcome: Outcome, clock: Clock) -> bytes:
    w = _OutConnectResponse()
    if outcome.result is not None:
        w.result = _write_ConnectResult(outcome.result, clock)
    elif outcome.disconnect is not None:
        w.disconnect = _OutDisconnect(code=outcome.disconnect.code, reason=outcome.disconnect.reason)
    elif outcome.error is not None:
        e = outcome.error
        w.error = _OutError(code=e.code, message=e.message, temporary=e.temporary)
    return JSON_ENCODER.encode(w)


_refresh_decoder = msgspec.json.Decoder(_InRefreshRequest)


def _decode_refresh(data: bytes, call: Call) -> events.RefreshEvent:
    m = decoded(_refresh_decoder, data)
    return events.RefreshEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        raw_meta=read_payload(m.meta),
        labels=m.labels,
    )


def _encode_refresh(outcome: Outcome, clock: Clock) -> bytes:
    w = _OutRefreshResponse()
    if outcome.result is not None:
        w.result = _write_RefreshResult(outcome.result, clock)
    elif outcome.disconnect is not None:
        w.disconnect = _OutDisconnect(code=outcome.disconnect.code, reason=outcome.disconnect.reason)
    elif outcome.error is not None:
        e = outcome.error
        w.error = _OutError(code=e.code, message=e.message, temporary=e.temporary)
    return JSON_ENCODER.encode(w)


_subscribe_decoder = msgspec.json.Decoder(_InSubscribeRequest)


def _decode_subscribe(data: bytes, call: Call) -> events.SubscribeEvent:
    m = decoded(_subscribe_decoder, data)
    return events.SubscribeEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        channel=m.channel,
        token=m.token,
        raw_meta=read_payload(m.meta),
        raw_data=read_payload(m.data, "b64data", m.b64data),
        labels=m.labels,
    )


def _encode_subscribe(outcome: Outcome, clock: Clock) -> bytes:
    w = _OutSubscribeResponse()
    if outcome.result is not None:
        w.result = _write_SubscribeResult(outcome.result, clock)
    elif outcome.disconnect is not None:
        w.disconnect = _OutDisconnect(code=outcome.disconnect.code, reason=outcome.disconnect.reason)
    elif outcome.error is not None:
        e = outcome.error
        w.error = _OutError(code=e.code, message=e.message, temporary=e.temporary)
    return JSON_ENCODER.encode(w)


_publish_decoder = msgspec.json.Decoder(_InPublishRequest)


def _decode_publish(data: bytes, call: Call) -> events.PublishEvent:
    m = decoded(_publish_decoder, data)
    return events.PublishEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        channel=m.channel,
        raw_data=read_payload(m.data, "b64data", m.b64data),
        raw_meta=read_payload(m.meta),
        labels=m.labels,
    )


def _encode_publish(outcome: Outcome, clock: Clock) -> bytes:
    w = _OutPublishResponse()
    if outcome.result is not None:
        w.result = _write_PublishResult(outcome.result, clock)
    elif outcome.disconnect is not None:
        w.disconnect = _OutDisconnect(code=outcome.disconnect.code, reason=outcome.disconnect.reason)
    elif outcome.error is not None:
        e = outcome.error
        w.error = _OutError(code=e.code, message=e.message, temporary=e.temporary)
    return JSON_ENCODER.encode(w)


_rpc_decoder = msgspec.json.Decoder(_InRPCRequest)


def _decode_rpc(data: bytes, call: Call) -> events.RPCEvent:
    m = decoded(_rpc_decoder, data)
    return events.RPCEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        method=m.method,
        raw_data=read_payload(m.data, "b64data", m.b64data),
        raw_meta=read_payload(m.meta),
        labels=m.labels,
    )


def _encode_rpc(outcome: Outcome, clock: Clock) -> bytes:
    w = _OutRPCResponse()
    if outcome.result is not None:
        w.result = _write_RPCResult(outcome.result, clock)
    elif outcome.disconnect is not None:
        w.disconnect = _OutDisconnect(code=outcome.disconnect.code, reason=outcome.disconnect.reason)
    elif outcome.error is not None:
        e = outcome.error
        w.error = _OutError(code=e.code, message=e.message, temporary=e.temporary)
    return JSON_ENCODER.encode(w)


_sub_refresh_decoder = msgspec.json.Decoder(_InSubRefreshRequest)


def _decode_sub_refresh(data: bytes, call: Call) -> events.SubRefreshEvent:
    m = decoded(_sub_refresh_decoder, data)
    return events.SubRefreshEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        channel=m.channel,
        raw_meta=read_payload(m.meta),
        labels=m.labels,
    )


def _encode_sub_refresh(outcome: Outcome, clock: Clock) -> bytes:
    w = _OutSubRefreshResponse()
    if outcome.result is not None:
        w.result = _write_SubRefreshResult(outcome.result, clock)
    elif outcome.disconnect is not None:
        w.disconnect = _OutDisconnect(code=outcome.disconnect.code, reason=outcome.disconnect.reason)
    elif outcome.error is not None:
        e = outcome.error
        w.error = _OutError(code=e.code, message=e.message, temporary=e.temporary)
    return JSON_ENCODER.encode(w)


_cache_empty_decoder = msgspec.json.Decoder(_InNotifyCacheEmptyRequest)


def _decode_cache_empty(data: bytes, call: Call) -> events.CacheEmptyEvent:
    m = decoded(_cache_empty_decoder, data)
    return events.CacheEmptyEvent(call=call, channel=m.channel)


def _encode_cache_empty(outcome: Outcome, clock: Clock) -> bytes:
    w = _OutNotifyCacheEmptyResponse()
    if outcome.result is not None:
        w.result = _write_NotifyCacheEmptyResult(outcome.result, clock)
    return JSON_ENCODER.encode(w)


_channel_state_decoder = msgspec.json.Decoder(_InNotifyChannelStateRequest)


def _decode_channel_state(data: bytes, call: Call) -> events.ChannelStateEvent:
    m = decoded(_channel_state_decoder, data)
    return events.ChannelStateEvent(call=call, events=tuple(_read_ChannelEvent(item) for item in m.events))


def _encode_channel_state(outcome: Outcome, clock: Clock) -> bytes:
    w = _OutNotifyChannelStateResponse()
    if outcome.result is not None:
        w.result = _write_NotifyChannelStateResult(outcome.result, clock)
    elif outcome.error is not None:
        e = outcome.error
        w.error = _OutError(code=e.code, message=e.message, temporary=e.temporary)
    return JSON_ENCODER.encode(w)


_map_publish_decoder = msgspec.json.Decoder(_InMapPublishRequest)


def _decode_map_publish(data: bytes, call: Call) -> events.MapPublishEvent:
    m = decoded(_map_publish_decoder, data)
    return events.MapPublishEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        channel=m.channel,
        key=m.key,
        raw_data=read_payload(m.data, "b64data", m.b64data),
        raw_meta=read_payload(m.meta),
        labels=m.labels,
    )


def _encode_map_publish(outcome: Outcome, clock: Clock) -> bytes:
    w = _OutMapPublishResponse()
    if outcome.result is not None:
        w.result = _write_MapPublishResult(outcome.result, clock)
    elif outcome.disconnect is not None:
        w.disconnect = _OutDisconnect(code=outcome.disconnect.code, reason=outcome.disconnect.reason)
    elif outcome.error is not None:
        e = outcome.error
        w.error = _OutError(code=e.code, message=e.message, temporary=e.temporary)
    return JSON_ENCODER.encode(w)


_map_remove_decoder = msgspec.json.Decoder(_InMapRemoveRequest)


def _decode_map_remove(data: bytes, call: Call) -> events.MapRemoveEvent:
    m = decoded(_map_remove_decoder, data)
    return events.MapRemoveEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        channel=m.channel,
        key=m.key,
        raw_meta=read_payload(m.meta),
        labels=m.labels,
    )


def _encode_map_remove(outcome: Outcome, clock: Clock) -> bytes:
    w = _OutMapRemoveResponse()
    if outcome.result is not None:
        w.result = _write_MapRemoveResult(outcome.result, clock)
    elif outcome.disconnect is not None:
        w.disconnect = _OutDisconnect(code=outcome.disconnect.code, reason=outcome.disconnect.reason)
    elif outcome.error is not None:
        e = outcome.error
        w.error = _OutError(code=e.code, message=e.message, temporary=e.temporary)
    return JSON_ENCODER.encode(w)


_shared_poll_refresh_decoder = msgspec.json.Decoder(_InSharedPollRefreshRequest)


def _decode_shared_poll_refresh(data: bytes, call: Call) -> events.SharedPollRefreshEvent:
    m = decoded(_shared_poll_refresh_decoder, data)
    return events.SharedPollRefreshEvent(
        call=call, channel=m.channel, items=tuple(_read_SharedPollRefreshItem(item) for item in m.items)
    )


def _encode_shared_poll_refresh(outcome: Outcome, clock: Clock) -> bytes:
    w = _OutSharedPollRefreshResponse()
    if outcome.result is not None:
        w.result = _write_SharedPollRefreshResult(outcome.result, clock)
    elif outcome.error is not None:
        e = outcome.error
        w.error = _OutError(code=e.code, message=e.message, temporary=e.temporary)
    return JSON_ENCODER.encode(w)


#: How each call is read and written in JSON, by kind. Streams travel over gRPC only.
JSON: Final[dict[str, Codec]] = {
    "connect": Codec(_decode_connect, _encode_connect),
    "refresh": Codec(_decode_refresh, _encode_refresh),
    "subscribe": Codec(_decode_subscribe, _encode_subscribe),
    "publish": Codec(_decode_publish, _encode_publish),
    "rpc": Codec(_decode_rpc, _encode_rpc),
    "sub_refresh": Codec(_decode_sub_refresh, _encode_sub_refresh),
    "cache_empty": Codec(_decode_cache_empty, _encode_cache_empty),
    "channel_state": Codec(_decode_channel_state, _encode_channel_state),
    "map_publish": Codec(_decode_map_publish, _encode_map_publish),
    "map_remove": Codec(_decode_map_remove, _encode_map_remove),
    "shared_poll_refresh": Codec(_decode_shared_poll_refresh, _encode_shared_poll_refresh),
}
