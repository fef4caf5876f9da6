"""What can be asked of a running process."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from rtbridge.api.remote import Answered
from rtbridge.stores.remote import Performed


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a reload did.

    Attributes:
        error: Why nothing changed; "" when it did.
        restart: Keys that changed and need a restart.
        notices: One line each: what an operator should know of the new configuration.
        workers: How many workers take calls now.

    """

    error: str = ""
    restart: Sequence[str] = ()
    notices: Sequence[str] = ()
    workers: int = 0


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to see of a process.

    Attributes:
        workers: Each worker's mode, number, pid, state, jobs, held, streams, memory, cpu and age, as
            ``proto/rtbridge/control.proto`` has them.
        queue: Calls that wait for a worker.
        ready: Whether new calls are welcome.
        reasons: Why not.
        pid: The process that listens.

    """

    workers: Sequence[Mapping[str, Any]]
    queue: int
    ready: bool
    reasons: Sequence[str]
    pid: int


class Controlled(Protocol):
    """A process that can be watched and told what to do."""

    async def reload(self) -> Reloaded:
        """Read the configuration again and replace all workers."""
        ...

    def seen(self) -> Seen:
        """What there is to see now."""
        ...

    async def store(self, name: str, operation: str, arguments: bytes) -> Performed:
        """Do an operation on a store in memory."""
        ...

    async def api(self, method: str, request: bytes) -> Answered:
        """Make a call of the server API of the embedded server."""
        ...

    def stop(self, *, force: bool) -> None:
        """End the process; soon, so that the caller still gets its answer."""
        ...
