"""Streams whose makers fail: before the first part they are answered, after it the connection is cut."""

import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from rtbridge.config import parse_config
from rtbridge.http import Site
from rtbridge.plugins.http import http_app

GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("debug", [False, True])
async def test_an_exception_before_the_first_part(host: Any, kind: str, debug: bool) -> None:
    """Nothing has been sent, so it is answered; with debug by the traceback, in place of Starlette's bare page."""
    answer = await (await host(failing(after=0), debug=debug)).client.get(f"/{kind}")

    assert answer.status_code == 500
    assert ("no rows" in answer.text) is debug


def failing(after: int) -> Site:
    site = Site()

    @site.get("/sync")
    def sync(_: Request) -> Iterator[bytes]:
        for _n in range(after):
            yield b"part"
        raise ValueError("no rows")

    @site.get("/async")
    async def asynchronous(_: Request) -> AsyncIterator[bytes]:
        for _n in range(after):
            yield b"part"
        raise ValueError("no rows")

    @site.get("/sync/exit")
    def leave(_: Request) -> Iterator[bytes]:
        yield b"part"
        raise SystemExit

    @site.get("/async/exit")
    async def leave_too(_: Request) -> AsyncIterator[bytes]:
        yield b"part"
        raise SystemExit

    @site.get("/sync/kind")
    def wrong(_: Request) -> Iterator[Any]:
        yield b"part"
        yield 5

    @site.get("/async/kind")
    async def wrong_too(_: Request) -> AsyncIterator[Any]:
        yield b"part"
        yield 5

    return site


@pytest.mark.parametrize("path", ["sync", "async", "sync/exit", "async/exit", "sync/kind", "async/kind"])
async def test_an_exception_after_the_first_part(host: Any, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """The parts before it arrive, then the connection is cut: no second head, and no end that looks good."""
    site = await host(failing(after=2))
    answer = await site.raw(GET % path.encode())
    head, _, body = answer.partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body.count(b"part") == (2 if "/" not in path else 1)
    assert b"HTTP/1.1" not in body
    assert not body.endswith(b"0\r\n\r\n")
    assert f"GET /{path} failed" in caplog.text
    assert (await site.client.get("/gone")).status_code == 404


async def test_other_servers_have_no_way_to_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told by the exception."""
    module = ModuleType("site_elsewhere")
    vars(module)["app"] = failing(after=1)
    monkeypatch.setitem(sys.modules, "site_elsewhere", module)
    tree = {"version": "3", "http": {"address": "127.0.0.1:0", "app": "site_elsewhere:app"}}
    transport = httpx.ASGITransport(http_app(parse_config(tree).config))
    async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
        with pytest.raises(ValueError, match="no rows"):
            await client.get("/async")
