"""The hooks that belong to no event: start, readiness, the reset point after each event, errors, threads, the end."""

from typing import TYPE_CHECKING, Any

import pluggy

from rtbridge.events import Event, Outcome

if TYPE_CHECKING:
    from rtbridge.api import Api
    from rtbridge.config import Config
    from rtbridge.stores import KvStores

hookspec = pluggy.HookspecMarker("rtbridge")


@hookspec
def on_boot(api: "Api", kv: "KvStores", config: "Config") -> None:
    """Runs once, before the first event: open pools, load models. An exception ends the start."""


@hookspec
def on_ready(api: "Api", kv: "KvStores", config: "Config") -> None:
    """Runs once, when every listener is bound and events may come."""


@hookspec
def after_event(event: Event, outcome: Outcome, api: "Api", kv: "KvStores", config: "Config") -> None:
    """Runs after the reply to an event has left, whatever it was: the point to reset what the event used.

    Blocking ones run on the thread that the event's blocking hooks ran on, so a connection that belongs to a thread can
    be closed where it was opened. Exceptions are logged.
    """


@hookspec
def on_error(event: Event, error: BaseException, api: "Api", kv: "KvStores", config: "Config") -> None:
    """Runs when a hook raised what is no answer, timed out, or answered with another event's result.

    `error` carries the traceback. Exceptions in here are logged.
    """


@hookspec
def around_blocking(api: "Api", kv: "KvStores", config: "Config") -> Any:
    """Gives a context manager that is entered around each run of blocking hooks, on the thread that they run on.

    A plain `def`, or one under `contextlib.contextmanager`; it is called on that thread. Consecutive blocking hooks of
    an event are one run; blocking `after_event`, `on_error` and other life-cycle hooks are runs of their own, `on_boot`
    included. The context manager of the first hook is the outermost. What it raises counts as raised by the hooks
    inside; what they raise passes through it and cannot be swallowed.
    """


@hookspec
def http_routes(api: "Api", kv: "KvStores", config: "Config") -> Any:
    """Gives routes of Starlette, as a list, for the HTTP server that the section `http` asks for.

    A plain `def`; it is called once in each process that serves HTTP, before anything boots. The routes stand in front
    of `http.app`, those of the first plugin first.
    """


@hookspec
def on_shutdown(api: "Api", kv: "KvStores", config: "Config") -> None:
    """Runs once, when the last event has been answered and the listeners are closed."""
