"""The registry: what it refuses, in words that name the plugin, the hook and the argument."""

import importlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rtbridge import Config, Event, Outcome, PluginError, Router, RPCEvent, RPCResult, hookimpl
from rtbridge.app import Runtime
from rtbridge.config import parse_config
from rtbridge.hooks import HookManager
from rtbridge.hooks.steps import name_of, source_of
from rtbridge.testing import App


def plugin(**hooks: Any) -> object:
    """An object with those functions as hooks."""
    return type("Plugin", (), {name: staticmethod(function) for name, function in hooks.items()})()


def refused(registered: object) -> str:
    """Why a plugin is refused, with this file's name cut short."""
    with pytest.raises(PluginError) as error:
        HookManager({"config": Config()}).register(registered, "chat.hooks")
    return str(error.value).replace(__file__, "FILE")


def marked(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    found: Callable[..., Any] = hookimpl(**options)(function)
    return found


def line(function: Callable[..., Any]) -> str:
    return f"(FILE:{function.__code__.co_firstlineno})"


async def takes_event(event: Event) -> None: ...


async def misspelt(evnt: Event) -> None: ...


async def star(*args: Any) -> None: ...


async def keyword_only(event: Event, *, config: Config) -> None: ...


def old_wrapper(event: Event) -> Iterator[None]:
    yield


async def async_wrapper(event: Event) -> AsyncIterator[None]:
    yield


async def middleware(event: Event, call_next: Any) -> None: ...


def sync_middleware(event: Event, call_next: Any) -> None: ...


def test_a_misspelt_hook() -> None:
    """The nearest name is offered."""
    assert refused(plugin(on_conect=marked(takes_event))) == (
        f"plugin chat.hooks, hook on_conect {line(takes_event)}: there is no such hook; did you mean on_connect?"
    )


def test_a_hook_like_no_other() -> None:
    """Where no name is near, all are listed."""
    text = refused(plugin(zzz=marked(takes_event)))
    assert text.startswith(f"plugin chat.hooks, hook zzz {line(takes_event)}: there is no such hook; there are after_")
    assert ", on_connect, " in text


def test_an_optional_hook() -> None:
    """`optionalhook` registers what another version may know."""
    manager = HookManager({})
    manager.register(plugin(on_future=marked(takes_event, optionalhook=True)))
    assert "on_future" not in manager.hook_names


def test_specname() -> None:
    """`specname` says which hook a function with another name implements."""
    manager = HookManager({})
    manager.register(plugin(anything=marked(takes_event, specname="on_rpc")))
    assert [step.name for step in manager.chains()["rpc"].plain] == [name_of(takes_event)]
    assert "hook on_rcp " in refused(plugin(anything=marked(takes_event, specname="on_rcp")))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (misspelt, "argument 'evnt' is unknown; there are event, api, kv, config"),
        (star, "argument *args: Any cannot be filled; take event, api, kv, config"),
        (keyword_only, "argument config: rtbridge.config.model.Config cannot be filled; take event, api, kv, config"),
    ],
)
def test_arguments(function: Any, said: str) -> None:
    """An argument that no hook has, or that goes by keyword only, is named."""
    text = refused(plugin(on_rpc=marked(function)))
    assert text.replace("*args: 'Any'", "*args: Any") == f"plugin chat.hooks, hook on_rpc {line(function)}: {said}"


def test_an_argument_with_a_default() -> None:
    """An own argument with a default is left alone."""

    async def hook(event: Event, own: int = 1, *, more: int = 2) -> None: ...

    HookManager({}).register(plugin(on_rpc=hookimpl(hook)))


@pytest.mark.parametrize(
    ("hook", "function", "options", "said"),
    [
        ("on_rpc", old_wrapper, {"hookwrapper": True}, "hookwrapper=True is pluggy's old style; use wrapper=True"),
        (
            "on_rpc",
            async_wrapper,
            {"wrapper": True},
            "a wrapper is a plain generator (def with yield) around a sync or async chain",
        ),
        (
            "on_rpc",
            old_wrapper,
            {"wrapper": True, "blocking": True},
            "a wrapper runs on the event loop and cannot be blocking",
        ),
        ("on_event", old_wrapper, {"wrapper": True}, "this hook has no answer to wrap"),
        ("on_boot", old_wrapper, {"wrapper": True}, "this hook has no answer to wrap"),
        ("on_rpc", takes_event, {"blocking": True}, "is async and cannot be blocking"),
        (
            "on_rpc",
            old_wrapper,
            {},
            "is a generator; a stream is an async generator, and a wrapper says wrapper=True",
        ),
        (
            "on_rpc",
            async_wrapper,
            {},
            "is an async generator, and on_rpc is no stream; a wrapper is a plain generator",
        ),
        ("on_event", sync_middleware, {}, "middleware awaits call_next, so it is an async def"),
    ],
)
def test_kinds_of_functions(hook: str, function: Any, options: dict[str, Any], said: str) -> None:
    """A function that cannot be that hook is refused at start."""
    given = marked(function, **options)
    if hook == "on_boot":

        def given() -> Iterator[None]:
            yield

        given = marked(given, **options)
    text = refused(plugin(**{hook: given}))
    assert text == f"plugin chat.hooks, hook {hook} {line(given)}: {said}"


def test_a_wrapper_that_is_no_generator() -> None:
    """pluggy's own checks come out with the plugin's name, too."""
    text = refused(plugin(on_rpc=marked(sync_middleware_like, wrapper=True)))
    assert text.startswith("plugin chat.hooks: ")
    assert "generator" in text


def sync_middleware_like(event: Event) -> None: ...


def test_every_way_to_hold_a_hook() -> None:
    """Methods, static and class methods of an object, functions of a module, and a class itself."""

    class Plugin:
        @hookimpl
        async def on_rpc(self, event: RPCEvent) -> None: ...

        @hookimpl
        @classmethod
        async def on_publish(cls, event: Event) -> None: ...

        @staticmethod
        @hookimpl
        async def on_connect(event: Event) -> None: ...

    manager = HookManager({})
    manager.register(Plugin())
    chains = manager.chains()
    found = {kind for kind, chain in chains.items() if not chain.empty}
    assert found >= {"rpc", "connect"}
    assert "argument 'self' is unknown" in refused(Plugin)


def test_a_property_is_not_called() -> None:
    """Looking for hooks runs no code of the plugin."""

    class Plugin:
        @property
        def on_rpc(self) -> None:
            raise AssertionError

    HookManager({}).register(Plugin())


def module(text: str, name: str, folder: Path) -> ModuleType:
    """An imported module with that text."""
    (folder / f"{name}.py").write_text(text)
    return importlib.import_module(name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path; what is imported from it is forgotten."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def test_a_function_without_the_decorator(folder: Path) -> None:
    """A function with a hook's name that is not marked never runs, which is worth a warning; an imported one is
    not."""
    found = module("from rtbridge.hooks.specs import on_invalid\ndef on_connect(event): ...\n", "undecorated", folder)
    manager = HookManager({})
    manager.register(found)
    assert manager.warnings == [f"undecorated.on_connect ({folder}/undecorated.py:2) has no @hookimpl and never runs"]


def test_a_plugin_twice() -> None:
    """The same object, and another under the same name, are refused."""
    manager = HookManager({})
    one = plugin(on_rpc=marked(takes_event))
    manager.register(one, "one")
    for again, name in ((one, "two"), (plugin(), "one")):
        with pytest.raises(PluginError, match=f"^plugin {name} is registered twice$"):
            manager.register(again, name)


def test_a_router_of_two_plugins() -> None:
    """A router that two modules show is registered once."""
    router = Router()
    router.on_rpc("x")(takes_event)
    manager = HookManager({})
    manager.register(type("A", (), {"router": router})())
    manager.register(type("B", (), {"imported": router})())
    routes = manager.chains()["rpc"].routes
    assert routes is not None
    assert len(routes.listeners) == 1


def runtime(**own: Any) -> Runtime:
    given = {"version": "3", "rtbridge": {"entry_points": False, **own}}
    return Runtime(parse_config(given, known_events=[]).config)


def test_a_plugin_by_name(folder: Path) -> None:
    """Names in `rtbridge.plugins` are imported; one that the caller names again is there once."""
    module("from rtbridge import hookimpl\n@hookimpl\nasync def on_rpc(event): ...\n", "byname", folder)
    found = runtime(plugins=["byname"])
    found._register("byname")
    assert [step.name for step in found.chains["rpc"].plain] == ["byname.on_rpc"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, r"plugin broken cannot be imported: ModuleNotFoundError: No module named 'broken'"),
        ("import nosuchthing", r"plugin broken cannot be imported \(.*broken.py:1\): ModuleNotFoundError: No module"),
        ("\n\n1 / 0", r"plugin broken cannot be imported \(.*broken.py:3\): ZeroDivisionError: division by zero"),
        ("def x(:", r"plugin broken cannot be imported.*: SyntaxError: "),
        (
            "import rtbridge\nrtbridge.Router().on_rpc('')",
            r"plugin broken .*PluginError: on_rpc: a pattern is not empty",
        ),
    ],
    ids=["absent", "its import is absent", "raises", "syntax", "bad pattern"],
)
def test_a_plugin_that_cannot_be_imported(folder: Path, text: str | None, said: str) -> None:
    """The error names the plugin, the place in its code and the fault."""
    if text is not None:
        (folder / "broken.py").write_text(text)
    with pytest.raises(PluginError, match=said):
        runtime(plugins=["broken"])


def test_entry_points(folder: Path) -> None:
    """Installed plugins are found by the group `rtbridge`, unless the configuration says not to."""
    module("from rtbridge import hookimpl\n@hookimpl\nasync def on_rpc(event): ...\n", "installed_plugin", folder)
    info = folder / "installed_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rtbridge]\nchat = installed_plugin\n")
    assert [point.name for point in metadata.entry_points(group="rtbridge")] == ["chat"]
    assert runtime(entry_points=True).manager.has_plugin("chat")
    assert runtime(entry_points=True, plugins=["installed_plugin"]).chains["rpc"].plain
    assert not runtime().manager.has_plugin("chat")
    (info / "entry_points.txt").write_text("[rtbridge]\ninstalled_plugin = installed_plugin\n")
    assert len(runtime(entry_points=True, plugins=["installed_plugin"]).chains["rpc"].plain) == 1
    (info / "entry_points.txt").write_text("[rtbridge]\nchat = installed_plugin:gone\n")
    with pytest.raises(PluginError, match=r"^entry point chat = installed_plugin:gone cannot be imported: Attribute"):
        runtime(entry_points=True)


async def test_hooks_take_the_arguments_they_name() -> None:
    """Any of the hook's arguments, in any order, or none; `config` is the configuration in use."""
    seen: list[Any] = []

    class Plugin:
        @hookimpl
        async def on_event(self, call_next: Any, event: Event) -> Any:
            seen.append(("on_event", event.kind))
            return await call_next(event)

        @hookimpl
        async def on_rpc(self, config: Config, event: RPCEvent) -> RPCResult:
            seen.append(("on_rpc", config.version, event.method))
            return RPCResult()

        @hookimpl(specname="after_event")
        async def after_event_only(self, event: Event) -> None:
            seen.append(("after", event.kind))

        @hookimpl(specname="after_event")
        async def after_outcome_only(self, outcome: Outcome) -> None:
            seen.append(("after", outcome.label))

        @hookimpl(specname="after_event")
        async def after_nothing(self) -> None:
            seen.append(("after",))

        @hookimpl(specname="after_event")
        def after_all(self, config: Config, outcome: Outcome, event: Event) -> None:
            seen.append(("after", config.version, outcome.label, event.kind))

        @hookimpl
        async def on_boot(self, config: Config) -> None:
            seen.append(("boot", config.version))

        @hookimpl
        async def on_ready(self) -> None:
            seen.append(("ready",))

    async with App([Plugin()]) as app:
        await app.rpc("m")
    assert seen[:4] == [("boot", "3"), ("ready",), ("on_event", "rpc"), ("on_rpc", "3", "m")]
    assert set(seen[4:]) == {("after", "rpc"), ("after", "ok"), ("after",), ("after", "3", "ok", "rpc")}


async def test_an_error_hook_may_take_its_event_only(caplog: pytest.LogCaptureFixture) -> None:
    """`on_error` is no exception to taking what one names."""
    seen: list[str] = []

    class Plugin:
        @hookimpl
        async def on_rpc(self) -> RPCResult:
            raise RuntimeError

        @hookimpl
        async def on_error(self, event: Event) -> None:
            seen.append(event.kind)

    async with App([Plugin()]) as app:
        await app.rpc("m")
    assert seen == ["rpc"]
    assert "TypeError" not in caplog.text


async def test_a_middleware_that_lets_nothing_through_takes_its_event_only() -> None:
    """A middleware that never goes on need not take `call_next`."""

    class Plugin:
        @hookimpl
        async def on_event(self, event: RPCEvent) -> RPCResult:
            return RPCResult(data=event.method)

    async with App([Plugin()]) as app:
        assert (await app.rpc("m")).result == RPCResult(data="m")


def test_where_a_callable_comes_from() -> None:
    """What has no code has no line."""
    assert source_of(len) == "?"
    assert name_of(len) == "builtins.len"
