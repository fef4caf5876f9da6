"""When a call of the server API is made again: never one that may have happened and must not happen twice."""

import random
from typing import Any, Final

from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.errors import ApiFailure

#: Methods that change nothing.
READS: Final = frozenset(
    {
        "channels",
        "history",
        "info",
        "map_read_state",
        "map_read_stream",
        "map_stats",
        "presence",
        "presence_stats",
    }
)

#: Calls after the first one, and the seconds before the first of them; each wait is twice the one before.
RETRIES: Final = 3
BACKOFF: Final = 0.1


def repeatable(method: str, request: Any) -> bool:
    """Whether a call may be made twice: it only reads, or has a key by which the server knows it again."""
    if method == "batch":
        return all(_one(command) for command in request.commands)
    return method in READS or bool(getattr(request, "idempotency_key", ""))


def _one(command: Any) -> bool:
    return all(
        repeatable(method, request)
        for method in command.__struct_fields__
        if (request := getattr(command, method)) is not None
    )


class Attempts:
    """The attempts of one call, within its time.

    Args:
        timeout: Seconds for all of them.
        repeatable: Whether it may happen twice.
        clock: Says how late it is.

    Attributes:
        timeout: The seconds for all of them.

    """

    def __init__(self, timeout: float, repeatable: bool, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self.timeout = timeout
        self._deadline = clock.monotonic() + timeout
        self._repeatable = repeatable
        self._failed = 0
        self._may_have_happened = False

    @property
    def left(self) -> float:
        """Seconds until the time is up."""
        return max(0.0, self._deadline - self._clock.monotonic())

    def again(self, failure: ApiFailure) -> float:
        """Seconds to wait before the next attempt.

        Raises:
            ApiFailure: There is none. It says whether any attempt may have happened.

        """
        self._may_have_happened |= failure.may_have_happened
        wait = BACKOFF * (1 << self._failed) * random.uniform(0.5, 1.0)  # noqa: S311  # spreads callers, guards nothing
        self._failed += 1
        twice = self._repeatable or not failure.may_have_happened
        if failure.temporary and twice and self._failed <= RETRIES and wait < self.left:
            return wait
        if self._may_have_happened and not failure.may_have_happened:
            raise ApiFailure(str(failure), True, failure.temporary) from failure
        raise failure
