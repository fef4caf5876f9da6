"""Faults under load: what is asserted are counts, not times."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.workers.conftest import Answered, Pool, soon

Start = Callable[..., Awaitable[Pool]]

#: Workers killed, one every 2 s while callers go on; more of them for a soak by hand.
KILLS = int(os.environ.get("RTBRIDGE_TEST_KILLS", "4"))
CALLERS = 32

LOADED = """
    import asyncio
    from rtbridge import RPCResult, hookimpl

    @hookimpl
    async def on_rpc(event):
        await asyncio.sleep(0.02)
        return RPCResult(data=event.data)
"""


class Load:
    """Callers that go on until they are told to stop; each call has a number of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._stop = False
        self.asked = 0
        self.answers: list[tuple[int, Answered]] = []
        self._tasks = [asyncio.create_task(self._call()) for _ in range(CALLERS)]

    async def _call(self) -> None:
        while not self._stop:
            self.asked += 1
            number = self.asked
            self.answers.append((number, await self._pool.ask("x", number, deadline=5.0)))
            if self.answers[-1][1].temporary:
                await asyncio.sleep(0.01)

    async def end(self) -> list[Answered]:
        """Every caller has its answer; those that failed."""
        self._stop = True
        await soon(asyncio.gather(*self._tasks))
        assert sorted(number for number, _ in self.answers) == list(range(1, self.asked + 1))
        assert all(answer.temporary or answer.data == number for number, answer in self.answers)
        return [answer for _, answer in self.answers if answer.temporary]


async def test_killing_workers_costs_no_more_than_the_calls_they_held(start: Start) -> None:
    """kill -9 of one of three, again and again: nothing unanswered, nothing answered twice, no slot lost."""
    pool = await start(LOADED, num_workers=3)
    await pool.ready(3)
    load, held = Load(pool), 0
    killed: list[tuple[Any, int]] = []
    for _ in range(KILLS):
        await asyncio.sleep(2.0)
        victim = random.choice(pool.workers("ready"))
        os.kill(victim.pid, signal.SIGKILL)
        worker = pool.process_of(victim.pid)
        held += len(worker.held)
        killed.append((worker, worker.jobs))
    failed = await load.end()
    # Until the parent heard of the death it gave the worker more.
    held += sum(worker.jobs - before for worker, before in killed)
    assert len(failed) <= held
    assert all("ended" in answer.why for answer in failed)
    assert load.asked > 100 * KILLS
    await pool.ready(3)
    assert (pool.parent.handler.active, pool.parent.handler.waiting) == (0, 0)


@pytest.mark.timeout(120)
async def test_replacing_workers_costs_no_call(start: Start) -> None:
    """max_jobs and reloads together, under load: every call is answered by some worker."""
    pool = await start(LOADED, num_workers=2, max_jobs=300)
    await pool.ready(2)
    load = Load(pool)
    for _ in range(4):
        await soon(pool.parent.reload(pool.parent.config))
    assert await load.end() == []
    assert load.asked > 500
    await pool.ready(2)


async def test_a_stop_under_load_answers_what_was_accepted(start: Start) -> None:
    """What came before the end is answered; what comes after it is told to try again."""
    pool = await start(LOADED, num_workers=2)
    await pool.ready(2)
    accepted = [asyncio.create_task(pool.ask("x", number)) for number in range(200)]
    await asyncio.sleep(0)
    await soon(pool.parent.stop([]))
    assert [(await soon(call)).data for call in accepted] == list(range(200))
    assert (await pool.ask("x", 1, deadline=0.2)).temporary
