"""The servers of the benchmarks, one to a process.

    python -m bench.servers grpcio|builtin|worker|bare-grpc|http|bare-http|web|bare-web|embedded|socketio [asyncio]

It prints its address when it takes calls, and ends when its standard input does. It runs on uvloop where that is
installed, and with ``asyncio`` on asyncio's own loop.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import grpc.aio
import msgspec
import uvicorn

from bench.pages import app as page
from bench.workload import PLUGINS, REALTIME, application, own
from rtbridge import logs
from rtbridge.app import Runtime
from rtbridge.cli.lifetime import run
from rtbridge.codec.descriptors import message_class
from rtbridge.config import parse_config
from rtbridge.loops import settle
from rtbridge.transport.base import Transport
from rtbridge.workers.parent import Parent

_PACKAGE: Final = "centrifugal.centrifugo.proxy"

#: Any port of this machine that is free.
_FREE: Final = "127.0.0.1:0"


@asynccontextmanager
async def _served(runtime: Runtime) -> AsyncIterator[str]:
    """Where the one transport of a runtime listens."""
    await runtime.boot()
    (transport,) = runtime.transports()
    await transport.start()
    try:
        yield transport.address
    finally:
        await runtime.stop([transport])


def _rtbridge(section: dict[str, Any]) -> AbstractAsyncContextManager[str]:
    return _served(application(config=parse_config(own(section)).config))


def grpcio() -> AbstractAsyncContextManager[str]:
    """The five plugins behind rtbridge's gRPC transport."""
    return _rtbridge({"centrifuge": {"proxy_address": f"tcp://{_FREE}"}, "rtbridge": {"grpc_server": "grpcio"}})


def builtin() -> AbstractAsyncContextManager[str]:
    """The five plugins behind rtbridge's own gRPC server."""
    return _rtbridge({"centrifuge": {"proxy_address": f"tcp://{_FREE}"}, "rtbridge": {"grpc_server": "builtin"}})


@asynccontextmanager
async def worker() -> AsyncIterator[str]:
    """The five plugins in one worker process; the parent has rtbridge's own gRPC server."""
    section = {
        "centrifuge": {"proxy_address": f"tcp://{_FREE}", "pool": {"num_workers": 1}},
        "logs": {"level": "warning"},
        "rtbridge": {"grpc_server": "builtin", "plugins": [f"bench.plugins.{name}" for name in PLUGINS]},
    }
    parent = Parent(parse_config(own(section)).config)
    parent.start(lazy=False)
    transports = list[Transport]()
    try:
        await parent.boot()
        transports += parent.transports()
        await transports[0].start()
        yield transports[0].address
    finally:
        await parent.stop(transports)


def http() -> AbstractAsyncContextManager[str]:
    """The five plugins behind rtbridge's HTTP transport."""
    return _rtbridge({"rtbridge": {"http_proxy": {"address": _FREE}}})


def embedded() -> AbstractAsyncContextManager[str]:
    """The five plugins behind rtbridge's own server of clients."""
    server = {"http_server": {"address": "127.0.0.1", "port": 0}, **REALTIME}
    return _rtbridge({"rtbridge": {"embedded": server}})


@asynccontextmanager
async def bare_grpc() -> AsyncIterator[str]:
    """The same call on grpc.aio alone: request to message, message to reply, and nothing in between."""
    request, response = message_class(f"{_PACKAGE}.RPCRequest"), message_class(f"{_PACKAGE}.RPCResponse")

    async def echo(message: Any, context: Any) -> Any:
        reply = response()
        reply.result.data = message.data
        return reply

    handler = grpc.unary_unary_rpc_method_handler(echo, request.FromString, response.SerializeToString)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(f"{_PACKAGE}.CentrifugoProxy", {"RPC": handler}),)
    )
    port = server.add_insecure_port(_FREE)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


class _Request(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw()


class _Result(msgspec.Struct):
    data: msgspec.Raw


class _Response(msgspec.Struct):
    result: _Result


async def _echo_app(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    reply = msgspec.json.encode(_Response(_Result(_DECODER.decode(body).data)))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(reply)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": reply})


_DECODER: Final = msgspec.json.Decoder(_Request)


def bare_http() -> AbstractAsyncContextManager[str]:
    """The same call on uvicorn alone: JSON in, JSON out."""
    return _uvicorn(_echo_app, server_header=False, date_header=False, timeout_keep_alive=3600, ws="none")


def web() -> AbstractAsyncContextManager[str]:
    """A page behind ``http.app``, as an HTTP worker runs it."""
    section = {"http": {"address": _FREE, "app": "bench.pages:app"}, "rtbridge": {"entry_points": False}}
    return _served(Runtime(parse_config({"version": "3", **section}).config))


def bare_web() -> AbstractAsyncContextManager[str]:
    """The same page on uvicorn alone."""
    return _uvicorn(page, server_header=False, date_header=False, timeout_keep_alive=3600, ws="none")


def socketio() -> AbstractAsyncContextManager[str]:
    """Rooms, publications and calls on python-socketio, as its documentation writes them."""
    import socketio

    server = socketio.AsyncServer(async_mode="asgi")

    async def subscribe(sid: str, room: str) -> None:
        await server.enter_room(sid, room)

    async def publish(sid: str, room: str, data: Any) -> None:
        await server.emit("publication", data, room=room)

    async def echo(sid: str, data: Any) -> Any:
        return data

    for handler in (subscribe, publish, echo):
        server.on(handler.__name__, handler)
    return _uvicorn(socketio.ASGIApp(server))


@asynccontextmanager
async def _uvicorn(app: Any, **options: Any) -> AsyncIterator[str]:
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off", **options)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        if serving.done():
            serving.result()
            raise SystemExit("uvicorn does not listen")
        await asyncio.sleep(0.01)
    try:
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


SERVERS: Final[dict[str, Callable[[], AbstractAsyncContextManager[str]]]] = {
    "grpcio": grpcio,
    "builtin": builtin,
    "worker": worker,
    "bare-grpc": bare_grpc,
    "http": http,
    "bare-http": bare_http,
    "web": web,
    "bare-web": bare_web,
    "embedded": embedded,
    "socketio": socketio,
}


async def _main(name: str) -> None:
    async with SERVERS[name]() as address:
        settle()  # as rtbridge serve does
        print(address, flush=True)
        with contextlib.suppress(EOFError):
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    name, *loop = sys.argv[1:] or [""]
    if name not in SERVERS or loop not in ([], ["asyncio"]):
        raise SystemExit(__doc__)
    logs.setup("warning")
    if loop:
        asyncio.run(_main(name))
    else:
        run(_main(name))
