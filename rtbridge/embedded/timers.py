"""Timers on the one clock: a heap that the event loop pumps, or a test by hand."""

import heapq
import logging
from collections.abc import Callable
from itertools import count

from rtbridge.clock import Clock

log = logging.getLogger("rtbridge.embedded")


class Timer:
    """One call in the future."""

    __slots__ = ("at", "run")

    def __init__(self, at: float, run: Callable[[], None]) -> None:
        self.at = at
        self.run: Callable[[], None] | None = run

    def cancel(self) -> None:
        """Do not run; later calls change nothing."""
        self.run = None


class Timers:
    """Runs functions at times of a clock.

    Args:
        clock: Its ``monotonic`` decides what is due.

    Attributes:
        armed: Called with the time of the earliest timer whenever that changed, so that whoever pumps can wake up then.

    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._cancelled = 0
        self.armed: Callable[[float], None] | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def after(self, seconds: float, run: Callable[[], None]) -> Timer:
        """Run once, ``seconds`` from now."""
        timer = Timer(self._clock.monotonic() + seconds, run)
        first = not self._heap or timer.at < self._heap[0][0]
        heapq.heappush(self._heap, (timer.at, next(self._order), timer))
        if first and self.armed is not None:
            self.armed(timer.at)
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Forget a timer; None and one that has run are fine."""
        if timer is None or timer.run is None:
            return
        timer.cancel()
        # Cancelled timers stay in the heap until they are due: swept when they are the larger part of it, so that
        # clients that come and go quickly do not fill it.
        self._cancelled += 1
        if self._cancelled > 64 and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].run is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def next(self) -> float | None:
        """When the earliest timer is due, on the clock's ``monotonic``; None without one."""
        while self._heap and self._heap[0][2].run is None:
            heapq.heappop(self._heap)
            self._cancelled = max(0, self._cancelled - 1)
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> None:
        """Run what is due now; what that adds for now runs, too, in the next call."""
        now = self._clock.monotonic()
        due: list[Timer] = []
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            if timer.run is None:
                self._cancelled = max(0, self._cancelled - 1)
            else:
                due.append(timer)
        for timer in due:
            run, timer.run = timer.run, None
            if run is None:
                continue  # cancelled by one that ran before it
            try:
                run()
            except Exception:
                log.exception("a timer failed")
