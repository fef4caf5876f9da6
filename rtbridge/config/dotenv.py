"""``.env``: lines of ``NAME=value``."""

import re
from typing import Final

from rtbridge.config.faults import Faults, Where

_LINE: Final = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(.*)")
_SINGLE: Final = re.compile(r"'([^']*)'[ \t]*(?:#.*)?")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"[ \t]*(?:#.*)?')
_COMMENT: Final = re.compile(r"(?:^|[ \t]+)#.*")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def parse_dotenv(text: str, source: str, faults: Faults) -> dict[str, str]:
    """Its variables.

    ``export`` before a name, blank lines and ``#`` comments are allowed. Single quotes take a value as it is; double
    quotes know a backslash before ``n``, ``r``, ``t``, ``"``, ``$`` and itself. A value ends with its line, and
    variables in it are not replaced.
    """
    variables: dict[str, str] = {}
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        line = line.strip(" \t")
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line) if "\0" not in line else None
        value = _value(match[2]) if match is not None else None
        if match is None or value is None:
            faults.add(
                Where(source, number), "", "found a line that cannot be read, allowed: NAME=value, quotes in pairs"
            )
            continue
        variables[match[1]] = value
    return variables


def _value(text: str) -> str | None:
    if text.startswith("'"):
        match = _SINGLE.fullmatch(text)
        return match[1] if match else None
    if text.startswith('"'):
        match = _DOUBLE.fullmatch(text)
        return re.sub(r"\\(.)", _unescape, match[1]) if match else None
    return _COMMENT.sub("", text)


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])
