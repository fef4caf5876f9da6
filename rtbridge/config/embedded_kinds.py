"""Kinds of scalar that only the keys of Centrifugo have."""

import base64
import binascii
import ipaddress
import os
import re
from pathlib import Path
from typing import Final

from rtbridge.config.kinds import DURATION, Kind, Place
from rtbridge.config.regex import compile_regex
from rtbridge.config.values import format_duration, parse_duration

_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_NANOSECOND: Final = 1e-9


class Pem(str):
    """The text of a PEM file.

    Attributes:
        file: Where it was read from; None where the configuration holds the text itself.

    """

    file: Path | None = None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("" if value is None else "quote it to make it text")
    return value


def _read_interval(value: object, place: Place) -> float:
    """Centrifugo takes a bare number for nanoseconds, and its own pages switch pings off with -1."""
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        return value * _NANOSECOND
    if isinstance(value, str) and value.startswith("-"):
        return -parse_duration(value[1:])
    seconds = DURATION.read(value, place)
    assert isinstance(seconds, float)
    return seconds


def _show_interval(value: object) -> object:
    return format_interval(value) if isinstance(value, int | float) else value


def format_interval(seconds: float) -> str:
    """A Go duration that may be negative, to the nanosecond: ``25s``, ``-1ns``."""
    nanoseconds = round(abs(seconds) * 1e9)
    text = f"{nanoseconds}ns" if nanoseconds % 1_000_000 else format_duration(abs(seconds))
    return f"-{text}" if seconds < 0 and nanoseconds else text


def _read_pem(value: object, place: Place) -> Pem:
    """The text itself, its base64, or the path of a file, in Centrifugo's order."""
    text = _text(value)
    if not text or _PEM.search(text) is not None:
        return Pem(text)
    try:
        decoded = base64.b64decode(text, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        decoded = ""
    if _PEM.search(decoded) is not None:
        return Pem(decoded)
    if "\0" in text or "\n" in text:
        raise ValueError
    path = (place.base_dir / text).absolute()
    found = Pem()
    if not place.offline:
        if not os.path.isfile(path):  # unlike Path.is_file it never raises
            raise ValueError("no file of that name")
        try:
            found = Pem(path.read_text(encoding="ascii"))
        except (OSError, ValueError) as exc:
            raise ValueError(f"{path} cannot be read") from exc
        if _PEM.search(found) is None:
            raise ValueError(f"{path} holds no PEM")
    found.file = path
    return found


def _read_public_key(value: object, _: Place) -> str:
    text = _text(value)
    if text and _PEM.search(text) is None:
        raise ValueError
    return text


def _read_regex(value: object, _: Place) -> str:
    text = _text(value)
    compile_regex(text)
    return text


def _read_subnet(value: object, _: Place) -> str:
    return str(ipaddress.ip_network(_text(value)))


def _matching(noun: str, pattern: str, *, optional: bool = False) -> Kind:
    """Text that a regular expression matches as a whole; with ``optional``, empty text too."""
    compiled = re.compile(f"(?:{pattern})?" if optional else pattern)

    def read(value: object, _: Place) -> str:
        text = _text(value)
        if compiled.fullmatch(text) is None:
            raise ValueError
        return text

    schema = {"type": "string", "pattern": f"^(?:{compiled.pattern})$"}
    return Kind(noun=noun, read=read, schema=schema, placeholder="", text=True)


INTERVAL: Final = Kind(
    noun="a duration (10s, 1m30s, 250ms)",
    read=_read_interval,
    schema={
        "type": ["string", "integer"],
        "pattern": r"^(0|-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$",
        "maximum": 0,
    },
    placeholder=0.0,
    show=_show_interval,
)
PEM: Final = Kind(
    noun="PEM text, its base64, or the path of a PEM file, relative to the folder of this file",
    read=_read_pem,
    schema={"type": "string"},
    placeholder=Pem(),
    text=True,
)
PUBLIC_KEY: Final = Kind(
    noun="a public key as PEM text", read=_read_public_key, schema={"type": "string"}, placeholder="", text=True
)
REGEX: Final = Kind(
    noun="a regular expression of Go (RE2)", read=_read_regex, schema={"type": "string"}, placeholder="", text=True
)
SUBNET: Final = Kind(
    noun="a network such as 10.0.0.0/8, or an address",
    read=_read_subnet,
    schema={"type": "string"},
    placeholder="127.0.0.1/32",
    text=True,
)
NAMESPACE: Final = _matching("two or more of a-z, A-Z, 0-9, '-', '_', '.'", "[-a-zA-Z0-9_.]{2,}")
CLAIM: Final = _matching("the name of a claim: letters and '_'", "[a-zA-Z_]+", optional=True)
HEADER_NAME: Final = _matching("the name of a header", r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", optional=True)
PREFIX: Final = _matching("a path that starts with '/'", r"/[A-Za-z0-9_.~!$&'()*+,;=:@/-]*", optional=True)
URL: Final = _matching("an http:// or https:// URL", r"https?://[!-~]+", optional=True)
