"""The server API of the embedded server of another process, over the control RPC of that process."""

from typing import Any, Final

import grpc
import msgspec

from rtbridge.api.grpc_calls import AsyncCalls, BlockingCalls, GrpcWire
from rtbridge.api.remote import Answered, encode, result_of
from rtbridge.api.settings import ControlSettings
from rtbridge.codec.control import PACKAGE, SERVICE, TOKEN
from rtbridge.codec.descriptors import DECODE_FAULTS, message_class
from rtbridge.errors import ApiError, ApiFailure

_PATH: Final = f"/{SERVICE}/Api"


class _Wire(GrpcWire):
    """What is said to the control RPC."""

    def __init__(self, settings: ControlSettings) -> None:
        token = settings.token
        super().__init__(settings.target, settings.timeout, [] if token is None else [(TOKEN, token)])
        self._request = message_class(f"{PACKAGE}.ApiRequest")
        self._reply = message_class(f"{PACKAGE}.ApiReply")

    def encode(self, method: str, request: Any) -> tuple[str, bytes]:
        return _PATH, self._request(method=method, request=encode(request)).SerializeToString()

    def decode(self, method: str, data: bytes) -> Any:
        try:
            reply = self._reply.FromString(data)
            return result_of(method, Answered(reply.result, reply.code, reply.message))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, *DECODE_FAULTS) as exc:
            raise ApiFailure(f"{self.target} answers something else than the control RPC does") from exc

    def refusal(self, method: str, code: grpc.StatusCode, details: str) -> ApiError | None:
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return ApiFailure(
                f"the control RPC on {self.target} refuses the token; give the one that it was started with, in "
                "rtbridge.rpc_token, or without a configuration in RTBRIDGE_RPC_TOKEN",
                False,
            )
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return ApiFailure(
                f"what listens on {self.target} is no control RPC of rtbridge, or that of an older one", False
            )
        return None

    def unreached(self, details: str) -> str:
        return f"nothing answers on {self.target}: is `rtbridge serve` running there, with rpc.listen set? ({details})"


class ControlApi(AsyncCalls):
    """The server API over the control RPC. Its connection belongs to the event loop that made it.

    Args:
        settings: Where and how.

    """

    def __init__(self, settings: ControlSettings) -> None:
        super().__init__(_Wire(settings), SyncControlApi(settings))


class SyncControlApi(BlockingCalls):
    """The server API over the control RPC, for threads. A forked process opens a connection of its own.

    Args:
        settings: Where and how.

    """

    def __init__(self, settings: ControlSettings) -> None:
        super().__init__(_Wire(settings))
