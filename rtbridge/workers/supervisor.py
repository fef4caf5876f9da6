"""Keeps as many workers as were asked for: starts, watches, replaces and swaps them."""

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from rtbridge.clock import SYSTEM_CLOCK
from rtbridge.config import DynamicAllocator
from rtbridge.config import Pool as Settings
from rtbridge.config import Supervisor as Limits
from rtbridge.denial import Throttle
from rtbridge.errors import PluginError
from rtbridge.readiness import Readiness
from rtbridge.workers.frames import ApiCall, Mode, Start, StoreCall
from rtbridge.workers.process import LABELS, Watcher, Worker
from rtbridge.workers.slots import NotStarted, Rotation, Slot, pause, workers_of
from rtbridge.workers.usage import Usage, WorkerInfo

log = logging.getLogger("rtbridge.workers")

#: Seconds after which a worker that is ready counts as having come up well.
_WELL: Final = 3.0

#: Failures in a row after which there is a crash loop.
_LOOP: Final = 3

#: Seconds between two pings, and for which a worker may owe an answer.
_PING: Final = 1.0
_SILENT: Final = 10.0


class Supervisor:
    """The workers of one pool.

    Args:
        pool: The workers that are ready.
        readiness: Is told when not all is well.
        settings: The section ``centrifuge.pool`` or ``http.pool``.
        mode: What the workers do.
        drain_timeout: Seconds that a worker gets to end the calls that it holds.
        start: Makes the first frame for a worker, by its number.
        environment: Of the workers.
        api: Answers calls of the server API.
        store: Does operations on stores of this process.
        counted: Is given what workers count.

    """

    def __init__(
        self,
        pool: Rotation,
        readiness: Readiness,
        settings: Settings,
        *,
        mode: Mode = "centrifuge",
        drain_timeout: float,
        start: Callable[[int], Start],
        environment: Mapping[str, str],
        api: Callable[[Worker, ApiCall], None],
        store: Callable[[Worker, StoreCall], None],
        counted: Callable[[list[Any]], None] = lambda _: None,
    ) -> None:
        self._pool = pool
        self._mode: Mode = mode
        self._label = LABELS[mode]
        self._readiness = readiness
        self.configure(settings, drain_timeout=drain_timeout, start=start, environment=environment)
        self._slots: list[Slot] = []
        self._workers: set[Worker] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._serving = False
        self._lazy = False
        self._growing: asyncio.TimerHandle | None = None
        self._crowded_at: float = 0.0
        self._usage = Usage()
        self._throttle = Throttle(SYSTEM_CLOCK)
        self.first: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._watcher = Watcher()
        self._watcher.freed = self._freed
        self._watcher.state = self._state
        self._watcher.retire = self._replace
        self._watcher.hung = self._hung
        self._watcher.ended = self._ended
        self._watcher.api = api
        self._watcher.store = store
        self._watcher.counted = counted
        pool.crowded = self._crowded

    def configure(
        self,
        settings: Settings,
        *,
        drain_timeout: float,
        start: Callable[[int], Start],
        environment: Mapping[str, str],
    ) -> None:
        """What workers that are started from now on are to be."""
        self._settings = settings
        self._limits = settings.supervisor or Limits()
        self._supervised = settings.supervisor is not None
        self._max_jobs = settings.max_jobs or sys.maxsize
        self._drain_timeout = drain_timeout
        self._start = start
        self._environment = environment

    # Start.

    def begin(self, *, lazy: bool) -> None:
        """Start all workers; :attr:`first` has the first one that is ready, or why the start is given up.

        Args:
            lazy: Go on where workers fail, with pauses, rather than give the start up.

        """
        self._lazy = lazy
        for number in range(1, workers_of(self._settings) + 1):
            self._add(Slot(number, self._mode))
        self._tell_booting()
        self._keep(self._pinging())
        self._keep(self._watching())

    def _add(self, slot: Slot) -> None:
        self._slots.append(slot)
        slot.task = self._keep(self._fill(slot))

    def serving(self) -> None:
        """Everything listens: ``on_ready`` hooks may run, in these workers and in later ones."""
        self._serving = True
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.serving()

    async def _spawn(self, slot: Slot) -> Worker:
        """A worker that is ready.

        Raises:
            NotStarted: It is not.

        """
        worker = Worker(slot.number, self._watcher, self._pool.deadlines, self._limits.exec_ttl, self._mode)
        self._workers.add(worker)
        try:
            await worker.start(self._start(slot.number), self._environment)
        except BaseException as exc:
            self._workers.discard(worker)
            if isinstance(exc, OSError):
                raise NotStarted(f"it cannot be started: {exc.strerror}") from exc
            raise
        timeout = self._settings.allocate_timeout
        try:
            async with asyncio.timeout(timeout or None):
                ready = await asyncio.shield(worker.started)
        except TimeoutError:
            worker.kill(f"it was not ready within allocate_timeout ({timeout:g} s)")
            ready = await worker.started
        except asyncio.CancelledError:
            worker.kill("rtbridge stops")
            raise
        if not ready:
            raise NotStarted(worker.why, final=bool(worker.failed))
        return worker

    async def _fill(self, slot: Slot) -> None:
        """Give the slot a worker that takes calls, and try until it has one."""
        while not (self._stopping or slot.closed):
            await asyncio.sleep(pause(slot.failures))
            async with slot.lock:
                if slot.worker is not None and slot.worker.state == "ready" and not slot.worker.wanted:
                    break  # a reload came first
                try:
                    worker = await self._spawn(slot)
                except NotStarted as exc:
                    self._failure(slot, str(exc), final=exc.final)
                else:
                    self._install(slot, worker)
                    break
        slot.task = None

    def _install(self, slot: Slot, worker: Worker) -> None:
        """Have a worker that is ready take the place of the one before."""
        before, slot.worker = slot.worker, worker
        slot.booted = True
        if worker.state == "ready":
            self._pool.join(worker)
        if self._serving:
            worker.serving()
        if before is not None:
            before.retire()
            self._keep(self._retired(before))
        asyncio.get_running_loop().call_later(_WELL, self._well, slot, worker)
        if not self.first.done():
            self.first.set_result(worker)
        self._tell_booting()
        self._tell_ready()
        self._pool.give_up("")
        if worker.state == "ended":
            self._ended(worker)

    def _well(self, slot: Slot, worker: Worker) -> None:
        if slot.worker is worker and worker.state != "ended":
            slot.failures = 0
            self._readiness.release(slot.who)

    def _failure(self, slot: Slot, why: str, *, final: bool = False) -> None:
        slot.failures += 1
        if self._stopping:
            return
        if not (self._lazy or self.first.done()) and (final or slot.failures >= _LOOP):
            # A start is for finding out: what is wrong with a plugin now does not mend itself.
            self.first.set_exception(PluginError(why if final else f"{self._label}s do not start: {why}"))
            return
        text = f"{slot.who} failed: {why}"
        log.error("%s; next try in %.1f s", text, pause(slot.failures))
        if slot.failures >= _LOOP:
            self._readiness.hold(slot.who, f"{slot.who} failed {slot.failures} times in a row: {why}")
        self._pool.give_up(text if slot.failures > 1 else "")  # a first failure is tried again at once

    def _tell_booting(self) -> None:
        missing = sum(1 for slot in self._slots if not (slot.booted or slot.extra))
        if missing:
            self._readiness.hold(
                f"{self._label}s boot", f"{missing} of {len(self._slots)} {self._label}s have not started yet"
            )
        else:
            self._readiness.release(f"{self._label}s boot")

    # What workers do.

    def _slot(self, worker: Worker) -> Slot | None:
        return next((slot for slot in self._slots if slot.worker is worker), None)

    def _freed(self, worker: Worker) -> None:
        self._pool.freed()
        if worker.load == 0 and worker.state == "retiring":
            worker.emptied.set()
        elif worker.jobs >= self._max_jobs:
            self._replace(worker, f"max_jobs ({self._settings.max_jobs}) is reached")

    def _state(self, worker: Worker) -> None:
        slot = self._slot(worker)
        if worker.state == "ready" and slot is not None and not worker.hung:
            self._pool.join(worker)
        elif worker.state != "ready":
            self._pool.leave(worker)
        self._tell_ready()

    def _tell_ready(self) -> None:
        if any(slot.worker is not None and slot.worker.state == "ready" for slot in self._slots) or self._stopping:
            self._readiness.release(f"{self._label}s")
        elif self.first.done():
            self._readiness.hold(f"{self._label}s", f"no {self._label} is ready")

    def _hung(self, worker: Worker, why: str) -> None:
        """A worker whose calls do not end takes no new ones; the others that it holds have until their deadlines."""
        worker.hung = True
        self._pool.leave(worker)
        self._replace(worker, why)

    def _replace(self, worker: Worker, why: str) -> None:
        """Start a successor; the worker goes on until that one is ready."""
        slot = self._slot(worker)
        if slot is None or worker.wanted or self._stopping:
            return
        worker.wanted = True
        log.info("%r is replaced: %s", worker, why)
        if slot.task is None:
            slot.task = self._keep(self._fill(slot))

    async def _retired(self, worker: Worker) -> None:
        """Let a worker end what it holds, then end it."""
        worker.retire()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_timeout):
                if worker.busy:
                    await worker.emptied.wait()
        if worker.hung:
            worker.kill("its calls do not end")
        worker.drain()
        await self._over(worker)

    async def _over(self, worker: Worker, draining: float = 0.0) -> None:
        """Wait for the end of a worker that was told to end; kill it where it does not.

        Args:
            worker: The worker.
            draining: Seconds that it has before that, to end what it holds.

        """
        timeout = self._settings.destroy_timeout
        try:
            async with asyncio.timeout(draining + timeout):
                await asyncio.shield(worker.gone)
        except TimeoutError:
            worker.kill(f"it did not end within destroy_timeout ({timeout:g} s)")
            log.warning("%r %s", worker, worker.why)
            await worker.gone

    def _ended(self, worker: Worker) -> None:
        self._workers.discard(worker)
        self._usage.forget(worker)
        self._pool.leave(worker)
        slot = self._slot(worker)
        if slot is None:
            return
        slot.worker = None
        self._tell_ready()
        if self._stopping or slot.closed:
            return
        lived = time.monotonic() - (worker.ready_at or worker.since)
        if lived < _WELL:
            self._failure(slot, worker.why)
        else:
            log.error("%r ended: %s; another one is started", worker, worker.why)
        if slot.task is None:
            slot.task = self._keep(self._fill(slot))

    # Watching.

    async def _pinging(self) -> None:
        while not self._stopping:
            slept = time.monotonic()
            await asyncio.sleep(_PING)
            late = time.monotonic() - slept - _PING
            if late > _PING / 2:  # this process was away itself, and what workers said meanwhile is still to be read
                for worker in self._workers:
                    worker.excuse(late)
                continue
            bound = min(_SILENT, max(self._limits.exec_ttl, _PING)) if self._limits.exec_ttl else _SILENT
            for worker in list(self._workers):
                # One that holds nothing any more may block its loop to shut down; destroy_timeout bounds that.
                watched = worker.state in ("ready", "blocked") or (worker.state == "retiring" and worker.load)
                if not watched:
                    continue
                if worker.asked and self._usage.starved(worker):
                    worker.excuse(_PING + late)
                    if self._throttle.admit("starved") is not None:
                        log.warning("%r waits for a CPU: this machine has too much to do", worker)
                elif worker.ping() >= bound:
                    worker.kill(f"its event loop has not turned for {bound:g} s")
                elif worker.asked:
                    self._usage.starved(worker)  # what it has used so far

    async def _watching(self) -> None:
        while not self._stopping:
            await asyncio.sleep(self._limits.watch_tick or 1.0)
            if self._supervised:
                for slot in list(self._slots):
                    worker = slot.worker
                    watched = worker is not None and worker.state in ("ready", "blocked")
                    if worker is not None and watched and (why := self._usage.worn(worker, self._limits)):
                        self._replace(worker, why)
            self._shrink()

    # More workers, and fewer.

    def _crowded(self) -> None:
        """A call has to wait: start one more worker, where extra ones are allowed, and look again."""
        allocator = self._settings.dynamic_allocator
        self._crowded_at = time.monotonic()
        if allocator is not None and self._growing is None and not self._stopping:
            self._grow(allocator)

    def _grow(self, allocator: DynamicAllocator) -> None:
        self._growing = None
        extras = sum(slot.extra for slot in self._slots)
        if not self._pool.waiting or self._stopping or extras >= allocator.max_workers:
            return
        slot = Slot(self._free_number(), self._mode, extra=True)
        log.info("every worker is busy: %s is started beside them", slot.who)
        self._add(slot)
        pause = 1 / allocator.spawn_rate
        self._growing = asyncio.get_running_loop().call_later(pause, self._grow, allocator)

    def _free_number(self) -> int:
        taken = {slot.number for slot in self._slots}
        return next(number for number in range(1, len(taken) + 2) if number not in taken)

    def _shrink(self) -> None:
        allocator, now = self._settings.dynamic_allocator, time.monotonic()
        if self._pool.waiting:
            self._crowded_at = now
        for slot in [slot for slot in self._slots if slot.extra]:
            if allocator is None or now - self._crowded_at >= allocator.idle_timeout:
                log.info("%s is not needed any more", slot.who)
                self._close(slot)

    def _close(self, slot: Slot) -> None:
        slot.closed = True
        self._slots.remove(slot)
        self._readiness.release(slot.who)
        worker, slot.worker = slot.worker, None
        if slot.task is not None:
            slot.task.cancel()
        if worker is not None:
            self._pool.leave(worker)
            self._keep(self._retired(worker))

    async def swap(self) -> None:
        """Replace all workers one by one, each by one that is ready; calls under way are answered.

        Raises:
            PluginError: A successor does not start; the workers that were not replaced yet go on.
            TimeoutError: It takes longer than ``reset_timeout``.

        """
        async with asyncio.timeout(self._settings.reset_timeout or None):
            wanted = workers_of(self._settings)
            regular = [slot for slot in self._slots if not slot.extra]
            surplus = regular[wanted:]
            for slot in [slot for slot in self._slots if slot not in surplus]:
                await self._swap_one(slot)
            for _ in range(len(regular), wanted):
                slot = Slot(self._free_number(), self._mode)
                self._slots.append(slot)
                try:
                    await self._swap_one(slot)
                except BaseException:
                    self._slots.remove(slot)
                    raise
            for slot in surplus:
                self._close(slot)

    async def _swap_one(self, slot: Slot) -> None:
        async with slot.lock:
            try:
                worker = await self._spawn(slot)
            except NotStarted as exc:
                raise PluginError(str(exc) if exc.final else f"{slot.who} does not start: {exc}") from exc
            slot.failures = 0
            self._readiness.release(slot.who)
            self._install(slot, worker)

    # For people.

    @property
    def listing(self) -> Any:
        """What the newest worker that is ready serves."""
        for slot in self._slots:
            if slot.worker is not None and slot.worker.listing is not None:
                return slot.worker.listing
        return None

    def snapshot(self) -> list[WorkerInfo]:
        """Every worker there is."""
        workers = sorted(self._workers, key=lambda worker: (worker.number, worker.since))
        return [self._usage.info(worker) for worker in workers]

    # The end.

    def end_streams(self) -> None:
        """End every stream, so that clients subscribe again somewhere else, and start no more workers."""
        self._stopping = True
        for worker in self._workers:
            worker.end_streams()

    async def stop(self) -> None:
        """End all workers: none when it returns. Those that have requests end them first."""
        self._stopping = True
        if self.first.done():
            self.first.exception()  # nobody may have asked
        for slot in self._slots:
            slot.closed = True
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for worker in list(self._workers):
            if worker.pid:
                worker.drain()
        draining = self._drain_timeout if self._mode == "http" else 0.0
        await asyncio.gather(*(self._over(worker, draining) for worker in list(self._workers) if worker.pid))

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
