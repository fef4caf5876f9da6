"""A tree → the model. Every fault names place, key path, what was found and what is allowed."""

import re
from collections.abc import Callable
from typing import Any, Final

from msgspec import NODEFAULT, inspect

import rtbridge
from rtbridge.config.document import read_scalar
from rtbridge.config.faults import Faults, Misfit, Where, describe, listed, nearest
from rtbridge.config.fields import CentrifugoSection
from rtbridge.config.kinds import Kind, Place
from rtbridge.config.shape import Shape, allowed, limits_of, shape_of
from rtbridge.config.tree import Items, Leaf, Table, Tree, join


class _Wrong:
    """Stands for a value whose fault is noted."""


_WRONG: Final = _Wrong()


class Converter:
    """Makes values of the model and notes what cannot be one.

    Args:
        place: What values may be compared with.
        faults: Where to note what cannot be one.
        explain: Says what is wrong with a key that is not in the model, by its key path; None where it is just unknown.

    """

    def __init__(self, place: Place, faults: Faults, explain: Callable[[str], str | None]) -> None:
        self._place = place
        self._faults = faults
        self._explain = explain
        #: What a user should know of keys that were read.
        self.notices: list[tuple[Where, str]] = []

    def convert(self, tree: Tree, annotation: inspect.Type, path: str = "", default: object = NODEFAULT) -> Any:
        """The value; a placeholder object if a fault was noted, so check the faults before using it."""
        shape = shape_of(annotation)
        if notice := shape.extra.get("notice"):
            self.notices.append((tree.where, f"{path}: {notice}"))
        if shape.optional and isinstance(tree, Leaf) and self._is_null(tree, shape):
            return None
        if shape.kind is not None:
            return self._leaf(tree, shape, shape.kind, path, default)
        match shape.type:
            case inspect.StructType():
                return self._struct(tree, shape, shape.type, path)
            case inspect.VarTupleType():
                return self._list(tree, shape, shape.type, path)
            case _:
                assert isinstance(shape.type, inspect.DictType)
                return self._map(tree, shape, shape.type, path)

    @staticmethod
    def _is_null(leaf: Leaf, shape: Shape) -> bool:
        if leaf.value is None:
            return True
        text = shape.kind is not None and shape.kind.text
        return leaf.whole and not leaf.unknown and not text and read_scalar(leaf.text) is None

    def _wrong(self, tree: Tree, shape: Shape, path: str, found: str) -> _Wrong:
        self._faults.add(tree.where, path, f"found {found}, allowed: {allowed(shape)}")
        return _WRONG

    def _leaf(self, tree: Tree, shape: Shape, kind: Kind, path: str, default: object) -> Any:
        if not isinstance(tree, Leaf):
            return self._wrong(tree, shape, path, _kind_of(tree))
        if tree.unknown:
            if default is not NODEFAULT and default is not None:
                return default
            return (
                tree.text if kind.text and kind.placeholder == "" else shape.extra.get("placeholder", kind.placeholder)
            )
        value = tree.value
        if kind.verbatim and value is not None:
            value = tree.text
        elif tree.whole and not kind.text:
            value = read_scalar(tree.text)
        found = describe(value, secret=shape.secret)
        if tree.variables:
            found += f" (from {listed([f'${{{name}}}' for name in tree.variables])})"
        notices: dict[object, str] = shape.extra.get("notices", {})
        if isinstance(value, str) and value in notices:
            self.notices.append((tree.where, f"{path}: {notices[value]}"))
        try:
            result = kind.read(value, self._place)
        except ValueError as exc:
            reason = str(exc)
            return self._wrong(tree, shape, path, f"{found} ({reason})" if reason else found)
        return self._checked(tree, shape, path, result, found)

    def _checked(self, tree: Leaf, shape: Shape, path: str, result: Any, found: str) -> Any:
        match shape.type:
            case inspect.LiteralType(values):
                result = shape.extra.get("aliases", {}).get(result, result)
                if result in shape.extra.get("later", ()):
                    text = (
                        f"found {found}, not implemented in rtbridge {rtbridge.__version__}; allowed: {allowed(shape)}"
                    )
                    self._faults.add(tree.where, path, text)
                    return _WRONG
                if result not in values:
                    close = nearest(result, [*map(str, values), *shape.extra.get("aliases", ())])
                    self._faults.add(tree.where, path, f"found {found}, allowed: {allowed(shape)}{close}")
                    return _WRONG
            case inspect.StrType(min_length=minimum) if len(result) < (minimum or 0):
                return self._wrong(tree, shape, path, found)
            case _:
                bounds = limits_of(shape)
                if not bounds.get("ge", result) <= result <= bounds.get("le", result) if bounds else False:
                    return self._wrong(tree, shape, path, found)
        return result

    def _struct(self, tree: Tree, shape: Shape, kind: inspect.StructType, path: str) -> Any:
        if isinstance(tree, Leaf) and tree.value is None:
            tree = Table(where=tree.where, items={})
        if not isinstance(tree, Table):
            return self._wrong(tree, shape, path, _kind_of(tree))
        fields = {field.name: field for field in kind.fields}
        for key, value in tree.items.items():
            if key not in fields:
                if (text := self._explain(join(path, key))) is not None:
                    self._faults.add(value.where, join(path, key), text)
                    continue
                names = list(fields) if path else [*fields, "x-*"]
                close = nearest(key, fields) or _elsewhere(key, fields)
                text = f"unknown key, allowed: {listed(names)}{close}"
                self._faults.add(value.where, join(path, key), text)
        values: dict[str, Any] = {}
        for name, field in fields.items():
            below = tree.items.get(name)
            field_shape = shape_of(field.type)
            if (by := field_shape.extra.get("by")) is not None:
                sibling, kinds = by
                if (chosen := values[sibling]) is not _WRONG:
                    below = Table(where=tree.where, items={}) if below is None else below
                    values[name] = self._chosen(below, kinds.get(chosen), join(path, name))
                continue
            if below is None and "when_present" in field_shape.extra:
                text = field_shape.extra["when_present"]
                below = Leaf(where=tree.where, value=text, text=text)
            if below is not None:
                values[name] = self.convert(below, field.type, join(path, name), field.default)
            elif field.required:
                text = f"the key is missing, allowed: {allowed(field_shape)}"
                self._faults.add(tree.where, join(path, name), text)
                values[name] = _WRONG
        if any(value is _WRONG for value in values.values()):
            return _WRONG
        try:
            section = kind.cls(**values)
            if isinstance(section, CentrifugoSection) and not _unknown_in(tree):
                section.check()
            return section
        except Misfit as exc:
            self._faults.add(_place_of(tree, exc.key), join(path, exc.key), str(exc))
            return _WRONG
        except ValueError as exc:
            self._faults.add(tree.where, path, str(exc))
            return _WRONG

    def _chosen(self, tree: Tree, kind: type | None, path: str) -> Any:
        """A section of a kind that another key named; plain values where that has none."""
        if kind is not None:
            return self.convert(tree, inspect.type_info(kind), path)
        if isinstance(tree, Leaf) and tree.value is None:
            return {}
        if not isinstance(tree, Table):
            self._faults.add(tree.where, path, f"found {_kind_of(tree)}, allowed: a mapping")
            return _WRONG
        return _plain(tree)

    def _list(self, tree: Tree, shape: Shape, kind: inspect.VarTupleType, path: str) -> Any:
        if not isinstance(tree, Items) or len(tree.items) < (kind.min_length or 0):
            empty = isinstance(tree, Items)
            return self._wrong(tree, shape, path, "an empty list" if empty else _kind_of(tree))
        items = [self.convert(item, kind.item_type, join(path, str(index))) for index, item in enumerate(tree.items)]
        return _WRONG if any(item is _WRONG for item in items) else tuple(items)

    def _map(self, tree: Tree, shape: Shape, kind: inspect.DictType, path: str) -> Any:
        if isinstance(tree, Leaf) and tree.value is None:
            return {}
        if not isinstance(tree, Table):
            return self._wrong(tree, shape, path, _kind_of(tree))
        keys = shape_of(kind.key_type)
        pattern = keys.type.pattern if isinstance(keys.type, inspect.StrType) else None
        values: dict[str, Any] = {}
        for key, value in tree.items.items():
            if pattern is not None and re.match(pattern, key) is None:
                self._faults.add(value.where, path, f"found the key {key!r}, allowed: {allowed(keys)}")
                continue
            values[key] = self.convert(value, kind.value_type, join(path, key))
        return _WRONG if any(value is _WRONG for value in values.values()) else values


def _plain(tree: Tree) -> Any:
    """The values of a tree, as Python has them."""
    if isinstance(tree, Table):
        return {key: _plain(value) for key, value in tree.items.items()}
    if isinstance(tree, Items):
        return [_plain(value) for value in tree.items]
    return read_scalar(tree.text) if tree.whole and not tree.unknown else tree.value


def _elsewhere(key: str, fields: dict[str, inspect.Field]) -> str:
    """The section right below that knows the key, for a key that was indented too little."""
    for name, field in fields.items():
        section = shape_of(field.type).type
        if isinstance(section, inspect.StructType) and key in section.cls.__struct_fields__:
            return f"; did you mean {name}.{key}?"
    return ""


def _unknown_in(tree: Tree) -> bool:
    """Whether a value at or below is not known, because a variable is missing."""
    if isinstance(tree, Leaf):
        return tree.unknown
    return any(map(_unknown_in, tree.items if isinstance(tree, Items) else tree.items.values()))


def _place_of(tree: Tree, path: str) -> Where:
    """Where a key below is written; else where the nearest section above it is."""
    for key in path.split("."):
        below = tree.items.get(key) if isinstance(tree, Table) else None
        if isinstance(tree, Items) and key.isdigit() and int(key) < len(tree.items):
            below = tree.items[int(key)]
        if below is None:
            break
        tree = below
    return tree.where


def _kind_of(tree: Tree) -> str:
    """What stands where something else is wanted; its text is not shown, as it may belong to a secret below."""
    if isinstance(tree, Leaf):
        return describe(tree.value, secret=True)
    return "a list" if isinstance(tree, Items) else "a mapping"
