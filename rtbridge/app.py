"""The composition root: configuration → plugins → bridge → transports."""

import asyncio
import importlib
import logging
import os
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from rtbridge import dumping, listening, reporting
from rtbridge.api import LocalApi
from rtbridge.api.connect import LazyApi, centrifugo
from rtbridge.bridge import Bridge
from rtbridge.centrifugo.embedded import warnings as embedded_warnings
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.config import Address, Config, Loaded, parse_config
from rtbridge.config import load_config as load_file
from rtbridge.denial import Denials
from rtbridge.errors import ConfigError, PluginError
from rtbridge.events import METHODS
from rtbridge.handler import LocalHandler
from rtbridge.hooks import ENTRY_POINTS, Chain, HookManager
from rtbridge.plugins.kv import in_memory, open_stores
from rtbridge.plugins.kv import warnings as kv_warnings
from rtbridge.readiness import Readiness
from rtbridge.stores import Store, kv
from rtbridge.transport.base import Transport, close

if TYPE_CHECKING:
    from rtbridge.plugins.http.intime import Requests
    from rtbridge.plugins.http.metrics import Exposition
    from rtbridge.plugins.http.server import HttpServer
    from rtbridge.transport.http import HttpApp

log = logging.getLogger("rtbridge")

#: Events that every application of Centrifugo meets; a start without an answer to one of them is worth a warning.
EXPECTED: Final = ("connect", "subscribe", "publish", "rpc")

#: Events whose silence `rtbridge.unhandled` may choose.
UNHANDLED_EVENTS: Final = [kind for kind, method in METHODS.items() if method.silence in ("disconnect", "error")]


def load(
    path: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    workdir: Path | None = None,
    offline: bool = False,
    dotenv: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """The configuration of a file, its event names checked; see :func:`rtbridge.config.load_config`."""
    return load_file(
        path,
        overrides=overrides,
        workdir=workdir,
        offline=offline,
        dotenv=dotenv,
        environ=environ,
        known_events=UNHANDLED_EVENTS,
    )


def load_config(path: str | Path | None = None, *, offline: bool = False) -> Config:
    """Read the configuration in a process that rtbridge does not serve: a script, Django, an image build.

    From then on ``rtbridge.kv("name")`` finds the stores of its section ``kv``. Nothing is connected by this. Those of
    the memory driver are the ones of ``rtbridge serve`` where ``rpc.listen`` says how to reach it, else this process's.

    Args:
        path: The file; by default what the variable ``RR_CONFIG_PATH`` names, or ``.rr.yaml``.
        offline: Pass over variables that are not set, and look at no other file.

    Raises:
        ConfigError: The file cannot be used, or a package that a store needs is missing.

    """
    config = load(path if path is not None else os.environ.get("RR_CONFIG_PATH") or None, offline=offline).config
    kv.use(open_stores(config, elsewhere=_served_stores(config)))
    return config


def _served_stores(config: Config) -> dict[str, Store]:
    """The stores that ``rtbridge serve`` has in its memory, where they can be reached."""
    names = in_memory(config)
    if config.rpc is None or not names:
        return {}
    from rtbridge.control.stores import ControlStores

    served = ControlStores(config.rpc.listen, config.rtbridge.rpc_token)
    return {name: served.store(name) for name in names}


class Listing(msgspec.Struct, array_like=True, frozen=True):
    """What a process serves, for people.

    Attributes:
        plugins: Their names, in order.
        answers: The kinds of events that a hook or route answers.
        hooks: How many plain hooks there are.
        routes: How many routed listeners there are.

    """

    plugins: list[str]
    answers: list[str]
    hooks: int
    routes: int


class Runtime:
    """A configuration brought to life: plugins registered and checked, chains compiled, a bridge ready to boot.

    Args:
        config: The configuration.
        plugins: Plugins beside those that the configuration names: modules, objects with hooks, or module names.
        clock: Every duration and expiry asks it.
        elsewhere: Key-value stores that another process has in its memory, by name.

    Raises:
        PluginError: A plugin cannot be imported or registered.

    """

    def __init__(
        self,
        config: Config,
        plugins: Iterable[object] = (),
        clock: Clock = SYSTEM_CLOCK,
        *,
        elsewhere: Mapping[str, Store] | None = None,
    ) -> None:
        self.config = config
        self._clock = clock
        self._dumps = dumping.use(config.rtbridge.dump_server)
        #: The server API as hooks get it.
        self.api = LocalApi(clock, config.rtbridge.centrifugo_api.timeout)
        #: The key-value stores, also those of ``rtbridge.kv``, before the first plugin is imported.
        self.kv = open_stores(config, clock, elsewhere)
        kv.use(self.kv)
        where = None if config.rtbridge.embedded is not None else centrifugo(config)
        if where is not None:
            client = LazyApi(where)
            self.api.relay(client.call, client.close)
        self.manager = HookManager({"api": self.api, "kv": self.kv, "config": config})
        for module in config.rtbridge.plugins:
            self._register(module)
        if config.rtbridge.entry_points:
            for point in entry_points(group=ENTRY_POINTS):
                if not self.manager.has_plugin(point.name):
                    self._register(_loaded(point.load, f"entry point {point.name} = {point.value}"), point.name)
        for plugin in plugins:
            self._register(plugin)
        self._reports = reporting.Reports(config)
        reporter = self._reports.look()
        if reporter is not None:
            self._register(reporting.SENTRY)
        self.chains: dict[str, Chain] = self.manager.chains()
        lifecycle = self.manager.lifecycle()
        self._lifecycle = lifecycle
        _check_unhandled(config)
        unhandled = {kind: answer.exception() for kind, answer in config.rtbridge.unhandled.items()}
        limits = config.rtbridge.limits
        self.bridge = Bridge(
            self.chains,
            lifecycle,
            denials=Denials(unhandled),
            concurrency=limits.concurrency,
            hook_timeout=limits.hook_timeout,
            threads=config.rtbridge.threads,
            clock=clock,
            scopes=None if reporter is None else reporter.event_scope,
        )
        self._reports.on_late = self._report_to
        self.handler = LocalHandler(self.bridge)
        #: What health checks say.
        self.readiness = Readiness()
        self._requests: Requests | None = None
        self._booting: asyncio.Task[None] | None = None
        self._reported = ""
        self._unbooted = list(lifecycle["on_boot"].steps)  # a boot that failed goes on where it stopped
        self._down = False

    def _register(self, plugin: object, name: str | None = None) -> None:
        if isinstance(plugin, str):
            name = name or plugin
            plugin = _loaded(lambda: importlib.import_module(str(name)), f"plugin {name}")
        if not self.manager.is_registered(plugin):
            self.manager.register(plugin, name)

    def _report_to(self, reporter: reporting.Reporter) -> None:
        """Report from now on: a client was made after the plugins were imported."""
        self._register(reporting.SENTRY)
        self._lifecycle = self.manager.lifecycle()
        self.bridge.report_to(reporter.event_scope, self._lifecycle["on_error"])
        reporter.start(self.config.rtbridge.sentry)

    def warnings(self) -> list[str]:
        """What an operator should know before the first event, one line each."""
        found = list(self.manager.warnings)
        embedded = self.config.rtbridge.embedded
        if embedded is not None:
            silence = {kind: f"it is denied ({self.bridge.denials.silence(kind).label})" for kind in METHODS}
            alone = self.config.rtbridge.http_proxy is None and self.config.centrifuge.proxy_address is None
            found += embedded_warnings(embedded, self.chains, silence, alone=alone)
        for kind in EXPECTED if embedded is None and listening.taking_events(self.config) else ():
            if self.chains[kind].empty:
                denied = self.bridge.denials.silence(kind)
                found.append(
                    f"nobody answers {kind}: every one is denied ({denied.label}); write @hookimpl on_{kind}(event)"
                )
        found += kv_warnings(self.config)
        return found + listening.warnings(self.config) + reporting.warnings(self.config)

    def addresses(self) -> dict[str, Address]:
        """What the configuration asks to listen where, by transport."""
        return listening.addresses(self.config)

    def transports(self) -> list[Transport]:
        """Everything that the configuration asks to listen, not yet started."""
        found = listening.transports(self, bind_api=self.api.bind, clock=self._clock)
        if self.config.http is not None:
            found.append(self.web())
        return found

    def web(self, **options: Any) -> "HttpServer":
        """The HTTP server, not yet started.

        Args:
            options: Further arguments of :func:`rtbridge.plugins.http.http_transport`.

        Raises:
            PluginError: Its application cannot be imported, an extra is missing, or a route of a hook is none.

        """
        from rtbridge.plugins.http import http_transport
        from rtbridge.plugins.http.intime import Requests

        requests: Requests = options.pop("requests", None) or Requests()
        self._requests = requests
        try:
            return http_transport(
                self.config,
                state={"api": self.api, "kv": self.kv},
                routes=self._routes(),
                boot=self.boot,
                reports=self._reports,
                requests=requests,
                **options,
            )
        except PluginError as error:
            reporter = self._reports.look()
            if reporter is not None:
                reporter.start(self.config.rtbridge.sentry)
                reporter.boot_failed(error)
            raise

    def metrics(self) -> "Exposition | None":
        """What ``http_metrics`` has counted, for Prometheus; None where it does not."""
        http, requests = self.config.http, self._requests
        if http is None or "http_metrics" not in http.middleware or requests is None:
            return None
        from rtbridge.plugins.http.metrics import exposition

        return exposition(requests.counts, requests.held)

    def _routes(self) -> list[Any]:
        found: list[Any] = []
        for step in self._lifecycle["http_routes"].steps:
            try:
                found += step.run() or ()
            except Exception as exc:
                text = f"{step.name} ({step.source}) failed: {type(exc).__name__}: {exc}"
                raise PluginError(text) from exc
        return found

    def http_app(self) -> "HttpApp":
        """The HTTP proxy as an ASGI application."""
        return listening.http_app(self)

    def listing(self) -> Listing:
        """What this process serves, for people."""
        chains = self.chains.values()
        return Listing(
            plugins=[name for name, _ in self.manager.list_name_plugin()],
            answers=[kind for kind in METHODS if not self.chains[kind].empty],
            hooks=sum(len(chain.plain) for chain in chains),
            routes=sum(len(chain.routes.listeners) for chain in chains if chain.routes is not None),
        )

    def start(self, *, lazy: bool) -> None:
        """Boot plugins with the first event where ``lazy``; else :meth:`boot` does it, and nothing is ready before."""
        if lazy:
            self.bridge.before_first(self.boot)
        else:
            self.readiness.hold("boot", "plugins boot")

    async def boot(self) -> Bridge:
        """The bridge, once the plugins' ``on_boot`` hooks have run; later calls give it back at once.

        A call after one that failed tries again.

        Raises:
            PluginError: An ``on_boot`` hook failed.

        """
        before = self._booting
        if before is None or (before.done() and (before.cancelled() or before.exception() is not None)):
            self._booting = asyncio.get_running_loop().create_task(self._boot())
        assert self._booting is not None
        await asyncio.shield(self._booting)
        return self.bridge

    async def _boot(self) -> None:
        self.api.attach()
        await self.kv.open()
        while self._unbooted:
            step = self._unbooted[0]
            try:
                await self.bridge.run_step(step)
            except Exception as exc:
                text = f"{step.name} ({step.source}) failed: {type(exc).__name__}: {exc}"
                error = PluginError(text)
                error.__cause__ = exc
                reporter = self._reports.look()
                if reporter is not None and text != self._reported:  # with lazy_boot each event tries again
                    reporter.boot_failed(error)
                    self._reported = text
                raise error from exc
            del self._unbooted[0]
        self._reports.look()
        self.readiness.release("boot")

    async def ready(self) -> None:
        """Run the plugins' ``on_ready`` hooks; one that fails is logged."""
        await self._each("on_ready")

    async def stop(self, transports: Iterable[Transport]) -> None:
        """Close listeners, let what is under way end, bounded by ``drain_timeout``, and shut the plugins down."""
        self.readiness.hold("stop", "stopping")
        self.bridge.end_streams()
        await close(transports, self.config.rtbridge.drain_timeout)
        await self.shutdown()

    async def shutdown(self) -> None:
        """Wait for events under way, bounded by ``drain_timeout``, then run the ``on_shutdown`` hooks."""
        if self._down:
            return
        self._down = True
        try:
            async with asyncio.timeout(self.config.rtbridge.drain_timeout):
                await self.bridge.drain()
        except TimeoutError:
            log.warning("%d events were still being answered at the end of rtbridge.drain_timeout", self.bridge.active)
        if self._booting is not None:
            await self._each("on_shutdown")
        await self.api.close()
        self.bridge.close()
        await self.kv.close()
        kv.drop(self.kv)
        if self._dumps is not None:
            await asyncio.to_thread(self._dumps.close)

    async def _each(self, hook: str) -> None:
        for step in self._lifecycle[hook].steps:
            try:
                await self.bridge.run_step(step)
            except Exception:
                log.exception("%s (%s) failed", step.name, step.source)


def runtime_of(
    config: Config, plugins: Iterable[object] = (), *, elsewhere: Mapping[str, Store] | None = None
) -> Runtime:
    """A runtime whose hooks are going to run; where exceptions are reported, so is a plugin that keeps it from that.

    Args:
        config: The configuration.
        plugins: Plugins beside those that the configuration names: modules, objects with hooks, or module names.
        elsewhere: Key-value stores that another process has in its memory, by name.

    Raises:
        PluginError: A plugin cannot be imported or registered.

    """
    try:
        return Runtime(config, plugins, elsewhere=elsewhere)
    except PluginError as error:
        if reporting.asked_for(config):
            with suppress(PluginError):  # the one that is raised already may be about this
                reporter = reporting.reporter()
                reporter.start(config.rtbridge.sentry)
                reporter.boot_failed(error)
        raise


def asgi(config: str | Path | Mapping[str, Any] | Config | None = None, plugins: Iterable[object] = ()) -> "HttpApp":
    """The HTTP proxy as an ASGI application, to mount in FastAPI, Starlette, Litestar or Django.

    Args:
        config: A ``.rr.yaml`` by path, the same as a mapping, or a Config; None for the defaults.
        plugins: Plugins beside those that the configuration names: modules, objects with hooks, or module names.

    Raises:
        SetupError: The configuration or a plugin cannot be used.

    """
    if isinstance(config, str | Path):
        config = load(config).config
    elif isinstance(config, Mapping):
        config = parse_config({"version": "3", **config}, known_events=UNHANDLED_EVENTS).config
    runtime = runtime_of(config or Config(), plugins)
    for line in runtime.warnings():
        log.warning("%s", line)
    return runtime.http_app()


def _check_unhandled(config: Config) -> None:
    for kind, answer in config.rtbridge.unhandled.items():
        if kind in METHODS and METHODS[kind].silence == "error" and answer.disconnect is not None:
            raise ConfigError(
                f"rtbridge.unhandled.{kind}: found a disconnect, allowed: an error; no client stands behind this call"
            )


def environment_of(config: Config, mode: str = "centrifuge") -> dict[str, str]:
    """What hooks find in their environment beside the process's own: ``server.env``, and RoadRunner's variables."""
    found = {"RR_MODE": mode, **config.server.env}
    if config.rpc is not None:
        found.setdefault("RR_RPC", str(config.rpc.listen))
    return found


def use_environment(config: Config) -> None:
    """Put :func:`environment_of` into this process's environment."""
    os.environ.update(environment_of(config))


def _loaded(load_plugin: Any, what: str) -> object:
    try:
        return load_plugin()
    except Exception as exc:
        frames = traceback.extract_tb(exc.__traceback__)
        here = os.path.dirname(__file__) + os.sep
        own = [f for f in frames if "importlib" not in f.filename and not f.filename.startswith(here)]
        place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
        raise PluginError(f"{what} cannot be imported{place}: {type(exc).__name__}: {exc}") from exc
