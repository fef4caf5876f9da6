"""The header list of a request, judged once for all calls that carry the same one.

A caller's calls differ in their timeout and their message; the other headers mostly repeat. So a head is found by the
fields themselves (their identity, see :mod:`rtbridge.transport.builtin.hpack`) and has all that follows from them.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from rtbridge.events import Headers
from rtbridge.transport.builtin.hpack import Field

#: The field whose value differs from call to call.
TIMEOUT: Final = b"grpc-timeout"

#: Heads kept for each connection, and the largest of them.
_KEPT: Final = 64
_KEPT_SIZE: Final = 4096

_PSEUDO: Final = frozenset((b":method", b":scheme", b":path", b":authority"))
_NEEDED: Final = (b":method", b":scheme", b":path")

#: Headers that speak of one connection of HTTP/1.1 (RFC 9113, section 8.2.2).
_OF_CONNECTIONS: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)

#: What gRPC reads itself; hooks get the rest, as with grpcio.
_OF_GRPC: Final = frozenset(
    (b"te", b"content-type", b"content-length", b"grpc-encoding", b"grpc-accept-encoding", TIMEOUT)
)

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_BAD_VALUE: Final = re.compile(rb"[\0\r\n]|^[ \t]|[ \t]$").search

_GRPC: Final = re.compile(rb"application/grpc(?:[+;].*)?", re.DOTALL).fullmatch

#: gRPC's units of time (PROTOCOL-HTTP2, Requests) in seconds.
_UNITS: Final = {
    ord("H"): 3600.0,
    ord("M"): 60.0,
    ord("S"): 1.0,
    ord("m"): 1e-3,
    ord("u"): 1e-6,
    ord("n"): 1e-9,
}


class Malformed(ValueError):
    """A request that is none (RFC 9113, section 8.1.1): its stream is reset."""


class Head:
    """What the header list of a request says.

    Attributes:
        path: The method that is called.
        streaming: Whether its caller may send several messages; None where nobody serves the path.
        headers: The metadata, shared by all calls with this head.
        size: Bytes of names and values of the metadata.
        http: The HTTP status to answer with, where this is no call of gRPC; 0 where it is one.
        length: What ``content-length`` announces; -1 without.
        encoding: How messages are compressed: ``gzip``, or anything else that a caller wrote; "" for not at all.
        accepts_gzip: Whether replies may be compressed so.
        fault: Why the metadata cannot be read; "" where it can.
        whole: Whether a frame of data that ends the stream may be taken for its request as it is.
        plan: Whatever the layer above keeps with the head.

    """

    __slots__ = (
        "accepts_gzip",
        "encoding",
        "fault",
        "headers",
        "http",
        "length",
        "path",
        "plan",
        "size",
        "streaming",
        "whole",
    )

    def __init__(self, fields: tuple[Field, ...], routes: Mapping[str, bool]) -> None:
        pseudo: dict[bytes, bytes] = {}
        pairs: list[tuple[str | bytes, str | bytes]] = []
        kind, begun = b"", False
        self.length, self.encoding, self.accepts_gzip, self.fault = -1, "", False, ""
        self.size = 0
        for field in fields:
            name, value = field.name, field.value
            if name[:1] == b":":
                if name not in _PSEUDO or name in pseudo or begun:
                    raise Malformed("a pseudo-header is unknown, repeated or late")
                pseudo[name] = value
                continue
            check(name, value)
            begun = True
            if name == b"content-type":
                kind = value
            elif name == b"content-length":
                if not value.isdigit() or len(value) > 18 or self.length not in (-1, int(value)):
                    raise Malformed("content-length is not a number")
                self.length = int(value)
            elif name == b"grpc-encoding":
                self.encoding = "" if value == b"identity" else value.decode("latin-1")
            elif name == b"grpc-accept-encoding":
                self.accepts_gzip = b"gzip" in [each.strip() for each in value.split(b",")]
            if name in _OF_GRPC:
                continue
            self.size += len(name) + len(value)
            try:
                pairs += _pairs(name, value)
            except binascii.Error:
                self.fault = f"metadata {name.decode()[:100]} is not base64"
        if any(not pseudo.get(name) for name in _NEEDED):
            raise Malformed("a pseudo-header is missing")
        self.path = pseudo[b":path"].decode("latin-1")
        self.http = 0 if _GRPC(kind) else 415
        if pseudo[b":method"] != b"POST":
            self.http = 405 if self.http == 0 else 415
        self.streaming = routes.get(self.path)
        self.headers = Headers(pairs)
        self.whole = not self.http and not self.streaming and self.length < 0
        self.plan: Any = None


def check(name: bytes, value: bytes) -> None:
    """Whether a header may be in a request, or after it (RFC 9113, sections 8.2.1 and 8.2.2).

    Raises:
        Malformed: It may not.

    """
    if not _NAME(name) or _BAD_VALUE(value):
        raise Malformed("a header with characters that none may have")
    if name in _OF_CONNECTIONS or (name == b"te" and value != b"trailers"):
        raise Malformed("a header that is of one connection")


def _pairs(name: bytes, value: bytes) -> list[tuple[str | bytes, str | bytes]]:
    text = name.decode()
    if not name.endswith(b"-bin"):
        return [(text, value.decode("latin-1"))]
    # Several values may come as one, and padding may be left out (PROTOCOL-HTTP2, Requests).
    parts = [each.strip() for each in value.split(b",")]
    return [(text, base64.b64decode(each + b"=" * (-len(each) % 4), validate=True)) for each in parts]


class TooLarge(ValueError):
    """A header list beyond all bounds."""


class Heads:
    """The heads of one connection.

    Args:
        routes: Path → whether its caller may send several messages.
        most: Bytes of a header list, counted as SETTINGS_MAX_HEADER_LIST_SIZE counts them.

    Attributes:
        kept: Those that came lately, by their fields.

    """

    __slots__ = ("_most", "_routes", "kept")

    def __init__(self, routes: Mapping[str, bool], most: int) -> None:
        self._routes = routes
        self._most = most
        self.kept: dict[tuple[Field, ...], Head] = {}

    def read(self, fields: tuple[Field, ...]) -> Head:
        """What these fields say, which are not among those kept; they are from now on.

        Raises:
            Malformed: They are no request.
            TooLarge: They are beyond all bounds.

        """
        size = sum([field.size for field in fields])
        if size > self._most:
            raise TooLarge(f"a header list of {size} bytes")
        head = Head(fields, self._routes)
        if size <= _KEPT_SIZE:
            if len(self.kept) >= _KEPT:
                self.kept.clear()
            self.kept[fields] = head
        return head


def seconds(field: Field) -> float:
    """The duration that a ``grpc-timeout`` tells.

    Raises:
        Malformed: It is none.

    """
    found = field.meaning
    if found is None:
        digits = field.value[:-1]
        unit = _UNITS.get(field.value[-1]) if digits else None
        if unit is None or not digits.isdigit() or len(digits) > 8:
            raise Malformed("grpc-timeout is not a duration")
        found = field.meaning = int(digits) * unit
    return found
