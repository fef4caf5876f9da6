"""Calls the control RPC of a running process."""

from typing import Any

import grpc

from rtbridge.codec.control import PACKAGE, SERVICE, TOKEN
from rtbridge.codec.descriptors import message_class
from rtbridge.config import Address
from rtbridge.errors import SetupError


class Control:
    """A caller; use it as a context manager.

    Args:
        address: Where the control RPC listens.
        token: ``rtbridge.rpc_token``; None where none is wanted.

    """

    def __init__(self, address: Address, token: str | None) -> None:
        self._address = address
        self._metadata = () if token is None else ((TOKEN, token),)
        self._channel = grpc.insecure_channel(address.target)

    def __enter__(self) -> "Control":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def call(self, method: str, *, timeout: float, **fields: Any) -> Any:
        """The reply to one call, as ``proto/rtbridge/control.proto`` has it.

        Raises:
            SetupError: Nobody answers there, or not to us.

        """
        request = message_class(f"{PACKAGE}.{method}Request")(**fields)
        reply = message_class(f"{PACKAGE}.{method}Reply")
        send: Any = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        try:
            return send(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as exc:
            raise SetupError(fault(self._address, exc)) from exc


def fault(address: Address, error: Any) -> str:
    """What a failed call of the control RPC means, and what to do."""
    code = error.code()
    if code is grpc.StatusCode.UNAVAILABLE:
        return f"nothing answers on {address}: is `rtbridge serve` running there, with rpc.listen set?"
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return f"{address} refuses the token; give the one that it was started with, in rtbridge.rpc_token"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"what listens on {address} is no control RPC of rtbridge"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{address} did not answer in time"
    return f"{address}: {code.name}: {error.details()}"
