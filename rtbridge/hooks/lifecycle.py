"""The hooks that belong to no event: start, readiness, the reset point after each event, errors, the end."""

from typing import TYPE_CHECKING

import pluggy

from rtbridge.events import Event, Outcome

if TYPE_CHECKING:
    from rtbridge.api import Api
    from rtbridge.config import Config

hookspec = pluggy.HookspecMarker("rtbridge")


@hookspec
def on_boot(api: "Api", config: "Config") -> None:
    """Runs once, before the first event: open pools, load models. An exception ends the start."""


@hookspec
def on_ready(api: "Api", config: "Config") -> None:
    """Runs once, when every listener is bound and events may come."""


@hookspec
def after_event(event: Event, outcome: Outcome, api: "Api", config: "Config") -> None:
    """Runs after the reply to an event has left, whatever it was: the point to reset what the event used.

    Blocking ones run on the thread that the event's blocking hooks ran on, so a connection that belongs to a thread can
    be closed where it was opened. Exceptions are logged.
    """


@hookspec
def on_error(event: Event, error: BaseException, api: "Api", config: "Config") -> None:
    """Runs when a hook raised what is no answer, timed out, or answered with another event's result.

    `error` carries the traceback. Exceptions in here are logged.
    """


@hookspec
def on_shutdown(api: "Api", config: "Config") -> None:
    """Runs once, when the last event has been answered and the listeners are closed."""
