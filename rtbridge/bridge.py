"""Event → hooks → outcome → reply. Decides everything and knows no wire.

A transport hands over the event and a function that writes an outcome in its wire's bytes. Writing happens in here,
because a result that cannot be written is a fault of the hook that made it and is answered like one.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from rtbridge.admission import Admission
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.deadlines import Deadline, Deadlines
from rtbridge.denial import Denials, Throttle, explain, raised
from rtbridge.eager import resumed
from rtbridge.errors import ClientError, Disconnect, Overloaded, RtbridgeError, WrongAnswer
from rtbridge.events import METHODS, Event, InvalidEvent, Outcome
from rtbridge.events.words import describe as describe
from rtbridge.events.words import fields
from rtbridge.hooks import Chain, Threads
from rtbridge.hooks.chain import LifecycleChain
from rtbridge.hooks.steps import Mode, Step
from rtbridge.isolation import EVENT, RESETTABLE, Scope, reset_all

log = logging.getLogger("rtbridge.events")

#: Tells of hooks that run after an event: no `on_error` hears of their exceptions.
hooks_log = logging.getLogger("rtbridge.hooks")

#: Part of the caller's time that is kept for the reply to travel in, and its bound in seconds.
_MARGIN_SHARE: Final = 0.1
_MARGIN_MAX: Final = 0.05

T = TypeVar("T")

#: Made once: in an expression the union would be built anew for each event.
_ANSWERS: Final = (Disconnect, ClientError)

Encode = Callable[[Outcome, Clock], bytes]

_END: Final = object()

#: Denials in one second that look for the pattern that was meant: it takes a comparison with each, and clients choose
#: the names.
_HINTS: Final = 20

#: What a call that no event can be made of may be named without having been named by its caller.
_NAMES: Final = frozenset(method.name for method in METHODS.values())

_CANCELLED: Final = Outcome(failure="cancelled", why="the caller went away")


class Reply(msgspec.Struct, frozen=True):
    """What a transport sends.

    Attributes:
        outcome: The decision; its ``failure`` asks for a failed call in place of the payload.
        payload: The answer's bytes; empty for a failed call.

    """

    outcome: Outcome
    payload: bytes


class StreamFailed(RtbridgeError):
    """A stream ends with an error: Centrifugo unsubscribes the client with 2500, and SDKs subscribe again."""


class Bridge:
    """Answers events.

    Args:
        chains: The compiled hooks, by kind.
        lifecycle: The compiled life-cycle hooks, by name.
        denials: What silence and failures answer.
        concurrency: Events answered at once.
        hook_timeout: Seconds that the hooks of one event may take, beside the caller's deadline; None for no bound.
        threads: Threads for blocking hooks.
        clock: Measures durations and expiries.
        scopes: Makes an event's scope, which is entered wherever :func:`rtbridge.current_event` gives the event;
            threads of blocking hooks take its context variables over. None for no scope.

    Attributes:
        on_reset_failed: Called when something that is ``resettable`` could not be reset, so that the process may be
            replaced; None does nothing.

    """

    def __init__(
        self,
        chains: Mapping[str, Chain],
        lifecycle: Mapping[str, LifecycleChain],
        *,
        denials: Denials | None = None,
        concurrency: int = 1000,
        hook_timeout: float | None = None,
        threads: int = 32,
        clock: Clock = SYSTEM_CLOCK,
        scopes: Callable[[Event], Scope] | None = None,
    ) -> None:
        self.clock = clock
        self._scopes = scopes
        self._chains = chains
        self._after = lifecycle["after_event"].steps
        self._on_error = lifecycle["on_error"].steps
        self.denials = denials or Denials()
        self._admission = Admission(concurrency)
        self._hook_timeout = hook_timeout
        self._threads = Threads(threads, tuple(step.run for step in lifecycle["around_blocking"].steps))
        self._throttle = Throttle(clock)
        self._deadlines = Deadlines()
        self._hinted = 0, 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._streams: set[asyncio.Task[Any]] = set()
        self._waiting: set[asyncio.Task[Any]] = set()  # streams whose next item is not there yet
        self._draining = False
        self._before_first: Callable[[], Awaitable[object]] | None = None
        self.on_reset_failed: Callable[[], None] | None = None
        for chain in chains.values():
            chain.use(self._threads)

    def before_first(self, boot: Callable[[], Awaitable[object]]) -> None:
        """Await ``boot`` when the first event comes, before its hooks run; it has to allow concurrent calls."""
        self._before_first = boot

    def report_to(self, scopes: Callable[[Event], Scope], on_error: LifecycleChain) -> None:
        """Take over the scopes, and the hooks that hear of exceptions, of a reporter that came late."""
        self._scopes = scopes
        self._on_error = on_error.steps

    @property
    def active(self) -> int:
        """Events that are being answered."""
        return self._admission.active

    @property
    def threads(self) -> Threads:
        """Where blocking hooks run."""
        return self._threads

    async def handle(self, event: Event, encode: Encode) -> Reply:
        """The reply to an event; every event gets one.

        Raises:
            asyncio.CancelledError: The caller went away.
            BaseException: A hook raised what is no Exception.

        """
        admission, clock = self._admission, self.clock
        started = now = clock.monotonic()
        if self._before_first is not None:
            try:
                await self._before_first()
            except Exception as exc:
                outcome = self.denials.failed(event.kind, _brief(exc))
                trace = exc.__cause__ if isinstance(exc, RtbridgeError) else exc  # of the hook that failed
                self._warn("boot", "%s refused, for the boot failed: %s", event, outcome.why, trace)
                self._line(event, outcome, started, logging.INFO)
                return Reply(outcome, b"" if outcome.failure else encode(outcome, clock))
            self._before_first = None
            now = clock.monotonic()
        error: BaseException | None = None
        if admission.active < admission.limit:
            admission.active += 1
        else:
            try:
                await admission.wait(event.time_remaining())
            except Overloaded as exc:
                outcome = self.denials.failed(event.kind, str(exc))
                self._warn("overloaded", "%s turned away: %s; see rtbridge.limits.concurrency", event, str(exc))
                self._line(event, outcome, started, logging.INFO)
                return Reply(outcome, b"" if outcome.failure else encode(outcome, clock))
            now = clock.monotonic()
        before = EVENT.set(event)
        inside = None if self._scopes is None else self._enter(event)
        chain = self._chains[event.kind]
        deadline: Deadline | None = None
        limit: float | None = None
        try:
            try:
                work = chain.run(event)
                try:
                    waited = work.send(None)
                except StopIteration as stop:
                    answer = stop.value
                else:  # only what waits can be late
                    limit = self._limit(event, now)
                    if limit is not None:
                        deadline = self._deadlines.watch(max(0.0, limit - (clock.monotonic() - now)))
                    answer = await resumed(work, waited)
            except (Exception, asyncio.CancelledError) as exc:
                outcome, error = self._raised(event, exc, deadline, limit)
            else:
                if answer.__class__ is chain.result:
                    outcome = Outcome(result=answer, stream=event.call.stream)
                else:
                    outcome = self._unusual(event, answer)
            payload = b""
            if outcome.failure is None:
                try:
                    payload = encode(outcome, clock)
                except Exception as exc:
                    outcome, error = self.denials.failed(event.kind, f"the answer cannot be written: {exc}"), exc
                    self._report(event, outcome, exc)
                    payload = b"" if outcome.failure else encode(outcome, clock)
        except asyncio.CancelledError:
            self._line(event, _CANCELLED, started, logging.INFO)
            self._finish(event, _CANCELLED, None)
            raise
        except GeneratorExit:  # nobody runs it any more
            raise
        except BaseException as exc:  # as sys.exit raises; what the event holds is given back all the same
            outcome = Outcome(failure="internal", why=_brief(exc))
            self._line(event, outcome, started, logging.INFO)
            self._finish(event, outcome, None)
            raise
        finally:
            if deadline is not None:
                deadline.done()
            admission.leave()
            if inside is not None:
                inside.__exit__(None, None, None)
            EVENT.reset(before)
        if log.isEnabledFor(logging.INFO):
            self._line(event, outcome, started, logging.INFO)
        if outcome.stream is None and (
            self._after or error is not None or event.call.lease or event.call.stream or RESETTABLE
        ):
            self._finish(event, outcome, error)
        return Reply(outcome, payload)

    def _limit(self, event: Event, now: float) -> float | None:
        """Seconds that the hooks of an event may take from now on; None for no bound."""
        limit, until = self._hook_timeout, event.call.deadline
        if until is None:
            return limit
        remaining = until - now
        remaining = max(0.0, remaining - min(_MARGIN_MAX, remaining * _MARGIN_SHARE))
        return remaining if limit is None else min(limit, remaining)

    def _enter(self, event: Event) -> AbstractContextManager[object] | None:
        if self._scopes is None:
            return None
        call = event.call
        if call.scope is None:
            call.scope = self._scopes(event)
        inside: AbstractContextManager[object] = call.scope()
        inside.__enter__()
        return inside

    def _raised(
        self, event: Event, exc: BaseException, deadline: Deadline | None, limit: float | None
    ) -> tuple[Outcome, BaseException | None]:
        """What becomes of an event whose hooks raised something.

        Raises:
            asyncio.CancelledError: The caller went away.

        """
        kind = event.kind
        if isinstance(exc, _ANSWERS):
            return self._unusual(event, exc), None
        if isinstance(exc, asyncio.CancelledError):
            if deadline is None or limit is None or not deadline.caught():
                raise exc
            late = _TimedOut(f"no answer after {limit:.2f} s")
            outcome = self.denials.failed(kind, f"its hooks took longer than {limit:.2f} s")
            self._report(event, outcome, late)
            return outcome, late
        outcome = self.denials.failed(kind, _brief(exc))
        self._report(event, outcome, exc)
        return outcome, exc

    def _unusual(self, event: Event, answer: Any) -> Outcome:
        """What an answer means that is not the plain result of its event."""
        if answer is None:
            return self._deny(event)
        if isinstance(answer, _ANSWERS):
            outcome, lost = raised(METHODS.get(event.kind), answer)
            if lost:
                self._warn(f"lost {event.kind}", "%s: %s", event, lost)
            return outcome
        return Outcome(result=answer, stream=event.call.stream)

    def _deny(self, event: Event) -> Outcome:
        outcome = self.denials.silence(event.kind)
        if isinstance(event, InvalidEvent):
            # Neither what the caller wrote nor its size: both may be others with each call.
            why, key = str(event.error), event.method if event.method in _NAMES else "unknown"
        else:
            why = self._explain(event)
            key = why.partition(",")[0]
        self._warn(f"denied {event.kind} {key}", "%s denied: %s", event, why)
        return Outcome(
            result=outcome.result,
            disconnect=outcome.disconnect,
            error=outcome.error,
            failure=outcome.failure,
            denied_by_default=True,
            why=why,
        )

    def _explain(self, event: Event) -> str:
        second = int(self.clock.monotonic())
        if second != self._hinted[0]:
            self._hinted = second, 0
        self._hinted = second, self._hinted[1] + 1
        return explain(event, self._chains[event.kind], nearest=self._hinted[1] <= _HINTS)

    def _warn(self, key: str, text: str, event: Event, why: str, trace: BaseException | None = None) -> None:
        held = self._throttle.admit(key)
        if held is None:
            return
        more = f" ({held} more like it since the last time)" if held else ""
        log.warning(text, describe(event), why + more, exc_info=trace, extra={"event": fields(event)})

    def _report(self, event: Event, outcome: Outcome, error: BaseException) -> None:
        lease = event.call.lease
        if isinstance(error, _TimedOut) and lease is not None and lease.busy:
            log.error(
                "%s: %s; its thread stays busy until the hook returns, it is here:\n%s",
                describe(event),
                outcome.why,
                lease.stack(),
                extra={"event": fields(event)},
            )
            return
        trace = None if isinstance(error, _TimedOut | WrongAnswer) else error
        log.error("%s: %s", describe(event), outcome.why, exc_info=trace, extra={"event": fields(event)})

    def _line(self, event: Event, outcome: Outcome, started: float, level: int) -> None:
        if not log.isEnabledFor(level):
            return
        took = (self.clock.monotonic() - started) * 1000
        told = fields(event) | {"outcome": outcome.label, "ms": round(took, 3), "via": event.call.via}
        log.log(level, "%s → %s in %.1f ms", describe(event), outcome.label, took, extra={"event": told})

    def _finish(self, event: Event, outcome: Outcome, error: BaseException | None) -> None:
        task = asyncio.get_running_loop().create_task(self._finished(event, outcome, error))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finished(self, event: Event, outcome: Outcome, error: BaseException | None) -> None:
        call = event.call
        EVENT.set(event)  # in a task of its own, so it has not to be restored
        inside = self._enter(event)
        try:
            if error is not None:
                await self._run_all(self._on_error, event, error)
            await self._run_all(self._after, event, outcome)
            if call.stream is not None and outcome.stream is None:
                await call.stream.aclose()  # its first message could not be written
        finally:
            if call.lease is not None:
                lease, call.lease = call.lease, None
                lease.release()
            try:
                if RESETTABLE and not await reset_all() and self.on_reset_failed is not None:
                    self.on_reset_failed()
            finally:
                if inside is not None:
                    inside.__exit__(None, None, None)
                    call.scope = None

    async def _run_all(self, steps: tuple[Step, ...], event: Event, given: object) -> None:
        call = event.call
        for step in steps:
            try:
                if step.mode is Mode.BLOCKING:
                    if call.lease is None:
                        call.lease = await self._threads.lease()
                    await call.lease.run(partial(step.run, event, given))
                else:
                    result = step.run(event, given)
                    if hasattr(result, "__await__"):
                        await result
            except Exception:
                hooks_log.exception("%s failed for %s", step.name, describe(event), extra={"event": fields(event)})

    async def run_step(self, step: Step) -> None:
        """Run a life-cycle hook that belongs to no event, on a thread where it blocks."""
        if step.mode is Mode.BLOCKING:
            lease = await self._threads.lease()
            try:
                await lease.run(step.run)
            finally:
                lease.release()
            return
        result = step.run()
        if hasattr(result, "__await__"):
            await result

    def abandoned(self, event: Event) -> None:
        """Clean up after a stream whose caller left before :meth:`items` was asked for anything."""
        self._finish(event, _CANCELLED, None)

    async def items(self, event: Event, outcome: Outcome, encode: Callable[[Any], T]) -> AsyncGenerator[T, None]:
        """What a stream yields after its first message, each item as ``encode`` gives it back.

        Raises:
            StreamFailed: A hook raised what is no answer, yielded something else than a publication that can be
                written, or rtbridge stops.

        """
        item_type = METHODS[event.kind].item
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        error: Exception | None = None
        started = self.clock.monotonic()
        ended = "ok"
        try:
            while (item := await self._next(event, outcome.stream, task)) is not _END:
                if item_type is None or not isinstance(item, item_type):
                    name = item_type.__name__ if item_type else "nothing"
                    raise WrongAnswer(f"the stream of {describe(event)} yielded {type(item).__name__}, not {name}")
                yield encode(item)
        except (Disconnect, ClientError) as exc:
            ended = f"{'disconnect' if isinstance(exc, Disconnect) else 'error'} {exc.code}"
        except asyncio.CancelledError:
            ended = "cancelled"
            if self._draining and task.uncancel() <= 0:
                raise StreamFailed("rtbridge stops") from None
            raise
        except Exception as exc:
            error, ended = exc, "failure internal"
            self._report(event, Outcome(failure="internal", why=_brief(exc)), exc)
            raise StreamFailed("a hook of the stream failed") from exc
        finally:
            self._streams.discard(task)
            before, inside = EVENT.set(event), self._enter(event)
            try:
                await outcome.stream.aclose()
            finally:
                if inside is not None:
                    inside.__exit__(None, None, None)
                EVENT.reset(before)
            took = self.clock.monotonic() - started
            log.info("%s stream ended after %.1f s: %s", describe(event), took, ended, extra={"event": fields(event)})
            self._finish(event, outcome, error)

    async def _next(self, event: Event, stream: AsyncGenerator[Any, None], task: asyncio.Task[Any]) -> Any:
        # A task is cancelled in here only: where a transport is sending, a cancelled call ends without a status, and
        # neither the caller nor the transport's own drain hears of it.
        if self._draining:
            raise asyncio.CancelledError
        self._waiting.add(task)
        before, inside = EVENT.set(event), self._enter(event)  # whoever asks may answer other events in between
        try:
            return await anext(stream, _END)
        finally:
            if inside is not None:
                inside.__exit__(None, None, None)
            EVENT.reset(before)
            self._waiting.discard(task)

    def end_streams(self) -> None:
        """End every subscription stream with an error, so that SDKs subscribe again somewhere else."""
        self._draining = True
        while self._waiting:
            self._waiting.pop().cancel()

    async def drain(self) -> None:
        """Wait until every event is answered and its after-event hooks have run; streams end at once."""
        self.end_streams()
        while self._admission.active or self._admission.waiting or self._streams or self._tasks:
            pending = [*self._tasks, *self._streams]
            if pending:
                await asyncio.wait(pending, timeout=0.05)
            else:
                await asyncio.sleep(0.005)

    def close(self) -> None:
        """Let the threads of blocking hooks end."""
        self._threads.close()


class _TimedOut(Exception):
    """The hooks of an event took too long."""


def _brief(error: BaseException) -> str:
    if isinstance(error, RtbridgeError):
        return f"{type(error).__name__}: {error}"
    # The text of a foreign exception may repeat a payload; it goes into the traceback of the log and nowhere else.
    return f"a hook raised {type(error).__name__}"
