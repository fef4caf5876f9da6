"""Conversions between protobuf messages and events, one straight line each.

Generated from proto/centrifugo/proxy.proto by `python -m rtbridge._codegen`; edit the proto, not this file.
"""

from typing import Any, Final

from google.protobuf.message import DecodeError

from rtbridge import events
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.codec.base import Codec, enclosed, unbase64
from rtbridge.codec.descriptors import message_class
from rtbridge.errors import InvalidMessage
from rtbridge.events.call import Call
from rtbridge.events.outcome import Outcome
from rtbridge.events.values import encode_payload, unix_seconds

_ConnectRequest = message_class("centrifugal.centrifugo.proxy.ConnectRequest")
_ConnectResponse = message_class("centrifugal.centrifugo.proxy.ConnectResponse")
_RefreshRequest = message_class("centrifugal.centrifugo.proxy.RefreshRequest")
_RefreshResponse = message_class("centrifugal.centrifugo.proxy.RefreshResponse")
_SubscribeRequest = message_class("centrifugal.centrifugo.proxy.SubscribeRequest")
_SubscribeResponse = message_class("centrifugal.centrifugo.proxy.SubscribeResponse")
_PublishRequest = message_class("centrifugal.centrifugo.proxy.PublishRequest")
_PublishResponse = message_class("centrifugal.centrifugo.proxy.PublishResponse")
_MapPublishRequest = message_class("centrifugal.centrifugo.proxy.MapPublishRequest")
_MapPublishResponse = message_class("centrifugal.centrifugo.proxy.MapPublishResponse")
_MapRemoveRequest = message_class("centrifugal.centrifugo.proxy.MapRemoveRequest")
_MapRemoveResponse = message_class("centrifugal.centrifugo.proxy.MapRemoveResponse")
_RPCRequest = message_class("centrifugal.centrifugo.proxy.RPCRequest")
_RPCResponse = message_class("centrifugal.centrifugo.proxy.RPCResponse")
_SubRefreshRequest = message_class("centrifugal.centrifugo.proxy.SubRefreshRequest")
_SubRefreshResponse = message_class("centrifugal.centrifugo.proxy.SubRefreshResponse")
_StreamSubscribeRequest = message_class("centrifugal.centrifugo.proxy.StreamSubscribeRequest")
_StreamSubscribeResponse = message_class("centrifugal.centrifugo.proxy.StreamSubscribeResponse")
_NotifyCacheEmptyRequest = message_class("centrifugal.centrifugo.proxy.NotifyCacheEmptyRequest")
_NotifyCacheEmptyResponse = message_class("centrifugal.centrifugo.proxy.NotifyCacheEmptyResponse")
_NotifyChannelStateRequest = message_class("centrifugal.centrifugo.proxy.NotifyChannelStateRequest")
_NotifyChannelStateResponse = message_class("centrifugal.centrifugo.proxy.NotifyChannelStateResponse")
_SharedPollRefreshRequest = message_class("centrifugal.centrifugo.proxy.SharedPollRefreshRequest")
_SharedPollRefreshResponse = message_class("centrifugal.centrifugo.proxy.SharedPollRefreshResponse")

# Without its C extension protobuf reports broken UTF-8 in a string field as UnicodeDecodeError.
_FAULTS: Final = (DecodeError, UnicodeDecodeError)


def _fill_FilterNode(w: Any, r: events.FilterNode, clock: Clock) -> None:
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
        _fill_FilterNode(w.nodes.add(), item, clock)


def _fill_SubscribeOptions(w: Any, r: events.SubscribeOptions, clock: Clock) -> None:
    if r.expire_at is not None:
        w.expire_at = unix_seconds(r.expire_at, clock)
    if r.info is not None:
        w.info = encode_payload(r.info)
    if r.data is not None:
        w.data = encode_payload(r.data)
    if r.override is not None:
        w.override.SetInParent()
        _fill_SubscribeOptionOverride(w.override, r.override, clock)
    if r.server_tags_filter is not None:
        w.server_tags_filter.SetInParent()
        _fill_FilterNode(w.server_tags_filter, r.server_tags_filter, clock)
    if r.cache_recover:
        w.cache_recover = r.cache_recover


def _fill_ConnectResult(w: Any, r: events.ConnectResult, clock: Clock) -> None:
    if r.user:
        w.user = r.user
    if r.expire_at is not None:
        w.expire_at = unix_seconds(r.expire_at, clock)
    if r.info is not None:
        w.info = encode_payload(r.info)
    if r.data is not None:
        w.data = encode_payload(r.data)
    if r.channels:
        w.channels.extend(r.channels)
    for key, value in r.subs.items():
        _fill_SubscribeOptions(w.subs[key], value, clock)
    if r.meta is not None:
        w.meta = encode_payload(r.meta)
    for item in r.caps:
        _fill_ChannelsCapability(w.caps.add(), item, clock)
    if r.labels:
        w.labels.update(r.labels)


def _fill_ChannelsCapability(w: Any, r: events.ChannelsCapability, clock: Clock) -> None:
    if r.channels:
        w.channels.extend(r.channels)
    if r.allow:
        w.allow.extend(r.allow)
    if r.match:
        w.match = r.match


def _fill_RefreshResult(w: Any, r: events.RefreshResult, clock: Clock) -> None:
    if r.expired:
        w.expired = r.expired
    if r.expire_at is not None:
        w.expire_at = unix_seconds(r.expire_at, clock)
    if r.info is not None:
        w.info = encode_payload(r.info)
    if r.meta is not None:
        w.meta = encode_payload(r.meta)
    for item in r.caps:
        _fill_ChannelsCapability(w.caps.add(), item, clock)


def _fill_SubscribeOptionOverride(w: Any, r: events.SubscribeOptionOverride, clock: Clock) -> None:
    if r.presence is not None:
        w.presence.value = r.presence
        w.presence.SetInParent()
    if r.join_leave is not None:
        w.join_leave.value = r.join_leave
        w.join_leave.SetInParent()
    if r.force_recovery is not None:
        w.force_recovery.value = r.force_recovery
        w.force_recovery.SetInParent()
    if r.force_positioning is not None:
        w.force_positioning.value = r.force_positioning
        w.force_positioning.SetInParent()
    if r.force_push_join_leave is not None:
        w.force_push_join_leave.value = r.force_push_join_leave
        w.force_push_join_leave.SetInParent()


def _fill_SubscribeResult(w: Any, r: events.SubscribeResult, clock: Clock) -> None:
    if r.expire_at is not None:
        w.expire_at = unix_seconds(r.expire_at, clock)
    if r.info is not None:
        w.info = encode_payload(r.info)
    if r.data is not None:
        w.data = encode_payload(r.data)
    if r.override is not None:
        w.override.SetInParent()
        _fill_SubscribeOptionOverride(w.override, r.override, clock)
    if r.allow:
        w.allow.extend(r.allow)
    if r.server_tags_filter is not None:
        w.server_tags_filter.SetInParent()
        _fill_FilterNode(w.server_tags_filter, r.server_tags_filter, clock)


def _fill_PublishResult(w: Any, r: events.PublishResult, clock: Clock) -> None:
    if r.data is not None:
        w.data = encode_payload(r.data)
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


def _fill_MapPublishResult(w: Any, r: events.MapPublishResult, clock: Clock) -> None:
    if r.key:
        w.key = r.key
    if r.data is not None:
        w.data = encode_payload(r.data)
    if r.tags:
        w.tags.update(r.tags)
    if r.score:
        w.score = r.score
    if r.key_mode:
        w.key_mode = r.key_mode
    if r.stream_data is not None:
        w.stream_data = encode_payload(r.stream_data)
    if r.idempotency_key:
        w.idempotency_key = r.idempotency_key
    if r.delta:
        w.delta = r.delta
    if r.version:
        w.version = r.version
    if r.version_epoch:
        w.version_epoch = r.version_epoch


def _fill_MapRemoveResult(w: Any, r: events.MapRemoveResult, clock: Clock) -> None:
    if r.key:
        w.key = r.key
    if r.tags:
        w.tags.update(r.tags)
    if r.idempotency_key:
        w.idempotency_key = r.idempotency_key


def _fill_SubRefreshResult(w: Any, r: events.SubRefreshResult, clock: Clock) -> None:
    if r.expired:
        w.expired = r.expired
    if r.expire_at is not None:
        w.expire_at = unix_seconds(r.expire_at, clock)
    if r.info is not None:
        w.info = encode_payload(r.info)


def _fill_Publication(w: Any, r: events.Publication, clock: Clock) -> None:
    if r.data is not None:
        w.data = encode_payload(r.data)
    if r.tags:
        w.tags.update(r.tags)


def _fill_NotifyCacheEmptyResult(w: Any, r: events.CacheEmptyResult, clock: Clock) -> None:
    if r.populated:
        w.populated = r.populated


def _fill_NotifyChannelStateResult(w: Any, r: events.ChannelStateResult, clock: Clock) -> None:
    """It has no fields."""


def _fill_SharedPollRefreshResult(w: Any, r: events.SharedPollRefreshResult, clock: Clock) -> None:
    for item in r.items:
        _fill_SharedPollRefreshResultItem(w.items.add(), item, clock)
    if r.epoch:
        w.epoch = r.epoch


def _fill_SharedPollRefreshResultItem(w: Any, r: events.SharedPollRefreshResultItem, clock: Clock) -> None:
    if r.key:
        w.key = r.key
    if r.data is not None:
        w.data = encode_payload(r.data)
    if r.version:
        w.version = r.version
    if r.removed:
        w.removed = r.removed
    if r.prev_data is not None:
        w.prev_data = encode_payload(r.prev_data)


def _read_Publication(m: Any) -> events.ReceivedPublication:
    return events.ReceivedPublication(raw_data=m.data or None, tags=dict(m.tags) if m.tags else {})


def _read_ChannelEvent(m: Any) -> events.ChannelEvent:
    return events.ChannelEvent(time_ms=m.time_ms, channel=m.channel, type=m.type)


def _read_SharedPollRefreshItem(m: Any) -> events.SharedPollRefreshItem:
    return events.SharedPollRefreshItem(key=m.key, version=m.version)


def _decode_connect(data: bytes, call: Call) -> events.ConnectEvent:
    try:
        m = _ConnectRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a ConnectRequest in protobuf") from exc
    return events.ConnectEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        raw_data=unbase64("b64data", m.b64data) if m.b64data else m.data or None,
        name=m.name,
        version=m.version,
        channels=tuple(m.channels),
    )


def _encode_connect(outcome: Outcome, clock: Clock) -> bytes:
    m = _ConnectResponse()
    result = outcome.result
    if result is not None:
        w = m.result
        w.SetInParent()
        _fill_ConnectResult(w, result, clock)
    elif outcome.disconnect is not None:
        m.disconnect.code = outcome.disconnect.code
        m.disconnect.reason = outcome.disconnect.reason
    elif outcome.error is not None:
        m.error.code = outcome.error.code
        m.error.message = outcome.error.message
        m.error.temporary = outcome.error.temporary
    return bytes(m.SerializeToString())


def _decode_refresh(data: bytes, call: Call) -> events.RefreshEvent:
    try:
        m = _RefreshRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a RefreshRequest in protobuf") from exc
    return events.RefreshEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        raw_meta=m.meta or None,
        labels=dict(m.labels) if m.labels else {},
    )


def _encode_refresh(outcome: Outcome, clock: Clock) -> bytes:
    m = _RefreshResponse()
    result = outcome.result
    if result is not None:
        w = m.result
        w.SetInParent()
        _fill_RefreshResult(w, result, clock)
    elif outcome.disconnect is not None:
        m.disconnect.code = outcome.disconnect.code
        m.disconnect.reason = outcome.disconnect.reason
    elif outcome.error is not None:
        m.error.code = outcome.error.code
        m.error.message = outcome.error.message
        m.error.temporary = outcome.error.temporary
    return bytes(m.SerializeToString())


def _decode_subscribe(data: bytes, call: Call) -> events.SubscribeEvent:
    try:
        m = _SubscribeRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a SubscribeRequest in protobuf") from exc
    return events.SubscribeEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        channel=m.channel,
        token=m.token,
        raw_meta=m.meta or None,
        raw_data=unbase64("b64data", m.b64data) if m.b64data else m.data or None,
        labels=dict(m.labels) if m.labels else {},
    )


def _encode_subscribe(outcome: Outcome, clock: Clock) -> bytes:
    m = _SubscribeResponse()
    result = outcome.result
    if result is not None:
        w = m.result
        w.SetInParent()
        _fill_SubscribeResult(w, result, clock)
    elif outcome.disconnect is not None:
        m.disconnect.code = outcome.disconnect.code
        m.disconnect.reason = outcome.disconnect.reason
    elif outcome.error is not None:
        m.error.code = outcome.error.code
        m.error.message = outcome.error.message
        m.error.temporary = outcome.error.temporary
    return bytes(m.SerializeToString())


def _decode_publish(data: bytes, call: Call) -> events.PublishEvent:
    try:
        m = _PublishRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a PublishRequest in protobuf") from exc
    return events.PublishEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        channel=m.channel,
        raw_data=unbase64("b64data", m.b64data) if m.b64data else m.data or None,
        raw_meta=m.meta or None,
        labels=dict(m.labels) if m.labels else {},
    )


def _encode_publish(outcome: Outcome, clock: Clock) -> bytes:
    m = _PublishResponse()
    result = outcome.result
    if result is not None:
        w = m.result
        w.SetInParent()
        _fill_PublishResult(w, result, clock)
    elif outcome.disconnect is not None:
        m.disconnect.code = outcome.disconnect.code
        m.disconnect.reason = outcome.disconnect.reason
    elif outcome.error is not None:
        m.error.code = outcome.error.code
        m.error.message = outcome.error.message
        m.error.temporary = outcome.error.temporary
    return bytes(m.SerializeToString())


def _decode_rpc(data: bytes, call: Call) -> events.RPCEvent:
    try:
        m = _RPCRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a RPCRequest in protobuf") from exc
    return events.RPCEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        method=m.method,
        raw_data=unbase64("b64data", m.b64data) if m.b64data else m.data or None,
        raw_meta=m.meta or None,
        labels=dict(m.labels) if m.labels else {},
    )


def _encode_rpc(outcome: Outcome, clock: Clock) -> bytes:
    result = outcome.result
    if result is None:
        return _encode_rpc_refusal(outcome)
    data = result.data
    return enclosed(10, 10, b"" if data is None else encode_payload(data))


def _encode_rpc_refusal(outcome: Outcome) -> bytes:
    m = _RPCResponse()
    if outcome.disconnect is not None:
        m.disconnect.code = outcome.disconnect.code
        m.disconnect.reason = outcome.disconnect.reason
    elif outcome.error is not None:
        m.error.code = outcome.error.code
        m.error.message = outcome.error.message
        m.error.temporary = outcome.error.temporary
    return bytes(m.SerializeToString())


def _decode_sub_refresh(data: bytes, call: Call) -> events.SubRefreshEvent:
    try:
        m = _SubRefreshRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a SubRefreshRequest in protobuf") from exc
    return events.SubRefreshEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        channel=m.channel,
        raw_meta=m.meta or None,
        labels=dict(m.labels) if m.labels else {},
    )


def _encode_sub_refresh(outcome: Outcome, clock: Clock) -> bytes:
    m = _SubRefreshResponse()
    result = outcome.result
    if result is not None:
        w = m.result
        w.SetInParent()
        _fill_SubRefreshResult(w, result, clock)
    elif outcome.disconnect is not None:
        m.disconnect.code = outcome.disconnect.code
        m.disconnect.reason = outcome.disconnect.reason
    elif outcome.error is not None:
        m.error.code = outcome.error.code
        m.error.message = outcome.error.message
        m.error.temporary = outcome.error.temporary
    return bytes(m.SerializeToString())


def _decode_subscribe_unidirectional(data: bytes, call: Call) -> events.SubscribeUnidirectionalEvent:
    try:
        m = _SubscribeRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a SubscribeRequest in protobuf") from exc
    return events.SubscribeUnidirectionalEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        channel=m.channel,
        token=m.token,
        raw_meta=m.meta or None,
        raw_data=unbase64("b64data", m.b64data) if m.b64data else m.data or None,
        labels=dict(m.labels) if m.labels else {},
    )


def _encode_subscribe_unidirectional(outcome: Outcome, clock: Clock) -> bytes:
    m = _StreamSubscribeResponse()
    m.subscribe_response.SetInParent()
    result = outcome.result
    if result is not None:
        w = m.subscribe_response.result
        w.SetInParent()
        _fill_SubscribeResult(w, result, clock)
    elif outcome.disconnect is not None:
        m.subscribe_response.disconnect.code = outcome.disconnect.code
        m.subscribe_response.disconnect.reason = outcome.disconnect.reason
    elif outcome.error is not None:
        m.subscribe_response.error.code = outcome.error.code
        m.subscribe_response.error.message = outcome.error.message
        m.subscribe_response.error.temporary = outcome.error.temporary
    return bytes(m.SerializeToString())


def _encode_subscribe_unidirectional_item(item: events.Publication) -> bytes:
    m = _StreamSubscribeResponse()
    m.publication.SetInParent()
    _fill_Publication(m.publication, item, SYSTEM_CLOCK)
    return bytes(m.SerializeToString())


def _decode_subscribe_bidirectional(data: bytes, call: Call) -> events.SubscribeBidirectionalEvent:
    try:
        m = _StreamSubscribeRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a StreamSubscribeRequest in protobuf") from exc
    if not m.HasField("subscribe_request"):
        raise InvalidMessage("the first message of the stream has no subscribe_request")
    m = m.subscribe_request
    return events.SubscribeBidirectionalEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        channel=m.channel,
        token=m.token,
        raw_meta=m.meta or None,
        raw_data=unbase64("b64data", m.b64data) if m.b64data else m.data or None,
        labels=dict(m.labels) if m.labels else {},
    )


def _decode_subscribe_bidirectional_item(data: bytes) -> events.ReceivedPublication:
    try:
        m = _StreamSubscribeRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a StreamSubscribeRequest in protobuf") from exc
    if not m.HasField("publication"):
        raise InvalidMessage("a later message of the stream has no publication")
    return _read_Publication(m.publication)


def _encode_subscribe_bidirectional(outcome: Outcome, clock: Clock) -> bytes:
    m = _StreamSubscribeResponse()
    m.subscribe_response.SetInParent()
    result = outcome.result
    if result is not None:
        w = m.subscribe_response.result
        w.SetInParent()
        _fill_SubscribeResult(w, result, clock)
    elif outcome.disconnect is not None:
        m.subscribe_response.disconnect.code = outcome.disconnect.code
        m.subscribe_response.disconnect.reason = outcome.disconnect.reason
    elif outcome.error is not None:
        m.subscribe_response.error.code = outcome.error.code
        m.subscribe_response.error.message = outcome.error.message
        m.subscribe_response.error.temporary = outcome.error.temporary
    return bytes(m.SerializeToString())


def _encode_subscribe_bidirectional_item(item: events.Publication) -> bytes:
    m = _StreamSubscribeResponse()
    m.publication.SetInParent()
    _fill_Publication(m.publication, item, SYSTEM_CLOCK)
    return bytes(m.SerializeToString())


def _decode_cache_empty(data: bytes, call: Call) -> events.CacheEmptyEvent:
    try:
        m = _NotifyCacheEmptyRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a NotifyCacheEmptyRequest in protobuf") from exc
    return events.CacheEmptyEvent(call=call, channel=m.channel)


def _encode_cache_empty(outcome: Outcome, clock: Clock) -> bytes:
    m = _NotifyCacheEmptyResponse()
    result = outcome.result
    if result is not None:
        w = m.result
        w.SetInParent()
        _fill_NotifyCacheEmptyResult(w, result, clock)
    return bytes(m.SerializeToString())


def _decode_channel_state(data: bytes, call: Call) -> events.ChannelStateEvent:
    try:
        m = _NotifyChannelStateRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a NotifyChannelStateRequest in protobuf") from exc
    return events.ChannelStateEvent(call=call, events=tuple(_read_ChannelEvent(item) for item in m.events))


def _encode_channel_state(outcome: Outcome, clock: Clock) -> bytes:
    m = _NotifyChannelStateResponse()
    result = outcome.result
    if result is not None:
        w = m.result
        w.SetInParent()
        _fill_NotifyChannelStateResult(w, result, clock)
    elif outcome.error is not None:
        m.error.code = outcome.error.code
        m.error.message = outcome.error.message
        m.error.temporary = outcome.error.temporary
    return bytes(m.SerializeToString())


def _decode_map_publish(data: bytes, call: Call) -> events.MapPublishEvent:
    try:
        m = _MapPublishRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a MapPublishRequest in protobuf") from exc
    return events.MapPublishEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        channel=m.channel,
        key=m.key,
        raw_data=unbase64("b64data", m.b64data) if m.b64data else m.data or None,
        raw_meta=m.meta or None,
        labels=dict(m.labels) if m.labels else {},
    )


def _encode_map_publish(outcome: Outcome, clock: Clock) -> bytes:
    m = _MapPublishResponse()
    result = outcome.result
    if result is not None:
        w = m.result
        w.SetInParent()
        _fill_MapPublishResult(w, result, clock)
    elif outcome.disconnect is not None:
        m.disconnect.code = outcome.disconnect.code
        m.disconnect.reason = outcome.disconnect.reason
    elif outcome.error is not None:
        m.error.code = outcome.error.code
        m.error.message = outcome.error.message
        m.error.temporary = outcome.error.temporary
    return bytes(m.SerializeToString())


def _decode_map_remove(data: bytes, call: Call) -> events.MapRemoveEvent:
    try:
        m = _MapRemoveRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a MapRemoveRequest in protobuf") from exc
    return events.MapRemoveEvent(
        call=call,
        client=m.client,
        transport=m.transport,
        protocol=m.protocol,
        encoding=m.encoding,
        user=m.user,
        channel=m.channel,
        key=m.key,
        raw_meta=m.meta or None,
        labels=dict(m.labels) if m.labels else {},
    )


def _encode_map_remove(outcome: Outcome, clock: Clock) -> bytes:
    m = _MapRemoveResponse()
    result = outcome.result
    if result is not None:
        w = m.result
        w.SetInParent()
        _fill_MapRemoveResult(w, result, clock)
    elif outcome.disconnect is not None:
        m.disconnect.code = outcome.disconnect.code
        m.disconnect.reason = outcome.disconnect.reason
    elif outcome.error is not None:
        m.error.code = outcome.error.code
        m.error.message = outcome.error.message
        m.error.temporary = outcome.error.temporary
    return bytes(m.SerializeToString())


def _decode_shared_poll_refresh(data: bytes, call: Call) -> events.SharedPollRefreshEvent:
    try:
        m = _SharedPollRefreshRequest.FromString(data)
    except _FAULTS as exc:
        raise InvalidMessage("not a SharedPollRefreshRequest in protobuf") from exc
    return events.SharedPollRefreshEvent(
        call=call, channel=m.channel, items=tuple(_read_SharedPollRefreshItem(item) for item in m.items)
    )


def _encode_shared_poll_refresh(outcome: Outcome, clock: Clock) -> bytes:
    m = _SharedPollRefreshResponse()
    result = outcome.result
    if result is not None:
        w = m.result
        w.SetInParent()
        _fill_SharedPollRefreshResult(w, result, clock)
    elif outcome.error is not None:
        m.error.code = outcome.error.code
        m.error.message = outcome.error.message
        m.error.temporary = outcome.error.temporary
    return bytes(m.SerializeToString())


#: How each call is read and written in protobuf, by kind.
PROTO: Final[dict[str, Codec]] = {
    "connect": Codec(_decode_connect, _encode_connect),
    "refresh": Codec(_decode_refresh, _encode_refresh),
    "subscribe": Codec(_decode_subscribe, _encode_subscribe),
    "publish": Codec(_decode_publish, _encode_publish),
    "rpc": Codec(_decode_rpc, _encode_rpc),
    "sub_refresh": Codec(_decode_sub_refresh, _encode_sub_refresh),
    "subscribe_unidirectional": Codec(
        _decode_subscribe_unidirectional, _encode_subscribe_unidirectional, None, _encode_subscribe_unidirectional_item
    ),
    "subscribe_bidirectional": Codec(
        _decode_subscribe_bidirectional,
        _encode_subscribe_bidirectional,
        _decode_subscribe_bidirectional_item,
        _encode_subscribe_bidirectional_item,
    ),
    "cache_empty": Codec(_decode_cache_empty, _encode_cache_empty),
    "channel_state": Codec(_decode_channel_state, _encode_channel_state),
    "map_publish": Codec(_decode_map_publish, _encode_map_publish),
    "map_remove": Codec(_decode_map_remove, _encode_map_remove),
    "shared_poll_refresh": Codec(_decode_shared_poll_refresh, _encode_shared_poll_refresh),
}
