"""Stores beside a dict: whatever is done, in whatever order, both say the same.

Time is the test's, where the driver counts it; servers count their own, so there nothing ends during a test.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from rtbridge import Kv, KvStores, KvUnreadable
from rtbridge.testing import VirtualClock
from tests.plugins.kv.conftest import REMOTE, stores_of

T = TypeVar("T")

KEYS = st.sampled_from(["a", "b", "user:1", "user:2", "usér", "%", " x"])
VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.none(),
    st.booleans(),
    st.lists(st.integers(0, 300), max_size=3),
)
TTLS = st.one_of(st.none(), st.integers(-1, 6), st.floats(0.25, 6, width=16))


class Machine(RuleBasedStateMachine):
    """One store and one dict of key → (value, when it ends)."""

    driver: ClassVar[str] = "memory"
    options: ClassVar[dict[str, Any]] = {}
    #: Makes the `config` of a store that is empty.
    config: ClassVar[Callable[[], dict[str, Any]]] = dict
    #: What TTLs above zero are multiplied with.
    stretch: ClassVar[int] = 1

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.clock = VirtualClock()
        self.runner = asyncio.Runner()
        self.stores: KvStores | None = None
        self.model: dict[str, tuple[Any, float]] = {}
        self.given = type(self).config()
        if self.driver == "sqlite":
            self.given["file"] = str(Path(self.folder.name) / "kv.db")
        self.connect()

    def connect(self) -> None:
        self.stores = stores_of(self.driver, self.given, self.clock, **self.options)
        self.kv: Kv = self.stores("s")

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            assert self.stores is not None
            self.run(self.stores.close())
            self.runner.close()
            self.folder.cleanup()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def stretched(self, ttl: float | None) -> float | None:
        return ttl if ttl is None or ttl <= 0 else ttl * self.stretch

    def end(self, ttl: float | None) -> float:
        return math.inf if ttl is None else self.clock.time() + ttl

    def write(self, key: str, value: Any, ttl: float | None) -> None:
        self.model[key] = (value, self.end(ttl))
        self.drop()

    def drop(self) -> None:
        now = self.clock.time()
        self.model = {key: entry for key, entry in self.model.items() if entry[1] > now}

    @rule(seconds=st.sampled_from([0, 0.25, 1, 3]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.drop()

    @rule(key=KEYS, value=VALUES, ttl=TTLS)
    def set(self, key: str, value: Any, ttl: float | None) -> None:
        ttl = self.stretched(ttl)
        self.run(self.kv.set(key, value, ttl=ttl))
        self.write(key, value, ttl)

    @rule(items=st.dictionaries(KEYS, VALUES), ttl=TTLS)
    def set_many(self, items: dict[str, Any], ttl: float | None) -> None:
        ttl = self.stretched(ttl)
        self.run(self.kv.set_many(items, ttl=ttl))
        for key, value in items.items():
            self.write(key, value, ttl)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        found = self.run(self.kv.get(key, "nothing"))
        wanted = self.model.get(key, ("nothing", 0))[0]
        assert (found, type(found)) == (wanted, type(wanted))
        assert self.run(self.kv.has(key)) == (key in self.model)

    @rule(keys=st.lists(KEYS))
    def get_many(self, keys: list[str]) -> None:
        wanted = {key: self.model[key][0] for key in keys if key in self.model}
        assert self.run(self.kv.get_many(keys)) == wanted

    @rule(key=KEYS)
    def ttl(self, key: str) -> None:
        found = self.run(self.kv.ttl(key))
        wanted = self.model[key][1] - self.clock.time() if key in self.model else None
        assert found == (wanted if wanted is None else pytest.approx(wanted, abs=0 if self.stretch == 1 else 120))

    @rule(keys=st.lists(KEYS))
    def delete_many(self, keys: list[str]) -> None:
        there = {key for key in keys if key in self.model}
        assert self.run(self.kv.delete_many(keys)) == len(there)
        for key in there:
            del self.model[key]

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        assert self.run(self.kv.delete(key)) == (self.model.pop(key, None) is not None)

    @rule(keys=st.lists(KEYS), ttl=TTLS)
    def expire_many(self, keys: list[str], ttl: float | None) -> None:
        ttl = self.stretched(ttl)
        there = {key for key in keys if key in self.model}
        assert self.run(self.kv.expire_many(keys, ttl)) == len(there)
        for key in there:
            self.write(key, self.model[key][0], ttl)

    @rule(key=KEYS, ttl=TTLS)
    def touch(self, key: str, ttl: float | None) -> None:
        ttl = self.stretched(ttl)
        assert self.run(self.kv.touch(key, ttl)) == (key in self.model)
        if key in self.model:
            self.write(key, self.model[key][0], ttl)

    @rule(key=KEYS, value=VALUES, ttl=TTLS)
    def add(self, key: str, value: Any, ttl: float | None) -> None:
        ttl = self.stretched(ttl)
        assert self.run(self.kv.add(key, value, ttl=ttl)) == (key not in self.model)
        if key not in self.model:
            self.write(key, value, ttl)

    @rule(key=KEYS, expected=VALUES, value=VALUES, ttl=TTLS)
    def cas_by_chance(self, key: str, expected: Any, value: Any, ttl: float | None) -> None:
        ttl = self.stretched(ttl)
        wanted = key in self.model and self.model[key][0] == expected
        assert self.run(self.kv.cas(key, expected, value, ttl=ttl)) == wanted
        if wanted:
            self.write(key, value, ttl)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), value=VALUES, ttl=TTLS)
    def cas(self, data: st.DataObject, value: Any, ttl: float | None) -> None:
        ttl = self.stretched(ttl)
        key = data.draw(st.sampled_from(sorted(self.model)))
        assert self.run(self.kv.cas(key, self.model[key][0], value, ttl=ttl))
        self.write(key, value, ttl)

    @rule(key=KEYS, by=st.integers(-3, 3), ttl=TTLS)
    def incr(self, key: str, by: int, ttl: float | None) -> None:
        ttl = self.stretched(ttl)
        value, ends = self.model.get(key, (0, None))
        if type(value) is not int:
            with pytest.raises(KvUnreadable):
                self.run(self.kv.incr(key, by, ttl=ttl))
        elif abs(value) < 2**62:
            assert self.run(self.kv.incr(key, by, ttl=ttl)) == value + by
            if ends is None:
                self.write(key, value + by, ttl)
            else:
                self.model[key] = (value + by, ends)

    @rule(prefix=st.sampled_from(["", "user:", "us", "%", "none"]))
    def keys(self, prefix: str) -> None:
        async def listed() -> list[str]:
            return [key async for key in self.kv.scan(prefix)]

        assert sorted(self.run(listed())) == sorted(key for key in self.model if key.startswith(prefix))

    @rule()
    def clear(self) -> None:
        self.run(self.kv.clear())
        self.model.clear()

    @precondition(lambda self: self.driver == "sqlite")
    @rule()
    def restart(self) -> None:
        assert self.stores is not None
        self.run(self.stores.close())
        self.connect()


class Server(Machine):
    """One of a server, on whose clock nothing ends in the time of a test."""

    stretch = 10_000
    wait = None  # type: ignore[assignment]  # hypothesis's way to leave a rule out


class Memcached(Server):
    """What memcached has; a store of its own has no clear, and counters do not go below zero."""

    ttl = None  # type: ignore[assignment]
    keys = None  # type: ignore[assignment]
    clear = None  # type: ignore[assignment]
    incr = None  # type: ignore[assignment]


MACHINES: Final[dict[str, type[Machine]]] = {
    "memory": Machine,
    "sqlite": Machine,
    REMOTE: Machine,
    "redis": Server,
    "memcached": Memcached,
}


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("name", MACHINES)
def test_a_store_is_a_dict(
    name: str,
    encrypted: bool,
    driver_config: Callable[[str], dict[str, Any]],
    request: pytest.FixtureRequest,
) -> None:
    """Expiry, counters, comparison, order of writes, restarts of those that survive them."""

    members = {
        "driver": name,
        "options": {"keypair_path": str(request.getfixturevalue("keypair"))} if encrypted else {},
        "config": staticmethod(lambda: {} if name == "sqlite" else driver_config(name)),
    }
    run_state_machine_as_test(
        type("Own", (MACHINES[name],), members),
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
