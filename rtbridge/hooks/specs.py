"""The hooks that see every event: the middleware, and the one for calls that cannot be decoded."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pluggy

from rtbridge.events import Event, InvalidEvent

if TYPE_CHECKING:
    from rtbridge.api import Api
    from rtbridge.config import Config
    from rtbridge.stores import KvStores

hookspec = pluggy.HookspecMarker("rtbridge")

#: What a middleware calls to go on: the event, or another of the same type in its place → the answer so far.
CallNext = Callable[[Event], Awaitable[Any]]


@hookspec
def on_event(event: Event, call_next: CallNext, api: "Api", kv: "KvStores", config: "Config") -> Any:
    """Middleware around every event; `async def` only.

    `await call_next(event)` runs what is inside and gives back the answer: a result, or None when nobody answered.
    A `Disconnect` or `ClientError` comes as an exception. What the middleware returns or raises is the answer in its
    place, so one that returns nothing denies.
    """


@hookspec(firstresult=True)
def on_invalid(event: InvalidEvent, api: "Api", kv: "KvStores", config: "Config") -> None:
    """A call that cannot be decoded or whose kind is unknown.

    It is refused as a failed call unless a hook raises `Disconnect` or `ClientError` and the call's kind is known and
    can carry it.
    """
