"""Hooks that answer as a test says."""

from collections.abc import Awaitable, Callable
from typing import Any

from rtbridge import hookimpl
from rtbridge.events import METHODS


class Answers:
    """A plugin: an answer for some kinds of event, none for the others.

    Args:
        answers: By kind: a value, or a function of the event whose result is awaited where it can be.

    Attributes:
        seen: The events that came, by kind.

    """

    def __init__(self, **answers: Any) -> None:
        self.seen: dict[str, list[Any]] = {kind: [] for kind in answers}
        for kind, answer in answers.items():
            setattr(self, METHODS[kind].hook, hookimpl(self._hook(kind, answer)))

    def _hook(self, kind: str, answer: Any) -> Callable[[Any], Awaitable[Any]]:
        async def hook(event: Any) -> Any:
            self.seen[kind].append(event)
            result = answer(event) if callable(answer) else answer
            return await result if isinstance(result, Awaitable) else result

        return hook
