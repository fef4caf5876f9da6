"""The application of the benchmarks as a module, for worker processes, and a method that burns CPU."""

import time

from bench.workload import Chat
from rtbridge import RPCEvent, RPCResult, hookimpl

#: Seconds of CPU that ``burn`` takes.
BURN = 0.001

router = Chat().router


@hookimpl
async def on_rpc(event: RPCEvent) -> RPCResult | None:
    if event.method != "burn":
        return None
    until = time.thread_time() + BURN
    while time.thread_time() < until:
        pass
    return RPCResult()
