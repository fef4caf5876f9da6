"""What every store does, whatever its driver, its serializer, and encrypted or not."""

import asyncio
import dataclasses
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from rtbridge import Kv, KvLimit, KvUnreadable, KvUnsupported
from tests.plugins.kv.conftest import Make

#: Operation → drivers that lack it.
LACKING = {
    "ttl": ("memcached",),
    "scan": ("memcached",),
    "clear": ("memcached",),
    "incr by less than zero": ("memcached",),
}

SERIALIZERS = ("msgpack", "json", "pickle", "tests.plugins.kv.conftest:Upper")
GONE = (0, -1, 0.0, timedelta(0), timedelta(days=-1), datetime(2000, 1, 1, tzinfo=UTC))


@pytest.fixture(params=SERIALIZERS, ids=["msgpack", "json", "pickle", "own"])
def serializer(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
async def kv(request: pytest.FixtureRequest, make: Make, driver: str, serializer: str) -> Kv:
    """One store of each driver, serializer and both kinds of storage."""
    options: dict[str, Any] = {"serializer": serializer}
    if request.param:
        options["keypair_path"] = str(request.getfixturevalue("keypair"))
    return await make(driver, **options)


@pytest.fixture
def lacks(request: pytest.FixtureRequest, driver: str) -> Callable[[str], bool]:
    return lambda operation: driver in LACKING[operation]


async def test_what_is_set_is_there(kv: Kv) -> None:
    assert await kv.get("a") is None
    assert await kv.get("a", 7) == 7
    assert not await kv.has("a")
    for value in (
        "text",
        "",
        0,
        1,
        -5,
        48,
        2**63 - 1,
        -(2**63),
        1.5,
        True,
        None,
        [1, [2]],
        {"a": {"b": [1]}},
        "123",
        "-7",
    ):
        await kv.set("a", value)
        found = await kv.get("a", "nothing")
        assert (found, type(found)) == (value, type(value))
        assert await kv.has("a")


async def test_set_replaces_and_delete_tells(kv: Kv) -> None:
    await kv.set("a", "one")
    await kv.set("a", "two", ttl=60)
    assert await kv.get("a") == "two"
    assert await kv.delete("a")
    assert not await kv.delete("a")
    assert await kv.get("a") is None


async def test_many_at_once(kv: Kv) -> None:
    items = {f"key-{number}": {"n": number} for number in range(1100)}
    await kv.set_many(items, ttl=timedelta(minutes=1))
    assert await kv.get_many([*items, "missing"]) == items
    assert await kv.get_many([]) == {}
    assert list(await kv.get_many(["key-3", "key-1", "key-3"])) == ["key-3", "key-1"]
    assert await kv.delete_many(["key-0", "missing", "key-1"]) == 2
    assert await kv.delete_many([]) == 0
    assert await kv.expire_many(["key-2", "key-3", "missing"], timedelta(hours=1)) == 2
    assert await kv.expire_many(["key-2", "key-3", "missing"], -1) == 2
    assert await kv.get_many(["key-2", "key-3", "key-4"]) == {"key-4": {"n": 4}}


async def test_a_ttl_in_the_past_means_gone(kv: Kv) -> None:
    for ttl in GONE:
        await kv.set("a", "there")
        await kv.set("a", "gone", ttl=ttl)
        assert not await kv.has("a")
        await kv.set_many({"a": "there", "b": "there"})
        await kv.set_many({"a": "gone", "b": "gone"}, ttl=ttl)
        assert await kv.get_many(["a", "b"]) == {}
        assert await kv.add("a", "gone", ttl=ttl)
        assert not await kv.has("a")
        assert await kv.incr("a", 3, ttl=ttl) == 3
        assert not await kv.has("a")
        await kv.set("a", "there")
        assert not await kv.add("a", "gone", ttl=ttl)
        assert await kv.cas("a", "there", "gone", ttl=ttl)
        assert not await kv.has("a")
        assert await kv.get_or_set("a", lambda: "made", ttl=ttl) == "made"
        assert not await kv.has("a")
        await kv.set("a", "there")
        assert await kv.touch("a", ttl)
        assert not await kv.touch("a", ttl)
        assert not await kv.has("a")


async def test_ttl_tells_what_is_left(kv: Kv, lacks: Callable[[str], bool]) -> None:
    if lacks("ttl"):
        with pytest.raises(KvUnsupported, match=r"kv store s: memcached has no ttl"):
            await kv.ttl("a")
        return
    assert await kv.ttl("a") is None
    await kv.set("a", 1)
    assert await kv.ttl("a") == math.inf
    for ttl in (100, 100.0, timedelta(seconds=100)):
        await kv.set("a", 1, ttl=ttl)
        left = await kv.ttl("a")
        assert left is not None
        assert 0 < left <= 100
    await kv.incr("a", ttl=5000)  # it is there and keeps its own
    assert 0 < (await kv.ttl("a") or 0) <= 100
    assert await kv.touch("a", None)
    assert await kv.ttl("a") == math.inf
    assert await kv.touch("a", 1000)
    assert 900 < (await kv.ttl("a") or 0) <= 1000
    assert await kv.cas("a", 2, 3)
    assert await kv.ttl("a") == math.inf
    assert await kv.incr("counter", ttl=50) == 1
    assert 0 < (await kv.ttl("counter") or 0) <= 50


async def test_incr_counts_on(kv: Kv, lacks: Callable[[str], bool], driver: str) -> None:
    if driver == "memcached" and kv.codec.opaque:
        assert await kv.incr("n") == 1
        with pytest.raises(
            KvUnsupported, match=r"incr on encrypted values: .* memcached has no cas that keeps the TTL"
        ):
            await kv.incr("n")
        return
    assert await kv.incr("n") == 1
    assert await kv.incr("n", 41) == 42
    assert await kv.get("n") == 42
    await kv.set("n", 5)
    assert await kv.incr("n", 0) == 5
    if lacks("incr by less than zero"):
        with pytest.raises(KvUnsupported, match=r"memcached has no incr by less than zero"):
            await kv.incr("n", -7)
        return
    assert await kv.incr("n", -7) == -2
    assert await kv.incr("n", 1) == -1
    assert await kv.incr("fresh", -1) == -1


async def test_incr_has_bounds(kv: Kv, driver: str) -> None:
    await kv.set("n", 2**63 - 1)
    if driver == "memcached" and kv.codec.opaque:
        return
    with pytest.raises(KvLimit, match="kv store s: a counter beyond 64 bits"):
        await kv.incr("n")
    assert await kv.get("n") == 2**63 - 1
    with pytest.raises(KvLimit):
        await kv.incr("m", 2**63)
    await kv.set("text", "five")
    with pytest.raises(KvUnreadable, match="kv store s: incr on a value that is no integer"):
        await kv.incr("text")
    assert await kv.get("text") == "five"
    with pytest.raises(TypeError, match="incr adds an integer, not bool"):
        await kv.incr("n", True)


async def test_add_writes_where_there_is_nothing(kv: Kv) -> None:
    assert await kv.add("a", "first", ttl=60)
    assert not await kv.add("a", "second")
    assert await kv.get("a") == "first"
    await kv.delete("a")
    assert await kv.add("a", "third")
    assert await kv.get("a") == "third"


async def test_cas_replaces_what_is_expected(kv: Kv) -> None:
    assert not await kv.cas("a", None, "x")
    await kv.set("a", {"v": 1})
    assert not await kv.cas("a", {"v": 2}, {"v": 3})
    assert await kv.cas("a", {"v": 1}, {"v": 2})
    assert await kv.get("a") == {"v": 2}
    assert not await kv.cas("a", {"v": 1}, {"v": 3}, ttl=60)


async def test_of_many_cas_one_wins(kv: Kv) -> None:
    await kv.set("a", 0)
    won = await asyncio.gather(*(kv.cas("a", 0, number) for number in range(1, 9)))
    assert sum(won) == 1
    assert await kv.get("a") == won.index(True) + 1


async def test_touch_and_has_do_not_change_values(kv: Kv) -> None:
    assert not await kv.touch("a", 60)
    await kv.set("a", "x", ttl=30)
    assert await kv.touch("a", 60)
    assert await kv.get("a") == "x"


async def test_clear_empties_this_store_alone(
    kv: Kv, lacks: Callable[[str], bool], make: Make, driver: str, serializer: str
) -> None:
    if lacks("clear"):
        with pytest.raises(KvUnsupported, match=r"memcached has no clear of one store; prefix: \"\" "):
            await kv.clear()
        return
    other = await make(driver, serializer=serializer)
    await other.set("a", "stays")
    await kv.set_many({f"k{number}": number for number in range(50)})
    await kv.clear()
    assert await kv.get_many([f"k{number}" for number in range(50)]) == {}
    assert await other.get("a") == "stays"
    await kv.clear()


async def test_keys_by_prefix(kv: Kv, lacks: Callable[[str], bool]) -> None:
    if lacks("scan"):
        with pytest.raises(KvUnsupported, match="kv store s: memcached has no iteration"):
            [key async for key in kv.scan()]
        return
    names = {f"user:{number}" for number in range(1200)}
    odd = {"user", "user;", "usér:1", "us*r:1", "u[s]er:?", "user\\:", "\U0010ffff", "\U0010ffff\U0010ffff", "日本"}
    await kv.set_many(dict.fromkeys(names | odd, 1))
    assert {key async for key in kv.scan("user:")} == names
    assert {key async for key in kv.scan()} == names | odd
    assert {key async for key in kv.scan("us*")} == {"us*r:1"}
    assert {key async for key in kv.scan("u[s]")} == {"u[s]er:?"}
    assert {key async for key in kv.scan("user\\")} == {"user\\:"}
    assert {key async for key in kv.scan("\U0010ffff")} == {"\U0010ffff", "\U0010ffff\U0010ffff"}
    assert {key async for key in kv.scan("nobody")} == set()
    assert {item async for item in kv.items("usér")} == {("usér:1", 1)}
    assert {key async for key in kv.scan("user:1") if await kv.delete(key)} == {n for n in names if n[5] == "1"}
    assert await kv.has("user:1") is False


@pytest.mark.parametrize("key", ["k" * 100, "a b", "tab\tnewline\n", "\x00", "%", "%41", "é" * 30, "::", "🙂"])
async def test_keys_are_any_text(kv: Kv, key: str) -> None:
    await kv.set(key, "mine")
    await kv.set(key + "x", "another's")
    assert await kv.get(key) == "mine"
    assert await kv.get_many([key]) == {key: "mine"}
    assert await kv.delete(key)
    assert await kv.get(key + "x") == "another's"


async def test_keys_and_ttls_that_cannot_be(kv: Kv) -> None:
    for key in ("", " ", "\t\n"):
        with pytest.raises(ValueError, match="a key is not blank"):
            await kv.get(key)
    with pytest.raises(TypeError, match="a key is text, not int"):
        await kv.set(1, "x")  # type: ignore[arg-type]
    with pytest.raises(KvLimit, match="a key of more than 1024 bytes"):
        await kv.set("é" * 513, "x")
    with pytest.raises(ValueError, match="lone surrogate"):
        await kv.get("\ud800")
    with pytest.raises(TypeError, match="a list of text"):
        await kv.get_many("abc")
    for ttl, error in (
        (math.nan, ValueError),
        (datetime(2030, 1, 1), ValueError),
        (1e12, ValueError),
        ("1", TypeError),
        (True, TypeError),
    ):
        with pytest.raises(error, match="ttl is"):
            await kv.set("a", 1, ttl=ttl)  # type: ignore[arg-type]
    assert not await kv.has("a")


async def test_a_value_has_a_bound(make: Make, driver: str) -> None:
    kv = await make(driver, value_size="1KiB")
    await kv.set("a", "x" * 1000)
    with pytest.raises(KvLimit, match=r"kv store s: a value of 1,\d+ bytes; rtbridge.kv.value_size allows 1,024"):
        await kv.set("a", "x" * 1100)
    assert await kv.get("a") == "x" * 1000


async def test_get_or_set_makes_a_value_once(kv: Kv) -> None:
    made = 0
    ready = asyncio.Event()

    async def make_it() -> str:
        nonlocal made
        made += 1
        await ready.wait()
        return "value"

    waiting = [asyncio.create_task(kv.get_or_set("a", make_it, ttl=60)) for _ in range(10)]
    async with asyncio.timeout(10):
        while [flight.waiting for flight in kv._flights.values()] != [10]:
            await asyncio.sleep(0)
    waiting[0].cancel()
    ready.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == ["value"] * 9
    assert made == 1
    assert await kv.get_or_set("a", lambda: "another") == "value"


async def test_get_or_set_stores_nothing_where_making_fails(kv: Kv) -> None:
    def fail() -> str:
        raise LookupError("no")

    for _ in range(2):
        with pytest.raises(LookupError, match="no"):
            await kv.get_or_set("a", fail)
    assert not await kv.has("a")
    assert await kv.get_or_set("a", lambda: 5) == 5


async def test_who_comes_after_the_last_one_left_makes_it_anew(kv: Kv) -> None:
    started = asyncio.Event()

    async def never() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # ending takes a while
        return ""

    waiting = asyncio.create_task(kv.get_or_set("a", never))
    async with asyncio.timeout(10):
        await started.wait()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await kv.get_or_set("a", lambda: "made") == "made"


async def test_get_or_set_ends_where_nobody_waits(kv: Kv) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def make_it() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    waiting = asyncio.create_task(kv.get_or_set("a", make_it))
    async with asyncio.timeout(10):
        await started.wait()
        waiting.cancel()
        await ended.wait()
    assert not await kv.has("a")


async def test_the_same_from_threads(kv: Kv, driver: str) -> None:
    await kv.set("from the loop", 1)
    sync = kv.sync

    def use() -> None:
        assert sync.name == "s"
        assert sync.get("from the loop") == 1
        sync.set("a", "x", ttl=60)
        assert (sync.get("a"), sync.get("b", 3), sync.has("a"), sync.delete("b")) == ("x", 3, True, False)
        sync.set_many({"b": 2, "c": 3})
        assert sync.get_many(["b", "c"]) == {"b": 2, "c": 3}
        assert sync.expire_many(["b", "missing"], 60) == 1
        assert sync.delete_many(["b", "c"]) == 2
        assert sync.add("d", 1)
        assert sync.cas("d", 1, 2)
        assert sync.touch("d", None)
        if not (driver == "memcached" and kv.codec.opaque):
            assert sync.incr("d") == 3
        assert sync.get_or_set("e", lambda: "made") == "made"
        assert sync.get_or_set("e", lambda: "another") == "made"
        if driver != "memcached":
            assert sync.ttl("d") == math.inf
            assert sorted(sync.scan("from")) == ["from the loop"]
            assert dict(sync.items("e")) == {"e": "made"}
            sync.clear()
            assert not sync.has("e")

    await asyncio.to_thread(use)


async def test_threads_share_one_making(kv: Kv) -> None:
    import threading

    made, entered, go = [], threading.Event(), threading.Event()

    def make_it() -> int:
        entered.set()
        assert go.wait(10)
        made.append(1)
        return 9

    tasks = [asyncio.create_task(asyncio.to_thread(kv.sync.get_or_set, "a", make_it)) for _ in range(4)]
    assert await asyncio.to_thread(entered.wait, 10)
    go.set()
    assert await asyncio.gather(*tasks) == [9] * 4
    assert made == [1]


async def test_blocking_on_the_loop_is_refused(kv: Kv, driver: str) -> None:
    if driver == "memory":
        assert kv.sync.get("a") is None  # it never waits
        return
    with pytest.raises(RuntimeError, match=r"await kv\(\.\.\.\) here"):
        kv.sync.get("a")


class Color(msgspec.Struct):
    name: str
    tags: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Order:
    id: UUID
    at: datetime
    total: Decimal
    colors: list[Color]
    days: set[date]


ORDER = Order(
    id=UUID(int=7),
    at=datetime(2026, 5, 4, 12, 30, 15, 250, tzinfo=UTC),
    total=Decimal("19.90"),
    colors=[Color("red", ("a", "b")), Color("blue")],
    days={date(2026, 5, 4)},
)


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("serializer", ["msgpack", "pickle"])
async def test_objects_round_trip(make: Make, driver: str, serializer: str, encrypted: bool, keypair: Path) -> None:
    kv = await make(driver, serializer=serializer, **({"keypair_path": str(keypair)} if encrypted else {}))
    values = [ORDER, ORDER.at, ORDER.total, ORDER.id, ORDER.days, (1, "x"), Color("red"), b"\xc1e\x00", {1: ORDER}]
    for value in values:
        await kv.set("a", value)
        found = await kv.get("a")
        assert (found, type(found)) == (value, type(value))
    assert await kv.cas("a", {1: ORDER}, ORDER)
    assert await kv.get("a", type=Order) == ORDER


async def test_json_fits_a_type(make: Make, driver: str) -> None:
    kv = await make(driver, serializer="json")
    await kv.set("a", ORDER)
    assert await kv.get("a", type=Order) == ORDER
    assert await kv.get("missing", type=Order) is None
    assert await kv.get("missing", ORDER, type=Order) is ORDER
    with pytest.raises(KvUnreadable, match="kv store s: a value does not fit Color"):
        await kv.get("a", type=Color)
    await kv.set("b", {"name": "red", "tags": ["s3cret", 5]})
    with pytest.raises(KvUnreadable, match=r"a value does not fit Color at `\$\.tags\[1\]`$"):
        await kv.get("b", type=Color)
