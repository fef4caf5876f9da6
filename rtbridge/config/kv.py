"""The sections ``kv``, with RoadRunner's keys, and ``rtbridge.kv``."""

import difflib
import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta, field

from rtbridge.config.fields import AddressText, Count, Duration, File, NonEmpty, PositiveDuration, Section, Size
from rtbridge.config.fields import secret_fields as _secret_fields
from rtbridge.config.kinds import Kind, Place
from rtbridge.config.values import Address

#: The group of entry points that name drivers of other packages.
DRIVERS: Final = "rtbridge.kv"

#: RoadRunner's names of drivers that have another one here.
_ALIASES: Final = {"boltdb": "sqlite"}

_SERIALIZER: Final = re.compile(r"msgpack|json|pickle|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_REDIS_URL: Final = re.compile(r"(?:rediss?|unix)://[!-~]+")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("" if value is None else "quote it to make it text")
    return value


def _read_driver(value: object, _: Place) -> str:
    name = _text(value)
    name = _ALIASES.get(name, name)
    known = [*CONFIGS, *(point.name for point in entry_points(group=DRIVERS))]
    if name in known:
        return name
    close = difflib.get_close_matches(name.lower()[:60], [*known, *_ALIASES], n=1)
    raise ValueError(f"no such driver; did you mean {close[0]}?" if close else "no such driver")


def _read_serializer(value: object, _: Place) -> str:
    text = _text(value)
    if _SERIALIZER.fullmatch(text) is None:
        raise ValueError
    return text


def _read_path(value: object, place: Place) -> Path:
    text = _text(value)
    if not text or "\0" in text or text.endswith("/"):
        raise ValueError
    return (place.base_dir / text).absolute()


def _read_redis_url(value: object, _: Place) -> str:
    text = _text(value)
    if _REDIS_URL.fullmatch(text) is None:
        raise ValueError
    return text


DRIVER: Final = Kind(
    noun="memory, sqlite (boltdb), redis, memcached, or the name of a driver that is installed",
    read=_read_driver,
    schema={"type": "string", "minLength": 1},
    placeholder="memory",
    text=True,
)
SERIALIZER: Final = Kind(
    noun="msgpack, json, pickle, or module:attribute",
    read=_read_serializer,
    schema={"type": "string", "pattern": f"^({_SERIALIZER.pattern})$"},
    placeholder="msgpack",
    text=True,
)
NEW_FILE: Final = Kind(
    noun="the path of a file, relative to the folder of this file",
    read=_read_path,
    schema={"type": "string", "minLength": 1},
    placeholder=Path("kv.db"),
    text=True,
)
REDIS_URL: Final = Kind(
    noun="redis://, rediss:// or unix:// and what follows: redis://user:password@host:6379/0",
    read=_read_redis_url,
    schema={"type": "string", "pattern": f"^{_REDIS_URL.pattern}$"},
    placeholder="redis://127.0.0.1:6379",
    text=True,
)

Password: TypeAlias = Annotated[str, Meta(extra={"secret": True})]
Hidden: TypeAlias = Annotated[str, Meta(extra={"kind": REDIS_URL, "secret": True})]
PoolSize: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]

#: Text of a notice for keys of go-redis that redis-py has no use for.
_GO: Final = "has no effect: it belongs to RoadRunner's client library"


class MemoryConfig(Section, frozen=True, kw_only=True):
    """``kv.NAME.config`` of the memory driver."""

    max_entries: Annotated[
        int, Meta(ge=1, le=2**31 - 1, description="Entries at most; the least recently used goes first.")
    ] = 1_000_000
    max_bytes: Annotated[Size, Meta(description="Bytes of keys and values at most, 200 for each entry included.")] = (
        256 * 1024**2
    )


class SqliteConfig(Section, frozen=True, kw_only=True):
    """``kv.NAME.config`` of the sqlite driver."""

    file: Annotated[
        Path,
        Meta(
            description="The database; several stores may share one.",
            extra={"kind": NEW_FILE, "when_present": "kv.db"},
        ),
    ] = Path("kv.db")
    max_bytes: Annotated[Size, Meta(description="Size of the file at most; writes beyond it fail.")] = 1024**3
    interval: Annotated[
        PositiveDuration, Meta(description="How often expired entries are taken out of the file; they are never read.")
    ] = 60.0
    busy_timeout: Annotated[
        PositiveDuration, Meta(description="Time that a write waits for those of other processes.")
    ] = 30.0
    permissions: Annotated[
        Count,
        Meta(
            description="RoadRunner's; the file is its owner's alone.",
            extra={"notice": "has no effect: the file is its owner's alone (0600)"},
        ),
    ] = 0


class RedisTls(Section, frozen=True, kw_only=True):
    """TLS to redis."""

    root_ca: Annotated[
        File | None,
        Meta(description="PEM file of the authority that signed the server's certificate; null = system's."),
    ] = None
    cert: Annotated[File | None, Meta(description="PEM file of the client certificate; null = none.")] = None
    key: Annotated[File | None, Meta(description="PEM file of its private key.")] = None
    client_auth_type: Annotated[
        str, Meta(description="RoadRunner's; servers ask for certificates.", extra={"notice": _GO})
    ] = ""

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("found one of cert and key, allowed: both or neither")


class RedisConfig(Section, frozen=True, kw_only=True):
    """``kv.NAME.config`` of the redis driver."""

    url: Annotated[
        Hidden | None, Meta(description="The server in one URL; in place of addrs, db, username, password.")
    ] = None
    addrs: Annotated[
        tuple[AddressText, ...],
        Meta(min_length=1, description="Servers; more than one = a cluster, with master_name = its sentinels."),
    ] = (Address(host="127.0.0.1", port=6379),)
    cluster: Annotated[bool, Meta(description="A cluster, also where one address is given.")] = False
    master_name: Annotated[str, Meta(description="Name of the master that sentinels watch.")] = ""
    sentinel_username: Annotated[str, Meta(description="User of the sentinels.")] = ""
    sentinel_password: Annotated[Password, Meta(description="Password of the sentinels.")] = ""
    db: Annotated[Count, Meta(description="Number of the database; clusters have only 0.")] = 0
    username: Annotated[str, Meta(description="User.")] = ""
    password: Annotated[Password, Meta(description="Password.")] = ""
    prefix: Annotated[
        str | None,
        Meta(description="What keys begin with on the server; null = centrifuge.name:STORE: with its own name."),
    ] = None
    tls: Annotated[RedisTls | None, Meta(description="TLS; null = plaintext, but for a rediss:// URL.")] = None
    pool_size: Annotated[PoolSize, Meta(description="Connections of one process to one server at most.")] = 32
    dial_timeout: Annotated[PositiveDuration, Meta(description="Time that connecting may take.")] = 5.0
    read_timeout: Annotated[PositiveDuration, Meta(description="Time that an answer may take.")] = 3.0
    pool_timeout: Annotated[PositiveDuration, Meta(description="Time that a call waits for a connection.")] = 4.0
    max_retries: Annotated[
        Annotated[int, Meta(ge=0, le=100)],
        Meta(description="Further attempts of calls that may be made twice; incr, add, cas and deletes are made once."),
    ] = 3
    min_retry_backoff: Annotated[
        Duration, Meta(description="Pause before the second attempt; doubled for each more.")
    ] = 0.008
    max_retry_backoff: Annotated[Duration, Meta(description="Longest pause between attempts.")] = 0.512
    read_only: Annotated[bool, Meta(description="Read from replicas of a cluster, too.")] = False
    route_by_latency: Annotated[bool, Meta(description="RoadRunner's.", extra={"notice": _GO})] = False
    route_randomly: Annotated[bool, Meta(description="RoadRunner's.", extra={"notice": _GO})] = False
    write_timeout: Annotated[Duration, Meta(description="RoadRunner's.", extra={"notice": _GO})] = 0.0
    min_idle_conns: Annotated[Count, Meta(description="RoadRunner's.", extra={"notice": _GO})] = 0
    max_conn_age: Annotated[Duration, Meta(description="RoadRunner's.", extra={"notice": _GO})] = 0.0
    idle_timeout: Annotated[Duration, Meta(description="RoadRunner's.", extra={"notice": _GO})] = 0.0
    idle_check_freq: Annotated[Duration, Meta(description="RoadRunner's.", extra={"notice": _GO})] = 0.0

    def __post_init__(self) -> None:
        if self.cluster and self.master_name:
            raise ValueError("found cluster and master_name, allowed: one of the two")

    def __repr__(self) -> str:
        return _repr(self)


class MemcachedConfig(Section, frozen=True, kw_only=True):
    """``kv.NAME.config`` of the memcached driver."""

    addr: Annotated[
        tuple[AddressText, ...], Meta(min_length=1, description="Servers; a key's server follows from its name.")
    ] = (Address(host="127.0.0.1", port=11211),)
    prefix: Annotated[
        str | None,
        Meta(description="What keys begin with on the server; null = centrifuge.name:STORE: with its own name."),
    ] = None
    pool_size: Annotated[PoolSize, Meta(description="Connections of one process to one server at most.")] = 16
    dial_timeout: Annotated[PositiveDuration, Meta(description="Time that connecting may take.")] = 5.0
    read_timeout: Annotated[PositiveDuration, Meta(description="Time that an answer may take.")] = 3.0


#: Driver → what its ``config`` is read into. Drivers of other packages get theirs as a mapping.
CONFIGS: Final[Mapping[str, type[Section]]] = {
    "memory": MemoryConfig,
    "sqlite": SqliteConfig,
    "redis": RedisConfig,
    "memcached": MemcachedConfig,
}


class KvStore(Section, frozen=True, kw_only=True):
    """One store of the section ``kv``."""

    driver: Annotated[
        str,
        Meta(
            description="What keeps the entries.",
            extra={
                "kind": DRIVER,
                "notices": {"boltdb": "RoadRunner's boltdb is sqlite here; a file of boltdb is not read"},
            },
        ),
    ]
    config: Annotated[
        Any,
        Meta(
            description="Keys of the driver; without it, those of a section at the top named like the store.",
            extra={"by": ("driver", CONFIGS)},
        ),
    ] = field(default_factory=dict[str, Any])

    def __repr__(self) -> str:
        config = repr(self.config) if isinstance(self.config, Section) else "<hidden>"
        return f"KvStore(driver={self.driver!r}, config={config})"


class KvStoreOptions(Section, frozen=True, kw_only=True):
    """What one store does otherwise than ``rtbridge.kv`` says."""

    serializer: Annotated[
        Annotated[str, Meta(extra={"kind": SERIALIZER})] | None,
        Meta(description="In place of rtbridge.kv.serializer; null = that one."),
    ] = None
    compress_over: Annotated[
        Size | None, Meta(description="In place of rtbridge.kv.compress_over; null = that one.")
    ] = None
    encrypt: Annotated[bool | None, Meta(description="Whether values are encrypted; null = where there is a key.")] = (
        None
    )
    accept_sealed: Annotated[
        bool | None, Meta(description="In place of rtbridge.kv.accept_sealed; null = that one.")
    ] = None


class Kv(Section, frozen=True, kw_only=True):
    """What RoadRunner has no word for, of all stores."""

    auto_register: Annotated[
        bool, Meta(description="Make every store of kv at the start; false = none, whatever kv says.")
    ] = True
    serializer: Annotated[
        str,
        Meta(description="What makes bytes of values; pickle runs what is stored.", extra={"kind": SERIALIZER}),
    ] = "msgpack"
    compress_over: Annotated[
        Size | None, Meta(description="Values of at least this size are compressed with zstd; null = none is.")
    ] = None
    value_size: Annotated[Size, Meta(description="Largest value, serialized.")] = 8 * 1024**2
    keypair_path: Annotated[
        File | None, Meta(description="Key file that values are encrypted with; null = they are not.")
    ] = None
    previous_keypair_paths: Annotated[
        tuple[File, ...], Meta(description="Key files that values were encrypted with before.")
    ] = ()
    accept_sealed: Annotated[
        bool, Meta(description="Open libsodium's sealed boxes, too; whoever has a public key can make those.")
    ] = False
    stores: Annotated[
        Mapping[NonEmpty, KvStoreOptions], Meta(description="What single stores do otherwise, by name.")
    ] = field(default_factory=dict[str, KvStoreOptions])

    def __post_init__(self) -> None:
        if self.keypair_path is not None:
            return
        wanted = [
            name
            for name, on in (
                ("previous_keypair_paths", self.previous_keypair_paths),
                ("accept_sealed", self.accept_sealed),
            )
            if on
        ]
        wanted += [
            f"stores.{name}.{key}"
            for name, own in self.stores.items()
            for key in ("encrypt", "accept_sealed")
            if getattr(own, key)
        ]
        if wanted:
            raise ValueError(f"found {wanted[0]} without keypair_path, allowed: both, or neither")


def _repr(section: Section) -> str:
    secrets = _secret_fields(type(section))
    shown = [
        f"{name}={'<hidden>' if name in secrets and value else repr(value)}"
        for name in section.__struct_fields__
        if (value := getattr(section, name))
    ]
    return f"{type(section).__name__}({', '.join(shown)})"
