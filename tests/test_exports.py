"""What can be imported: on purpose, once, and documented."""

import ast
import importlib
import importlib.metadata
import inspect
import os
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import rtbridge

ROOT = Path(rtbridge.__file__).parent

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(rtbridge.__path__, "rtbridge.")
    if not module.name.endswith("__main__")
    and module.name != "rtbridge.plugins.django"  # sets Django up, which needs settings
)
EXPORTING = [name for name in ["rtbridge", *MODULES] if hasattr(importlib.import_module(name), "__all__")]

#: Where users import from.
PUBLIC = [
    "rtbridge",
    "rtbridge.testing",
    "rtbridge.config",
    "rtbridge.events",
    "rtbridge.hooks",
    "rtbridge.codec",
    "rtbridge.http",
]


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each by name: the order that ruff's RUF022 keeps."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def literal(module: str) -> list[str]:
    """The names that a module's `__all__` is written with."""
    path = Path(inspect.getfile(importlib.import_module(module)))
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["__all__"]:
            found: list[str] = ast.literal_eval(node.value)
            return found
    raise AssertionError(f"{module} has no __all__ of its own")


@pytest.mark.parametrize("name", EXPORTING)
def test_exports_are_sorted_unique_and_there(name: str) -> None:
    """A name that is listed twice, misplaced or gone shows up here."""
    module = importlib.import_module(name)
    written = literal(name)
    assert written == sorted(written, key=order)
    assert len(set(module.__all__)) == len(module.__all__)
    missing = [export for export in module.__all__ if not hasattr(module, export)]
    assert missing == []


@pytest.mark.parametrize("name", ["rtbridge", "rtbridge.events"])
def test_the_package_exports_every_event(name: str) -> None:
    """What the proto brings is exported without a hand edit."""
    module = importlib.import_module(name)
    generated = importlib.import_module("rtbridge.events._generated")
    assert set(literal(name)).isdisjoint(generated.__all__)
    assert module.__all__ == literal(name) + generated.__all__


def test_every_error_is_exported() -> None:
    """Users catch and raise them by name."""
    assert set(importlib.import_module("rtbridge.errors").__all__) <= set(rtbridge.__all__)


def test_nothing_leaks() -> None:
    """A star import brings the listed names, and no name that the package uses for itself begins without a mark."""
    names: dict[str, Any] = {}
    exec("from rtbridge import *", names)
    assert set(names) - {"__builtins__"} == set(rtbridge.__all__)
    own = {name for name in vars(rtbridge) if not name.startswith("_")}
    modules = {name for name in own if inspect.ismodule(getattr(rtbridge, name))}
    assert own - modules == set(rtbridge.__all__)


def comment_of(name: str) -> str | None:
    """The `#:` comment of a value, wherever it is defined."""
    pattern = re.compile(rf"^(#: .*\n)+{re.escape(name)}\b.*=", re.MULTILINE)
    found = (pattern.search(path.read_text()) for path in ROOT.rglob("*.py"))
    return next((match[0] for match in found if match), None)


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_exported_is_documented(name: str) -> None:
    """Classes, their public members and functions have docstrings; values have a comment that tools read."""
    module = importlib.import_module(name)
    silent: list[str] = [] if module.__doc__ else [name]
    for export in module.__all__:
        value = getattr(module, export)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            silent += [] if comment_of(export) else [export]
            continue
        # msgspec and dataclasses write a signature where a docstring is missing.
        if not value.__doc__ or value.__doc__.startswith(f"{export}("):
            silent.append(export)
        if inspect.isclass(value):
            silent += [f"{export}.{member}" for member in undocumented(value)]
    assert silent == []


def undocumented(kind: type) -> list[str]:
    """The public methods and properties of a class without a docstring, inherited ones counted where they are made."""
    return [
        name
        for name, member in vars(kind).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod))
        and not inspect.getdoc(member)
    ]


def test_every_module_says_what_it_is_for() -> None:
    """In its first line."""
    silent = [name for name in MODULES if not (importlib.import_module(name).__doc__ or "").strip()]
    assert silent == []


def test_the_version() -> None:
    """One place has it; the installed metadata repeats it."""
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", rtbridge.__version__)
    try:
        installed = importlib.metadata.version("rtbridge")
    except importlib.metadata.PackageNotFoundError:
        if os.environ.get("CI"):
            pytest.fail("rtbridge is not installed; dev.py installs it")
        pytest.skip("rtbridge is not installed here, so there is no metadata to compare with")
    assert installed == rtbridge.__version__


def test_the_package_is_typed() -> None:
    """Type checkers read its annotations (PEP 561)."""
    assert (ROOT / "py.typed").exists()
