"""The hooks' world in HTTP: server API, stores, routes of plugins, the request at hand; in one process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from rtbridge import dump, hookimpl
from rtbridge.app import Runtime
from rtbridge.config import parse_config
from rtbridge.errors import PluginError
from rtbridge.http import Site, current_request, handler
from rtbridge.plugins.http import http_app

Run = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def run(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    """Serves plugins and an application: ``await run([Plugin()], app=app)`` gives a client."""
    running: list[tuple[Runtime, Any, httpx.AsyncClient]] = []

    async def start(plugins: list[Any], app: Any = None, *, lazy: bool = False, **http: Any) -> httpx.AsyncClient:
        if app is not None:
            monkeypatch.setitem(__import__("sys").modules, "world_under_test", SimpleNamespace(app=app))
            http["app"] = "world_under_test:app"
        tree = {
            "version": "3",
            "http": {"address": "127.0.0.1:0", **http},
            "kv": {"shared": {"driver": "memory", "config": {}}},
            "rtbridge": {"entry_points": False, "embedded": {"http_server": {"address": "127.0.0.1", "port": 0}}},
        }
        runtime = Runtime(parse_config(tree).config, plugins)
        runtime.start(lazy=lazy)
        transports = runtime.transports()
        if not lazy:
            await runtime.boot()
        for transport in transports:
            await transport.start()
        address = next(each.address for each in transports if each.name == "web")
        client = httpx.AsyncClient(base_url=f"http://{address}", timeout=10, trust_env=False)
        running.append((runtime, transports, client))
        return client

    yield start
    for runtime, transports, client in running:
        await client.aclose()
        await runtime.stop(transports)


class Plugin:
    """Brings routes, and notes when it booted."""

    def __init__(self, *routes: Any) -> None:
        self.routes = routes
        self.booted = 0

    @hookimpl
    async def on_boot(self) -> None:
        self.booted += 1

    @hookimpl
    def http_routes(self, config: Any, kv: Any) -> Any:
        return list(self.routes)


async def test_stores_and_the_server_api(run: Run) -> None:
    """The same that hooks are given."""
    site = Site()

    @site.get("/count")
    async def count(request: Request) -> int:
        return int(await request.state.kv("shared").incr("n"))

    @site.get("/publish")
    async def publish(request: Request) -> bool:
        await request.state.api.publish("news", {"a": 1})
        return True

    client = await run([], site)
    assert (await client.get("/count")).json() == 1
    assert (await client.get("/count")).json() == 2
    assert (await client.get("/publish")).json() is True


async def test_routes_of_plugins(run: Run) -> None:
    """In front of the application, in the order of plugins; what none of them takes is the application's."""

    async def hook(request: Request) -> Any:
        return {"id": request.path_params["id"]}

    async def missing(_: Request) -> Any:
        raise HTTPException(404, "no such thing")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"app " + scope["path"].encode()})

    first = Plugin(Route("/a/{id}", handler(hook)), Route("/only", handler(hook), methods=["POST"]))
    client = await run([first, Plugin(Route("/missing", handler(missing)))], app)
    assert (await client.get("/a/7")).json() == {"id": "7"}
    assert (await client.get("/only")).status_code == 405
    answer = await client.get("/missing")
    assert (answer.status_code, answer.text) == (404, "no such thing")
    assert (await client.get("/a")).text == "app /a"
    assert (await client.get("/a/7/")).text == "app /a/7/"


async def test_routes_without_an_application(run: Run) -> None:
    async def hook(_: Request) -> str:
        return "hook"

    client = await run([Plugin(Route("/a", handler(hook)))])
    assert (await client.get("/a")).text == "hook"
    assert (await client.get("/b")).status_code == 404
    assert "websocket" in (await client.get("/config.json")).json()


async def test_plugins_boot_before_the_first_request(run: Run) -> None:
    """Where they boot lazily; a boot that fails answers it, and the next one tries again."""

    class Late(Plugin):
        fails = True

        @hookimpl
        async def on_boot(self) -> None:
            if self.fails:
                raise RuntimeError("no database")
            self.booted += 1

    async def hook(_: Request) -> int:
        return late.booted

    late = Late(Route("/a", handler(hook)))
    client = await run([late], lazy=True)
    assert (await client.get("/a")).status_code == 500
    late.fails = False
    assert [(await client.get("/a")).json() for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("given", [["/a"], [lambda: None]])
async def test_what_is_no_route(given: list[Any]) -> None:
    config = parse_config({"version": "3", "http": {"address": "127.0.0.1:0"}}).config
    with pytest.raises(PluginError, match=r"http_routes: found .* allowed: routes of Starlette"):
        http_app(config, routes=given)


def test_hooks_that_give_routes() -> None:
    """Plain functions, whose failure names them."""
    config = parse_config({"version": "3", "http": {"address": "127.0.0.1:0"}}).config

    class Broken:
        @hookimpl
        def http_routes(self) -> Any:
            raise KeyError("page")

    with pytest.raises(PluginError, match=r"Broken.http_routes \(.*test_world.py:\d+\) failed: KeyError"):
        Runtime(config, [Broken()]).web()

    class Awaited:
        @hookimpl
        async def http_routes(self) -> Any:
            return []

    class Generated:
        @hookimpl
        def http_routes(self) -> Any:
            yield None

    for plugin in (Awaited(), Generated()):
        with pytest.raises(PluginError, match="returns a list of routes, so it is a plain def without yield"):
            Runtime(config, [plugin])

    class Nothing:
        @hookimpl
        def http_routes(self) -> None:
            return None

    Runtime(config, [Nothing()]).web()


async def test_the_request_at_hand(host: Any) -> None:
    """In handlers on the loop and on threads, and in streams; none outside of requests."""
    site = Site()

    def path() -> str:
        request = current_request()
        return "none" if request is None else request.url.path

    @site.get("/async")
    async def awaited(_: Request) -> str:
        return path() + await asyncio.to_thread(path)

    @site.get("/sync")
    def blocking(_: Request) -> str:
        return path()

    @site.get("/stream")
    def stream(_: Request) -> Any:
        yield path()

    served = await host(site)
    assert [(await served.client.get(each)).text for each in ("/async", "/sync", "/stream")] == [
        "/async/async",
        "/sync",
        "/stream",
    ]
    assert current_request() is None


async def test_debug_shows_the_last_dump(host: Any) -> None:
    """That of the request which failed; without debug nobody sees it."""
    site = Site()

    @site.get("/{name}")
    def fail(request: Request) -> None:
        if request.path_params["name"] == "dumped":
            dump("first")
            dump({"second": 2})
        raise RuntimeError("broken")

    served = await host(site, debug=True)
    text = (await served.client.get("/dumped")).text
    assert "RuntimeError: broken" in text
    assert "last dump, " in text
    assert "test_world.py:" in text
    assert "'second': 2" in text
    assert "first" not in text.partition("last dump")[2]
    assert "last dump" not in (await served.client.get("/plain")).text
    assert (await (await host(site)).client.get("/dumped")).text == "Internal Server Error"


async def test_a_dump_names_its_request(host: Any, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Method and path, never the query; in handlers, on threads, in streams, and in routes of hooks."""
    caplog.set_level(logging.INFO, "rtbridge.dump")
    site = Site()

    @site.post("/async/{name}")
    async def awaited(_: Request) -> str:
        return dump("a")

    @site.get("/sync")
    def blocking(_: Request) -> str:
        return dump("b")

    @site.get("/stream")
    def stream(_: Request) -> Any:
        yield dump("c")

    class Plugin:
        @hookimpl
        def http_routes(self) -> list[Route]:
            async def answer(_: Request) -> str:
                return dump("d")

            return [Route("/hook", handler(answer))]

    served = await host(site)
    await served.client.post("/async/a%20b?token=hidden")
    await served.client.get("/sync?token=hidden")
    await served.client.get("/stream")
    await (await run([Plugin()])).get("/hook")
    dump("e")
    records = [record for record in caplog.records if record.name == "rtbridge.dump"]
    assert [record.getMessage().partition(", ")[2] for record in records] == [
        "http 'POST' '/async/a%20b'\n'a'",
        "http 'GET' '/sync'\n'b'",
        "http 'GET' '/stream'\n'c'",
        "http 'GET' '/hook'\n'd'",
        "outside of an event\n'e'",
    ]
    assert vars(records[0])["event"] == {"kind": "http", "method": "POST", "path": "/async/a%20b"}
    assert "hidden" not in caplog.text
