"""The HTTP plugin on a socket, in front of a folder of the test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from rtbridge.config import parse_config
from rtbridge.plugins.http import http_transport
from rtbridge.transport.uvicorn import UvicornTransport

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
    running: list[UvicornTransport] = []
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
