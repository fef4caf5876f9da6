"""The stores that a running process has in its memory, used from any other process over the control RPC."""

import asyncio
import threading
from typing import Any, Final

import grpc
import grpc.aio

from rtbridge.codec.control import PACKAGE, SERVICE, TOKEN
from rtbridge.codec.descriptors import message_class
from rtbridge.config import Address
from rtbridge.control.client import fault
from rtbridge.stores import Store
from rtbridge.stores.remote import Performed, RemoteStore

_METHOD: Final = f"/{SERVICE}/Store"

#: Seconds that one operation may take.
_TIMEOUT: Final = 10.0

_OPTIONS: Final = [("grpc.max_receive_message_length", -1), ("grpc.initial_reconnect_backoff_ms", 100)]


class ControlStores:
    """Stores by name.

    Args:
        address: Where the control RPC listens.
        token: ``rtbridge.rpc_token``; None where none is wanted.

    """

    def __init__(self, address: Address, token: str | None) -> None:
        self._address = address
        self._metadata = () if token is None else ((TOKEN, token),)
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._awaited: tuple[Any, grpc.aio.Channel] | None = None

    def store(self, name: str) -> Store:
        """A store of the process; nothing is connected yet."""
        return RemoteStore(name, self._ask, self._ask_blocking)

    async def _ask(self, store: str, operation: str, arguments: bytes) -> Performed:
        loop = asyncio.get_running_loop()
        if self._awaited is None or self._awaited[0] is not loop:
            self._awaited = loop, grpc.aio.insecure_channel(self._address.target, _OPTIONS)
        send: Any = self._awaited[1].unary_unary(_METHOD)
        try:
            return _read(await send(_request(store, operation, arguments), timeout=_TIMEOUT, metadata=self._metadata))
        except grpc.aio.AioRpcError as exc:
            return self._failed(store, exc)

    def _ask_blocking(self, store: str, operation: str, arguments: bytes) -> Performed:
        with self._lock:
            if self._channel is None:
                self._channel = grpc.insecure_channel(self._address.target, _OPTIONS)
        send: Any = self._channel.unary_unary(_METHOD)
        try:
            return _read(send(_request(store, operation, arguments), timeout=_TIMEOUT, metadata=self._metadata))
        except grpc.RpcError as exc:
            return self._failed(store, exc)

    def _failed(self, store: str, exc: Any) -> Performed:
        return Performed(b"", "KvUnavailable", f"kv store {store}: {fault(self._address, exc)}")


def _request(store: str, operation: str, arguments: bytes) -> bytes:
    request = message_class(f"{PACKAGE}.StoreRequest")(store=store, operation=operation, arguments=arguments)
    return bytes(request.SerializeToString())


def _read(reply: bytes) -> Performed:
    message = message_class(f"{PACKAGE}.StoreReply").FromString(reply)
    return Performed(message.result, message.error, message.message)
