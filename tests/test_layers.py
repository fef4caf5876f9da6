"""Imports point one way, so that any part can be read, tested and replaced without those above it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1] / "rtbridge"

#: Part → the parts it may import. A part that is not here needs a line.
BOTTOM = {"errors", "clock", "config"}
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "clock": set(),
    "config": {"errors"},
    "logs": set(),
    "deadlines": set(),
    "eager": set(),
    "admission": {"errors"},
    "events": {"errors", "clock"},
    "codec": {"events", "errors", "clock"},
    "stores": set(BOTTOM),
    "api": {"codec", "events"} | BOTTOM,
    "isolation": {"events", "clock"},
    "pretty": set(),
    "dumping": {"isolation", "pretty", "events"} | BOTTOM,
    "hooks": {"api", "stores", "events"} | BOTTOM,
    "denial": {"hooks", "events"} | BOTTOM,
    "bridge": {"denial", "admission", "deadlines", "eager", "isolation", "hooks", "events"} | BOTTOM,
    "handler": {"bridge", "codec", "events"} | BOTTOM,
    "readiness": set(),
    "transport": {"handler", "readiness", "bridge", "denial", "deadlines", "eager", "codec", "events"} | BOTTOM,
    "embedded": {"handler", "codec", "events", "bridge", "denial", "hooks", "transport", "api"} | BOTTOM,
    "centrifugo": {"hooks", "events"} | BOTTOM,
    "plugins": {"transport", "isolation", "hooks", "stores", "events"} | BOTTOM,
    "reporting": {"plugins", "isolation", "events"} | BOTTOM,
    "http": {"plugins"},
    "listening": {"plugins", "embedded", "transport", "handler", "readiness"} | BOTTOM,
    "app": {
        "control",
        "dumping",
        "reporting",
        "listening",
        "centrifugo",
        "api",
        "plugins",
        "stores",
        "transport",
        "handler",
        "readiness",
        "bridge",
        "denial",
        "hooks",
        "events",
    }
    | BOTTOM,
    "loops": set(),
    "workers": {
        "app",
        "listening",
        "loops",
        "plugins",
        "readiness",
        "stores",
        "transport",
        "handler",
        "bridge",
        "denial",
        "deadlines",
        "eager",
        "hooks",
        "codec",
        "api",
        "events",
        "logs",
    }
    | BOTTOM,
    "control": {"transport", "api", "codec", "denial", "stores", "events"} | BOTTOM,
    "testing": {"app", "transport", "api", "events"} | BOTTOM,
    "cli": {
        "api",
        "app",
        "control",
        "dumping",
        "embedded",
        "centrifugo",
        "listening",
        "loops",
        "plugins",
        "readiness",
        "stores",
        "transport",
        "workers",
        "codec",
        "hooks",
        "events",
        "logs",
    }
    | BOTTOM,
    "__main__": {"cli"},
    "_codegen": {"hooks"},
}

#: Files of one part that stand side by side: one implementation each, behind what they share.
SIBLINGS = (
    {"transport.builtin", "transport.grpcio", "transport.http", "transport.memory", "transport.uvicorn"},
    {"api.control", "api.grpcio", "api.http", "api.local"},
    {"codec._json_generated", "codec._proto_generated"},
    {"events.call", "events.outcome", "events.values"},
    {"plugins.kv.memory", "plugins.kv.sqlite", "plugins.kv.redis", "plugins.kv.memcached"},
)

#: Libraries that belong to one end of the way: name → the parts that may import them.
LIBRARIES = {
    "grpc": {"api", "transport", "control", "cli"},
    "grpc_tools": set(),
    "uvicorn": {"transport"},
    "starlette": {"transport", "control", "embedded", "plugins"},
    "websockets": {"embedded"},
    "jwt": {"embedded", "cli"},
    "cryptography": {"embedded", "cli"},
    "h11": {"api", "embedded"},
    "google": {"codec", "transport", "cli", "_codegen"},
    "pluggy": {"hooks"},
    "yaml": {"config", "centrifugo", "cli"},
    "click": {"cli"},
    "psutil": {"workers"},
    "watchfiles": {"cli"},
    "django": {"plugins"},
    "sentry_sdk": {"plugins"},
    "msgpack": {"stores"},
    "nacl": {"stores"},
    "zstandard": {"stores"},
    "redis": {"plugins"},
    "pymemcache": {"plugins"},
    "sqlite3": {"plugins"},
    "prometheus_client": {"plugins"},
}

#: What a part may take from the package itself, which would otherwise load everything.
OF_THE_PACKAGE = {"__version__"}

#: protobuf's own descriptor of descriptors belongs to its runtime; it describes nobody's messages.
OWN_PB2 = "google.protobuf.descriptor_pb2"


class Import(NamedTuple):
    """One import of one module: where it stands and what it names, `rtbridge.events.values.JSON_NULL`."""

    place: str
    module: str
    target: str


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below `rtbridge`; the package itself is the empty one."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports() -> Iterator[Import]:
    """Every import, also those inside functions and those for type checkers only."""
    for name, path in sorted(MODULES.items()):
        for node in ast.walk(ast.parse(path.read_text())):
            place = f"rtbridge/{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                yield from (Import(place, name, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{place}: relative import; this project writes them in full"
                yield from (Import(place, name, f"{node.module}.{alias.name}") for alias in node.names)


IMPORTS = list(imports())


def part_of(module: str) -> str:
    """The part that a module belongs to: its folder, or its file at the top."""
    return module.split(".")[0]


def module_of(target: str) -> str:
    """The module that a dotted name is found in."""
    parts = target.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return ".".join(parts)


OWN = [i for i in IMPORTS if i.target.split(".")[0] == "rtbridge"]


def test_every_part_has_its_place() -> None:
    """A new file or folder at the top says what it may import."""
    parts = {part_of(module) for module in MODULES} - {""}
    assert parts == set(LAYERS)


def test_the_layers_have_no_circle() -> None:
    """Otherwise the table would allow anything."""
    done: list[str] = []
    while len(done) < len(LAYERS):
        ready = [part for part, below in LAYERS.items() if part not in done and below <= set(done)]
        assert ready, f"these lean on one another: {set(LAYERS) - set(done)}"
        done += ready


def test_imports_point_one_way() -> None:
    """config, errors and clock at the bottom; events, hooks, bridge, transports, app, command line above."""
    wrong = []
    for place, module, target in OWN:
        part, other = part_of(module), part_of(module_of(target))
        if part and other and other != part and other not in LAYERS[part]:
            allowed = ", ".join(sorted(LAYERS[part])) or "nothing"
            wrong.append(f"{place}: {part} imports {other}; it may import {allowed}")
    assert not wrong, "\n".join(wrong)


def test_the_package_is_not_imported_from_below() -> None:
    """`import rtbridge` loads everything; a part may ask it for its version only."""
    wrong = [
        f"{place}: takes {target} from the package"
        for place, module, target in OWN
        if module and not module_of(target) and target != "rtbridge" and target.split(".")[1] not in OF_THE_PACKAGE
    ]
    for module in {i.module for i in OWN if i.target == "rtbridge" and i.module}:
        for node in ast.walk(ast.parse(MODULES[module].read_text())):
            named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "rtbridge"
            if named and isinstance(node, ast.Attribute) and node.attr not in OF_THE_PACKAGE:
                wrong.append(f"rtbridge/{MODULES[module].relative_to(ROOT)}:{node.lineno}: takes {node.attr}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("family", SIBLINGS, ids=lambda family: min(family).split(".")[0])
def test_siblings_do_not_import_one_another(family: set[str]) -> None:
    """What two of them need stands in a file beside them."""
    assert family <= set(MODULES)
    wrong = [f"{i.place}: imports {i.target}" for i in OWN if i.module in family and module_of(i.target) in family]
    assert not wrong, "\n".join(wrong)


def test_no_generated_protobuf_module_is_imported() -> None:
    """A `_pb2` module registers its messages in protobuf's default pool and ties users to a protobuf version."""
    wrong = [
        f"{i.place}: imports {i.target}"
        for i in IMPORTS
        if any(part.endswith(("_pb2", "_pb2_grpc")) for part in i.target.split("."))
        and not i.target.startswith(OWN_PB2)
    ]
    assert not wrong, "\n".join(wrong)


def test_libraries_stay_where_they_belong() -> None:
    """The wire is kept out of events, hooks and bridge; the terminal is the command line's."""
    wrong = []
    for place, module, target in IMPORTS:
        library, part = target.split(".")[0], part_of(module)
        if library in LIBRARIES and part not in LIBRARIES[library]:
            allowed = ", ".join(sorted(LIBRARIES[library])) or "none"
            wrong.append(f"{place}: {part} imports {library}; parts that may: {allowed}")
    assert not wrong, "\n".join(wrong)


def test_modules_stay_small() -> None:
    """One concern each; what is written by hand has at most 500 lines."""
    sizes = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    long = {name: size for name, size in sizes.items() if size > 500 and not name.endswith("_generated")}
    assert not long
