"""What only gRPC has: compression, health, reflection, connection age."""

import asyncio
import contextlib
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from rtbridge import RPCEvent, RPCResult, hookimpl
from rtbridge.codec.descriptors import message_class

SERVICE = "centrifugal.centrifugo.proxy.CentrifugoProxy"
HEALTH = "grpc.health.v1.Health"


class Plugin:
    @hookimpl
    async def on_rpc(self, event: RPCEvent) -> RPCResult:
        return RPCResult(data=event.data)


async def test_gzip(grpc_peer: Any) -> None:
    """Compressed requests are read."""
    await grpc_peer.start(Plugin())
    request = message_class("centrifugal.centrifugo.proxy.RPCRequest")(data=b'"' + b"x" * 100_000 + b'"')
    call: Any = grpc_peer.channel.unary_unary(f"/{SERVICE}/RPC")
    answer = await call(request.SerializeToString(), compression=grpc.Compression.Gzip, timeout=10)
    response = message_class("centrifugal.centrifugo.proxy.RPCResponse").FromString(answer)
    assert response.result.data == request.data


def status_of(answer: bytes) -> int:
    return int(message_class("grpc.health.v1.HealthCheckResponse").FromString(answer).status)


def about(service: str) -> bytes:
    return bytes(message_class("grpc.health.v1.HealthCheckRequest")(service=service).SerializeToString())


@pytest.mark.parametrize("service", ["", SERVICE, HEALTH])
async def test_health_check(grpc_peer: Any, service: str) -> None:
    """The server and its services are SERVING."""
    await grpc_peer.start()
    check: Any = grpc_peer.channel.unary_unary(f"/{HEALTH}/Check")
    assert status_of(await check(about(service), timeout=10)) == 1


@pytest.mark.parametrize("request_", [about("no.such.Service"), b"\xff"], ids=["unknown", "undecodable"])
async def test_health_of_what_there_is_not(grpc_peer: Any, request_: bytes) -> None:
    """An unknown service is NOT_FOUND."""
    await grpc_peer.start()
    check: Any = grpc_peer.channel.unary_unary(f"/{HEALTH}/Check")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await check(request_, timeout=10)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_watch(grpc_peer: Any) -> None:
    """A watcher is told at once, and again when the server stops."""
    await grpc_peer.start()
    watch: Any = grpc_peer.channel.unary_stream(f"/{HEALTH}/Watch")
    call, unknown, broken = watch(about(SERVICE)), watch(about("no.such")), watch(b"\xff")
    assert status_of(await asyncio.wait_for(call.read(), 10)) == 1
    assert status_of(await asyncio.wait_for(unknown.read(), 10)) == 3
    assert await asyncio.wait_for(broken.read(), 10) is grpc.aio.EOF
    stopping = asyncio.create_task(grpc_peer.transport.stop(10))
    assert status_of(await asyncio.wait_for(call.read(), 10)) == 2
    assert await asyncio.wait_for(call.read(), 10) is grpc.aio.EOF
    await asyncio.wait_for(stopping, 10)


async def test_a_watcher_leaves(grpc_peer: Any) -> None:
    """A watcher that goes away is forgotten."""
    await grpc_peer.start()
    call: Any = grpc_peer.channel.unary_stream(f"/{HEALTH}/Watch")(about(""))
    await asyncio.wait_for(call.read(), 10)
    watchers = grpc_peer.transport._services._watchers
    assert len(watchers) == 1
    call.cancel()
    async with asyncio.timeout(10):
        while watchers:
            await asyncio.sleep(0.001)


async def ask(peer: Any, version: str, *requests: dict[str, str]) -> list[Any]:
    """The answers of the reflection service, parsed."""
    request_type = message_class("grpc.reflection.v1.ServerReflectionRequest")
    call: Any = peer.channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")()
    answers = []
    for fields in requests:
        await call.write(request_type(host="h", **fields).SerializeToString())
        raw = await asyncio.wait_for(call.read(), 10)
        answers.append(message_class("grpc.reflection.v1.ServerReflectionResponse").FromString(raw))
    await call.done_writing()
    assert await asyncio.wait_for(call.read(), 10) is grpc.aio.EOF
    return answers


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection(grpc_peer: Any, version: str) -> None:
    """Services are listed, and described by symbol and by file, so that a client can build them without our proto."""
    await grpc_peer.start(grpc_reflection=True)
    listed, by_symbol, by_method, by_name = await ask(
        grpc_peer,
        version,
        {"list_services": ""},
        {"file_containing_symbol": SERVICE},
        {"file_containing_symbol": f"{SERVICE}.RPC"},
        {"file_by_filename": "centrifugo/proxy.proto"},
    )
    names = {service.name for service in listed.list_services_response.service}
    assert names == {SERVICE, HEALTH, "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"}
    assert listed.valid_host == "h"
    assert listed.original_request.list_services == ""
    (raw,) = by_symbol.file_descriptor_response.file_descriptor_proto
    assert [raw] == list(by_method.file_descriptor_response.file_descriptor_proto)
    assert [raw] == list(by_name.file_descriptor_response.file_descriptor_proto)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto.FromString(raw))
    assert pool.FindServiceByName(SERVICE).methods_by_name["RPC"].input_type.name == "RPCRequest"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_describes_itself(grpc_peer: Any, version: str) -> None:
    """Every listed service has a file that can be loaded."""
    await grpc_peer.start(grpc_reflection=True)
    services = [HEALTH, f"grpc.reflection.{version}.ServerReflection"]
    for service, answer in zip(
        services, await ask(grpc_peer, "v1", *({"file_containing_symbol": name} for name in services)), strict=True
    ):
        (raw,) = answer.file_descriptor_response.file_descriptor_proto
        pool = descriptor_pool.DescriptorPool()
        pool.Add(descriptor_pb2.FileDescriptorProto.FromString(raw))
        assert pool.FindServiceByName(service).methods


async def test_reflection_of_what_there_is_not(grpc_peer: Any) -> None:
    """Unknown names are NOT_FOUND in the answer, and extensions, which proto3 has not, are UNIMPLEMENTED."""
    await grpc_peer.start(grpc_reflection=True)
    symbol, file, extension, nothing = await ask(
        grpc_peer,
        "v1",
        {"file_containing_symbol": "no.such"},
        {"file_by_filename": "no.proto"},
        {"all_extension_numbers_of_type": "no.such"},
        {},
    )
    assert symbol.error_response.error_code == file.error_response.error_code == 5
    assert extension.error_response.error_code == nothing.error_response.error_code == 12
    call: Any = grpc_peer.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")()
    await call.write(b"\xff")
    assert await asyncio.wait_for(call.read(), 10) is grpc.aio.EOF


async def test_reflection_is_off_by_default(grpc_peer: Any) -> None:
    """Without `rtbridge.grpc_reflection` nothing is described, not even by name."""
    await grpc_peer.start()
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    assert (await grpc_peer.raw(path, b""))[0] == "unimplemented"


async def test_without_keepalive(grpc_peer: Any) -> None:
    """`keepalive_time: 0s` pings nobody, and calls are answered."""
    await grpc_peer.start(Plugin(), keepalive_time="0s")
    assert await grpc_peer.call("rpc", {"data": 1}) == {"result": {"data": 1}}


async def test_max_connection_age(grpc_peer: Any) -> None:
    """A connection past its age is told to reconnect, and no call of a client that does so fails."""
    grpc_peer.options = (("grpc.initial_reconnect_backoff_ms", 50),)

    class Connections:
        @hookimpl
        async def on_rpc(self, event: RPCEvent) -> RPCResult:
            return RPCResult(data=1)

    await grpc_peer.start(Connections(), max_connection_age="100ms")
    states: list[grpc.ChannelConnectivity] = []

    async def watch() -> None:
        state = grpc_peer.channel.get_state(try_to_connect=True)
        while states.count(grpc.ChannelConnectivity.IDLE) < 3:
            await grpc_peer.channel.wait_for_state_change(state)
            state = grpc_peer.channel.get_state(try_to_connect=True)
            states.append(state)

    watching = asyncio.create_task(watch())
    async with asyncio.timeout(20):
        while not watching.done():
            assert await grpc_peer.call("rpc") == {"result": {"data": 1}}
    await watching


async def test_connections(grpc_peer: Any) -> None:
    """With as many connections open as may be, one more is closed; calls on the others are answered."""
    await grpc_peer.start(Plugin(), limits={"connections": 1})
    assert await grpc_peer.call("rpc", {"data": 1}) == {"result": {"data": 1}}
    host, _, port = grpc_peer.transport.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with contextlib.suppress(ConnectionError):  # a reset says the same
        assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    assert await grpc_peer.call("rpc", {"data": 2}) == {"result": {"data": 2}}
