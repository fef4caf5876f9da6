"""What is answered in a few words, for people and for logs; never data, tokens or headers."""

from collections.abc import Mapping
from typing import Final

from rtbridge.events.base import Event

_NAMED: Final = ("channel", "method", "user", "client")

#: Characters that are shown of a name: clients choose them.
_SHOWN: Final = 200


def _clip(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def named(event: Event) -> dict[str, str]:
    """Kind, channel, method, user and client of an event, as far as it has them."""
    found = {"kind": event.kind}
    for name in _NAMED:
        value = getattr(event, name, None)
        if value:
            found[name] = value
    return found


def in_words(found: Mapping[str, str]) -> str:
    """What :func:`named` or :func:`fields` gave, as :func:`describe` says it."""
    words = [found.get("kind", "")]
    words += [_clip(found[name]) for name in ("channel", "method", "path") if found.get(name)]
    words += [f"{name}={_clip(found[name])}" for name in ("user", "client") if found.get(name)]
    return " ".join(words)


def describe(event: Event) -> str:
    """The event in a few words for people: kind, channel or method, user, client."""
    return in_words(named(event))


def fields(event: Event) -> dict[str, str]:
    """The same by name, for records that machines read."""
    return short(named(event))


def short(found: Mapping[str, str]) -> dict[str, str]:
    """The same with values that are cut off: clients choose them."""
    return {name: value[:_SHOWN] for name, value in found.items()}
