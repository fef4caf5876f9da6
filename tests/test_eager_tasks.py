"""Coroutines that are started at once beside the same ones in plain tasks: each sees what it would see there."""

import asyncio
import contextvars
import gc
import weakref
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest

from tests.loops import new_loops
from tests.test_eager import BOUND, NAME, Started, nothing, start

__all__ = ["start"]

EVERY_LOOP = True

LOOPS = new_loops(uvloop=True)

Work = Callable[[], Coroutine[Any, Any, object]]


class Unusual:
    """An awaitable that gives the event loop what it is not used to, as those of other libraries do."""

    def __init__(self, *given: object) -> None:
        self._given = given

    def __await__(self) -> Generator[Any, Any, None]:
        yield from self._given


class Harsh(BaseException):
    """What ``except Exception`` does not catch, as the exceptions of gevent and pytest."""


async def both(start: Started, work: Work) -> object:
    """What a coroutine returns, which is the same in a plain task and when it is started at once."""
    found: list[object] = []

    async def told() -> None:
        found.append(await work())

    async with asyncio.timeout(BOUND):
        await asyncio.get_running_loop().create_task(told(), context=contextvars.copy_context())
        (task,) = await start(told())
        if task is not None:
            await asyncio.wait([task])
            assert task.exception() is None
    plain, eager = found
    assert plain == eager
    return eager


async def bad_yield() -> object:
    with pytest.raises(RuntimeError) as caught:
        await Unusual(42)
    return str(caught.value)


async def bad_yield_later() -> object:
    with pytest.raises(RuntimeError) as caught:
        await Unusual(None, 42)
    return str(caught.value)


async def yield_of_a_future() -> object:
    with pytest.raises(RuntimeError) as caught:
        await Unusual(asyncio.get_running_loop().create_future())
    return str(caught.value)[:30]


async def bad_yield_of_who_is_cancelled() -> object:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("mine")
    with pytest.raises(asyncio.CancelledError) as caught:
        await Unusual(42)
    return caught.value.args


async def cancelled_by_itself_at_a_future() -> object:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("mine")
    with pytest.raises(asyncio.CancelledError) as caught:
        await asyncio.Event().wait()
    return caught.value.args, task.cancelling()


async def cancelled_by_itself_at_a_bare_yield() -> object:
    task = asyncio.current_task()
    assert task is not None
    task.cancel("mine")
    with pytest.raises(asyncio.CancelledError) as caught:
        await asyncio.sleep(0)
    return caught.value.args, task.cancelling()


async def cancelled_in_the_next_turn() -> object:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel, "later")
    with pytest.raises(asyncio.CancelledError) as caught:
        await asyncio.Event().wait()
    return caught.value.args, task.cancelling()


async def out_of_time_before_it_begins() -> object:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    task = asyncio.current_task()
    return task is not None and task.cancelling()


@pytest.mark.parametrize(
    "work",
    [
        bad_yield,
        bad_yield_later,
        yield_of_a_future,
        bad_yield_of_who_is_cancelled,
        cancelled_by_itself_at_a_future,
        cancelled_by_itself_at_a_bare_yield,
        cancelled_in_the_next_turn,
        out_of_time_before_it_begins,
    ],
    ids=lambda work: work.__name__,
)
async def test_it_is_told_what_it_is_told_in_a_task(start: Started, work: Work) -> None:
    await both(start, work)
    assert await start(nothing()) == [None]


@pytest.mark.parametrize("raised", [Harsh, GeneratorExit], ids=lambda raised: raised.__name__)
async def test_whatever_it_raises_goes_no_further(start: Started, raised: type[BaseException]) -> None:
    """Whoever starts it reads a connection: what is raised there ends all that is under way on it."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def work() -> None:
        raise raised

    seen: list[str] = []

    async def next_one() -> None:
        seen.append("next")

    assert await start(work(), next_one()) == [None, None]
    assert [type(each["exception"]) for each in told] == [raised]
    assert seen == ["next"]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt], ids=lambda raised: raised.__name__)
def test_what_ends_the_process_ends_the_loop(raised: type[BaseException], loop: str) -> None:
    """As from a task, and not in the middle of the one who starts it."""
    seen: list[str] = []

    async def work() -> None:
        raise raised

    async def next_one() -> None:
        seen.append("next")

    async def main() -> None:
        started = Started()
        await started(nothing())
        await asyncio.sleep(0)
        await started(work(), next_one())
        await asyncio.sleep(BOUND)

    with pytest.raises(raised), asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())
    assert seen == ["next"]


# The current task of one that never waits.


async def test_who_keeps_its_task_shares_it_with_nobody(start: Started) -> None:
    """Sessions of a database and locks go by task: what one leaves there is not the next one's."""
    kept: dict[object, str] = {}

    async def work(name: str) -> None:
        task = asyncio.current_task()
        kept[task] = kept.get(task, "") + name

    await start(work("a"), work("b"), work("c"))
    await asyncio.sleep(0)
    await start(work("d"))
    assert list(kept.values()) == ["a", "b", "c", "d"]


async def test_nor_does_who_keeps_it_weakly(start: Started) -> None:
    kept: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
    seen: list[str] = []

    async def work(name: str) -> None:
        task = asyncio.current_task()
        seen.append(kept.get(task, ""))
        kept[task] = name

    await start(work("a"), work("b"))
    await asyncio.sleep(0)
    await start(work("c"))
    assert seen == ["", "", ""]


async def test_who_keeps_it_to_cancel_it_later_hits_nobody_else(start: Started) -> None:
    kept: list[asyncio.Task[Any]] = []
    seen: list[str] = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        kept.append(task)

    async def innocent() -> None:
        await asyncio.sleep(0)
        seen.append("innocent")

    tasks = await start(work(), innocent())
    kept[0].cancel()
    await asyncio.wait([task for task in tasks if task is not None], timeout=BOUND)
    assert seen == ["innocent"]


async def test_what_is_to_follow_its_task_follows_its_own_end(start: Started) -> None:
    done: list[str] = []

    async def work(name: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda _: done.append(name))

    await start(work("a"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert done == ["a"]
    await start(work("b"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert done == ["a", "b"]


async def test_who_only_looks_at_its_task_costs_no_other(start: Started) -> None:
    names: list[str] = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        async with asyncio.timeout(BOUND):
            names.append(task.get_name())

    for _ in range(3):
        await start(work(), work())
    assert len(set(names)) == 1


async def test_one_that_fails_does_not_keep_its_task(start: Started) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _, context: None)
    names: list[str] = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        names.append(task.get_name())
        del task
        raise ValueError(NAME.get())

    for _ in range(3):
        await start(work())
    assert len(set(names)) == 1


class Large:
    """What a call holds."""


@pytest.mark.parametrize("turns", [0, 2], ids=lambda turns: f"after {turns} turns")
async def test_one_that_is_cancelled_leaves_nothing_for_the_garbage_collector(start: Started, turns: int) -> None:
    held: list[weakref.ref[Large]] = []

    async def work() -> None:
        large = Large()
        held.append(weakref.ref(large))
        await asyncio.Event().wait()

    gc.collect()
    gc.disable()
    try:
        (task,) = await start(work())
        assert task is not None
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=BOUND)
        del task
        await asyncio.sleep(0)
        assert held[0]() is None
    finally:
        gc.enable()
