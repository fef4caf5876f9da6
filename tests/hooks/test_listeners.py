"""What a routed listener is called with: captures and typed payloads, by name and annotation."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Optional, TypedDict

import msgspec
import pydantic
import pytest

from rtbridge import (
    ClientError,
    Config,
    ConnectEvent,
    Event,
    PluginError,
    PublishEvent,
    RefreshEvent,
    Router,
    RPCEvent,
    RPCResult,
    SubscribeEvent,
    hookimpl,
)
from rtbridge.testing import App


class Message(msgspec.Struct):
    text: str


@dataclasses.dataclass
class DataMessage:
    text: str


class Model(pydantic.BaseModel):
    text: str


class Dict(TypedDict):
    text: str


def app(listen: Callable[..., Any], pattern: str = "*", **options: Any) -> App:
    """One routed RPC listener."""
    router = Router()
    router.on_rpc(pattern, **options)(listen)
    return App([type("Plugin", (), {"router": router})()])


def refused(listen: Callable[..., Any], pattern: str = "x:{room}", kind: str = "subscribe", **options: Any) -> str:
    """Why a listener is refused, after its name and place."""
    router = Router()
    getattr(router, f"on_{kind}")(pattern, **options)(listen)
    with pytest.raises(PluginError) as error:
        App([type("Plugin", (), {"router": router})()])
    text = str(error.value)
    where = f"{listen.__module__}.{listen.__qualname__} ({__file__}:{listen.__code__.co_firstlineno}), routed "
    assert text.startswith(f"{where}on_{kind}({pattern!r}): ")
    return text.removeprefix(f"{where}on_{kind}({pattern!r}): ")


OLD_STYLE = Optional[Message]  # noqa: UP045  # users write it


@pytest.mark.parametrize("model", [Message, DataMessage, Model, Dict, OLD_STYLE, Message | None, Message | int])
async def test_a_typed_payload(model: Any) -> None:
    """`data` is the payload as the annotated type: Struct, dataclass, pydantic model, TypedDict, or a union."""
    got: list[Any] = []

    async def listen(data: Any) -> RPCResult:
        got.append(data)
        return RPCResult(data=data)

    listen.__annotations__["data"] = model
    async with app(listen) as running:
        outcome = await running.rpc("m", {"text": "é"})
    assert outcome.error is None
    (data,) = got
    assert (data["text"] if model is Dict else data.text) == "é"


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (Message, {"text": 7}, "data does not fit: Expected `str`, got `int` - at `$.text`"),
        (Message, {}, "data does not fit: Object missing required field `text`"),
        (Message, None, "data is missing"),
        (Message, b"{", "data does not fit: not valid JSON"),
        (Message, b"\xff", "data does not fit: not valid JSON"),
        (DataMessage, [], "data does not fit: Expected `object`, got `array`"),
        (Model, {"text": 7}, "data does not fit: text: Input should be a valid string"),
        (Model, None, "data is missing"),
        (Dict, 1, "data does not fit: Expected `object`, got `int`"),
        (Message | None, {"text": 7}, "data does not fit: Expected `str`, got `int` - at `$.text`"),
        (list[Any], b"[" * 100_000 + b"]" * 100_000, "data does not fit: not valid JSON"),
    ],
)
async def test_a_payload_that_does_not_fit(model: Any, given: Any, said: str) -> None:
    """Error 107 names the place and never repeats the payload, and the listener does not run."""

    async def listen(data: Any) -> RPCResult:
        raise AssertionError

    listen.__annotations__["data"] = model
    async with app(listen) as running:
        assert (await running.rpc("m", given)).error == ClientError(107, said)


async def test_an_optional_payload() -> None:
    """Where None is allowed, a call without a payload is fine, and so is JSON null."""

    async def listen(data: Message | None) -> RPCResult:
        return RPCResult(data="none" if data is None else data.text)

    async def pydantic_listen(data: Model | None) -> RPCResult:
        return RPCResult(data="none" if data is None else data.text)

    for each in (listen, pydantic_listen):
        async with app(each) as running:
            assert (await running.rpc("m")).result.data == "none"
            assert (await running.rpc("m", {"text": "x"})).result.data == "x"


@pytest.mark.parametrize(
    ("annotation", "given", "wanted"),
    [
        (bytes, b"\x00\xff", b"\x00\xff"),
        (bytes, None, b""),
        (bytes | None, None, None),
        (bytes | None, b"x", b"x"),
        (Any, {"a": 1}, {"a": 1}),
        (object, [1], [1]),
        (Any, None, None),
        (int | str, 5, 5),
        (list[int], [1, 2], [1, 2]),
    ],
)
async def test_untyped_payloads(annotation: Any, given: Any, wanted: Any) -> None:
    """bytes are the payload as it came; Any and object its JSON value; builtins are checked."""
    got: list[Any] = []

    async def listen(data: Any) -> RPCResult:
        got.append(data)
        return RPCResult()

    listen.__annotations__["data"] = annotation
    async with app(listen) as running:
        assert (await running.rpc("m", given)).error is None
    assert got == [wanted]


async def test_a_payload_without_an_annotation() -> None:
    """It is the JSON value."""

    async def listen(data) -> RPCResult:  # type: ignore[no-untyped-def]
        return RPCResult(data=data)

    async with app(listen) as running:
        assert (await running.rpc("m", [1])).result.data == [1]
        assert (await running.rpc("m", b"{")).error == ClientError(107, "data is not valid JSON")


async def test_meta() -> None:
    """`meta` is the connection's, typed or not; where it does not fit, it is no fault of the client."""

    class Meta(msgspec.Struct):
        role: str

    class Plugin:
        router = Router()

        @staticmethod
        @router.on_rpc("typed")
        async def typed(meta: Meta) -> RPCResult:
            return RPCResult(data=meta.role)

        @staticmethod
        @router.on_rpc("raw")
        async def raw(meta: Any) -> RPCResult:
            return RPCResult(data=meta)

    Plugin.typed.__annotations__["meta"] = Meta
    async with App([Plugin()]) as running:
        assert (await running.rpc("typed", meta={"role": "admin"})).result.data == "admin"
        assert (await running.rpc("raw", meta={"role": 1})).result.data == {"role": 1}
        assert (await running.rpc("raw")).result.data is None
        for meta in (None, {"role": 1}):
            assert (await running.rpc("typed", meta=meta)).error == ClientError("INTERNAL")


async def test_event_captures_and_config() -> None:
    """Arguments go by name, in any order; keyword-only ones are fine here."""

    def listen(room: str, *, config: Config, event: RPCEvent, own: int = 3, data: Any) -> RPCResult:
        return RPCResult(data=[room, config.version, event.user, own, data])

    async with app(listen, "x:{room}") as running:
        assert (await running.rpc("x:1", 2, user="7")).result.data == ["1", "3", "7", 3, 2]


async def unknown(event: Event, rooom: str) -> None: ...


async def positional(event: Event, /) -> None: ...


async def rest(**kwargs: Any) -> None: ...


async def data_of_refresh(data: Any) -> None: ...


async def blocking_async(event: Event) -> None: ...


async def stream(event: Event) -> Any:
    yield


def generator(event: Event) -> Iterator[None]:
    yield


async def unresolved(data: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


async def clash(data: str) -> None: ...


@pytest.mark.parametrize(
    ("listen", "options", "said"),
    [
        (unknown, {}, "argument 'rooom' is unknown; there are event, room, data, meta, api, kv, config"),
        (positional, {}, "arguments go by name; event: rtbridge.events.base.Event cannot be filled"),
        (rest, {}, "arguments go by name; **kwargs: Any cannot be filled"),
        (blocking_async, {"blocking": True}, "is async and cannot be blocking"),
        (stream, {}, "is an async generator, and SubscribeEvent is no stream"),
        (generator, {}, "is a generator; a stream is an async generator, and a wrapper says wrapper=True"),
        (unresolved, {}, "its annotations cannot be read: name 'Nowhere' is not defined"),
        (clash, {"pattern": "x:{data}"}, "the pattern captures 'data', which is the name of an argument"),
    ],
)
def test_refused(listen: Any, options: dict[str, Any], said: str) -> None:
    """A listener that cannot be called is refused at start, with the argument named."""
    assert refused(listen, **options).replace("'", "") == said.replace("'", "")


def test_a_route_of_an_event_without_a_payload() -> None:
    """`data` and `meta` exist where the event has them."""
    said = "argument 'data' is unknown; there are event, room, api, kv, config"
    assert refused(data_of_refresh, kind="cache_empty") == said


async def test_other_events() -> None:
    """Connect, subscribe and publish listeners get their payloads as RPC listeners do."""
    seen: list[Any] = []

    class Plugin:
        router = Router()

        @staticmethod
        @router.on_connect("*")
        async def connect(event: ConnectEvent, data: dict[str, int]) -> None:
            seen.append(data)

        @staticmethod
        @router.on_subscribe("{room}")
        def subscribe(event: SubscribeEvent, room: str, data: list[int]) -> None:
            seen.append((room, data))

        @staticmethod
        @router.on_publish("{room}", blocking=False)
        def publish(event: PublishEvent, data: str) -> None:
            seen.append(data)

        @hookimpl
        async def on_refresh(self, event: RefreshEvent) -> None:
            seen.append(event.meta)

    async with App([Plugin()]) as running:
        await running.connect(data={"a": 1}, channels=["x"])
        await running.subscribe("r", data=[1])
        await running.publish("r", "text")
        await running.refresh(meta={"m": 1})
    assert seen == [{"a": 1}, ("r", [1]), "text", {"m": 1}]
