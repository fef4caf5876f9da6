"""Every official client against the embedded server, and against a real Centrifugo where there is one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.centrifugo import BOUND, find_binary, merged
from tests.embedded.servers import Embedded, RealCentrifugo, Server
from tests.real.sdk.cable import Cable
from tests.real.sdk.node_peer import NodePeer, NodeProcess
from tests.real.sdk.peers import Peer
from tests.real.sdk.python_peer import PythonPeer
from tests.real.sdk.ways import WAYS, Way

_OPEN: Final = {
    "allow_subscribe_for_client": True,
    "allow_publish_for_subscriber": True,
    "presence": True,
    "allow_presence_for_subscriber": True,
    "join_leave": True,
    "history_size": 10,
    "history_ttl": "300s",
    "allow_history_for_subscriber": True,
}

_DELTA: Final = {"allowed_delta_types": ["fossil"], "delta_publish": True}

#: What every server here runs with; tests lay their own over it.
BASE: Final[Mapping[str, Any]] = {
    "client": {
        "token": {"hmac_secret_key": "secret"},
        # How soon an expired subscription is noticed; by default it is up to 52 seconds late.
        "presence_update_interval": "300ms",
    },
    "http_api": {"key": "key"},
    "sse": {"enabled": True},
    "http_stream": {"enabled": True},
    "channel": {
        "without_namespace": _OPEN,
        "namespaces": [
            {"name": "closed"},
            {"name": "bare", "allow_subscribe_for_client": True},
            {"name": "kept", **_OPEN, "force_recovery": True},
            {"name": "short", **_OPEN, "force_recovery": True, "history_size": 2},
            {
                "name": "delta",
                **_OPEN,
                "force_recovery": True,
                "allowed_delta_types": ["fossil"],
                "delta_publish": True,
            },
            {"name": "tagged", **_OPEN, "allow_tags_filter": True},
            {"name": "cache", **_OPEN, "force_recovery": True, "force_recovery_mode": "cache"},
            {"name": "lively", **_OPEN, "force_push_join_leave": True},
        ],
    },
}

#: Where hooks answer; the embedded server has them in process, a Centrifugo calls them.
HOOKED: Final[Mapping[str, Any]] = {
    "client": {"proxy": {"connect": {"enabled": True}}},
    "channel": {
        "without_namespace": {
            **_OPEN,
            "allow_subscribe_for_client": False,
            "subscribe_proxy_enabled": True,
            "publish_proxy_enabled": True,
            "sub_refresh_proxy_enabled": True,
        }
    },
    "rpc": {"without_namespace": {"proxy_enabled": True}},
}


class Stand:
    """A running server, and its API."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.address = f"127.0.0.1:{server.port}"
        self._http = httpx.AsyncClient(
            base_url=server.http, headers={"X-API-Key": "key"}, verify=False, trust_env=False, timeout=BOUND
        )

    async def becomes(self, wanted: object, method: str, **params: Any) -> None:
        """Wait until a method of the server API answers so: what a client did may still be on its way.

        Raises:
            TimeoutError: It never does.

        """
        async with asyncio.timeout(BOUND):
            while await self.api(method, **params) != wanted:
                await asyncio.sleep(0.01)

    async def api(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a call of the server API."""
        response = await self._http.post(f"/api/{method}", json=params)
        answer = response.json()
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def publish(self, channel: str, *payloads: Any, **params: Any) -> None:
        """Publish these, one after the other."""
        for payload in payloads:
            await self.api("publish", channel=channel, data=payload, **params)

    async def close(self) -> None:
        """End the server."""
        await self._http.aclose()
        await self.server.stop()


@pytest.fixture(params=["embedded", "centrifugo"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each server that the suite judges."""
    kind: str = request.param
    if kind == "centrifugo":
        request.getfixturevalue("centrifugo_binary")  # skips where there is none
    return kind


@pytest.fixture
async def start(kind: str, serve: Any, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Stand]]]:
    """Starts the server: ``await start(config, *plugins)``; the configuration is laid over the common one."""
    running: list[Stand] = []

    async def begin(config: Mapping[str, Any] | None = None, *plugins: object) -> Stand:
        full = merged(BASE, merged(HOOKED if plugins else {}, config or {}))
        server: Server
        if kind == "embedded":
            server = await Embedded.start(full, plugins)
        else:
            if plugins:
                full = merged(_endpoints((await serve(*plugins)).transports[0].address), full)
            binary = find_binary()
            assert binary is not None
            server = await RealCentrifugo.start(binary, tmp_path, full)
        stand = Stand(server)
        running.append(stand)
        return stand

    yield begin
    for stand in running:
        await stand.close()


def _endpoints(address: str) -> dict[str, Any]:
    """Where a Centrifugo finds the hooks."""
    endpoint = {"endpoint": f"grpc://{address}", "timeout": "10s", "include_connection_meta": True}
    return {
        "client": {"proxy": {"connect": endpoint, "refresh": endpoint}},
        "channel": {"proxy": dict.fromkeys(("subscribe", "publish", "sub_refresh"), endpoint)},
        "rpc": {"proxy": endpoint},
    }


@pytest.fixture(scope="session")
def node_process(node_program: tuple[Path, Path]) -> Iterator[NodeProcess]:
    """Node with the JavaScript client."""
    process = NodeProcess(*map(str, node_program))
    yield process
    process.end()


@pytest.fixture(params=WAYS)
def way(kind: str, request: pytest.FixtureRequest) -> Way:
    """Each client over each transport in each protocol; after the server, so that nothing is installed in vain."""
    way = WAYS[request.param]
    if way.sdk == "js":
        request.getfixturevalue("node_process")
    return way


@pytest.fixture
async def peer(way: Way, start: Any, request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    """The client; it leaves before the server ends."""
    made: NodePeer | PythonPeer
    if way.sdk == "js":
        made = NodePeer(request.getfixturevalue("node_process"), way.transport, way.protobuf)
    else:
        made = PythonPeer(way.protobuf)
    yield made
    await made.close()


@pytest.fixture
async def lay(start: Any, peer: Peer) -> AsyncIterator[Callable[[Stand], Awaitable[Cable]]]:
    """Lays a cable to a server: ``cable = await lay(stand)``."""
    async with AsyncExitStack() as cables:

        async def begin(stand: Stand) -> Cable:
            return await cables.enter_async_context(Cable(stand.server.port).laid())

        yield begin
