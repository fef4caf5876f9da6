"""A user's code, read by mypy and pyright and never run: the types that the public names promise.

A line of misuse carries `# type: ignore[...]`; once a checker accepts it, the unused comment is reported.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict, assert_type

import msgspec

import rtbridge
from rtbridge import (
    JSON_NULL,
    METHODS,
    NEVER,
    Api,
    ApiError,
    ApiFailure,
    BadRequest,
    CallNext,
    ChannelsCapability,
    ClientError,
    ClientInfo,
    Command,
    Config,
    ConnectEvent,
    ConnectResult,
    Disconnect,
    Event,
    FilterNode,
    Headers,
    InvalidEvent,
    Kv,
    KvError,
    KvLimit,
    KvStores,
    KvUnavailable,
    KvUnreadable,
    KvUnsupported,
    Outcome,
    Position,
    PresenceStats,
    Publication,
    PublishEvent,
    PublishResult,
    ReceivedPublication,
    RefreshEvent,
    RefreshResult,
    Router,
    RPCEvent,
    RPCResult,
    SharedPollRefreshEvent,
    SharedPollRefreshItem,
    SharedPollRefreshResult,
    SharedPollRefreshResultItem,
    SubRefreshEvent,
    SubRefreshResult,
    SubscribeBidirectionalEvent,
    SubscribeEvent,
    SubscribeOptionOverride,
    SubscribeOptions,
    SubscribeResult,
    SubscribeUnidirectionalEvent,
    SyncApi,
    SyncKv,
    hookimpl,
)
from rtbridge.stores import Opening, Store
from rtbridge.testing import App, VirtualClock


class Login(msgspec.Struct):
    token: str


@dataclass
class Message:
    text: str


class Profile(TypedDict):
    role: str


# --- hooks ------------------------------------------------------------------------------------------------------------


@hookimpl
async def on_connect(event: ConnectEvent) -> ConnectResult | None:
    assert_type(event.client, str)
    assert_type(event.channels, tuple[str, ...])
    assert_type(event.raw_data, bytes | None)
    assert_type(event.parse(Login), Login)
    assert_type(event.headers, Headers)
    assert_type(event.headers["cookie"], str)
    assert_type(event.headers.getall("cookie"), list[str])
    assert_type(event.state, dict[str, Any])
    assert_type(event.time_remaining(), float | None)
    assert_type(event.via, str)
    if not event.data:
        raise Disconnect("INVALID_TOKEN")
    event.respond(ConnectResult(user="42"))
    event.respond(Disconnect(4501, "no"))
    event.respond(ClientError("PERMISSION_DENIED"))
    event.stop_propagation()
    event.respond(RPCResult())  # type: ignore[arg-type]
    event.user  # type: ignore[attr-defined]
    event.client = "other"  # type: ignore[misc]
    return None


@hookimpl(tryfirst=True, blocking=False)
def on_refresh(event: RefreshEvent) -> RefreshResult:
    assert_type(event.labels, Mapping[str, str])
    assert_type(event.meta_as(Profile), Profile)
    return RefreshResult(expire_at=timedelta(minutes=5))


@hookimpl(trylast=True)
def on_subscribe(event: SubscribeEvent, config: Config) -> SubscribeResult | None:
    assert_type(event.token, str)
    return SubscribeResult(override=SubscribeOptionOverride(presence=False), info={"name": event.user})


@hookimpl
async def on_sub_refresh(event: SubRefreshEvent) -> SubRefreshResult:
    return SubRefreshResult(expire_at=NEVER) if event.user else SubRefreshResult(expired=True)


@hookimpl
async def on_subscribe_unidirectional(
    event: SubscribeUnidirectionalEvent,
) -> AsyncIterator[SubscribeResult | Publication]:
    yield SubscribeResult()
    yield Publication(data=Message(text="hi"), tags={"kind": "greeting"})


@hookimpl
async def on_subscribe_bidirectional(
    event: SubscribeBidirectionalEvent,
) -> AsyncIterator[SubscribeResult | Publication]:
    yield SubscribeResult()
    async for item in event.incoming:
        assert_type(item, ReceivedPublication)
        assert_type(item.raw_data, bytes | None)
        yield Publication(data=item.parse(Message))


@hookimpl
async def on_shared_poll_refresh(event: SharedPollRefreshEvent) -> SharedPollRefreshResult:
    assert_type(event.items, tuple[SharedPollRefreshItem, ...])
    return SharedPollRefreshResult(
        items=[SharedPollRefreshResultItem(key=item.key, version=item.version + 1, data={}) for item in event.items]
    )


@hookimpl
async def on_event(event: Event, call_next: CallNext) -> Any:
    event.state["seen"] = True
    return await call_next(event)


@hookimpl
def on_invalid(event: InvalidEvent) -> None:
    assert_type(event.raw, bytes)
    assert_type(event.error, Exception | None)
    event.respond(Disconnect("BAD_REQUEST"))
    event.respond(ConnectResult(user=""))  # type: ignore[arg-type]


# --- routes -----------------------------------------------------------------------------------------------------------

router = Router()


@router.on_publish("chat:{room}", priority=10)
async def publish(event: PublishEvent, room: str, data: Message) -> PublishResult:
    return PublishResult(data=Message(text=data.text.strip()), version=1, tags={"room": room})


@router.on_rpc("rooms.create", blocking=True)
def create(event: RPCEvent, data: Login) -> RPCResult:
    return RPCResult(data={"ok": True})


assert_type(create(RPCEvent(), Login(token="t")), RPCResult)
router.on_rpc(7)  # type: ignore[arg-type]
router.on_refresh("chat")  # type: ignore[attr-defined]

# --- results ----------------------------------------------------------------------------------------------------------

ConnectResult(
    user="",
    expire_at=datetime.now(UTC),
    info=Message(text="hi"),
    data=b"\x00",
    channels=("a", "b"),
    subs={"news": SubscribeOptions(data=JSON_NULL, expire_at=1_900_000_000)},
    meta={"role": "admin"},
    caps=[ChannelsCapability(channels=["a"], allow=["sub"])],
    labels={"a": "b"},
)
SubscribeResult(server_tags_filter=FilterNode(op="not", nodes=[FilterNode(key="a", cmp="ex")]))

ConnectResult()  # type: ignore[call-arg]
ConnectResult("42")  # type: ignore[call-arg]
ConnectResult(user=42)  # type: ignore[arg-type]
ConnectResult(user="", chanels=["a"])  # type: ignore[call-arg]
ConnectResult(user="", channels=7)  # type: ignore[arg-type]
ConnectResult(user="", expire_at=1.5)  # type: ignore[arg-type]
ConnectResult(user="", subs={"news": {}})  # type: ignore[dict-item]
RefreshResult(expire_at=NEVER)  # type: ignore[arg-type]
SubscribeResult(override={"presence": False})  # type: ignore[arg-type]
PublishResult(version="1")  # type: ignore[arg-type]
RPCResult().data = 1  # type: ignore[misc]

# --- errors -----------------------------------------------------------------------------------------------------------

assert_type(Disconnect(4500).code, int)
assert_type(ClientError("EXPIRED", temporary=True).temporary, bool)
assert_type(BadRequest().message, str)
ClientError(400, "no", True)  # type: ignore[call-arg]
Disconnect(None)  # type: ignore[arg-type]


# --- tests of one's hooks ---------------------------------------------------------------------------------------------


async def test_hooks() -> None:
    clock = VirtualClock()
    async with App(plugins=["chat.hooks"], clock=clock, config={"rtbridge": {"threads": 4}}) as app:
        outcome = await app.connect(data={"token": "t"}, headers={"cookie": "a=b"})
        assert_type(outcome, Outcome)
        assert_type(outcome.disconnect, Disconnect | None)
        assert_type(outcome.error, ClientError | None)
        assert_type(outcome.denied_by_default, bool)
        assert_type(outcome.label, str)
        await app.rpc("rooms.create", Login(token="t"), user="42", deadline=1.0)
        await app.publish("news", b"\x00")
        stream = await app.stream(SubscribeUnidirectionalEvent(channel="news"))
        async for item in stream:
            assert_type(item, Any)
        await app.rpc(user="42")  # type: ignore[call-arg]


application = rtbridge.asgi(config=".rr.yaml", plugins=["chat.hooks"])
assert_type(METHODS["connect"].event, type[Event])
assert_type(METHODS["connect"].stream, Literal["", "out", "both"])
assert_type(METHODS["connect"].hook, str)


# --- stores -----------------------------------------------------------------------------------------------------------


@hookimpl
async def on_boot(kv: KvStores) -> None:
    store = kv("sessions")
    assert_type(store, Kv)
    assert_type(await store.get("a"), Any)
    assert_type(await store.get("a", type=Login), Login | None)
    assert_type(await store.get("a", Login(token="t"), type=Login), Login)
    assert_type(await store.get_many(["a"]), dict[str, Any])
    await store.set("a", Login(token="t"), ttl=timedelta(minutes=1))
    await store.set("a", 1, ttl=datetime.now(UTC))
    await store.set("a", 1, ttl="1m")  # type: ignore[arg-type]
    assert_type(await store.incr("n", ttl=60), int)
    assert_type(await store.ttl("n"), float | None)
    async for key in store.scan("user:"):
        assert_type(key, str)
    assert_type(store.sync, SyncKv)
    assert_type(store.sync.get("a", type=Login), Login | None)
    assert_type(store.sync.cas("a", 1, 2), bool)
    assert_type(store.sync.get_many(["a"]), dict[str, Any])
    assert_type(store.sync.ttl("a"), float | None)
    assert_type(store.sync.incr("n"), int)
    assert_type(list(store.sync.items("user:")), list[tuple[str, Any]])
    assert_type(await store.add("a", 1, ttl=1.5), bool)
    assert_type(await store.cas("a", 1, 2), bool)
    assert_type(await store.touch("a", None), bool)
    assert_type(await store.expire_many(["a"], timedelta(days=1)), int)
    assert_type(await store.delete_many(["a"]), int)
    async for item in store.items():
        assert_type(item, tuple[str, Any])
    await store.incr("n", 1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    try:
        await store.get_or_set("a", lambda: Login(token="t"), ttl=60)
    except (KvLimit, KvUnavailable, KvUnreadable, KvUnsupported) as error:
        assert_type(str(error), str)
        raise KvError("a store") from error


class Shelf:
    """Keeps what it may of a store: a driver of one's own, as its author would check it."""

    def __init__(self, opening: Opening) -> None:
        assert_type(opening.name, str)
        assert_type(opening.config, Any)
        assert_type(opening.clock.time(), float)


def open_shelf(opening: Opening) -> Store:
    return Shelf(opening)  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


assert_type(rtbridge.kv("sessions"), Kv)
assert_type(rtbridge.load_config(), Config)


class Cache:
    def reset(self) -> None: ...


assert_type(rtbridge.resettable(Cache()), Cache)
assert_type(rtbridge.current_event(), Event | None)
assert_type(rtbridge.dump(Login(token="t"), 1, "two"), Login)


# --- the server API ---------------------------------------------------------------------------------------------------


async def backend(api: Api) -> None:
    assert_type(Api.from_config(timeout=1.0), Api)
    assert_type(await api.publish("room", Login("t"), tags={"a": "b"}), Position)
    assert_type(await api.broadcast(["room"], 1), list[Position | ApiError])
    assert_type(await api.presence("room"), dict[str, ClientInfo])
    assert_type((await api.history("room", limit=1)).position, Position)
    assert_type(await api.channels(timeout=1), dict[str, int])
    assert_type(await api.run(Command.presence("room"), timeout=0.5), dict[str, ClientInfo])
    assert_type(api.sync, SyncApi)
    assert_type(api.sync.publish("room", 1, timeout=0.5), Position)
    assert_type(await api.batch([Command.publish("a", 1), Command.publish("b", 2)]), list[Position | ApiError])
    await api.publish("room")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await api.publish("room", 1, timeout="1s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await api.refresh("42", expire_at="soon")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def backend_that_blocks(failure: ApiFailure) -> None:
    with SyncApi.from_config(".rr.yaml") as api:
        assert_type(api.publish("room", 1), Position)
        assert_type(api.presence_stats("room"), PresenceStats)
        assert_type(api.batch([Command.presence_stats("room")], timeout=2), list[PresenceStats | ApiError])
        api.disconnect("42", Disconnect(4501, "bye"))
    assert_type(failure.may_have_happened, bool)
