"""The server API of a Centrifugo over gRPC."""

from typing import Any, Final

import grpc

from rtbridge.api._proto_generated import CALLS
from rtbridge.api.grpc_calls import AsyncCalls, BlockingCalls, GrpcWire
from rtbridge.api.settings import GrpcSettings
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


class _Wire(GrpcWire):
    """What is said to a Centrifugo."""

    def __init__(self, settings: GrpcSettings) -> None:
        key = settings.key
        super().__init__(settings.target, settings.timeout, [] if key is None else [("authorization", f"apikey {key}")])
        self._settings = settings
        if settings.compress:
            self.compression = grpc.Compression.Gzip
        if settings.trust is not None and settings.trust.server_name is not None:
            self.options.append(("grpc.ssl_target_name_override", settings.trust.server_name))

    def credentials(self) -> grpc.ChannelCredentials | None:
        trust = self._settings.trust
        if trust is None:
            return None
        try:
            root = None if trust.authority is None else trust.authority.read_bytes()
            cert = None if trust.cert is None else trust.cert.read_bytes()
            key = None if trust.key is None else trust.key.read_bytes()
        except OSError as exc:
            raise ConfigError(f"a TLS file for the server API cannot be used: {exc.filename}: {exc.strerror}") from exc
        return grpc.ssl_channel_credentials(root, key, cert)

    def encode(self, method: str, request: Any) -> tuple[str, bytes]:
        name, write, _ = CALLS[method]
        try:
            return f"/{_SERVICE}/{name}", write(request)
        except (ValueError, TypeError) as exc:
            raise ApiError(107, f"bad request: {exc}") from exc

    def decode(self, method: str, data: bytes) -> Any:
        try:
            answer = CALLS[method][2](data)
        except InvalidMessage as exc:
            raise ApiFailure(f"{self.target} answers something else than the server API does") from exc
        if method == "batch":
            return answer
        if answer.error is not None:
            raise ApiError(answer.error.code, answer.error.message)
        if answer.result is None:
            raise ApiFailure(f"{self.target} answers {method} with neither a result nor an error")
        return answer.result

    def refusal(self, method: str, code: grpc.StatusCode, details: str) -> ApiError | None:
        if code in _CODES:
            return ApiError(_TEXTS.get(details, _CODES[code]), details)
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return ApiFailure(f"gRPC {self.target} refuses the API key: check {self._settings.key_from}", False)
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return ApiFailure(
                f"gRPC {self.target} has no method {method}: it is another service, or an older Centrifugo", False
            )
        return None

    def unreached(self, details: str) -> str:
        return (
            f"nothing answers on gRPC {self.target}: {details}; is grpc_api.enabled set in Centrifugo, and this its "
            "address?"
        )


class GrpcApi(AsyncCalls):
    """The server API over gRPC. Its connection belongs to the event loop that made it.

    Args:
        settings: Where and how.

    """

    def __init__(self, settings: GrpcSettings) -> None:
        super().__init__(_Wire(settings), SyncGrpcApi(settings))


class SyncGrpcApi(BlockingCalls):
    """The server API over gRPC, for threads. A forked process opens a connection of its own.

    Args:
        settings: Where and how.

    """

    def __init__(self, settings: GrpcSettings) -> None:
        super().__init__(_Wire(settings))
