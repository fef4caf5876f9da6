"""Deadlines: tasks are cancelled in time, told apart from other cancellations, on whatever loop runs."""

import asyncio
import sys

import pytest

from rtbridge.deadlines import Deadline, Deadlines


async def waits(deadlines: Deadlines, seconds: float) -> Deadline:
    """Wait for ever under a deadline; gives it back when it was what ended the wait."""
    deadline = deadlines.watch(seconds)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not deadline.caught():
            raise
    finally:
        deadline.done()
    return deadline


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.25])
async def test_a_task_is_cancelled_when_its_time_is_up(seconds: float) -> None:
    """Short times have a timer of their own, longer ones share one; both cancel."""
    async with asyncio.timeout(10):
        assert (await waits(Deadlines(), seconds)).expired


async def test_a_foreign_cancellation_is_not_caught() -> None:
    """Who cancels a task from outside cancels it, deadline or not."""
    task = asyncio.create_task(waits(Deadlines(), 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("seconds", [0.01, 0.25])
async def test_a_task_that_ends_in_time_is_left_alone(seconds: float) -> None:
    """After `done` the timer finds nobody."""
    deadlines = Deadlines()
    deadline = deadlines.watch(seconds)
    deadline.done()
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds * 2, later.set)
    await asyncio.wait_for(later.wait(), 10)
    assert not deadline.expired


def test_deadlines_hold_on_a_new_event_loop() -> None:
    """Ticks of a loop that is gone do not swallow those of the next one."""
    deadlines = Deadlines()

    async def ends_at_once() -> None:
        deadlines.watch(0.5).done()

    async def times_out() -> bool:
        async with asyncio.timeout(10):
            return (await waits(deadlines, 0.5)).expired

    asyncio.run(ends_at_once())
    assert asyncio.run(times_out())


async def test_many_deadlines_of_one_tick() -> None:
    """Those that share a tick all expire."""
    deadlines = Deadlines()
    async with asyncio.timeout(10):
        ended = await asyncio.gather(*(waits(deadlines, 0.3) for _ in range(50)))
    assert all(deadline.expired for deadline in ended)


async def test_what_is_over_leaves_no_room_behind() -> None:
    """Ten thousand deadlines, all of them done long before their time."""
    deadlines = Deadlines()
    watched = [deadlines.watch(30.0) for _ in range(10_000)]
    assert sys.getsizeof(deadlines._watched) > 100_000
    for each in watched:
        each.done()
    async with asyncio.timeout(10):
        while sys.getsizeof(deadlines._watched) > 10_000:
            await asyncio.sleep(0.005)
    assert not deadlines._looking  # nothing is looked for where nothing is under way


async def test_each_has_its_own_time() -> None:
    """Whoever comes later may be over earlier, and the last one is not forgotten."""
    deadlines, ended = Deadlines(), list[float]()

    async def one(seconds: float) -> None:
        await waits(deadlines, seconds)
        ended.append(seconds)

    async with asyncio.timeout(10):
        await asyncio.gather(*(one(seconds) for seconds in (0.5, 0.25, 0.4)))
    assert ended == [0.25, 0.4, 0.5]
