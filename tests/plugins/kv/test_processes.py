"""Many processes on one store, each with a configuration of its own that says the same: no update is lost."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest

import rtbridge
from rtbridge.config import Address, load_config
from rtbridge.control.service import ControlTransport
from rtbridge.plugins.kv import memory_stores, open_stores
from rtbridge.stores import Store
from rtbridge.stores.remote import Performed, perform

PROCESSES: Final = 8
COUNTS: Final = 40

#: Counts, and takes tickets that are given once each, by comparison.
COUNT: Final = """
import sys
import rtbridge

rtbridge.load_config(sys.argv[1])
kv = rtbridge.kv("s").sync
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    if sys.argv[3] == "incr":
        kv.incr("n")
    while not kv.cas("ticket", (found := kv.get("ticket")), found + 1):
        pass
kv.close()
"""

pytestmark = pytest.mark.timeout(180)


class Served:
    """A process with stores in its memory, as the control RPC sees it."""

    def __init__(self, stores: dict[str, Store]) -> None:
        self._stores = stores

    async def store(self, name: str, operation: str, arguments: bytes) -> Performed:
        """See :class:`rtbridge.control.base.Controlled`."""
        return await perform(self._stores, name, operation, arguments)


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("name", ["memory", "sqlite", "redis", "memcached"])
async def test_processes_lose_no_update(
    name: str,
    encrypted: bool,
    tmp_path: Path,
    driver_config: Callable[[str], dict[str, Any]],
    request: pytest.FixtureRequest,
) -> None:
    """Eight on one counter: the driver's own, and one that is read and compared."""
    given: dict[str, Any] = {"version": "3", "kv": {"s": {"driver": name, "config": driver_config(name)}}}
    if encrypted:
        given["rtbridge"] = {"kv": {"keypair_path": str(request.getfixturevalue("keypair"))}}
    async with AsyncExitStack() as stack:
        if name == "memory":
            given["rpc"] = {"listen": f"unix://{tmp_path}/rpc.sock"}
        file = tmp_path / "kv.yaml"
        file.write_text(json.dumps(given))
        config = load_config(file).config
        served = memory_stores(config)
        if config.rpc is not None:
            controlled: Any = Served(served)
            transport = ControlTransport(controlled, Address(path=f"{tmp_path}/rpc.sock"), None)
            await transport.start()
            stack.push_async_callback(transport.stop, 0)
        stores = open_stores(config, elsewhere=served)
        stack.push_async_callback(stores.close)
        kv = stores("s")
        await kv.set("ticket", 0)
        counts = COUNTS // 2 if encrypted else COUNTS  # every update is a race of reads and comparisons then
        lacking = encrypted and name == "memcached"  # it counts itself, or not at all
        processes = [await start(str(file), str(counts), "" if lacking else "incr") for _ in range(PROCESSES)]
        try:
            for process in processes:
                assert process.stdout is not None
                assert await process.stdout.readline() == b"ready\n"
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(b"\n")
            found = await asyncio.gather(*(process.wait() for process in processes))
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        assert found == [0] * PROCESSES
        total = PROCESSES * counts
        assert await kv.get_many(["n", "ticket"]) == {"ticket": total} | ({} if lacking else {"n": total})


async def start(*arguments: str) -> asyncio.subprocess.Process:
    """A Python process that counts once it is told to."""
    environment = {**os.environ, "PYTHONPATH": str(Path(rtbridge.__file__).parents[1])}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", COUNT, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
