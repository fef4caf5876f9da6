"""The client protocol and the server API are wire-compatible with Centrifugo 6.9.1, and rendered field for field.

The tables are typed from Centrifugo's own definitions, independently of the proto files; `tables` says how to read one.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import descriptor_pb2

from rtbridge._codegen import __main__ as generator
from rtbridge._codegen import model, render_messages
from rtbridge.codec.descriptors import message_class
from tests.codegen.tables import Table, described, reserved, table_of

CLIENT = """\
Error: 1 code uint32, 2 message, 3 temporary bool
EmulationRequest: 1 node, 2 session, 3 data bytes
Command: 1 id uint32, 4 connect ConnectRequest, 5 subscribe SubscribeRequest, 6 unsubscribe UnsubscribeRequest, 7
  publish PublishRequest, 8 presence PresenceRequest, 9 presence_stats PresenceStatsRequest, 10 history
  HistoryRequest, 11 ping PingRequest, 12 send SendRequest, 13 rpc RPCRequest, 14 refresh RefreshRequest, 15
  sub_refresh SubRefreshRequest
Reply: 1 id uint32, 2 error Error, 4 push Push, 5 connect ConnectResult, 6 subscribe SubscribeResult, 7 unsubscribe
  UnsubscribeResult, 8 publish PublishResult, 9 presence PresenceResult, 10 presence_stats PresenceStatsResult, 11
  history HistoryResult, 12 ping PingResult, 13 rpc RPCResult, 14 refresh RefreshResult, 15 sub_refresh
  SubRefreshResult
Push: 1 id int64, 2 channel, 4 pub Publication, 5 join Join, 6 leave Leave, 7 unsubscribe Unsubscribe, 8 message
  Message, 9 subscribe Subscribe, 10 connect Connect, 11 disconnect Disconnect, 12 refresh Refresh
ClientInfo: 1 user, 2 client, 3 conn_info bytes, 4 chan_info bytes
Publication: 4 data bytes, 5 info ClientInfo, 6 offset uint64, 7 tags {string}, 8 delta bool, 9 time int64, 10
  channel, 11 key, 12 removed bool, 13 score sint64, 14 epoch, 15 prev_data bytes, 16 version uint64
Join: 1 info ClientInfo
Leave: 1 info ClientInfo
Unsubscribe: 2 code uint32, 3 reason
Subscribe: 1 recoverable bool, 4 epoch, 5 offset uint64, 6 positioned bool, 7 data bytes
Message: 1 data bytes
Connect: 1 client, 2 version, 3 data bytes, 4 subs {SubscribeResult}, 5 expires bool, 6 ttl uint32, 7 ping uint32, 8
  pong bool, 9 session, 10 node, 11 time int64
Disconnect: 1 code uint32, 2 reason, 3 reconnect bool
Refresh: 1 expires bool, 2 ttl uint32
ConnectRequest: 1 token, 2 data bytes, 3 subs {SubscribeRequest}, 4 name, 5 version, 6 headers {string}, 7 flag int64
ConnectResult: 1 client, 2 version, 3 expires bool, 4 ttl uint32, 5 data bytes, 6 subs {SubscribeResult}, 7 ping
  uint32, 8 pong bool, 9 session, 10 node, 11 time int64
RefreshRequest: 1 token
RefreshResult: 1 client, 2 version, 3 expires bool, 4 ttl uint32
SubscribeRequest: 1 channel, 2 token, 3 recover bool, 6 epoch, 7 offset uint64, 8 data bytes, 9 positioned bool, 10
  recoverable bool, 11 join_leave bool, 12 delta, 13 tf FilterNode, 14 flag int64, 15 type int32, 16 phase int32, 17
  cursor, 18 limit int32, 19 asc bool
SubscribeResult: 1 expires bool, 2 ttl uint32, 3 recoverable bool, 6 epoch, 7 publications [Publication], 8 recovered
  bool, 9 offset uint64, 10 positioned bool, 11 data bytes, 12 was_recovering bool, 13 delta bool, 14 id int64, 15
  type int32, 16 phase int32, 17 cursor, 18 state [Publication], 19 publish_debounce uint32
KeyedItem: 1 key, 2 version uint64
TrackBatch: 1 signature, 2 items [KeyedItem]
SubRefreshRequest: 1 channel, 2 token, 3 type int32, 4 track [TrackBatch], 5 untrack [string]
SubRefreshResult: 1 expires bool, 2 ttl uint32, 3 items [Publication]
UnsubscribeRequest: 1 channel
UnsubscribeResult:
PublishRequest: 1 channel, 2 data bytes, 3 type int32, 4 key, 5 removed bool
PublishResult:
PresenceRequest: 1 channel
PresenceResult: 1 presence {ClientInfo}
PresenceStatsRequest: 1 channel
PresenceStatsResult: 1 num_clients uint32, 2 num_users uint32
StreamPosition: 1 offset uint64, 2 epoch
HistoryRequest: 1 channel, 7 limit int32, 8 since StreamPosition, 9 reverse bool
HistoryResult: 1 publications [Publication], 2 epoch, 3 offset uint64
PingRequest:
PingResult:
RPCRequest: 1 data bytes, 2 method
RPCResult: 1 data bytes
SendRequest: 1 data bytes
FilterNode: 1 op, 2 key, 3 cmp, 4 val, 5 vals [string], 6 nodes [FilterNode]
"""

#: Besides `<Method>Response`, `Command` and `Reply`, which follow from the methods.
API = """\
Error: 1 code uint32, 2 message
BatchRequest: 1 commands [Command], 2 parallel bool
BatchResponse: 1 replies [Reply]
PublishRequest: 1 channel, 2 data bytes, 3 b64data, 4 skip_history bool, 5 tags {string}, 6 idempotency_key, 7 delta
  bool, 8 version uint64, 9 version_epoch
PublishResult: 1 offset uint64, 2 epoch
BroadcastRequest: 1 channels [string], 2 data bytes, 3 b64data, 4 skip_history bool, 5 tags {string}, 6
  idempotency_key, 7 delta bool, 8 version uint64, 9 version_epoch
BroadcastResult: 1 responses [PublishResponse]
FilterNode: 1 op, 2 key, 3 cmp, 4 val, 5 vals [string], 6 nodes [FilterNode]
SubscribeRequest: 1 channel, 2 user, 3 expire_at int64, 4 info bytes, 5 b64info, 6 client, 7 data bytes, 8 b64data, 9
  recover_since StreamPosition, 10 override SubscribeOptionOverride, 11 session, 12 label_filter FilterNode, 13
  all_users bool
BoolValue: 1 value bool
SubscribeOptionOverride: 1 presence BoolValue, 2 join_leave BoolValue, 3 force_recovery BoolValue, 4 force_positioning
  BoolValue, 5 force_push_join_leave BoolValue
SubscribeResult:
UnsubscribeRequest: 1 channel, 2 user, 3 client, 4 session, 5 label_filter FilterNode, 6 all_users bool
UnsubscribeResult:
Disconnect: 1 code uint32, 2 reason
DisconnectRequest: 1 user, 2 disconnect Disconnect, 3 client, 4 whitelist [string], 5 session, 6 label_filter
  FilterNode, 7 all_users bool
DisconnectResult:
PresenceRequest: 1 channel
ClientInfo: 1 user, 2 client, 3 conn_info bytes, 4 chan_info bytes
PresenceResult: 1 presence {ClientInfo}
PresenceStatsRequest: 1 channel
PresenceStatsResult: 1 num_clients uint32, 2 num_users uint32
StreamPosition: 1 offset uint64, 2 epoch
HistoryRequest: 1 channel, 2 limit int32, 3 since StreamPosition, 4 reverse bool
Publication: 2 data bytes, 3 info ClientInfo, 4 offset uint64, 5 tags {string}
HistoryResult: 1 publications [Publication], 2 epoch, 3 offset uint64
HistoryRemoveRequest: 1 channel
HistoryRemoveResult:
InfoRequest:
InfoResult: 1 nodes [NodeResult]
RPCRequest: 1 method, 2 params bytes
RPCResult: 1 data bytes
RefreshRequest: 1 user, 2 client, 3 expired bool, 4 expire_at int64, 5 info bytes, 6 session, 7 label_filter
  FilterNode, 8 all_users bool
RefreshResult:
NodeResult: 1 uid, 2 name, 3 version, 4 num_clients uint32, 5 num_users uint32, 6 num_channels uint32, 7 uptime
  uint32, 8 metrics Metrics, 9 process Process, 10 num_subs uint32
Metrics: 1 interval double, 2 items {double}
Process: 1 cpu double, 2 rss int64
ChannelsRequest: 1 pattern
ChannelsResult: 1 channels {ChannelInfo}
ChannelInfo: 1 num_clients uint32
MapPublishRequest: 1 channel, 2 key, 3 data bytes, 4 b64data, 5 stream_data bytes, 6 b64stream_data, 7 tags {string},
  8 idempotency_key, 9 delta bool, 10 version uint64, 11 version_epoch, 12 score int64, 13 key_mode
MapPublishResult: 1 offset uint64, 2 epoch, 3 suppressed bool, 4 suppress_reason
MapRemoveRequest: 1 channel, 2 key, 3 idempotency_key
MapRemoveResult: 1 offset uint64, 2 epoch, 3 suppressed bool, 4 suppress_reason
MapReadStateRequest: 1 channel, 2 cursor, 3 limit int32, 4 key, 5 asc bool, 6 revision_offset uint64, 7 revision_epoch
MapReadStateResult: 1 entries [MapEntry], 2 offset uint64, 3 epoch, 4 cursor
MapEntry: 1 key, 2 data bytes, 3 tags {string}, 4 offset uint64, 5 score int64, 6 removed bool, 7 time int64
MapReadStreamRequest: 1 channel, 2 since_offset uint64, 3 since_epoch, 4 limit int32, 5 reverse bool
MapReadStreamResult: 1 entries [MapEntry], 2 offset uint64, 3 epoch
MapStatsRequest: 1 channel
MapStatsResult: 1 num_keys int32
MapClearRequest: 1 channel
MapClearResult:
SharedPollPublishRequest: 1 channel, 2 key, 3 data bytes, 4 b64data, 5 version uint64, 6 epoch
SharedPollPublishResult:
"""

#: The methods, with their numbers in a batch.
METHODS = """\
Publish 4
Broadcast 5
Subscribe 6
Unsubscribe 7
Disconnect 8
Presence 9
PresenceStats 10
History 11
HistoryRemove 12
Info 13
RPC 14
Refresh 15
Channels 16
MapPublish 36
MapRemove 37
MapReadState 38
MapReadStream 39
MapStats 40
MapClear 41
SharedPollPublish 42
"""

CLIENT_RESERVED = {
    "Command": {2, 3},
    "Reply": {3},
    "Push": {3},
    "Publication": {1, 2, 3},
    "Unsubscribe": {1},
    "Subscribe": {2, 3},
    "SubscribeRequest": {4, 5},
    "SubscribeResult": {4, 5},
    "HistoryRequest": {2, 3, 4, 5, 6},
}

#: In a batch, the numbers of PRO's methods are kept free, too.
API_RESERVED = {
    "Command": {1, 2, 3, *range(17, 36)},
    "Reply": {1, 3, *range(17, 36)},
    "Disconnect": {3},
    "Publication": {1},
}

#: Type in the proto → type of a value in a Struct, None for payloads.
VALUES = {
    "string": str,
    "bool": bool,
    "double": float,
    "bytes": None,
    **dict.fromkeys(("int32", "int64", "sint64", "uint32", "uint64"), int),
}

PROTOS = [
    (generator.CLIENT, "centrifugal.centrifuge.protocol", "rtbridge.embedded._client_generated"),
    (generator.API, "centrifugal.centrifugo.api", "rtbridge.api._generated"),
]

Compiled = descriptor_pb2.FileDescriptorSet


def wanted(proto: str) -> Table:
    """The messages of a proto, by the tables."""
    if proto == generator.CLIENT:
        return table_of(CLIENT)
    names = dict(line.split() for line in METHODS.splitlines())
    found = table_of(API)
    found["Command"] = {int(number): (model.snake(name), f"{name}Request") for name, number in names.items()}
    found["Reply"] = {int(number): (model.snake(name), f"{name}Result") for name, number in names.items()}
    found["Reply"][2] = ("error", "Error")
    found |= {f"{name}Response": {1: ("error", "Error"), 2: ("result", f"{name}Result")} for name in names}
    return found


def file_of(compiled: Compiled, proto: str) -> descriptor_pb2.FileDescriptorProto:
    """The file as protoc read it."""
    (file,) = (f for f in compiled.file if f.name == proto)
    return file


@pytest.mark.parametrize(("proto", "package", "module"), PROTOS)
def test_messages(compiled: Compiled, proto: str, package: str, module: str) -> None:
    """Every message has the numbers, names and types that Centrifugo has, and no other."""
    file = file_of(compiled, proto)
    assert file.package == package
    assert file.syntax == "proto3"
    assert {m.name: described(m) for m in file.message_type} == wanted(proto)


def test_reserved_numbers(compiled: Compiled) -> None:
    """Numbers that Centrifugo has retired, or that its PRO version uses, stay unused."""
    assert reserved(file_of(compiled, generator.CLIENT)) == CLIENT_RESERVED
    assert reserved(file_of(compiled, generator.API)) == API_RESERVED


def test_methods_of_the_server_api(compiled: Compiled) -> None:
    """Every method of the open-source server has its request and its response, and stands in the table of methods."""
    from rtbridge.api import _generated as api

    (service,) = file_of(compiled, generator.API).service
    names = ["Batch", *(line.split()[0] for line in METHODS.splitlines())]
    assert service.name == "CentrifugoApi"
    package = ".centrifugal.centrifugo.api"
    assert sorted((m.name, m.input_type, m.output_type) for m in service.method) == sorted(
        (name, f"{package}.{name}Request", f"{package}.{name}Response") for name in names
    )
    found = {kind: (request.__name__, result.__name__) for kind, (request, result) in api.METHODS.items()}
    results = {model.snake(name): (f"{name}Request", f"{name}Result") for name in names}
    assert found == {**results, "batch": ("BatchRequest", "BatchResponse")}
    assert {"presence_stats", "rpc", "shared_poll_publish"} <= set(found)


@pytest.mark.parametrize(("proto", "package", "module"), PROTOS)
def test_everything_is_documented(compiled: Compiled, proto: str, package: str, module: str) -> None:
    """Each message, field and method has a comment, which is its docstring."""
    source = model.read_messages(compiled, proto)
    silent = [m.name for m in source.messages.values() if not m.doc]
    silent += [f"{m.name}.{f.name}" for m in source.messages.values() for f in m.fields if not f.doc]
    assert [*silent, *(call.kind for call in source.calls if not call.doc)] == []


@pytest.mark.parametrize(("proto", "package", "module"), PROTOS)
def test_the_shipped_descriptors_hold_the_same(compiled: Compiled, proto: str, package: str, module: str) -> None:
    """The classes that the codec uses have the fields of the proto."""
    for message in file_of(compiled, proto).message_type:
        shipped = message_class(f"{package}.{message.name}").DESCRIPTOR
        assert {f.number: f.name for f in shipped.fields} == {f.number: f.name for f in message.field}


#: Fields that Centrifugo writes even when they are zero, as its recordings show.
SHOWN = {
    *(("ClientInfo", name) for name in ("user", "client")),
    *(("HistoryResult", name) for name in ("publications", "epoch", "offset")),
    *(("PresenceStatsResult", name) for name in ("num_clients", "num_users")),
    *(("NodeResult", name) for name in ("num_clients", "num_users", "num_channels", "num_subs")),
    ("PresenceResult", "presence"),
    ("ChannelsResult", "channels"),
    ("ChannelInfo", "num_clients"),
}


@pytest.mark.parametrize(("proto", "package", "module"), PROTOS)
def test_structs(proto: str, package: str, module: str) -> None:
    """Each message has a Struct with the proto's names in the proto's order, whose defaults are protobuf's zeros."""
    generated: Any = importlib.import_module(module)
    for name, fields in wanted(proto).items():
        kind = getattr(generated, name)
        assert kind.__struct_fields__ == kind.__struct_encode_fields__ == tuple(n for n, _ in in_order(fields)), name
        shown = {field for owner, field in SHOWN if owner == name}
        assert msgspec.json.decode(msgspec.json.encode(kind())).keys() == shown & set(kind.__struct_fields__)
        for field, of in in_order(fields):
            assert_zero(getattr(kind(), field), of)


def in_order(fields: dict[int, tuple[str, str]]) -> list[tuple[str, str]]:
    """Names and types by number, which is the order of the protos."""
    return [fields[number] for number in sorted(fields)]


def assert_zero(value: object, of: str) -> None:
    """The zero value of a type: empty containers, 0, "", False, UNSET for payloads and None for messages."""
    if of.startswith(("[", "{")):
        assert value == ([] if of.startswith("[") else {})
    elif of in VALUES:
        scalar = VALUES[of]
        assert value is msgspec.UNSET if scalar is None else (type(value) is scalar and not value)
    else:
        assert value is None


@pytest.fixture
def read_text(tmp_path: Path) -> Callable[..., model.Messages]:
    """Reads a proto given as text, in which each field stands for itself."""

    def read(body: str) -> model.Messages:
        for name in generator.PROTOS:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('syntax = "proto3";')
        (tmp_path / "grpc/health.proto").write_text('syntax = "proto3";\npackage other;\nmessage Far {}\n')
        text = f'syntax = "proto3";\npackage p;\nimport "grpc/health.proto";\n{body}\n'
        (tmp_path / generator.API).write_text(text)
        return model.read_messages(generator.compile_protos(tmp_path), generator.API)

    return read


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("service S { rpc Odd(stream A) returns (A); }\nmessage A {}", "a stream"),
        ("service S { rpc Odd(A) returns (stream A); }\nmessage A {}", "a stream"),
        ("service S { rpc Odd(other.Far) returns (A); }\nmessage A {}", "a message of another file"),
        ("message A { fixed32 number = 1; }", "the type TYPE_FIXED32"),
        ("message A { repeated bytes parts = 1; }", "repeated bytes"),
    ],
)
def test_what_has_no_rule_is_refused(read_text: Callable[..., model.Messages], body: str, what: str) -> None:
    """With file and line, so that it cannot pass unnoticed."""
    with pytest.raises(model.UnknownConstruct) as caught:
        read_text(body)
    assert str(caught.value) == f"{generator.API}:4: {what} has no rendering rule"


def test_nothing_is_folded(read_text: Callable[..., model.Messages]) -> None:
    """A base64 twin is a field, a wrapper is a message, and a result that is no message leaves the response."""
    source = read_text(
        "service S { rpc DoIt(A) returns (R); }\nmessage A { bytes data = 1; string b64data = 2; V on = 3; }\n"
        "message V { bool value = 1; }\nmessage R { string result = 1; }"
    )
    assert [f.name for f in source.messages["A"].fields] == ["data", "b64data", "on"]
    assert not any(f.twin or f.wrapper for f in source.messages["A"].fields)
    assert source.calls == (model.Call("do_it", "DoIt", "", "A", "R", "R"),)


def test_messages_come_after_those_that_they_mention(compiled: Compiled) -> None:
    """Also where two mention one another; what no root leads to is left out."""
    source = model.read_messages(compiled, generator.CLIENT)
    order = [m.name for m in source.reachable("Command")]
    assert order[-1] == "Command"
    assert order.index("FilterNode") < order.index("SubscribeRequest") < order.index("ConnectRequest")
    assert "Reply" not in order
    text = render_messages.render_protocol(source, "What.", read=("StreamPosition",), written=("Join",))
    assert "def read_stream_position(data: bytes) -> StreamPosition:" in text
    assert "def write_join(message: Join) -> bytes:" in text
    assert "class Leave" not in text
