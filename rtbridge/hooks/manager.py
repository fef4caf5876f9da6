"""The one registry of hooks: pluggy's, plus what pluggy leaves open (async, blocking, routers, names in errors)."""

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final

import pluggy

from rtbridge.errors import PluginError
from rtbridge.events import METHODS
from rtbridge.hooks import _generated, lifecycle, specs
from rtbridge.hooks.chain import Chain, LifecycleChain, Middleware, Wrapper
from rtbridge.hooks.inject import INJECTED
from rtbridge.hooks.listeners import make_listener
from rtbridge.hooks.markers import ATTRIBUTE
from rtbridge.hooks.router import Router, RouteTable
from rtbridge.hooks.steps import Mode, Step, mode_of, name_of, source_of

#: The group of entry points that name plugins.
ENTRY_POINTS = "rtbridge"

_LIFECYCLE = tuple(
    name for name, f in vars(lifecycle).items() if inspect.isfunction(f) and f.__module__ == lifecycle.__name__
)

#: The life-cycle hooks that give something back, and are called rather than run.
_AROUND: Final = "around_blocking"
_ROUTES: Final = "http_routes"


class HookManager(pluggy.PluginManager):
    """Registers plugins and compiles each hook's chain.

    pluggy checks and orders; calls do not go through it, because it is synchronous and knows nothing of threads.

    Args:
        injected: What hooks may ask for by argument name besides their event; the names are those of ``INJECTED``.

    """

    def __init__(self, injected: Mapping[str, object]) -> None:
        super().__init__("rtbridge")
        self.injected = dict(injected)
        self._routers: list[tuple[str, Router]] = []
        self.warnings: list[str] = []
        for module in (_generated, specs, lifecycle):
            self.add_hookspecs(module)

    @property
    def hook_names(self) -> list[str]:
        """Every hook there is."""
        return [name for name, caller in vars(self.hook).items() if not name.startswith("_") and caller.has_spec()]

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Register a plugin: a module, or an object with hooks as methods; its routers come with it.

        Raises:
            PluginError: A hook or an argument is unknown, or a function cannot be a hook; plugin, hook and argument are
                named.

        """
        plugin_name = name or self.get_canonical_name(plugin)
        self._inspect(plugin, plugin_name)
        try:
            registered = super().register(plugin, plugin_name)
        except pluggy.PluginValidationError as exc:
            raise PluginError(f"plugin {plugin_name}: {exc}") from exc
        except ValueError as exc:
            raise PluginError(f"plugin {plugin_name} is registered twice") from exc
        for router in _routers(plugin):
            if router not in [known for _, known in self._routers]:
                self._routers.append((plugin_name, router))
        return registered

    def _inspect(self, plugin: object, plugin_name: str) -> None:
        hooks, known = self._implementations(plugin), self.hook_names
        for attribute, function, options in hooks:
            hook = options.get("specname") or attribute
            where = f"plugin {plugin_name}, hook {hook} ({source_of(function)})"
            if hook not in known:
                if options.get("optionalhook"):
                    continue
                close = difflib.get_close_matches(hook, known, n=1)
                hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(known))}"
                raise PluginError(f"{where}: there is no such hook{hint}")
            spec = getattr(self.hook, hook).spec
            for parameter in _parameters(function):
                if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                    if parameter.name in spec.argnames or parameter.default is not parameter.empty:
                        continue
                    allowed = ", ".join(spec.argnames)
                    raise PluginError(f"{where}: argument {parameter.name!r} is unknown; there are {allowed}")
                if parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is parameter.empty:
                    raise PluginError(
                        f"{where}: argument {parameter} cannot be filled; take {', '.join(spec.argnames)}"
                    )
            self._check_kind(where, hook, function, options)
        marked = {attribute for attribute, _, _ in hooks}
        if isinstance(plugin, ModuleType):
            for hook in known:
                own = vars(plugin).get(hook)
                if hook not in marked and inspect.isfunction(own) and own.__module__ == plugin.__name__:
                    self.warnings.append(f"{name_of(own)} ({source_of(own)}) has no @hookimpl and never runs")

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """What a member was marked with; pluggy before 1.7 would run properties to find out."""
        return super().parse_hookimpl_opts(plugin, name) if _options(plugin, name) is not None else None

    def _implementations(self, plugin: object) -> list[tuple[str, Callable[..., Any], dict[str, Any]]]:
        found: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []
        for attribute in dir(plugin):
            options = _options(plugin, attribute)
            if options is not None:
                found.append((attribute, getattr(plugin, attribute), options))
        return found

    def _check_kind(self, where: str, hook: str, function: Callable[..., Any], options: dict[str, Any]) -> None:
        target = inspect.unwrap(function)
        if options.get("hookwrapper"):
            raise PluginError(f"{where}: hookwrapper=True is pluggy's old style; use wrapper=True")
        if options.get("wrapper"):
            if inspect.isasyncgenfunction(target):
                raise PluginError(
                    f"{where}: a wrapper is a plain generator (def with yield) around a sync or async chain"
                )
            if options.get("blocking"):
                raise PluginError(f"{where}: a wrapper runs on the event loop and cannot be blocking")
            if hook in (*_LIFECYCLE, "on_event"):
                raise PluginError(f"{where}: this hook has no answer to wrap")
            return
        if hook == _AROUND:
            self._check_around(where, function, options)
            return
        if hook == _ROUTES:
            if inspect.iscoroutinefunction(target) or inspect.isgeneratorfunction(target):
                raise PluginError(f"{where}: returns a list of routes, so it is a plain def without yield")
            return
        try:
            mode = mode_of(function, options.get("blocking"))
        except ValueError as exc:
            raise PluginError(f"{where}: {exc}") from exc
        method = METHODS.get(hook.removeprefix("on_"))
        if mode is Mode.STREAM and not (method and method.stream):
            raise PluginError(
                f"{where}: is an async generator, and {hook} is no stream; a wrapper is a plain generator"
            )
        if hook == "on_event" and mode is not Mode.ASYNC:
            raise PluginError(f"{where}: middleware awaits call_next, so it is an async def")

    def _check_around(self, where: str, function: Callable[..., Any], options: dict[str, Any]) -> None:
        target = inspect.unwrap(function)
        if inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target):
            raise PluginError(f"{where}: is called on the thread of blocking hooks, so it is a plain def")
        if inspect.isgeneratorfunction(function):
            raise PluginError(f"{where}: is a generator; put @contextlib.contextmanager between it and @hookimpl")
        if options.get("blocking") is False:
            raise PluginError(f"{where}: always runs on the thread of blocking hooks; leave blocking=False out")

    def _caller(self, hook: str, impl: pluggy.HookImpl) -> Callable[..., Any]:
        function: Callable[..., Any] = impl.function
        order = impl.argnames
        values = dict(self.injected)
        own = tuple([name for name in getattr(self.hook, hook).spec.argnames if name not in INJECTED])
        if order == own:
            return function

        def call(*given: Any) -> Any:
            known = dict(zip(own, given, strict=True)) | values
            return function(*[known[name] for name in order])

        return call

    def _steps(self, hook: str) -> tuple[list[Step], list[Wrapper]]:
        steps: list[Step] = []
        wrappers: list[Wrapper] = []
        for impl in reversed(getattr(self.hook, hook).get_hookimpls()):
            call, name, source = self._caller(hook, impl), name_of(impl.function), source_of(impl.function)
            if impl.wrapper:
                wrappers.append(Wrapper(call, name, source))
            else:
                options: Any = impl.opts
                mode = Mode.BLOCKING if hook in (_AROUND, _ROUTES) else mode_of(impl.function, options.get("blocking"))
                steps.append(Step(call, mode, name, source))
        return steps, wrappers

    def chains(self) -> dict[str, Chain]:
        """The compiled chain of every event, by kind, ``invalid`` included."""
        tables: dict[str, list[Any]] = {}
        for _, router in self._routers:
            for route in router.routes:
                listener = make_listener(
                    route.method, route.pattern, route.priority, route.blocking, route.function, self.injected
                )
                tables.setdefault(route.method.kind, []).append(listener)
        middleware = [
            Middleware(self._caller("on_event", impl), name_of(impl.function), source_of(impl.function))
            for impl in reversed(self.hook.on_event.get_hookimpls())
        ]
        chains: dict[str, Chain] = {}
        for kind, method in METHODS.items():
            steps, wrappers = self._steps(method.hook)
            table = RouteTable(method, tables[kind]) if kind in tables else None
            chains[kind] = Chain(method.result, tuple(steps), tuple(wrappers), tuple(middleware), table)
        steps, wrappers = self._steps("on_invalid")
        chains["invalid"] = Chain(None, tuple(steps), tuple(wrappers), tuple(middleware), None)
        return chains

    def lifecycle(self) -> dict[str, LifecycleChain]:
        """The compiled life-cycle hooks, by name."""
        return {name: LifecycleChain(tuple(self._steps(name)[0])) for name in _LIFECYCLE}


def _parameters(function: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    yield from inspect.signature(function).parameters.values()


def _options(plugin: object, attribute: str) -> dict[str, Any] | None:
    """What ``hookimpl`` wrote on a member of a plugin, found without running any of it."""
    static: Any = inspect.getattr_static(plugin, attribute, None)
    static = getattr(static, "__func__", static)
    options = getattr(static, ATTRIBUTE, None) if inspect.isroutine(static) else None
    return options if isinstance(options, dict) else None  # pyright: ignore[reportUnknownVariableType]


def _routers(plugin: object) -> list[Router]:
    members = (inspect.getattr_static(plugin, name, None) for name in dir(plugin))
    return [member for member in members if isinstance(member, Router)]
