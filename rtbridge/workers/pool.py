"""Hands calls to workers, least loaded first, and answers itself where no worker does."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final

from rtbridge.bridge import Reply
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.codec import JSON, PROTO
from rtbridge.deadlines import Deadlines
from rtbridge.denial import Denials, Throttle
from rtbridge.errors import InvalidMessage
from rtbridge.events import Call, Event, Outcome
from rtbridge.handler import Open, Opened, Refused, Submit, Unary, Wire, in_a_task
from rtbridge.workers.frames import MAX_PAYLOAD, ROUTE, Answer
from rtbridge.workers.held import Deliver, Held
from rtbridge.workers.process import Worker
from rtbridge.workers.requests import publication_of, request_of

log = logging.getLogger("rtbridge.workers")

#: Share of the caller's time that a call may wait for a worker: for a busy one to come free, and for a first one to
#: start, where there is nothing better to do.
_WAIT_BUSY: Final = 0.5
_WAIT_STARTING: Final = 0.9

#: Seconds to wait for a busy worker where the caller names no deadline.
_WAIT_DEFAULT: Final = 0.5

_NO_DIGITS: Final = str.maketrans("", "", "0123456789,.")

#: What a transport needs to know of an answer that is one.
_ANSWERED: Final = Outcome()


class Unavailable(Exception):
    """No worker takes the call; the text says why."""


class Pool:
    """A :class:`rtbridge.handler.Handler` whose hooks run in workers.

    Args:
        denials: What a call is answered that no worker answers.
        concurrency: Calls that all workers hold at most.
        worker_concurrency: Calls that one worker holds at most.
        max_queue_size: Calls that may wait; 0 for no bound.
        allocate_timeout: Seconds that a call may wait, beside its own deadline; 0 for no bound.
        clock: Measures deadlines.

    Attributes:
        deadlines: Of the calls that workers hold.
        hopeless: Why no worker is to be expected soon; "" while one is.
        crowded: Called when a call has to wait although workers are there.

    """

    def __init__(
        self,
        denials: Denials,
        *,
        concurrency: int,
        worker_concurrency: int,
        max_queue_size: int,
        allocate_timeout: float,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.clock = clock
        self.deadlines = Deadlines()
        self.hopeless = ""
        self.crowded: Callable[[], None] = lambda: None
        self._denials = denials
        self.configure(
            concurrency=concurrency,
            worker_concurrency=worker_concurrency,
            max_queue_size=max_queue_size,
            allocate_timeout=allocate_timeout,
        )
        self._rotation: list[Worker] = []
        self._line: deque[asyncio.Future[Worker]] = deque()
        self._active = 0
        self._turn = 0
        self._throttle = Throttle(clock)

    def configure(
        self, *, concurrency: int, worker_concurrency: int, max_queue_size: int, allocate_timeout: float
    ) -> None:
        """Change the bounds; calls that wait already keep theirs."""
        self._concurrency = concurrency
        self._each = worker_concurrency
        self._max_queue = max_queue_size
        self._allocate = allocate_timeout or None

    # Workers.

    @property
    def waiting(self) -> int:
        """Calls that wait for a worker."""
        return len(self._line)

    @property
    def active(self) -> int:
        """Calls that workers hold, and those promised to them."""
        return self._active

    def join(self, worker: Worker) -> None:
        """Give calls to this one, too."""
        if worker not in self._rotation:
            self._rotation.append(worker)
        self._serve_line()

    def leave(self, worker: Worker) -> None:
        """Give no new calls to this one."""
        if worker in self._rotation:
            self._rotation.remove(worker)

    def freed(self) -> None:
        """Some worker has one call less."""
        self._active -= 1
        if self._line:
            self._serve_line()

    def give_up(self, why: str) -> None:
        """No worker is to be expected soon, so who waits need not; "" takes it back."""
        self.hopeless = why
        if why and not self._rotation:
            while self._line:
                future = self._line.popleft()
                if not future.done():
                    future.set_exception(Unavailable(why))

    # Choosing.

    def _take(self) -> Worker | None:
        """The least loaded worker, with one more call promised to it."""
        best = None
        rotation = self._rotation
        count = len(rotation)
        for index in range(self._turn, self._turn + count):  # equals take turns
            worker = rotation[index % count]
            if best is None or worker.load < best.load:
                best = worker
        self._turn = (self._turn + 1) % count if count else 0
        if best is None or best.load >= self._each or self._active >= self._concurrency:
            return None
        best.load += 1
        self._active += 1
        return best

    def _serve_line(self) -> None:
        while self._line:
            worker = self._take()
            if worker is None:
                return
            future = self._line.popleft()
            while future.done() and self._line:
                future = self._line.popleft()
            if future.done():
                self._return(worker)
            else:
                future.set_result(worker)

    def _return(self, worker: Worker) -> None:
        worker.load -= 1
        self._active -= 1

    async def _wait(self, call: Call) -> Worker:
        """A worker, with one more call promised to it.

        Raises:
            Unavailable: There is none, and none in time.

        """
        if not self._rotation and self.hopeless:
            raise Unavailable(f"no worker runs: {self.hopeless}")
        if self._max_queue and len(self._line) >= self._max_queue:
            raise Unavailable(f"{len(self._line)} calls wait for a worker already; see centrifuge.pool.max_queue_size")
        busy = bool(self._rotation)
        limit = self._patience(busy, call.time_remaining())
        future: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._line.append(future)
        if busy:
            self.crowded()
        try:
            async with asyncio.timeout(limit):
                worker = await future
        except BaseException as exc:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._return(future.result())
                self._serve_line()
            elif future in self._line:
                self._line.remove(future)
            if isinstance(exc, TimeoutError):
                why = "every worker is busy" if busy else "no worker is ready yet"
                raise Unavailable(f"{why}, after {limit:.2f} s") from exc
            raise
        if worker.state == "ended":  # between the promise and now
            self._return(worker)
            return await self._wait(call)
        return worker

    def _patience(self, busy: bool, remaining: float | None) -> float | None:
        """Seconds that a call may wait for a worker; None for as long as it takes."""
        own = _WAIT_DEFAULT if busy else None
        if remaining is not None:
            own = remaining * (_WAIT_BUSY if busy else _WAIT_STARTING)
        return min((each for each in (own, self._allocate) if each is not None), default=None)

    # Calls.

    def unary(self, kind: str, wire: Wire) -> Unary:
        """See :meth:`rtbridge.handler.Handler.unary`."""

        route = ROUTE[kind, wire]

        async def answer(body: bytes, call: Call) -> Reply:
            return await self._travel(kind, wire, call, lambda worker, deliver: worker.ask(route, body, call, deliver))

        return answer

    def submit(self, kind: str, wire: Wire) -> Submit:
        """See :meth:`rtbridge.handler.Handler.submit`; neither a task nor a future, where a worker is free."""

        route = ROUTE[kind, wire]
        wait = in_a_task(self.unary(kind, wire))

        def submit(body: bytes, call: Call, deliver: Callable[[Reply], None]) -> Callable[[], object]:
            worker = self._take()
            if worker is None:
                return wait(body, call, deliver)

            def answered(given: Answer | str) -> None:
                if isinstance(given, Answer) and not given.failure:
                    deliver(Reply(_ANSWERED, given.payload))
                else:
                    deliver(self._reply(kind, wire, given))

            try:
                held = worker.ask(route, body, call, answered)
            except BaseException as exc:
                deliver(self._reply(kind, wire, self._unsent(worker, exc)))
                return _nothing
            return partial(worker.cancel, held)

        return submit

    def stream(self, kind: str) -> Open:
        """See :meth:`rtbridge.handler.Handler.stream`."""

        route = ROUTE[kind, "proto"]

        async def start(body: bytes, call: Call, incoming: AsyncIterator[bytes] | None) -> Opened:
            given, held = await self._ask(
                call, lambda worker, deliver: worker.open(route, body, call, incoming, deliver)
            )
            more = held is not None and isinstance(given, Answer) and given.stream
            return Opened(self._reply(kind, "proto", given), held.stream if held is not None and more else None)

        return start

    async def refuse(self, refused: Refused, call: Call) -> Reply:
        """See :meth:`rtbridge.handler.Handler.refuse`."""
        if len(refused.raw) > MAX_PAYLOAD:
            refused = refused._replace(raw=b"")
        kind, wire = refused.kind or "invalid", refused.wire or "proto"
        return await self._travel(kind, wire, call, lambda worker, deliver: worker.refuse(refused, call, deliver))

    async def event(self, event: Event) -> Reply:
        """See :meth:`rtbridge.handler.Handler.event`."""
        return await self.unary(event.kind, "proto")(request_of(event), event.call)

    async def event_stream(self, event: Event) -> Opened:
        """See :meth:`rtbridge.handler.Handler.event_stream`."""
        incoming = event.call.incoming
        later = None if incoming is None else _written(incoming)
        return await self.stream(event.kind)(request_of(event), event.call, later)

    async def _travel(self, kind: str, wire: Wire, call: Call, send: Callable[[Worker, Deliver], Held]) -> Reply:
        given, _ = await self._ask(call, send)
        return self._reply(kind, wire, given)

    async def _ask(self, call: Call, send: Callable[[Worker, Deliver], Held]) -> tuple[Answer | str, Held | None]:
        """What a worker answers, or why none does in words; and what it was asked with, where it was."""
        try:
            worker = self._take() or await self._wait(call)
        except Unavailable as exc:
            return str(exc), None
        future: asyncio.Future[Answer | str] = asyncio.get_running_loop().create_future()

        def settle(given: Answer | str) -> None:
            if not future.done():
                future.set_result(given)

        try:
            held = send(worker, settle)
        except BaseException as exc:
            return self._unsent(worker, exc), None
        try:
            return await future, held
        except asyncio.CancelledError:
            worker.cancel(held)
            raise

    def _unsent(self, worker: Worker, exc: BaseException) -> str:
        """Why a call was not sent to the worker that it was promised; anything but that goes on as it was raised."""
        self._return(worker)
        if isinstance(exc, InvalidMessage):
            return str(exc)
        raise exc

    def _reply(self, kind: str, wire: Wire, given: Answer | str) -> Reply:
        if isinstance(given, str):
            return self._failed(kind, wire, given)
        if given.failure == "lost":
            return self._failed(kind, wire, given.why)
        if given.failure:
            return Reply(Outcome(failure=given.failure, why=given.why), b"")  # type: ignore[arg-type]
        return Reply(_ANSWERED, given.payload)

    def _failed(self, kind: str, wire: Wire, why: str) -> Reply:
        outcome = self._denials.failed(kind, why)
        # Sizes, times and processes differ from call to call, and are no reason to say the same again.
        if (held := self._throttle.admit(f"{kind} {why.translate(_NO_DIGITS)[:30]}")) is not None:
            more = f" ({held} more like it since the last time)" if held else ""
            log.warning("%s → %s: %s%s", kind, outcome.label, why, more)
        if outcome.failure is not None:
            return Reply(outcome, b"")
        codec = (PROTO if wire == "proto" else JSON)[kind]
        return Reply(outcome, codec.encode(outcome, self.clock))


def _nothing() -> None:
    return None


async def _written(incoming: AsyncIterator[object]) -> AsyncIterator[bytes]:
    async for publication in incoming:
        yield publication_of(publication)  # type: ignore[arg-type]
