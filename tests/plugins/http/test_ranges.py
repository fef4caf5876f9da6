"""Conditions and ranges, by the table of RFC 9110, sections 13 and 14; then files over a socket."""

import asyncio
import hashlib
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from rtbridge.http import FileResponse, Site
from rtbridge.plugins.http.ranges import Span, Validators, parse_range


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # 14.1.2, the examples for a representation of 10000 bytes
        ("bytes=0-499", (0, 500)),
        ("bytes=500-999", (500, 1000)),
        ("bytes=-500", (9500, 10000)),
        ("bytes=9500-", (9500, 10000)),
        ("bytes=0-0", (0, 1)),
        ("bytes=-1", (9999, 10000)),
        # a last position or a suffix beyond the end is the end
        ("bytes=9000-99999", (9000, 10000)),
        ("bytes=0-", (0, 10000)),
        ("bytes=-20000", (0, 10000)),
        ("bytes=0-99999999999999999999999999", (0, 10000)),
        (f"bytes=-{'9' * 20_000}", (0, 10000)),
        ("bytes=00000-00009", (0, 10)),
        # units are case-insensitive, and there may be white space
        ("BYTES=1-2", (1, 3)),
        (" bytes = 1 - 2 ", (1, 3)),
        # none of it is there: 416
        ("bytes=10000-", "beyond"),
        ("bytes=10000-10001", "beyond"),
        ("bytes=99999999999999999999999999-", "beyond"),
        ("bytes=-0", "beyond"),
        # 14.1.1: a last position before the first makes it invalid; 14.2: what is invalid or unknown is passed over
        ("bytes=2-1", "whole"),
        ("bytes=", "whole"),
        ("bytes=-", "whole"),
        ("bytes=a-b", "whole"),
        ("bytes=1", "whole"),
        ("bytes=--1", "whole"),
        ("bytes=1--2", "whole"),
        ("bytes=+1-2", "whole"),
        ("bytes=\u0661-\u0662", "whole"),
        ("lines=1-2", "whole"),
        ("1-2", "whole"),
        ("", "whole"),
        # several: a server may serve the whole
        ("bytes=0-1,3-4", "whole"),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(5000)), "whole"),
    ],
)
def test_ranges(text: str, found: Any) -> None:
    """One range of a file of 10000 bytes."""
    assert parse_range(text, 10_000) == (Span(*found) if isinstance(found, tuple) else found)


@pytest.mark.parametrize(("text", "found"), [("bytes=0-", "beyond"), ("bytes=-1", "whole"), ("bytes=0-0", "beyond")])
def test_ranges_of_nothing(text: str, found: str) -> None:
    """An empty file has no first byte; its last bytes are all that there are."""
    assert parse_range(text, 0) == found


DATE = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SAME, BEFORE, AFTER = (f"Sun, 01 Mar 2026 {time} GMT" for time in ("12:00:00", "11:59:59", "12:00:01"))


@pytest.mark.parametrize(
    ("headers", "got", "put"),
    [
        ({}, None, None),
        ({"if-match": '"a"'}, None, None),
        ({"if-match": '"b", "a"'}, None, None),
        ({"if-match": "*"}, None, None),
        ({"if-match": '"b"'}, 412, 412),
        ({"if-match": 'W/"a"'}, 412, 412),  # 13.1.1: strong comparison
        ({"if-match": ""}, 412, 412),
        ({"if-none-match": '"a"'}, 304, 412),
        ({"if-none-match": 'W/"a"'}, 304, 412),  # 13.1.2: weak comparison
        ({"if-none-match": '"b", "a"'}, 304, 412),
        ({"if-none-match": "*"}, 304, 412),
        ({"if-none-match": '"b"'}, None, None),
        ({"if-none-match": 'a, "b,a"'}, None, None),
        ({"if-modified-since": SAME}, 304, None),
        ({"if-modified-since": AFTER}, 304, None),
        ({"if-modified-since": BEFORE}, None, None),
        ({"if-modified-since": "yesterday"}, None, None),
        ({"if-modified-since": "Sun, 01 Mar 99999999999999999999 12:00:00 GMT"}, None, None),
        ({"if-unmodified-since": SAME}, None, None),
        ({"if-unmodified-since": BEFORE}, 412, 412),
        ({"if-unmodified-since": "yesterday"}, None, None),
        # 13.2.2: the order
        ({"if-none-match": '"b"', "if-modified-since": AFTER}, None, None),
        ({"if-match": '"a"', "if-unmodified-since": BEFORE}, None, None),
        ({"if-match": '"b"', "if-none-match": '"a"'}, 412, 412),
        ({"if-match": '"a"', "if-none-match": '"a"'}, 304, 412),
    ],
)
def test_conditions(headers: dict[str, str], got: int | None, put: int | None) -> None:
    """What is answered instead, to a request that reads and to one that writes."""
    validators = Validators('"a"', DATE)

    assert (validators.precondition("GET", headers), validators.precondition("PUT", headers)) == (got, put)
    assert validators.precondition("HEAD", headers) == got


@pytest.mark.parametrize(
    ("tag", "condition", "continues"),
    [
        ('"a"', None, True),
        ('"a"', '"a"', True),
        ('"a"', '"b"', False),
        ('"a"', 'W/"a"', False),
        ('W/"a"', 'W/"a"', False),  # 13.1.5: strong comparison
        ('"a"', SAME, True),
        ('"a"', BEFORE, False),
        ('"a"', AFTER, False),
        ('"a"', "a", False),
    ],
)
def test_if_range(tag: str, condition: str | None, continues: bool) -> None:
    """A range continues what somebody has, so it must be of the very same state."""
    assert Validators(tag, DATE).continues(condition) is continues


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Ten bytes that were written at a known time."""
    path = tmp_path / "digits.txt"
    path.write_text("0123456789")
    os.utime(path, (DATE.timestamp(), DATE.timestamp()))
    return path


def serving(path: Path, **options: Any) -> Site:
    site = Site()

    @site.on("/", ["GET", "POST"])
    def send(_: Request) -> Response:
        return FileResponse(path, **options)

    return site


@pytest.mark.parametrize(
    ("method", "headers", "status", "body", "more"),
    [
        ("GET", {}, 200, "0123456789", {"content-length": "10", "accept-ranges": "bytes", "last-modified": SAME}),
        ("GET", {"range": "bytes=2-4"}, 206, "234", {"content-range": "bytes 2-4/10", "content-length": "3"}),
        ("GET", {"range": "bytes=-3"}, 206, "789", {"content-range": "bytes 7-9/10"}),
        ("GET", {"range": "bytes=10-"}, 416, "", {"content-range": "bytes */10", "content-length": "0"}),
        ("GET", {"range": "bytes=0-1,3-4"}, 200, "0123456789", {}),
        ("GET", {"range": "bytes=2-4", "if-range": SAME}, 206, "234", {}),
        ("GET", {"range": "bytes=2-4", "if-range": BEFORE}, 200, "0123456789", {}),
        ("GET", {"range": "bytes=2-4", "if-range": '"other"'}, 200, "0123456789", {}),
        ("GET", {"range": "bytes=20-", "if-range": '"other"'}, 200, "0123456789", {}),
        ("GET", {"range": "bytes=2-4", "if-modified-since": SAME}, 304, "", {"last-modified": SAME}),
        ("GET", {"if-unmodified-since": BEFORE}, 412, "", {"content-length": "0"}),
        ("HEAD", {}, 200, "", {"content-length": "10"}),
        ("HEAD", {"range": "bytes=2-4"}, 200, "", {"content-length": "10"}),
        ("POST", {"range": "bytes=2-4"}, 200, "0123456789", {}),
    ],
)
async def test_a_file(
    host: Any, file: Path, method: str, headers: dict[str, str], status: int, body: str, more: dict[str, str]
) -> None:
    """Over a socket, with the headers that belong to it."""
    site = await host(serving(file))
    answer = await site.client.request(method, "/", headers=headers)

    assert (answer.status_code, answer.text) == (status, body)
    assert {name: answer.headers.get(name) for name in more} == more
    assert answer.headers["etag"]
    if status == 304:
        assert "content-length" not in answer.headers
        assert "content-type" not in answer.headers


@pytest.mark.parametrize(
    ("options", "headers", "body", "about"),
    [
        ({"offset": 3}, {}, "3456789", None),
        ({"offset": 3, "max_length": 4}, {}, "3456", None),
        ({"offset": 3, "max_length": 4}, {"range": "bytes=1-2"}, "45", "bytes 1-2/4"),
        ({"max_length": 100}, {}, "0123456789", None),
        ({"offset": 100}, {}, "", None),
        ({"max_length": 0}, {}, "", None),
    ],
)
async def test_a_part_of_a_file(
    host: Any, file: Path, options: dict[str, int], headers: dict[str, str], body: str, about: str | None
) -> None:
    """It is an entity of its own, with its own tag, and ranges count from its beginning."""
    answer = await (await host(serving(file, **options))).client.get("/", headers=headers)

    assert (answer.text, answer.headers.get("content-range")) == (body, about)
    whole = await (await host(serving(file))).client.get("/")
    assert (answer.headers["etag"] == whole.headers["etag"]) is (body == whole.text)


@pytest.mark.parametrize("options", [{"offset": -1}, {"max_length": -1}])
def test_a_part_that_is_none(options: dict[str, int]) -> None:
    """Bytes are counted from zero."""
    with pytest.raises(ValueError, match="not negative"):
        FileResponse("x", **options)  # type: ignore[arg-type]


async def test_names_and_own_headers(host: Any, file: Path) -> None:
    """A download has a name; headers of one's own win."""
    own = {"etag": '"mine"', "cache-control": "private"}
    site = await host(serving(file, filename='ü"b\r\n.txt', headers=own, media_type="application/x-digits"))
    answer = await site.client.get("/")

    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"__b__.txt\"; filename*=UTF-8''%C3%BC%22b%0D%0A.txt"
    )
    assert (answer.headers["etag"], answer.headers["cache-control"]) == ('"mine"', "private")
    assert answer.headers["content-type"] == "application/x-digits"
    known = await site.client.get("/", headers={"if-none-match": '"mine"'})
    assert known.status_code == 304


@pytest.mark.parametrize("kind", ["gone", "folder", "pipe"])
async def test_what_is_no_file(host: Any, tmp_path: Path, kind: str) -> None:
    """It is the handler's mistake: 500, and nothing waits for the other end of a pipe."""
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)

    assert (await (await host(serving(path))).client.get("/")).status_code == 500


async def test_background_and_delete(host: Any, file: Path) -> None:
    """The file is gone once it has been sent, with HEAD and 304, too."""
    for method, headers in (("GET", {}), ("HEAD", {}), ("GET", {"if-none-match": "*"})):
        file.write_text("0123456789")
        site = await host(serving(file, delete_after=True))
        answer = await site.client.request(method, "/", headers=headers)
        assert answer.status_code in (200, 304)
        await site.server.stop(1)
        assert not file.exists()


#: SHA-1 of what is in the file below.
ZEROS = "ccadfbe19dd51a8265e2214a835a968cb012450a"


@pytest.fixture
def zeros(tmp_path: Path) -> Path:
    """Three gigabytes that take no room."""
    path = tmp_path / "zeros.bin"
    with path.open("wb") as out:
        out.truncate(3 * 1024**3)
        for at in (0, 2**31, 3 * 1024**3 - 4):
            out.seek(at)
            out.write(b"mark")
    return path


@pytest.mark.timeout(120)
async def test_a_large_file(host: Any, zeros: Path) -> None:
    """Every byte of it, in constant memory, and ranges beyond what 32 bits count."""
    size = zeros.stat().st_size
    site = await host(serving(zeros))

    def download() -> tuple[str, bytes]:
        """The body's hash and its beginning; httpx would take a minute for it."""
        name, _, port = site.server.address.rpartition(":")
        with socket.create_connection((name, int(port)), 30) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            stream: Any = peer.makefile("rb", buffering=1024**2)
            head = b"".join(iter(stream.readline, b"\r\n"))
            return hashlib.file_digest(stream, "sha1").hexdigest(), head

    read, head = await asyncio.to_thread(download)
    assert f"content-length: {size}\r\n".encode() in head
    assert read == ZEROS
    for start in (2**31, size - 4):
        answer = await site.client.get("/", headers={"range": f"bytes={start}-{start + 3}"})
        assert (answer.status_code, answer.content) == (206, b"mark")
        assert answer.headers["content-range"] == f"bytes {start}-{start + 3}/{size}"


async def test_a_reader_that_goes(host: Any, zeros: Path) -> None:
    """The rest is not read, and the file is removed where that was asked for."""
    site = await host(serving(zeros, delete_after=True))
    reader, writer = await site.connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(reader.readexactly(100_000), 10)
    writer.transport.abort()
    async with asyncio.timeout(10):
        while zeros.exists():
            await asyncio.sleep(0.01)


async def test_a_file_that_shrinks(host: Any, tmp_path: Path) -> None:
    """Its length was promised, so the connection is cut."""
    path = tmp_path / "shrinking.bin"
    path.write_bytes(b"x" * 50_000_000)
    site = await host(serving(path))
    reader, writer = await site.connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert b"content-length: 50000000" in head
    os.truncate(path, 0)
    got = 0
    async with asyncio.timeout(10):
        try:
            while data := await reader.read(65536):
                got += len(data)
        except ConnectionError:
            pass
    writer.close()
    assert got < 50_000_000
