"""Renders ``rtbridge/hooks/_generated.py``: the hook specs of all events, and the router's decorators."""

from rtbridge._codegen.model import Method, Service
from rtbridge._codegen.text import docstring, header
from rtbridge.hooks.inject import INJECTED


def render(service: Service) -> str:
    """The module's text."""
    lines = header("Hook specifications of the Centrifugo events, and the decorators of the router.")
    lines += [
        "from collections.abc import AsyncIterator, Callable",
        "from typing import TYPE_CHECKING, Any, TypeVar",
        "",
        "import pluggy",
        "",
        "from rtbridge import events",
        "",
        "if TYPE_CHECKING:",
        "    from rtbridge.api import Api",
        "    from rtbridge.config import Config",
        "    from rtbridge.stores import KvStores",
        "",
        'hookspec = pluggy.HookspecMarker("rtbridge")',
        'F = TypeVar("F", bound=Callable[..., Any])',
        "",
    ]
    for method in service.methods:
        lines += _spec(service, method)
    lines += [
        "",
        "class Routes:",
        '    """The decorators of a router, one for each event that has something to route by."""',
        "",
    ]
    lines += [
        "    def _route(self, kind: str, pattern: str, priority: int, blocking: bool | None) -> Callable[[F], F]:",
        "        raise NotImplementedError  # pragma: no cover  # Router has it",
        "",
    ]
    for method in service.methods:
        lines += _decorator(method)
    return "\n".join(lines) + "\n"


def answer(service: Service, m: Method) -> str:
    """The annotation of what a hook of this event returns."""
    result = f"events.{service.class_name(m.result.name)}"
    if m.item_out:
        return f"AsyncIterator[{result} | events.{service.class_name(m.item_out.message)}] | None"
    return f"{result} | None"


def _spec(service: Service, m: Method) -> list[str]:
    injected = "".join(f', {name}: "{annotation}"' for name, (annotation, _) in INJECTED.items())
    return [
        "",
        "@hookspec(firstresult=True)",
        f"def on_{m.kind}(event: events.{m.event}{injected}) -> {answer(service, m)}:",
        *docstring(m.doc, [], "    "),
        "",
    ]


def _decorator(m: Method) -> list[str]:
    names = [f.name for f in m.request.fields]
    route = next((n for n in ("method", "channel", "channels") if n in names), "")
    if not route:
        return []
    what = {"channel": "the event's channel", "method": "the method's name", "channels": "any requested channel"}[route]
    return [
        f"    def on_{m.kind}(self, pattern: str, *, priority: int = 0, blocking: bool | None = None)"
        " -> Callable[[F], F]:",
        f'        """Listen to ``{m.event}`` where ``pattern`` matches {what}."""',
        f'        return self._route("{m.kind}", pattern, priority, blocking)',
        "",
    ]
