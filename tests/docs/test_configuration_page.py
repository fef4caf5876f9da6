"""`docs/configuration.md` says what the model says.

The tables between its markers are rendered from the model; `python -m tests.docs.test_configuration_page` writes them.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from msgspec import NODEFAULT, Struct, inspect

from rtbridge.config import Config
from rtbridge.config.roadrunner import LATER, REFUSED, known_keys
from rtbridge.config.shape import Shape, allowed, shape_of

PAGE: Final = Path(__file__).parents[2] / "docs" / "configuration.md"


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
        if isinstance(inner, inspect.StructType) and shape.kind is None:
            yield from keys(inner, f"{name}.")


def table_of_keys() -> str:
    """Every key with what it takes, what it is without, and what it means."""
    top = inspect.type_info(Config)
    assert isinstance(top, inspect.StructType)
    lines = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    for name, shape, default in keys(top):
        lines.append(f"| `{name}` | {_taken(shape)} | {_default(shape, default)} | {shape.description} |")
    return "\n".join(lines)


def _taken(shape: Shape) -> str:
    if isinstance(shape.type, inspect.StructType) and shape.kind is None:
        return "a mapping, or null" if shape.optional else "a mapping"
    return re.sub(r", or null$", "; null", allowed(shape)).replace("|", r"\|")


def _default(shape: Shape, default: Any) -> str:
    if default is NODEFAULT:
        return "" if isinstance(shape.type, inspect.DictType) else "required"
    if isinstance(default, Struct) and shape.kind is None:
        return ""
    if default is None:
        return "null"
    if default == ():
        return "none"
    shown = default if shape.kind is None else shape.kind.show(default)
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


TABLES: Final[dict[str, Callable[[], str]]] = {"keys": table_of_keys, "roadrunner": table_of_roadrunner}


def rendered(text: str) -> str:
    """The page with its tables as they should be."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: rendered from the model -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{table()}\n\n{end}{after}"
    return text


def test_the_tables_are_those_of_the_model() -> None:
    """A key that is added, renamed, or means something else, changes the page."""
    text = PAGE.read_text(encoding="utf-8")

    assert text == rendered(text), "stale: run python -m tests.docs.test_configuration_page"


def test_every_key_has_a_meaning() -> None:
    """The model describes each of its keys."""
    top = inspect.type_info(Config)
    assert isinstance(top, inspect.StructType)

    assert [name for name, shape, _ in keys(top) if not shape.description] == []


def test_later_and_refused_sections_are_named() -> None:
    """What RoadRunner or the design knows and this version refuses is on the page, by name."""
    text = PAGE.read_text(encoding="utf-8")

    assert [key for key in (*LATER, *REFUSED) if f"`{key}`" not in text] == []


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
