"""The sections ``kv`` and ``rtbridge.kv``."""

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from rtbridge.config import Config, KvStore, parse_config
from rtbridge.config import kv as kv_config
from rtbridge.config.kv import MemcachedConfig, MemoryConfig, RedisConfig, SqliteConfig
from rtbridge.errors import ConfigError

VERSION = 'version: "3"\n'


def read(text: str, **kwargs: Any) -> Config:
    return parse_config(VERSION + text, environ={}, **kwargs).config


def fault(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package has a driver."""

    def points(group: str) -> list[EntryPoint]:
        return [EntryPoint("etcd", "shop.kv:open_store", group)]

    monkeypatch.setattr(kv_config, "entry_points", points)


def test_each_driver_has_its_own_keys(tmp_path: Path) -> None:
    config = read(
        "kv:\n"
        "  a: {driver: memory, config: {max_entries: 10, max_bytes: 1MiB}}\n"
        "  b: {driver: sqlite, config: {file: state/b.db, interval: 5s}}\n"
        "  c: {driver: redis, config: {addrs: ['10.0.0.1:7000', '10.0.0.2:7000'], db: 0}}\n"
        "  d: {driver: memcached}\n",
        base_dir=tmp_path,
    )
    assert config.kv["a"].config == MemoryConfig(max_entries=10, max_bytes=1024**2)
    assert config.kv["b"].config == SqliteConfig(file=tmp_path / "state" / "b.db", interval=5.0)
    assert [str(address) for address in config.kv["c"].config.addrs] == ["tcp://10.0.0.1:7000", "tcp://10.0.0.2:7000"]
    assert config.kv["d"].config == MemcachedConfig()


def test_a_section_named_like_a_store_is_its_config() -> None:
    config = read(
        "kv: {redis: {driver: redis}, sessions: {driver: memory}}\nredis: {db: 3}\nsessions: {max_entries: 5}"
    )
    assert config.kv["redis"].config == RedisConfig(db=3)
    assert config.kv["sessions"].config == MemoryConfig(max_entries=5)


def test_a_config_of_its_own_comes_first() -> None:
    loaded = parse_config(f"{VERSION}kv: {{s: {{driver: memory, config: {{}}}}}}\ns: {{max_entries: 5}}")
    assert loaded.config.kv["s"].config == MemoryConfig()
    assert loaded.notices == ("<config>:3: s: not read, kv.s has a config of its own",)


def test_a_driver_section_of_roadrunner_that_no_store_has_is_noticed() -> None:
    loaded = parse_config(f"{VERSION}kv: {{s: {{driver: memory}}}}\nmemcached: {{addr: ['a:1']}}")
    assert loaded.notices == ("<config>:3: memcached: RoadRunner's key, no meaning here (a driver of RoadRunner's kv)",)


def test_boltdb_is_sqlite(tmp_path: Path) -> None:
    text = "kv: {s: {driver: boltdb, config: {file: rr.db, permissions: 755, interval: 1m}}}"
    loaded = parse_config(VERSION + text, base_dir=tmp_path)
    assert loaded.config.kv["s"].driver == "sqlite"
    assert loaded.config.kv["s"].config.file == tmp_path / "rr.db"
    assert [notice.partition(": ")[2] for notice in loaded.notices] == [
        "kv.s.driver: RoadRunner's boltdb is sqlite here; a file of boltdb is not read",
        "kv.s.config.permissions: has no effect: the file is its owner's alone (0600)",
    ]


def test_keys_of_go_redis_are_noticed() -> None:
    config = "{idle_timeout: 0, min_idle_conns: 1, tls: {client_auth_type: no_client_cert}}"
    text = f"kv: {{s: {{driver: redis, config: {config}}}}}"
    notices = parse_config(VERSION + text).notices
    assert len(notices) == 3
    assert all(notice.endswith("has no effect: it belongs to RoadRunner's client library") for notice in notices)


@pytest.mark.usefixtures("installed")
def test_a_driver_of_another_package_gets_a_mapping() -> None:
    text = "kv: {s: {driver: etcd, config: {hosts: ['a:1', '${N:-5}'], deep: {x: 1.5}, on: true, none: null}}}"
    store = read(text).kv["s"]
    assert store.config == {"hosts": ["a:1", 5], "deep": {"x": 1.5}, "on": True, "none": None}
    assert repr(store) == "KvStore(driver='etcd', config=<hidden>)"
    assert read("kv: {s: {driver: etcd}}").kv["s"] == KvStore(driver="etcd", config={})
    assert read("kv: {s: {driver: etcd, config: null}}").kv["s"].config == {}
    assert fault("kv: {s: {driver: etcd, config: [1]}}") == (
        "<config>:2: kv.s.config: found a list, allowed: a mapping"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "kv: {s: {driver: redsi}}",
            "kv.s.driver: found a string 'redsi' (no such driver; did you mean redis?), allowed: memory, sqlite "
            "(boltdb), redis, memcached, or the name of a driver that is installed",
        ),
        (
            "kv: {s: {driver: memory, config: {max_entires: 1}}}",
            "kv.s.config.max_entires: unknown key, allowed: max_entries, max_bytes; did you mean max_entries?",
        ),
        ("kv: {s: {driver: memory, config: {max_entries: 0}}}", "kv.s.config.max_entries: found an integer 0"),
        ("kv: {s: {driver: redis, config: {addrs: []}}}", "kv.s.config.addrs: found an empty list"),
        (
            "kv: {s: {driver: redis, config: {url: 'http://a'}}}",
            "kv.s.config.url: found a string of length 8, allowed: redis://, rediss:// or unix://",
        ),
        (
            "kv: {s: {driver: redis, config: {cluster: true, master_name: m}}}",
            "kv.s.config: found cluster and master_name, allowed: one of the two",
        ),
        ("kv: {s: {driver: sqlite, config: {file: ''}}}", "kv.s.config.file: found a string ''"),
        ("rtbridge: {kv: {serializer: yaml}}", "rtbridge.kv.serializer: found a string 'yaml', allowed: msgpack, json"),
        (
            "kv: {sessions: {driver: memory}}\nrtbridge: {kv: {stores: {session: {}}}}",
            "rtbridge.kv.stores.session: no such store, allowed: sessions; did you mean sessions?",
        ),
        (
            "kv: {s: {driver: memory}}\nrtbridge: {kv: {stores: {s: {encrypt: true}}}}",
            "rtbridge.kv: found stores.s.encrypt without keypair_path, allowed: both, or neither",
        ),
        (
            "rtbridge: {kv: {keypair_path: nowhere.key}}",
            "rtbridge.kv.keypair_path: found a string 'nowhere.key' (no file at",
        ),
    ],
)
def test_faults(text: str, message: str) -> None:
    assert message in fault(text)


def test_secrets_are_not_shown() -> None:
    config = read(
        "kv: {s: {driver: redis, config: {url: 'redis://u:pa55@h', password: pa55, sentinel_password: pa55}}}"
    )
    assert "pa55" not in repr(config)
    assert "url=<hidden>" in repr(config.kv["s"])


def test_keys_of_single_stores(tmp_path: Path) -> None:
    for name in ("new.key", "old.key"):
        (tmp_path / name).touch()
    config = read(
        "kv: {s: {driver: memory}}\n"
        "rtbridge:\n"
        "  kv:\n"
        "    keypair_path: new.key\n"
        "    previous_keypair_paths: [old.key]\n"
        "    stores: {s: {serializer: json, encrypt: false, compress_over: 1KiB}}\n",
        base_dir=tmp_path,
    ).rtbridge.kv
    assert config.keypair_path == tmp_path / "new.key"
    assert config.previous_keypair_paths == (tmp_path / "old.key",)
    assert (config.stores["s"].serializer, config.stores["s"].compress_over) == ("json", 1024)
