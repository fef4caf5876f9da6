"""Takes out of a tree what rtbridge does not read: RoadRunner's own keys, keys of later versions, ``x-*``."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

import msgspec

import rtbridge
from rtbridge.config.faults import Faults, Where
from rtbridge.config.model import Config
from rtbridge.config.tree import Table, Tree

#: Keys of RoadRunner, and of rtbridge's design, that this version does not implement.
LATER: Final = (
    "http.cache",
    "http.fcgi",
    "http.http2",
    "http.http3",
    "http.new_relic",
    "http.otel",
)

#: Keys of RoadRunner that change what a file means, so that passing over them would be wrong.
REFUSED: Final[Mapping[str, str]] = {
    "include": "RoadRunner's include is not supported; write one file (x-* sections and YAML anchors share values)",
    "http.static.request": "files are sent whatever a request's headers are; http.headers.request sets those that the "
    "application finds",
    "http.ssl.acme": "certificates are not fetched here: have certbot or acme.sh write http.ssl.cert and key and run "
    "rtbridge reload, or put a proxy such as Caddy in front",
    "envfile": "RoadRunner's envfile is not supported; put the variables into .env beside this file",
}

#: Start of the top-level keys that are free, for anchors.
FREE_PREFIX: Final = "x-"


class KnownKeys(msgspec.Struct, frozen=True):
    """RoadRunner's keys that have no meaning here, with the reason for each."""

    roadrunner: str
    read_from: tuple[str, ...]
    keys: dict[str, str]


@cache
def known_keys() -> KnownKeys:
    """The checked-in list and the version of RoadRunner that it was read from."""
    data = resources.files("rtbridge.config").joinpath("roadrunner.json").read_bytes()
    return msgspec.json.decode(data, type=KnownKeys)


def sift(tree: Table, faults: Faults) -> list[tuple[Where, str]]:
    """Remove what is not read and return a notice for each key that a user may miss."""
    notices: list[tuple[Where, str]] = []
    _give_sections_to_stores(tree, notices)
    for name in list(tree.items):
        if name.startswith(FREE_PREFIX):
            del tree.items[name]
    for path in LATER:
        if (value := _pop(tree, path)) is not None:
            what = f"section {path}" if "." not in path else path
            faults.add(value.where, what, f"not implemented in rtbridge {rtbridge.__version__}; remove it")
    for path, reason in REFUSED.items():
        if (value := _pop(tree, path)) is not None:
            faults.add(value.where, path, reason)
    for path, reason in known_keys().keys.items():
        if (value := _pop(tree, path)) is not None:
            notices.append((value.where, f"{path}: RoadRunner's key, no meaning here ({reason})"))
    return notices


def _give_sections_to_stores(tree: Table, notices: list[tuple[Where, str]]) -> None:
    """A top-level section named like a kv store is that store's ``config``, where it has none of its own."""
    kv = tree.items.get("kv")
    taken = {*Config.__struct_fields__, *REFUSED}
    for name, store in list(kv.items.items()) if isinstance(kv, Table) else ():
        if name in taken or name not in tree.items or not isinstance(store, Table):
            continue
        section = tree.items.pop(name)
        if "config" in store.items:
            notices.append((section.where, f"{name}: not read, kv.{name} has a config of its own"))
        else:
            store.items["config"] = section


def _pop(tree: Table, path: str) -> Tree | None:
    *parents, name = path.split(".")
    for parent in parents:
        below = tree.items.get(parent)
        if not isinstance(below, Table):
            return None
        tree = below
    return tree.items.pop(name, None)
