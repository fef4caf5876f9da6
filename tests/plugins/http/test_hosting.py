"""The user's application: how it is found, started and ended, and what becomes of its failures."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings
from fastapi import FastAPI
from litestar import Litestar, get
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from rtbridge import isolation
from rtbridge.config import parse_config
from rtbridge.errors import PluginError
from rtbridge.plugins.http import http_app
from rtbridge.plugins.http.hosted import Hosted
from rtbridge.plugins.http.loading import load
from rtbridge.testing import VirtualClock


async def hello(request: Request) -> Response:
    return PlainTextResponse(f"hello {request.url.path}")


def starlette() -> Starlette:
    return Starlette(routes=[Route("/{path:path}", hello, methods=["GET", "POST"])])


def fastapi() -> FastAPI:
    app = FastAPI()

    @app.get("/hello")
    async def answer() -> str:
        return "hello"

    return app


def litestar() -> Litestar:
    @get("/hello", sync_to_thread=False)
    def answer() -> str:
        return "hello"

    return Litestar([answer], openapi_config=None, logging_config=None)


def django(wsgi: bool = False) -> Any:
    if not django_settings.configured:
        django_settings.configure(ROOT_URLCONF=(), SECRET_KEY="x", LOGGING_CONFIG=None)
    from django.core.handlers.asgi import ASGIHandler
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.test import override_settings
    from django.urls import path

    class Urls:
        urlpatterns = (path("hello", lambda _: HttpResponse("hello")),)

    override_settings(ROOT_URLCONF=Urls, ALLOWED_HOSTS=["*"]).enable()
    return WSGIHandler() if wsgi else ASGIHandler()


@pytest.mark.parametrize("make", [starlette, fastapi, litestar, django])
async def test_every_framework(host: Any, make: Any) -> None:
    """What speaks ASGI is served, and answers what is not there in its own way."""
    site = await host(make())
    answer = await site.client.get("/hello")

    assert answer.status_code == 200
    assert "hello" in answer.text
    assert "content-security-policy" not in answer.headers
    missing = await site.client.get("/gone")
    assert missing.status_code == (200 if make is starlette else 404)


async def test_wsgi(host: Any) -> None:
    """An application of the older kind runs on threads, behind an adapter."""
    pytest.importorskip("a2wsgi")

    def app(environ: Any, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("200 OK", [("content-type", "text/plain")])
        return [environ["REQUEST_METHOD"].encode(), b" ", body]

    site = await host(app)
    assert (await site.client.post("/", content=b"x" * 300_000)).text == "POST " + "x" * 300_000


def test_wsgi_without_its_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Says what to install."""
    monkeypatch.setitem(sys.modules, "a2wsgi", None)
    with pytest.raises(PluginError, match=r"which needs a2wsgi; install it with pip install 'rtbridge\[wsgi\]'"):
        load("wsgi_site:app")


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Applications that can be named, right and wrong ones."""
    (tmp_path / "wsgi_site.py").write_text("def app(environ, start_response): ...\n")
    (tmp_path / "broken_site.py").write_text("import json\n\napp = 1 / 0\n")
    (tmp_path / "lacking_site.py").write_text("import no_such_library\n")
    (tmp_path / "some_site.py").write_text(
        "import functools\n"
        "class Maker:\n    async def __call__(self, scope, receive, send): ...\n"
        "class Shop:\n    app = Maker()\n"
        "def create_app(): return Maker()\n"
        "def one(x): ...\n"
        "def decorated(*args): ...\n"
        "partial = functools.partial(decorated, 1)\n"
        "number = 5\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("wsgi_site", "broken_site", "lacking_site", "some_site", "late_site"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gone_site:app", "gone_site cannot be imported: ModuleNotFoundError: No module named 'gone_site'"),
        ("broken_site:app", "broken_site cannot be imported (FOLDER/broken_site.py:3): ZeroDivisionError: division by "
         "zero"),
        ("lacking_site:app", "lacking_site cannot be imported (FOLDER/lacking_site.py:1): ModuleNotFoundError: No "
         "module named 'no_such_library'"),
        ("some_site:create", "some_site has no create; did you mean create_app?"),
        ("some_site:Shop.ap", "some_site:Shop has no ap; did you mean app?"),
        ("some_site:zzz", "some_site has no zzz"),
        ("some_site:number", "some_site:number is no application but a int; allowed: an ASGI or a WSGI application"),
        ("some_site:one", "some_site:one is no application but a function; allowed: an ASGI or a WSGI application"),
        ("some_site:create_app", "some_site:create_app makes an application and is none; write app = create_app() in "
         "its module, and name that"),
        ("some_site:Maker", "some_site:Maker makes an application and is none; write app = Maker() in its module, and "
         "name that"),
    ],
)  # fmt: skip
def test_what_is_no_application(name: str, text: str, modules: Path) -> None:
    """Said in plain words at the start, with the place in the user's own code."""
    config = parse_config({"version": "3", "http": {"address": "127.0.0.1:0", "app": name}}).config
    with pytest.raises(PluginError) as caught:
        http_app(config)

    assert str(caught.value).replace(str(modules), "FOLDER") == f"http.app: {text}"


@pytest.mark.parametrize("name", ["some_site:Shop.app", "some_site:decorated", "some_site:partial"])
def test_what_is_one(name: str) -> None:
    """Attributes of attributes, and what takes anything."""
    assert callable(load(name))


async def test_lifespan(host: Any) -> None:
    """It is started before the first request, its state is in each one, and it is ended after the last."""
    seen: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        seen.append("up")
        yield {"pool": [1]}
        seen.append("down")

    async def answer(request: Request) -> Response:
        return PlainTextResponse(f"{request.state.pool} {request.state.api}")

    site = await host(Starlette(routes=[Route("/", answer)], lifespan=lifespan), state={"api": "api"})
    assert seen == ["up"]
    assert (await site.client.get("/")).text == "[1] api"
    await site.server.stop(1)
    assert seen == ["up", "down"]


async def test_a_lifespan_that_fails(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing listens, and the reason is the error's."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if app.routes == []:
            raise RuntimeError("no database")
        yield

    with pytest.raises(PluginError, match=r"http\.app: site_under_test:app did not start: RuntimeError: no database"):
        await host(Starlette(lifespan=lifespan))
    assert "Traceback" in caplog.text


async def test_a_lifespan_that_fails_without_a_word(host: Any) -> None:
    """The protocol lets it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed"})

    with pytest.raises(PluginError, match="did not start: it does not say why"):
        await host(app)


async def test_a_lifespan_that_does_not_end(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its time, and no more; one that ends badly is told of."""

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.Event().wait()

    async def bad(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "lost"})

    for app in (slow, bad):
        monkeypatch.setattr(sys.modules[__name__], "late", app, raising=False)
        hosted = Hosted(f"{__name__}:late", lazy=False)
        await hosted.startup()
        await hosted.shutdown(0.05)
    assert "did not end within 0.05 s" in caplog.text
    assert "did not end well\nlost" in caplog.text


async def test_lazy_boot(modules: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The application is imported with its first request; where that fails, that one has a 500, and later ones try."""
    config = parse_config(
        {"version": "3", "http": {"address": "127.0.0.1:0", "app": "late_site:app", "lazy_boot": True}}
    ).config
    clock = VirtualClock()
    app = http_app(config, clock=clock)
    await app.startup()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://h") as client:
        first = await client.get("/")
        code = "from starlette.responses import PlainTextResponse\napp = PlainTextResponse('late')\n"
        (modules / "late_site.py").write_text(code)
        at_once = await client.get("/")
        clock.advance(1.1)
        later = await client.get("/")
    await app.shutdown(1)

    assert [first.status_code, at_once.status_code] == [500, 500]
    assert first.text == "Internal Server Error"
    assert (later.status_code, later.text) == (200, "late")
    assert "http.app: late_site cannot be imported: ModuleNotFoundError" in caplog.text
    assert "Traceback" not in caplog.text


async def test_one_start_for_all(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that come while it starts wait for that start."""
    began: list[int] = []
    go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            began.append(1)
            await receive()
            await go.wait()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        else:
            await PlainTextResponse("ok")(scope, receive, send)

    monkeypatch.setattr(sys.modules[__name__], "late", app, raising=False)
    hosted = Hosted(f"{__name__}:late", lazy=True)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(hosted), base_url="http://h") as client:
        asked = [asyncio.create_task(client.get("/")) for _ in range(3)]
        while not began:
            await asyncio.sleep(0)
        go.set()
        answers = await asyncio.wait_for(asyncio.gather(*asked), 10)
    await hosted.shutdown(1)

    assert [answer.text for answer in answers] == ["ok"] * 3
    assert began == [1]


@pytest.mark.parametrize(("settings", "status"), [({}, 500), ({"internal_error_code": 503}, 503)])
async def test_an_exception(host: Any, settings: Any, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever asked learns nothing of it; the log has it, without what the query held."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            raise RuntimeError("secret")

    site = await host(app, **settings)
    answer = await site.client.get("/a%0ab?token=1")

    assert answer.status_code == status
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "GET /a%0ab failed" in caplog.text
    assert "RuntimeError: secret" in caplog.text
    assert not any("token" in record.getMessage() for record in caplog.records if record.name != "httpx")


async def test_debug_shows_the_traceback(host: Any) -> None:
    """As plain text: nothing in it is markup."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            raise RuntimeError("<b>why</b>")

    answer = await (await host(app, debug=True)).client.get("/")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "Traceback" in answer.text
    assert "RuntimeError: <b>why</b>" in answer.text


async def test_no_answer_and_half_an_answer(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The first is a 500, the second a connection that is cut."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})

    site = await host(app)
    assert (await site.client.get("/none")).status_code == 500
    with pytest.raises(httpx.HTTPError):
        await site.client.get("/half")
    assert "GET /none: the application did not answer" in caplog.text
    assert "GET /half: the application did not end its answer" in caplog.text
    assert [record.name for record in caplog.records if record.levelno >= logging.ERROR] == ["rtbridge.http"] * 2


async def test_two_answers(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An exception after the end of an answer is logged, and nothing else."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await PlainTextResponse("whole")(scope, receive, send)
            raise RuntimeError("late")

    site = await host(app)
    assert (await site.client.get("/")).text == "whole"
    assert (await site.client.get("/")).text == "whole"
    assert caplog.text.count("RuntimeError: late") >= 1


async def test_what_is_reset(host: Any) -> None:
    """After each answer, also after one that failed."""

    class Cache:
        count = 0

        def reset(self) -> None:
            self.count += 1

    cache = isolation.resettable(Cache())
    site = await host(starlette())
    for _ in range(2):
        await site.client.get("/")
    await site.server.stop(1)
    assert cache.count == 2


async def test_access_log(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Who asked for what, and what came of it; never the query."""
    caplog.set_level(logging.INFO, "rtbridge.http.access")
    site = await host(starlette(), access_logs=True)
    await site.client.get("/shop?token=1")
    await site.server.stop(1)
    (record,) = [record for record in caplog.records if record.name == "rtbridge.http.access"]

    assert record.getMessage().startswith("127.0.0.1 GET /shop 200, 11 bytes, ")
    event: Any = record.__dict__["event"]
    assert (event["method"], event["path"], event["status"], event["bytes"]) == ("GET", "/shop", 200, 11)
    assert "token" not in record.getMessage()


async def test_a_page_with_an_application_behind_it(host: Any) -> None:
    """It is told where the realtime server is, if there is one; else the path is the application's, too."""
    told = await host(starlette(), rtbridge={"embedded": {}})
    assert "websocket" in (await told.client.get("/config.json")).json()
    assert (await told.client.post("/config.json")).text == "hello /config.json"
    alone = await host(starlette())
    assert (await alone.client.get("/config.json")).text == "hello /config.json"


async def test_a_socket_that_is_given(host: Any) -> None:
    """As a process gets it from the one that bound it."""
    from rtbridge.transport.settings import bind

    listener = bind("127.0.0.1:0", "test")
    port = listener.getsockname()[1]
    site = await host(starlette(), listener=listener)

    assert site.server.address == f"127.0.0.1:{port}"
    assert (await site.client.get("/")).status_code == 200


async def test_another_host_runs_the_application() -> None:
    """Start and end are passed on, and a start that fails is told as the protocol has it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    sys.modules[__name__].__dict__["late"] = app
    tree = {"version": "3", "http": {"address": "127.0.0.1:0", "app": f"{__name__}:late"}}
    whole = http_app(parse_config(tree).config)
    given = iter([{"type": "lifespan.startup"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(given)

    async def send(message: Any) -> None:
        sent.append(message)

    await whole({"type": "lifespan"}, receive, send)
    assert sent == [
        {"type": "lifespan.startup.failed", "message": f"http.app: {__name__}:late did not start: no database"}
    ]
    await whole({"type": "websocket"}, receive, send)
    assert sent[-1]["type"] == "websocket.close"
