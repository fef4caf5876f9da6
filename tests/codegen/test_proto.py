"""The proto is wire-compatible with Centrifugo 6.9.1: every message, field number and type, and every method.

The table is typed from Centrifugo's own definitions, independently of the proto file; `tables` says how it is read.
`@client` and `@refusals` stand for the four fields that describe a client and the two ways to refuse.
"""

import pytest
from google.protobuf import descriptor_pb2

from rtbridge._codegen import __main__ as generator
from rtbridge._codegen import model
from rtbridge.codec.descriptors import message_class, pool
from rtbridge.events import METHODS
from tests.codegen.tables import Table, described, reserved, table_of

PACKAGE = "centrifugal.centrifugo.proxy"

CLIENT = "1 client, 2 transport, 3 protocol, 4 encoding"
REFUSALS = "2 error Error, 3 disconnect Disconnect"

MESSAGES = """\
FilterNode: 1 op, 2 key, 3 cmp, 4 val, 5 vals [string], 6 nodes [FilterNode]
Disconnect: 1 code uint32, 2 reason
Error: 1 code uint32, 2 message, 3 temporary bool
ConnectRequest: @client, 10 data bytes, 11 b64data, 12 name, 13 version, 14 channels [string]
SubscribeOptions: 1 expire_at int64, 2 info bytes, 3 b64info, 4 data bytes, 5 b64data, 6 override
  SubscribeOptionOverride, 7 server_tags_filter FilterNode, 8 cache_recover bool
ConnectResult: 1 user, 2 expire_at int64, 3 info bytes, 4 b64info, 5 data bytes, 6 b64data, 7 channels [string], 8
  subs {SubscribeOptions}, 9 meta bytes, 10 caps [ChannelsCapability], 11 labels {string}
ChannelsCapability: 1 channels [string], 2 allow [string], 3 match
ConnectResponse: 1 result ConnectResult, @refusals
RefreshRequest: @client, 10 user, 11 meta bytes, 12 labels {string}
RefreshResult: 1 expired bool, 2 expire_at int64, 3 info bytes, 4 b64info, 5 meta bytes, 6 caps [ChannelsCapability]
RefreshResponse: 1 result RefreshResult, @refusals
SubscribeRequest: @client, 10 user, 11 channel, 12 token, 13 meta bytes, 14 data bytes, 15 b64data, 16 labels {string}
BoolValue: 1 value bool
Int32Value: 1 value int32
SubscribeOptionOverride: 1 presence BoolValue, 2 join_leave BoolValue, 3 force_recovery BoolValue, 4 force_positioning
  BoolValue, 5 force_push_join_leave BoolValue
SubscribeResult: 1 expire_at int64, 2 info bytes, 3 b64info, 4 data bytes, 5 b64data, 6 override
  SubscribeOptionOverride, 7 allow [string], 8 server_tags_filter FilterNode
SubscribeResponse: 1 result SubscribeResult, @refusals
PublishRequest: @client, 10 user, 11 channel, 12 data bytes, 13 b64data, 14 meta bytes, 15 labels {string}
PublishResult: 1 data bytes, 2 b64data, 3 skip_history bool, 4 tags {string}, 5 idempotency_key, 6 delta bool, 7
  version uint64, 8 version_epoch
PublishResponse: 1 result PublishResult, @refusals
MapPublishRequest: @client, 10 user, 11 channel, 12 key, 13 data bytes, 14 b64data, 15 meta bytes, 16 labels {string}
MapPublishResult: 1 key, 2 data bytes, 3 b64data, 4 tags {string}, 5 score int64, 6 key_mode, 7 stream_data bytes, 8
  b64stream_data, 9 idempotency_key, 10 delta bool, 11 version uint64, 12 version_epoch
MapPublishResponse: 1 result MapPublishResult, @refusals
MapRemoveRequest: @client, 10 user, 11 channel, 12 key, 13 meta bytes, 14 labels {string}
MapRemoveResult: 1 key, 2 tags {string}, 3 idempotency_key
MapRemoveResponse: 1 result MapRemoveResult, @refusals
RPCRequest: @client, 10 user, 11 method, 12 data bytes, 13 b64data, 14 meta bytes, 15 labels {string}
RPCResult: 1 data bytes, 2 b64data
RPCResponse: 1 result RPCResult, @refusals
SubRefreshRequest: @client, 10 user, 11 channel, 12 meta bytes, 13 labels {string}
SubRefreshResult: 1 expired bool, 2 expire_at int64, 3 info bytes, 4 b64info
SubRefreshResponse: 1 result SubRefreshResult, @refusals
Publication: 4 data bytes, 7 tags {string}
StreamSubscribeRequest: 1 subscribe_request SubscribeRequest, 2 publication Publication
StreamSubscribeResponse: 1 subscribe_response SubscribeResponse, 2 publication Publication
NotifyCacheEmptyRequest: 1 channel
NotifyCacheEmptyResponse: 1 result NotifyCacheEmptyResult
NotifyCacheEmptyResult: 1 populated bool
NotifyChannelStateRequest: 1 events [ChannelEvent]
ChannelEvent: 1 time_ms int64, 2 channel, 3 type
NotifyChannelStateResponse: 1 result NotifyChannelStateResult, 2 error Error
NotifyChannelStateResult:
SharedPollRefreshRequest: 1 channel, 2 items [SharedPollRefreshItem]
SharedPollRefreshItem: 1 key, 2 version uint64
SharedPollRefreshResult: 1 items [SharedPollRefreshResultItem], 2 epoch
SharedPollRefreshResultItem: 1 key, 2 data bytes, 3 version uint64, 4 removed bool, 5 prev_data bytes
SharedPollRefreshResponse: 1 result SharedPollRefreshResult, 2 error Error
"""

#: Method, request, response, and which of the two are streams.
METHOD_TABLE = """\
Connect ConnectRequest ConnectResponse
Refresh RefreshRequest RefreshResponse
Subscribe SubscribeRequest SubscribeResponse
Publish PublishRequest PublishResponse
RPC RPCRequest RPCResponse
SubRefresh SubRefreshRequest SubRefreshResponse
SubscribeUnidirectional SubscribeRequest StreamSubscribeResponse out
SubscribeBidirectional StreamSubscribeRequest StreamSubscribeResponse in out
NotifyCacheEmpty NotifyCacheEmptyRequest NotifyCacheEmptyResponse
NotifyChannelState NotifyChannelStateRequest NotifyChannelStateResponse
MapPublish MapPublishRequest MapPublishResponse
MapRemove MapRemoveRequest MapRemoveResponse
SharedPollRefresh SharedPollRefreshRequest SharedPollRefreshResponse
"""

#: Centrifugo's documentation, server/proxy: what is called, how it is denied here, and what routes it.
CALLS = """\
connect Connect disconnect channels
refresh Refresh expired -
subscribe Subscribe disconnect channel
publish Publish disconnect channel
rpc RPC disconnect method
sub_refresh SubRefresh expired channel
subscribe_unidirectional SubscribeUnidirectional disconnect channel
subscribe_bidirectional SubscribeBidirectional disconnect channel
cache_empty NotifyCacheEmpty unimplemented channel
channel_state NotifyChannelState error -
map_publish MapPublish disconnect channel
map_remove MapRemove disconnect channel
shared_poll_refresh SharedPollRefresh error channel
"""


def wanted() -> Table:
    """The table of the proxy's messages."""
    return table_of(MESSAGES.replace("@client", CLIENT).replace("@refusals", REFUSALS))


@pytest.fixture
def proxy(compiled: descriptor_pb2.FileDescriptorSet) -> descriptor_pb2.FileDescriptorProto:
    """The proxy's file."""
    (file,) = (f for f in compiled.file if f.name == generator.PROXY)
    return file


def test_the_table_is_complete() -> None:
    """47 messages and 13 methods, as in Centrifugo 6.9.1."""
    assert len(wanted()) == 47
    assert len(METHOD_TABLE.splitlines()) == len(CALLS.splitlines()) == len(METHODS) == 13


def test_messages(proxy: descriptor_pb2.FileDescriptorProto) -> None:
    """Every message has the numbers, names and types that Centrifugo has, and no other."""
    assert proxy.package == PACKAGE
    assert proxy.syntax == "proto3"
    assert {m.name: described(m) for m in proxy.message_type} == wanted()


def test_reserved_numbers(proxy: descriptor_pb2.FileDescriptorProto) -> None:
    """Numbers that Centrifugo has retired stay unused."""
    assert reserved(proxy) == {"Disconnect": {3}, "Publication": {1, 2, 3, 5, 6}}


def test_methods(proxy: descriptor_pb2.FileDescriptorProto) -> None:
    """Every method has the request, the response and the streams that Centrifugo has."""
    (service,) = proxy.service
    assert service.name == "CentrifugoProxy"
    found = [
        " ".join(
            [m.name, m.input_type.rsplit(".", 1)[-1], m.output_type.rsplit(".", 1)[-1]]
            + ["in"] * m.client_streaming
            + ["out"] * m.server_streaming
        )
        for m in service.method
    ]
    assert found == METHOD_TABLE.splitlines()


def test_method_table() -> None:
    """The generated table names each call's path, denial and route."""
    found = [f"{m.kind} {m.name} {m.silence} {m.route or '-'}" for m in METHODS.values()]
    assert found == CALLS.splitlines()
    for kind, method in METHODS.items():
        assert kind == method.kind == method.event.kind
        assert method.hook == f"on_{kind}"
        assert method.path == f"/{PACKAGE}.CentrifugoProxy/{method.name}"
        assert method.event.result_type is method.result


def test_everything_is_documented(service: model.Service) -> None:
    """Each method, message and field has a comment, which is its docstring; answers' envelopes speak for themselves."""
    envelopes = {m.response.name for m in service.methods} | {m.envelope_in for m in service.methods}
    envelopes |= {m.envelope_out for m in service.methods} | {"BoolValue", "Int32Value"}
    silent = [m.name for m in service.methods if not m.doc]
    silent += [m.name for m in service.messages.values() if not m.doc and m.name not in envelopes]
    silent += [
        f"{m.name}.{f.name}"
        for m in service.messages.values()
        if m.name not in envelopes
        for f in m.fields
        if not f.doc
    ]
    assert silent == []


def test_the_shipped_descriptors_hold_the_same(proxy: descriptor_pb2.FileDescriptorProto) -> None:
    """The classes that the codec uses have the fields of the proto."""
    for message in proxy.message_type:
        shipped = message_class(f"{PACKAGE}.{message.name}").DESCRIPTOR
        assert {f.number: f.name for f in shipped.fields} == {f.number: f.name for f in message.field}
    with pytest.raises(KeyError):
        message_class(f"{PACKAGE}.Nothing")
    assert pool() is pool()
