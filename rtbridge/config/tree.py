"""A configuration before its types are known: scalars, lists and tables that remember where they were written."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Final, TypeAlias, cast

import msgspec

from rtbridge.config.faults import Faults, Where

#: Deeper or larger than any hand-written file; a few aliases of aliases reach them ("billion laughs").
MAX_DEPTH: Final = 32
MAX_NODES: Final = 10_000


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """A scalar."""

    where: Where
    value: str | int | float | bool | None
    #: As it was written, for fields that want text.
    text: str
    #: Names of the variables it was made from.
    variables: tuple[str, ...] = ()
    #: Nothing but variables: typed fields read it again as YAML.
    whole: bool = False
    #: A variable has no value, so neither has this; never checked.
    unknown: bool = False


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """A list."""

    where: Where
    items: "list[Tree]"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping with text keys."""

    where: Where
    items: "dict[str, Tree]"


Tree: TypeAlias = Leaf | Items | Table


class Budget:
    """A count of nodes that ends with the first one too many."""

    def __init__(self) -> None:
        self._left = MAX_NODES

    def spend(self, depth: int) -> str | None:
        """The reason why another node at this depth is one too many, or None."""
        self._left -= 1
        if depth > MAX_DEPTH:
            return f"nested deeper than {MAX_DEPTH} levels"
        if self._left < 0:
            return f"more than {MAX_NODES:,} values; aliases count each time they are used"
        return None


def join(path: str, key: str) -> str:
    """The key path of a key below a key path."""
    return f"{path}.{key}" if path else key


def from_python(data: object, where: Where, faults: Faults) -> Tree:
    """The tree of plain Python values: str, int, float, bool, None, paths, mappings, lists and tuples."""
    return _from_python(data, where, faults, Budget(), "", 0)


def _from_python(data: object, where: Where, faults: Faults, budget: Budget, path: str, depth: int) -> Tree:
    if reason := budget.spend(depth):
        faults.stop(where, path, reason)
    if isinstance(data, Mapping):
        table: dict[str, Tree] = {}
        for key, value in cast("Mapping[object, object]", data).items():
            if not isinstance(key, str):
                faults.add(where, path, f"found a key of type {type(key).__name__}, allowed: text")
                continue
            table[key] = _from_python(value, where, faults, budget, join(path, key), depth + 1)
        return Table(where=where, items=table)
    if isinstance(data, list | tuple):
        items = [
            _from_python(item, where, faults, budget, join(path, str(index)), depth + 1)
            for index, item in enumerate(cast("Sequence[object]", data))
        ]
        return Items(where=where, items=items)
    if isinstance(data, PurePath):
        data = str(data)
    if data is None or isinstance(data, bool):
        return Leaf(where=where, value=data, text="" if data is None else str(data).lower())
    if isinstance(data, str | float) or (isinstance(data, int) and abs(data) < 2**63):
        return Leaf(where=where, value=data, text=str(data))
    found = "an integer of more than 64 bits" if isinstance(data, int) else f"a value of type {type(data).__name__}"
    faults.add(where, path, f"found {found}, allowed: text, numbers, booleans, lists and mappings")
    return Leaf(where=where, value=None, text="", unknown=True)
