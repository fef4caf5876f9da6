"""Watches what has to be over in time, at a price that every event can pay.

A timer of the event loop for each event costs several microseconds, most of it in the heap of timers. Here events that
end within the same tick share one.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Any, Final

#: Ticks per second.
_RATE: Final = 50

#: Seconds below which a timer of one's own is worth its price.
_PRECISE: Final = 0.2


class Timed(ABC):
    """Something whose time may run out. It starts with neither members nor timer."""

    __slots__ = ("_members", "_timer")

    _members: "set[Timed] | None"
    _timer: asyncio.TimerHandle | None

    @abstractmethod
    def expire(self) -> None:
        """Its time is up."""

    def done(self) -> None:
        """It needs no watching any more."""
        members = self._members
        if members is not None:
            members.discard(self)
            if not members:
                members.clear()  # an emptied set keeps its room, here until a time that may be far away
        elif self._timer is not None:
            self._timer.cancel()


class Deadline(Timed):
    """The time of one task; ``expired`` tells its cancellation from that of a caller who went away."""

    __slots__ = ("_task", "expired")

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._members = self._timer = None
        self.expired = False
        self._task = task

    def expire(self) -> None:
        """Cancel the task."""
        self.expired = True
        self._task.cancel()

    def caught(self) -> bool:
        """Whether the task's cancellation was this deadline and nothing else; it is not cancelled any more then."""
        return self.expired and self._task.uncancel() <= 0


class Deadlines:
    """The deadlines of one event loop at a time. What is watched may expire up to 20 ms early, never late."""

    __slots__ = ("_loop", "_ticks")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticks: dict[int, set[Timed]] = {}

    def watch(self, seconds: float) -> Deadline:
        """Cancel the current task after ``seconds`` unless :meth:`Timed.done` is called before."""
        # Finding the running loop is a system call in Python 3.11, so it is done once.
        loop = self._loop
        task = None if loop is None else asyncio.current_task(loop)
        if task is None:
            loop = self._loop = asyncio.get_running_loop()
            self._ticks = {}  # the timers of another loop do not run on this one
            task = asyncio.current_task(loop)
            assert task is not None
        deadline = Deadline(task)
        if seconds >= _PRECISE and loop is not None:  # as in add, without another frame: every event comes by here
            members = self._ticks.get(int((loop.time() + seconds) * _RATE))
            if members is not None:
                deadline._members = members
                members.add(deadline)
                return deadline
        self.add(deadline, seconds)
        return deadline

    def add(self, timed: Timed, seconds: float) -> None:
        """Let it expire after ``seconds`` unless :meth:`Timed.done` is called before; always from one loop."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        if seconds < _PRECISE:
            timed._timer = loop.call_later(seconds, timed.expire)
            return
        tick = int((loop.time() + seconds) * _RATE)
        members = self._ticks.get(tick)
        if members is None:
            members = self._ticks[tick] = set()
            loop.call_at(tick / _RATE, self._expire, self._ticks, tick)
        timed._members = members
        members.add(timed)

    @staticmethod
    def _expire(ticks: dict[int, set[Timed]], tick: int) -> None:
        for timed in list(ticks.pop(tick)):
            timed.expire()
