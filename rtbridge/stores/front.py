"""``Kv``: the operations of a store on values, for coroutines."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar, overload

from rtbridge.clock import Clock
from rtbridge.errors import KvError, KvLimit, KvUnreadable, KvUnsupported
from rtbridge.stores.base import MAX_BATCH, MAX_COUNTER, MAX_KEY_BYTES, MIN_COUNTER, Store
from rtbridge.stores.codec import Codec
from rtbridge.stores.serializers import fitted
from rtbridge.stores.sync import SyncKv
from rtbridge.stores.times import Ttl, seconds_left

T = TypeVar("T")

#: Longest key that is within the bound whatever its characters are: four bytes of UTF-8 each.
_SURELY_SHORT: Final = MAX_KEY_BYTES // 4
#: Attempts against other writers of one entry; each that fails is another's success.
_ATTEMPTS: Final = 1000
#: Held while a store's blocking face is made, so that there is one.
_MAKING: Final = threading.Lock()


class Kv:
    """One store, for coroutines; :attr:`sync` is the same for threads.

    Keys are text of at most 1024 bytes, and not blank. Values are whatever the store's serializer takes. A ``ttl`` is
    seconds, a timedelta, or an aware datetime; without one an entry does not expire, and with one that is not in the
    future it is gone.

    Every method raises :class:`rtbridge.KvError`: :class:`~rtbridge.KvUnavailable` where the store's server or file
    cannot be used now, :class:`~rtbridge.KvUnsupported` where its driver has no such operation,
    :class:`~rtbridge.KvUnreadable` where what is stored is not what this store writes, and
    :class:`~rtbridge.KvLimit` where something is too large.

    Attributes:
        name: The store's name.
        store: What its driver made of it.

    """

    def __init__(self, name: str, store: Store, codec: Codec, clock: Clock) -> None:
        self.name = name
        self.store = store
        self.codec = codec
        self._clock = clock
        self._flights: dict[tuple[asyncio.AbstractEventLoop, str], _Flight] = {}
        self._landed = 0
        self._sync: SyncKv | None = None

    def __repr__(self) -> str:
        return f"Kv({self.name!r})"

    @property
    def sync(self) -> SyncKv:
        """The same store for code that blocks: ``def`` hooks, Django views, scripts."""
        if self._sync is None:
            with _MAKING:
                self._sync = self._sync or self._blocking()
        return self._sync

    def _blocking(self) -> SyncKv:
        store = self.store.blocking()
        if store is self.store:
            return SyncKv(self, waits=False)
        return SyncKv(Kv(self.name, store, self.codec, self._clock))

    @overload
    async def get(self, key: str, default: Any = None) -> Any: ...

    @overload
    async def get(self, key: str, default: T, *, type: type[T]) -> T: ...

    @overload
    async def get(self, key: str, default: None = None, *, type: type[T]) -> T | None: ...

    async def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:
        """The value of a key.

        Args:
            key: The key.
            default: What is given where there is none.
            type: A Struct, a dataclass, a pydantic model or any other type that the value has to fit.

        """
        data = await self.store.get(self._key(key))
        if data is None:
            return default
        value = self.codec.decode(key, data)
        return value if type is None else self._fitted(value, type)

    async def set(self, key: str, value: Any, *, ttl: Ttl | None = None) -> None:
        """Write a value; what was there is replaced, its TTL included."""
        seconds = seconds_left(ttl, self._clock)
        data = self.codec.encode(self._key(key), value)
        if seconds is not None and seconds <= 0:
            await self.store.delete(key)
        else:
            await self.store.set(key, data, seconds)

    async def has(self, key: str) -> bool:
        """Whether there is a value."""
        return await self.store.has(self._key(key))

    async def delete(self, key: str) -> bool:
        """Take an entry away; whether it was there."""
        return await self.store.delete(self._key(key))

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of those keys that have one, in the order of the keys."""
        found: dict[str, Any] = {}
        for part in self._parts(keys):
            values = await self.store.get_many(part)
            found |= {key: self.codec.decode(key, values[key]) for key in part if key in values}
        return found

    async def set_many(self, items: Mapping[str, Any], *, ttl: Ttl | None = None) -> None:
        """Write several values with one TTL; not all or nothing, where a failure comes in between."""
        seconds = seconds_left(ttl, self._clock)
        data = {key: self.codec.encode(self._key(key), value) for key, value in items.items()}
        for part in self._parts(data):
            if seconds is not None and seconds <= 0:
                await self.store.delete_many(part)
            else:
                await self.store.set_many({key: data[key] for key in part}, seconds)

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Take entries away; how many were there."""
        return sum([await self.store.delete_many(part) for part in self._parts(keys)])

    async def clear(self) -> None:
        """Take every entry of this store away."""
        await self.store.clear()

    async def expire_many(self, keys: Iterable[str], ttl: Ttl | None) -> int:
        """Give entries a new TTL, None for none; how many were there."""
        seconds = seconds_left(ttl, self._clock)
        parts = list(self._parts(keys))
        if seconds is not None and seconds <= 0:
            return sum([await self.store.delete_many(part) for part in parts])
        return sum([await self.store.expire_many(part, seconds) for part in parts])

    async def touch(self, key: str, ttl: Ttl | None) -> bool:
        """Give an entry a new TTL, None for none; whether it was there."""
        seconds = seconds_left(ttl, self._clock)
        if seconds is not None and seconds <= 0:
            return await self.store.delete(self._key(key))
        return await self.store.touch(self._key(key), seconds)

    async def ttl(self, key: str) -> float | None:
        """Seconds that an entry has left, ``math.inf`` where it does not expire, None where there is none."""
        return await self.store.ttl(self._key(key))

    async def incr(self, key: str, by: int = 1, *, ttl: Ttl | None = None) -> int:
        """Add to a counter and give the sum; no increment is lost, however many processes count.

        Args:
            key: The key; its value is an integer of 64 bits, and one that is missing counts as 0.
            by: What is added; may be negative.
            ttl: For a counter that this call makes; one that is there keeps its own.

        """
        seconds = seconds_left(ttl, self._clock)
        if isinstance(by, bool) or not isinstance(by, int):
            raise TypeError(f"incr adds an integer, not {type(by).__name__}")
        if not MIN_COUNTER <= by <= MAX_COUNTER:
            raise KvLimit(f"kv store {self.name}: a counter beyond 64 bits")
        if self.codec.opaque:
            return await self._incr_opaque(self._key(key), by, seconds)
        return await self.store.incr(self._key(key), by, seconds)

    async def add(self, key: str, value: Any, *, ttl: Ttl | None = None) -> bool:
        """Write a value where there is none; whether it was written."""
        seconds = seconds_left(ttl, self._clock)
        data = self.codec.encode(self._key(key), value)
        if seconds is not None and seconds <= 0:
            return not await self.store.has(key)
        return await self.store.add(key, data, seconds)

    async def cas(self, key: str, expected: Any, value: Any, *, ttl: Ttl | None = None) -> bool:
        """Compare and set: replace a value that still equals ``expected``; whether it was replaced.

        Args:
            key: The key.
            expected: What has to be there; a missing entry equals nothing, :meth:`add` is for that.
            value: What takes its place.
            ttl: As with :meth:`set`.

        """
        seconds = seconds_left(ttl, self._clock)
        data = self.codec.encode(self._key(key), value)
        for _ in range(_ATTEMPTS):
            found = await self.store.get(key)
            if found is None or self.codec.decode(key, found) != expected:
                return False
            if await self.store.cas(key, found, data, seconds):
                return True
        raise KvError(f"kv store {self.name}: cas did not come through against other writers of the same entry")

    async def get_or_set(self, key: str, make: Callable[[], Any], *, ttl: Ttl | None = None) -> Any:
        """The value of a key; where there is none, the one that ``make`` gives, once it is stored.

        Whoever asks for the same key in this process meanwhile waits for the same call of ``make``. What it raises
        goes to all of them, and nothing is stored. A value that cannot be read is an error, and stays.

        Args:
            key: The key.
            make: A function or a coroutine function, without arguments.
            ttl: Of what is stored.

        Returns:
            What :meth:`get` would give.

        """
        landed = self._landed
        data = await self.store.get(self._key(key))
        if data is None:
            loop = asyncio.get_running_loop()
            flight = self._flights.get((loop, key))
            if flight is None:
                again = landed != self._landed
                flight = _Flight(loop.create_task(self._make(key, make, ttl, again=again)))
                self._flights[loop, key] = flight
                flight.task.add_done_callback(partial(self._land, loop, key, flight))
            try:
                data = await flight.join()
            finally:
                if flight.over:
                    self._land(loop, key, flight)
        return self.codec.decode(key, data)

    async def scan(self, prefix: str = "") -> AsyncGenerator[str, None]:
        """The keys with a prefix.

        One that is there all the time comes at least once; one that comes or goes meanwhile may.
        """
        cursor = ""
        while True:
            page, cursor = await self.store.scan(prefix, cursor, MAX_BATCH)
            for key in page:
                yield key
            if not cursor:
                return

    async def items(self, prefix: str = "") -> AsyncGenerator[tuple[str, Any], None]:
        """Keys with a prefix, and their values, as :meth:`scan` gives them."""
        cursor = ""
        while True:
            page, cursor = await self.store.scan(prefix, cursor, MAX_BATCH)
            values = await self.store.get_many(page) if page else {}
            for key, data in values.items():
                yield key, self.codec.decode(key, data)
            if not cursor:
                return

    async def close(self) -> None:
        """Let go of connections, files and threads."""
        await self.store.close()

    def _land(self, loop: asyncio.AbstractEventLoop, key: str, flight: "_Flight", _: object = None) -> None:
        self._landed += 1
        if self._flights.get((loop, key)) is flight:
            del self._flights[loop, key]

    async def _make(self, key: str, make: Callable[[], Any], ttl: Ttl | None, *, again: bool) -> bytes:
        # Where a flight landed after the caller had looked, the value may be there by now.
        if again and (found := await self.store.get(key)) is not None:
            return found
        value = make()
        if hasattr(value, "__await__"):
            value = await value
        seconds = seconds_left(ttl, self._clock)
        data = self.codec.encode(key, value)
        if seconds is None or seconds > 0:
            await self.store.set(key, data, seconds)
        return data

    async def _incr_opaque(self, key: str, by: int, seconds: float | None) -> int:
        for _ in range(_ATTEMPTS):
            found = await self.store.get(key)
            if found is None:
                gone = seconds is not None and seconds <= 0
                if gone or await self.store.add(key, self.codec.encode(key, by), seconds):
                    return by
                continue
            number = self.codec.decode(key, found)
            if isinstance(number, bool) or not isinstance(number, int):
                raise KvUnreadable(f"kv store {self.name}: incr on a value that is no integer")
            number += by
            if not MIN_COUNTER <= number <= MAX_COUNTER:
                raise KvLimit(f"kv store {self.name}: a counter beyond 64 bits")
            try:
                if await self.store.cas(key, found, self.codec.encode(key, number), None, keep_ttl=True):
                    return number
            except KvUnsupported as exc:
                raise KvUnsupported(f"kv store {self.name}: incr on encrypted values: {exc}") from exc
        raise KvError(f"kv store {self.name}: incr did not come through against other writers of the same entry")

    def _key(self, key: str) -> str:
        if type(key) is str and 0 < len(key) <= _SURELY_SHORT and not key.isspace():
            if not key.isascii():
                self._utf8(key)
            return key
        if not isinstance(key, str):
            raise TypeError(f"a key is text, not {type(key).__name__}")
        if not key or key.isspace():
            raise ValueError(f"kv store {self.name}: a key is not blank")
        if self._utf8(key) > MAX_KEY_BYTES:
            raise KvLimit(f"kv store {self.name}: a key of more than {MAX_KEY_BYTES} bytes; store under a hash of it")
        return key

    def _utf8(self, key: str) -> int:
        try:
            return len(key.encode())
        except UnicodeEncodeError as exc:
            raise ValueError(f"kv store {self.name}: a key holds a lone surrogate, which UTF-8 cannot carry") from exc

    def _parts(self, keys: Iterable[str]) -> Iterable[list[str]]:
        if isinstance(keys, str):
            raise TypeError("several keys are a list of text, not one text")
        unique = iter(list(dict.fromkeys([self._key(key) for key in keys])))
        while part := list(islice(unique, MAX_BATCH)):
            yield part

    def _fitted(self, value: Any, kind: Any) -> Any:
        try:
            return fitted(value, kind)
        except ValueError as exc:
            # The texts of validators repeat what they found; only the place is told.
            place = f" at {found[2]}" if (found := str(exc).rpartition(" - at "))[1] else ""
            name = getattr(kind, "__name__", str(kind))
            raise KvUnreadable(f"kv store {self.name}: a value does not fit {name}{place}") from None


class _Flight:
    """One call of ``make`` and those who wait for it; it ends when nobody does any more."""

    def __init__(self, task: "asyncio.Task[bytes]") -> None:
        self.task = task
        self.waiting = 0
        #: Nobody waits any more, so that nobody may join either.
        self.over = False

    async def join(self) -> bytes:
        self.waiting += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self.waiting -= 1
            if not self.waiting:
                self.over = True
                self.task.cancel()
