"""Keys of Centrifugo's own configuration that the embedded server does not have."""

import re
from functools import cache
from importlib import resources
from typing import Final

import msgspec

#: Where the embedded server's section is in the file.
SECTION: Final = "rtbridge.embedded"

_INDEX: Final = re.compile(r"\.\d+(?=\.|$)")
_ENDPOINT: Final = re.compile(r"(client|channel)\.proxy\.\w+\.endpoint|rpc\.proxy\.endpoint")


class KnownKeys(msgspec.Struct, frozen=True):
    """Key paths without what is below them; ``*`` is each item of a list."""

    centrifugo: str
    read_from: tuple[str, ...]
    unsupported: frozenset[str]


@cache
def known_keys() -> KnownKeys:
    """The checked-in list and the version of Centrifugo that it was read from."""
    data = resources.files("rtbridge.config").joinpath("centrifugo.json").read_bytes()
    return msgspec.json.decode(data, type=KnownKeys)


def explain(path: str) -> str | None:
    """What is wrong with a key that the model of the embedded server does not have.

    Args:
        path: Key path from the section on.

    Returns:
        The text, or None for a key that Centrifugo does not know either.

    """
    if _ENDPOINT.fullmatch(path):
        return "leave it out, this process answers; rtbridge centrifugo-config fills it in for Centrifugo"
    known = known_keys()
    if _INDEX.sub(".*", path) not in known.unsupported:
        return None
    return f"a key of Centrifugo {known.centrifugo} that the embedded server does not support; remove it"


def explain_in_file(path: str) -> str | None:
    """The same for a key path of the whole file."""
    head = f"{SECTION}."
    return explain(path.removeprefix(head)) if path.startswith(head) else None
