"""Every fault of one reading, collected so that a user sees all of them at once."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Final, NoReturn

import msgspec

from rtbridge.errors import ConfigError

_MAX_SHOWN: Final = 50
_MAX_TEXT: Final = 60


class Where(msgspec.Struct, frozen=True):
    """A place: a file and a line, or the name of another source such as ``option -o``."""

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


class Misfit(ValueError):
    """A section whose values do not go together.

    Args:
        key: Key path of the one that is named, from the section on.
        text: What was found and what is allowed.

    """

    def __init__(self, key: str, text: str) -> None:
        self.key = key
        super().__init__(text)


class Faults:
    """The faults found so far."""

    def __init__(self) -> None:
        self._found: list[tuple[Where, str]] = []

    def add(self, where: Where, path: str, text: str) -> None:
        """Note one fault; ``path`` is the key path, empty for the source itself."""
        line = one_line(": ".join(part for part in (str(where), path, text) if part))
        if (where, line) not in self._found:
            self._found.append((where, line))

    def stop(self, where: Where, path: str, text: str) -> NoReturn:
        """Note one fault and raise: reading cannot go on."""
        self.add(where, path, text)
        self._raise()

    def check(self) -> None:
        """Raise what was found, if anything was.

        Raises:
            ConfigError: One line for each fault, in the order of the file.

        """
        if self._found:
            self._raise()

    def _raise(self) -> NoReturn:
        in_order = sorted(self._found, key=lambda fault: (fault[0].source, fault[0].line))
        lines = [line for _, line in in_order[:_MAX_SHOWN]]
        if len(in_order) > _MAX_SHOWN:
            lines.append(f"and {len(in_order) - _MAX_SHOWN} more")
        raise ConfigError("\n".join(lines)) from None


def one_line(text: str) -> str:
    """The text without anything that would break a line or a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def describe(value: object, *, secret: bool = False) -> str:
    """What was found, in words; of a secret only its type and length."""
    match value:
        case None:
            return "nothing (null)"
        case str():
            if secret:
                return f"a string of length {len(value)}" if value else "an empty string"
            return f"a string {value if len(value) <= _MAX_TEXT else value[:_MAX_TEXT] + '…'!r}"
        case bool():
            kind, shown = "a boolean", str(value).lower()
        case int():
            kind, shown = "an integer", str(value)
        case _:
            kind, shown = "a number", str(value)
    return kind if secret else f"{kind} {shown}"


def nearest(word: str, names: Iterable[str]) -> str:
    """``; did you mean NAME?`` for the name most like the word, or nothing."""
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower()[:_MAX_TEXT], by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""


def listed(names: Sequence[str]) -> str:
    """The names with commas between."""
    return ", ".join(names)
