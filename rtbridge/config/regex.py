"""Regular expressions of Centrifugo's configuration: Go's RE2 syntax, run by Python's :mod:`re`.

What both write alike and mean differently is translated, so that ``$`` is the end of the text and not the place before
a last newline, and ``\\d`` an ASCII digit. What only one of them has is refused, so that a file is good for both.
Source: RE2's syntax page.
"""

import re
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

_SPACE: Final = r"\t\n\f\r "
#: POSIX classes inside brackets.
_CLASSES: Final[Mapping[str, str]] = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}

_GROUP: Final = re.compile(r"\(\?(?:P?<(?P<name>[A-Za-z_][A-Za-z0-9_]*)>|(?P<flags>[is]*(?:-[is]+)?)(?P<end>[:)]))")
_REPEAT: Final = re.compile(r"\{(\d{1,4})(?:,(\d{0,4}))?\}")
_MAX_REPEAT: Final = 1000
_POSIX: Final = re.compile(r"\[:(\^?)([a-z]+):\]")
_HEX: Final = re.compile(r"x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))")


@lru_cache(maxsize=256)
def compile_regex(text: str) -> re.Pattern[str]:
    """The expression as Python's; search with it, as Go's is not anchored either.

    Raises:
        ValueError: It is none, or one that only Go or only Python understands.

    """
    translated = _Translation(text).run()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sets that a later Python may read another way
            return re.compile(translated, re.ASCII)
    except (re.error, OverflowError, RecursionError) as exc:
        raise ValueError(f"not a regular expression: {getattr(exc, 'msg', 'too deep')}") from exc


class _Translation:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._out: list[str] = []
        #: Whether the last piece was a repetition; Go has no second one but the lazy ``?``.
        self._repeated = False

    def run(self) -> str:
        """The whole of it."""
        steps: dict[str, Callable[[], str]] = {"\\": self._escape, "[": self._set, "(": self._group, "{": self._brace}
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in "*+?":
                self._repetition(char)
                continue
            self._repeated = False
            if char in steps:
                self._out.append(steps[char]())
            else:
                self._out.append(r"\Z" if char == "$" else char)
                self._at += 1
        return "".join(self._out)

    def _repetition(self, char: str) -> None:
        if self._repeated and char != "?":
            raise ValueError(f"a repetition of a repetition, {char!r}")
        # A second "?" makes it lazy, a third one is refused by re.
        self._repeated = not self._repeated or char != "?"
        self._out.append(char)
        self._at += 1

    def _brace(self) -> str:
        found = _REPEAT.match(self._text, self._at)
        if found is None:
            self._at += 1
            return r"\{"
        if any(int(bound) > _MAX_REPEAT for bound in found.groups() if bound):
            raise ValueError(f"more than {_MAX_REPEAT} repetitions")
        self._at = found.end()
        self._repeated = True
        return found[0]

    def _group(self) -> str:
        if not self._text.startswith("(?", self._at):
            self._at += 1
            return "("
        found = _GROUP.match(self._text, self._at)
        if found is None:
            raise ValueError(f"a group that is not known, {self._text[self._at : self._at + 4]!r}")
        self._at = found.end()
        return f"(?P<{found['name']}>" if found["name"] else found[0]

    def _escape(self, *, inside: bool = False) -> str:
        char = self._text[self._at + 1 : self._at + 2]
        self._at += 2
        if char == "Q" and not inside:
            quoted, _, _ = self._text[self._at :].partition(r"\E")
            self._at = min(self._at + len(quoted) + 2, len(self._text))
            return re.escape(quoted)
        if char == "x":
            found = _HEX.match(self._text, self._at - 1)
            if found is None or int(found[1] or found[2], 16) > 0x10FFFF:
                raise ValueError(r"\x without two hexadecimal digits")
            self._at = found.end()
            return f"\\U{int(found[1] or found[2], 16):08x}"
        if char == "s":
            return _SPACE if inside else f"[{_SPACE}]"
        if char == "S" and not inside:
            return f"[^{_SPACE}]"
        if char == "z" and not inside:
            return r"\Z"
        if char == "B" and not inside:
            return r"(?!\b)"  # before Python 3.14, \B does not match in an empty text
        known = "dDwWafnrtv" if inside else "dDwWafnrtvAb"
        if char and char.isascii() and (char in known or not char.isalnum()):
            return f"\\{char}"
        raise ValueError(f"\\{char} is not supported")

    def _set(self) -> str:
        out = ["["]
        self._at += 1
        if self._text.startswith("^", self._at):
            out.append("^")
            self._at += 1
        first = True
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "]" and not first:
                self._at += 1
                return "".join([*out, "]"])
            first = False
            if char == "\\":
                out.append(self._escape(inside=True))
            elif char == "[" and (found := _POSIX.match(self._text, self._at)) is not None:
                out.append(_posix(found[1], found[2]))
                self._at = found.end()
            else:
                # Doubled, these would be set operations of a later Python.
                out.append(f"\\{char}" if char in "[]&|~" else char)
                self._at += 1
        raise ValueError("a [ without its ]")


def _posix(negated: str, name: str) -> str:
    if negated or name not in _CLASSES:
        raise ValueError(f"[:{negated}{name}:] is not supported")
    return _CLASSES[name]
