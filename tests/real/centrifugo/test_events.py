"""Every event as a hook sees it, and the answer as the client sees it, frame by frame."""

import uuid
from typing import Any, Final

import msgspec
import pytest

from rtbridge import (
    JSON_NULL,
    ConnectResult,
    MapPublishResult,
    MapRemoveResult,
    PublishEvent,
    PublishResult,
    Router,
    RPCResult,
    SubscribeOptions,
    SubscribeResult,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

CONNECTED: Final = {"ping": 25, "pong": True}


class Role(msgspec.Struct):
    """What the backend remembers of a connection."""

    role: str


class Message(msgspec.Struct):
    """A payload of clients."""

    text: str


async def test_connect(wire: str, grpc_server: str, stand: Any, hooks: Any) -> None:
    """The hook sees who connects and how; the client gets data and both kinds of server-side subscriptions."""
    plugin = hooks(
        connect=ConnectResult(
            user="42",
            info={"name": "Ann"},
            data={"hello": 1},
            channels=["pushed:a"],
            subs={"pushed:b": SubscribeOptions(info={"seat": 1}, data={"topic": "b"})},
            meta={"role": "admin"},
        )
    )
    running = await stand(wire, plugin)
    client = await running.frames()
    reply = await client.send(connect={"data": {"authToken": "t"}, "name": "js", "version": "5.8", "subs": {"x": {}}})
    event = await plugin.heard("connect")
    assert (event.transport, event.protocol, event.encoding) == ("websocket", "json", "json")
    assert (event.name, event.version, event.channels) == ("js", "5.8", ("x",))
    # Centrifugo compacts JSON for its HTTP proxies; over gRPC the bytes are those of the client.
    raw = b'{"authToken": "t"}' if wire == "grpc" else b'{"authToken":"t"}'
    assert (event.raw_data, event.data) == (raw, {"authToken": "t"})
    assert event.via == (grpc_server if wire == "grpc" else "http")
    assert event.client == reply["connect"].pop("client")
    assert uuid.UUID(event.client)
    assert reply["connect"].pop("version")
    subs = {"pushed:a": {}, "pushed:b": {"data": {"topic": "b"}}}
    assert reply == {"connect": {**CONNECTED, "data": {"hello": 1}, "subs": subs}}
    present = await client.send(presence={"channel": "pushed:b"})
    info = {"user": "42", "client": event.client, "conn_info": {"name": "Ann"}, "chan_info": {"seat": 1}}
    assert present == {"presence": {"presence": {event.client: info}}}


async def test_connect_with_nothing(wire: str, stand: Any, hooks: Any) -> None:
    """What a client leaves out is absent, and so is what the hook leaves out; user "" is an anonymous user."""
    plugin = hooks(connect=ConnectResult(user=""))
    running = await stand(wire, plugin)
    client = await running.client()
    event = await plugin.heard("connect")
    assert (event.raw_data, event.data, event.name, event.version, event.channels) == (None, None, "", "", ())
    assert client.seen[0]["connect"].keys() == {"client", "version", "ping", "pong"}


async def test_json_null_is_not_absent(wire: str, stand: Any, hooks: Any) -> None:
    """JSON_NULL reaches the client as null where None leaves the key out."""
    plugin = hooks(connect=ConnectResult(user="42", data=JSON_NULL), rpc=RPCResult(data=JSON_NULL))
    client = await (await stand(wire, plugin)).client()
    assert client.seen[0]["connect"]["data"] is None
    assert await client.send(rpc={"method": "m"}) == {"rpc": {"data": None}}
    plugin.answers["rpc"] = RPCResult()
    assert await client.send(rpc={"method": "m"}) == {"rpc": {}}


async def test_subscribe_and_publish(wire: str, stand: Any, hooks: Any) -> None:
    """Channel, data and meta arrive; what the hook puts in place of the client's data goes to subscribers, with tags
    and with the information about the publisher."""
    plugin = hooks(
        connect=ConnectResult(user="42", info={"name": "Ann"}, meta={"role": "admin"}),
        subscribe=SubscribeResult(info={"seat": 1}, data={"topic": "t"}),
        publish=PublishResult(data={"clean": True}, tags={"lang": "en"}),
    )
    client = await (await stand(wire, plugin)).client()
    connected = await plugin.heard("connect")
    reply = await client.send(subscribe={"channel": "room", "data": {"since": 5}})
    assert reply["subscribe"]["data"] == {"topic": "t"}
    subscribe = await plugin.heard("subscribe")
    assert (subscribe.channel, subscribe.data, subscribe.user, subscribe.token) == ("room", {"since": 5}, "42", "")
    assert subscribe.client == connected.client
    assert (subscribe.raw_meta, subscribe.meta_as(Role)) == (b'{"role":"admin"}', Role("admin"))

    assert await client.send(publish={"channel": "room", "data": {"text": "hé"}}) == {"publish": {}}
    publish = await plugin.heard("publish")
    assert (publish.channel, publish.data, publish.user) == ("room", {"text": "hé"}, "42")
    assert publish.meta_as(Role) == Role("admin")
    push = await client.push()
    assert push["channel"] == "room"
    info = {"user": "42", "client": connected.client, "conn_info": {"name": "Ann"}, "chan_info": {"seat": 1}}
    assert {key: push["pub"][key] for key in ("data", "tags", "info")} == {
        "data": {"clean": True},
        "tags": {"lang": "en"},
        "info": info,
    }


async def test_publish_options(wire: str, stand: Any, hooks: Any) -> None:
    """Without data the client's own goes out; what skips history, repeats a key or is no newer version stays out."""

    def answer(event: PublishEvent) -> PublishResult:
        return {
            "plain": PublishResult(),
            "skipped": PublishResult(skip_history=True),
            "once": PublishResult(idempotency_key="k"),
            "versioned": PublishResult(version=7, version_epoch="e"),
        }[event.data["how"]]

    client = await (await stand(wire, hooks(subscribe=SubscribeResult(), publish=answer))).client()
    await client.send(subscribe={"channel": "room"})
    for how in ("plain", "skipped", "once", "once", "versioned", "versioned", "plain"):
        assert await client.send(publish={"channel": "room", "data": {"how": how}}) == {"publish": {}}
    pushed = [(await client.push())["pub"]["data"]["how"] for _ in range(5)]
    assert pushed == ["plain", "skipped", "once", "versioned", "plain"]
    assert client.pushes.empty()
    history = await client.send(history={"channel": "room", "limit": 10})
    kept = [each["data"]["how"] for each in history["history"]["publications"]]
    assert kept == ["plain", "once", "versioned", "plain"]


async def test_rpc(wire: str, stand: Any, hooks: Any) -> None:
    """Method, data and meta arrive; the answer is any JSON value."""
    plugin = hooks(
        connect=ConnectResult(user="42", meta={"role": "admin"}),
        rpc=lambda event: RPCResult(data=[event.data, 1.5, "é", None, {}]),
    )
    client = await (await stand(wire, plugin)).client()
    assert await client.send(rpc={"method": "sum", "data": {"a": 1}}) == {
        "rpc": {"data": [{"a": 1}, 1.5, "é", None, {}]}
    }
    event = await plugin.heard("rpc")
    assert (event.method, event.user, event.data, event.meta_as(Role)) == ("sum", "42", {"a": 1}, Role("admin"))
    await client.send(rpc={"method": "sum"})
    assert (await plugin.heard("rpc")).raw_data is None


async def test_meta_is_absent_where_it_is_not_asked_for(wire: str, stand: Any, hooks: Any) -> None:
    """Without include_connection_meta the hook learns which switch is off, and the client gets a temporary error."""
    complaints: list[str] = []

    def answer(event: Any) -> RPCResult:
        try:
            return RPCResult(data=event.meta_as(Role).role)
        except Exception as exc:
            complaints.append(str(exc))
            raise

    plugin = hooks(connect=ConnectResult(user="42", meta={"role": "admin"}), rpc=answer)
    client = await (await stand(wire, plugin, proxies={"include_connection_meta": False})).client()
    reply = await client.send(rpc={"method": "sum"})
    assert reply == {"error": {"code": 100, "message": "internal server error", "temporary": True}}
    assert ["include_connection_meta" in each for each in complaints] == [True]


async def test_payload_that_does_not_fit(wire: str, stand: Any, hooks: Any) -> None:
    """A typed listener gets the model; what does not fit is error 107 to the client, and the listener does not run."""
    router, heard = Router(), []

    @router.on_publish("chat.{room}")
    async def clean(event: PublishEvent, room: str, data: Message) -> PublishResult:
        heard.append((room, data))
        return PublishResult(data=Message(data.text.strip()))

    plugin = hooks(subscribe=SubscribeResult())
    plugin.router = router
    client = await (await stand(wire, plugin)).client()
    await client.send(subscribe={"channel": "chat.1"})
    assert await client.send(publish={"channel": "chat.1", "data": {"text": " hi "}}) == {"publish": {}}
    assert (await client.push())["pub"]["data"] == {"text": "hi"}
    for data, what in (
        ({"text": 5}, "Expected `str`, got `int` - at `$.text`"),
        ([], "Expected `object`, got `array`"),
    ):
        reply = await client.send(publish={"channel": "chat.1", "data": data})
        assert reply == {"error": {"code": 107, "message": f"data does not fit: {what}"}}
    assert heard == [("1", Message(" hi "))]
    assert await client.alive()


async def test_map_publish_and_remove(wire: str, stand: Any, hooks: Any) -> None:
    """Both arrive and are done, under the key and with the data of the hook; Centrifugo 6.9.1 answers error 107 to
    the client all the same, because its handler hands no key to its library."""
    plugin = hooks(
        connect=ConnectResult(user="42", meta={"role": "admin"}),
        subscribe=SubscribeResult(),
        map_publish=MapPublishResult(key="k2", data={"clean": True}, tags={"a": "1"}),
        map_remove=MapRemoveResult(key="k2"),
    )
    client = await (await stand(wire, plugin)).client()
    subscribed = await client.send(subscribe={"channel": "map:1", "type": 1, "phase": 2, "limit": 100})
    assert subscribed["subscribe"]["type"] == 1, subscribed
    refused = {"error": {"code": 107, "message": "bad request"}}
    assert await client.send(publish={"channel": "map:1", "type": 1, "key": "k1", "data": {"v": 1}}) == refused
    event = await plugin.heard("map_publish")
    assert (event.channel, event.key, event.data, event.user) == ("map:1", "k1", {"v": 1}, "42")
    assert event.meta_as(Role) == Role("admin")
    written = (await client.push())["pub"]
    assert (written["key"], written["data"], written["tags"]) == ("k2", {"clean": True}, {"a": "1"})

    assert await client.send(publish={"channel": "map:1", "type": 1, "key": "k1", "removed": True}) == refused
    event = await plugin.heard("map_remove")
    assert (event.channel, event.key, event.user, event.meta_as(Role)) == ("map:1", "k1", "42", Role("admin"))
    removed = (await client.push())["pub"]
    assert (removed["key"], removed["removed"]) == ("k2", True)
