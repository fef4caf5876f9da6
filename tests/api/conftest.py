"""Every way to call the server API, over the embedded server and over a real Centrifugo where there is one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from rtbridge import Api, SyncApi
from rtbridge.api import LocalApi, retries
from rtbridge.api.connect import Settings, open_async, open_sync
from rtbridge.api.remote import answered
from rtbridge.api.settings import ControlSettings, GrpcSettings, HttpSettings
from tests.api.fakes import ControlFake
from tests.centrifugo import MISSING, find_binary, find_free_port, merged
from tests.embedded.servers import Embedded, RealCentrifugo, Server
from tests.real.conftest import certificates
from tests.real.sdk.python_peer import PythonPeer
from tests.tokens import sign

__all__ = ["certificates"]  # PEM files of servers and clients

#: What both servers run with.
CONFIG: Final[Mapping[str, Any]] = {
    "client": {"token": {"hmac_secret_key": "secret"}},
    "http_api": {"key": "key"},
    "channel": {
        "without_namespace": {
            "presence": True,
            "history_size": 10,
            "history_ttl": "300s",
            "allow_subscribe_for_client": True,
        },
        "namespaces": [
            {"name": "bare", "allow_subscribe_for_client": True},
            {"name": "binary", "history_size": 10, "history_ttl": "300s", "publication_data_format": "binary"},
        ],
    },
}

#: What only a Centrifugo has.
MAPS: Final = {
    "name": "board",
    "subscription_type": "map",
    "allow_subscribe_for_client": True,
    "map": {"mode": "ephemeral", "key_ttl": "60s"},
}

#: The ways by name: the server, and the wire.
WAYS: Final = (
    "embedded local",
    "embedded http",
    "embedded http-sync",
    "embedded control",
    "embedded control-sync",
    "centrifugo http",
    "centrifugo http-sync",
    "centrifugo grpc",
    "centrifugo grpc-sync",
)


class Threaded:
    """A blocking client whose calls are awaited: each runs on a thread."""

    def __init__(self, api: SyncApi) -> None:
        self.api = api

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self.api, name)
        return lambda *given, **named: asyncio.to_thread(method, *given, **named)


def client_of(settings: Settings, *, sync: bool = False) -> Any:
    """A client whose calls are awaited."""
    return Threaded(open_sync(settings)) if sync else open_async(settings)


class Stand:
    """A server and a client of its API.

    Attributes:
        server: The server.
        api: The client.
        wire: How its calls travel.
        grpc: The address of the gRPC API, or of the control RPC, where there is one.

    """

    def __init__(self, server: Server, wire: str, grpc: str) -> None:
        self.server = server
        self.wire = wire
        self.grpc = grpc
        self.api: Any = None

    @property
    def real(self) -> bool:
        """Whether it is a Centrifugo."""
        return isinstance(self.server, RealCentrifugo)

    def settings(self, key: str | None = "key", timeout: float = 10.0) -> Settings:
        """How the server is called."""
        if self.wire.startswith("control"):
            return ControlSettings(target=self.grpc, token=key, timeout=timeout)
        if self.wire.startswith("grpc"):
            return GrpcSettings(target=self.grpc, key=key, timeout=timeout)
        return HttpSettings(url=f"{self.server.http}/api", key=key, timeout=timeout)

    def client(self, **settings: Any) -> Any:
        """Another client."""
        return client_of(self.settings(**settings), sync=self.wire.endswith("sync"))


async def started(kind: str, folder: Path, over: Mapping[str, Any] | None = None) -> tuple[Server, str]:
    """A server of one kind, and the address of its gRPC API."""
    if kind == "embedded":
        return await Embedded.start(merged(CONFIG, over or {})), ""
    binary = find_binary()
    if binary is None:
        pytest.skip(MISSING)
    port = find_free_port()
    grpc = {"grpc_api": {"enabled": True, "address": "127.0.0.1", "port": port, "key": "key"}}
    namespaces = {"channel": {"namespaces": [*CONFIG["channel"]["namespaces"], MAPS]}}
    config = merged(merged(merged(CONFIG, namespaces), grpc), over or {})
    return await RealCentrifugo.start(binary, folder, config), f"127.0.0.1:{port}"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that are not about how long a client waits before it tries again."""
    monkeypatch.setattr(retries, "BACKOFF", 0.001)


@pytest.fixture(params=WAYS)
async def stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    """A server and a client of its API, each way there is."""
    kind, wire = request.param.split()
    server, grpc = await started(kind, tmp_path)
    made = Stand(server, wire, grpc)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        if wire == "local":
            assert isinstance(server, Embedded)
            local = LocalApi()
            local.bind(server.server.api.call)
            made.api = local
        else:
            if isinstance(server, Embedded) and wire.startswith("control"):
                serve = server.server.api.call
                fake = ControlFake(lambda method, request: answered(serve, method, request), token="key")
                made.grpc = (await stack.enter_async_context(fake.listening())).target
            made.api = made.client()
        stack.push_async_callback(made.api.close)
        yield made


@pytest.fixture
async def witness(stand: Stand) -> AsyncIterator[Callable[[], Awaitable[tuple[PythonPeer, str]]]]:
    """Connects a client as user 42: what it is told shows what calls did; with its id."""
    async with AsyncExitStack() as stack:

        async def connect() -> tuple[PythonPeer, str]:
            peer = PythonPeer(protobuf=False)
            stack.push_async_callback(peer.close)
            token = sign({"sub": "42", "info": {"name": "Ann"}})
            connected = await peer.connected(f"127.0.0.1:{stand.server.port}", token=token)
            return peer, connected["client"]

        yield connect


@pytest.fixture
def api(stand: Stand) -> Api:
    """The client."""
    made: Api = stand.api
    return made
