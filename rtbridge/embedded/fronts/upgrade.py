"""The opening handshake of WebSocket, without a socket: a request head in, what it asks for or a refusal out.

websockets' own handshake costs ten times as much as this one, which is what a storm of reconnecting clients waits for.
Source: RFC 6455, sections 4.2 and 4.4; RFC 9110 and 9112 for the head.
"""

import re
from base64 import b64encode
from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Iterator
from hashlib import sha1
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

#: A whole head. Names are tokens, values have no control characters; continuation lines are long forbidden.
_HEAD: Final = re.compile(
    rb"([A-Z]{1,16}) ([!-~]+) HTTP/1\.([01])\r\n((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*)\r\n"
)
_LINE: Final = re.compile(rb"([^:]+):([^\r]*)\r\n")

_SPACE: Final = b" \t"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_ACCEPTED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
)

#: Names that may stand in a head only once.
_ONCE: Final = (b"host", b"sec-websocket-key", b"sec-websocket-version")


class Refused(Exception):
    """The request is answered with an HTTP status.

    Args:
        status: The status.
        text: The body, for people.

    """

    def __init__(self, status: int, text: str | None = None) -> None:
        self.status = HTTPStatus(status)
        self.text = self.status.phrase if text is None else text
        super().__init__(status, self.text)

    def response(self) -> bytes:
        """The whole response, after which the connection ends."""
        body = f"{self.text}\n".encode()
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            "Connection: close\r\n"
            f"Content-Length: {len(body)}\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Sec-Websocket-Version: 13\r\n"
            "X-Content-Type-Options: nosniff\r\n\r\n"
        )
        return head.encode("ascii") + body


class HeadLines:
    """Header lines that are split when somebody asks for them, because most connections' headers nobody reads."""

    __slots__ = ("_lines",)

    def __init__(self, lines: bytes) -> None:
        self._lines = lines

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        for name, value in _LINE.findall(self._lines):
            yield name.lower(), value.strip(_SPACE)


class Upgrade:
    """A request for a WebSocket.

    Attributes:
        path: As it was sent, without the query.
        lines: The header lines.

    """

    __slots__ = ("_fields", "_query", "lines", "path")

    def __init__(self, path: str, query: str, lines: bytes, fields: dict[bytes, bytes]) -> None:
        self.path = path
        self.lines = lines
        self._query = query
        self._fields = fields

    def field(self, name: bytes) -> str:
        """A header by its lowercase name, several of them as a list with commas; empty without one."""
        return self._fields.get(name, b"").decode(errors="replace")

    def parameter(self, name: str) -> str:
        """The first value of a parameter of the query; empty without one."""
        if self._query:
            for key, value in parse_qsl(self._query, keep_blank_values=True):
                if key == name:
                    return value
        return ""

    def subprotocol(self, offered: tuple[str, ...]) -> str:
        """The first subprotocol that the client asks for and the server offers; empty without one."""
        asked = self.field(b"sec-websocket-protocol")
        if asked:
            for name in asked.split(","):
                if name.strip() in offered:
                    return name.strip()
        return ""

    def response(self, subprotocol: str = "", extensions: str = "") -> bytes:
        """The response that accepts."""
        accept = b64encode(sha1(self._fields[b"sec-websocket-key"] + _GUID, usedforsecurity=False).digest())
        head = _ACCEPTED + accept + b"\r\n"
        if subprotocol:
            head += b"Sec-WebSocket-Protocol: " + subprotocol.encode("ascii") + b"\r\n"
        if extensions:
            head += b"Sec-WebSocket-Extensions: " + extensions.encode("ascii") + b"\r\n"
        return head + b"\r\n"


def read_head(head: bytes) -> Upgrade:
    """The request in a head, up to and with its empty line.

    Raises:
        Refused: It is no proper request for a WebSocket: 400, or 405 for another method than GET.

    """
    match = _HEAD.fullmatch(head)
    if match is None:
        raise Refused(400)
    method, target, minor, lines = match.groups()
    fields: dict[bytes, bytes] = {}
    for name, value in _LINE.findall(lines):
        name, value = name.lower(), value.strip(_SPACE)
        if name not in fields:
            fields[name] = value
        elif name in _ONCE:
            raise Refused(400)
        else:
            fields[name] += b", " + value
    if minor == b"0" or b"host" not in fields:
        raise Refused(400)
    if not _lists(fields, b"connection", b"upgrade") or not _lists(fields, b"upgrade", b"websocket"):
        raise Refused(400)
    if method != b"GET":
        raise Refused(405)
    if fields.get(b"sec-websocket-version") != b"13" or not _is_key(fields.get(b"sec-websocket-key", b"")):
        raise Refused(400)
    path, _, query = target.decode("ascii").partition("?")
    return Upgrade(path, query, lines, fields)


def _lists(fields: dict[bytes, bytes], name: bytes, token: bytes) -> bool:
    value = fields.get(name, b"").lower()
    return value == token or token in [part.strip() for part in value.split(b",")]


def _is_key(key: bytes) -> bool:
    if len(key) != 24:
        return False
    try:
        return len(a2b_base64(key, strict_mode=True)) == 16
    except NotBase64:
        return False
