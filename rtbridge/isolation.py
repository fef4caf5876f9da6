"""What keeps one event from another in a process that answers many: whose turn it is, and what is reset afterwards."""

import inspect
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Final, TypeAlias, TypeVar

from rtbridge.events import Event
from rtbridge.events.words import named

log = logging.getLogger("rtbridge.hooks")

T = TypeVar("T")

#: The event that is being answered; whoever answers one sets and restores it.
EVENT: Final[ContextVar[Event | None]] = ContextVar("rtbridge_event", default=None)

#: Where the last dump of what is answered is left, for whoever shows it; whoever wants it sets a list.
LAST_DUMP: Final[ContextVar[list[str] | None]] = ContextVar("rtbridge_last_dump", default=None)

#: Whoever answers something other than events adds what names it: it gives what :func:`at_hand` does.
NAMING: Final[list[Callable[[], dict[str, str] | None]]] = []

#: Makes a context manager each time that something of one event runs.
Scope: TypeAlias = Callable[[], AbstractContextManager[object]]

#: What is reset after each event, in the order in which it was registered.
RESETTABLE: Final[list[Any]] = []


def current_event() -> Event | None:
    """The event that the code which asks is answering; None outside of one.

    It is the same in hooks, wrappers, middleware, ``after_event`` and ``on_error`` hooks and streams, on the event loop
    and on the threads of blocking hooks. It is the event as it came: a middleware that passes on another one does not
    change it. A task that a hook starts keeps the event of that hook, also when the event has long been answered.
    """
    return EVENT.get()


def at_hand() -> dict[str, str] | None:
    """What is being answered, by name: its kind, and what there is of channel, method, path, user, client.

    None where nothing is.
    """
    event = EVENT.get()
    if event is not None:
        return named(event)
    return next((found for name in NAMING if (found := name()) is not None), None)


def resettable(obj: T) -> T:
    """Have ``obj.reset()`` called after each event; gives the object back, as in ``cache = resettable(Cache())``.

    It runs on the event loop, after the reply has left and after the ``after_event`` hooks, so it does not block; an
    ``async def reset`` may await. For a stream it runs after its end. Events overlap: ``reset`` also comes while others
    are being answered, so what belongs to one event alone goes into ``event.state``. What belongs to a thread is reset
    in ``after_event``. An exception is logged, and whatever else is registered is reset all the same.

    Args:
        obj: An object with a ``reset`` method, sync or async. Registered twice, it is reset once.

    Raises:
        TypeError: It has no ``reset`` method that can be called without arguments.

    """
    name = obj.__name__ if isinstance(obj, type) else type(obj).__name__
    reset = getattr(obj, "reset", None)
    if not callable(reset):
        raise TypeError(f"resettable() takes an object with a reset() method; {name} has none")
    try:
        inspect.signature(reset).bind()
    except TypeError as exc:
        hint = "; register an instance, not the class" if isinstance(obj, type) else ""
        raise TypeError(f"resettable() calls reset() without arguments; {name}.reset wants more{hint}") from exc
    except ValueError:
        pass  # some written in C do not tell
    if all(known is not obj for known in RESETTABLE):
        RESETTABLE.append(obj)
    return obj


async def reset_all() -> bool:
    """Reset everything that is registered; whether all of it could be."""
    fine = True
    for each in tuple(RESETTABLE):
        try:
            made = each.reset()
            if hasattr(made, "__await__"):
                await made
        except Exception:
            fine = False
            log.exception("%s.reset() failed", type(each).__name__)
    return fine
