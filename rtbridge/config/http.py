"""The ``http`` section: RoadRunner's keys, the part of them that serves files."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import Meta, field

from rtbridge.config.fields import AddressText, Section
from rtbridge.config.kinds import Kind, Place

_EXTENSION: Final = re.compile(r"\.[a-z0-9_-]+")
_HEADER_TEXT: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_URL: Final = re.compile(r"(?:wss?|https?)://[!-~]+")

#: Headers that say how the body travels or what it is: the server's own.
_TAKEN: Final = "connection|content-length|content-range|content-type|date|keep-alive|trailer|transfer-encoding|upgrade"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("" if value is None else "quote it to make it text")
    return value


def _read_folder(value: object, place: Place) -> Path:
    text = _text(value)
    if not text or "\0" in text:
        raise ValueError
    path = (place.base_dir / text).absolute()
    if not place.offline and not os.path.isdir(path):  # unlike Path.is_dir it never raises
        raise ValueError(f"no folder at {path}")
    return path


def _read_extension(value: object, _: Place) -> str:
    text = _text(value).lower()
    if _EXTENSION.fullmatch(text) is None:
        raise ValueError
    return text


def _read_header_text(value: object, _: Place) -> str:
    text = _text(value)
    if _HEADER_TEXT.fullmatch(text) is None:
        raise ValueError
    return text


def read_url(value: object, _: Place) -> str:
    """The URL without a slash at its end.

    Raises:
        ValueError: It is none, or has parts that no base of other URLs has.

    """
    text = _text(value)
    if _URL.fullmatch(text) is None:
        raise ValueError
    parts = urlsplit(text)
    if not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment or set(text) & set("\"'<>\\;,"):
        raise ValueError("a scheme, a host, and a port and a path if need be")
    if parts.port == 0:
        raise ValueError("there is no port 0")
    return text.rstrip("/")


FOLDER: Final = Kind(
    noun="the path of a folder, relative to the folder of this file",
    read=_read_folder,
    schema={"type": "string", "minLength": 1},
    placeholder=Path(),
    text=True,
)
EXTENSION: Final = Kind(
    noun="the extension of a file, with its dot: .js",
    read=_read_extension,
    schema={"type": "string", "pattern": r"^\.[A-Za-z0-9_-]+$"},
    placeholder=".x",
    text=True,
)
HEADER_TEXT: Final = Kind(
    noun="visible ASCII characters, with no space at either end",
    read=_read_header_text,
    schema={"type": "string", "minLength": 1},
    placeholder="",
    text=True,
)
URL: Final = Kind(
    noun="a ws, wss, http or https URL: wss://rt.example.com",
    read=read_url,
    schema={"type": "string", "pattern": f"^{_URL.pattern}$"},
    placeholder="",
    text=True,
)

Folder: TypeAlias = Annotated[Path, Meta(extra={"kind": FOLDER})]
Extension: TypeAlias = Annotated[str, Meta(extra={"kind": EXTENSION})]
HeaderText: TypeAlias = Annotated[str, Meta(extra={"kind": HEADER_TEXT})]
UrlText: TypeAlias = Annotated[str, Meta(extra={"kind": URL})]
HeaderName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^(?!(?i:{_TAKEN})\Z)[A-Za-z0-9-]+\Z",
        extra={"hint": "a header's name, but none that says how a body travels"},
    ),
]


class Static(Section, frozen=True, kw_only=True):
    """Files of one folder."""

    dir: Annotated[Folder, Meta(description="The folder; nothing outside it and no dotfile is served.")]
    forbid: Annotated[
        tuple[Extension, ...], Meta(description="Extensions of files that are not served; they win over allow.")
    ] = ()
    allow: Annotated[
        tuple[Extension, ...], Meta(description="Extensions of files that are served; none given = every file.")
    ] = ()
    response: Annotated[
        Mapping[HeaderName, HeaderText],
        Meta(
            description="Headers of every answer, beside and in place of those that are sent anyway; {realtime} in a "
            "value stands for the addresses of /config.json."
        ),
    ] = field(default_factory=dict[str, str])


class Http(Section, frozen=True, kw_only=True):
    """An HTTP server for people's browsers."""

    address: Annotated[AddressText, Meta(description="Where the HTTP server listens.")]
    middleware: Annotated[
        tuple[
            Annotated[
                Literal["static"],
                Meta(
                    extra={"later": ("headers", "gzip", "sendfile", "http_metrics", "cache", "proxy_ip_parser", "otel")}
                ),
            ],
            ...,
        ],
        Meta(description="What answers; static serves the files of http.static."),
    ] = ()
    static: Annotated[Static | None, Meta(description="Files of one folder; null = none.")] = None

    def __post_init__(self) -> None:
        if ("static" in self.middleware) != (self.static is not None):
            found = "http.static, but middleware does not name static" if self.static else "static, but no http.static"
            raise ValueError(f"found {found}, allowed: both or neither")
