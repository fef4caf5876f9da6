"""The hook that publishes from a worker, and run as a program a gRPC API that answers every publication at once."""

import asyncio
from typing import Any

import grpc.aio

from bench.api import PAYLOAD, measured
from rtbridge import Api, RPCEvent, RPCResult, hookimpl
from rtbridge.codec.descriptors import message_class


@hookimpl
async def on_rpc(event: RPCEvent, api: Api) -> RPCResult:
    return RPCResult(data=await measured(lambda: api.publish("bench", PAYLOAD), event.data))


async def serve() -> None:
    response = message_class("centrifugal.centrifugo.api.PublishResponse")()
    response.result.offset = 1
    answer: bytes = response.SerializeToString()

    async def publish(request: bytes, context: Any) -> bytes:
        return answer

    server = grpc.aio.server()
    handlers: Any = {"Publish": grpc.unary_unary_rpc_method_handler(publish)}
    service = "centrifugal.centrifugo.api.CentrifugoApi"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
