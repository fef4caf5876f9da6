"""One row of the method table: what the rest of rtbridge has to know of a call."""

from typing import Literal, NamedTuple

import msgspec

from rtbridge.events.base import Event

#: How a call is denied: by closing the connection, by `expired: true`, by an error reply, or by refusing the call.
Silence = Literal["disconnect", "expired", "error", "unimplemented"]


class Method(NamedTuple):
    """A call of the proxy service; rows are generated from the proto.

    Attributes:
        kind: The event's name in hooks, configuration and HTTP paths: ``sub_refresh``.
        name: The method's name in the service: ``SubRefresh``.
        path: The gRPC path.
        event: What a hook gets.
        result: What a hook answers.
        silence: How it is denied; follows from what its answer can say.
        stream: ``""``, ``"out"`` (the answer is a stream) or ``"both"`` (the client's publications are one, too).
        item: What a stream yields after its result.
        route: The event's field that a router matches: ``channel``, ``method`` or ``channels``; else ``""``.

    """

    kind: str
    name: str
    path: str
    event: type[Event]
    result: type[msgspec.Struct]
    silence: Silence
    stream: Literal["", "out", "both"]
    item: type[msgspec.Struct] | None
    route: Literal["", "channel", "method", "channels"]

    @property
    def hook(self) -> str:
        """The hook's name."""
        return f"on_{self.kind}"
