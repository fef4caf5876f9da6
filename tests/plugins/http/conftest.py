"""The HTTP plugin on a socket, in front of a folder of the test's own."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from rtbridge.config import parse_config
from rtbridge.plugins.http import http_transport
from rtbridge.plugins.http.server import HttpServer

Serve = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a page, files of several kinds, and some that nobody may have."""
    web = tmp_path / "web"
    (web / "sub" / ".git").mkdir(parents=True)
    (web / "empty").mkdir()
    (web / "index.html").write_text("<p>home</p>")
    (web / "app.js").write_text("let x;")
    (web / "LICENSE").write_text("free")
    (web / "data.bin").write_bytes(bytes(range(256)) * 4096)
    (web / "naïve page.txt").write_text("é")
    (web / ".env").write_text("SECRET=1")
    (web / "sub" / "index.html").write_text("<p>sub</p>")
    (web / "sub" / ".git" / "config").write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "web2").mkdir()
    (tmp_path / "web2" / "secret.txt").write_text("secret")
    return web


@pytest.fixture
async def serve(folder: Path) -> AsyncIterator[Serve]:
    """Serves the folder: ``await serve(static={...}, rtbridge={...})`` gives a client of it."""
    running: list[HttpServer] = []
    clients: list[httpx.AsyncClient] = []

    async def start(static: dict[str, Any] | None = None, **more: Any) -> httpx.AsyncClient:
        http = {"address": "127.0.0.1:0", "middleware": ["static"], "static": {"dir": str(folder), **(static or {})}}
        config = parse_config({"version": "3", "http": http, "centrifuge": {"name": "shop"}, **more}).config
        transport = http_transport(config)
        await transport.start()
        running.append(transport)
        client = httpx.AsyncClient(base_url=f"http://{transport.address}", timeout=10, trust_env=False)
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.aclose()
    for transport in running:
        await transport.stop(1)


class Site:
    """A running server, a client of it, and raw connections to it."""

    def __init__(self, server: HttpServer, client: httpx.AsyncClient) -> None:
        self.server = server
        self.client = client

    async def connect(self, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of one's own."""
        host, _, port = self.server.address.rpartition(":")
        return await asyncio.open_connection(host, int(port), **options)

    async def raw(self, request: bytes) -> bytes:
        """All that comes back for some bytes, until the connection ends in one way or another."""
        reader, writer = await self.connect()
        writer.write(request)
        got = bytearray()
        async with asyncio.timeout(15):
            try:
                while data := await reader.read(65536):
                    got += data
            except ConnectionError:
                pass
        writer.close()
        return bytes(got)


Host = Callable[..., Awaitable[Site]]


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    """Serves an application: ``await host(app, middleware=["gzip"])`` gives a running site."""
    running: list[Site] = []

    async def start(
        app: Any = None,
        *,
        rtbridge: Any = None,
        connections: Any = None,
        listener: Any = None,
        state: Any = None,
        **http: Any,
    ) -> Site:
        if app is not None:
            module = ModuleType("site_under_test")
            vars(module)["app"] = app
            monkeypatch.setitem(sys.modules, "site_under_test", module)
            http["app"] = "site_under_test:app"
        tree = {"version": "3", "http": {"address": "127.0.0.1:0", **http}, "rtbridge": rtbridge or {}}
        config = parse_config(tree, base_dir=tmp_path).config
        options = {} if connections is None else {"connections": connections}
        listeners = None if listener is None else {"web": listener}
        server = http_transport(config, listeners=listeners, state=state, **options)
        await server.start()
        client = httpx.AsyncClient(base_url=f"http://{server.address}", timeout=10, trust_env=False)
        running.append(Site(server, client))
        return running[-1]

    yield start
    for site in running:
        await site.client.aclose()
        await site.server.stop(1)
