"""Clients that the application or a plugin makes after the plugins were imported, in processes of their own."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Project, Running
from tests.cli.conftest import project as project  # a fixture
from tests.cli.conftest import serve as serve
from tests.cli.conftest import start as start
from tests.plugins.sentry.conftest import BOUND, Sink

SITE = """
    import os

    import sentry_sdk
    from rtbridge.http import Site

    app = Site()

    def begin():
        sentry_sdk.init(dsn=os.environ["OWN_DSN"], release="mine", OPTIONS)
        sentry_sdk.set_tag("app", "shop")

    WHEN

    @app.get("/orders/{number}")
    async def order(request):
        sentry_sdk.set_tag("order", request.path_params["number"])
        raise LookupError("no such order")

    @app.get("/other")
    def other(request):
        raise KeyError("other")
"""

#: Where `begin` is called.
IMPORT = "    begin()"
LIFESPAN = """
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(_):
        begin()
        yield

    app.router.lifespan_context = lifespan
"""

HOOKS = """
    import os

    import sentry_sdk
    from rtbridge import Router, hookimpl

    router = Router()

    @hookimpl
    async def on_boot():
        BOOT

    @router.on_rpc("fail")
    async def fail():
        sentry_sdk.set_tag("hook", "fail")
        raise ValueError("in a hook")
"""

#: Of a client that has no integration which would report requests by itself.
BARE = "default_integrations=False"


def site(when: str, options: str = BARE) -> str:
    return SITE.replace("OPTIONS", options).replace("    WHEN", when)


def configure(project: Project, *, pool: str, lazy: bool = False, hooks: bool = False, boots: str = "false") -> None:
    events = "debug: true" if pool == "debug: true" else "num_workers: 1"
    project.config(
        f"""
        centrifuge: {{proxy_address: null, lazy_boot: {boots}, pool: {{{events}}}}}
        http: {{address: "127.0.0.1:0", app: "shop:app", lazy_boot: {str(lazy).lower()}, pool: {{{pool}}}}}
        rtbridge:
          entry_points: false
          drain_timeout: 5s
          plugins: [{"plugged" if hooks else ""}]
          http_proxy: {"{address: '127.0.0.1:0'}" if hooks else "null"}
        """
    )


def ask(running: Running, *paths: str) -> list[int]:
    with httpx.Client(base_url=running.address("web"), timeout=BOUND, trust_env=False) as client:
        return [client.get(path).status_code for path in paths]


def told(sink: Sink) -> list[tuple[Any, ...]]:
    """Of each report: its exception, and the tags that say where it was."""
    names = ("rtbridge.event", "rtbridge.method", "rtbridge.path", "app", "order", "hook")
    found = [
        (event["exception"]["values"][-1]["type"], *(event["tags"].get(name, "") for name in names))
        for event in sink.events
    ]
    return sorted(found)


@pytest.mark.parametrize(
    ("when", "lazy", "pool", "options"),
    [
        (IMPORT, False, "num_workers: 1", BARE),
        (IMPORT, True, "num_workers: 1", BARE),
        (IMPORT, False, "debug: true", BARE),
        (IMPORT, True, "debug: true", BARE),
        (LIFESPAN, False, "num_workers: 1", BARE),
        (LIFESPAN, True, "debug: true", BARE),
        (IMPORT, False, "debug: true", ""),
        (IMPORT, True, "num_workers: 1", ""),
    ],
    ids=str.split("worker lazy-worker alone lazy-alone lifespan lazy-lifespan integrations lazy-integrations"),
)
def test_an_application_that_makes_a_client(
    when: str, lazy: bool, pool: str, options: str, sink: Sink, project: Project, serve: Callable[..., Running]
) -> None:
    """Is enough: its requests have scopes, the first one of a lazy application, too, and are reported once."""
    project.write("shop.py", site(when, options))
    configure(project, pool=pool, lazy=lazy)
    running = serve(OWN_DSN=sink.dsn)
    assert ask(running, "/orders/7", "/orders/8", "/other") == [500, 500, 500]
    running.signal()
    assert running.end() == 0
    assert told(sink) == [
        ("KeyError", "http", "GET", "/other", "shop", "", ""),
        ("LookupError", "http", "GET", "/orders/{number}", "shop", "7", ""),
        ("LookupError", "http", "GET", "/orders/{number}", "shop", "8", ""),
    ]
    assert {event["release"] for event in sink.events} == {"mine"}


@pytest.mark.parametrize("where", ["the application", "on_boot", "on_boot, with the first request"])
def test_hooks_beside_it(where: str, sink: Sink, project: Project, serve: Callable[..., Running]) -> None:
    """Are reported by the same client, from then on."""
    begin, boot = IMPORT, "pass"
    if where != "the application":
        begin, boot = "", f'sentry_sdk.init(dsn=os.environ["OWN_DSN"], {BARE})'
    project.write("shop.py", site(begin))
    project.write("plugged.py", HOOKS.replace("BOOT", boot))
    configure(project, pool="debug: true", hooks=True, boots=str("first" in where).lower())
    running = serve(OWN_DSN=sink.dsn)
    assert ask(running, "/other") == [500]
    url = f"http://{running.address('HTTP')}/rpc"
    answer = httpx.post(url, json={"method": "fail", "user": "ann"}, timeout=BOUND, trust_env=False)
    assert answer.json()["error"]["code"] == 100
    running.signal()
    assert running.end() == 0
    tag = "shop" if begin else ""
    assert told(sink) == [
        ("KeyError", "http", "GET", "/other", tag, "", ""),
        ("ValueError", "rpc", "fail", "", tag, "", "fail"),
    ]


@pytest.mark.parametrize("pool", ["num_workers: 1", "debug: true"])
def test_an_application_that_makes_a_client_and_fails(
    pool: str, sink: Sink, project: Project, start: Callable[..., Running]
) -> None:
    """The start ends, and is reported before it does."""
    project.write("shop.py", site(IMPORT + "\n    raise OSError('no database')", ""))
    configure(project, pool=pool)
    running = start("serve", OWN_DSN=sink.dsn)
    assert running.end() == 2
    assert told(sink) == [("PluginError", "boot", "", "", "shop", "", "")]
