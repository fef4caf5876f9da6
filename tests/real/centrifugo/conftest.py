"""A Centrifugo that asks rtbridge, and clients that talk to it: frame by frame, and with the official Python SDK."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import centrifuge
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from rtbridge import ConnectResult, Event, hookimpl
from rtbridge.events import METHODS
from tests.centrifugo import BOUND, Centrifugo, merged
from tests.real.conftest import GRPC_SERVERS

#: Channel events that both wires carry.
_CHANNEL_PROXIES: Final = ("subscribe", "publish", "sub_refresh", "map_publish", "map_remove", "shared_poll_refresh")


def proxied(wire: str, address: str, **options: Any) -> dict[str, Any]:
    """A configuration of Centrifugo that sends every event to rtbridge, one namespace for each kind of channel.

    Args:
        wire: ``grpc`` or ``http``.
        address: ``host:port``.
        options: Of every proxy; a key that names an event holds options of that one.

    """
    own = {kind: options.pop(kind) for kind in (*METHODS, "subscribe_stream") if kind in options}
    # Long enough that a busy machine does not decide what a test sees; tests about time choose their own.
    shared = merged({"timeout": "10s", "include_connection_meta": True}, options)

    def proxy(kind: str) -> dict[str, Any]:
        endpoint = f"grpc://{address}" if wire == "grpc" else f"{wire}://{address}/{kind}"
        return merged({"endpoint": endpoint, **shared}, own.get(kind, {}))

    ordinary = {"subscribe_proxy_enabled": True, "publish_proxy_enabled": True, "sub_refresh_proxy_enabled": True}
    namespaces: list[dict[str, Any]] = [
        {
            "name": "map",
            "subscription_type": "map",
            "allow_subscribe_for_client": True,
            "map": {
                "mode": "ephemeral",
                "key_ttl": "60s",
                "publish_proxy_enabled": True,
                "remove_proxy_enabled": True,
            },
        },
        {
            "name": "poll",
            "subscription_type": "shared_poll",
            "subscribe_proxy_enabled": True,
            "shared_poll": {"refresh_interval": "100ms", "mode": "versioned"},
        },
        {"name": "chat", **ordinary},
        {"name": "pushed", "presence": True, "allow_presence_for_subscriber": True},
    ]
    channels = {kind: proxy(kind) for kind in _CHANNEL_PROXIES}
    if wire == "grpc":
        stream = {"subscribe_stream_proxy_enabled": True}
        namespaces += [
            {"name": "out", **stream},
            {"name": "both", **stream, "subscribe_stream_proxy_bidirectional": True},
        ]
        channels["subscribe_stream"] = proxy("subscribe_stream")
    return {
        "shared_poll": {"hmac_secret_key": "poll-secret"},
        "client": {
            "proxy": {kind: {"enabled": True, **proxy(kind)} for kind in ("connect", "refresh")},
            # How soon an expired subscription is noticed: by default up to 52 seconds late, and 0s is the default.
            "presence_update_interval": "300ms",
            "expired_sub_close_delay": "1ms",
        },
        "channel": {
            "proxy": channels,
            "without_namespace": {
                **ordinary,
                "presence": True,
                "allow_presence_for_subscriber": True,
                "history_size": 10,
                "history_ttl": "60s",
                "allow_history_for_subscriber": True,
            },
            "namespaces": namespaces,
        },
        "rpc": {
            "proxy": proxy("rpc"),
            "without_namespace": {"proxy_enabled": True},
            "namespaces": [{"name": "rooms", "proxy_enabled": True}],
        },
    }


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each way that proxy calls travel; gRPC to each server of ours."""
    if "grpc_server" not in metafunc.fixturenames:
        return
    if "wire" in metafunc.fixturenames:
        ways = [("grpc", name) for name in GRPC_SERVERS]
        ids = [*(f"grpc-{name}" for name in GRPC_SERVERS), "http"]
        metafunc.parametrize(("wire", "grpc_server"), [*ways, ("http", GRPC_SERVERS[0])], ids=ids)
    else:
        metafunc.parametrize("grpc_server", GRPC_SERVERS)


class Closed(NamedTuple):
    """How a connection ended."""

    code: int
    reason: str


class Frames:
    """A client that speaks JSON frame by frame: replies are given to who asked, pushes are queued, pings answered.

    Attributes:
        seen: Everything that came, without pings, in order.
        pushes: Pushes that no test has taken yet.

    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any] | Closed]] = {}
        self.seen: list[dict[str, Any]] = []
        self.pushes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._end: asyncio.Task[Closed] = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> Closed:
        try:
            async for text in self._socket:
                for line in text.splitlines():
                    await self._take(json.loads(line))
        except websockets.ConnectionClosed:
            pass
        closed = Closed(self._socket.close_code or 0, self._socket.close_reason or "")
        for future in self._waiting.values():
            future.set_result(closed)
        self._waiting.clear()
        return closed

    async def _take(self, frame: dict[str, Any]) -> None:
        if not frame:
            await self._socket.send("{}")
            return
        self.seen.append(frame)
        if "id" in frame:
            self._waiting.pop(frame["id"]).set_result(frame)
        else:
            self.pushes.put_nowait(frame["push"])

    async def send(self, **command: Any) -> dict[str, Any] | Closed:
        """The reply to a command without its id, or how the connection ended instead."""
        self._number += 1
        answer: asyncio.Future[dict[str, Any] | Closed] = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = answer
        with contextlib.suppress(websockets.ConnectionClosed):
            await self._socket.send(json.dumps({"id": self._number, **command}))
        if self._end.done():
            return self._end.result()
        async with asyncio.timeout(BOUND):
            reply = await answer
        if isinstance(reply, dict):
            reply = {key: value for key, value in reply.items() if key != "id"}
        return reply

    async def push(self) -> dict[str, Any]:
        """The next push."""
        async with asyncio.timeout(BOUND):
            return await self.pushes.get()

    async def closed(self) -> Closed:
        """How the connection ended, once it has."""
        async with asyncio.timeout(BOUND):
            return await asyncio.shield(self._end)

    async def alive(self) -> bool:
        """Whether the server still answers on this connection; it refuses the command, which is an answer, too."""
        return isinstance(await self.send(presence={"channel": "nobody-subscribed"}), dict)

    async def leave(self) -> None:
        """Close the connection."""
        await self._socket.close()
        await self.closed()


class Told:
    """What an official client calls its handlers with; it is the handler of the client and of its subscriptions."""

    def __init__(self) -> None:
        self._calls: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    def __getattr__(self, name: str) -> Callable[[Any], Awaitable[None]]:
        if not name.startswith("on_"):
            raise AttributeError(name)

        async def handler(context: Any) -> None:
            self._calls.put_nowait((name.removeprefix("on_"), context))

        return handler

    async def of(self, name: str) -> Any:
        """The next call of that name, after leaving out the others before it."""
        async with asyncio.timeout(BOUND):
            while True:
                found, context = await self._calls.get()
                if found == name:
                    return context


class Hooks:
    """A plugin that hears every event and answers what a test says; a connect is let in as user 42 by default.

    Attributes:
        seen: Events by kind, in order.
        answers: By kind: a value, or a function of the event; what it returns is awaited where it can be.

    """

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"connect": lambda event: ConnectResult(user="42"), **answers}
        self.seen: dict[str, asyncio.Queue[Event]] = {kind: asyncio.Queue() for kind in METHODS}
        for method in METHODS.values():
            setattr(self, method.hook, hookimpl(self._hook(method.kind)))

    def _hook(self, kind: str) -> Callable[[Any], Awaitable[Any]]:
        async def hook(event: Any) -> Any:
            self.seen[kind].put_nowait(event)
            answer = self.answers.get(kind)
            if callable(answer):
                answer = answer(event)
            return await answer if isinstance(answer, Awaitable) else answer

        return hook

    async def heard(self, kind: str) -> Any:
        """The next event of a kind."""
        async with asyncio.timeout(BOUND):
            return await self.seen[kind].get()


class Stand:
    """rtbridge, a Centrifugo that asks it, and what was opened on it."""

    def __init__(self, centrifugo: Centrifugo, served: Any = None) -> None:
        self.centrifugo = centrifugo
        self.served = served
        self._open = contextlib.AsyncExitStack()

    async def frames(self, **headers: str) -> Frames:
        """A JSON client before its connect command; headers with ``_`` for ``-``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        socket = await websockets.connect(
            self.centrifugo.url, additional_headers=named, compression=None, proxy=None, close_timeout=BOUND
        )
        client = Frames(socket)
        self._open.push_async_callback(client.leave)
        return client

    async def client(self, **connect: Any) -> Frames:
        """A JSON client, connected; the arguments are those of the connect command."""
        client = await self.frames()
        reply = await client.send(connect=connect)
        assert isinstance(reply, dict), reply
        assert "connect" in reply, reply
        return client

    def sdk(self, **options: Any) -> tuple[Any, Told]:
        """A client of the official Python SDK, not yet connected, and what it tells its handlers."""
        told = Told()
        url = self.centrifugo.url + ("?format=protobuf" if options.get("use_protobuf") else "")
        options = {"timeout": BOUND, "max_reconnect_delay": 0.5, "proxy": None, **options}
        client = centrifuge.Client(url, events=told, **options)
        self._open.push_async_callback(client.disconnect)
        return client, told

    async def close(self) -> None:
        """Close the clients."""
        await self._open.aclose()


Start = Callable[..., Awaitable[Centrifugo]]


@pytest.fixture
async def centrifugo(centrifugo_binary: Path, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Centrifugo]]]:
    """Starts Centrifugo with a configuration: ``await centrifugo(mapping, environment)``."""
    running: list[Centrifugo] = []

    async def start(config: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Centrifugo:
        base = {"http_api": {"key": "api-key"}}
        try:
            server = await Centrifugo.start(centrifugo_binary, tmp_path, merged(base, config), environment)
        except ChildProcessError as exc:
            pytest.fail(str(exc), pytrace=False)
        running.append(server)
        return server

    yield start
    for server in running:
        await server.stop()
        print(*server.log, sep="\n")  # pytest shows it where the test has failed


@pytest.fixture
async def stand(centrifugo: Start, serve: Any) -> AsyncIterator[Callable[..., Awaitable[Stand]]]:
    """Starts rtbridge in this process and a Centrifugo that asks it over one wire.

    ``await stand(wire, plugin, …, proxies={…}, over={…}, **settings)``: ``proxies`` are options of
    :func:`proxied`, ``over`` is laid over Centrifugo's configuration, settings are those of ``rtbridge``.
    """
    stands: list[Stand] = []

    async def start(
        wire: str,
        *plugins: object,
        proxies: Mapping[str, Any] | None = None,
        over: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Stand:
        own = {} if wire == "grpc" else {"http_proxy": {"address": "tcp://127.0.0.1:0"}}
        served = await serve(*plugins, **own, **settings)
        address = served.transports[0 if wire == "grpc" else 1].address
        config = merged(proxied(wire, address, **(proxies or {})), over or {})
        made = Stand(await centrifugo(config), served)
        stands.append(made)
        return made

    yield start
    for made in stands:
        await made.close()


@pytest.fixture
async def fronted(centrifugo: Start) -> AsyncIterator[Callable[..., Awaitable[Stand]]]:
    """Starts a Centrifugo in front of what listens already, or will: ``await fronted(config, environment)``."""
    stands: list[Stand] = []

    async def start(config: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Stand:
        made = Stand(await centrifugo(config, environment))
        stands.append(made)
        return made

    yield start
    for made in stands:
        await made.close()


@pytest.fixture
def proxying() -> Callable[..., dict[str, Any]]:
    """Makes a configuration of Centrifugo that sends every event over one wire to one address."""
    return proxied


@pytest.fixture
def hooks() -> type[Hooks]:
    """The plugin that does as a test says."""
    return Hooks
