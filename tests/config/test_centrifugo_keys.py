"""The embedded server's keys and defaults are those of Centrifugo, and what it has not is known by name.

``python -m tests.config.test_centrifugo_keys`` writes both files anew, from the program that is found.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import pytest
from msgspec import NODEFAULT, Struct, inspect

from rtbridge.config.centrifugo import explain, known_keys
from rtbridge.config.embedded import Embedded
from rtbridge.config.embedded_kinds import INTERVAL
from rtbridge.config.kinds import DURATION
from rtbridge.config.shape import Shape, shape_of
from rtbridge.config.values import parse_duration
from tests.centrifugo import MISSING, find_binary

#: What ``centrifugo defaultconfig`` prints, without what is below keys that the embedded server has not.
DEFAULTS: Final = Path(__file__).parent / "fixtures" / "centrifugo_defaults.json"
KEYS: Final = Path(__file__).parents[2] / "rtbridge" / "config" / "centrifugo.json"

#: Keys with a reason to differ: one that is rtbridge's own, the rest have no value that could be a default.
OWN: Final = {"trusted_subnets"}

#: Lists whose items have the keys of another section, and a name.
LIKE: Final = {"channel.namespaces": "channel.without_namespace", "rpc.namespaces": "rpc.without_namespace"}


def _struct(annotation: inspect.Type) -> inspect.StructType | None:
    """The section that a field holds, or a list of which it holds."""
    shape = shape_of(annotation)
    kind = shape_of(shape.type.item_type).type if isinstance(shape.type, inspect.VarTupleType) else shape.type
    return kind if isinstance(kind, inspect.StructType) and shape.kind is None else None


def _top() -> inspect.StructType:
    top = inspect.type_info(Embedded)
    assert isinstance(top, inspect.StructType)
    return top


def pruned(tree: dict[str, Any], struct: inspect.StructType) -> dict[str, Any]:
    """The defaults, with null for whatever the embedded server does not have."""
    fields = {field.name: field for field in struct.fields}
    result: dict[str, Any] = {}
    for key, value in tree.items():
        below = _struct(fields[key].type) if key in fields else None
        is_section = below is not None and isinstance(value, dict)
        result[key] = None if key not in fields else pruned(value, cast("Any", below)) if is_section else value
    return result


def unsupported(tree: dict[str, Any], struct: inspect.StructType, path: str = "") -> Iterator[str]:
    """Key paths that Centrifugo has and the embedded server has not."""
    fields = {field.name: field for field in struct.fields}
    for key, value in tree.items():
        name = f"{path}{key}"
        below = _struct(fields[key].type) if key in fields else None
        if key not in fields:
            yield name
        elif below is not None and name in LIKE:
            section: Any = DEFAULT_TREE
            for part in LIKE[name].split("."):
                section = section[part]
            yield from unsupported(section, below, f"{name}.*.")
        elif below is not None and isinstance(value, dict):
            yield from unsupported(cast("dict[str, Any]", value), below, f"{name}.")


def defaults(struct: inspect.StructType, path: str = "") -> Iterator[tuple[str, Shape, object]]:
    """Path, shape and default of every key of the model; items of lists have none."""
    for field in struct.fields:
        shape = shape_of(field.type)
        if isinstance(shape.type, inspect.StructType) and shape.kind is None:
            yield from defaults(shape.type, f"{path}{field.name}.")
        else:
            yield f"{path}{field.name}", shape, field.default


def printed(binary: Path) -> dict[str, Any]:
    """What the program says its defaults are."""
    found = subprocess.run(
        [binary, "defaultconfig", "--dry-run"], capture_output=True, check=True, timeout=20, env={"PATH": ""}
    )
    return cast("dict[str, Any]", json.loads(found.stdout))


DEFAULT_TREE: dict[str, Any] = json.loads(DEFAULTS.read_text(encoding="utf-8")) if DEFAULTS.exists() else {}


def test_every_default_is_centrifugos() -> None:
    """Each key of the model is a key of Centrifugo, and means the same where it is not written."""
    found: dict[str, object] = {}
    wanted: dict[str, object] = {}
    for path, shape, default in defaults(_top()):
        if path in OWN:
            continue
        theirs: Any = DEFAULT_TREE
        for part in path.split("."):
            theirs = theirs[part]
        if shape.kind in (DURATION, INTERVAL):
            theirs = parse_duration(theirs)
        found[path] = default
        wanted[path] = () if theirs in (None, []) else theirs

    assert found == wanted


def test_items_of_lists_have_the_options_of_channels_without_namespace() -> None:
    """A namespace has the same keys with the same defaults, and a name."""
    top = _top()
    for path, like in LIKE.items():
        section, name = path.split(".")
        fields = {field.name: field for field in top.fields}
        outer = _struct(fields[section].type)
        assert outer is not None
        inner = {field.name: _struct(field.type) for field in outer.fields}
        item, options = inner[name], inner[like.partition(".")[2]]
        assert item is not None
        assert options is not None
        assert {field.name: field.default for field in item.fields} == {
            **{field.name: field.default for field in options.fields},
            "name": NODEFAULT,
        }


def test_what_the_embedded_server_has_not_is_listed() -> None:
    """A key that is added to the model leaves the list."""
    assert sorted(known_keys().unsupported) == sorted(unsupported(DEFAULT_TREE, _top()))


@pytest.mark.parametrize("path", sorted(known_keys().unsupported))
def test_each_of_them_is_explained(path: str) -> None:
    """Items of lists count from zero in a file."""
    text = explain(path.replace("*", "0"))
    assert text is not None
    assert "this process answers" in text if path.endswith(".endpoint") else "does not support" in text


def test_the_lists_are_those_of_the_program() -> None:
    """The checked-in defaults are what this version of Centrifugo prints."""
    binary = find_binary()
    if binary is None:
        pytest.skip(MISSING)

    assert pruned(printed(binary), _top()) == DEFAULT_TREE


def test_no_key_holds_a_section_that_is_null() -> None:
    """Every section of the model stands on its own, so that code may read keys without asking."""
    assert [path for path, shape, _ in defaults(_top()) if shape.optional] == []
    assert isinstance(Embedded(), Struct)


def _write() -> None:
    binary = find_binary()
    assert binary is not None, MISSING
    tree = pruned(printed(binary), _top())
    DEFAULTS.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")
    DEFAULT_TREE.clear()
    DEFAULT_TREE.update(tree)
    keys = {
        "centrifugo": "6.9.1",
        "read_from": ["centrifugo defaultconfig"],
        "unsupported": sorted(unsupported(tree, _top())),
    }
    KEYS.write_text(json.dumps(keys, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write()
