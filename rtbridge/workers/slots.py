"""The places of the workers of a pool, and when the next one is tried in a place."""

import asyncio
import os
from typing import Final

from rtbridge.config import Pool
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
