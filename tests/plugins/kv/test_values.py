"""Values and their bytes: the default serializer, serializers by name, compression, what cannot be read."""

import asyncio
import collections
import contextlib
import dataclasses
import enum
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from uuid import UUID

import msgpack
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtbridge import ConfigError, KvLimit, KvUnreadable
from rtbridge.stores import base, packing
from rtbridge.stores.codec import Codec, Zstd
from rtbridge.stores.serializers import fitted, serializer_of


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: int = 0


class Tag(msgspec.Struct, rename="camel"):
    tag_name: str
    level: Level = Level.LOW


@dataclasses.dataclass
class Node:
    name: str
    children: list["Node"] = dataclasses.field(default_factory=list)
    depth: int = dataclasses.field(init=False, default=0)


class Account(pydantic.BaseModel):
    user: str
    since: date


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(),
        st.binary(),
        st.datetimes(),
        st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])),
        st.dates(),
        st.times(),
        st.timedeltas(),
        st.decimals(allow_nan=False),
        st.uuids(),
        st.sampled_from(Level),
        st.builds(Point, st.integers(), st.integers()),
        st.builds(Tag, st.text(), st.sampled_from(Level)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text() | st.integers(-9, 9), inner, max_size=4),
        st.frozensets(st.integers() | st.text(), max_size=4),
        st.sets(st.dates() | st.uuids(), max_size=4),
        st.builds(Node, st.text(), st.lists(st.builds(Node, st.text()), max_size=2)),
    ),
    max_leaves=12,
)


@given(VALUES)
def test_the_default_serializer_gives_back_what_it_got(value: Any) -> None:
    found = packing.loads(packing.dumps(value))
    assert (found, type(found)) == (value, type(value))


@given(VALUES)
def test_values_come_back_whatever_they_look_like(value: Any) -> None:
    codec = Codec("s", serializer_of("msgpack", "x"), value_size=10_000)
    found = codec.decode("k", codec.encode("k", value))
    assert (found, type(found)) == (value, type(value))


def test_fields_that_are_set_later_come_back() -> None:
    node = Node("root", [Node("leaf")])
    node.depth = 3
    found = packing.loads(packing.dumps(node))
    assert (found, found.depth) == (node, 3)


def test_classes_may_gain_and_lose_fields() -> None:
    stored = packing.dumps([Tag("a", Level.HIGH), Node("n"), Point(1, 2)])
    fields = {"Tag": ("level", "tag_name"), "Node": ("children", "name"), "Point": ("y", "x")}
    found = msgpack.unpackb(stored, ext_hook=lambda code, data: msgpack.unpackb(data))
    assert all(set(fields[name.partition(":")[2]]) <= set(values) for name, values in found)
    older = [
        msgpack.ExtType(10, msgpack.packb([f"{__name__}:Tag", {"tag_name": "a", "gone": 1}])),
        msgpack.ExtType(10, msgpack.packb([f"{__name__}:Node", {"name": "n", "gone": 1}])),
        msgpack.ExtType(10, msgpack.packb([f"{__name__}:Point", {"x": 1, "gone": 1}])),
    ]
    assert packing.loads(msgpack.packb(older)) == [Tag("a"), Node("n"), Point(1)]


def test_what_would_not_come_back_is_refused() -> None:
    class Local(msgspec.Struct):
        a: int

    for value in (object(), Path("x"), collections.OrderedDict(a=1), collections.Counter("a"), range(3), Account):
        with pytest.raises(TypeError, match="has no form that msgpack would give back"):
            packing.dumps(value)
    with pytest.raises(TypeError, match=r"Local is defined inside a function"):
        packing.dumps(Local(1))
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(ValueError, match=r"nested too deeply|recursion limit"):
        packing.dumps(ring)
    assert packing.loads(packing.dumps([1])) == [1]  # the packer is as good as new


@pytest.mark.parametrize(
    ("code", "data"),
    [
        (99, b""),
        (1, b"yesterday"),
        (10, msgpack.packb(["os:system", {}])),
        (10, msgpack.packb(["subprocess:Popen", {"args": "true"}])),
        (10, msgpack.packb(["never.imported:Class", {}])),
        (10, msgpack.packb([f"{__name__}:Tag", {}])),
        (10, msgpack.packb([f"{__name__}:Tag", [1]])),
        (11, msgpack.packb([f"{__name__}:Tag", "LOW"])),
        (11, msgpack.packb([f"{__name__}:Level", "NONE"])),
        (7, b"\xff" * 3),
    ],
)
def test_what_no_serializer_wrote_is_unreadable(code: int, data: bytes) -> None:
    codec = Codec("s", serializer_of("msgpack", "x"), value_size=100)
    with pytest.raises(KvUnreadable, match="kv store s: a value is not what its serializer wrote"):
        codec.decode("k", msgpack.packb(msgpack.ExtType(code, data)))
    assert "never.imported" not in sys.modules


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_unreadable(data: bytes) -> None:
    for name in ("msgpack", "json"):
        codec = Codec("s", serializer_of(name, "x"), value_size=100)
        with contextlib.suppress(KvUnreadable):
            codec.decode("k", data)


def test_unreadable_values_are_not_repeated() -> None:
    codec = Codec("s", serializer_of("json", "x"), value_size=100)
    with pytest.raises(KvUnreadable) as caught:
        codec.decode("k", b'{"password": "pa55"')
    assert "pa55" not in str(caught.value)
    with pytest.raises(KvUnreadable, match="a form that this version does not know"):
        codec.decode("k", b"\xc1?")
    with pytest.raises(KvUnreadable, match=r"a value is encrypted, and the store is not; set rtbridge.kv.keypair_path"):
        codec.decode("k", b"\xc1e...")


def test_json_is_readable_by_others() -> None:
    codec = Codec("s", serializer_of("json", "x"), value_size=100)
    assert codec.encode("k", {"a": [1, "é"]}) == '{"a":[1,"é"]}'.encode()
    assert codec.encode("k", 5) == b"5"
    assert codec.encode("k", Account(user="ann", since=date(2026, 1, 2))) == b'{"user":"ann","since":"2026-01-02"}'
    assert codec.decode("k", b"[1.5, 7]") == [1.5, 7]
    with pytest.raises(TypeError, match="object cannot be written as JSON"):
        codec.encode("k", object())
    assert codec.decode("k", codec.encode("k", 2**63)) == 2**63


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        ({"tagName": "a"}, Tag, Tag("a")),
        ({"name": "n"}, Node, Node("n")),
        ({"user": "ann", "since": "2026-01-02"}, Account, Account(user="ann", since=date(2026, 1, 2))),
        ("2026-01-02T03:04:05Z", datetime, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("1.50", Decimal, Decimal("1.50")),
        ([1, 2], tuple[int, int], (1, 2)),
        (time(1), time, time(1)),
        (str(UUID(int=1)), UUID, UUID(int=1)),
    ],
)
def test_values_fit_types(value: Any, kind: Any, wanted: Any) -> None:
    assert fitted(value, kind) == wanted


def test_serializers_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("shop_serializers")
    vars(module).update(half=type("Half", (), {"dumps": lambda self, value: b""}))
    monkeypatch.setitem(sys.modules, "shop_serializers", module)
    own = serializer_of("tests.plugins.kv.conftest:Upper", "rtbridge.kv.serializer")
    assert own.loads(own.dumps({"a": 1})) == {"a": 1}
    for name, text in (
        ("shop_serializers:half", "shop_serializers:half has no loads; a serializer has both"),
        ("shop_serializers:none", "shop_serializers:none cannot be imported: AttributeError"),
        ("nowhere.at.all:x", "nowhere.at.all:x cannot be imported: ModuleNotFoundError"),
    ):
        with pytest.raises(ConfigError, match=f"rtbridge.kv.serializer: {text}"):
            serializer_of(name, "rtbridge.kv.serializer")


def compressing(size: int = 100_000) -> Codec:
    return Codec("s", serializer_of("msgpack", "x"), value_size=size, zstd=Zstd(100, size, "x"))


def test_large_values_are_compressed() -> None:
    codec = compressing()
    text = "the same again " * 500
    data = codec.encode("k", text)
    assert data.startswith(b"\xc1z")
    assert len(data) < 200
    assert codec.decode("k", data) == text
    assert codec.encode("k", "short") == packing.dumps("short")
    noise = bytes(range(256))
    assert codec.encode("k", noise) == packing.dumps(noise)  # zstd would make it longer
    with pytest.raises(KvUnreadable, match=r"a value is compressed; set rtbridge.kv.compress_over"):
        Codec("s", serializer_of("msgpack", "x"), value_size=1).decode("k", data)


def test_compressed_values_that_are_damaged_or_too_large() -> None:
    data = compressing().encode("k", "the same again " * 500)
    for broken in (data[:-3], data[:4], b"\xc1z", data[:2] + b"\x00" * 20):
        with pytest.raises(KvUnreadable, match="a compressed value: it"):
            compressing().decode("k", broken)
    with pytest.raises(KvUnreadable, match=r"its size is missing or beyond rtbridge.kv.value_size"):
        compressing(size=1000).decode("k", data)
    with pytest.raises(KvLimit, match="a value of 5,003 bytes"):
        compressing(size=1000).encode("k", "x" * 5000)


async def test_threads_compress_beside_one_another() -> None:
    codec = compressing()

    def use(number: int) -> None:
        for _ in range(50):
            text = f"{number} again " * 200
            assert codec.decode("k", codec.encode("k", text)) == text

    await asyncio.gather(*(asyncio.to_thread(use, number) for number in range(4)))


def test_a_missing_package_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(base, "import_module", missing)
    with pytest.raises(ConfigError) as caught:
        Zstd(1, 1, "rtbridge.kv.compress_over")
    assert str(caught.value) == ("rtbridge.kv.compress_over needs the package zstandard: pip install 'rtbridge[zstd]'")
