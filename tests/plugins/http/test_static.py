"""Files of a folder: what is served, what is not there, and what need not be sent again."""

import asyncio
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from rtbridge.plugins.http.media import media_type
from rtbridge.plugins.http.static import within


async def raw(client: httpx.AsyncClient, target: bytes, method: bytes = b"GET") -> bytes:
    """The whole answer to a request target that httpx would write in another way."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(method + b" " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/", "text/html; charset=utf-8", b"<p>home</p>"),
        ("/index.html", "text/html; charset=utf-8", b"<p>home</p>"),
        ("/sub/", "text/html; charset=utf-8", b"<p>sub</p>"),
        ("/app.js", "text/javascript; charset=utf-8", b"let x;"),
        ("/app.js?v=2", "text/javascript; charset=utf-8", b"let x;"),
        ("/LICENSE", "application/octet-stream", b"free"),
        ("/data.bin", "application/octet-stream", bytes(range(256)) * 4096),
        ("/na%C3%AFve%20page.txt", "text/plain; charset=utf-8", "é".encode()),
    ],
)
async def test_files_are_served(serve: Any, path: str, kind: str, body: bytes) -> None:
    """Whole, with their type and length; a path that ends in a slash is the folder's page."""
    answer = await (await serve()).get(path)

    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, kind, body)
    assert answer.headers["content-length"] == str(len(body))
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "target",
    [
        b"/gone", b"/sub", b"/empty/", b"/app.js/", b"/app.js/x", b"//index.html", b"/sub//index.html",
        b"/../secret.txt", b"/sub/../../secret.txt", b"/%2e%2e/secret.txt", b"/..%2fsecret.txt",
        b"/%2e%2e%2fsecret.txt", b"/..%5csecret.txt", b"/..\\secret.txt", b"/%2fetc/passwd", b"//etc/passwd",
        b"/C:/secret.txt", b"/index.html::$DATA", b"/../web2/secret.txt", b"/./index.html",
        b"/.env", b"/%2eenv", b"/sub/.git/config", b"/.", b"/..", b"/...",
        b"/index.html%00", b"/index.html%00.png", b"/a%0ab", b"/%ff%fe", b"/%c0%ae%c0%ae/secret.txt",
        b"/" + b"x" * 5000,
    ],
)  # fmt: skip
async def test_what_is_not_there(serve: Any, target: bytes) -> None:
    """Neither what does not exist, nor what lies outside or is hidden, however its path is written."""
    answer = await raw(await serve(), target)

    assert answer.startswith(b"HTTP/1.1 404 "), answer[:200]
    assert answer.endswith(b"\r\n\r\nNot Found")


async def test_links(serve: Any, folder: Path) -> None:
    """A link inside the folder is a file; one that leads outside, to a hidden file, nowhere or to itself is nothing."""
    links = {
        "good.html": "index.html", "out.txt": "../secret.txt", "hidden.txt": ".env", "up": "..", "gone.txt": "nothing",
        "self.txt": "self.txt", "abroad.txt": str(folder.parent / "secret.txt"),
    }  # fmt: skip
    for name, target in links.items():
        (folder / name).symlink_to(target)
    client = await serve()
    found = {name: (await client.get(f"/{name}")).status_code for name in links}

    assert found.pop("good.html") == 200
    assert set(found.values()) == {404}
    assert (await client.get("/up/secret.txt")).status_code == 404


async def test_what_is_no_file(serve: Any, folder: Path) -> None:
    """A pipe would never end."""
    os.mkfifo(folder / "pipe.txt")

    assert (await (await serve()).get("/pipe.txt")).status_code == 404


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
async def test_what_may_not_be_read(serve: Any, folder: Path) -> None:
    """A file, and one in a folder, that this process may not open."""
    (folder / "app.js").chmod(0)
    (folder / "sub").chmod(0)
    client = await serve()
    try:
        assert (await client.get("/app.js")).status_code == 404
        assert (await client.get("/sub/index.html")).status_code == 404
    finally:
        (folder / "sub").chmod(0o755)


async def test_a_folder_that_moves(serve: Any, folder: Path) -> None:
    """Deployments swing a link: the next request is served from where it leads then."""
    old, new = folder.rename(folder.with_name("old")), folder.with_name("new")
    new.mkdir()
    (new / "index.html").write_text("new")
    folder.symlink_to(old)
    client = await serve()
    before = (await client.get("/")).text
    folder.unlink()
    folder.symlink_to(new)

    assert [before, (await client.get("/")).text] == ["<p>home</p>", "new"]
    folder.unlink()
    assert (await client.get("/")).status_code == 404


def test_a_disk_that_fails_is_no_missing_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of the server, which says so."""

    def broken(path: str) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "stat", broken)
    with pytest.raises(OSError, match="Input/output"):
        within(folder, "app.js")


@pytest.mark.parametrize(
    ("settings", "served"),
    [
        ({}, {"/": True, "/app.js": True, "/LICENSE": True, "/UP.JS": True}),
        ({"forbid": [".js"]}, {"/": True, "/app.js": False, "/LICENSE": True, "/UP.JS": False}),
        ({"allow": [".js"]}, {"/": False, "/app.js": True, "/LICENSE": False, "/UP.JS": True}),
        ({"allow": [".js", ".html"], "forbid": [".js"]}, {"/": True, "/app.js": False, "/LICENSE": False}),
    ],
)
async def test_extensions(serve: Any, folder: Path, settings: dict[str, Any], served: dict[str, bool]) -> None:
    """`forbid` wins over `allow`; a link does not lend its file another extension."""
    (folder / "UP.JS").write_text("let y;")
    (folder / "page.html").symlink_to("app.js")
    client = await serve(settings)

    assert {path: (await client.get(path)).status_code == 200 for path in served} == served
    assert ((await client.get("/page.html")).status_code == 200) is served["/app.js"]


async def test_what_is_known_is_not_sent_again(serve: Any, folder: Path) -> None:
    """If-None-Match with the file's tag, among others, weak or as a star, gets 304 until the file changes."""
    client = await serve()
    tag = (await client.get("/app.js")).headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = await client.get("/app.js", headers={"if-none-match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        assert answer.headers["cache-control"] == "no-cache"
    assert (await client.get("/app.js", headers={"if-none-match": '"other"'})).status_code == 200
    (folder / "app.js").write_text("let another;")
    changed = await client.get("/app.js", headers={"if-none-match": tag})

    assert (changed.status_code, changed.text) == (200, "let another;")
    assert changed.headers["etag"] != tag


async def test_head_is_the_same_without_a_body(serve: Any) -> None:
    """As HTTP wants it."""
    client = await serve()
    got, head = await client.get("/app.js"), await client.head("/app.js")

    assert (head.status_code, head.content, head.headers) == (200, b"", got.headers)
    assert (await client.head("/gone")).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/app.js", "/gone", "/config.json"])
async def test_nothing_but_reading(serve: Any, method: str, path: str) -> None:
    """Other methods are refused, and what is allowed is said."""
    answer = await (await serve()).request(method, path)

    assert answer.status_code == 405
    assert sorted(answer.headers["allow"].split(", ")) == ["GET", "HEAD"]


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        ("bytes=0-2", 206, b"let"),
        ("bytes=4-", 206, b"x;"),
        ("bytes=-1", 206, b";"),
        ("bytes=100-", 416, b""),
        ("bytes=0-1,3-4", 200, b"let x;"),
        ("bytes=" + ",".join(f"{n}-" for n in range(5000)), 200, b"let x;"),
    ],
    ids=["first", "rest", "last", "beyond", "two", "thousands"],
)
async def test_ranges(serve: Any, wanted: str, status: int, body: bytes) -> None:
    """One range is served; who asks for several gets the whole, which costs less than taking them apart."""
    answer = await (await serve()).get("/app.js", headers={"range": wanted})

    assert (answer.status_code, answer.content) == (status, body)


async def test_two_range_headers(serve: Any) -> None:
    """They are several ranges, too."""
    answer = await (await serve()).get("/app.js", headers=[("range", "bytes=0-0"), ("range", "bytes=1-1")])

    assert (answer.status_code, answer.text) == (200, "let x;")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.mjs", "text/javascript"), ("A.CSS", "text/css"), ("a.svg", "image/svg+xml"), ("a.pdf", "application/pdf"),
        ("a.unheard-of", "application/octet-stream"), ("a", "application/octet-stream"),
        ("a.woff2", "font/woff2"), ("a.map", "application/json"),
    ],
)  # fmt: skip
def test_types(name: str, kind: str) -> None:
    """Those that browsers act on do not depend on the machine; what is unknown is bytes."""
    assert media_type(name) == kind
