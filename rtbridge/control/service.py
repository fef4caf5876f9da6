"""The control RPC on grpc.aio. The messages are ours (``proto/rtbridge/control.proto``), in our own pool."""

import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio

from rtbridge.clock import SYSTEM_CLOCK
from rtbridge.codec.control import PACKAGE, SERVICE, TOKEN
from rtbridge.codec.descriptors import message_class
from rtbridge.config import Address
from rtbridge.control.base import Controlled
from rtbridge.denial import Throttle
from rtbridge.errors import ListenError
from rtbridge.transport.base import Secret
from rtbridge.transport.settings import bind, clear_socket

log = logging.getLogger("rtbridge.control")

#: Bytes of a request at most: a value of a store, a payload of the server API.
_LARGEST: Final = 64 * 1024**2


class ControlTransport:
    """Serves the control RPC.

    Args:
        controlled: The process.
        address: ``host:port`` or ``unix:path``.
        token: What callers have to show; None for nothing.

    """

    name = "rpc"

    def __init__(self, controlled: Controlled, address: Address, token: str | None) -> None:
        self._controlled = controlled
        self._secret = None if token is None else Secret(TOKEN, [token])
        self._server: grpc.aio.Server | None = None
        self._throttle = Throttle(SYSTEM_CLOCK)
        self.address = address.target

    async def start(self) -> None:
        """Bind and begin to take calls; a Unix socket is for this user alone."""
        unix = self.address.startswith("unix:")
        clear_socket(self.address, "the control RPC")
        if not unix:
            bind(self.address, "the control RPC").close()
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _LARGEST)])
        handlers: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(self._guarded(serve))
            for name, serve in (
                ("Reload", self._reload),
                ("Workers", self._workers),
                ("Stop", self._stop),
                ("Store", self._store),
                ("Api", self._api),
            )
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        before = os.umask(0o177) if unix else None
        try:
            port = server.add_insecure_port(self.address)
            await server.start()
        except (RuntimeError, OSError):
            await server.stop(None)
            del server
            raise ListenError(f"the control RPC cannot listen on {self.address}") from None
        finally:
            if before is not None:
                os.umask(before)
        if not unix:
            self.address = f"{self.address.rpartition(':')[0]}:{port}"
        self._server = server

    async def stop(self, timeout: float) -> None:
        """Take no new calls, and end."""
        if self._server is not None:
            await self._server.stop(timeout)

    def _guarded(self, serve: Callable[[bytes], Awaitable[Any]]) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def answer(request: bytes, context: Any) -> bytes:
            if self._secret is not None:
                metadata = context.invocation_metadata() or ()
                if not self._secret.admits(value for name, value in metadata if name == TOKEN):
                    if (held := self._throttle.admit("token")) is not None:
                        log.warning("refused a call of the control RPC from %s (%d more)", context.peer(), held)
                    await context.abort(grpc.StatusCode.UNAUTHENTICATED, f"metadata {TOKEN}: missing or wrong")
            return bytes((await serve(request)).SerializeToString())

        return answer

    async def _reload(self, request: bytes) -> Any:
        done = await self._controlled.reload()
        return message_class(f"{PACKAGE}.ReloadReply")(
            error=done.error, restart=list(done.restart), notices=list(done.notices), workers=done.workers
        )

    async def _workers(self, request: bytes) -> Any:
        seen = self._controlled.seen()
        worker = message_class(f"{PACKAGE}.Worker")
        return message_class(f"{PACKAGE}.WorkersReply")(
            workers=[worker(**each) for each in seen.workers],
            queue=seen.queue,
            ready=seen.ready,
            reasons=list(seen.reasons),
            pid=seen.pid,
        )

    async def _store(self, request: bytes) -> Any:
        asked = message_class(f"{PACKAGE}.StoreRequest").FromString(request)
        done = await self._controlled.store(asked.store, asked.operation, asked.arguments)
        return message_class(f"{PACKAGE}.StoreReply")(result=done.result, error=done.error, message=done.message)

    async def _api(self, request: bytes) -> Any:
        asked = message_class(f"{PACKAGE}.ApiRequest").FromString(request)
        done = await self._controlled.api(asked.method, asked.request)
        return message_class(f"{PACKAGE}.ApiReply")(result=done.result, code=done.code, message=done.message)

    async def _stop(self, request: bytes) -> Any:
        asked = message_class(f"{PACKAGE}.StopRequest").FromString(request)
        self._controlled.stop(force=asked.force)
        return message_class(f"{PACKAGE}.StopReply")()
