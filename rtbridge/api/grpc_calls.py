"""Calls over a gRPC connection that comes back by itself, in coroutines and for threads; a wire says what they are."""

import asyncio
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import grpc
import grpc.aio

from rtbridge.api.base import Api, SyncApi
from rtbridge.api.retries import Attempts, repeatable
from rtbridge.api.settings import seconds
from rtbridge.errors import ApiError, ApiFailure

#: How gRPC's core says that a call has not left this machine.
_NOT_SENT: Final = ("failed to connect", "DNS resolution failed", "DNS query")

#: Of every connection.
_OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A server that comes back is found within a second; by default it may take two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Retries are decided here, where it is known what may happen twice.
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]


class GrpcWire(ABC):
    """What is said on a connection.

    Args:
        target: ``host:port`` or ``unix:path``.
        timeout: Seconds that a call may take where its caller does not say.
        metadata: Sent with every call.

    Attributes:
        options: Of the connection.
        compression: Of requests; None for none.

    """

    def __init__(self, target: str, timeout: float, metadata: Sequence[tuple[str, str]]) -> None:
        self.target = target
        self.timeout = timeout
        self.metadata = tuple(metadata)
        self.options = list(_OPTIONS)
        self.compression: grpc.Compression | None = None

    def credentials(self) -> grpc.ChannelCredentials | None:
        """TLS; None for plaintext.

        Raises:
            ConfigError: A file cannot be used.

        """
        return None

    @abstractmethod
    def encode(self, method: str, request: Any) -> tuple[str, bytes]:
        """The path and the bytes of a call.

        Raises:
            ApiError: 107, a value is none that the message can carry.

        """

    @abstractmethod
    def decode(self, method: str, data: bytes) -> Any:
        """The result in an answer.

        Raises:
            ApiError: The server refused the call.
            ApiFailure: The answer is none of the server API's.

        """

    @abstractmethod
    def refusal(self, method: str, code: grpc.StatusCode, details: str) -> ApiError | None:
        """What a status other than OK means; None for one that means the same on every wire."""

    @abstractmethod
    def unreached(self, details: str) -> str:
        """What is said where nobody listens."""


def _refusal(wire: GrpcWire, method: str, error: Any, timeout: float) -> ApiError:
    code, details = error.code(), error.details() or ""
    found = wire.refusal(method, code, details)
    if found is not None:
        return found
    where = f"gRPC {wire.target}"
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return ApiFailure(f"{where} takes no request as large as this one: {details}", False)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return ApiFailure(f"{where} did not answer within {timeout:g} s", True, True)
    if code is grpc.StatusCode.UNAVAILABLE and any(text in details for text in _NOT_SENT):
        return ApiFailure(wire.unreached(details), False, True)
    if code is grpc.StatusCode.UNAVAILABLE:
        return ApiFailure(f"the connection to {where} broke: {details}", True, True)
    return ApiFailure(f"{where}: {code.name}: {details}")


class AsyncCalls(Api):
    """The server API over a gRPC connection, which belongs to the event loop that made it.

    Args:
        wire: What is said on it.
        sync: The same for threads.

    """

    def __init__(self, wire: GrpcWire, sync: SyncApi) -> None:
        self.sync = sync
        self._wire = wire
        self._loop: asyncio.AbstractEventLoop | None = None
        self._channel: grpc.aio.Channel | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._wire.target!r})"

    async def call(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """See :meth:`Api.call`."""
        wire = self._wire
        attempts = Attempts(seconds(timeout, wire.timeout), repeatable(method, request))
        path, body = wire.encode(method, request)
        while True:
            try:
                send: Any = self._connection().unary_unary(path)
                return wire.decode(method, await send(body, timeout=attempts.left, metadata=wire.metadata))
            except grpc.aio.AioRpcError as exc:
                refused = _refusal(wire, method, exc, attempts.timeout)
                if not isinstance(refused, ApiFailure):
                    raise refused from exc
                refused.__cause__ = exc
                await asyncio.sleep(attempts.again(refused))

    def _connection(self) -> grpc.aio.Channel:
        loop = asyncio.get_running_loop()
        if self._channel is None or self._loop is not loop:
            wire, credentials = self._wire, self._wire.credentials()
            self._loop = loop
            if credentials is None:
                self._channel = grpc.aio.insecure_channel(wire.target, wire.options, compression=wire.compression)
            else:
                self._channel = grpc.aio.secure_channel(
                    wire.target, credentials, wire.options, compression=wire.compression
                )
        return self._channel

    async def close(self) -> None:
        """Close the connection; a later call opens another one."""
        self.sync.close()
        channel, self._channel = self._channel, None
        if channel is not None and self._loop is asyncio.get_running_loop():
            await channel.close()


class BlockingCalls(SyncApi):
    """The server API over a gRPC connection, for threads. A forked process opens a connection of its own.

    Args:
        wire: What is said on it.

    """

    def __init__(self, wire: GrpcWire) -> None:
        self._wire = wire
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._channel: grpc.Channel | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._wire.target!r})"

    def call(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """See :meth:`Api.call`."""
        wire = self._wire
        attempts = Attempts(seconds(timeout, wire.timeout), repeatable(method, request))
        path, body = wire.encode(method, request)
        while True:
            try:
                send: Any = self._connection().unary_unary(path)
                return wire.decode(method, send(body, timeout=attempts.left, metadata=wire.metadata))
            except grpc.RpcError as exc:
                refused = _refusal(wire, method, exc, attempts.timeout)
                if not isinstance(refused, ApiFailure):
                    raise refused from exc
                refused.__cause__ = exc
                time.sleep(attempts.again(refused))

    def _connection(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None or self._process != os.getpid():
                wire, credentials = self._wire, self._wire.credentials()
                self._process = os.getpid()
                if credentials is None:
                    self._channel = grpc.insecure_channel(wire.target, wire.options, wire.compression)
                else:
                    self._channel = grpc.secure_channel(wire.target, credentials, wire.options, wire.compression)
            return self._channel

    def close(self) -> None:
        """Close the connection; a later call opens another one."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None and self._process == os.getpid():
            channel.close()
