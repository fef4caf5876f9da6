"""Which publications a subscriber wants, by their tags.

Source: centrifugal.dev, "Publication filtering by tags". What is refused and how numbers are read is as in Centrifugo.
"""

import re
from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal
from functools import lru_cache
from operator import ge, gt, le, lt
from typing import Final, TypeAlias

import msgspec

from rtbridge.embedded._client_generated import FilterNode

Match: TypeAlias = Callable[[Mapping[str, str]], bool]

#: A filter runs for each publication of its channel, and its subscriber chooses it. Centrifugo has no limit but that of
#: the message's size.
_DEPTH: Final = 32
_NODES: Final = 500

#: Longer numbers are no numbers.
_NUMBER_LENGTH: Final = 200
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]{1,19})?").fullmatch

_WITH_VAL: Final = frozenset({"eq", "neq", "sw", "ew", "ct", "gt", "gte", "lt", "lte"})
_WITH_VALS: Final = frozenset({"in", "nin"})
_BARE: Final = frozenset({"ex", "nex"})

_ORDER: Final[dict[str, Callable[[Decimal, Decimal], bool]]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


def compile_filter(node: FilterNode) -> Match:
    """A function that tells whether tags pass a filter.

    Raises:
        ValueError: The filter is malformed, nested more than 32 deep, or has more than 500 nodes. The text names the
            fault, never a tag or a value.

    """
    return _Compiler().node(node, 1)


def filter_key(node: FilterNode) -> Hashable:
    """Something that is equal for equal filters, so that many subscribers' filters can run once.

    Args:
        node: A filter that compiles.

    """
    return msgspec.msgpack.encode(_shape(node))


def _shape(node: FilterNode) -> tuple[object, ...]:
    """What counts of a filter: clients may fill fields that its nodes do not use."""
    if node.op:
        return node.op, [_shape(part) for part in node.nodes]
    return "", node.key, node.cmp, node.val, node.vals


class _Compiler:
    """One filter on its way; counts its nodes."""

    __slots__ = ("_nodes",)

    def __init__(self) -> None:
        self._nodes = 0

    def node(self, node: FilterNode, depth: int) -> Match:
        self._nodes += 1
        if self._nodes > _NODES:
            raise ValueError(f"a filter has at most {_NODES} nodes")
        if depth > _DEPTH:
            raise ValueError(f"a filter is nested at most {_DEPTH} deep")
        match node.op:
            case "":
                _check_leaf(node)
                return _leaf(node)
            case "and" | "or":
                if not node.nodes:
                    raise ValueError(f"{node.op} needs at least one node")
                parts = tuple(self.node(part, depth + 1) for part in node.nodes)
                return _all(parts) if node.op == "and" else _any(parts)
            case "not":
                if len(node.nodes) != 1:
                    raise ValueError("not needs exactly one node")
                return _not(self.node(node.nodes[0], depth + 1))
            case _:
                raise ValueError("op is none of and, or, not")


def _check_leaf(node: FilterNode) -> None:
    cmp = node.cmp
    if cmp in _WITH_VAL:
        if not node.val or node.vals:
            raise ValueError(f"{cmp} needs val and no vals")
    elif cmp in _WITH_VALS:
        if not node.vals or node.val:
            raise ValueError(f"{cmp} needs vals and no val")
    elif cmp in _BARE:
        if node.val or node.vals:
            raise ValueError(f"{cmp} takes neither val nor vals")
        return  # the only ones that may have no key
    else:
        raise ValueError("cmp is no comparison")
    if not node.key:
        raise ValueError(f"{cmp} needs a key")


def _leaf(node: FilterNode) -> Match:
    key, val = node.key, node.val
    match node.cmp:
        case "eq":
            return lambda tags: tags.get(key) == val
        case "neq":
            return lambda tags: tags.get(key) != val
        case "in":
            vals = frozenset(node.vals)
            return lambda tags: tags.get(key, "") in vals
        case "nin":
            vals = frozenset(node.vals)
            return lambda tags: tags.get(key, "") not in vals
        case "ex":
            return lambda tags: key in tags
        case "nex":
            return lambda tags: key not in tags
        case "sw":
            return lambda tags: tags.get(key, "").startswith(val)
        case "ew":
            return lambda tags: tags.get(key, "").endswith(val)
        case "ct":
            return lambda tags: val in tags.get(key, "")
        case cmp:
            return _number_leaf(key, _ORDER[cmp], val)


def _number_leaf(key: str, holds: Callable[[Decimal, Decimal], bool], val: str) -> Match:
    limit = _number(val)
    if limit is None:  # accepted, and never true
        return lambda _: False

    def compare(tags: Mapping[str, str]) -> bool:
        number = _number(tags.get(key, ""))
        return number is not None and holds(number, limit)

    return compare


def _number(text: str) -> Decimal | None:
    """A number as tags have it: decimal digits, at most 19 of them behind the point, no exponent."""
    return _parsed(text) if len(text) <= _NUMBER_LENGTH else None


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Decimal | None:
    # All filters of a channel read the same tags.
    return Decimal(text) if _NUMBER(text) else None


def _all(parts: tuple[Match, ...]) -> Match:
    def match(tags: Mapping[str, str]) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would take longer than the comparisons
            if not part(tags):
                return False
        return True

    return match


def _any(parts: tuple[Match, ...]) -> Match:
    def match(tags: Mapping[str, str]) -> bool:
        for part in parts:  # noqa: SIM110
            if part(tags):
                return True
        return False

    return match


def _not(part: Match) -> Match:
    return lambda tags: not part(tags)
