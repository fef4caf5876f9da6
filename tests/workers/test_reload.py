"""Workers are swapped one by one, by ones of the code and the configuration as they are now."""

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rtbridge.config import json_schema
from rtbridge.errors import PluginError
from rtbridge.workers.parent import RESTART, Parent, changed
from tests.workers.conftest import Pool, Project, configuration, soon, until

Start = Callable[..., Awaitable[Pool]]

VERSIONED = """
    from rtbridge import RPCResult, hookimpl
    @hookimpl
    async def on_rpc(event): return RPCResult(data=VERSION)
"""


def versioned(version: int) -> str:
    return VERSIONED.replace("VERSION", str(version))


async def test_a_reload_takes_the_code_as_it_is_now(start: Start, project: Project) -> None:
    pool = await start(versioned(1), num_workers=2)
    before = await pool.ready(2)
    assert (await pool.ask()).data == 1
    project.write("plugged.py", versioned(2))
    await soon(pool.parent.reload(pool.parent.config))
    after = await pool.ready(2)
    assert not set(before) & set(after)
    assert {(await pool.ask()).data for _ in range(4)} == {2}


async def test_a_reload_that_fails_leaves_everything_as_it_was(start: Start, project: Project) -> None:
    """The first successor that does not start ends it."""
    pool = await start(versioned(1), num_workers=2)
    before = await pool.ready(2)
    project.write("plugged.py", "1/0")
    with pytest.raises(PluginError, match="plugin plugged cannot be imported"):
        await soon(pool.parent.reload(pool.parent.config))
    assert await pool.ready(2) == before
    assert (await pool.ask()).data == 1
    assert pool.parent.readiness.ready
    fewer = configuration(["plugged"], {"num_workers": 1})
    with pytest.raises(PluginError, match="plugin plugged cannot be imported"):
        await soon(pool.parent.reload(fewer))
    assert await pool.ready(2) == before
    project.write("plugged.py", "import os; os._exit(3)")
    with pytest.raises(PluginError, match="worker 1 does not start: it exited with code 3"):
        await soon(pool.parent.reload(pool.parent.config))
    assert await pool.ready(2) == before


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
async def test_a_reload_changes_how_many_there_are(start: Start, before: int, after: int) -> None:
    pool = await start(versioned(1), num_workers=before)
    await pool.ready(before)
    await soon(pool.parent.reload(configuration(["plugged"], {"num_workers": after})))
    await pool.ready(after)
    assert sorted(worker.number for worker in pool.workers()) == list(range(1, after + 1))
    assert pool.parent.readiness.ready


async def test_a_reload_brings_new_limits_and_a_new_environment(start: Start) -> None:
    text = """
        import os
        from rtbridge import RPCResult, hookimpl
        @hookimpl
        async def on_rpc(event): return RPCResult(data=[os.environ.get("APP"), os.environ.get("GONE")])
    """
    pool = await start(text, own={"server": {"env": {"APP": "1", "GONE": "x"}}})
    assert (await pool.ask()).data == ["1", "x"]
    config = configuration(["plugged"], {"num_workers": 1, "max_jobs": 3}, server={"env": {"APP": "2"}})
    await soon(pool.parent.reload(config))
    assert (await pool.ask()).data == ["2", None]
    (pid,) = await pool.ready(1)
    for _ in range(3):
        await pool.ask()
    await pool.replaced(pid)


async def test_calls_under_way_end_where_they_are(start: Start) -> None:
    """The old worker keeps them, the new one gets the next."""
    pool = await start()
    held = asyncio.create_task(pool.ask("until", "go"))
    await until(lambda: [worker.held for worker in pool.workers()] == [1])
    (old,) = await pool.ready(1)
    await soon(pool.parent.reload(pool.parent.config))
    assert {worker.state for worker in pool.workers()} == {"ready", "retiring"}
    assert (await pool.ask("pid")).data != old
    pool.go()
    assert (await soon(held)).data == old
    await pool.ready(1)


async def test_a_reload_heals_a_crash_loop(start: Start, project: Project) -> None:
    pool = await start("1/0", own={"lazy_boot": True})
    await until(lambda: any("times in a row" in why for why in pool.parent.readiness.reasons))
    project.write("plugged.py", versioned(3))
    await soon(pool.parent.reload(pool.parent.config))
    assert (await pool.ask()).data == 3
    await until(lambda: pool.parent.readiness.ready)


async def test_a_reload_is_bounded(start: Start, project: Project) -> None:
    """reset_timeout; what was swapped by then stays."""
    pool = await start(versioned(1), reset_timeout="500ms")
    before = await pool.ready(1)
    project.write("plugged.py", "import time; time.sleep(3600)")
    with pytest.raises(TimeoutError):
        await soon(pool.parent.reload(pool.parent.config))
    assert await pool.ready(1) == before


async def test_reloads_come_one_after_the_other(start: Start) -> None:
    pool = await start(versioned(1))
    await soon(asyncio.gather(*(pool.parent.reload(pool.parent.config) for _ in range(3))))
    await pool.ready(1)


def test_what_changed_is_told_by_its_key() -> None:
    one = configuration(["a"], {"num_workers": 1})
    other = configuration(["a", "b"], {"num_workers": 2}, secret={"values": ["s"]})
    assert changed(one, other) == ["centrifuge.pool.num_workers", "rtbridge.plugins", "rtbridge.secret"]
    assert changed(one, one) == []


def test_keys_that_need_a_restart_exist() -> None:
    for key in RESTART:
        section: dict[str, Any] = json_schema()
        for name in key.split("."):
            assert name in section["properties"], key
            section = section["properties"][name]


async def test_what_a_reload_cannot_change_is_named() -> None:
    """Listeners, and stores in memory that are there already; a store that comes or goes is none of them."""

    def stores(*kept: str, **changed: str) -> dict[str, Any]:
        return {name: {"driver": "memory", "config": {"max_bytes": changed.get(name, "1MB")}} for name in kept}

    parent = Parent(configuration(["a"], {"num_workers": 1}, kv_stores=stores("users", "rooms")))
    same = configuration(["b"], {"num_workers": 2}, kv_stores=stores("users", "new"))
    assert parent.restart_keys(same) == []
    other = configuration(
        ["a"], {"num_workers": 1}, max_connection_age="5s", kv_stores=stores("users", "rooms", rooms="2MB")
    )
    assert parent.restart_keys(other) == ["rtbridge.max_connection_age", "kv.rooms"]


def test_a_configuration_travels() -> None:
    config = configuration(
        ["a"], {"supervisor": {"ttl": "1s"}}, unhandled={"rpc": {"error": {"code": 104}}}, secret={"values": ["s"]}
    )
    assert pickle.loads(pickle.dumps(config)) == config
