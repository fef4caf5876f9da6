"""Runs the compiled hooks of one event, in order, and says what they answered."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec

from rtbridge.errors import WrongAnswer
from rtbridge.events import METHODS, Event
from rtbridge.hooks.router import RouteTable
from rtbridge.hooks.steps import Mode, Step
from rtbridge.hooks.threads import Lease, Threads

#: Answers an event, or a part of its chain does.
Run: TypeAlias = Callable[[Event], Coroutine[Any, Any, Any]]

_ASYNC, _BLOCKING = Mode.ASYNC, Mode.BLOCKING


class Wrapper(NamedTuple):
    """A plain generator around a chain."""

    run: Callable[[Event], Generator[None, Any, Any]]
    name: str
    source: str


class Middleware(NamedTuple):
    """An ``on_event`` hook."""

    run: Callable[[Event, Callable[[Event], Awaitable[Any]]], Awaitable[Any]]
    name: str
    source: str


class Chain:
    """All that answers one kind of event: plain hooks, then routed listeners, inside wrappers, inside middleware.

    Attributes:
        result: The type that answers; None where only ``Disconnect`` and ``ClientError`` do.
        plain: The plain hooks, in order.
        routes: The routed listeners, or None.

    """

    __slots__ = ("_inner", "_middleware", "_threads", "_wrappers", "plain", "result", "routes", "run")

    def __init__(
        self,
        result: type[msgspec.Struct] | None,
        plain: tuple[Step, ...],
        wrappers: tuple[Wrapper, ...],
        middleware: tuple[Middleware, ...],
        routes: RouteTable | None,
    ) -> None:
        self.result = result
        self.plain = plain
        self.routes = routes
        self._wrappers = wrappers
        self._middleware = middleware
        self._threads: Threads | None = None
        run: Run = self._walk
        for wrapper in reversed(wrappers):
            run = self._wrap(wrapper, run)
        for each in reversed(middleware):
            run = self._surround(each, run)
        #: Called with the event: its answer, or None; raises what a hook raised.
        self.run = run

    def use(self, threads: Threads) -> None:
        """Where blocking hooks run."""
        self._threads = threads

    @property
    def around(self) -> tuple[Wrapper | Middleware, ...]:
        """Middleware and wrappers, outermost first."""
        return (*self._middleware, *self._wrappers)

    @property
    def empty(self) -> bool:
        """Whether nothing could answer."""
        return not self.plain and self.routes is None

    async def _walk(self, event: Event) -> Any:
        call = event.call
        stopped = call.stopped_by  # by a wrapper or a middleware
        if stopped is not None:
            return call.pending
        steps, routes = self.plain, self.routes
        index = 0
        while True:
            if index == len(steps):
                if routes is None:
                    return call.pending
                steps, routes = steps + routes.match(event), None
                continue
            step = steps[index]
            mode = step.mode
            index += 1
            if mode is _ASYNC:
                answer = await step.run(event)
            elif mode is not _BLOCKING:  # a stream's generator comes back at once, too
                answer = step.run(event)
            else:
                if routes is not None:  # what follows may join the same hop
                    steps, routes = steps + routes.match(event), None
                end = index
                while end < len(steps) and steps[end].mode is _BLOCKING:
                    end += 1
                answer, ran = await self._hop(event, steps[index - 1 : end])
                index += ran - 1
                step = steps[index - 1]
            if answer is not None:
                if answer.__class__ is not self.result:
                    answer = await self._settle(event, step, answer)
                if answer is not None:
                    return answer
            if call.stopped_by is not None:
                call.stopped_by = step.name
                return call.pending

    async def _hop(self, event: Event, steps: tuple[Step, ...]) -> tuple[Any, int]:
        call = event.call
        lease: Lease | None = call.lease
        if lease is None:
            assert self._threads is not None
            lease = call.lease = await self._threads.lease()

        def run() -> tuple[Any, int]:
            answer, ran = None, 0
            for step in steps:
                answer, ran = step.run(event), ran + 1
                if answer is not None or call.stopped_by is not None:
                    break
            return answer, ran

        found: tuple[Any, int] = await lease.run(run)
        return found

    async def _settle(self, event: Event, step: Step, answer: Any) -> Any:
        """Make an answer of what is not yet one: an awaitable, or a stream."""
        if hasattr(answer, "__await__"):
            answer = await answer
            if answer is None or answer.__class__ is self.result:
                return answer
        if isinstance(answer, AsyncGenerator) and _is_stream(event):
            stream = cast("AsyncGenerator[Any, None]", answer)
            answer = await anext(stream, None)
            if answer is not None:
                event.call.stream = stream
        return self.checked(step.name, event, answer)

    def checked(self, name: str, event: Event, answer: Any) -> Any:
        """The answer, when it is one.

        Raises:
            WrongAnswer: It belongs to another event, or is none at all.

        """
        if answer is None or (self.result is not None and isinstance(answer, self.result)):
            return answer
        wanted = self.result.__name__ if self.result is not None else "nothing"
        hint = "; raise it instead of returning it" if isinstance(answer, Exception) else ""
        raise WrongAnswer(f"{name} answered {type(event).__name__} with {type(answer).__name__}, not {wanted}{hint}")

    def _wrap(self, wrapper: Wrapper, inner: Run) -> Run:
        async def run(event: Event) -> Any:
            generator = wrapper.run(event)
            try:
                next(generator)
            except StopIteration as stop:
                raise RuntimeError(f"{wrapper.name} did not yield") from stop
            _name_stop(event, wrapper.name)
            try:
                answer = await inner(event)
            except BaseException as exc:
                try:
                    generator.throw(exc)
                except StopIteration as stop:
                    return self._wrapped(wrapper.name, event, stop.value)
            else:
                try:
                    generator.send(answer)
                except StopIteration as stop:
                    return self._wrapped(wrapper.name, event, stop.value, answer)
            generator.close()
            raise RuntimeError(f"{wrapper.name} yielded twice")

        return run

    def _surround(self, each: Middleware, inner: Run) -> Run:
        async def run(event: Event) -> Any:
            seen: Any = None
            called = False

            async def call_next(given: Event) -> Any:
                nonlocal called, seen
                called = True
                _name_stop(event, each.name)
                if type(given) is not type(event):
                    raise WrongAnswer(f"{each.name} passed on {type(given).__name__}, not {type(event).__name__}")
                seen = await inner(given)
                return seen

            answer = await each.run(event, call_next)
            _name_stop(event, each.name)
            if answer is None and not called and event.call.stopped_by is None:
                event.call.trail = f"{each.name} returned None without call_next(event), so no hook ran"
            return self._wrapped(each.name, event, answer, seen)

        return run

    def _wrapped(self, name: str, event: Event, answer: Any, before: Any = None) -> Any:
        if answer is None and before is not None:
            event.call.trail = f"{name} returned None in place of an answer; return it from there"
        if answer.__class__ is self.result:
            return answer
        return self.checked(name, event, answer)


def _is_stream(event: Event) -> bool:
    method = METHODS.get(event.kind)
    return method is not None and method.stream != ""


def _name_stop(event: Event, name: str) -> None:
    if event.call.stopped_by == "stop_propagation":
        event.call.stopped_by = name


class LifecycleChain(NamedTuple):
    """The implementations of one life-cycle hook, in order."""

    steps: tuple[Step, ...]
