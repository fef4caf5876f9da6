"""What a page is told, and the headers that come with everything."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from rtbridge.config import Config, parse_config
from rtbridge.errors import ConfigError
from rtbridge.plugins.http import http_app, http_transport
from rtbridge.plugins.http.realtime import Realtime


def realtime(**own: Any) -> Realtime:
    """The realtime server of a configuration."""
    found = Realtime.of(parse_config({"version": "3", "rtbridge": own}).config)
    assert found is not None
    return found


WS = "/connection/websocket"


@pytest.mark.parametrize(
    ("embedded", "host", "url"),
    [
        ({}, "shop.example.com:8080", "ws://shop.example.com:8000"),
        ({"http_server": {"address": "0.0.0.0"}}, "localhost", "ws://localhost:8000"),
        ({"http_server": {"address": "::", "port": 9000}}, "[::1]:80", "ws://[::1]:9000"),
        ({"http_server": {"address": "127.0.0.1"}}, "127.0.0.1:8080", "ws://127.0.0.1:8000"),
        ({"http_server": {"address": "::1"}}, "10.1.1.1", "ws://10.1.1.1:8000"),
        ({"http_server": {"address": "localhost"}}, "h", "ws://h:8000"),
        ({"http_server": {"address": "10.0.0.5"}}, "h", "ws://10.0.0.5:8000"),
        ({"http_server": {"address": "fd00::1"}}, "h", "ws://[fd00::1]:8000"),
        ({"http_server": {"address": "rt.internal"}}, "h", "ws://rt.internal:8000"),
    ],
)
def test_the_embedded_server_is_where_the_page_came_from(embedded: dict[str, Any], host: str, url: str) -> None:
    """Where it listens on every interface or for this machine only, the page's own host is the one that works."""
    found = realtime(embedded=embedded)

    assert found.at(host) == {"websocket": f"{url}{WS}"}
    assert found.sources(host) == url


@pytest.mark.parametrize("host", ["", "a b", "x;script-src *", "a/b", "a:b", "u@h", "[::1", "é", "-", "a" * 9 + "\r\n"])
def test_a_host_that_is_none_is_not_repeated(host: str) -> None:
    """It would stand in a header."""
    found = realtime(embedded={})

    assert found.sources(host) == "ws://127.0.0.1:8000"


def test_tls_and_the_other_transports(tmp_path: Path) -> None:
    """Every transport that is served, with its own path; those that only send are of no use to a page that talks."""
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    found = realtime(
        embedded={
            "http_server": {"tls": {"enabled": True, "cert_pem": pem, "key_pem": pem}},
            "websocket": {"handler_prefix": "/ws"},
            "sse": {"enabled": True},
            "http_stream": {"enabled": True, "handler_prefix": "/stream"},
            "uni_sse": {"enabled": True},
            "emulation": {"handler_prefix": "/back"},
        }
    )

    assert found.at("h") == {
        "websocket": "wss://h:8000/ws",
        "sse": "https://h:8000/connection/sse",
        "http_stream": "https://h:8000/stream",
        "emulation": "https://h:8000/back",
    }
    assert found.sources("h") == "wss://h:8000 https://h:8000"


def test_without_websocket() -> None:
    """A transport that is switched off is not offered."""
    found = realtime(embedded={"websocket": {"disabled": True}, "sse": {"enabled": True}})

    assert sorted(found.at("h")) == ["emulation", "sse"]


@pytest.mark.parametrize(
    ("url", "told", "sources"),
    [
        ("wss://rt.example.com", f"wss://rt.example.com{WS}", "wss://rt.example.com"),
        ("https://rt.example.com:444/rt/", f"wss://rt.example.com:444/rt{WS}", "wss://rt.example.com:444"),
        ("ws://[::1]:8000", f"ws://[::1]:8000{WS}", "ws://[::1]:8000"),
    ],
)
def test_a_url_of_ones_own_wins(url: str, told: str, sources: str) -> None:
    """Behind a proxy, or with a real Centrifugo, whose other transports are off as it comes."""
    for found in (realtime(public_url=url), realtime(public_url=url, embedded={"http_server": {"port": 1}})):
        assert found.at("h") == {"websocket": told}
        assert found.sources("h") == sources


async def test_the_page_is_told(serve: Any) -> None:
    """`/config.json` has the application's name and the addresses, for the host that was asked."""
    client = await serve(rtbridge={"embedded": {}})
    answer = await client.get("/config.json", headers={"host": "shop.example.com:8080"})

    assert answer.json() == {"name": "shop", "websocket": f"ws://shop.example.com:8000{WS}"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_page_without_a_realtime_server(serve: Any) -> None:
    """It is told that there is none, and may connect to nothing else."""
    answer = await (await serve()).get("/config.json")

    assert answer.json() == {"name": "shop"}
    assert "connect-src 'self' ;" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/", "GET", 200), ("/config.json", "GET", 200), ("/gone", "GET", 404), ("/", "POST", 405)],
)
async def test_every_answer_is_guarded(serve: Any, path: str, method: str, status: int) -> None:
    """Scripts of its own only, connections to the realtime server only, no frames, no guessing of types."""
    client = await serve(rtbridge={"embedded": {"sse": {"enabled": True}}})
    answer = await client.request(method, path, headers={"host": "h:8080"})

    assert answer.status_code == status
    policy = answer.headers["content-security-policy"].split("; ")
    assert "default-src 'self'" in policy
    assert "connect-src 'self' ws://h:8000 http://h:8000" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"


async def test_headers_of_ones_own(serve: Any) -> None:
    """They join the others, or take their place, in any case of letters; 304 has them, too."""
    own = {"X-Powered-By": "tea", "Content-Security-Policy": "connect-src {realtime}", "cache-control": "max-age=60"}
    client = await serve({"response": own}, rtbridge={"public_url": "wss://rt.example.com"})
    answer = await client.get("/app.js")
    again = await client.get("/app.js", headers={"if-none-match": answer.headers["etag"]})

    for each in (answer, again):
        assert each.headers.get_list("content-security-policy") == ["connect-src wss://rt.example.com"]
        assert each.headers.get_list("cache-control") == ["max-age=60"]
        assert each.headers["x-powered-by"] == "tea"
        assert each.headers["x-content-type-options"] == "nosniff"


async def test_a_server_without_files() -> None:
    """It tells pages of others' servers where the realtime server is, and has nothing else."""
    config = parse_config({"version": "3", "http": {"address": "127.0.0.1:0"}}).config
    transport = httpx.ASGITransport(app=http_app(config))
    async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
        assert (await client.get("/config.json")).status_code == 200
        assert (await client.get("/")).status_code == 404


async def test_a_unix_socket(tmp_path: Path) -> None:
    """As a reverse proxy on the same machine likes it."""
    config = parse_config({"version": "3", "http": {"address": f"unix://{tmp_path}/web.sock"}}).config
    transport = http_transport(config)
    await transport.start()
    try:
        uds = httpx.AsyncHTTPTransport(uds=f"{tmp_path}/web.sock")
        async with httpx.AsyncClient(transport=uds, base_url="http://h") as client:
            assert (await client.get("/config.json")).json() == {"name": "rtbridge"}
    finally:
        await transport.stop(1)


async def test_another_host_may_run_it() -> None:
    """The application takes part in the lifespan of whatever ASGI server mounts it."""
    app = http_app(parse_config({"version": "3", "http": {"address": "127.0.0.1:0"}}).config)
    given = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return next(given)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_no_section_no_server() -> None:
    """Whoever asks for one without it made a mistake."""
    for make in (http_app, http_transport):
        with pytest.raises(ConfigError, match="http"):
            make(Config())


async def test_websockets_are_not_served_here(serve: Any) -> None:
    """An upgrade is answered as what it is underneath, a request for a page."""
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x", "sec-websocket-version": "13"}
    answer = await (await serve()).get("/", headers=upgrade)

    assert answer.status_code == 200
