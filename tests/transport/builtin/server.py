"""rtbridge with its own gRPC server and a hook that echoes, in a process of its own.

    python -m tests.transport.builtin.server SETTINGS

``SETTINGS`` is the ``rtbridge`` section in JSON. It prints its address when it takes calls, and ends when its standard
input does.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator

from rtbridge import RPCEvent, RPCResult, SubscribeResult, hookimpl, logs
from rtbridge.app import Runtime
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.config import parse_config
from rtbridge.loops import run


class Echo:
    """Answers an RPC with its own data, as often as its method says, or never; streams never end, and read nothing."""

    @hookimpl
    async def on_rpc(self, event: RPCEvent) -> RPCResult:
        if event.method == "wait":
            await asyncio.Event().wait()
        return RPCResult(data=(event.raw_data or b"") * int(event.method or 1))

    @hookimpl
    async def on_subscribe_bidirectional(self) -> AsyncIterator[SubscribeResult]:
        yield SubscribeResult()
        await asyncio.Event().wait()


def runtime(clock: Clock = SYSTEM_CLOCK, **section: object) -> Runtime:
    """The hook behind a server on a free port of the loopback; ``section`` is laid over the ``rtbridge`` section."""
    own = {"entry_points": False, "grpc_server": "builtin", "drain_timeout": "1s", **section}
    config = {"version": "3", "centrifuge": {"proxy_address": "tcp://127.0.0.1:0"}, "rtbridge": own}
    return Runtime(parse_config(config).config, [Echo()], clock)


async def main(section: str) -> None:
    """Serve until the end of standard input."""
    served = runtime(**json.loads(section))
    await served.boot()
    transports = served.transports()
    for transport in transports:
        await transport.start()
    print(transports[0].address, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await served.stop(transports)


if __name__ == "__main__":
    logs.setup("error")
    run(main(sys.argv[1]))
