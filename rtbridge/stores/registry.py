"""Stores by their names: those of one configuration, and those of this process."""

import difflib
from collections.abc import Mapping
from typing import Final

from rtbridge.errors import ConfigError, KvError
from rtbridge.stores.front import Kv


class KvStores:
    """The stores of one configuration; hooks get it as ``kv``, and ``kv("sessions")`` is one of them.

    Args:
        stores: The stores by name.
        hint: Said where there are none.

    """

    def __init__(self, stores: Mapping[str, Kv] | None = None, hint: str = "the section kv names none") -> None:
        self._stores: dict[str, Kv] = dict(stores or {})
        self._hint = hint

    def __call__(self, name: str) -> Kv:
        """The store of a name.

        Raises:
            ConfigError: There is none; the text has those that are there.

        """
        found = self._stores.get(name)
        if found is None:
            raise ConfigError(f"there is no kv store {name!r}: {self._known(name)}")
        return found

    def __repr__(self) -> str:
        return f"KvStores({', '.join(self._stores)})"

    def _known(self, name: str) -> str:
        if not self._stores:
            return self._hint
        close = difflib.get_close_matches(name, self._stores, n=1)
        return f"there are {', '.join(self._stores)}" + (f"; did you mean {close[0]}?" if close else "")

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order of the configuration."""
        return tuple(self._stores)

    def register(self, name: str, store: Kv) -> None:
        """Add a store that was made in code.

        Raises:
            ValueError: There is one of that name.

        """
        if name in self._stores:
            raise ValueError(f"there is a kv store {name!r} already")
        self._stores[name] = store

    async def open(self) -> None:
        """Find out early what can be found out without a server: key files, database files.

        Raises:
            ConfigError: One of them cannot be used; the text says what to do.

        """
        for name, store in self._stores.items():
            store.codec.prepare()
            try:
                await store.store.open()
            except KvError as exc:
                raise ConfigError(f"kv.{name}: {exc}") from exc

    async def close(self) -> None:
        """Let go of connections, files and threads of every store."""
        for store in self._stores.values():
            await store.close()


class ProcessStores:
    """``rtbridge.kv``: the stores of this process, once its configuration was read.

    ``rtbridge serve`` and ``rtbridge.asgi`` do so at their start; every other process calls
    :func:`rtbridge.load_config`. ``rtbridge.kv("sessions")`` is one of them.
    """

    def __init__(self) -> None:
        self._current: KvStores | None = None

    def __call__(self, name: str) -> Kv:
        """The store of a name.

        Raises:
            ConfigError: There is none of that name, or no configuration was read.

        """
        if self._current is None:
            raise ConfigError(f"kv({name!r}): no configuration was read in this process; call rtbridge.load_config()")
        return self._current(name)

    def use(self, stores: KvStores) -> None:
        """Make these the stores of the process."""
        self._current = stores

    def drop(self, stores: KvStores) -> None:
        """Forget these, where they are the stores of the process."""
        if self._current is stores:
            self._current = None

    async def close(self) -> None:
        """Let go of connections, files and threads of every store; the stores are not to be found any more."""
        stores, self._current = self._current, None
        if stores is not None:
            await stores.close()


#: The stores of this process: ``rtbridge.kv("sessions")``.
kv: Final = ProcessStores()
