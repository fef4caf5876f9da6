"""Stores in memory: one for all workers, in their parent."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from tests.workers.conftest import Pool, soon

Start = Callable[..., Awaitable[Pool]]

HOOKS = """
    import os
    from rtbridge import KvLimit, RPCResult, hookimpl

    @hookimpl
    async def on_boot(kv):
        await kv("shared").set(f"booted-{os.getpid()}", True)

    @hookimpl
    async def on_rpc(event, kv):
        store = kv("shared")
        match event.method:
            case "set": await store.set("key", event.data, ttl=60)
            case "get": return RPCResult(data=await store.get("key"))
            case "count": return RPCResult(data=[await store.incr("n"), os.getpid()])
            case "booted": return RPCResult(data=sorted([int(k[7:]) async for k in store.scan("booted-")]))
            case "large":
                try:
                    await store.set("large", "x" * event.data)
                except KvLimit as exc:
                    return RPCResult(data=str(exc))
        return RPCResult()

    @hookimpl
    def on_publish(event, kv):
        kv("shared").sync.incr("published")
        return None
"""

KV: dict[str, Any] = {"shared": {"driver": "memory", "config": {"max_bytes": "1MB"}}}


async def test_all_workers_see_one_store(start: Start) -> None:
    pool = await start(HOOKS, num_workers=2, own={"kv_stores": KV})
    pids = await pool.ready(2)
    assert (await pool.ask("booted")).data == sorted(pids)
    await pool.ask("set", {"a": [1, "ü"]})
    assert [(await pool.ask("get")).data for _ in range(4)] == [{"a": [1, "ü"]}] * 4
    counted = [(await soon(each)).data for each in [asyncio.create_task(pool.ask("count")) for _ in range(200)]]
    assert sorted(number for number, _ in counted) == list(range(1, 201))
    assert {pid for _, pid in counted} == set(pids)


async def test_what_is_in_it_outlives_a_worker(start: Start) -> None:
    """A crash and a reload."""
    pool = await start(HOOKS, own={"kv_stores": KV})
    (pid,) = await pool.ready(1)
    await pool.ask("set", "kept")
    os.kill(pid, signal.SIGKILL)
    await pool.replaced(pid)
    assert (await pool.ask("get")).data == "kept"
    await soon(pool.parent.reload(pool.parent.config))
    assert (await pool.ask("get")).data == "kept"


async def test_hooks_on_threads_use_it_too(start: Start) -> None:
    pool = await start(HOOKS, own={"kv_stores": KV})
    for _ in range(3):
        await pool.send("publish", b"")
    assert await pool.parent.stores["shared"].get("published") == b"3"


async def test_its_bounds_hold_for_all_workers(start: Start) -> None:
    pool = await start(HOOKS, own={"kv_stores": KV})
    assert "kv store shared: a value of" in (await pool.ask("large", 2_000_000)).data
    assert (await pool.ask("count")).data[0] == 1
