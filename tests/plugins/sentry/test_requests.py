"""Reports about HTTP requests and about applications that do not start, read by a server that takes them."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import sentry_sdk
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.exceptions import HTTPException
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request

from rtbridge.app import Runtime, runtime_of
from rtbridge.config import parse_config
from rtbridge.errors import PluginError
from rtbridge.http import Site
from rtbridge.workers.parent import Parent
from tests.plugins.sentry.conftest import BOUND, Sink

Run = Callable[..., Awaitable[httpx.AsyncClient]]


class User(SimpleUser):
    """One with an id."""

    @property
    def identity(self) -> str:
        return self.username


class Backend(AuthenticationBackend):
    """Believes a header."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, User] | None:
        name = conn.headers.get("x-user")
        return None if name is None else (AuthCredentials(), User(name))


site = Site()
site.add_middleware(AuthenticationMiddleware, backend=Backend())


@site.get("/orders/{number}")
async def order(request: Request) -> None:
    sentry_sdk.set_tag("order", request.path_params["number"])
    token = request.headers.get("x-token")
    raise LookupError("no such order") from KeyError(len(token or ""))


@site.get("/blocking")
def blocking(request: Request) -> None:
    raise LookupError("on a thread")


@site.get("/stream")
async def stream(request: Request) -> Any:
    yield "first"
    raise LookupError("in the middle")


@site.get("/captured")
async def captured(request: Request) -> None:
    try:
        raise LookupError("twice")
    except LookupError as exc:
        sentry_sdk.capture_exception(exc)
        raise


@site.get("/refused")
async def refused(request: Request) -> None:
    raise HTTPException(403)


@site.get("/fine")
async def fine(request: Request) -> str:
    return "fine"


def settings(sink: Sink, **http: Any) -> Any:
    tree = {
        "version": "3",
        "http": {"address": "127.0.0.1:0", **http},
        "rtbridge": {"entry_points": False, "sentry": {"dsn": sink.dsn}, "drain_timeout": "5s"},
    }
    return parse_config(tree).config


@pytest.fixture
async def run(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    """Serves an application in this process."""
    running: list[tuple[Runtime, Any, httpx.AsyncClient]] = []

    async def start(app: Any, **http: Any) -> httpx.AsyncClient:
        monkeypatch.setitem(sys.modules, "reported_site", SimpleNamespace(app=app))
        runtime = runtime_of(settings(sink, app="reported_site:app", **http))
        runtime.start(lazy=False)
        transports = runtime.transports()
        await runtime.boot()
        for transport in transports:
            await transport.start()
        client = httpx.AsyncClient(base_url=f"http://{transports[0].address}", timeout=10, trust_env=False)
        running.append((runtime, transports, client))
        return client

    yield start
    for runtime, transports, client in running:
        await client.aclose()
        await runtime.stop(transports)


async def flushed() -> None:
    await asyncio.to_thread(sentry_sdk.flush, BOUND)


async def test_what_is_reported(run: Run, sink: Sink) -> None:
    """Unexpected exceptions, each once; what a framework makes an answer of is none."""
    client = await run(site)
    for path in ("/orders/7", "/blocking", "/captured", "/refused", "/fine", "/nowhere"):
        await client.get(path)
    with pytest.raises(httpx.TransportError):
        await client.get("/stream")
    await flushed()
    assert sink.errors() == [
        ("LookupError", "in the middle"),
        ("LookupError", "no such order"),
        ("LookupError", "on a thread"),
        ("LookupError", "twice"),
    ]


async def test_who_and_where_and_never_what(run: Run, sink: Sink) -> None:
    """Method, the path of the route and the user; each request has a scope of its own."""
    client = await run(site)
    for number, user in ((7, {"x-user": "ann"}), (8, {})):
        await client.get(f"/orders/{number}?key=hidden1", headers={"x-token": "hidden2", **user})
    await flushed()
    one, two = sorted(sink.events, key=lambda event: str(event["tags"]["order"]))
    tags = {"rtbridge.event": "http", "rtbridge.method": "GET", "rtbridge.path": "/orders/{number}"}
    assert one["tags"] == {**tags, "order": "7"}
    assert two["tags"] == {**tags, "order": "8"}
    assert one["user"] == {"id": "ann"}
    assert "user" not in two
    assert b"hidden" not in sink.raw


async def ask(client: httpx.AsyncClient) -> None:
    await client.post("/a/b?c=hidden")


async def test_an_application_without_routes(run: Run, sink: Sink) -> None:
    """Has the path as it came, without the query."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            raise LookupError("plain")

    client = await run(app)
    await ask(client)
    await flushed()
    (report,) = sink.events
    assert report["tags"]["rtbridge.path"] == "/a/b"
    assert report["tags"]["rtbridge.method"] == "POST"
    assert b"hidden" not in sink.raw


async def test_an_application_that_is_not_there(sink: Sink) -> None:
    """The start ends, and is reported."""
    with pytest.raises(PluginError):
        runtime_of(settings(sink, app="nowhere_to_be_found:app")).transports()
    await flushed()
    (report,) = sink.events
    assert report["tags"] == {"rtbridge.event": "boot"}
    assert "nowhere_to_be_found cannot be imported" in report["exception"]["values"][-1]["value"]


async def test_an_application_that_does_not_start(run: Run, sink: Sink) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(PluginError):
        await run(app)
    await flushed()
    assert [event["tags"] for event in sink.events] == [{"rtbridge.event": "boot"}]


async def test_a_lazy_application_that_does_not_start(run: Run, sink: Sink) -> None:
    """Each request tries; the same failure is reported once."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    client = await run(app, lazy_boot=True)
    for _ in range(3):
        assert (await client.get("/")).status_code == 500
    await flushed()
    assert [event["tags"] for event in sink.events] == [{"rtbridge.event": "boot"}]


async def test_workers_report(sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing request of an HTTP worker, and one that does not start."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    text = "from rtbridge.http import Site\napp = Site()\n@app.get('/')\nasync def fail(request): raise LookupError\n"
    (tmp_path / "site_in_worker.py").write_text(text)
    parent = Parent(settings(sink, app="site_in_worker:app", pool={"num_workers": 1, "destroy_timeout": "5s"}))
    parent.start(lazy=False)
    (web,) = parent.transports()
    try:
        await asyncio.wait_for(web.start(), BOUND)
        async with httpx.AsyncClient(base_url=f"http://{web.address}", timeout=BOUND, trust_env=False) as client:
            assert (await client.get("/")).status_code == 500
        (tmp_path / "site_in_worker.py").write_text("1/0")
        with pytest.raises(PluginError):
            await asyncio.wait_for(parent.reload(parent.config), BOUND)
    finally:
        await asyncio.wait_for(parent.stop([web]), BOUND)
    assert [event["tags"]["rtbridge.event"] for event in sink.events] == ["http", "boot"]
