"""One step of a chain: a hook or a routed listener, ready to be called with nothing but the event."""

import inspect
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import msgspec


class Mode(IntEnum):
    """How a step runs."""

    ASYNC = 0  # awaited
    INLINE = 1  # called on the event loop
    BLOCKING = 2  # called on the event's thread
    STREAM = 3  # an async generator; its first item is its answer


class Step(msgspec.Struct, frozen=True):
    """A hook or a routed listener, bound to its arguments.

    Attributes:
        run: Called with the event; a life-cycle hook with what its spec says.
        mode: How it runs.
        name: For people: ``chat.hooks.on_connect``.
        source: ``file:line``.
        pattern: Where it is routed, else "".

    """

    run: Callable[..., Any]
    mode: Mode
    name: str
    source: str
    pattern: str = ""


def mode_of(function: Callable[..., Any], blocking: bool | None) -> Mode:
    """How a function runs, by its kind and its ``blocking`` option.

    Raises:
        ValueError: The two contradict each other, or it is a kind that cannot be a hook.

    """
    target = inspect.unwrap(function)
    if inspect.isasyncgenfunction(target):
        mode = Mode.STREAM
    elif inspect.iscoroutinefunction(target):
        mode = Mode.ASYNC
    elif inspect.isgeneratorfunction(target):
        raise ValueError("is a generator; a stream is an async generator, and a wrapper says wrapper=True")
    else:
        return Mode.INLINE if blocking is False else Mode.BLOCKING
    if blocking:
        raise ValueError("is async and cannot be blocking")
    return mode


def name_of(function: Callable[..., Any]) -> str:
    """``module.function``, as people look for it."""
    target = inspect.unwrap(function)
    return f"{getattr(target, '__module__', '?')}.{getattr(target, '__qualname__', '?')}"


def source_of(function: Callable[..., Any]) -> str:
    """``file:line`` of a function."""
    target = inspect.unwrap(function)
    code = getattr(target, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else "?"
