"""``Router``: listeners by channel or method name, on top of the plain hooks."""

import difflib
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from rtbridge.errors import PluginError
from rtbridge.events import METHODS, Event, Method
from rtbridge.hooks._generated import Routes
from rtbridge.hooks.listeners import Listener
from rtbridge.hooks.patterns import Pattern, compile_pattern
from rtbridge.hooks.steps import Step, name_of

F = TypeVar("F", bound=Callable[..., Any])

_Order = tuple[int, int, int]
_Match = tuple[_Order, Step]
#: The last one is made once, where the pattern captures nothing.
_Wild = tuple[_Order, Callable[[str], dict[str, str] | None], Listener, Step | None]


class Route(NamedTuple):
    """A decorated function, before its arguments are looked at."""

    method: Method
    pattern: Pattern
    priority: int
    blocking: bool | None
    function: Callable[..., Any]


class Router(Routes):
    """Listeners of a plugin, by name: ``@router.on_publish("chat:{room}")``.

    A Router in a plugin's module, or an attribute of a plugin object, is registered with the plugin. ``{name}`` matches
    one or more characters except ``:`` and ``#`` and is handed over by name; ``*`` matches any run of characters. The
    whole name has to match, case-sensitively. All that match run, after the plain hooks: exact ones first, then those
    with captures, then those with ``*``; within these the higher ``priority`` first, then the earlier registration.
    """

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def _route(self, kind: str, pattern: str, priority: int, blocking: bool | None) -> Callable[[F], F]:
        method = METHODS[kind]
        try:
            compiled = compile_pattern(pattern)
        except ValueError as exc:
            raise PluginError(f"{method.hook}: {exc}") from exc

        def decorate(function: F) -> F:
            if not callable(function):
                raise PluginError(f"{method.hook}({pattern!r}) decorates a function, not {type(function).__name__}")
            self.routes.append(Route(method, compiled, priority, blocking, function))
            return function

        return decorate

    def __repr__(self) -> str:
        return f"Router({', '.join(f'{r.pattern.text} → {name_of(r.function)}' for r in self.routes)})"


_ORDER = itemgetter(0)


class RouteTable:
    """The listeners of one event, ready to match. Nothing is remembered of events."""

    def __init__(self, method: Method, listeners: Iterable[Listener]) -> None:
        self.method = method
        self.listeners = tuple(listeners)
        self._field = method.route
        self._exact: dict[str, list[_Match]] = {}
        wild: dict[int, dict[str, list[_Wild]]] = {}
        for number, listener in enumerate(self.listeners):
            pattern = listener.pattern
            order = (pattern.rank, -listener.priority, number)
            if pattern.regex is None:
                self._exact.setdefault(pattern.text, []).append((order, listener.bind({})))
                continue
            step = None if pattern.captures else listener.bind({})
            prefixes = wild.setdefault(len(pattern.prefix), {})
            prefixes.setdefault(pattern.prefix, []).append((order, pattern.match, listener, step))
        #: Patterns with wildcards by the length of their literal prefix, then by the prefix: a name is held against
        #: those few that it can match, however many there are.
        self._wild = tuple(wild.items())
        #: What the names match that are patterns themselves, found out beforehand.
        self._known = {name: tuple([step for _, step in self._matches(name)]) for name in self._exact}

    def _matches(self, name: str) -> list[_Match]:
        found = list(self._exact.get(name, ()))
        for length, prefixes in self._wild:
            for order, match, listener, step in prefixes.get(name[:length], ()):
                captures = match(name)
                if captures is not None:
                    found.append((order, step or listener.bind(captures)))
        if len(found) > 1:
            found.sort(key=_ORDER)
        return found

    def match(self, event: Event) -> tuple[Step, ...]:
        """The listeners for an event, in their order."""
        value = getattr(event, self._field)
        if isinstance(value, str):
            known = self._known.get(value)
            return tuple([step for _, step in self._matches(value)]) if known is None else known
        seen: dict[tuple[int, int, int], Step] = {}  # a listener runs once, with the first channel that it matches
        for name in value:
            for order, step in self._matches(name):
                seen.setdefault(order, step)
        return tuple([seen[order] for order in sorted(seen)])

    def nearest(self, event: Event) -> str | None:
        """The pattern that looks most like what the event asked for."""
        value: str | tuple[str, ...] = getattr(event, self.method.route)
        names = [value] if isinstance(value, str) else list(value)
        texts = [listener.pattern.text for listener in self.listeners]
        for name in names:
            close: list[str] = difflib.get_close_matches(name[:256], texts, n=1, cutoff=0.3)
            if close:
                return close[0]
        return texts[0] if texts else None
