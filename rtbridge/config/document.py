"""YAML text → a tree with positions, within bounds, with the scalars of YAML 1.2."""

import re
from typing import Any, Final, cast

import yaml

from rtbridge.config.faults import Faults, Where
from rtbridge.config.tree import Budget, Items, Leaf, Table, Tree, join

_TAG: Final = "tag:yaml.org,2002:"

#: Plain scalars that are not text, as YAML 1.2's core schema has them; ``0755`` and ``1:30`` are text for want of a
#: reading on which all agree, and integers end before 64 bits do.
_SCALARS: Final = (
    ("null", re.compile(r"~|null|Null|NULL|")),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE")),
    ("int", re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})|0x[0-9a-fA-F]{1,15}|0o[0-7]{1,20}")),
    ("float", re.compile(r"[-+]?(?:\.[0-9]{1,40}|(?:0|[1-9][0-9]{0,40})(?:\.[0-9]{0,40})?)(?:[eE][-+]?[0-9]{1,3})?")),
)


class _Loader(yaml.SafeLoader):
    """Composes nodes only; counts them as they come, so that no document outgrows its bounds before it is refused."""

    # PyYAML's own attribute, emptied of YAML 1.1's scalars; the key None stands for every first character.
    yaml_implicit_resolvers = {  # noqa: RUF012 - not ours to annotate
        None: [
            *((_TAG + kind, re.compile(rf"(?:{pattern.pattern})\Z")) for kind, pattern in _SCALARS),
            (_TAG + "merge", re.compile(r"<<\Z")),
        ]
    }

    def __init__(self, text: str, source: str, faults: Faults, path: str, *, numbered: bool) -> None:
        super().__init__(text)
        self._source = source
        self._faults = faults
        self._path = path
        self._numbered = numbered
        self._budget = Budget()
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = cast("Any", self.peek_event())  # type: ignore[no-untyped-call]  # the stubs leave its types out
        if reason := self._budget.spend(self._depth):
            line: int = event.start_mark.line + 1
            self._faults.stop(Where(self._source, line if self._numbered else 0), self._path, reason)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def read_scalar(text: str) -> str | int | float | bool | None:
    """The value that the text has as a plain YAML scalar."""
    for kind, pattern in _SCALARS:
        if pattern.fullmatch(text):
            return _value(kind, text)
    return text


def _value(kind: str, text: str) -> int | float | bool | None:
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "float":
        return float(text)
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


def read_document(text: str, source: str, faults: Faults, *, path: str = "", numbered: bool = True) -> Tree | None:
    """The tree of a YAML text, or None for an empty one.

    Args:
        text: The document.
        source: Its name in error texts.
        faults: Takes what is wrong.
        path: The key path of the value that the text is.
        numbered: Whether lines are worth naming.

    Raises:
        ConfigError: The text is not YAML, or goes beyond what a configuration needs.

    """
    line = 0
    try:
        loader = _Loader(text, source, faults, path, numbered=numbered)
        node = loader.get_single_node()
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position)
        problem = f"found the character U+{int(exc.character):04X}, which YAML forbids"
    except yaml.MarkedYAMLError as exc:
        # What runs to the end of the file is at fault where it starts.
        open_end = re.search("end of stream|stream end", str(exc.problem)) is not None
        mark = (exc.context_mark if open_end else None) or exc.problem_mark
        line = 0 if mark is None else mark.line
        problem = _problem(exc, text, line)
    except (ValueError, OverflowError):
        # PyYAML converts the digits of escapes and of %YAML without looking at them.
        problem = "not YAML: found a number or an escape that is out of range"
    else:
        return None if node is None else _Walk(source, faults, numbered=numbered).tree(node, path, None, 0)
    faults.stop(Where(source, line + 1 if numbered else 0), path, problem)


def _problem(exc: yaml.MarkedYAMLError, text: str, line: int) -> str:
    """PyYAML's problem in words that repeat no name and no value: an unquoted secret may look like either."""
    problem = f"{exc.context}, {exc.problem}" if exc.context else str(exc.problem)
    if "alias" in problem:
        return "found an alias without its anchor; quote a value that starts with *"
    if "anchor" in problem:
        return "found an anchor twice, or without a name; quote a value that starts with &"
    if "tag" in problem:
        return "found a tag that cannot be read; quote a value that starts with !"
    if "another document" in problem:
        return "found a second document (---), allowed: one"
    if "'\\t'" in problem:
        return "found a tab, allowed: spaces to indent"
    in_flow = "flow" in problem and "${" in "".join(text.split("\n")[line : line + 1])
    hint = "; quote a value with ${...} inside { } or [ ]" if in_flow else ""
    return f"not YAML: {problem}{hint}"


class _Walk:
    """Turns nodes into a tree; aliases are followed, and counted each time."""

    def __init__(self, source: str, faults: Faults, *, numbered: bool) -> None:
        self._source = source
        self._faults = faults
        self._numbered = numbered
        self._budget = Budget()

    def _where(self, node: yaml.Node) -> Where:
        return Where(self._source, node.start_mark.line + 1 if self._numbered else 0)

    def tree(self, node: yaml.Node, path: str, where: Where | None, depth: int) -> Tree:
        """The tree of one node; ``where`` is the place of its key."""
        where = where or self._where(node)
        if reason := self._budget.spend(depth):
            self._faults.stop(where, path, reason)
        kind = node.tag.removeprefix(_TAG)
        match node:
            case yaml.ScalarNode():
                return self._leaf(node, kind, path, where)
            case yaml.SequenceNode() if kind == "seq":
                items = [
                    self.tree(item, join(path, str(index)), None, depth + 1) for index, item in enumerate(node.value)
                ]
                return Items(where=where, items=items)
            case yaml.MappingNode() if kind == "map":
                return Table(where=where, items=self._table(node, path, depth))
            case _:
                self._tag(where, path)
                return Leaf(where=where, value=None, text="", unknown=True)

    def _leaf(self, node: yaml.ScalarNode, kind: str, path: str, where: Where) -> Leaf:
        text: str = node.value
        patterns = dict(_SCALARS)
        if kind == "merge" or kind == "str":
            return Leaf(where=where, value=text, text=text)
        if kind not in patterns or patterns[kind].fullmatch(text) is None:
            self._tag(where, path)
            return Leaf(where=where, value=text, text=text, unknown=True)
        return Leaf(where=where, value=_value(kind, text), text=text)

    def _tag(self, where: Where, path: str) -> None:
        self._faults.add(where, path, "found a YAML tag, allowed: none; quote a value that starts with !")

    def _table(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Tree]:
        own: dict[str, Tree] = {}
        merged: dict[str, Tree] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            where = self._where(key_node)
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _TAG + "null":
                self._faults.add(where, path, "found a key that is not text")
                continue
            key: str = key_node.value
            if key in lines:
                self._faults.add(
                    where,
                    join(path, key),
                    f"the key is written twice, first in line {lines[key]}"
                    if self._numbered
                    else "the key is written twice",
                )
                continue
            lines[key] = where.line
            if key_node.tag == _TAG + "merge":
                merged = self._merged(value_node, path, where, depth)
            else:
                own[key] = self.tree(value_node, join(path, key), where, depth + 1)
        return {**merged, **own}

    def _merged(self, node: yaml.Node, path: str, where: Where, depth: int) -> dict[str, Tree]:
        sources: list[yaml.Node] = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Tree] = {}
        for source in sources:
            below = self.tree(source, path, where, depth + 1)
            if isinstance(below, Table):
                # The first of several wins, as YAML's merge key has it.
                merged = {**below.items, **merged}
            else:
                self._faults.add(
                    where,
                    join(path, "<<"),
                    "found a value that is not a mapping, allowed: an alias of one, or a list of them",
                )
        return merged
