"""What comes with an event besides its fields: headers, deadline, scratch state and the pending answer."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from rtbridge.clock import SYSTEM_CLOCK, Clock


class Headers(Mapping[str, str]):
    """The headers of a call, by name in any case.

    gRPC metadata and HTTP headers look the same here. Of a name that came several times, ``headers[name]`` is the
    first value and :meth:`getall` has them all. Binary metadata (``-bin``) is decoded as Latin-1.
    """

    __slots__ = ("_index", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str | bytes, str | bytes]] = ()) -> None:
        self._pairs = pairs
        self._index: dict[str, list[str]] | None = None

    def _listed(self) -> Iterable[tuple[str | bytes, str | bytes]]:
        return self._pairs

    def _map(self) -> dict[str, list[str]]:
        # Most hooks read no header, so nothing is built until one does.
        if self._index is None:
            index: dict[str, list[str]] = {}
            for name, value in self._listed():
                key = (name if isinstance(name, str) else name.decode("latin-1")).lower()
                index.setdefault(key, []).append(value if isinstance(value, str) else value.decode("latin-1"))
            self._index, self._pairs = index, ()
        return self._index

    def __getitem__(self, name: str) -> str:
        return self._map()[name.lower()][0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._map()

    def __iter__(self) -> Iterator[str]:
        return iter(self._map())

    def __len__(self) -> int:
        return len(self._map())

    def __repr__(self) -> str:
        return f"Headers({sorted(self._map())})"  # names only: values are cookies and tokens

    def pairs(self) -> Iterable[tuple[str | bytes, str | bytes]]:
        """Name and value of each header, as they came."""
        if self._index is None:
            return self._listed()
        return [(name, value) for name, values in self._index.items() for value in values]

    def getall(self, name: str) -> list[str]:
        """Every value of a name, in the order they came; empty when there is none."""
        return list(self._map().get(name.lower(), ()))


class Call(msgspec.Struct, eq=False):
    """One call on its way in and out; the event's methods delegate to it.

    Args:
        headers: What the proxy forwards of the client, and what Centrifugo adds.
        via: The transport that brought the call: ``grpcio``, ``builtin``, ``http``, ``memory``.
        deadline: When the caller stops waiting, on the clock's ``monotonic``; None when it waits on.
        clock: The clock of the deadline and of every expiry in the answer.

    """

    headers: Headers = msgspec.field(default_factory=Headers)
    via: str = "memory"
    deadline: float | None = None
    clock: Clock = SYSTEM_CLOCK
    state: dict[str, Any] | None = None
    pending: Any = None
    stopped_by: str | None = None
    #: Raw bytes and their decoded value, together: an event replaced by a middleware brings other bytes.
    data: tuple[bytes, Any] | None = None
    meta: tuple[bytes, Any] | None = None
    incoming: AsyncIterator[Any] | None = None
    stream: AsyncGenerator[Any, None] | None = None
    #: The thread of this event's blocking hooks.
    lease: Any = None
    #: Makes what is entered around each thing that runs for this event.
    scope: Any = None
    #: Why nobody answered, noted while the chain runs.
    trail: Any = None

    def __repr__(self) -> str:
        return f"Call(via={self.via!r})"  # the rest may hold what is not for a log

    def time_remaining(self) -> float | None:
        """Seconds until the caller gives up, never below 0; None without a deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - self.clock.monotonic())
