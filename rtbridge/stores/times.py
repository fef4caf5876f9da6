"""TTLs as users write them, in seconds from now."""

import math
from datetime import datetime, timedelta
from typing import TypeAlias

from rtbridge.clock import Clock
from rtbridge.stores.base import MAX_TTL

#: Seconds from now, a time from now, or a moment; whatever is not in the future means that the entry is gone.
Ttl: TypeAlias = int | float | timedelta | datetime


def seconds_left(ttl: Ttl | None, clock: Clock) -> float | None:
    """Seconds from now; zero or less for what is over, None for what does not end.

    Raises:
        TypeError: It is none of the types of :data:`Ttl`.
        ValueError: It is no number, a datetime without a timezone, or more than a hundred years.

    """
    if ttl is None:
        return None
    if isinstance(ttl, timedelta):
        seconds = ttl.total_seconds()
    elif isinstance(ttl, datetime):
        if ttl.utcoffset() is None:
            raise ValueError("ttl is a datetime without a timezone; use datetime.now(UTC)")
        seconds = ttl.timestamp() - clock.time()
    elif isinstance(ttl, int | float) and not isinstance(ttl, bool):
        seconds = float(ttl)
        if math.isnan(seconds):
            raise ValueError("ttl is not a number")
    else:
        raise TypeError(f"ttl is {type(ttl).__name__}; give seconds, a timedelta or an aware datetime")
    if seconds > MAX_TTL:
        raise ValueError("ttl is more than a hundred years; leave it out for an entry that does not expire")
    return seconds
