"""A store that lives on one event loop, used from threads."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from rtbridge import Kv
from rtbridge.clock import SYSTEM_CLOCK
from rtbridge.plugins.kv.memory import MemoryStore
from rtbridge.stores.codec import Codec
from rtbridge.stores.elsewhere import Elsewhere
from rtbridge.stores.serializers import MsgpackSerializer


class OnLoop(MemoryStore):
    """A store that waits for its loop, as one behind a connection does."""

    async def get(self, key: str) -> bytes | None:
        await asyncio.sleep(0)
        return await super().get(key)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that a thread runs."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join(10)
    made.close()


def test_every_operation_runs_on_the_loop(loop: asyncio.AbstractEventLoop) -> None:
    inner = OnLoop("s", max_entries=100, max_bytes=100_000, clock=SYSTEM_CLOCK)
    store = Elsewhere(inner, lambda: loop)
    assert store.blocking() is store
    kv = Kv("s", store, Codec("s", MsgpackSerializer(), value_size=1000), SYSTEM_CLOCK).sync
    kv.set("a", [1], ttl=60)
    kv.set_many({"b": 2, "c": 3})
    assert (kv.get("a"), kv.has("a"), kv.get_many(["b", "c"])) == ([1], True, {"b": 2, "c": 3})
    assert kv.incr("n") == 1
    assert kv.add("d", 1)
    assert kv.cas("d", 1, 2)
    assert kv.touch("d", 60)
    assert 0 < (kv.ttl("d") or 0) <= 60
    assert kv.expire_many(["b"], 60) == 1
    assert sorted(kv.scan()) == ["a", "b", "c", "d", "n"]
    assert kv.delete("a")
    assert kv.delete_many(["b", "c"]) == 2
    kv.clear()
    assert kv.get("d") is None
    assert kv.get_or_set("e", lambda: 5) == 5
    with pytest.raises(TypeError):
        kv.get_or_set("f", object)
    kv.close()
    asyncio.run_coroutine_threadsafe(inner.open(), loop).result(10)


def test_a_store_that_waits_for_a_loop_is_no_blocking_one() -> None:
    kv = Kv(
        "s",
        OnLoop("s", max_entries=1, max_bytes=1000, clock=SYSTEM_CLOCK),
        Codec("s", MsgpackSerializer(), value_size=1000),
        SYSTEM_CLOCK,
    )
    with pytest.raises(RuntimeError, match="a blocking store waited for an event loop: a bug of its driver"):
        kv.sync.get("a")
