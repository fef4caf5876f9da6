"""The proxy service on our own gRPC server."""

from rtbridge.handler import Handler
from rtbridge.readiness import Readiness
from rtbridge.transport.settings import GrpcSettings


class BuiltinTransport:
    """Serves Centrifugo's gRPC proxy calls.

    Args:
        handler: Answers the calls.
        settings: Address, TLS, secret and limits.
        readiness: What the health service says.

    """

    name = "builtin"

    def __init__(self, handler: Handler, settings: GrpcSettings, readiness: Readiness | None = None) -> None:
        self._handler = handler
        self._settings = settings
        self.address = settings.address

    async def start(self) -> None:
        """Bind and begin to take calls."""
        raise NotImplementedError

    async def stop(self, timeout: float) -> None:
        """Tell callers to go elsewhere (GOAWAY), wait for calls under way, then end."""
