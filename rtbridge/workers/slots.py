"""The places of the workers of a pool, when the next one is tried in a place, and who gets those that are ready."""

import asyncio
import os
from collections.abc import Callable
from typing import Final, Protocol

from rtbridge.config import Pool
from rtbridge.deadlines import Deadlines
from rtbridge.workers.frames import Mode
from rtbridge.workers.process import LABELS, Worker

#: Seconds before another try: none after the first failure, then this, doubled each time up to the bound.
_BACKOFF: Final = 0.1
_BACKOFF_MAX: Final = 5.0


class NotStarted(Exception):
    """A worker did not become ready.

    Args:
        why: The reason, for people.
        final: Whether the worker itself said so: its plugins do not load or boot.

    """

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class Slot:
    """The place of one worker.

    Args:
        number: Which of the workers it is, from 1 on.
        mode: What they do.
        extra: Whether it is one beside those that the settings ask for.

    """

    def __init__(self, number: int, mode: Mode, *, extra: bool = False) -> None:
        self.number = number
        #: Its name among the reasons for not being ready, and in the log.
        self.who = f"{LABELS[mode]} {number}"
        self.extra = extra
        self.worker: Worker | None = None
        self.failures = 0
        self.lock = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None
        self.booted = False
        self.closed = False


class Rotation(Protocol):
    """The workers that take calls or requests, and what becomes of those that none takes.

    Attributes:
        deadlines: Of the calls that workers hold.
        crowded: Called when a call has to wait although workers are there.

    """

    deadlines: Deadlines
    crowded: Callable[[], None]

    @property
    def waiting(self) -> int:
        """Calls that wait for a worker."""
        ...

    def join(self, worker: Worker) -> None:
        """This one takes some, too."""
        ...

    def leave(self, worker: Worker) -> None:
        """This one takes no new ones."""
        ...

    def freed(self) -> None:
        """Some worker has one call less."""
        ...

    def give_up(self, why: str) -> None:
        """No worker is to be expected soon, so who waits need not; "" takes it back."""
        ...


def pause(failures: int) -> float:
    """Seconds before another try."""
    return min(_BACKOFF * 2 ** min(failures - 2, 16), _BACKOFF_MAX) if failures > 1 else 0.0


def workers_of(settings: Pool) -> int:
    """How many workers the settings ask for."""
    if settings.num_workers:
        return settings.num_workers
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1
