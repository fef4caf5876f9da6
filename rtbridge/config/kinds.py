"""Kinds of scalar: how each is read, what is allowed in words, and its JSON Schema."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from rtbridge.config.values import (
    Address,
    format_duration,
    format_size,
    parse_address,
    parse_duration,
    parse_size,
)


class Place(msgspec.Struct, frozen=True):
    """What a value may be compared with: the folder of relative paths, and whether files can be looked at."""

    base_dir: Path
    offline: bool = False


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of scalar."""

    #: What is allowed, in words.
    noun: str
    #: Raises ``ValueError`` (with a reason, if the noun does not say it all) for a value that is not of this kind.
    read: Callable[[object, Place], object]
    schema: Mapping[str, object]
    #: Stands for a value that a missing variable would have given.
    placeholder: object
    #: A default or a bound as it would be written in the file.
    show: Callable[[object], object] = lambda value: value
    #: Text stays text, even where it was made from variables only.
    text: bool = False
    #: Wants the scalar as it was written: ``8080`` and ``true`` are text too.
    verbatim: bool = False


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("" if value is None else "quote it to make it text")
    return value


def _read_string(value: object, _: Place) -> str:
    return _text(value)


def _read_integer(value: object, _: Place) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return value


def _read_boolean(value: object, _: Place) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _read_duration(value: object, _: Place) -> float:
    if value == 0 and type(value) is int:
        return 0.0
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError("it has no unit")
    if not isinstance(value, str):
        raise ValueError
    return parse_duration(value)


def _read_size(value: object, _: Place) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError
    return parse_size(value)


def _read_address(value: object, _: Place) -> Address:
    if not isinstance(value, str):
        raise ValueError
    return parse_address(value)


def _read_file(value: object, place: Place) -> Path:
    text = _text(value)
    if not text or "\0" in text:
        raise ValueError
    path = (place.base_dir / text).absolute()
    if not place.offline:
        if not os.path.isfile(path):  # unlike Path.is_file it never raises
            raise ValueError(f"no file at {path}")
        if not os.access(path, os.R_OK):
            raise ValueError(f"{path} may not be read")
    return path


def _read_env(value: object, _: Place) -> str:
    text = _text(value)
    if "\0" in text:
        raise ValueError
    return text


_HEADER: Final = re.compile(r"[a-z0-9_.-]+")
#: Headers that the transports own, and gRPC's own prefix and suffix: a secret there is lost or never compared.
_TAKEN_HEADERS: Final = frozenset(
    {"connection", "content-length", "content-type", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)


def _read_header(value: object, _: Place) -> str:
    name = _text(value).lower()
    if _HEADER.fullmatch(name) is None:
        raise ValueError
    if name in _TAKEN_HEADERS or name.startswith("grpc-") or name.endswith("-bin"):
        raise ValueError("HTTP and gRPC use it themselves")
    return name


_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")


def _read_secret(value: object, _: Place) -> str:
    text = _text(value)
    if _HEADER_VALUE.fullmatch(text) is None:
        raise ValueError
    return text


def _read_code(value: object, _: Place) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError
    return value


STRING: Final = Kind(noun="a string", read=_read_string, schema={"type": "string"}, placeholder="", text=True)
INTEGER: Final = Kind(noun="an integer", read=_read_integer, schema={"type": "integer"}, placeholder=0)
BOOLEAN: Final = Kind(noun="true or false", read=_read_boolean, schema={"type": "boolean"}, placeholder=False)
DURATION: Final = Kind(
    noun="a duration (10s, 1m30s, 250ms)",
    read=_read_duration,
    schema={
        "type": ["string", "integer"],
        "pattern": r"^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$",
        "minimum": 0,
        "maximum": 0,
    },
    placeholder=0.0,
    show=lambda value: format_duration(value) if isinstance(value, int | float) else value,
)
SIZE: Final = Kind(
    noun="a size (4MiB, 16KiB, 1MB, or a number of bytes)",
    read=_read_size,
    schema={"type": ["string", "integer"], "pattern": r"^[0-9]+(\.[0-9]+)? ?([KMG]i?B|B)?$", "minimum": 1},
    placeholder=0,
    show=lambda value: format_size(value) if isinstance(value, int) else value,
)
ADDRESS: Final = Kind(
    noun="tcp://host:port, host:port or unix:///path",
    read=_read_address,
    schema={"type": "string"},
    placeholder=Address(),
    show=lambda value: str(value) if isinstance(value, Address) else value,
    text=True,
)
FILE: Final = Kind(
    noun="the path of a readable file, relative to the folder of this file",
    read=_read_file,
    schema={"type": "string", "minLength": 1},
    placeholder=Path(),
    text=True,
)
ENV_VALUE: Final = Kind(
    noun="text without a NUL",
    read=_read_env,
    schema={"type": ["string", "number", "boolean"]},
    placeholder="",
    text=True,
    verbatim=True,
)
HEADER: Final = Kind(
    noun="the name of a header: letters, digits, '-', '_' and '.'",
    read=_read_header,
    schema={"type": "string", "pattern": "^[A-Za-z0-9_.-]+$"},
    placeholder="",
    text=True,
)
SECRET: Final = Kind(
    noun="a non-empty string of visible ASCII characters, with no space at either end",
    read=_read_secret,
    schema={"type": "string", "minLength": 1},
    placeholder="",
    text=True,
)
CODE: Final = Kind(
    noun="an integer or the name of a code",
    read=_read_code,
    schema={"type": ["integer", "string"]},
    placeholder=0,
)
