"""The official Python SDK, in JSON and in Protobuf, through Centrifugo to hooks: what its user is told."""

import json
from datetime import timedelta
from typing import Any

import centrifuge
import pytest

from rtbridge import (
    ClientError,
    ConnectResult,
    Disconnect,
    Publication,
    PublishResult,
    RPCResult,
    SubscribeOptions,
    SubscribeResult,
    SubscribeUnidirectionalEvent,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]


@pytest.fixture(params=["json", "protobuf"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Each protocol of the SDK."""
    protocol: str = request.param
    return protocol


def packed(protocol: str, value: Any) -> Any:
    """A JSON value as the SDK wants payloads."""
    return json.dumps(value).encode() if protocol == "protobuf" else value


def unpacked(protocol: str, payload: Any) -> Any:
    """A payload of the SDK as a JSON value."""
    return json.loads(payload) if protocol == "protobuf" else payload


def failing_once(kind: str, result: Any) -> Any:
    """A hook that fails when it is first called."""
    fails = [True]

    def answer(event: Any) -> Any:
        if fails:
            fails.clear()
            raise ZeroDivisionError(f"a bug of on_{kind}")
        return result

    return answer


async def test_a_conversation(protocol: str, wire: str, stand: Any, hooks: Any) -> None:
    """Connect with data, server-side subscription, subscribe, publish, receive, rpc, error reply."""

    def rpc(event: Any) -> RPCResult:
        if event.method == "refused":
            raise ClientError(1000, "custom")
        return RPCResult(data={"sum": event.data["a"] + event.data["b"]})

    plugin = hooks(
        connect=ConnectResult(
            user="42",
            info={"name": "Ann"},
            data={"hello": 1},
            subs={"pushed:b": SubscribeOptions(data={"topic": "b"})},
        ),
        subscribe=SubscribeResult(data={"topic": "t"}),
        publish=lambda event: PublishResult(data={"clean": event.data}, tags={"a": "1"}),
        rpc=rpc,
    )
    running = await stand(wire, plugin)
    client, told = running.sdk(use_protobuf=protocol == "protobuf", data=packed(protocol, {"authToken": "t"}))
    await client.connect()
    connected = await told.of("connected")
    assert unpacked(protocol, connected.data) == {"hello": 1}
    event = await plugin.heard("connect")
    assert (event.protocol, event.name, event.data) == (protocol, "python", {"authToken": "t"})
    assert event.client == connected.client
    server_side = await told.of("subscribed")
    assert (server_side.channel, unpacked(protocol, server_side.data)) == ("pushed:b", {"topic": "b"})

    subscription = client.new_subscription("room", events=told, data=packed(protocol, {"since": 5}))
    await subscription.subscribe()
    assert unpacked(protocol, (await told.of("subscribed")).data) == {"topic": "t"}
    assert (await plugin.heard("subscribe")).data == {"since": 5}
    await subscription.publish(packed(protocol, {"text": "hé"}))
    pub = (await told.of("publication")).pub
    assert (unpacked(protocol, pub.data), pub.tags) == ({"clean": {"text": "hé"}}, {"a": "1"})
    assert (pub.info.user, unpacked(protocol, pub.info.conn_info)) == ("42", {"name": "Ann"})

    result = await client.rpc("sum", packed(protocol, {"a": 1, "b": 2}))
    assert unpacked(protocol, result.data) == {"sum": 3}
    with pytest.raises(centrifuge.ReplyError) as refused:
        await client.rpc("refused", packed(protocol, {}))
    assert (refused.value.code, refused.value.message, refused.value.temporary) == (1000, "custom", False)


async def test_disconnects(protocol: str, wire: str, stand: Any, hooks: Any) -> None:
    """Code 4000 has the SDK connect again, code 4501 stops it."""

    def rpc(event: Any) -> RPCResult:
        raise Disconnect(event.data, "because")

    plugin = hooks(rpc=rpc)
    client, told = (await stand(wire, plugin)).sdk(use_protobuf=protocol == "protobuf")
    await client.connect()
    await told.of("connected")
    with pytest.raises(centrifuge.CentrifugeError):
        await client.rpc("m", packed(protocol, 4000))
    again = await told.of("connecting")
    assert (again.code, again.reason) == (4000, "because")
    await told.of("connected")
    with pytest.raises(centrifuge.CentrifugeError):
        await client.rpc("m", packed(protocol, 4501))
    ended = await told.of("disconnected")
    assert (ended.code, ended.reason) == (4501, "because")
    assert plugin.seen["connect"].qsize() == 2


async def test_an_expired_session_connects_again(stand: Any, hooks: Any) -> None:
    """The end of a session (3005) is no end for the SDK: it asks the connect hook again."""
    answers = [ConnectResult(user="42", expire_at=timedelta(seconds=1)), ConnectResult(user="43")]
    plugin = hooks(connect=lambda event: answers.pop(0))
    client, told = (await stand("grpc", plugin)).sdk()
    await client.connect()
    await told.of("connected")
    assert (await told.of("connecting")).code == 3005
    await told.of("connected")
    assert answers == []


async def test_a_bug_in_connect_does_not_lock_out(wire: str, stand: Any, hooks: Any) -> None:
    """The SDK tries again after the temporary error, until the hook works."""
    plugin = hooks(connect=failing_once("connect", ConnectResult(user="42")))
    client, told = (await stand(wire, plugin)).sdk()
    await client.connect()
    error = (await told.of("error")).error
    assert (error.code, error.temporary) == (100, True)
    await told.of("connected")
    assert plugin.seen["connect"].qsize() == 2


async def test_a_bug_in_subscribe_does_not_lock_out(wire: str, stand: Any, hooks: Any) -> None:
    """The SDK subscribes again after the temporary error, until the hook works."""
    plugin = hooks(subscribe=failing_once("subscribe", SubscribeResult()))
    client, told = (await stand(wire, plugin)).sdk()
    await client.connect()
    await client.new_subscription("room", events=told).subscribe()
    error = (await told.of("error")).error
    assert (error.code, error.temporary) == (100, True)
    await told.of("subscribed")


async def test_a_bug_in_a_stream_does_not_lock_out(stand: Any, hooks: Any) -> None:
    """The SDK subscribes again after a stream that has failed, and is done with one that has ended."""
    started = 0

    async def feed(event: SubscribeUnidirectionalEvent) -> Any:
        nonlocal started
        started += 1
        yield SubscribeResult()
        if started == 1:
            raise ZeroDivisionError("a bug")
        yield Publication(data={"n": 1})

    client, told = (await stand("grpc", hooks(subscribe_unidirectional=feed))).sdk()
    await client.connect()
    await client.new_subscription("out:1", events=told, min_resubscribe_delay=0.05).subscribe()
    assert (await told.of("subscribing")).code == 0
    assert (await told.of("subscribing")).code == 2500
    await told.of("publication")
    assert (await told.of("unsubscribed")).code == 2000


async def test_refusals(wire: str, stand: Any, hooks: Any) -> None:
    """An error that is not temporary ends the subscription, or the connection where it answers the connect."""

    def refuse(event: Any) -> None:
        raise ClientError("PERMISSION_DENIED")

    running = await stand(wire, hooks(subscribe=refuse))
    client, told = running.sdk()
    await client.connect()
    await client.new_subscription("room", events=told).subscribe()
    ended = await told.of("unsubscribed")
    assert (ended.code, ended.reason) == (103, "permission denied")
    assert client.state == centrifuge.ClientState.CONNECTED

    other, heard = (await stand(wire, hooks(connect=refuse))).sdk()
    await other.connect()
    closed = await heard.of("disconnected")
    assert (closed.code, closed.reason) == (103, "permission denied")
