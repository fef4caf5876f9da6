"""What stands around the application: files, compression, headers, proxies, the files that it names."""

import gzip
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from rtbridge.errors import PluginError


async def echo(request: Request) -> Response:
    """What the application sees of a request."""
    assert request.client is not None
    seen = {
        "client": request.client.host,
        "scheme": request.url.scheme,
        "headers": request.headers.items(),
        "body": len(await request.body()),
    }
    return JSONResponse(seen, headers={"x-own": "app"})


async def large(_: Request) -> Response:
    return PlainTextResponse("x" * 5000, headers={"etag": '"one"'})


async def named(request: Request) -> Response:
    """An answer that names a file."""
    headers = {"x-sendfile": request.query_params["file"], "x-own": "app", "cache-control": "private"}
    return Response("body of the application", 200, headers, media_type=request.query_params.get("type"))


def app() -> Starlette:
    routes = [Route("/large", large), Route("/named", named)]
    return Starlette(routes=[*routes, Route("/{path:path}", echo, methods=["GET", "POST", "OPTIONS"])])


async def test_files_come_first(host: Any, folder: Path) -> None:
    """What is a file is served with our headers, anything else is the application's, whatever the method."""
    static = {"dir": str(folder), "response": {"x-static": "1"}}
    site = await host(app(), middleware=["static"], static=static)
    file, other = await site.client.get("/app.js"), await site.client.get("/.env")
    posted = await site.client.post("/app.js")

    assert (file.text, file.headers["x-static"]) == ("let x;", "1")
    assert "content-security-policy" in file.headers
    for answer in (other, posted):
        assert answer.headers["x-own"] == "app"
        assert "x-static" not in answer.headers
        assert "content-security-policy" not in answer.headers


@pytest.mark.parametrize("weak", [False, True])
async def test_tags_of_files(host: Any, folder: Path, weak: bool) -> None:
    """A weak one says that nothing has changed, but nobody continues a download by it."""
    site = await host(middleware=["static"], static={"dir": str(folder), "weak": weak})
    tag = (await site.client.get("/app.js")).headers["etag"]

    assert tag.startswith("W/") is weak
    assert (await site.client.get("/app.js", headers={"if-none-match": tag})).status_code == 304
    continued = await site.client.get("/app.js", headers={"range": "bytes=1-", "if-range": tag})
    assert continued.status_code == (200 if weak else 206)


async def test_gzip(host: Any) -> None:
    """Who takes it gets it, with a tag of its own; what is small stays as it is."""
    site = await host(app(), middleware=["gzip"])
    packed = await site.client.get("/large")
    plain = await site.client.get("/large", headers={"accept-encoding": "identity"})

    assert (packed.headers["content-encoding"], packed.headers["etag"]) == ("gzip", 'W/"one"')
    assert int(packed.headers["content-length"]) < 500
    assert packed.text == plain.text == "x" * 5000
    assert plain.headers["etag"] == '"one"'
    assert "content-encoding" not in (await site.client.get("/")).headers


async def test_order(host: Any, folder: Path) -> None:
    """The first middleware is the outermost: gzip before static compresses files, behind it it does not."""
    (folder / "long.txt").write_text("x" * 5000)
    for names, encoding in ((["gzip", "static"], "gzip"), (["static", "gzip"], None)):
        site = await host(app(), middleware=names, static={"dir": str(folder)})
        assert (await site.client.get("/long.txt")).headers.get("content-encoding") == encoding
        raw = await site.raw(b"GET /long.txt HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n")
        body = raw.partition(b"\r\n\r\n")[2]
        assert body == b"x" * 5000 if encoding is None else b"x" not in gzip.compress(b"x" * 5000)


async def test_headers(host: Any) -> None:
    """Those of requests join them, those of answers take the place of the application's."""
    headers = {"request": {"X-Forwarded-By": "rt"}, "response": {"X-Own": "rtbridge", "X-More": "1"}}
    site = await host(app(), middleware=["headers"], headers=headers)
    answer = await site.client.get("/")

    assert ["x-forwarded-by", "rt"] in answer.json()["headers"]
    assert answer.headers.get_list("x-own") == ["rtbridge"]
    assert answer.headers["x-more"] == "1"


CORS = {
    "allowed_origin": "https://a.example, https://b.example",
    "allowed_origin_regex": r"https://[a-z]+\.shop\.example",
    "allowed_methods": "get,POST",
    "allowed_headers": "X-Token",
    "exposed_headers": "X-Own",
    "allow_credentials": True,
    "max_age": 600,
}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.example", True),
        ("https://de.shop.example", True),
        ("https://de.shop.example.evil.example", False),
        ("https://c.example", False),
        ("null", False),
    ],
)
async def test_cors(host: Any, origin: str, allowed: bool) -> None:
    """Pages of origins that are named, or matched as a whole, may read; nobody else may."""
    site = await host(app(), middleware=["headers"], headers={"cors": CORS})
    answer = await site.client.get("/", headers={"origin": origin})

    assert answer.status_code == 200
    assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "X-Token"}
    preflight = await site.client.options("/", headers=asked)
    assert (preflight.status_code == 200) is allowed
    assert preflight.headers.get("access-control-allow-origin") == (origin if allowed else None)
    if allowed:
        assert answer.headers["access-control-expose-headers"] == "X-Own"
        assert preflight.headers["access-control-allow-methods"] == "GET, POST"
        assert preflight.headers["access-control-max-age"] == "600"


@pytest.mark.parametrize(("status", "body"), [(204, ""), (202, "OK")])
async def test_status_of_a_preflight(host: Any, status: int, body: str) -> None:
    """Some old browsers want 200, some gateways 204; a refusal keeps its own."""
    cors = {**CORS, "options_success_status": status}
    site = await host(app(), middleware=["headers"], headers={"cors": cors})
    asked = {"origin": "https://a.example", "access-control-request-method": "POST"}
    answer = await site.client.options("/", headers=asked)

    assert (answer.status_code, answer.text) == (status, body)
    refused = await site.client.options("/", headers={**asked, "origin": "https://c.example"})
    assert refused.status_code == 400
    assert (await site.client.options("/")).headers["x-own"] == "app"


@pytest.mark.parametrize(
    ("networks", "headers", "client", "scheme"),
    [
        (["127.0.0.1"], {"x-forwarded-for": "203.0.113.7"}, "203.0.113.7", "http"),
        (["private_ranges"], {"x-forwarded-for": "198.51.100.1, 203.0.113.7, 10.0.0.1"}, "203.0.113.7", "http"),
        (["127.0.0.1"], {"x-forwarded-for": "198.51.100.1, 203.0.113.7"}, "203.0.113.7", "http"),
        (["127.0.0.1"], {"forwarded": "for=198.51.100.1, for=203.0.113.7;proto=https"}, "203.0.113.7", "http"),
        (["127.0.0.1"], {"x-real-ip": "203.0.113.7"}, "203.0.113.7", "http"),
        (["127.0.0.1"], {"x-real-ip": "198.51.100.1", "x-forwarded-for": "203.0.113.7"}, "203.0.113.7", "http"),
        (["127.0.0.1"], {"x-real-ip": "nonsense"}, "127.0.0.1", "http"),
        (["127.0.0.1"], {"x-forwarded-proto": "http, https"}, "127.0.0.1", "https"),
        (["127.0.0.1"], {"x-forwarded-proto": "javascript"}, "127.0.0.1", "http"),
        # forged: the peer is none of the proxies
        (["10.0.0.0/8"], {"x-forwarded-for": "203.0.113.7"}, "127.0.0.1", "http"),
        (["10.0.0.0/8"], {"forwarded": "for=203.0.113.7", "x-forwarded-proto": "https"}, "127.0.0.1", "http"),
        (["10.0.0.0/8"], {"x-real-ip": "203.0.113.7"}, "127.0.0.1", "http"),
        # forged: the client wrote what stands left of the proxy's own entry
        (["127.0.0.1", "10.0.0.0/8"], {"x-forwarded-for": "10.0.0.9, 203.0.113.7"}, "203.0.113.7", "http"),
        # forged: a second header beside the one that the proxy writes
        (["127.0.0.1"], {"forwarded": "for=198.51.100.1", "x-forwarded-for": "203.0.113.7"}, "127.0.0.1", "http"),
    ],
)
async def test_proxies(host: Any, networks: list[str], headers: dict[str, str], client: str, scheme: str) -> None:
    """Headers are believed from proxies that are trusted, and lists are read from the right."""
    site = await host(app(), middleware=["proxy_ip_parser"], trusted_subnets=networks)
    seen = (await site.client.get("/", headers=headers)).json()

    assert (seen["client"], seen["scheme"]) == (client, scheme)


async def test_without_the_middleware_nobody_is_believed(host: Any) -> None:
    """As it comes, uvicorn's own belief in proxies on this machine included."""
    seen = (await (await host(app())).client.get("/", headers={"x-forwarded-for": "203.0.113.7"})).json()

    assert seen["client"] == "127.0.0.1"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of files that an application may name."""
    root = tmp_path / "files"
    root.mkdir()
    (root / "report.txt").write_text("0123456789")
    (root / "übersicht.txt").write_text("u")
    (root / "out").symlink_to(tmp_path / "private.txt")
    (tmp_path / "private.txt").write_text("private")
    (tmp_path / "files2").mkdir()
    (tmp_path / "files2" / "private.txt").write_text("private")
    return root


async def test_sendfile(host: Any, files: Path) -> None:
    """Headers are the application's, the body is the file's, with ranges and conditions."""
    site = await host(app(), middleware=["sendfile"], sendfile={"root": str(files)})
    whole = await site.client.get("/named", params={"file": "report.txt"})

    assert (whole.status_code, whole.text) == (200, "0123456789")
    assert (whole.headers["x-own"], whole.headers["cache-control"]) == ("app", "private")
    assert "x-sendfile" not in whole.headers
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    params = {"file": str(files / "report.txt"), "type": "application/x-report"}
    part = await site.client.get("/named", params=params, headers={"range": "bytes=2-4"})
    assert (part.status_code, part.text, part.headers["content-range"]) == (206, "234", "bytes 2-4/10")
    assert part.headers["content-type"] == "application/x-report"
    known = await site.client.get("/named", params=params, headers={"if-none-match": whole.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    head = await site.client.head("/named", params=params)
    assert (head.headers["content-length"], head.content) == ("10", b"")
    assert (await site.client.get("/")).headers["x-own"] == "app"


@pytest.mark.parametrize(
    "file", ["gone.txt", "../private.txt", "/etc/passwd", "out", "../files2/private.txt", "", ".", "report.txt/x"]
)
async def test_sendfile_outside(host: Any, files: Path, file: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing but files below the folder, wherever the name came from."""
    site = await host(app(), middleware=["sendfile"], sendfile={"root": str(files)})
    answer = await site.client.get("/named", params={"file": file})

    assert (answer.status_code, answer.text) == (404, "Not Found")
    assert "x-sendfile" not in answer.headers
    assert "is no file below" in caplog.text


async def test_sendfile_and_bytes(host: Any, files: Path) -> None:
    """A name is its bytes, as the file system has them."""

    async def raw(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(b"x-sendfile", "übersicht.txt".encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

    site = await host(raw, middleware=["sendfile"], sendfile={"root": str(files)})
    assert (await site.client.get("/")).text == "u"


MB = 1024 * 1024


async def test_a_body_that_is_too_large(host: Any) -> None:
    """Announced or not, it is refused, the application never sees it, and the connection goes on."""
    site = await host(app(), max_request_size=1)

    async def parts() -> Any:
        for _ in range(5):
            yield b"x" * (MB // 4)

    assert (await site.client.post("/", content=b"x" * MB)).json()["body"] == MB
    for content in (b"x" * (MB + 1), parts()):
        answer = await site.client.post("/", content=content)
        assert (answer.status_code, answer.text) == (413, "the body of the request is too large")
        assert "content-security-policy" in answer.headers
    assert (await site.client.post("/", content=b"x")).status_code == 200
    told = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 9999999\r\n\r\n"
    assert (await site.raw(told)).startswith(b"HTTP/1.1 413 ")


async def test_whatever_the_application_makes_of_it(host: Any) -> None:
    """Its own answer to a body that it could not read is replaced; one that had begun is cut."""

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while (await receive())["more_body"]:
                pass
        except Exception:
            if scope["path"] == "/begun":
                raise
        await PlainTextResponse("all is well")(scope, receive, send)

    site = await host(stubborn, max_request_size=1)

    async def parts() -> Any:
        for _ in range(5):
            yield b"x" * (MB // 4)

    assert (await site.client.post("/", content=parts())).status_code == 413
    request = b"POST /begun HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await site.raw(request + (b"80000\r\n" + b"x" * 0x80000 + b"\r\n") * 3)
    assert not answer.endswith(b"0\r\n\r\n")
    assert b"413" not in answer


def form(*parts: tuple[str, bytes], boundary: str = "xyz") -> tuple[bytes, dict[str, str]]:
    """A form of parts: what stands behind `Content-Disposition: form-data; `, and the contents."""
    body = b""
    for disposition, content in parts:
        head = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
        body += head.encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), {"content-type": f"multipart/form-data; boundary={boundary}"}


@pytest.fixture
def forms() -> None:
    """What reads forms has to be there."""
    pytest.importorskip("python_multipart")


@pytest.mark.usefixtures("forms")
@pytest.mark.parametrize(
    ("disposition", "status"),
    [
        ('name="a"', 200),
        ('name="a"; filename="report.pdf"', 200),
        ('name="a"; filename="REPORT.PDF"', 200),
        ('name="a"; filename="virus.exe"', 415),
        ('name="a"; filename="virus.EXE"', 415),
        ('name="a"; filename=virus.exe', 415),
        ('name="a"; filename="virus.exe."', 415),
        ('name="a"; filename="virus.exe "', 415),
        ('name="a"; filename="report.pdf"; filename="virus.exe"', 415),
        ('name="a"; filename="report.pdf"; filename*=UTF-8\'\'virus%2Eexe', 415),
        ('name="a"; filename*0="virus."; filename*1="exe"', 415),
        ('name="a"; FileName = "virus.exe"', 415),
        ('name="a"; filename="C:\\\\shop\\\\virus.exe"', 415),
        ('name="a"; filename="virus.exe\0.pdf"', 415),
        ('name="a"; filename="virus.exe%00.pdf"', 415),
        ('name="a"; filename="notes"', 415),
        ('name="a"; filename=""', 200),
        ('name="a"; filename="notes.txt"', 415),
    ],
)
async def test_uploads(host: Any, disposition: str, status: int) -> None:
    """`forbid` wins, `allow` names what may come; however a name is written, it is one."""
    site = await host(app(), uploads={"forbid": [".exe"], "allow": [".pdf", ".exe"]})
    body, headers = form(('name="note"', b"hello"), (disposition, b"x" * 100_000))
    answer = await site.client.post("/", content=body, headers=headers)

    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json()["body"] == len(body)


@pytest.mark.usefixtures("forms")
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"no form", {"content-type": "multipart/form-data; boundary=x"}, 400),
        (b"", {"content-type": "multipart/form-data"}, 400),
        (b"", {"content-type": f"multipart/form-data; boundary={'x' * 71}"}, 400),
        (b"", {"content-type": "multipart/form-data; boundary=x", "content-encoding": "gzip"}, 415),
        (b"--x\r\n" + b"a: b\r\n" * 100, {"content-type": "multipart/form-data; boundary=x"}, 400),
        (b"--x\r\na: " + b"b" * 20_000, {"content-type": "multipart/form-data; boundary=x"}, 400),
        (
            b"--x\r\nContent-Disposition: form-data; name=a\r\ncontent-disposition: form-data; name=b\r\n\r\n",
            {"content-type": "multipart/form-data; boundary=x"},
            400,
        ),
        (b"--x\r\na: b\r\n\r\n\r\n" * 11_000, {"content-type": "multipart/form-data; boundary=x"}, 400),
        (b'{"filename": "a.exe"}', {"content-type": "application/json"}, 200),
    ],
    ids=["none", "no boundary", "long boundary", "packed", "headers", "header", "two names", "parts", "json"],
)
async def test_what_is_no_form(host: Any, body: bytes, headers: dict[str, str], status: int) -> None:
    """What cannot be looked at is refused, what is something else is passed on."""
    site = await host(app(), uploads={"forbid": [".exe"]})

    assert (await site.client.post("/", content=body, headers=headers)).status_code == status


@pytest.mark.usefixtures("forms")
async def test_two_types(host: Any) -> None:
    """The application might believe the other one."""
    site = await host(app(), uploads={"forbid": [".exe"]})
    body, _ = form(('name="a"; filename="virus.exe"', b"x"))
    for first, second in (
        ("text/plain", "multipart/form-data; boundary=xyz"),
        ("multipart/form-data; boundary=a",) * 2,
    ):
        headers = [("content-type", first), ("content-type", second)]
        assert (await site.client.post("/", content=body, headers=headers)).status_code == 400


@pytest.mark.usefixtures("forms")
async def test_where_uploads_lie(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frameworks put them where tempfile says."""
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "up").mkdir()
    await host(app(), uploads={"dir": "up"})

    assert tempfile.gettempdir() == str(tmp_path / "up")


async def test_uploads_without_what_reads_forms(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says what to install."""
    monkeypatch.setitem(sys.modules, "python_multipart.multipart", None)
    with pytest.raises(PluginError, match=r"install it with pip install 'rtbridge\[uploads\]'"):
        await host(app(), uploads={})
