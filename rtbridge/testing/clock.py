"""A clock that moves when the test says so."""


class VirtualClock:
    """Starts at a fixed time and stays there until :meth:`advance`.

    Args:
        now: Seconds since the Unix epoch at the start; 2026-01-01 by default.

    """

    def __init__(self, now: float = 1_767_225_600.0) -> None:
        self._now = now
        self._passed = 0.0

    def monotonic(self) -> float:
        """Seconds that have passed."""
        return self._passed

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        return self._now + self._passed

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            ValueError: ``seconds`` is negative.

        """
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._passed += seconds
