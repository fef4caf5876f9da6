"""The HTTP proxy mounted in the frameworks that people have, with their own requests beside it."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Any

import django
import httpx
import pytest
from django.conf import settings as django_settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path as django_path
from fastapi import FastAPI
from litestar import Litestar, asgi, get
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import rtbridge
from rtbridge import PluginError, RPCEvent, RPCResult, hookimpl

CONFIG = {"rtbridge": {"entry_points": False}}


class Plugin:
    """Remembers its life."""

    def __init__(self) -> None:
        self.life: list[str] = []

    @hookimpl
    async def on_boot(self) -> None:
        self.life.append("boot")

    @hookimpl
    async def on_rpc(self, event: RPCEvent) -> RPCResult:
        return RPCResult(data=event.data)

    @hookimpl
    async def on_shutdown(self) -> None:
        self.life.append("shutdown")


@contextlib.asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """What an ASGI server does around its requests."""
    to_app: asyncio.Queue[Any] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    running = asyncio.create_task(app(scope, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    assert (await asyncio.wait_for(from_app.get(), 10))["type"] == "lifespan.startup.complete"
    yield
    await to_app.put({"type": "lifespan.shutdown"})
    assert (await asyncio.wait_for(from_app.get(), 10))["type"] == "lifespan.shutdown.complete"
    await asyncio.wait_for(running, 10)


async def post(app: Any, path: str, **data: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.post(path, json=data)


async def fetch(app: Any, path: str) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return (await client.get(path)).text


async def check(app: Any, plugin: Plugin, booted: list[str]) -> None:
    """The application's own route and the proxy's answer side by side."""
    assert plugin.life == booted
    assert "own" in await fetch(app, "/own")
    answer = await post(app, "/centrifugo/rpc", data={"n": 1})
    assert (answer.status_code, answer.json()) == (200, {"result": {"data": {"n": 1}}})
    assert (await post(app, "/centrifugo/subscribe")).json() == {"disconnect": {"code": 4500, "reason": "not handled"}}
    assert (await post(app, "/centrifugo/nowhere")).status_code == 404
    assert plugin.life == ["boot"]


async def own(request: Request) -> PlainTextResponse:
    return PlainTextResponse("own")


async def test_fastapi_with_its_lifespan() -> None:
    """FastAPI, where the application's lifespan enters ours: boot and shutdown run with the server's."""
    plugin = Plugin()
    proxy = rtbridge.asgi(CONFIG, [plugin])

    @contextlib.asynccontextmanager
    async def both(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(proxy):
            yield

    app = FastAPI(lifespan=both)
    app.mount("/centrifugo", proxy)

    @app.get("/own")
    async def own_route() -> str:
        return "own"

    async with lifespan(app):
        await check(app, plugin, ["boot"])
    assert plugin.life == ["boot", "shutdown"]


async def test_fastapi_without_a_lifespan() -> None:
    """Mounted and no more: plugins boot once, with the first call, also when several come at once."""
    plugin = Plugin()
    app = FastAPI()
    app.mount("/centrifugo", rtbridge.asgi(CONFIG, [plugin]))

    @app.get("/own")
    async def own_route() -> str:
        return "own"

    async with lifespan(app):
        assert plugin.life == []
        answers = await asyncio.gather(*(post(app, "/centrifugo/rpc", data=n) for n in range(5)))
        assert [answer.json()["result"]["data"] for answer in answers] == [0, 1, 2, 3, 4]
        await check(app, plugin, ["boot"])


async def test_starlette() -> None:
    """Starlette, by `Mount`."""
    plugin = Plugin()
    app = Starlette(routes=[Route("/own", own), Mount("/centrifugo", app=rtbridge.asgi(CONFIG, [plugin]))])
    await check(app, plugin, [])


async def test_litestar() -> None:
    """Litestar, by its mount of ASGI applications."""
    plugin = Plugin()
    proxy = rtbridge.asgi(CONFIG, [plugin])

    @get("/own", sync_to_thread=False)
    def own_route() -> str:
        return "own"

    mounted: Any = asgi("/centrifugo", is_mount=True, copy_scope=True)(proxy)
    app = Litestar(route_handlers=[own_route, mounted], openapi_config=None, logging_config=None)
    async with lifespan(app):
        await check(app, plugin, [])


def own_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("own")


urlpatterns = [django_path("own", own_view)]


async def test_django() -> None:
    """Django has no mounts and refuses the lifespan: a dispatcher by path, as its documentation has it."""
    if not django_settings.configured:
        django_settings.configure(SECRET_KEY="x", LOGGING_CONFIG=None)
    django.setup()
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"]):  # others may have configured it for themselves
        await _django()


async def _django() -> None:
    plugin = Plugin()
    site, proxy = get_asgi_application(), rtbridge.asgi(CONFIG, [plugin])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        chosen: Any = proxy if scope.get("path", "").startswith("/centrifugo/") else site
        await chosen(scope, receive, send)

    await check(app, plugin, [])


async def test_a_websocket_is_closed() -> None:
    """A WebSocket that is routed here by mistake is closed, and not left open."""
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    app: Any = rtbridge.asgi(CONFIG)
    await app({"type": "websocket", "path": "/rpc", "headers": []}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_boot_that_fails() -> None:
    """The lifespan reports it with the hook's name; a call is refused and tries to boot again, where it stopped."""
    booted: list[str] = []

    class Works:
        @hookimpl(tryfirst=True)
        async def on_boot(self) -> None:
            booted.append("works")

    class Broken:
        down = True

        @hookimpl
        async def on_boot(self) -> None:
            if self.down:
                raise RuntimeError("no database")
            booted.append("back")

    broken = Broken()
    app: Any = rtbridge.asgi(CONFIG, [Works(), broken])
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(event: Any) -> None:
        sent.append(event)

    with pytest.raises(PluginError, match=r"Broken\.on_boot"):
        await app({"type": "lifespan"}, receive, send)
    (failed,) = sent
    assert failed["type"] == "lifespan.startup.failed"
    assert failed["message"].endswith("failed: RuntimeError: no database")
    refused = await post(app, "/rpc")
    assert (refused.status_code, refused.json()) == (500, {"message": "internal error"})
    broken.down = False
    assert (await post(app, "/rpc")).status_code == 200
    assert booted == ["works", "back"]


async def test_the_client_leaves_a_mounted_proxy() -> None:
    """Hooks of a caller that goes away are cancelled also behind a framework."""
    reached, cancelled = asyncio.Event(), threading.Event()

    class Slow:
        @hookimpl
        async def on_rpc(self) -> None:
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    app = Starlette(routes=[Mount("/centrifugo", app=rtbridge.asgi(CONFIG, [Slow()]))])
    messages: list[Any] = [{"type": "http.request", "body": b"{}"}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await reached.wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        raise AssertionError(event)

    scope = {"type": "http", "method": "POST", "path": "/centrifugo/rpc", "headers": [], "query_string": b""}
    await asyncio.wait_for(app(scope, receive, send), 10)
    assert cancelled.is_set()
