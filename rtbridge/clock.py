"""The one clock: every deadline, expiry and back-off in rtbridge asks it, so a test can run on a virtual one."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings in seconds: one for differences, one for dates."""

    def monotonic(self) -> float:
        """Seconds that never run backwards; the origin is arbitrary."""
        ...

    def time(self) -> float:
        """Seconds since the Unix epoch, as Centrifugo's ``expire_at`` counts them."""
        ...


class SystemClock:
    """The machine's clock. ``monotonic`` has the origin that asyncio's event loops use."""

    __slots__ = ()

    #: Seconds of :func:`time.monotonic`, without a frame of our own in between.
    monotonic = staticmethod(time.monotonic)

    def time(self) -> float:
        """Seconds of :func:`time.time`."""
        return time.time()


SYSTEM_CLOCK = SystemClock()
