"""What the placeholders of a recording stand for in one run."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.tokens import sign

_SENT: Final = re.compile(r"\$(?:client|session|epoch|token):[\w-]+|\$node\b")
_BOUND: Final = re.compile(r"\$(?:client|session|epoch):[\w-]+|\$node(?:_name)?")
_TTL: Final = re.compile(r"\$ttl:(\d+)")
_NOW: Final = re.compile(r"\$now([+-]\d+)")

#: Placeholders of values that no two runs share, and the types that they have.
_ANY: Final[Mapping[str, type]] = {
    "$version": str,
    "$time": int,
    "$uptime": int,
    "$metrics": dict,
    "$process": dict,
}


class Mismatch(AssertionError):
    """A server did something else than the recorded one."""


class Values:
    """Binds each placeholder where the server first names its value, and holds later ones against that.

    Args:
        tokens: Name → claims, key and algorithm of a JWT.
        now: The server's time in seconds since the Unix epoch.

    """

    def __init__(self, tokens: Mapping[str, Mapping[str, Any]], now: Callable[[], float]) -> None:
        self._now = now
        self._values: dict[str, str] = {
            f"$token:{name}": sign(self.dated(token["claims"]), token["key"], token["alg"])
            for name, token in tokens.items()
        }

    def dated(self, value: Any) -> Any:
        """The value with seconds in place of ``$now+N``."""
        if isinstance(value, dict):
            return {key: self.dated(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.dated(each) for each in value]
        if isinstance(value, str) and (found := _NOW.fullmatch(value)):
            return int(self._now()) + int(found[1])
        return value

    def filled(self, text: str) -> str:
        """A text to send, with values in place of the placeholders that are bound."""
        return _SENT.sub(lambda found: self._values.get(found[0], found[0]), text)

    def filled_value(self, value: Any) -> Any:
        """The same for a JSON value."""
        return self.dated(json.loads(self.filled(json.dumps(value))))

    def match(self, recorded: Any, seen: Any, place: str = "") -> None:
        """Hold what came against what was recorded.

        Raises:
            Mismatch: They differ; the message names the place and both.

        """
        if isinstance(recorded, dict):
            self._match_object(recorded, seen, place)
        elif isinstance(recorded, list):
            if not isinstance(seen, list) or len(seen) != len(recorded):
                raise _differ(place, recorded, seen)
            for index, (old, new) in enumerate(zip(recorded, seen, strict=True)):
                self.match(old, new, f"{place}[{index}]")
        elif isinstance(recorded, str) and recorded.startswith("$"):
            self._match_placeholder(recorded, seen, place)
        elif isinstance(recorded, bool) is not isinstance(seen, bool) or recorded != seen:  # True == 1 in Python
            raise _differ(place, recorded, seen)

    def _match_object(self, recorded: dict[str, Any], seen: Any, place: str) -> None:
        named = {self._values.get(key, key): value for key, value in recorded.items()}
        if not isinstance(seen, dict) or seen.keys() != named.keys():
            raise _differ(place, recorded, seen)
        # A server writes this one map in any order; epochs in it are numbered by channel.
        keys = sorted(named) if place.endswith(".subs") else list(named)
        for key in keys:
            self.match(named[key], seen[key], f"{place}.{key}")

    def _match_placeholder(self, recorded: str, seen: Any, place: str) -> None:
        if found := _TTL.fullmatch(recorded):
            fits = type(seen) is int and abs(seen - int(found[1])) <= 1
        elif recorded in _ANY:
            fits = type(seen) is _ANY[recorded]
        elif not _BOUND.fullmatch(recorded):
            fits = recorded == seen  # a channel, such as $private
        elif recorded in self._values:
            fits = self._values[recorded] == seen
        else:
            fits = isinstance(seen, str) and bool(seen) and seen not in self._values.values()
            if fits:
                self._values[recorded] = seen
        if not fits:
            raise _differ(place, recorded, seen, self._values.get(recorded))


def _differ(place: str, recorded: Any, seen: Any, bound: str | None = None) -> Mismatch:
    meaning = "" if bound is None else f" (which is {bound!r})"
    return Mismatch(f"{place or 'it'}: recorded {_short(recorded)}{meaning}, came {_short(seen)}")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 600 else f"{text[:600]}…"
