"""What a worker uses, what an operator sees of it, and when it has had its time."""

import time
from typing import Final

import msgspec
import psutil

from rtbridge.config import Supervisor as Limits
from rtbridge.workers.frames import Mode
from rtbridge.workers.process import State, Worker

_MEGABYTE: Final = 1024**2

#: Whether the system tells a process that sleeps from one that waits for a CPU. On macOS psutil says that all run.
_TELLS: Final = psutil.LINUX


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One worker, for people.

    Attributes:
        mode: What it does: centrifuge or http.
        number: Which one, from 1 on; a worker that is being replaced and its successor have the same.
        pid: Its process.
        state: starting, ready, blocked (its loop does not turn), retiring (no new calls).
        jobs: Calls that it was given.
        held: Calls that it holds.
        streams: Subscription streams that it feeds.
        memory: Resident bytes; 0 where unknown.
        cpu: Seconds of CPU that it has used.
        age: Seconds since it was started.

    """

    mode: Mode
    number: int
    pid: int
    state: State
    jobs: int
    held: int
    streams: int
    memory: int
    cpu: float
    age: float


class Usage:
    """Asks the system about workers."""

    def __init__(self) -> None:
        self._probes: dict[int, psutil.Process] = {}
        self._seen: dict[int, float] = {}

    def of(self, worker: Worker) -> tuple[int, float]:
        """Resident bytes and seconds of CPU; zeros where the system does not say."""
        if not worker.pid:
            return 0, 0.0
        try:
            probe = self._probes.get(worker.pid)
            if probe is None:
                probe = self._probes[worker.pid] = psutil.Process(worker.pid)
            with probe.oneshot():
                times = probe.cpu_times()
                return probe.memory_info().rss, times.user + times.system
        except psutil.Error:
            return 0, 0.0

    def starved(self, worker: Worker) -> bool:
        """Whether it wants to run, and was not let since the last time that this was asked.

        A machine with too much to do may leave a process waiting for its CPU for seconds. Whoever blocks an event loop
        sleeps, or computes.
        """
        used = self.of(worker)[1]
        before, self._seen[worker.pid] = self._seen.get(worker.pid), used
        probe = self._probes.get(worker.pid)
        if not _TELLS or probe is None or before is None or used > before:
            return False
        try:
            return bool(probe.status() == psutil.STATUS_RUNNING)
        except psutil.Error:
            return False

    def forget(self, worker: Worker) -> None:
        """The worker is gone; its number may come again."""
        self._probes.pop(worker.pid, None)
        self._seen.pop(worker.pid, None)

    def info(self, worker: Worker) -> WorkerInfo:
        """The worker, for people."""
        memory, cpu = self.of(worker)
        return WorkerInfo(
            mode=worker.mode,
            number=worker.number,
            pid=worker.pid,
            state=worker.state,
            jobs=worker.jobs,
            held=worker.load if worker.mode == "http" else len(worker.held),
            streams=worker.streams,
            memory=memory,
            cpu=round(cpu, 2),
            age=round(time.monotonic() - worker.since, 1),
        )

    def worn(self, worker: Worker, limits: Limits) -> str:
        """Why the worker should be replaced, in words; "" where it should not."""
        now = time.monotonic()
        if limits.ttl and now - worker.since >= limits.ttl:
            return f"ttl ({limits.ttl:g} s) is over"
        # One that never had a call is as good as new.
        if limits.idle_ttl and not worker.load and now - (worker.last_call or now) >= limits.idle_ttl:
            return f"idle_ttl ({limits.idle_ttl:g} s) is over"
        if limits.max_worker_memory:
            megabytes = self.of(worker)[0] / _MEGABYTE
            if megabytes >= limits.max_worker_memory:
                return f"it has {megabytes:.0f} MB; max_worker_memory is {limits.max_worker_memory} MB"
        return ""
