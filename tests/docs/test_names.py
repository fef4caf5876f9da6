"""Every name that a user can meet is explained somewhere, and every name that is explained exists."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import rtbridge
from rtbridge import Config
from rtbridge.events import METHODS
from rtbridge.hooks import HookManager, lifecycle
from rtbridge.hooks.patterns import compile_pattern

#: Events that have something to route by.
ROUTED = sorted(name for name in vars(rtbridge.Router.__mro__[1]) if name.startswith("on_"))


@pytest.fixture
def hook_names() -> list[str]:
    """Every hook there is."""
    return HookManager({"config": Config()}).hook_names


def test_signatures_of_the_hooks_page(read: Any) -> None:
    """The generated page shows each hook with the arguments that its spec has."""
    manager = HookManager({"config": Config()})
    shown: dict[str, tuple[str, ...]] = {}
    for block in read("docs/hooks.md").blocks("python"):
        (function,) = ast.parse(f"{block.code.rstrip()}: ...").body
        assert isinstance(function, ast.FunctionDef)
        shown[function.name] = tuple(argument.arg for argument in function.args.args)

    assert {method.hook for method in METHODS.values()} <= set(shown)
    for name, arguments in shown.items():
        assert arguments == tuple(getattr(manager.hook, name).spec.argnames), name


def test_every_hook_is_explained(docs: dict[str, str], hook_names: list[str]) -> None:
    """Events on the generated page; middleware, the invalid event and the life cycle on the page of answers."""
    around = {name for name, value in vars(lifecycle).items() if inspect.isfunction(value)} & set(hook_names)
    around |= {"on_event", "on_invalid"}

    assert [name for name in sorted(set(hook_names) - around) if f"### `{name}`" not in docs["hooks.md"]] == []
    assert [name for name in sorted(around) if f"`{name}`" not in docs["answering.md"]] == []


def test_every_route_is_explained(docs: dict[str, str]) -> None:
    """The page of routing names each decorator and no other."""
    table = docs["routing.md"].partition("## What is matched")[2].partition("\n\n`on_refresh`")[0]

    assert sorted(re.findall(r"`(on_\w+)`", table)) == ROUTED


def test_every_event_has_a_denial(docs: dict[str, str]) -> None:
    """The table of what leaves names each event, or the streams together."""
    table = docs["answering.md"].partition("## What leaves")[2].partition("## What the client")[0]
    kinds = [kind for kind, method in METHODS.items() if not method.stream]

    assert "stream start" in table
    assert [kind for kind in kinds if not re.search(rf"\b{kind}\b", table)] == []


def test_every_event_has_a_switch(docs: dict[str, str]) -> None:
    """The page of Centrifugo says what has to be on for an event to be sent."""
    table = docs["centrifugo.md"].partition("## Switches")[2].partition("## When")[0]

    assert [kind for kind in METHODS if not re.search(rf"\b{kind}\b", table)] == []


def test_every_public_name_is_mentioned(docs: dict[str, str]) -> None:
    """What `rtbridge` exports is in the documentation; parts of other messages are on the page of hooks."""
    text = "\n".join(docs.values())
    names = [name for name in rtbridge.__all__ if name != "METHODS" and not re.search(rf"\b{name}\b", text)]

    assert names == []


def test_every_error_is_where_it_says(docs: dict[str, str]) -> None:
    """Pages name exceptions that exist."""
    text = "\n".join(docs.values())
    named = set(
        re.findall(r"`((?:Bad|Binary|Client|Config|Hook|Invalid|Listen|Meta|Plugin|Setup|Wrong)[A-Z]\w+)`", text)
    )

    assert [name for name in sorted(named) if not hasattr(rtbridge, name)] == []


def test_the_sample_is_listed_by_event(root: Path) -> None:
    """The sample's own page names every event."""
    text = (root / "samples" / "notes" / "README.md").read_text(encoding="utf-8")

    assert [kind for kind in METHODS if f"`{kind}`" not in text and f"`on_{kind}`" not in text] == []


def test_paths_of_the_architecture_exist(docs: dict[str, str], root: Path) -> None:
    """Whoever looks for something finds it where the page says."""
    text = docs["architecture.md"]
    paths = re.findall(r"`((?:rtbridge|tests|proto|docs)/[\w./-]*)`", text)

    assert len(paths) > 15
    assert [path for path in paths if not (root / path).exists()] == []


def test_the_table_of_patterns_tells_the_truth(docs: dict[str, str]) -> None:
    """Each cell is what the pattern makes of the name."""
    table = docs["routing.md"].partition("| pattern |")[2].partition("\n\n")[0]
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("| `")
    ]
    header = table.splitlines()[0]
    names = re.findall(r"`([^`]+)`", header)

    assert len(rows) == 5
    for pattern, *cells in rows:
        for name, cell in zip(names, cells, strict=True):
            found = compile_pattern(pattern).match(name)
            if cell == "no":
                assert found is None, (pattern, name)
            else:
                shown = dict(re.findall(r'(\w+)="([^"]*)"', cell))
                assert found == shown, (pattern, name)
