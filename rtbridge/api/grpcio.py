"""The server API over gRPC: one connection that comes back by itself, in coroutines and for threads."""

import asyncio
import os
import threading
import time
from typing import Any, Final

import grpc
import grpc.aio

from rtbridge.api._proto_generated import CALLS
from rtbridge.api.base import Api, SyncApi
from rtbridge.api.retries import Attempts, repeatable
from rtbridge.api.settings import GrpcSettings, Trust
from rtbridge.errors import ApiError, ApiFailure, ConfigError, InvalidMessage

_SERVICE: Final = "centrifugal.centrifugo.api.CentrifugoApi"

#: Status of an API error in Centrifugo's transport error mode; a status that stands for two is the more frequent one.
_CODES: Final = {
    grpc.StatusCode.NOT_FOUND: 102,
    grpc.StatusCode.INVALID_ARGUMENT: 107,
    grpc.StatusCode.OUT_OF_RANGE: 112,
    grpc.StatusCode.ALREADY_EXISTS: 113,
}

#: Texts of those errors → their codes, where the status alone does not say which one it is.
_TEXTS: Final = {"unknown channel": 102, "not found": 104, "bad request": 107, "not available": 108}

#: How gRPC's core says that a call has not left this machine.
_NOT_SENT: Final = ("failed to connect", "DNS resolution failed", "DNS query")

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


class _Shared:
    """What both clients know."""

    def __init__(self, settings: GrpcSettings) -> None:
        self.settings = settings
        self.metadata = () if settings.key is None else (("authorization", f"apikey {settings.key}"),)
        self.compression = grpc.Compression.Gzip if settings.compress else None
        self.options = list(_OPTIONS)
        if settings.trust is not None and settings.trust.server_name is not None:
            self.options.append(("grpc.ssl_target_name_override", settings.trust.server_name))

    def credentials(self) -> grpc.ChannelCredentials | None:
        """TLS; None for plaintext.

        Raises:
            ConfigError: A file cannot be used.

        """
        return None if self.settings.trust is None else _credentials(self.settings.trust)

    def encode(self, method: str, request: Any) -> tuple[str, bytes]:
        """The path and the bytes of a call.

        Raises:
            ApiError: 107, a value is none that the message can carry.

        """
        name, write, _ = CALLS[method]
        try:
            return f"/{_SERVICE}/{name}", write(request)
        except (ValueError, TypeError) as exc:
            raise ApiError(107, f"bad request: {exc}") from exc

    def decode(self, method: str, data: bytes) -> Any:
        """The result in an answer.

        Raises:
            ApiError: The server refused the call.
            ApiFailure: The answer is none of the server API's.

        """
        try:
            answer = CALLS[method][2](data)
        except InvalidMessage as exc:
            raise ApiFailure(f"{self.settings.target} answers something else than the server API does") from exc
        if method == "batch":
            return answer
        if answer.error is not None:
            raise ApiError(answer.error.code, answer.error.message)
        if answer.result is None:
            raise ApiFailure(f"{self.settings.target} answers {method} with neither a result nor an error")
        return answer.result

    def refusal(self, method: str, error: Any) -> ApiError:
        """What a status other than OK means."""
        code, details = error.code(), error.details() or ""
        where, settings = f"gRPC {self.settings.target}", self.settings
        if code in _CODES:
            return ApiError(_TEXTS.get(details, _CODES[code]), details)
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return ApiFailure(f"{where} refuses the API key: check {settings.key_from}", False)
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return ApiFailure(f"{where} has no method {method}: it is another service, or an older Centrifugo", False)
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return ApiFailure(f"{where} takes no request as large as this one: {details}", False)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return ApiFailure(f"{where} did not answer within {settings.timeout:g} s", True, True)
        if code is grpc.StatusCode.UNAVAILABLE and any(text in details for text in _NOT_SENT):
            return ApiFailure(
                f"nothing answers on {where}: {details}; is grpc_api.enabled set in Centrifugo, and this its address?",
                False,
                True,
            )
        if code is grpc.StatusCode.UNAVAILABLE:
            return ApiFailure(f"the connection to {where} broke: {details}", True, True)
        return ApiFailure(f"{where}: {code.name}: {details}")


def _credentials(trust: Trust) -> grpc.ChannelCredentials:
    try:
        root = None if trust.authority is None else trust.authority.read_bytes()
        cert = None if trust.cert is None else trust.cert.read_bytes()
        key = None if trust.key is None else trust.key.read_bytes()
    except OSError as exc:
        raise ConfigError(f"a TLS file for the server API cannot be used: {exc.filename}: {exc.strerror}") from exc
    return grpc.ssl_channel_credentials(root, key, cert)


class GrpcApi(Api):
    """The server API over gRPC. Its connection belongs to the event loop that made it.

    Args:
        settings: Where and how.

    """

    def __init__(self, settings: GrpcSettings) -> None:
        self._shared = _Shared(settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._channel: grpc.aio.Channel | None = None

    def __repr__(self) -> str:
        return f"GrpcApi({self._shared.settings.target!r})"

    async def call(self, method: str, request: Any) -> Any:
        """See :meth:`Api.call`."""
        shared = self._shared
        path, body = shared.encode(method, request)
        attempts = Attempts(shared.settings.timeout, repeatable(method, request))
        while True:
            try:
                send: Any = self._connection().unary_unary(path)
                data = await send(body, timeout=attempts.left, metadata=shared.metadata)
                return shared.decode(method, data)
            except grpc.aio.AioRpcError as exc:
                refused = shared.refusal(method, exc)
                if not isinstance(refused, ApiFailure):
                    raise refused from exc
                refused.__cause__ = exc
                await asyncio.sleep(attempts.again(refused))

    def _connection(self) -> grpc.aio.Channel:
        loop = asyncio.get_running_loop()
        if self._channel is None or self._loop is not loop:
            shared, credentials = self._shared, self._shared.credentials()
            self._loop = loop
            if credentials is None:
                self._channel = grpc.aio.insecure_channel(
                    shared.settings.target, shared.options, compression=shared.compression
                )
            else:
                self._channel = grpc.aio.secure_channel(
                    shared.settings.target, credentials, shared.options, compression=shared.compression
                )
        return self._channel

    async def close(self) -> None:
        """Close the connection; a later call opens another one."""
        channel, self._channel = self._channel, None
        if channel is not None and self._loop is asyncio.get_running_loop():
            await channel.close()


class SyncGrpcApi(SyncApi):
    """The server API over gRPC, for threads. A forked process opens a connection of its own.

    Args:
        settings: Where and how.

    """

    def __init__(self, settings: GrpcSettings) -> None:
        self._shared = _Shared(settings)
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._channel: grpc.Channel | None = None

    def __repr__(self) -> str:
        return f"SyncGrpcApi({self._shared.settings.target!r})"

    def call(self, method: str, request: Any) -> Any:
        """See :meth:`Api.call`."""
        shared = self._shared
        path, body = shared.encode(method, request)
        attempts = Attempts(shared.settings.timeout, repeatable(method, request))
        while True:
            try:
                send: Any = self._connection().unary_unary(path)
                return shared.decode(method, send(body, timeout=attempts.left, metadata=shared.metadata))
            except grpc.RpcError as exc:
                refused = shared.refusal(method, exc)
                if not isinstance(refused, ApiFailure):
                    raise refused from exc
                refused.__cause__ = exc
                time.sleep(attempts.again(refused))

    def _connection(self) -> grpc.Channel:
        with self._lock:
            if self._channel is None or self._process != os.getpid():
                shared, credentials = self._shared, self._shared.credentials()
                self._process = os.getpid()
                if credentials is None:
                    self._channel = grpc.insecure_channel(shared.settings.target, shared.options, shared.compression)
                else:
                    self._channel = grpc.secure_channel(
                        shared.settings.target, credentials, shared.options, shared.compression
                    )
            return self._channel

    def close(self) -> None:
        """Close the connection; a later call opens another one."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None and self._process == os.getpid():
            channel.close()
