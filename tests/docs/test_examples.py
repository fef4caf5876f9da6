"""What the documentation shows works as it is shown."""

import ast
import asyncio
import contextlib
import inspect
import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from importlib import invalidate_caches
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import httpx
import pytest
import yaml
from django.conf import settings
from django.http import HttpRequest

from rtbridge import Config, KvStores, Router, RPCResult, isolation
from rtbridge.api import LocalApi
from rtbridge.app import UNHANDLED_EVENTS
from rtbridge.config import parse_config
from rtbridge.hooks import HookManager
from rtbridge.hooks.markers import ATTRIBUTE
from rtbridge.testing import App
from tests.embedded.servers import Embedded

KEYS_PAGE = "embedded-keys.md"  # its tables are generated, see test_configuration_page.py
HOOKS_PAGE = "hooks.md"  # generated; its blocks are signatures, see test_names.py


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that examples can be imported from, forgotten afterwards; the sample can be imported, too."""
    known, environ, resettable = set(sys.modules), dict(os.environ), list(isolation.RESETTABLE)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    isolation.RESETTABLE[:] = resettable
    os.environ.clear()
    os.environ.update(environ)


def run(code: CodeType, namespace: dict[str, Any]) -> None:
    """Execute a block, on an event loop where it awaits at its top level."""
    made = FunctionType(code, namespace)()
    if inspect.iscoroutine(made):
        asyncio.run(made)


def register(defined: dict[str, Any], where: str) -> None:
    """Register the hooks and routers of a block, as a plugin of its own."""
    if any(isinstance(value, Router) or hasattr(value, ATTRIBUTE) for value in defined.values()):
        plugin = ModuleType(where)
        vars(plugin).update(defined)
        manager = HookManager({"api": LocalApi(), "kv": KvStores(), "config": Config()})
        manager.register(plugin)
        manager.chains()
        manager.lifecycle()


def execute(page: Any, modules: Path) -> Iterator[dict[str, Any]]:
    """Execute the blocks of a page in one namespace, and give that namespace while its module can be imported."""
    namespace: dict[str, Any] = {"__name__": f"page_{page.path.stem}"}
    sys.modules[namespace["__name__"]] = module = ModuleType(namespace["__name__"])
    if "django" in page.text and not settings.configured:
        settings.configure(ROOT_URLCONF=(), SECRET_KEY="x", LOGGING_CONFIG=None)
    for block in page.blocks("yaml"):
        if block.file:
            (modules / block.file).write_text(block.code)
    try:
        for block in page.blocks("python"):
            if block.exempt or page.path.name == HOOKS_PAGE:
                continue
            name = f"{block.page.name}:{block.line}"
            if block.file:
                (modules / block.file).parent.mkdir(parents=True, exist_ok=True)
                (modules / block.file).write_text(block.code)
                invalidate_caches()
            before = dict(namespace)
            tree = ast.increment_lineno(ast.parse(block.code), block.line - 1)
            run(compile(tree, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), namespace)
            vars(module).update(namespace)
            defined = {key: value for key, value in namespace.items() if before.get(key) is not value}
            register(defined, name)
            for key, value in defined.items():
                if key.startswith("test_"):
                    result = value()
                    if inspect.iscoroutine(result):
                        asyncio.run(result)
        yield namespace
    finally:
        del sys.modules[namespace["__name__"]]


def test_python_blocks_run(page: Any, modules: Path) -> None:
    """Blocks of a page share a namespace, in order; their hooks register, their tests pass."""
    for _ in execute(page, modules):
        pass


def test_mounted_applications_answer(read: Callable[[str], Any], modules: Path) -> None:
    """Each framework that the page of transports shows passes a call on to the hooks."""
    for namespace in execute(read("docs/transports.md"), modules):
        for name in ("bridge", "starlette_app", "fastapi_app", "litestar_app", "application"):
            assert asyncio.run(_pong(namespace[name])) == {"result": {"data": {"pong": True}}}, name


async def test_other_processes_call_the_server(read: Callable[[str], Any], modules: Path) -> None:
    """What the page of the server API shows, against the embedded server of its own configuration."""
    page = read("docs/server-api.md")
    (block,) = (block for block in page.blocks("yaml") if block.file)
    section = parse_config(block.code).config.rtbridge.embedded
    assert section is not None
    server = await Embedded.start({"http_api": {"key": section.http_api.key}, "channel": _CHANNEL})
    moved = page._replace(text=page.text.replace(f"port: {section.http_server.port}", f"port: {server.port}"))
    for namespace in execute(moved, modules):
        transport = httpx.ASGITransport(namespace["app"])
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as browser:
            for offset in (1, 2):
                assert (await browser.post("/news", params={"text": "hi"})).json() == offset
        for _ in range(2):  # once is enough, by its key
            paid = await asyncio.to_thread(namespace["order_paid"], HttpRequest(), 7)
            assert json.loads(paid.content) == {"offset": 1}
        assert await namespace["pay"](7) is True
        await namespace["tidy"]("room")
        namespace["blocking"].close()
        await namespace["api"].close()
    await server.stop()


#: The channels of that configuration.
_CHANNEL = {"without_namespace": {"history_size": 100, "history_ttl": "300s", "presence": True}}


def test_hooks_of_long_lived_workers_answer(read: Callable[[str], Any], modules: Path) -> None:
    """The page's routes with its middleware and what is around their threads."""
    for namespace in execute(read("docs/long-lived-workers.md"), modules):
        asyncio.run(_shop(namespace))


async def _shop(namespace: dict[str, Any]) -> None:
    names = ("on_boot", "on_event", "around_blocking", "router")
    plugin = ModuleType("shop")
    vars(plugin).update({name: namespace[name] for name in names})
    async with App([plugin]) as app:
        for _ in range(2):
            assert (await app.rpc("order", "tea", user="ann")).result == RPCResult(data=3)
        assert (await app.rpc("close", meta={"id": 42})).result == RPCResult(data=False)
    with contextlib.closing(sqlite3.connect(namespace["database"])) as connection:
        assert connection.execute("SELECT * FROM orders").fetchall() == [("ann", "tea")] * 2


async def _pong(app: Any) -> Any:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers={"x-proxy-key": "s3cret"}) as own:
        reply = await own.post("/centrifugo/rpc", json={"method": "ping", "user": "ann"})
        assert reply.status_code == 200, reply.text
        return reply.json()


def test_few_blocks_are_exempt(page: Any) -> None:
    """A block that is not executed says why."""
    assert len([block for block in page.blocks("python") if block.exempt]) <= 2


def test_yaml_blocks_load(page: Any) -> None:
    """A whole file, or a part of one, is read without an error and without a notice."""
    for block in page.blocks("yaml"):
        content = yaml.safe_load(block.code)
        if not set(content) <= set(Config.__struct_fields__):
            continue  # of Centrifugo or of another tool
        text = block.code if "version" in content else f'version: "3"\n{block.code}'
        loaded = parse_config(text, offline=True, known_events=UNHANDLED_EVENTS, source=f"{block.page}:{block.line}")
        assert loaded.notices == (), f"{block.page}:{block.line}"


def test_json_blocks_parse(page: Any) -> None:
    """A configuration of Centrifugo is JSON, and Centrifugo takes it where it is here to be asked."""
    for block in page.blocks("json"):
        json.loads(block.code)


@pytest.mark.real
async def test_centrifugo_takes_its_configurations(page: Any, tmp_path: Path) -> None:
    """`centrifugo checkconfig` has nothing to say about what a page shows, and knows every key."""
    blocks = [block for block in page.blocks("json") if '"proxy"' in block.code]
    if not blocks:
        return
    binary = os.environ.get("RTBRIDGE_CENTRIFUGO") or shutil.which("centrifugo")
    if binary is None:
        pytest.skip("no centrifugo on PATH and no RTBRIDGE_CENTRIFUGO")
    for block in blocks:
        file = tmp_path / "centrifugo.json"
        file.write_text(block.code)
        process = await asyncio.create_subprocess_exec(
            binary, "checkconfig", "-c", str(file), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        async with asyncio.timeout(20):
            said, _ = await process.communicate()
        assert process.returncode == 0, f"{block.page}:{block.line}: {said.decode()}"


def test_pages_are_short(page: Any) -> None:
    """A page that nobody reads to its end helps nobody; the generated ones are references."""
    if page.path.name not in (HOOKS_PAGE, KEYS_PAGE):
        assert page.text.count("\n") <= 220


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_links_resolve(page: Any, root: Path) -> None:
    """A relative link names a file that is there, and a heading that is in it."""
    broken: list[str] = []
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.path.parent / path).resolve() if path else page.path
        there = file.exists() and file.is_relative_to(root)
        if there and anchor:
            there = anchor in {slug(heading) for heading in re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)}
        if not there:
            broken.append(target)
    assert broken == []
