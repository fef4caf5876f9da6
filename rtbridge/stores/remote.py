"""A store that another process has: operations travel packed, over whatever carries them.

The other side calls :func:`perform`; this side is a :class:`RemoteStore`, which the fronts take for any other store.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

import msgspec

from rtbridge.errors import KvError, KvLimit, KvUnavailable, KvUnreadable, KvUnsupported
from rtbridge.stores.base import Store
from rtbridge.stores.elsewhere import Elsewhere

#: What may be asked for; opening and closing is its owner's.
OPERATIONS: Final = frozenset(
    {
        "get",
        "set",
        "has",
        "delete",
        "get_many",
        "set_many",
        "delete_many",
        "clear",
        "expire_many",
        "ttl",
        "incr",
        "add",
        "cas",
        "touch",
        "scan",
    }
)

_ERRORS: Final[Mapping[str, type[KvError]]] = {
    each.__name__: each for each in (KvError, KvLimit, KvUnavailable, KvUnreadable, KvUnsupported)
}

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


class Performed(NamedTuple):
    """What came of an operation.

    Attributes:
        result: Packed; empty where there is an error.
        error: The name of the exception's class; "" where there is none.
        message: Its text.

    """

    result: bytes
    error: str = ""
    message: str = ""


#: Carries an operation: the store's name, the operation's, its arguments packed.
Ask: TypeAlias = Callable[[str, str, bytes], Awaitable[Performed]]


async def perform(stores: Mapping[str, Store], name: str, operation: str, arguments: bytes) -> Performed:
    """Do what another process asks of one of these stores."""
    store = stores.get(name)
    if store is None:
        return Performed(b"", "KvUnavailable", f"kv.{name}: the process that has the stores in memory has no such one")
    if operation not in OPERATIONS:
        return Performed(b"", "KvUnsupported", f"kv.{name}: there is no operation {operation[:40]!r}")
    try:
        given = _decode(arguments)
        if operation == "cas":
            *given, keep_ttl = given
            found = await store.cas(*given, keep_ttl=keep_ttl)
        else:
            found = await getattr(store, operation)(*given)
    except KvError as exc:
        known = next(each.__name__ for each in type(exc).__mro__ if each.__name__ in _ERRORS)
        return Performed(b"", known, str(exc))
    except (msgspec.MsgspecError, TypeError, ValueError) as exc:
        return Performed(b"", "KvError", f"kv.{name}: {operation} was asked for in a wrong way: {type(exc).__name__}")
    return Performed(_encode(found))


class RemoteStore(Store):
    """One of the stores of another process.

    Args:
        name: Its name there.
        ask: Carries operations.
        ask_blocking: The same for threads; None to have them carried by the event loop that :meth:`open` ran on.

    """

    def __init__(self, name: str, ask: Ask, ask_blocking: Callable[[str, str, bytes], Performed] | None = None) -> None:
        self._name = name
        self._ask = ask
        self._ask_blocking = ask_blocking
        self._loop: asyncio.AbstractEventLoop | None = None

    async def _do(self, operation: str, *arguments: object) -> Any:
        done = await self._ask(self._name, operation, _encode(arguments))
        if done.error:
            raise _ERRORS.get(done.error, KvError)(done.message)
        return _decode(done.result)

    async def open(self) -> None:
        """Remember the event loop that operations run on."""
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """See :class:`Store`; the store goes on where it is."""

    def blocking(self) -> Store:
        """See :class:`Store`."""
        blocking = self._ask_blocking
        if blocking is None:
            return Elsewhere(self, self._running)

        async def ask(store: str, operation: str, arguments: bytes) -> Performed:
            return blocking(store, operation, arguments)

        return RemoteStore(self._name, ask)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise KvUnavailable(f"kv.{self._name}: it was not opened yet; use it from on_boot on")
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._loop:
            raise KvError(f"kv.{self._name}: a blocking call would stop the event loop; await it, or use a def hook")
        return self._loop

    async def get(self, key: str) -> bytes | None:
        """See :class:`Store`."""
        return cast("bytes | None", await self._do("get", key))

    async def set(self, key: str, value: bytes, ttl: float | None) -> None:
        """See :class:`Store`."""
        await self._do("set", key, value, ttl)

    async def has(self, key: str) -> bool:
        """See :class:`Store`."""
        return cast("bool", await self._do("has", key))

    async def delete(self, key: str) -> bool:
        """See :class:`Store`."""
        return cast("bool", await self._do("delete", key))

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See :class:`Store`."""
        return cast("dict[str, bytes]", await self._do("get_many", list(keys)))

    async def set_many(self, items: Mapping[str, bytes], ttl: float | None) -> None:
        """See :class:`Store`."""
        await self._do("set_many", dict(items), ttl)

    async def delete_many(self, keys: Sequence[str]) -> int:
        """See :class:`Store`."""
        return cast("int", await self._do("delete_many", list(keys)))

    async def clear(self) -> None:
        """See :class:`Store`."""
        await self._do("clear")

    async def expire_many(self, keys: Sequence[str], ttl: float | None) -> int:
        """See :class:`Store`."""
        return cast("int", await self._do("expire_many", list(keys), ttl))

    async def ttl(self, key: str) -> float | None:
        """See :class:`Store`."""
        return cast("float | None", await self._do("ttl", key))

    async def incr(self, key: str, by: int, ttl: float | None) -> int:
        """See :class:`Store`."""
        return cast("int", await self._do("incr", key, by, ttl))

    async def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        """See :class:`Store`."""
        return cast("bool", await self._do("add", key, value, ttl))

    async def cas(self, key: str, expected: bytes, value: bytes, ttl: float | None, *, keep_ttl: bool = False) -> bool:
        """See :class:`Store`."""
        return cast("bool", await self._do("cas", key, expected, value, ttl, keep_ttl))

    async def touch(self, key: str, ttl: float | None) -> bool:
        """See :class:`Store`."""
        return cast("bool", await self._do("touch", key, ttl))

    async def scan(self, prefix: str, cursor: str, limit: int) -> tuple[list[str], str]:
        """See :class:`Store`."""
        keys, following = await self._do("scan", prefix, cursor, limit)
        return keys, following
