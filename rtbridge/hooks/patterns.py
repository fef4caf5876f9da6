"""Patterns of channel and method names: ``chat:{room}``, ``chat:*``, ``chat.send``."""

import re
from typing import Final, NamedTuple

#: Longer names match no pattern with a wildcard. Centrifugo's channels have 255 bytes, and a method has no bound of its
#: own: a client must not choose how long a match takes.
MAX_NAME: Final = 1024

_TOKEN: Final = re.compile(r"\{([^{}]*)\}|(\*+)|([^{}*]+)|([{}])")


class Pattern(NamedTuple):
    """A compiled pattern.

    Attributes:
        text: As it was written.
        rank: 0 exact, 1 with captures, 2 with ``*``: the order in which matching listeners run.
        captures: The names in braces, in order.
        regex: Matches the whole name; None for an exact pattern.
        prefix: The literal part before the first wildcard.

    """

    text: str
    rank: int
    captures: tuple[str, ...]
    regex: re.Pattern[str] | None
    prefix: str

    def match(self, name: str) -> dict[str, str] | None:
        """The captures when the whole name matches, else None."""
        if self.regex is None:
            return {} if name == self.text else None
        if len(name) > MAX_NAME:
            return None
        found = self.regex.fullmatch(name)
        return None if found is None else found.groupdict()


def compile_pattern(text: str) -> Pattern:
    """The pattern: ``{name}`` is one or more characters except ``:`` and ``#``, ``*`` any run of any characters.

    Raises:
        ValueError: It is not one; the text says why.

    """
    if not text:
        raise ValueError("a pattern is not empty; '*' matches every name")
    tokens = [(m.group(1), m.group(2), m.group(3), m.group(4)) for m in _TOKEN.finditer(text)]
    if any(brace for *_, brace in tokens):
        raise ValueError(f"pattern {text!r} has a brace without its partner")
    captures = tuple(name for name, *_ in tokens if name is not None)
    for name in captures:
        if not name.isidentifier():
            raise ValueError(f"pattern {text!r}: {{{name}}} is not a Python name")
        if captures.count(name) > 1:
            raise ValueError(f"pattern {text!r} captures {name!r} twice")
    stars = sum(star is not None for _, star, _, _ in tokens)
    if not captures and not stars:
        return Pattern(text, 0, (), None, text)
    return Pattern(text, 2 if stars else 1, captures, _regex(text, tokens), tokens[0][2] or "")


def _regex(text: str, tokens: list[tuple[str | None, str | None, str | None, str | None]]) -> re.Pattern[str]:
    # A wildcard takes the shortest run up to the literal behind it and never gives that choice back (atomic group), so
    # matching time does not explode with hostile names. A `*` before a capture is the exception: the capture's own
    # limits may ask for a longer run, so one such `*` may backtrack, and no more than one is allowed.
    parts: list[str] = []
    index, free_stars = 0, 0
    while index < len(tokens):
        name, star, literal, _ = tokens[index]
        index += 1
        if literal is not None:
            parts.append(re.escape(literal))
            continue
        wild = r"[\s\S]" if star is not None else f"(?P<{name}>[^:#]"
        least, close = ("*", "") if star is not None else ("+", ")")
        following = tokens[index][2] if index < len(tokens) else ""
        if following is None:
            raise ValueError(f"pattern {text!r}: two wildcards need text between them")
        index += 1
        later = any(token[2] is None for token in tokens[index:])
        if not later:
            parts.append(f"{wild}{least}?{close}{re.escape(following)}")
        elif star is not None and any(token[0] is not None for token in tokens[index:]):
            free_stars += 1
            parts.append(f"{wild}{least}?{close}{re.escape(following)}")
        else:
            parts.append(f"(?>{wild}{least}?{close}{re.escape(following)})")
    if free_stars > 1:
        raise ValueError(f"pattern {text!r}: only one '*' may stand before a capture")
    return re.compile("".join(parts))
