"""Watches what has to be over in time, at a price that every event can pay.

A timer of the event loop for each event costs several microseconds, most of it in the heap of timers. Here one timer
looks at all that is under way, and only when the first of it may be late.
"""

import asyncio
from typing import Any, Final

import msgspec

#: Seconds between two looks.
_TICK: Final = 0.02

#: Seconds below which a timer of one's own is worth its price.
_PRECISE: Final = 0.2


class Timed(msgspec.Struct, eq=False, kw_only=True):
    """Something whose time may run out.

    Attributes:
        until: When, on the loop's clock.
        among: What is watched with it; None where it has a timer of its own, or is not watched.
        timer: That timer.

    """

    until: float = 0.0
    among: "set[Timed] | None" = None
    timer: asyncio.TimerHandle | None = None

    def expire(self) -> None:
        """Its time is up."""
        raise NotImplementedError

    def done(self) -> None:
        """It needs no watching any more."""
        if self.among is not None:
            self.among.discard(self)
        elif self.timer is not None:
            self.timer.cancel()


class Deadline(Timed, eq=False):
    """The time of one task; ``expired`` tells its cancellation from that of a caller who went away."""

    task: "asyncio.Task[Any]"
    expired: bool = False

    def expire(self) -> None:
        """Cancel the task."""
        self.expired = True
        self.task.cancel()

    def caught(self) -> bool:
        """Whether the task's cancellation was this deadline and nothing else; it is not cancelled any more then."""
        return self.expired and self.task.uncancel() <= 0


class Deadlines:
    """The deadlines of one event loop at a time. What is watched may expire up to 20 ms early, never late."""

    __slots__ = ("_first", "_looking", "_loop", "_watched")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched: set[Timed] = set()
        self._first = 0.0  # when the first of them may be late
        self._looking = False

    def watch(self, seconds: float) -> Deadline:
        """Cancel the current task after ``seconds`` unless :meth:`Timed.done` is called before."""
        # Finding the running loop is a system call in Python 3.11, so it is done once.
        loop = self._loop
        task = None if loop is None else asyncio.current_task(loop)
        if task is None:
            loop = self._loop = asyncio.get_running_loop()
            self._watched, self._looking = set(), False  # the timers of another loop do not run on this one
            task = asyncio.current_task(loop)
            assert task is not None
        deadline = Deadline(task)
        if seconds < _PRECISE or loop is None or not self._looking:
            self.add(deadline, seconds)
            return deadline
        # As in add, without another frame: every event comes by here.
        deadline.until = until = loop.time() + seconds
        deadline.among = watched = self._watched
        watched.add(deadline)
        if until < self._first:
            self._first = until
        return deadline

    def add(self, timed: Timed, seconds: float) -> None:
        """Let it expire after ``seconds`` unless :meth:`Timed.done` is called before; always from one loop."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        if seconds < _PRECISE:
            timed.timer = loop.call_later(seconds, timed.expire)
            return
        timed.until = until = loop.time() + seconds
        timed.among = self._watched
        self._watched.add(timed)
        if not self._looking:
            self._looking, self._first = True, until
            loop.call_later(_TICK, self._look, self._watched)
        elif until < self._first:
            self._first = until

    def _look(self, watched: set[Timed]) -> None:
        loop = self._loop
        if watched is not self._watched or loop is None:
            return  # of a loop that is gone
        if not watched:
            self._looking = False
            watched.clear()  # an emptied set keeps its room
            return
        soon = loop.time() + _TICK
        if self._first <= soon:
            for timed in [timed for timed in watched if timed.until <= soon]:
                watched.discard(timed)
                timed.expire()
            self._first = min([timed.until for timed in watched], default=0.0)
        loop.call_later(_TICK, self._look, watched)
