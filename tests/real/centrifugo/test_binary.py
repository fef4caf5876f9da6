"""Payloads that are no JSON: what carries them, with and without ``binary_encoding``."""

from typing import Any, Final

import centrifuge
import pytest

from rtbridge import ConnectResult, PublishResult, RPCResult, SubscribeResult

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

BYTES: Final = bytes(range(256))


def answers(hooks: Any) -> Any:
    """A plugin that gives back the bytes it gets, in another order."""
    return hooks(
        connect=lambda event: ConnectResult(user="42", data=event.raw_data[::-1]),
        subscribe=lambda event: SubscribeResult(data=event.raw_data[::-1]),
        publish=lambda event: PublishResult(data=event.raw_data[::-1]),
        rpc=lambda event: RPCResult(data=event.raw_data[::-1]),
    )


async def converse(running: Any) -> None:
    """Every payload of a Protobuf client there and back."""
    client, told = running.sdk(use_protobuf=True, data=BYTES)
    await client.connect()
    assert (await told.of("connected")).data == BYTES[::-1]
    subscription = client.new_subscription("room", events=told, data=BYTES)
    await subscription.subscribe()
    assert (await told.of("subscribed")).data == BYTES[::-1]
    await subscription.publish(BYTES)
    assert (await told.of("publication")).pub.data == BYTES[::-1]
    assert (await client.rpc("m", BYTES)).data == BYTES[::-1]


async def test_binary_encoding(wire: str, stand: Any, hooks: Any) -> None:
    """With binary_encoding bytes travel both ways on both wires."""
    plugin = answers(hooks)
    await converse(await stand(wire, plugin, proxies={"binary_encoding": True}))
    for kind in ("connect", "subscribe", "publish", "rpc"):
        event = await plugin.heard(kind)
        assert (event.encoding, event.protocol, event.raw_data) == ("binary", "protobuf", BYTES)


async def test_without_binary_encoding_grpc_carries_bytes(stand: Any, hooks: Any) -> None:
    """Without it gRPC carries them all the same."""
    plugin = answers(hooks)
    await converse(await stand("grpc", plugin))
    assert (await plugin.heard("rpc")).encoding == "json"


async def test_without_binary_encoding_http_carries_json_only(stand: Any, hooks: Any) -> None:
    """Without it Centrifugo cannot write such a request over HTTP: the client gets error 100, the hook hears nothing;
    a hook's answer of bytes travels in base64 and arrives."""
    plugin = hooks(rpc=RPCResult(data=BYTES))
    client, told = (await stand("http", plugin)).sdk(use_protobuf=True)
    await client.connect()
    await told.of("connected")
    with pytest.raises(centrifuge.ReplyError) as failed:
        await client.rpc("m", BYTES)
    assert (failed.value.code, failed.value.temporary) == (100, True)
    assert plugin.seen["rpc"].empty()
    assert (await client.rpc("m", b"{}")).data == BYTES


async def test_json_client_with_binary_encoding(wire: str, stand: Any, hooks: Any) -> None:
    """The mode is the proxy's: JSON of a JSON client arrives as bytes; event.data refuses, event.parse reads them."""

    def answer(event: Any) -> RPCResult:
        with pytest.raises(TypeError, match="raw_data"):
            _ = event.data
        return RPCResult(data=event.parse(dict[str, int]))

    plugin = hooks(rpc=answer)
    client = await (await stand(wire, plugin, proxies={"binary_encoding": True})).client()
    assert await client.send(rpc={"method": "m", "data": {"a": 1}}) == {"rpc": {"data": {"a": 1}}}
    event = await plugin.heard("rpc")
    assert (event.encoding, event.protocol, event.raw_data) == ("binary", "json", b'{"a": 1}')


async def test_json_client_gets_bytes(wire: str, stand: Any, hooks: Any) -> None:
    """Bytes that are JSON reach a JSON client as they are; others close it, which no backend can know before."""
    plugin = hooks(rpc=lambda event: RPCResult(data=b' {"a": 1}' if event.method == "json" else BYTES))
    client = await (await stand(wire, plugin)).client()
    assert await client.send(rpc={"method": "json"}) == {"rpc": {"data": {"a": 1}}}
    assert await client.send(rpc={"method": "binary"}) == (3506, "inappropriate protocol")
