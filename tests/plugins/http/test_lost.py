"""Exceptions that no answer can tell of any more: whoever runs the server finds them in its log."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from rtbridge.config import parse_config
from rtbridge.http import EventStreamResponse, Site
from rtbridge.plugins.http import http_app
from rtbridge.plugins.http.intime import Requests

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def logged(caplog: pytest.LogCaptureFixture, *texts: str) -> None:
    """Wait until the log has all of these."""
    async with asyncio.timeout(10):
        while not all(text in caplog.text for text in texts):
            await asyncio.sleep(0.01)


async def test_a_generator_in_a_thread(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One that fails while it is closed, because its reader has gone."""
    site = Site()

    @site.get("/")
    def endless(_: Request) -> Iterator[bytes]:
        try:
            while True:
                yield b"first" * 10_000
        finally:
            raise ValueError("in the end")

    served = await host(site)
    reader, writer = await served.connect()
    writer.write(GET)
    await asyncio.wait_for(reader.readuntil(b"first"), 10)
    assert "in the end" not in caplog.text
    writer.transport.abort()
    await logged(caplog, "a generator failed when nobody read it any more", "ValueError: in the end")


async def test_a_stream_that_ends_with_its_server(host: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Its answer is whole, and its generator fails."""
    site = Site()

    @site.get("/")
    async def events(_: Request) -> EventStreamResponse:
        async def feed() -> AsyncIterator[str]:
            try:
                yield "first"
                await asyncio.Event().wait()
            finally:
                raise ValueError("in the end")

        return EventStreamResponse(feed())

    served = await host(site)
    reader, writer = await served.connect()
    writer.write(GET)
    await asyncio.wait_for(reader.readuntil(b"first"), 10)
    await served.server.stop(5)
    assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"0\r\n\r\n")
    writer.close()
    await logged(caplog, "a generator failed when nobody read it any more", "ValueError: in the end")


@pytest.mark.parametrize("path", ["plain", "wrapped", "other"])
async def test_a_handler_whose_body_is_refused(host: Any, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """The refusal, and what a framework makes of it, is no fault; anything else is one, and the answer is the same."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan")
        try:
            while (await receive()).get("more_body"):
                pass
        except HTTPException as exc:
            if scope["path"] == "/plain":
                raise
            if scope["path"] == "/wrapped":
                raise ValueError("unreadable") from exc
        raise KeyError("another")

    served = await host(app, max_request_size=1)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    assert (await served.client.post(f"/{path}", content=body())).status_code == 413
    told = "POST /other failed when its body was refused" in caplog.text
    assert told is (path == "other")
    assert ("KeyError: 'another'" in caplog.text) is told


async def test_a_handler_that_was_given_up(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its request is answered when `exec_ttl` is over; what it raises then is told of."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan")
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("in the end")

    module = ModuleType("site_given_up")
    vars(module)["app"] = app
    monkeypatch.setitem(sys.modules, "site_given_up", module)
    config = parse_config({"version": "3", "http": {"address": "h:1", "app": "site_given_up:app", "lazy_boot": True}})
    whole = http_app(config.config, requests=Requests(exec_ttl=0.05))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(whole), base_url="http://x") as client:
        assert (await asyncio.wait_for(client.get("/a?b=hidden"), 10)).status_code == 500
    await logged(caplog, "GET /a failed after exec_ttl", "ValueError: in the end")
    assert "hidden" not in caplog.text


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("unheard", "DEBUG has no lifespan: ValueError: broken"),
        ("heard", "WARNING site_under_test:app is served without a lifespan, which failed"),
        ("answered", "ERROR the lifespan of site_under_test:app failed"),
        ("failed", "ERROR site_under_test:app did not end well\nno farewell"),
    ],
)
async def test_a_lifespan(host: Any, when: str, told: str, caplog: pytest.LogCaptureFixture) -> None:
    """One that fails rather than to say so: the application is served, as ASGI wants it."""
    caplog.set_level(logging.DEBUG, "rtbridge.http")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
            return
        if when != "unheard":
            await receive()
        if when in ("answered", "failed"):
            await send({"type": "lifespan.startup.complete"})
            await receive()
        if when == "failed":
            await send({"type": "lifespan.shutdown.failed", "message": "no farewell"})
        raise ValueError("broken")

    served = await host(app)
    assert (await served.client.get("/")).status_code == 200
    await served.server.stop(5)
    level, _, text = told.partition(" ")
    (record,) = [record for record in caplog.records if text in record.getMessage()]
    assert record.levelname == level
    assert bool(record.exc_info) is (when in ("heard", "answered"))
