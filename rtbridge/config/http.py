"""The ``http`` section: RoadRunner's keys, and those of the application that it serves."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import Meta, field

from rtbridge.config.embedded_kinds import SUBNET
from rtbridge.config.fields import AddressText, File, Section
from rtbridge.config.kinds import Kind, Place
from rtbridge.config.pool import HttpPool
from rtbridge.config.values import Address

_EXTENSION: Final = re.compile(r"\.[a-z0-9_-]+")
_HEADER_TEXT: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_APP: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_WORDS: Final = re.compile(r"[!-+\--~]+(?: *, *[!-+\--~]+)*")
_URL: Final = re.compile(r"(?:wss?|https?)://[!-~]+")

#: Stands among networks for those that no client on the internet has: RFC 1918, RFC 4193 and this machine.
PRIVATE_RANGES: Final = "private_ranges"
PRIVATE: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128")

#: Bytes of a megabyte, as RoadRunner counts the size of a request.
MEGABYTE: Final = 1024 * 1024

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


def _read_app(value: object, _: Place) -> str:
    text = _text(value)
    if _APP.fullmatch(text) is None:
        raise ValueError
    return text


def _read_network(value: object, place: Place) -> str:
    text = _text(value)
    return text if text == PRIVATE_RANGES else str(SUBNET.read(text, place))


def _read_regex(value: object, _: Place) -> str:
    text = _text(value)
    try:
        re.compile(text)
    except re.error as exc:
        raise ValueError(f"{exc.msg} at position {exc.pos}") from exc
    return text


def _read_words(value: object, _: Place) -> str:
    text = _text(value)
    if not _WORDS.fullmatch(text):
        raise ValueError
    return ",".join(word.strip() for word in text.split(","))


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

APP: Final = Kind(
    noun="module:attribute, as in shop.web:app",
    read=_read_app,
    schema={"type": "string", "pattern": f"^{_APP.pattern}$"},
    placeholder="",
    text=True,
)
NETWORK: Final = Kind(
    noun="a network such as 10.0.0.0/8, an address, or private_ranges",
    read=_read_network,
    schema={"type": "string"},
    placeholder="127.0.0.1/32",
    text=True,
)
REGEX: Final = Kind(
    noun="a regular expression of Python",
    read=_read_regex,
    schema={"type": "string", "minLength": 1},
    placeholder="",
    text=True,
)
WORDS: Final = Kind(
    noun="words, with commas between them",
    read=_read_words,
    schema={"type": "string", "minLength": 1},
    placeholder="",
    text=True,
)

Folder: TypeAlias = Annotated[Path, Meta(extra={"kind": FOLDER})]
Extension: TypeAlias = Annotated[str, Meta(extra={"kind": EXTENSION})]
HeaderText: TypeAlias = Annotated[str, Meta(extra={"kind": HEADER_TEXT})]
Network: TypeAlias = Annotated[str, Meta(extra={"kind": NETWORK})]
RegexText: TypeAlias = Annotated[str, Meta(extra={"kind": REGEX})]
Words: TypeAlias = Annotated[str, Meta(extra={"kind": WORDS})]
AppName: TypeAlias = Annotated[str, Meta(extra={"kind": APP})]
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
    weak: Annotated[
        bool, Meta(description="ETags are weak: whoever continues a download starts again, files may be re-encoded.")
    ] = False
    response: Annotated[
        Mapping[HeaderName, HeaderText],
        Meta(
            description="Headers of every answer that is not the application's, beside and in place of those that are "
            "sent anyway; {realtime} in a value stands for the addresses of /config.json."
        ),
    ] = field(default_factory=dict[str, str])


class Cors(Section, frozen=True, kw_only=True):
    """Which pages of other origins may use what is served."""

    allowed_origin: Annotated[
        Words | None, Meta(description="Origins, as in https://shop.example.com; * = every one; null = none.")
    ] = None
    allowed_origin_regex: Annotated[
        RegexText | None, Meta(description="Origins that this matches as a whole, too; null = none.")
    ] = None
    allowed_headers: Annotated[
        Words | None, Meta(description="Headers that pages may send beside the harmless ones; * = every one.")
    ] = None
    allowed_methods: Annotated[Words, Meta(description="Methods that pages may use; * = every one.")] = "GET"
    allow_credentials: Annotated[bool, Meta(description="Whether pages may send cookies.")] = False
    exposed_headers: Annotated[Words | None, Meta(description="Headers of answers that pages may read.")] = None
    max_age: Annotated[
        int, Meta(ge=0, le=86_400, description="Seconds that browsers may remember an answer to a preflight.")
    ] = 0
    options_success_status: Annotated[int, Meta(ge=200, le=204, description="Status of an answer to a preflight.")] = (
        200
    )

    def __post_init__(self) -> None:
        if self.allow_credentials and self.allowed_origin is not None and "*" in self.allowed_origin.split(","):
            raise ValueError(
                "found allow_credentials with every origin allowed, so that any page could act as whoever looks at it; "
                "allowed: the origins by name, or no credentials"
            )


class HttpHeaders(Section, frozen=True, kw_only=True):
    """Headers that are added, and CORS."""

    cors: Annotated[Cors | None, Meta(description="Pages of other origins; null = the application's matter.")] = None
    request: Annotated[
        Mapping[HeaderName, HeaderText], Meta(description="Headers that the application finds in every request.")
    ] = field(default_factory=dict[str, str])
    response: Annotated[
        Mapping[HeaderName, HeaderText], Meta(description="Headers of every answer, in place of its own.")
    ] = field(default_factory=dict[str, str])


class Sendfile(Section, frozen=True, kw_only=True):
    """Files that the application has the server send."""

    root: Annotated[Folder, Meta(description="The folder; an X-Sendfile that leads out of it is answered with 404.")]


class Uploads(Section, frozen=True, kw_only=True):
    """Files in forms."""

    dir: Annotated[
        Folder | None, Meta(description="Where Python's tempfile puts files, uploads among them; null = the system's.")
    ] = None
    forbid: Annotated[
        tuple[Extension, ...], Meta(description="Extensions of files that are refused; they win over allow.")
    ] = ()
    allow: Annotated[
        tuple[Extension, ...], Meta(description="Extensions of files that are taken; none given = every file.")
    ] = ()


class HttpSsl(Section, frozen=True, kw_only=True):
    """TLS of the HTTP server."""

    address: Annotated[AddressText, Meta(description="Where it listens over TLS.")] = Address(
        host="127.0.0.1", port=443
    )
    cert: Annotated[File, Meta(description="PEM file of the certificate, and those between it and its authority.")]
    key: Annotated[File, Meta(description="PEM file of its key, without a passphrase.")]
    root_ca: Annotated[
        File | None, Meta(description="PEM file of the authority of clients' certificates; null = none are looked at.")
    ] = None
    client_auth_type: Annotated[
        Literal["no_client_cert", "verify_client_cert_if_given", "require_and_verify_client_cert"],
        Meta(
            description="Whether clients show certificates.",
            extra={"aliases": {"no_client_certs": "no_client_cert"}},
        ),
    ] = "no_client_cert"
    redirect: Annotated[bool, Meta(description="Answer requests in plain text with where to find it over TLS.")] = False

    def __post_init__(self) -> None:
        if (self.root_ca is None) != (self.client_auth_type == "no_client_cert"):
            there = "root_ca" if self.root_ca is not None else f"client_auth_type {self.client_auth_type}"
            missing = "root_ca" if self.root_ca is None else "client_auth_type that asks for certificates"
            raise ValueError(f"found {there}, but no {missing}, allowed: both or neither")


#: Middleware → the section without which it does nothing.
_SECTIONS: Final[Mapping[str, str]] = {
    "static": "static",
    "headers": "headers",
    "sendfile": "sendfile",
    "proxy_ip_parser": "trusted_subnets",
}


class Http(Section, frozen=True, kw_only=True):
    """An HTTP server for people's browsers."""

    address: Annotated[
        AddressText | None, Meta(description="Where the HTTP server listens in plain text; null = over TLS only.")
    ] = None
    ssl: Annotated[HttpSsl | None, Meta(description="TLS; null = none.")] = None
    app: Annotated[
        AppName | None, Meta(description="The ASGI or WSGI application, looked for in this file's folder; null = none.")
    ] = None
    lazy_boot: Annotated[
        bool, Meta(description="Import and start the application with its first request; errors then answer that one.")
    ] = False
    debug: Annotated[
        bool, Meta(description="Answer an exception with its traceback; for development, it shows your code.")
    ] = False
    pool: Annotated[
        HttpPool, Meta(description="Worker processes that serve the application; absent = one for each CPU.")
    ] = HttpPool()
    internal_error_code: Annotated[
        int, Meta(ge=400, le=599, description="Status where the application has failed without an answer of its own.")
    ] = 500
    max_request_size: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Largest body of a request, in megabytes (1024²); beyond: 413.")
    ] = 1000
    access_logs: Annotated[bool, Meta(description="A line in the log for each request.")] = False
    middleware: Annotated[
        tuple[
            Annotated[
                Literal["static", "gzip", "headers", "sendfile", "proxy_ip_parser", "http_metrics"],
                Meta(extra={"later": ("cache", "otel")}),
            ],
            ...,
        ],
        Meta(description="What requests pass through on their way to the application, the first one first."),
    ] = ()
    static: Annotated[Static | None, Meta(description="Files of one folder; null = none.")] = None
    headers: Annotated[HttpHeaders | None, Meta(description="Headers that are added, and CORS; null = none.")] = None
    sendfile: Annotated[
        Sendfile | None, Meta(description="Files that the application has the server send; null = none.")
    ] = None
    trusted_subnets: Annotated[
        tuple[Network, ...],
        Meta(
            description="Networks of proxies in front, whose headers are believed about a client's address; "
            "private_ranges stands for those that nobody on the internet has."
        ),
    ] = ()
    uploads: Annotated[Uploads | None, Meta(description="Files in forms; null = all of them are taken.")] = None

    def __post_init__(self) -> None:
        if self.address is None and self.ssl is None:
            raise ValueError("found neither address nor ssl, allowed: one of them or both")
        if self.address is None and self.ssl is not None and self.ssl.redirect:
            raise ValueError("found ssl.redirect, but no address to answer at, allowed: both or neither")
        names: tuple[str, ...] = self.middleware
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"found {name} twice in middleware, allowed: once")
        for name, section in _SECTIONS.items():
            there = bool(getattr(self, section))
            if (name in names) != there:
                found = (
                    f"http.{section}, but middleware does not name {name}"
                    if there
                    else f"{name}, but no http.{section}"
                )
                raise ValueError(f"found {found}, allowed: both or neither")
        if self.lazy_boot and self.app is None:
            raise ValueError("found lazy_boot, but no http.app, allowed: both or neither")

    @property
    def networks(self) -> tuple[str, ...]:
        """``trusted_subnets`` with the networks that ``private_ranges`` stands for."""
        found: list[str] = []
        for each in self.trusted_subnets:
            found += PRIVATE if each == PRIVATE_RANGES else (each,)
        return tuple(found)
