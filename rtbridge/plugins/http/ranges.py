"""Conditions and ranges of a request for a file (RFC 9110, sections 13 and 14), without any file."""

import re
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final, Literal, NamedTuple

_RANGE: Final = re.compile(r"\s*bytes\s*=\s*(?:([0-9]+)\s*-\s*([0-9]+)?|-\s*([0-9]+))\s*", re.IGNORECASE)

#: Digits of a position; a longer number is beyond the end of every file.
_DIGITS: Final = 18

#: An entity tag; within its quotes anything but a quote (section 8.8.3).
_TAG: Final = re.compile(r'(?:W/)?"[^"]*"')


class Span(NamedTuple):
    """Bytes of a file: from ``start`` up to but without ``end``."""

    start: int
    end: int


def parse_range(text: str, size: int) -> Span | Literal["whole", "beyond"]:
    """The bytes that a Range header asks for.

    Args:
        text: The header's value.
        size: Bytes of the file.

    Returns:
        One span; ``"whole"`` where the header counts for nothing: another unit, no range, several ranges, which a
        server need not serve (section 14.2); ``"beyond"`` where no byte of it is there: 416.

    """
    found = _RANGE.fullmatch(text)
    if found is None:
        return "whole"
    if found[3] is not None:
        wanted = _number(found[3])
        if wanted == 0:
            return "beyond"
        return Span(max(0, size - wanted), size) if size else "whole"
    start = _number(found[1])
    last = size - 1 if found[2] is None else _number(found[2])
    if found[2] is not None and last < start:
        return "whole"
    return Span(start, min(last + 1, size)) if start < size else "beyond"


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _DIGITS else 10**_DIGITS


class Validators(NamedTuple):
    """What tells one state of a file from another.

    Attributes:
        tag: The entity tag, with its quotes, ``W/`` before them if it is weak.
        modified: When it changed, in whole seconds, in UTC.

    """

    tag: str
    modified: datetime

    @property
    def last_modified(self) -> str:
        """The header's value."""
        return format_datetime(self.modified, usegmt=True)

    def precondition(self, method: str, headers: dict[str, str]) -> Literal[304, 412] | None:
        """What answers a request whose conditions do not hold, in the order of section 13.2.2; None if they do.

        Args:
            method: The request's method.
            headers: Its conditions by name, in lower case.

        """
        if (match := headers.get("if-match")) is not None:
            if not self._listed(match, strong=True):
                return 412
        elif (since := _date(headers.get("if-unmodified-since"))) is not None and self.modified > since:
            return 412
        reading = method in ("GET", "HEAD")
        if (known := headers.get("if-none-match")) is not None:
            if self._listed(known, strong=False):
                return 304 if reading else 412
        elif reading and (since := _date(headers.get("if-modified-since"))) is not None and self.modified <= since:
            return 304
        return None

    def continues(self, condition: str | None) -> bool:
        """Whether a range may be served: there is no If-Range, or it names this very state (section 13.1.5)."""
        if condition is None:
            return True
        condition = condition.strip()
        if condition.startswith(('"', "W/")):
            return condition == self.tag and condition.startswith('"')
        return condition == self.last_modified

    def _listed(self, text: str, *, strong: bool) -> bool:
        if text.strip() == "*":
            return True
        tags = [found[0] for found in _TAG.finditer(text)]
        if strong:
            return self.tag in tags and not self.tag.startswith("W/")
        return self.tag.removeprefix("W/") in [tag.removeprefix("W/") for tag in tags]


def _date(text: str | None) -> datetime | None:
    """The time of a condition; None if there is none, or one that is no date, which counts for nothing."""
    if text is None:
        return None
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else None
