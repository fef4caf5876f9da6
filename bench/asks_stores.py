"""The hook that asks a store in the parent, and run as a program a bare gRPC server that sends back what it gets."""

import asyncio
from typing import Any

import grpc.aio

from bench.stores import gets
from rtbridge import KvStores, RPCEvent, RPCResult, hookimpl


@hookimpl
async def on_rpc(event: RPCEvent, kv: KvStores) -> RPCResult:
    return RPCResult(data=await gets(kv("s"), event.data))


async def serve() -> None:
    async def echo(request: bytes, context: Any) -> bytes:
        return request

    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
