"""Which namespaces a chain of hooks listens to, as far as its patterns say."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from rtbridge.hooks import Chain

#: Centrifugo's rule for the names of namespaces.
NAME: Final = re.compile(r"[-a-zA-Z0-9_.]{2,}")

_WILDCARD: Final = re.compile(r"\{[^}]*\}|\*")


class Reach(NamedTuple):
    """Namespaces that something listens to.

    Attributes:
        literal: Those that patterns name, in their order.
        without: Whether channels or methods without a namespace are among it.
        heads: Beginnings of further namespaces, for patterns that leave the namespace open; ``""`` is every one.

    """

    literal: tuple[str, ...] = ()
    without: bool = False
    heads: tuple[str, ...] = ()

    def covers(self, namespace: str) -> bool:
        """Whether something listens in that namespace."""
        return namespace in self.literal or any(f"{namespace}:".startswith(head) for head in self.heads)

    @property
    def everywhere(self) -> bool:
        """Whether every namespace is among it."""
        return "" in self.heads


def reach_of(chain: Chain) -> Reach:
    """Where the chain's hooks and routes listen."""
    patterns = [] if chain.routes is None else [each.pattern.text for each in chain.routes.listeners]
    return reach_of_patterns([*("*" for _ in chain.plain[:1]), *patterns])


def reach_of_patterns(patterns: Iterable[str]) -> Reach:
    """Where these patterns listen.

    A ``$`` in front is Centrifugo's mark of private channels and belongs to no namespace.
    """
    literal: dict[str, None] = {}
    heads: dict[str, None] = {}
    without = False
    for text in patterns:
        text = text.removeprefix("$")
        match = _WILDCARD.search(text)
        head = text if match is None else text[: match.start()]
        namespace, colon, _ = head.partition(":")
        if colon:
            literal[namespace] = None
            continue
        parted = ":" in _WILDCARD.sub("", text)
        without = without or not parted
        if match is not None and (parted or "*" in text):
            heads[head] = None
    return Reach(tuple(literal), without, tuple(heads))
