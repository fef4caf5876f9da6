"""Which web pages may connect: the globs of ``client.allowed_origins`` against a request's ``Origin``.

A browser says where a page comes from, nothing else does; so requests without an origin pass. Globs are those of
Centrifugo: ``*`` and ``**`` any run of characters, ``?`` one, ``[abc]``, ``[!abc]``, ``[a-z]``, ``{one,other}`` and
``\\`` before a character that stands for itself. Origins are compared in lower case, patterns as they are written.
"""

import logging
import re
from collections.abc import Iterable
from typing import Final

from rtbridge.errors import SetupError

log = logging.getLogger("rtbridge.embedded")

#: Longer than any scheme, host name (RFC 1035: 253 characters) and port together; patterns need not look at more.
_LONGEST: Final = 512


class Origins:
    """The origins that are let in.

    Args:
        patterns: Globs; without any, only requests without an origin pass.

    Raises:
        SetupError: A pattern that is no glob.

    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(patterns)
        self._any = "*" in self._patterns
        self._match = [re.compile(_translate(pattern), re.DOTALL).fullmatch for pattern in self._patterns]

    def admits(self, origin: str) -> bool:
        """Whether a request with this ``Origin`` is let in; the empty one is a request without."""
        if not origin or self._any:
            return True
        folded = origin.lower()
        if len(origin) <= _LONGEST and any(match(folded) is not None for match in self._match):
            return True
        allowed = ", ".join(self._patterns) or "none"
        log.info("refused a page of %r: client.allowed_origins has %s", origin[:_LONGEST], allowed)
        return False


def _translate(pattern: str) -> str:
    """The glob as a regular expression."""
    out: list[str] = []
    depth, at, end = 0, 0, len(pattern)
    while at < end:
        char = pattern[at]
        at += 1
        if char == "*":
            if out[-1:] != [".*"]:
                out.append(".*")
        elif char == "?":
            out.append(".")
        elif char == "[":
            part, at = _range(pattern, at)
            out.append(part)
        elif char == "{":
            depth += 1
            out.append("(?:")
        elif char == "," and depth:
            out.append("|")
        elif char == "}" and depth:
            depth -= 1
            out.append(")")
        else:
            if char == "\\" and at < end:
                char = pattern[at]
                at += 1
            out.append(re.escape(char))
    if depth:
        raise SetupError(f"client.allowed_origins: {pattern!r} has a {{ without its }}")
    return "".join(out)


def _range(pattern: str, at: int) -> tuple[str, int]:
    """A character class, from behind its bracket; the expression, and where the class ends."""
    negated = pattern.startswith("!", at)
    start = at + negated
    end = pattern.find("]", start)
    chars = pattern[start:end].replace("\\", "")
    if end < 0 or not chars:
        raise SetupError(f"client.allowed_origins: {pattern!r} has a [ without characters and a ]")
    if len(chars) == 3 and chars[1] == "-":
        if chars[0] > chars[2]:
            raise SetupError(f"client.allowed_origins: {pattern!r} has a range that ends before it begins")
        listed = f"{re.escape(chars[0])}-{re.escape(chars[2])}"
    else:
        listed = re.escape(chars)
    return f"[{'^' * negated}{listed}]", end + 1
