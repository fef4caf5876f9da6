"""The opening handshake without a socket: what a head asks for, and which heads are refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.server import ServerProtocol

from rtbridge.embedded.fronts.upgrade import HeadLines, Refused, read_head
from tests.embedded.fronts.raw import KEY, accept_of, head


def test_a_proper_request() -> None:
    """Path, query, headers in any case and order are read."""
    upgrade = read_head(
        head(
            "/connection/websocket?a=1&b=%C3%A9&b=2&c=", "Origin:  https://a.example ", "X-Tag: 1", "x-tag:2", "Empty:"
        )
    )
    assert upgrade.path == "/connection/websocket"
    assert [upgrade.parameter(name) for name in "abcd"] == ["1", "é", "", ""]
    assert [upgrade.field(name) for name in (b"origin", b"x-tag", b"empty", b"no")] == [
        "https://a.example",
        "1, 2",
        "",
        "",
    ]
    assert list(HeadLines(upgrade.lines))[-4:] == [
        (b"origin", b"https://a.example"),
        (b"x-tag", b"1"),
        (b"x-tag", b"2"),
        (b"empty", b""),
    ]


def test_the_answer() -> None:
    """It proves that the key was understood, and confirms what was agreed on."""
    upgrade = read_head(head())
    assert upgrade.parameter("a") == ""
    lines = upgrade.response().split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert f"Sec-WebSocket-Accept: {accept_of(KEY)}".encode() in lines
    assert lines[-2:] == [b"", b""]
    more = upgrade.response("centrifuge-json", "permessage-deflate").split(b"\r\n")
    assert b"Sec-WebSocket-Protocol: centrifuge-json" in more
    assert b"Sec-WebSocket-Extensions: permessage-deflate" in more


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ((), ""),
        (("Sec-WebSocket-Protocol: b",), "b"),
        (("Sec-WebSocket-Protocol: x, b , a",), "b"),
        (("Sec-WebSocket-Protocol: x", "Sec-WebSocket-Protocol: a"), "a"),
        (("Sec-WebSocket-Protocol: x",), ""),
    ],
)
def test_subprotocols(asked: tuple[str, ...], chosen: str) -> None:
    """The client's order decides among those that the server has."""
    assert read_head(head("/", *asked)).subprotocol(("a", "b")) == chosen


@pytest.mark.parametrize(
    "accepted",
    [
        head("/", "Connection: upgrade", drop="Connection"),
        head("/", "Connection: keep-alive", "Connection: UPGRADE", drop="Connection"),
        head("/", "Upgrade: WebSocket", drop="Upgrade"),
        head("/", "Upgrade: h2c, websocket", drop="Upgrade"),
        head("/", "X-Latin: caf\xe9"),
        head("/", "X-Tab: a\tb"),
    ],
)
def test_variants_that_are_proper(accepted: bytes) -> None:
    """Tokens in any case, lists, and bytes above ASCII in values."""
    assert read_head(accepted).path == "/"


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        (b"", 400),
        (b"\r\n\r\n", 400),
        (b"GARBAGE\r\n\r\n", 400),
        (head().replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
        (head().replace(b"HTTP/1.1", b"HTTP/2.0"), 400),
        (head().replace(b"GET /", b"GET  /"), 400),
        (head("/a b"), 400),
        (head("/\xe9"), 400),
        (head("/", "No-Colon"), 400),
        (head("/", "Name : 1"), 400),
        (head("/", ": 1"), 400),
        (head("/", "Na me: 1"), 400),
        (head("/", "A: 1\r\n folded"), 400),
        (head("/", "A: 1\n2"), 400),
        (head("/", "A: 1\r2"), 400),
        (head("/", "A: 1\x002"), 400),
        (head("/", "A: \x7f"), 400),
        (head("/", drop="Host"), 400),
        (head("/", "Host: b"), 400),
        (head("/", drop="Connection"), 400),
        (head("/", "Connection: close", drop="Connection"), 400),
        (head("/", drop="Upgrade"), 400),
        (head("/", "Upgrade: h2c", drop="Upgrade"), 400),
        (head("/", drop="Sec-WebSocket-Version"), 400),
        (head("/", "Sec-WebSocket-Version: 8", drop="Sec-WebSocket-Version"), 400),
        (head("/", "Sec-WebSocket-Version: 13"), 400),
        (head("/", drop="Sec-WebSocket-Key"), 400),
        (head("/", f"Sec-WebSocket-Key: {KEY}"), 400),
        (head(key="dGhlIHNhbXBsZSBub25jZQ"), 400),
        (head(key="dGhlIHNhbXBsZSBub25jZQA="), 400),
        (head(key="dGhl!HNhbXBsZSBub25jZQ=="), 400),
        (head(method="POST"), 405),
    ],
)
def test_what_is_refused(refused: bytes, status: int) -> None:
    """What is no request for a WebSocket gets a status and a body for people, and no more."""
    with pytest.raises(Refused) as found:
        read_head(refused)
    assert found.value.status == status
    response = found.value.response()
    assert response.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nConnection: close\r\n" in response
    body = response.partition(b"\r\n\r\n")[2]
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in response


def test_hostile_heads_take_no_time() -> None:
    """The work grows with the head, not with its square or worse."""
    spaces = head("/", *(f"A{n}:{' ' * 300}" for n in range(50)))[:-4]
    gap = head("/", f"A: b{' ' * 16000}c")
    for hostile in (
        spaces + b"\x00\r\n\r\n",
        gap,
        b"GET " + b"/" * 16000,
        head("/", "A" * 16000),
        head("/?" + "&" * 15000),
    ):
        for _ in range(100):
            with contextlib.suppress(Refused):
                read_head(hostile).parameter("a")


token = st.text("abcXYZ019-_.!#$%&'*+^`|~", min_size=1, max_size=8)
value = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=12)


@given(st.lists(st.tuples(token, value), max_size=6))
def test_heads_are_read_as_websockets_reads_them(headers: list[tuple[str, str]]) -> None:
    """Two independent readers see the same names and values."""
    given = head("/p", *(f"{name}: {value}" for name, value in headers)).decode().encode("latin-1")
    theirs = ServerProtocol()
    theirs.receive_data(given)
    (request,) = theirs.events_received()
    ours = [(name.decode(), value.decode("latin-1")) for name, value in HeadLines(read_head(given).lines)]
    raw = list(request.headers.raw_items())  # type: ignore[union-attr]  # it is a request
    assert ours == [(name.lower(), value.encode("latin-1", "surrogateescape").decode("latin-1")) for name, value in raw]


@given(st.binary(max_size=200))
def test_any_bytes(junk: bytes) -> None:
    """No bytes do more than be refused."""
    for data in (junk, junk + b"\r\n\r\n", head()[:-2] + junk + b"\r\n\r\n"):
        status = 400
        try:
            read_head(data)
        except Refused as refused:
            status = refused.status
        assert status in (400, 405)
