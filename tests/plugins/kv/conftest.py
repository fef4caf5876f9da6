"""Stores of every driver, made from a configuration as `rtbridge serve` makes them."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from rtbridge import Kv, KvStores
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.config import parse_config
from rtbridge.plugins.kv import memory_stores, open_stores
from rtbridge.stores.remote import Performed, RemoteStore, perform
from tests.certificates import Authority
from tests.plugins.kv.servers import memcached_server, redis_server

#: Drivers, in the order in which they are tested.
DRIVERS: Final = ("memory", "sqlite", "redis", "memcached")
#: Stands for a store of another process, which the same suite passes.
REMOTE: Final = "remote"
#: Drivers that count expiry on the clock of the tests.
VIRTUAL: Final = ("memory", "sqlite")

_SERIALS: Final = itertools.count(1)

Make = Callable[..., Awaitable[Kv]]


class Upper:
    """A serializer of one's own: text, in capitals while it is stored."""

    def dumps(self, value: Any) -> bytes:
        return repr(value).encode().swapcase()

    def loads(self, data: bytes) -> Any:
        import ast

        return ast.literal_eval(data.decode().swapcase())


def stores_of(driver: str, config: dict[str, Any], clock: Clock = SYSTEM_CLOCK, **kv: Any) -> KvStores:
    """The stores of a configuration with one store, `s`; that of `remote` is one in memory, as a worker reaches it."""
    section = {"s": {"driver": "memory" if driver == REMOTE else driver, "config": config}}
    made = parse_config({"version": "3", "centrifuge": {"name": "shop"}, "kv": section, "rtbridge": {"kv": kv}}).config
    if driver != REMOTE:
        return open_stores(made, clock)
    served = memory_stores(made, clock)

    async def ask(store: str, operation: str, arguments: bytes) -> Performed:
        return await perform(served, store, operation, arguments)

    return open_stores(made, clock, {"s": RemoteStore("s", ask)})


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a redis-server that all tests share, each with its own prefix."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    try:
        yield server.start().port
    finally:
        server.kill()


@pytest.fixture(scope="session")
def memcached_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a memcached that all tests share, each with its own prefix."""
    server = memcached_server(tmp_path_factory.mktemp("memcached"))
    try:
        yield server.start().port
    finally:
        server.kill()


@pytest.fixture
def driver_config(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """The `config` of a store that nobody else has."""

    def config(driver: str) -> dict[str, Any]:
        serial = next(_SERIALS)
        match driver:
            case "sqlite":
                return {"file": str(tmp_path / f"{serial}.db")}
            case "redis":
                port = request.getfixturevalue("redis_port")
                return {"addrs": [f"127.0.0.1:{port}"], "prefix": f"test{serial}*:"}
            case "memcached":
                port = request.getfixturevalue("memcached_port")
                return {"addr": [f"127.0.0.1:{port}"], "prefix": f"test{serial}:"}
            case _:
                return {}

    return config


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, in PEM."""
    return Authority(tmp_path, "server", "127.0.0.1").own


@pytest.fixture
async def make(driver_config: Callable[[str], dict[str, Any]]) -> AsyncIterator[Make]:
    """Makes stores: ``await make("memory", clock=..., serializer="json")``; closes them afterwards."""
    made: list[KvStores] = []

    async def one(driver: str, clock: Clock = SYSTEM_CLOCK, config: dict[str, Any] | None = None, **kv: Any) -> Kv:
        stores = stores_of(driver, driver_config(driver) if config is None else config, clock, **kv)
        made.append(stores)
        await stores.open()
        return stores("s")

    yield one
    for stores in made:
        await stores.close()


@pytest.fixture
def keypair(tmp_path: Path) -> Path:
    """A key file."""
    pytest.importorskip("nacl", reason="PyNaCl is not installed: pip install 'rtbridge[crypt]'")
    from rtbridge.stores.crypt import write_keypair

    path = tmp_path / "keypair.key"
    write_keypair(path)
    return path


@pytest.fixture(params=(*DRIVERS, REMOTE))
def driver(request: pytest.FixtureRequest) -> str:
    """Each driver in turn."""
    name: str = request.param
    return name
