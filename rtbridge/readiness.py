"""Whether a process should be sent calls, and why not: what health checks say."""

from collections.abc import Callable


class Readiness:
    """Ready while nobody holds it back. One birthplace for ``/ready`` and for gRPC's health service."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}
        self._watchers: list[Callable[[], None]] = []

    @property
    def ready(self) -> bool:
        """Whether nobody holds it back."""
        return not self._held

    @property
    def reasons(self) -> list[str]:
        """Why not, one line each."""
        return list(self._held.values())

    def hold(self, who: str, why: str) -> None:
        """Be not ready until ``who`` lets go; a second call replaces the reason."""
        before = self._held.get(who)
        self._held[who] = why
        if before is None:
            self._changed()

    def release(self, who: str) -> None:
        """Take the reason of ``who`` back."""
        if self._held.pop(who, None) is not None:
            self._changed()

    def watch(self, changed: Callable[[], None]) -> None:
        """Have ``changed`` called whenever a reason comes or goes."""
        self._watchers.append(changed)

    def _changed(self) -> None:
        for watcher in self._watchers:
            watcher()
