"""``SyncKv``: the operations of a store on values, for threads."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from rtbridge.stores.times import Ttl

if TYPE_CHECKING:
    from rtbridge.stores.front import Kv

T = TypeVar("T")


class SyncKv:
    """:class:`~rtbridge.Kv` for ``def`` hooks, Django views and scripts: the same operations, without ``await``.

    It blocks, so it is no use on an event loop's thread: there, :class:`~rtbridge.Kv` is.
    """

    def __init__(self, kv: "Kv", *, waits: bool = True) -> None:
        self._kv = kv
        self._waits = waits
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}
        self._landed = 0

    def __repr__(self) -> str:
        return f"SyncKv({self.name!r})"

    @property
    def name(self) -> str:
        """The store's name."""
        return self._kv.name

    @overload
    def get(self, key: str, default: Any = None) -> Any: ...

    @overload
    def get(self, key: str, default: T, *, type: type[T]) -> T: ...

    @overload
    def get(self, key: str, default: None = None, *, type: type[T]) -> T | None: ...

    def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:
        """See :meth:`Kv.get`."""
        return self._run(self._kv.get(key, default, type=type))

    def set(self, key: str, value: Any, *, ttl: Ttl | None = None) -> None:
        """See :meth:`Kv.set`."""
        self._run(self._kv.set(key, value, ttl=ttl))

    def has(self, key: str) -> bool:
        """See :meth:`Kv.has`."""
        return self._run(self._kv.has(key))

    def delete(self, key: str) -> bool:
        """See :meth:`Kv.delete`."""
        return self._run(self._kv.delete(key))

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """See :meth:`Kv.get_many`."""
        return self._run(self._kv.get_many(keys))

    def set_many(self, items: Mapping[str, Any], *, ttl: Ttl | None = None) -> None:
        """See :meth:`Kv.set_many`."""
        self._run(self._kv.set_many(items, ttl=ttl))

    def delete_many(self, keys: Iterable[str]) -> int:
        """See :meth:`Kv.delete_many`."""
        return self._run(self._kv.delete_many(keys))

    def clear(self) -> None:
        """See :meth:`Kv.clear`."""
        self._run(self._kv.clear())

    def expire_many(self, keys: Iterable[str], ttl: Ttl | None) -> int:
        """See :meth:`Kv.expire_many`."""
        return self._run(self._kv.expire_many(keys, ttl))

    def touch(self, key: str, ttl: Ttl | None) -> bool:
        """See :meth:`Kv.touch`."""
        return self._run(self._kv.touch(key, ttl))

    def ttl(self, key: str) -> float | None:
        """See :meth:`Kv.ttl`."""
        return self._run(self._kv.ttl(key))

    def incr(self, key: str, by: int = 1, *, ttl: Ttl | None = None) -> int:
        """See :meth:`Kv.incr`."""
        return self._run(self._kv.incr(key, by, ttl=ttl))

    def add(self, key: str, value: Any, *, ttl: Ttl | None = None) -> bool:
        """See :meth:`Kv.add`."""
        return self._run(self._kv.add(key, value, ttl=ttl))

    def cas(self, key: str, expected: Any, value: Any, *, ttl: Ttl | None = None) -> bool:
        """See :meth:`Kv.cas`."""
        return self._run(self._kv.cas(key, expected, value, ttl=ttl))

    def get_or_set(self, key: str, make: Callable[[], Any], *, ttl: Ttl | None = None) -> Any:
        """See :meth:`Kv.get_or_set`; ``make`` is a plain function, and threads wait for one another here."""
        landed = self._landed
        data = self._run(self._kv.store.get(self._kv._key(key)))
        if data is None:
            with self._lock:
                flight = self._flights.get(key)
                mine = flight is None
                if flight is None:
                    flight = self._flights[key] = _Flight()
            if mine:
                try:
                    flight.land(self._run(self._kv._make(key, make, ttl, again=landed != self._landed)), None)
                except BaseException as exc:
                    flight.land(None, exc)
                    raise
                finally:
                    with self._lock:
                        self._landed += 1
                        del self._flights[key]
            data = flight.join()
        return self._kv.codec.decode(key, data)

    def scan(self, prefix: str = "") -> Iterator[str]:
        """See :meth:`Kv.scan`."""
        return self._pull(self._kv.scan(prefix).__anext__)

    def items(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """See :meth:`Kv.items`."""
        return self._pull(self._kv.items(prefix).__anext__)

    def close(self) -> None:
        """See :meth:`Kv.close`."""
        self._run(self._kv.close())

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine of a blocking store, which never waits for an event loop."""
        if self._waits and asyncio._get_running_loop() is not None:
            coroutine.close()
            raise RuntimeError("kv(...).sync blocks, and this is an event loop's thread: await kv(...) here")
        try:
            coroutine.send(None)
        except StopIteration as stop:
            value: T = stop.value
            return value
        coroutine.close()
        raise RuntimeError("a blocking store waited for an event loop: a bug of its driver")

    def _pull(self, step: Callable[[], Any]) -> Iterator[Any]:
        while True:
            try:
                yield self._run(step())
            except StopAsyncIteration:
                return


class _Flight:
    """One call of ``make`` and the threads that wait for it."""

    def __init__(self) -> None:
        self._landed = threading.Event()
        self._data: bytes | None = None
        self._error: BaseException | None = None

    def land(self, data: bytes | None, error: BaseException | None) -> None:
        self._data, self._error = data, error
        self._landed.set()

    def join(self) -> bytes:
        self._landed.wait()
        if self._error is not None:
            raise self._error
        assert self._data is not None
        return self._data
