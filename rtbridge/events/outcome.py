"""What leaves for one event: exactly one of a result, a disconnect, an error and a failure."""

from typing import Any, Literal

import msgspec

from rtbridge.errors import ClientError, Disconnect

#: A call that fails as a call: Centrifugo treats it as an outage. All but ``cancelled`` choose a
#: status; after that one nobody listens any more.
Failure = Literal["internal", "unimplemented", "invalid", "cancelled"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The decision on one event.

    Attributes:
        result: The typed answer, when the event was answered with one.
        disconnect: The client's connection is closed.
        error: The client gets an error reply.
        failure: The call itself fails: gRPC status or HTTP status instead of an answer.
        denied_by_default: No hook answered.
        why: One line for the operator: who answered, or why nobody did.
        stream: Where the answer is a stream, what it yields after ``result``.

    """

    result: Any = None
    disconnect: Disconnect | None = None
    error: ClientError | None = None
    failure: Failure | None = None
    denied_by_default: bool = False
    why: str = ""
    stream: Any = None

    @property
    def label(self) -> str:
        """The kind of outcome in a word or two, for log lines: no text of a hook, no payload."""
        if self.disconnect is not None:
            return f"disconnect {self.disconnect.code}"
        if self.error is not None:
            return f"error {self.error.code}"
        if self.failure is not None:
            return f"failure {self.failure}"
        return "expired" if getattr(self.result, "expired", False) else "ok"
