"""The memory driver: its bounds, its order, and expiry on the clock of the test."""

import asyncio
import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rtbridge import KvLimit
from rtbridge.plugins.kv.memory import OVERHEAD, MemoryStore
from rtbridge.testing import VirtualClock


def store(entries: int = 100, size: int = 100_000, clock: VirtualClock | None = None) -> MemoryStore:
    return MemoryStore("s", max_entries=entries, max_bytes=size, clock=clock or VirtualClock())


async def test_the_least_recently_used_goes_first() -> None:
    kv = store(entries=3)
    for key in "abc":
        await kv.set(key, b"1", None)
    assert await kv.get("a") == b"1"
    await kv.get_many(["b"])
    await kv.set("d", b"1", None)
    assert await kv.get_many(list("abcd")) == {"a": b"1", "b": b"1", "d": b"1"}
    await kv.has("a")  # looking is not using
    await kv.set("e", b"1", None)
    await kv.set("f", b"1", None)
    assert set(await kv.get_many(list("abdef"))) == {"d", "e", "f"}


async def test_bytes_are_counted_with_what_an_entry_takes() -> None:
    kv = store(size=3 * (OVERHEAD + 11))
    for key in "abc":
        await kv.set(key, b"0123456789", None)
    assert len(await kv.get_many(list("abc"))) == 3
    await kv.set("é", b"0", None)
    assert set(await kv.get_many(["a", "b", "c", "é"])) == {"b", "c", "é"}
    with pytest.raises(KvLimit, match="kv store s: a value of 1,000 bytes; max_bytes is 633"):
        await kv.set("b", b"x" * 1000, None)
    assert await kv.get("b") == b"0123456789"


async def test_what_is_over_goes_before_what_is_old() -> None:
    clock = VirtualClock()
    kv = store(entries=2, clock=clock)
    await kv.set("old", b"1", None)
    await kv.set("over", b"1", 5)
    clock.advance(5)
    await kv.set("new", b"1", None)
    assert set(await kv.get_many(["old", "over", "new"])) == {"old", "new"}


async def test_what_is_overwritten_leaves_nothing_behind() -> None:
    clock = VirtualClock()
    kv = store(clock=clock)
    for number in range(10_000):
        await kv.set("a", b"%d" % number, 60 + number)
    assert len(kv._ending) <= 2 * 1 + 64 + 1
    for number in range(10_000):
        await kv.set(f"k{number}", b"1", 1)
        clock.advance(1)
    assert len(kv._entries) <= 2


async def test_many_iterations_go_on_beside_one_another() -> None:
    kv = store()
    keys = [f"k{number:02}" for number in range(40)]
    await kv.set_many(dict.fromkeys(keys, b"1"), None)
    found: list[list[str]] = [[] for _ in range(20)]
    cursors = [""] * 20
    for turn in range(4):
        for each in range(20):
            page, cursors[each] = await kv.scan("k", cursors[each], 10)
            found[each] += page
        await kv.set(f"j{turn}", b"1", None)
    assert cursors == [""] * 20
    assert found == [keys] * 20


async def test_threads_and_the_loop_count_together() -> None:
    kv = store()

    def count() -> None:
        for _ in range(500):
            try:
                kv.incr("n", 1, None).send(None)
            except StopIteration:
                continue

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(500):
        await kv.incr("n", 1, None)
        await asyncio.sleep(0)
    for thread in threads:
        await asyncio.to_thread(thread.join, 20)
    assert await kv.get("n") == b"2500"


class Model(RuleBasedStateMachine):
    """Bounds hold after whatever was done, and the count of bytes is right."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.kv = store(entries=4, size=5 * OVERHEAD, clock=self.clock)

    @rule(key=st.sampled_from("abcdefgh"), size=st.integers(0, 400), ttl=st.none() | st.integers(1, 5))
    def write(self, key: str, size: int, ttl: int | None) -> None:
        asyncio.run(self.kv.set(key, b"x" * size, ttl))

    @rule(key=st.sampled_from("abcdefgh"), ttl=st.none() | st.integers(1, 5))
    def renew(self, key: str, ttl: int | None) -> None:
        asyncio.run(self.kv.touch(key, ttl))

    @rule(key=st.sampled_from("abcdefgh"))
    def delete(self, key: str) -> None:
        asyncio.run(self.kv.delete(key))

    @rule(seconds=st.integers(0, 3))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def counted(self) -> None:
        sizes = [len(key) + len(entry.value) + OVERHEAD for key, entry in self.kv._entries.items()]
        assert self.kv._bytes == sum(sizes) <= 5 * OVERHEAD
        assert len(sizes) <= 4


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
