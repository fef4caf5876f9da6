"""Stores where users meet them: hooks, other processes, drivers of other packages, texts at the start."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import rtbridge
from rtbridge import (
    ConfigError,
    Kv,
    KvStores,
    PluginError,
    PublishEvent,
    PublishResult,
    Router,
    RPCEvent,
    RPCResult,
    hookimpl,
)
from rtbridge.app import Runtime
from rtbridge.config import Config, parse_config
from rtbridge.config import kv as kv_config
from rtbridge.plugins import kv as kv_plugin
from rtbridge.plugins.kv.memory import MemoryStore
from rtbridge.stores import Opening, Store
from rtbridge.stores.registry import ProcessStores
from rtbridge.testing import App, VirtualClock

MEMORY: dict[str, Any] = {"kv": {"sessions": {"driver": "memory"}, "cache": {"driver": "memory"}}}


@pytest.fixture(autouse=True)
def own_stores() -> Iterator[None]:
    """What a test reads is not the process's configuration afterwards."""
    yield
    rtbridge.kv._current = None


def plugin(**members: Any) -> ModuleType:
    module = ModuleType("shop")
    vars(module).update(members)
    return module


async def test_hooks_get_stores_by_name() -> None:
    router = Router()

    @hookimpl
    async def on_boot(kv: KvStores) -> None:
        await kv("cache").set("booted", True)

    @hookimpl
    async def on_rpc(event: RPCEvent, kv: KvStores) -> RPCResult | None:
        return RPCResult(data=await kv("sessions").incr(event.user)) if event.method == "count" else None

    @router.on_rpc("blocking")
    def blocking(event: RPCEvent, kv: KvStores) -> RPCResult:
        return RPCResult(data=[kv("sessions").sync.incr(event.user), kv("cache").sync.get("booted")])

    @router.on_publish("chat:{room}")
    async def publish(event: PublishEvent, room: str, data: Any, kv: KvStores) -> PublishResult:
        assert rtbridge.kv("cache") is kv("cache")
        return PublishResult(data=await kv("cache").get_or_set(room, lambda: data))

    async with App([plugin(on_boot=on_boot, on_rpc=on_rpc, router=router)], config=MEMORY) as app:
        assert (await app.rpc("count", user="ann")).result == RPCResult(data=1)
        assert (await app.rpc("blocking", user="ann")).result == RPCResult(data=[2, True])
        for text in ("first", "second"):
            assert (await app.publish("chat:a", text)).result == PublishResult(data="first")
    with pytest.raises(ConfigError, match=r"call rtbridge.load_config\(\)"):
        rtbridge.kv("cache")


async def test_expiry_is_on_the_clock_of_the_application() -> None:
    clock = VirtualClock()

    @hookimpl
    async def on_rpc(event: RPCEvent, kv: KvStores) -> RPCResult:
        return RPCResult(data=await kv("sessions").add(event.method, 1, ttl=60))

    async with App([plugin(on_rpc=on_rpc)], config=MEMORY, clock=clock) as app:
        assert (await app.rpc("a")).result == RPCResult(data=True)
        assert (await app.rpc("a")).result == RPCResult(data=False)
        clock.advance(60)
        assert (await app.rpc("a")).result == RPCResult(data=True)


async def test_plugins_may_ask_for_a_store_while_they_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kv_at_import.py").write_text("import rtbridge\nSESSIONS = rtbridge.kv('sessions')\n")
    monkeypatch.syspath_prepend(tmp_path)
    runtime = Runtime(parse_config({"version": "3", **MEMORY, "rtbridge": {"plugins": ["kv_at_import"]}}).config)
    assert sys.modules.pop("kv_at_import").SESSIONS is runtime.kv("sessions")
    await runtime.shutdown()


async def test_a_store_that_is_not_there() -> None:
    stores = Runtime(parse_config({"version": "3", **MEMORY}).config).kv
    assert (stores.names, repr(stores)) == (("sessions", "cache"), "KvStores(sessions, cache)")
    assert repr(stores("cache")) == "Kv('cache')"
    assert repr(stores("cache").sync) == "SyncKv('cache')"
    with pytest.raises(ConfigError, match=r"no kv store 'session': there are sessions, cache; did you mean sessions\?"):
        stores("session")
    with pytest.raises(ConfigError, match="no kv store 'x': the section kv names none"):
        Runtime(Config()).kv("x")
    stores.register("extra", stores("cache"))
    assert stores("extra") is stores("cache")
    with pytest.raises(ValueError, match="there is a kv store 'cache' already"):
        stores.register("cache", stores("cache"))


def test_without_auto_register_there_are_none() -> None:
    config = {**MEMORY, "rtbridge": {"kv": {"auto_register": False, "serializer": "nowhere:x"}}}
    stores = Runtime(parse_config({"version": "3", **config}).config).kv
    with pytest.raises(ConfigError, match=r"no kv store 'cache': rtbridge.kv.auto_register is false"):
        stores("cache")


def test_a_missing_package_fails_the_start(monkeypatch: pytest.MonkeyPatch, keypair: Path) -> None:
    monkeypatch.setitem(sys.modules, "nacl.bindings", None)
    config = {**MEMORY, "rtbridge": {"kv": {"keypair_path": str(keypair)}}}
    with pytest.raises(
        ConfigError, match=r"^rtbridge\.kv\.keypair_path needs the package nacl: pip install 'rtbridge\[crypt\]'"
    ):
        Runtime(parse_config({"version": "3", **config}).config)


async def test_what_cannot_be_used_fails_the_boot(keypair: Path) -> None:
    keypair.chmod(0o644)
    runtime = Runtime(
        parse_config({"version": "3", **MEMORY, "rtbridge": {"kv": {"keypair_path": str(keypair)}}}).config
    )
    with pytest.raises(ConfigError, match="chmod 600"):
        await runtime.boot()
    keypair.chmod(0o600)
    await runtime.boot()
    await runtime.shutdown()


def test_the_operator_is_warned(keypair: Path) -> None:
    kv = {
        "keypair_path": str(keypair),
        "accept_sealed": True,
        "stores": {"cache": {"serializer": "pickle", "encrypt": False}},
    }
    config = {**MEMORY, "centrifuge": {"pool": {"num_workers": 1}}, "rtbridge": {"kv": kv}}
    lines = Runtime(parse_config({"version": "3", **config}).config).warnings()
    assert [line for line in lines if line.startswith("kv.")] == [
        "kv.sessions: accept_sealed is on: whoever has a public key can write values that are taken; run "
        "rtbridge kv rotate sessions, then switch it off",
        "kv.cache: the serializer is pickle: whoever can write into the store can run code in every process that "
        "reads it",
    ]


PROJECT = (
    'version: "3"\nkv:\n  state: {driver: memory}\n  other: {driver: memory, config: {max_entries: "${ENTRIES}"}}\n'
)


def test_other_processes_read_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.yaml").write_text(PROJECT)
    (tmp_path / ".env").write_text("ENTRIES=5\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RR_CONFIG_PATH", "shop.yaml")
    with pytest.raises(ConfigError, match=r"kv\('state'\): no configuration was read in this process"):
        rtbridge.kv("state")
    config = rtbridge.load_config()
    assert config.kv["other"].config.max_entries == 5
    rtbridge.kv("state").sync.set("a", [1])
    assert rtbridge.kv("state").sync.get("a") == [1]
    asyncio.run(rtbridge.kv.close())
    with pytest.raises(ConfigError):
        rtbridge.kv("state")
    asyncio.run(rtbridge.kv.close())
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file"):
        rtbridge.load_config("nowhere.yaml")


def test_an_image_build_reads_it_alone(tmp_path: Path) -> None:
    (tmp_path / ".rr.yaml").write_text(PROJECT)
    code = "import rtbridge; print([*rtbridge.load_config(offline=True).kv])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("['state', 'other']\n", "")


def test_only_the_runtimes_own_stores_are_forgotten() -> None:
    stores, others = KvStores(), KvStores()
    process = ProcessStores()
    process.use(stores)
    process.drop(others)
    assert process._current is stores
    process.drop(stores)
    assert process._current is None


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package with drivers of its own."""
    module = ModuleType("shop_kv")
    points = [
        EntryPoint("shelf", "shop_kv:open_shelf", "rtbridge.kv"),
        EntryPoint("broken", "shop_kv:none", "rtbridge.kv"),
    ]
    monkeypatch.setitem(sys.modules, "shop_kv", module)
    monkeypatch.setattr(kv_config, "entry_points", lambda group: points)
    monkeypatch.setattr(kv_plugin, "entry_points", lambda group: points)
    return module


async def test_a_driver_of_another_package(installed: ModuleType) -> None:
    opened: list[Opening] = []

    def open_shelf(opening: Opening) -> Store:
        opened.append(opening)
        if "size" not in opening.config:
            raise ConfigError("size is missing")
        return MemoryStore(opening.name, max_entries=opening.config["size"], max_bytes=10_000, clock=opening.clock)

    vars(installed).update(open_shelf=open_shelf)
    clock = VirtualClock()
    config = parse_config({"version": "3", "kv": {"s": {"driver": "shelf", "config": {"size": 2}}}}).config
    kv = kv_plugin.open_stores(config, clock)("s")
    assert isinstance(kv, Kv)
    await kv.set_many({"a": 1, "b": 2, "c": 3})
    assert await kv.get_many(list("abc")) == {"b": 2, "c": 3}
    assert opened == [Opening("s", {"size": 2}, "rtbridge", clock)]
    for section, text in (
        ({"driver": "shelf"}, "kv.s: size is missing"),
        ({"driver": "broken"}, r"kv.s: the driver broken \(shop_kv:none\) made no store: AttributeError"),
    ):
        made = parse_config({"version": "3", "kv": {"s": section}}).config
        with pytest.raises(ConfigError, match=text):
            kv_plugin.open_stores(made)


async def test_an_installed_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as pip installs it: found by its entry point, without a word in the configuration but its name."""
    folder = tmp_path / "shop_drawer-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-drawer\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[rtbridge.kv]\ndrawer = shop_drawer:open_drawer\n")
    (tmp_path / "shop_drawer.py").write_text(DRAWER)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = {"kv": {"s": {"driver": "drawer", "config": {"entries": 2}}}}
    try:
        async with App(config=config, clock=(clock := VirtualClock())):
            kv = rtbridge.kv("s")
            await kv.set_many({"a": [1], "b": 2, "c": 3}, ttl=60)
            assert await kv.get_many(["a", "b", "c"]) == {"b": 2, "c": 3}
            clock.advance(60)
            assert await asyncio.to_thread(kv.sync.incr, "b") == 1
    finally:
        sys.modules.pop("shop_drawer", None)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each != str(tmp_path)])
    with pytest.raises(ConfigError, match=r"kv\.s\.driver: found a string 'drawer'"):
        App(config=config)


DRAWER = """
from rtbridge.plugins.kv.memory import MemoryStore
from rtbridge.stores import Opening, Store

def open_drawer(opening: Opening) -> Store:
    entries = opening.config["entries"]
    return MemoryStore(opening.name, max_entries=entries, max_bytes=10_000, clock=opening.clock)
"""


def test_a_driver_that_went_away() -> None:
    config = Config(kv={"s": kv_config.KvStore(driver="gone")})
    with pytest.raises(
        ConfigError, match=r"kv\.s: there is no driver gone; there are memory, sqlite, redis, memcached"
    ):
        kv_plugin.open_stores(config)


def test_a_misspelt_argument_names_kv() -> None:
    @hookimpl
    async def on_rpc(event: RPCEvent, kvs: Any) -> None: ...

    with pytest.raises(PluginError, match=r"argument 'kvs' is unknown; there are event, api, kv, config"):
        Runtime(Config(), [plugin(on_rpc=on_rpc)])
