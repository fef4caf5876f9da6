"""`docs/configuration.md` and the other pages with keys say what the model says.

The tables between its markers are rendered from the model; `python -m tests.docs.test_configuration_page` writes them.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import NODEFAULT, Struct, inspect

from rtbridge.config import Config, Embedded, Http, centrifugo
from rtbridge.config.centrifugo import SECTION
from rtbridge.config.kv import CONFIGS, Kv, KvStore
from rtbridge.config.roadrunner import LATER, REFUSED, known_keys
from rtbridge.config.shape import Shape, allowed, shape_of

#: Sections that refuse the same keys, under one name.
LISTED_PROXIES: Final = (
    "client.proxy.connect",
    "client.proxy.refresh",
    "channel.proxy.publish",
    "channel.proxy.sub_refresh",
    "channel.proxy.subscribe_stream",
    "channel.proxy.subscribe",
    "rpc.proxy",
)

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "configuration.md"


def keys(struct: inspect.StructType, path: str = "") -> Iterator[tuple[str, Shape, object]]:
    """Path, shape and default of every key, sections before what is in them."""
    for field in struct.fields:
        shape = shape_of(field.type)
        name = path + field.encode_name
        yield name, shape, shape.extra.get("when_present", field.default)
        inner = shape.type
        if isinstance(inner, inspect.DictType):
            inner = shape_of(inner.value_type).type
            name += ".NAME"
        elif isinstance(inner, inspect.VarTupleType):
            item = shape_of(inner.item_type)
            inner = item.type if item.kind is None else inner
            name += ".N"
        if isinstance(inner, inspect.StructType) and shape.kind is None:
            yield from keys(inner, f"{name}.")


def table_of_keys() -> str:
    """Every key with what it takes, what it is without, and what it means."""
    top = inspect.type_info(Config)
    assert isinstance(top, inspect.StructType)
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    for name, shape, default in keys(top):
        if not name.startswith((f"{SECTION}.", "http.", "kv.", "rtbridge.kv.")):
            lines.append(f"| `{name}` | {_taken(shape)} | {_default(shape, default)} | {shape.description} |")
    return "\n".join(lines)


def table_of_kv() -> str:
    """The keys of stores: those of every store, those of each driver, and what is said of their values."""
    lines: list[str] = []
    drivers: list[tuple[str, type[Struct]]] = [(f"kv.NAME.config of {name}", kind) for name, kind in CONFIGS.items()]
    for title, kind in [("kv.NAME", KvStore), *drivers, ("rtbridge.kv", Kv)]:
        section = inspect.type_info(kind)
        assert isinstance(section, inspect.StructType)
        lines += [f"## {title}", "", "| key | takes | default | meaning |", "|---|---|---|---|"]
        for name, shape, default in keys(section):
            lines.append(f"| `{name}` | {_taken(shape)} | {_default(shape, default)} | {shape.description} |")
        lines.append("")
    return "\n".join(lines[:-1])


def table_of_http() -> str:
    """The keys of the HTTP server."""
    top = inspect.type_info(Http)
    assert isinstance(top, inspect.StructType)
    lines = ["| key of `http` | takes | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {_taken(shape)} | {_default(shape, d)} | {shape.description} |" for name, shape, d in keys(top)
    ]
    return "\n".join(lines)


def table_of_embedded() -> str:
    """The keys of the embedded server; those of a section that is there twice are listed once."""
    top = inspect.type_info(Embedded)
    assert isinstance(top, inspect.StructType)
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    lines += _rows(top, "", frozenset(), {})
    return "\n".join(lines)


def _rows(struct: inspect.StructType, path: str, skip: frozenset[str], shown: dict[type, str]) -> Iterator[str]:
    for field in struct.fields:
        if field.name in skip:
            continue
        shape = shape_of(field.type)
        name = f"{path}{field.name}"
        below = shape_of(shape.type.item_type).type if isinstance(shape.type, inspect.VarTupleType) else shape.type
        inner = below if isinstance(below, inspect.StructType) and shape.kind is None else None
        like = next((base for base in inner.cls.__mro__ if base in shown), None) if inner else None
        meaning = f"{shape.description} Keys as in `{shown[like]}`." if like else shape.description
        yield f"| `{name}` | {_taken(shape)} | {_default(shape, field.default)} | {meaning} |"
        if inner is not None:
            name += ".N" if inner is not shape.type else ""
            inherited: frozenset[str] = frozenset(getattr(like, "__struct_fields__", ()))
            if like is None:
                shown[inner.cls] = name
            yield from _rows(inner, f"{name}.", inherited, shown)


def table_of_unsupported() -> str:
    """Keys of Centrifugo that the embedded server refuses, by their section."""
    known = centrifugo.known_keys()
    sections: dict[str, set[str]] = {}
    for path in known.unsupported:
        if not path.endswith(".endpoint"):
            section, _, key = path.rpartition(".")
            for name in LISTED_PROXIES:
                section = section.replace(name, "PROXY")
            sections.setdefault(section, set()).add(f"`{key}`")
    lines = [f"Known from Centrifugo {known.centrifugo}, not supported here:", "", "| section | keys |", "|---|---|"]
    for section, names in sorted(sections.items()):
        lines.append(f"| {f'`{section}`' if section else 'the top'} | {', '.join(sorted(names))} |")
    return "\n".join(lines)


def _taken(shape: Shape) -> str:
    if isinstance(shape.type, inspect.StructType) and shape.kind is None:
        return "a mapping, or null" if shape.optional else "a mapping"
    return re.sub(r", or null$", "; null", allowed(shape)).replace("|", r"\|")


def _default(shape: Shape, default: Any) -> str:
    if default is NODEFAULT:
        return "" if isinstance(shape.type, inspect.DictType | inspect.AnyType) else "required"
    if isinstance(default, Struct) and shape.kind is None:
        return ""
    if default is None:
        return "null"
    if default == ():
        return "none"
    if isinstance(default, tuple):
        return ", ".join(f"`{each}`" for each in default)
    shown = default if shape.kind is None else shape.kind.show(default)
    if shown == "":
        return '`""`'
    return f"`{str(shown).lower() if isinstance(shown, bool) else shown}`"


def table_of_roadrunner() -> str:
    """RoadRunner's keys that are read over, by the reason."""
    known = known_keys()
    reasons: dict[str, list[str]] = {}
    for key, reason in known.keys.items():
        reasons.setdefault(reason, []).append(f"`{key}`")
    lines = [f"Known from RoadRunner {known.roadrunner}:", "", "| keys | why they have no meaning here |", "|---|---|"]
    lines += [f"| {', '.join(names)} | {reason} |" for reason, names in reasons.items()]
    return "\n".join(lines)


#: Page → its tables.
TABLES: Final[dict[Path, dict[str, Callable[[], str]]]] = {
    PAGE: {"keys": table_of_keys},
    DOCS / "roadrunner.md": {"roadrunner": table_of_roadrunner},
    DOCS / "kv-keys.md": {"kv": table_of_kv},
    DOCS / "http-keys.md": {"http": table_of_http},
    DOCS / "embedded-keys.md": {"embedded": table_of_embedded, "unsupported": table_of_unsupported},
}


def rendered(page: Path) -> str:
    """The page with its tables as they should be."""
    text = page.read_text(encoding="utf-8")
    for name, table in TABLES[page].items():
        begin, end = f"<!-- {name}: rendered from the model -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{table()}\n\n{end}{after}"
    return text


@pytest.mark.parametrize("file", TABLES, ids=lambda file: file.name)
def test_the_tables_are_those_of_the_model(file: Path) -> None:
    """A key that is added, renamed, or means something else, changes the page."""
    assert file.read_text(encoding="utf-8") == rendered(file), "stale: run python -m tests.docs.test_configuration_page"


def test_every_key_has_a_meaning() -> None:
    """The model describes each of its keys."""
    top = inspect.type_info(Config)
    assert isinstance(top, inspect.StructType)

    assert [name for name, shape, _ in keys(top) if not shape.description] == []


def test_later_and_refused_sections_are_named() -> None:
    """What RoadRunner or the design knows and this version refuses is on the page, by name."""
    text = (DOCS / "roadrunner.md").read_text(encoding="utf-8")

    assert [key for key in (*LATER, *REFUSED) if f"`{key}`" not in text] == []


if __name__ == "__main__":
    for page in TABLES:
        page.write_text(rendered(page), encoding="utf-8")
