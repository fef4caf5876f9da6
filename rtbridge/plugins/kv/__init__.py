"""Key-value stores of a configuration. One driver is one file; others come through the entry points ``rtbridge.kv``."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final, TypeAlias

from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.config import Config, KvStoreOptions
from rtbridge.config.kv import CONFIGS, DRIVERS
from rtbridge.errors import ConfigError, RtbridgeError
from rtbridge.stores import Kv, KvStores, Opening, Store
from rtbridge.stores.base import need
from rtbridge.stores.codec import Codec, Zstd
from rtbridge.stores.crypt import Cipher
from rtbridge.stores.serializers import serializer_of

#: What an entry point names: makes a store of what the configuration says.
OpenStore: TypeAlias = Callable[[Opening], Store]

#: Driver → the package that it speaks through; the extra is called like the driver.
_PACKAGES: Final = {"redis": "redis", "memcached": "pymemcache"}

#: Drivers whose entries are in the memory of the process that opens the store.
IN_MEMORY: Final = frozenset({"memory"})


def in_memory(config: Config) -> list[str]:
    """The stores that live in the memory of one process, by name."""
    if not config.rtbridge.kv.auto_register:
        return []
    return [name for name, section in config.kv.items() if section.driver in IN_MEMORY]


def memory_stores(config: Config, clock: Clock = SYSTEM_CLOCK) -> dict[str, Store]:
    """The same, made; for the process that has them for others."""
    return {name: _opened(config, name, clock) for name in in_memory(config)}


def open_stores(config: Config, clock: Clock = SYSTEM_CLOCK, elsewhere: Mapping[str, Store] | None = None) -> KvStores:
    """The stores of a configuration; nothing is connected, and no file is opened yet.

    Args:
        config: The configuration.
        clock: Every expiry that a driver counts itself asks it.
        elsewhere: Stores that are there already, by name: those that another process has in its memory.

    Raises:
        ConfigError: A package is missing (the text has the line that installs it), or a driver refuses its config.

    """
    if not config.rtbridge.kv.auto_register:
        return KvStores(hint="rtbridge.kv.auto_register is false")
    there = elsewhere or {}
    return KvStores(
        {
            name: Kv(name, there.get(name) or _opened(config, name, clock), _codec(config, name), clock)
            for name in config.kv
        }
    )


def warnings(config: Config) -> list[str]:
    """What an operator should know of the stores, one line each."""
    found: list[str] = []
    for name in config.kv if config.rtbridge.kv.auto_register else ():
        if _Options(config, name).serializer == "pickle":
            found.append(
                f"kv.{name}: the serializer is pickle: whoever can write into the store can run code in every process "
                "that reads it"
            )
        if _Options(config, name).accept_sealed:
            found.append(
                f"kv.{name}: accept_sealed is on: whoever has a public key can write values that are taken; run "
                f"rtbridge kv rotate {name}, then switch it off"
            )
    return found


class _Options:
    """What ``rtbridge.kv`` says of one store."""

    def __init__(self, config: Config, name: str) -> None:
        every = config.rtbridge.kv
        own = every.stores.get(name) or KvStoreOptions()
        self.serializer = every.serializer if own.serializer is None else own.serializer
        self.compress_over = every.compress_over if own.compress_over is None else own.compress_over
        self.encrypt = every.keypair_path is not None and own.encrypt is not False
        accept_sealed = every.accept_sealed if own.accept_sealed is None else own.accept_sealed
        self.accept_sealed = self.encrypt and accept_sealed
        paths = (every.keypair_path, *every.previous_keypair_paths)
        self.paths = tuple(path for path in paths if path is not None)


def _opened(config: Config, name: str, clock: Clock) -> Store:
    section = config.kv[name]
    opening = Opening(name, section.config, config.centrifuge.name, clock)
    try:
        return _driver(section.driver)(opening)
    except ConfigError as exc:
        raise ConfigError(f"kv.{name}: {exc}") from exc


def _codec(config: Config, name: str) -> Codec:
    options, size = _Options(config, name), config.rtbridge.kv.value_size
    zstd = None if options.compress_over is None else Zstd(options.compress_over, size, "rtbridge.kv.compress_over")
    cipher = Cipher(name, options.paths, accept_sealed=options.accept_sealed) if options.encrypt else None
    serializer = serializer_of(options.serializer, "rtbridge.kv.serializer")
    return Codec(name, serializer, value_size=size, zstd=zstd, cipher=cipher)


def _driver(name: str) -> OpenStore:
    if name in CONFIGS:
        if name in _PACKAGES:
            need(_PACKAGES[name], f"the driver {name}", name)
        made: OpenStore = import_module(f"rtbridge.plugins.kv.{name}").open_store
        return made
    for point in entry_points(group=DRIVERS):
        if point.name == name:
            return _foreign(point.load, f"the driver {name} ({point.value})")
    raise ConfigError(f"there is no driver {name}; there are {', '.join(CONFIGS)}")


def _foreign(load: Callable[[], Any], what: str) -> OpenStore:
    def open_store(opening: Opening) -> Store:
        try:
            store: Store = load()(opening)
        except RtbridgeError:
            raise
        except Exception as exc:
            raise ConfigError(f"{what} made no store: {type(exc).__name__}: {exc}") from exc
        return store

    return open_store
