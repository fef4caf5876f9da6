"""TLS of the HTTP server: beside plain text or alone, with certificates of clients, in workers."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from rtbridge.config import parse_config
from rtbridge.errors import ConfigError, ListenError
from rtbridge.plugins.http import http_transport
from rtbridge.plugins.http.doors import Redirect
from rtbridge.plugins.http.server import HttpServer
from tests.cli.conftest import certificates as certificates  # a fixture
from tests.workers.conftest import project as project
from tests.workers.conftest import soon
from tests.workers.web import served, web_configuration

Serve = Callable[..., Awaitable[HttpServer]]


def client(certificates: Path, name: str | None = None) -> httpx.AsyncClient:
    """One that trusts the authority, and shows a certificate where it is told to."""
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    if name is not None:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return httpx.AsyncClient(verify=context, timeout=10, trust_env=False)


def section(certificates: Path, **more: Any) -> dict[str, Any]:
    files = {"cert": str(certificates / "server.pem"), "key": str(certificates / "server.key")}
    return {"address": "127.0.0.1:0", **files, **more}


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serves a page as the section ``http`` says."""
    running: list[HttpServer] = []
    (tmp_path / "index.html").write_text("<p>home</p>")

    async def start(**http: Any) -> HttpServer:
        page = {"middleware": ["static"], "static": {"dir": str(tmp_path)}}
        server = http_transport(parse_config({"version": "3", "http": {**page, **http}}).config)
        await server.start()
        running.append(server)
        return server

    yield start
    for server in running:
        await server.stop(1)


async def test_beside_plain_text(serve: Serve, certificates: Path) -> None:
    """The application is the same; the scheme is told."""
    server = await serve(address="127.0.0.1:0", ssl=section(certificates))
    assert set(server.places) == {"web", "https"}
    async with client(certificates) as http:
        for scheme, name in (("http", "web"), ("https", "https")):
            assert (await http.get(f"{scheme}://{server.places[name]}/")).text == "<p>home</p>"


async def test_alone(serve: Serve, certificates: Path) -> None:
    server = await serve(ssl=section(certificates))
    async with client(certificates) as http:
        assert (await http.get(f"https://{server.address}/")).status_code == 200
        with pytest.raises(httpx.TransportError):
            await http.get(f"http://{server.address}/")


@pytest.mark.parametrize(
    ("kind", "shown", "let_in"),
    [
        ("verify_client_cert_if_given", None, True),
        ("verify_client_cert_if_given", "client", True),
        ("require_and_verify_client_cert", "client", True),
        ("require_and_verify_client_cert", None, False),
    ],
)
async def test_certificates_of_clients(
    serve: Serve, certificates: Path, kind: str, shown: str | None, let_in: bool
) -> None:
    settings = section(certificates, root_ca=str(certificates / "ca.pem"), client_auth_type=kind)
    server = await serve(ssl=settings)
    async with client(certificates, shown) as http:
        if let_in:
            assert (await http.get(f"https://{server.address}/")).status_code == 200
        else:
            with pytest.raises(httpx.TransportError):
                await http.get(f"https://{server.address}/")


async def test_redirect(serve: Serve, certificates: Path) -> None:
    """To the same host and path; nothing else is told in plain text."""
    server = await serve(address="127.0.0.1:0", ssl=section(certificates, redirect=True))
    async with client(certificates) as http:
        answer = await http.post(f"http://{server.places['web']}/a%20b?c=d%26", content=b"x")
    assert answer.status_code == 308
    assert answer.headers["location"].startswith("https://127.0.0.1:")
    assert answer.headers["location"].endswith("/a%20b?c=d%26")


@pytest.mark.parametrize(
    ("port", "host", "status", "location"),
    [
        (443, "shop.example.com", 308, "https://shop.example.com/a"),
        (443, "shop.example.com:80", 308, "https://shop.example.com/a"),
        (8443, "[::1]:8080", 308, "https://[::1]:8443/a"),
        (443, "evil.example@shop", 400, None),
        (443, "", 400, None),
        (443, "a/b", 400, None),
    ],
)
async def test_where_a_redirect_leads(port: int, host: str, status: int, location: str | None) -> None:
    """A host that is none is not repeated."""
    transport = httpx.ASGITransport(Redirect(port))
    async with httpx.AsyncClient(transport=transport, base_url="http://h") as http:
        answer = await http.get("/a", headers={"host": host})
    assert (answer.status_code, answer.headers.get("location")) == (status, location)


async def test_files_that_are_no_certificate(serve: Serve, certificates: Path, tmp_path: Path) -> None:
    (tmp_path / "rubbish.pem").write_text("rubbish")
    with pytest.raises(ListenError, match=r"http\.ssl: the files cannot be used"):
        await serve(ssl=section(certificates, cert=str(tmp_path / "rubbish.pem")))


@pytest.mark.parametrize(
    ("http", "why"),
    [
        ({}, "http: found neither address nor ssl, allowed: one of them or both"),
        (
            {"ssl": {"redirect": True}},
            "http: found ssl.redirect, but no address to answer at, allowed: both or neither",
        ),
        (
            {"address": "h:1", "ssl": {"client_auth_type": "require_and_verify_client_cert"}},
            "http.ssl: found client_auth_type require_and_verify_client_cert, but no root_ca, allowed: both or neither",
        ),
        (
            {"address": "h:1", "ssl": {"client_auth_type": "request_client_cert"}},
            "http.ssl.client_auth_type: found a string 'request_client_cert', allowed: no_client_cert, "
            "require_and_verify_client_cert, verify_client_cert_if_given; did you mean no_client_cert?",
        ),
        (
            {"address": "h:1", "ssl": {"acme": {"email": "a@b.c"}}},
            "http.ssl.acme: certificates are not fetched here: have certbot or acme.sh write http.ssl.cert and key and "
            "run rtbridge reload, or put a proxy such as Caddy in front",
        ),
    ],
)
def test_a_section_that_is_wrong(certificates: Path, http: dict[str, Any], why: str) -> None:
    if "ssl" in http:
        http = {**http, "ssl": section(certificates, **http["ssl"])}
    with pytest.raises(ConfigError) as found:
        parse_config({"version": "3", "http": http})
    assert str(found.value).partition(": ")[2] == why


def test_the_default_address(certificates: Path) -> None:
    """RoadRunner's; its other word for no certificates is known, too."""
    settings = section(certificates, client_auth_type="no_client_certs")
    del settings["address"]
    config = parse_config({"version": "3", "http": {"ssl": settings}}).config
    assert config.http is not None
    assert config.http.ssl is not None
    assert (str(config.http.ssl.address), config.http.ssl.client_auth_type) == ("tcp://127.0.0.1:443", "no_client_cert")


SITE = """
    from rtbridge.http import Site
    app = Site()
    @app.get("/")
    async def scheme(request): return request.url.scheme
"""


async def test_in_workers(project: Any, certificates: Path) -> None:
    """On a socket of its own, which they are given, too; a reload reads the files again."""
    project.write("site_of_workers.py", SITE)
    site = await served(web_configuration({}, http={"ssl": section(certificates)}))
    try:
        (transport,) = [each for each in site.transports if each.name == "web"]
        places: Any = transport
        for _ in range(2):
            async with client(certificates) as http:
                for name, scheme in (("web", "http"), ("https", "https")):
                    answer = await soon(http.get(f"{scheme}://{places.places[name]}/"))
                    assert answer.text == scheme
            await soon(site.parent.reload(site.parent.config))
        # Where it listens is for a restart: until then it is as it was.
        plain = web_configuration({})
        assert site.parent.restart_keys(plain) == ["http.ssl"]
        await soon(site.parent.reload(plain))
        async with client(certificates) as http:
            answer = await soon(http.get(f"https://{places.places['https']}/"))
            assert answer.text == "https"
    finally:
        await site.stop()


@pytest.mark.parametrize("more", [{}, {"address": None}], ids=["beside plain text", "alone"])
async def test_who_asks_is_told_that_no_worker_starts(project: Any, certificates: Path, more: dict[str, Any]) -> None:
    """By the parent, over TLS as well; with the first worker that starts all is well."""
    project.write("site_of_workers.py", "1/0")
    http = {"ssl": section(certificates), "lazy_boot": True, "debug": True, **more}
    site = await served(web_configuration({}, http=http))
    try:
        (transport,) = [each for each in site.transports if each.name == "web"]
        places: Any = transport
        urls = [f"{'https' if name == 'https' else 'http'}://{place}/" for name, place in places.places.items()]
        for url in urls:
            async with client(certificates) as http_client:
                answer = await soon(http_client.get(url))
                assert answer.status_code == 500
                assert "site_of_workers cannot be imported" in answer.text
        async with client(certificates) as http_client:
            with pytest.raises(httpx.TransportError):  # TLS is TLS
                await soon(http_client.get(f"http://{places.places['https']}/"))
        project.write("site_of_workers.py", SITE)
        await site.ready(1)
        for url in urls:
            async with client(certificates) as http_client:
                answer = await soon(http_client.get(url))
                assert (answer.status_code, answer.text) == (200, url.partition(":")[0])
    finally:
        await site.stop()
