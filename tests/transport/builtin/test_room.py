"""A process that may open no more files takes connections again when it may."""

import asyncio
from pathlib import Path

import pytest

from tests.transport.builtin.conftest import Server
from tests.transport.builtin.h2 import BOUND, Client, rpc

pytestmark = pytest.mark.timeout(120)

SAID = "gRPC takes no new connections for now: Too many open files"


async def test_no_file_for_a_connection(tmp_path: Path) -> None:
    """It says so once, serves who is there, and takes who waits when others have left."""
    log = tmp_path / "log"
    # Of 40 files 35 may be connections, and at least eight are something else.
    server = Server(files=40, log=log)
    try:
        other = await Client.open(server.address)
        assert (await other.call(rpc())).code == 0
        crowd = [await Client.connect(server.address) for _ in range(60)]
        async with asyncio.timeout(BOUND):
            while SAID not in log.read_text():
                await asyncio.sleep(0.01)
        for _ in range(100):
            assert (await other.call(rpc())).code == 0
        for client in crowd:
            await client.close()
        late = await Client.open(server.address)
        for client in (late, other):
            assert (await client.call(rpc())).code == 0
            await client.close()
    finally:
        server.stop()
    lines = log.read_text().splitlines()
    assert [line for line in lines if SAID not in line] == []
    assert sum("(0 more like it)" in line for line in lines) == 1
