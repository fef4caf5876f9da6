"""A store that another process has: every operation travels packed, and so does what goes wrong."""

import asyncio
import math
from typing import Any

import pytest

from rtbridge import KvError, KvLimit, KvUnavailable, KvUnreadable, KvUnsupported
from rtbridge.plugins.kv.memory import MemoryStore
from rtbridge.stores.base import Store
from rtbridge.stores.remote import OPERATIONS, Performed, RemoteStore, perform
from rtbridge.testing import VirtualClock


class Carrier:
    """Carries operations to stores of this process, and counts them."""

    def __init__(self, **stores: Store) -> None:
        self.stores = stores
        self.asked: list[str] = []

    async def __call__(self, store: str, operation: str, arguments: bytes) -> Performed:
        self.asked.append(operation)
        return await perform(self.stores, store, operation, arguments)


def memory(clock: Any = None) -> MemoryStore:
    return MemoryStore("s", max_entries=100, max_bytes=100_000, clock=clock or VirtualClock())


async def test_every_operation_travels() -> None:
    clock = VirtualClock()
    carrier = Carrier(s=memory(clock))
    store = RemoteStore("s", carrier)
    await store.open()
    assert await store.get("a") is None
    await store.set("a", b"\xff\x00", None)
    assert (await store.get("a"), await store.has("a"), await store.ttl("a")) == (b"\xff\x00", True, math.inf)
    await store.set_many({"b": b"1", "c": b"2"}, 10.0)
    assert await store.get_many(["a", "b", "c", "d"]) == {"a": b"\xff\x00", "b": b"1", "c": b"2"}
    assert await store.ttl("b") == 10.0
    assert await store.incr("b", 4, None) == 5
    assert [await store.add("b", b"x", None), await store.add("d", b"x", 5.0)] == [False, True]
    assert await store.cas("d", b"x", b"y", None, keep_ttl=True)
    assert await store.ttl("d") == 5.0
    assert not await store.cas("d", b"x", b"z", None)
    assert await store.touch("d", 50.0)
    assert await store.expire_many(["a", "b", "nobody"], 7.0) == 2
    keys, following = await store.scan("", "", 100)
    assert (sorted(keys), following) == (["a", "b", "c", "d"], "")
    clock.advance(8.0)
    assert [await store.has(key) for key in "abcd"] == [False, False, True, True]
    assert [await store.delete("c"), await store.delete("c"), await store.delete_many(["d", "e"])] == [True, False, 1]
    await store.clear()
    await store.close()
    assert set(carrier.asked) == OPERATIONS


@pytest.mark.parametrize("error", [KvError, KvLimit, KvUnavailable, KvUnreadable, KvUnsupported])
async def test_what_goes_wrong_travels(error: type[KvError]) -> None:
    """With its type and its text."""

    class Broken(MemoryStore):
        async def get(self, key: str) -> bytes | None:
            raise error("kv.s: it is broken")

    broken = Broken("s", max_entries=1, max_bytes=1000, clock=VirtualClock())
    with pytest.raises(error, match=r"kv\.s: it is broken") as raised:
        await RemoteStore("s", Carrier(s=broken)).get("a")
    assert type(raised.value) is error


async def test_what_is_asked_for_in_a_wrong_way_is_refused() -> None:
    """Only operations, only of stores that are there, only with arguments that fit."""
    carrier = Carrier(s=memory())
    with pytest.raises(KvUnavailable, match="has no such one"):
        await RemoteStore("other", carrier).get("a")
    for operation, arguments, error in (
        ("close", b"\x90", "KvUnsupported"),
        ("__class__", b"\x90", "KvUnsupported"),
        ("get", b"\x90", "KvError"),
        ("get", b"\xc1", "KvError"),
        ("cas", b"\x90", "KvError"),
    ):
        assert (await carrier("s", operation, arguments)).error == error, operation


async def test_threads_use_it_over_the_loop_that_opened_it() -> None:
    store = RemoteStore("s", Carrier(s=memory()))
    blocking = store.blocking()
    with pytest.raises(KvUnavailable, match="it was not opened yet"):
        await blocking.get("a")
    await store.open()
    with pytest.raises(KvError, match="a blocking call would stop the event loop"):
        await blocking.get("a")

    def use() -> bytes | None:
        asyncio.run(blocking.set("a", b"1", None))
        return asyncio.run(blocking.get("a"))

    assert await asyncio.wait_for(asyncio.to_thread(use), 10) == b"1"
