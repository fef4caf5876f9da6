"""Coroutines that are started at once: what they see, and who goes on with them."""

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from rtbridge.eager import Eager, resumed

EVERY_LOOP = True

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="none")

BOUND = 10.0


class Started:
    """Starts coroutines from a callback of the loop, as a protocol does that has read something."""

    def __init__(self) -> None:
        self.eager = Eager()
        self.context = contextvars.copy_context()

    async def __call__(
        self, *work: Coroutine[Any, Any, None], then: Callable[[asyncio.Task[None]], object] = id
    ) -> list[asyncio.Task[None] | None]:
        """What became of them; ``then`` is called with each task before the loop comes round."""
        loop = asyncio.get_running_loop()
        made: asyncio.Future[list[asyncio.Task[None] | None]] = loop.create_future()

        def start() -> None:
            tasks = [self.eager.start(each, self.context.copy()) for each in work]
            for task in tasks:
                if task is not None:
                    then(task)
            made.set_result(tasks)

        loop.call_soon(start)
        return await made


async def nothing() -> None:
    return


@pytest.fixture
async def start() -> AsyncIterator[Started]:
    started = Started()
    (task,) = await started(nothing())
    assert task is not None, "nothing stands by before the first one"
    await task
    yield started
    started.eager.close()


async def test_what_never_waits_is_over_when_start_returns(start: Started) -> None:
    seen: list[int] = []

    async def work(number: int) -> None:
        seen.append(number)

    assert await start(work(1), work(2), work(3)) == [None, None, None]
    assert seen == [1, 2, 3]


async def test_what_waits_goes_on_in_the_task_that_was_current_from_its_first_line(start: Started) -> None:
    tasks: list[asyncio.Task[Any] | None] = []
    gate = asyncio.Event()

    async def work() -> None:
        tasks.append(asyncio.current_task())
        await gate.wait()
        tasks.append(asyncio.current_task())

    (task,) = await start(work())
    assert task is not None
    gate.set()
    async with asyncio.timeout(BOUND):
        await task
    assert tasks == [task, task]


async def test_one_that_waits_holds_up_no_other(start: Started) -> None:
    gate = asyncio.Event()
    done: list[str] = []

    async def waits(name: str) -> None:
        await gate.wait()
        done.append(name)

    async def quick() -> None:
        done.append("quick")

    first, second, third = await start(waits("first"), quick(), waits("third"))
    assert first is not None
    await asyncio.sleep(0)
    assert done == ["quick"]
    gate.set()
    async with asyncio.timeout(BOUND):
        await asyncio.gather(*(task for task in (first, second, third) if task is not None))
    assert sorted(done) == ["first", "quick", "third"]


async def test_each_has_a_context_of_its_own_before_and_after_it_waits(start: Started) -> None:
    seen: list[str] = []

    async def work(name: str, *, waits: bool) -> None:
        seen.append(NAME.get())
        NAME.set(name)
        for _ in range(3 if waits else 0):
            await asyncio.sleep(0)
            seen.append(NAME.get())

    tasks = await start(work("a", waits=False), work("b", waits=True), work("c", waits=False), work("d", waits=True))
    async with asyncio.timeout(BOUND):
        await asyncio.gather(*(task for task in tasks if task is not None))
    assert sorted(seen) == sorted(["none"] * 4 + ["b"] * 3 + ["d"] * 3)
    assert NAME.get() == "none"


async def test_a_call_that_it_starts_has_its_context(start: Started) -> None:
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        NAME.set("mine")
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(lambda: heard.set_result(NAME.get()))

    await start(work())
    async with asyncio.timeout(BOUND):
        assert await heard == "mine"


@pytest.mark.parametrize("turns", [0, 1, 2, 3], ids=lambda turns: f"after {turns} turns")
@pytest.mark.parametrize("what", ["a future", "a bare yield", "a task"])
async def test_cancelled(start: Started, what: str, turns: int) -> None:
    ended: list[str] = []
    forever = asyncio.get_running_loop().create_future()

    async def inner() -> None:
        try:
            await forever
        except asyncio.CancelledError:
            ended.append("inner")
            raise

    async def work() -> None:
        try:
            if what == "a future":
                await forever
            elif what == "a task":
                await asyncio.ensure_future(inner())
            else:
                while True:
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            ended.append("work")
            raise

    if turns:
        (task,) = await start(work())
        assert task is not None
        for _ in range(1, turns):
            await asyncio.sleep(0)
        task.cancel()
    else:
        (task,) = await start(work(), then=asyncio.Task.cancel)
        assert task is not None
    async with asyncio.timeout(BOUND):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ended[-1] == "work"
    assert await start(nothing()) == [None], "the next one is not cancelled with it"


async def test_cancelled_work_may_clean_up_and_go_on(start: Started) -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            steps.append("cleaned")
        await asyncio.sleep(0)
        steps.append("went on")

    (task,) = await start(work())
    assert task is not None
    task.cancel()
    async with asyncio.timeout(BOUND):
        await task
    assert steps == ["cleaned", "went on"]


async def test_a_cancellation_that_meets_a_future_that_is_done(start: Started) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    seen: list[str] = []

    async def work() -> None:
        try:
            await future
        except asyncio.CancelledError:
            seen.append("cancelled")

    def done(task: asyncio.Task[None]) -> None:
        future.set_result(None)
        task.cancel()

    (task,) = await start(work(), then=done)
    assert task is not None
    async with asyncio.timeout(BOUND):
        await task
    assert seen == ["cancelled"]


async def test_who_cancels_itself_is_cancelled_where_it_next_waits(start: Started) -> None:
    seen: list[str] = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        seen.append("before")
        await asyncio.sleep(0)
        seen.append("never")

    async def does_not_wait() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def innocent() -> None:
        await asyncio.sleep(0)
        seen.append("innocent")

    for each in (work, does_not_wait):
        tasks = await start(each(), innocent())
        await asyncio.wait([task for task in tasks if task is not None], timeout=BOUND)
    assert seen == ["before", "innocent", "innocent"]


async def test_a_timeout_of_its_own(start: Started) -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append("late")

    (task,) = await start(work())
    assert task is not None
    async with asyncio.timeout(BOUND):
        await task
    assert seen == ["late"]
    assert task.cancelling() == 0


async def test_a_task_group_of_its_own(start: Started) -> None:
    seen: list[int] = []

    async def child(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(child(number))

    (task,) = await start(work())
    assert task is not None
    async with asyncio.timeout(BOUND):
        await task
    assert seen == [0, 1, 2]


async def test_two_may_wait_for_one_future(start: Started) -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    seen: list[str] = []

    async def work() -> None:
        seen.append(await future)

    (task,) = await start(work())
    assert task is not None
    other = asyncio.ensure_future(work())  # takes the future's mark off before the first one's task has run
    await asyncio.sleep(0)
    future.set_result("value")
    async with asyncio.timeout(BOUND):
        await asyncio.gather(task, other)
    assert seen == ["value", "value"]


async def test_what_a_future_raises_is_raised_in_the_coroutine(start: Started) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    seen: list[str] = []

    async def work() -> None:
        for _ in range(2):
            try:
                await future
            except ValueError as exc:
                seen.append(str(exc))

    (task,) = await start(work())
    assert task is not None
    future.set_exception(ValueError("wrong"))
    async with asyncio.timeout(BOUND):
        await task
    assert seen == ["wrong", "wrong"]


@pytest.mark.parametrize("waits", [False, True])
async def test_what_it_raises(start: Started, waits: bool) -> None:
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))

    async def work() -> None:
        if waits:
            await asyncio.sleep(0)
        raise ValueError("wrong")

    (task,) = await start(work())
    if task is None:
        assert [str(each["exception"]) for each in told] == ["wrong"]
    else:
        with pytest.raises(ValueError, match="wrong"):
            await task
    assert (task is not None) is waits
    assert await start(nothing()) == [None]


async def test_a_coroutine_that_ends_as_cancelled(start: Started) -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    assert await start(work()) == [None]


async def test_from_within_a_task_it_makes_a_task(start: Started) -> None:
    seen: list[asyncio.Task[Any] | None] = []

    async def work() -> None:
        seen.append(asyncio.current_task())

    task = start.eager.start(work(), contextvars.copy_context())
    assert task is not None
    await task
    assert seen == [task]


async def test_a_standby_that_was_cancelled_is_replaced(start: Started) -> None:
    me = asyncio.current_task()
    for task in asyncio.all_tasks() - {me}:
        task.cancel()
    (first,) = await start(nothing())
    assert first is not None
    await first
    assert await start(nothing()) == [None]


async def test_closed_it_leaves_no_task_behind() -> None:
    me = asyncio.current_task()
    started = Started()
    await started(nothing())
    started.eager.close()
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {me}
    (task,) = await started(nothing())
    assert task is not None
    await task
    assert asyncio.all_tasks() == {me}


@pytest.mark.parametrize("waits", [False, True])
async def test_forgotten_it_complains_of_lost_work_alone(waits: bool) -> None:
    """A task that only stood by is nothing to lose."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    started = Started()
    await started(nothing())
    await started(work() if waits else nothing())
    for _ in range(3):
        await asyncio.sleep(0)
    del started
    gc.collect()
    assert ["destroyed" in each["message"] for each in told] == [True] * waits


async def test_closed_before_anything_was_started() -> None:
    Eager().close()


async def test_a_task_that_is_dropped_closes_its_coroutine_in_its_context(start: Started) -> None:
    seen: list[str] = []

    async def work() -> None:
        NAME.set("mine")
        try:
            await asyncio.Event().wait()
        finally:
            seen.append(NAME.get())

    (task,) = await start(work())
    assert task is not None
    await asyncio.sleep(0)
    task.get_coro().close()
    assert seen == ["mine"]
    task.cancel()
    await asyncio.wait([task], timeout=BOUND)


# What the bridge does with a chain.


async def go(work: Callable[[], Coroutine[Any, Any, str]]) -> str:
    made = work()
    try:
        waited = made.send(None)
    except StopIteration as stop:
        answer: str = stop.value
        return answer
    return await resumed(made, waited)


async def test_resumed_gives_back_what_the_coroutine_returns() -> None:
    async def work() -> str:
        for _ in range(3):
            await asyncio.sleep(0)
        return "value"

    assert await go(work) == "value"


async def test_resumed_passes_on_exceptions_and_cancellations() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    seen: list[str] = []

    async def work() -> str:
        try:
            await future
        except ValueError:
            seen.append("value error")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            seen.append("cancelled")
        return "value"

    task = asyncio.ensure_future(go(work))
    await asyncio.sleep(0)
    future.set_exception(ValueError())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(BOUND):
        assert await task == "value"
    assert seen == ["value error", "cancelled"]


async def test_resumed_ends_where_an_exception_ends_the_coroutine() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> str:
        try:
            await future
        except ValueError:
            return "ended"
        return "never"

    task = asyncio.ensure_future(go(work))
    await asyncio.sleep(0)
    future.set_exception(ValueError())
    async with asyncio.timeout(BOUND):
        assert await task == "ended"


async def test_resumed_closes_the_coroutine_with_itself() -> None:
    seen: list[str] = []

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("closed")
        return ""

    outer = go(work)
    outer.send(None)
    outer.close()
    assert seen == ["closed"]
