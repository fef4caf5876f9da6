"""Any value as text for people, bounded in depth, length and work, whatever it is made of."""

import dataclasses
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

import msgspec

#: Bytes of text in all; characters of one string or one foreign repr; items of one container; containers in one
#: another.
_TEXT: Final = 64 * 1024
_LEAF: Final = 4096
_ITEMS: Final = 200
_DEPTH: Final = 8

#: Stands where the text ends early.
_CUT: Final = "… (cut off)".encode()

#: Columns that a container is kept on one line for.
_WIDTH: Final = 100

#: Brackets of containers, by what writes them; a subclass with a repr of its own is shown by that.
_SEQUENCES: Final[dict[Any, tuple[str, str]]] = {
    list.__repr__: ("[", "]"),
    tuple.__repr__: ("(", ")"),
    set.__repr__: ("{", "}"),
    frozenset.__repr__: ("frozenset({", "})"),
}


def pretty(*values: object) -> str:
    """Each value on lines of its own, 64 KiB at most in all."""
    printer = _Printer()
    text = "\n".join(printer.show(value, 0, 0) for value in values)
    raw = text.encode("utf-8", "replace")  # a repr may have half a surrogate pair, which no line can carry
    return raw.decode() if len(raw) <= _TEXT else raw[: _TEXT - len(_CUT)].decode("utf-8", "ignore") + _CUT.decode()


class _Printer:
    def __init__(self) -> None:
        self._left = _TEXT  # characters that are worth making

    def show(self, value: Any, indent: int, depth: int) -> str:
        try:
            return self._shown(value, indent, depth)
        except Exception as exc:  # a repr may do anything, and a container may change while it is read
            return f"<{type(value).__name__} that cannot be shown: {type(exc).__name__}>"

    def _shown(self, value: Any, indent: int, depth: int) -> str:
        kind = type(value)
        own: Any = kind.__repr__
        if own in _SEQUENCES:
            opening, closing = _SEQUENCES[own]
            if not value:
                return repr(value)
            if kind is tuple and len(value) == 1:
                closing = ",)"
            return self._container(value, len(value), opening, closing, indent, depth, self._item)
        if own is dict.__repr__:
            return self._container(value.items(), len(value), "{", "}", indent, depth, self._pair)
        named = _attributes(value)
        if named is not None:
            return self._container(named, len(named), f"{kind.__name__}(", ")", indent, depth, self._attribute)
        text = _clipped(value) if kind is str or kind is bytes else _cut(repr(value))
        self._left -= len(text)
        return text

    def _item(self, value: Any, indent: int, depth: int) -> str:
        return self.show(value, indent, depth)

    def _pair(self, pair: Any, indent: int, depth: int) -> str:
        return f"{self.show(pair[0], indent, depth)}: {self.show(pair[1], indent, depth)}"

    def _attribute(self, pair: Any, indent: int, depth: int) -> str:
        return f"{pair[0]}={self.show(pair[1], indent, depth)}"

    def _container(
        self,
        items: Iterable[Any],
        length: int,
        opening: str,
        closing: str,
        indent: int,
        depth: int,
        each: Callable[[Any, int, int], str],
    ) -> str:
        if length and depth >= _DEPTH:
            return f"{opening}…{closing.lstrip(',')}"
        inner = indent + 4
        texts: list[str] = []
        for item in islice(items, _ITEMS):
            if self._left <= 0:
                break
            texts.append(each(item, inner, depth + 1))
            self._left -= inner
        if length > len(texts):
            texts.append(f"… ({length - len(texts)} more)")
        line = f"{opening}{', '.join(texts)}{closing}"
        if len(line) + indent <= _WIDTH and "\n" not in line:
            return line
        margin = "\n" + " " * inner
        return f"{opening}{margin}{f',{margin}'.join(texts)},\n{' ' * indent}{closing.lstrip(',')}"


def _cut(text: str) -> str:
    more = len(text) - _LEAF
    return text if more <= 0 else f"{text[:_LEAF]}… ({more} more)"


def _clipped(value: str | bytes) -> str:
    more = len(value) - _LEAF
    return repr(value) if more <= 0 else f"{value[:_LEAF]!r}… ({more} more)"


def _attributes(value: Any) -> list[tuple[str, Any]] | None:
    """The fields of a Struct or a dataclass whose repr is the one that it was given, not one that hides something."""
    kind = type(value)
    own: Any = kind.__repr__
    if isinstance(value, msgspec.Struct):
        plain = own is msgspec.Struct.__repr__
        names = kind.__struct_fields__
    elif dataclasses.is_dataclass(value) and "__dataclass_params__" in vars(kind):
        plain = "__create_fn__" in getattr(getattr(own, "__wrapped__", None), "__qualname__", "")
        names = tuple(field.name for field in dataclasses.fields(value) if field.repr)
    else:
        return None
    return [(name, getattr(value, name)) for name in names] if plain else None
