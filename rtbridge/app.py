"""The composition root: configuration → plugins → bridge → transports."""

import asyncio
import importlib
import logging
import os
import traceback
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from rtbridge.api import LocalApi
from rtbridge.bridge import Bridge
from rtbridge.centrifugo.embedded import warnings as embedded_warnings
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.config import Address, Config, Embedded, Loaded, load_config, parse_config
from rtbridge.denial import Denials
from rtbridge.errors import ConfigError, PluginError
from rtbridge.events import METHODS
from rtbridge.hooks import ENTRY_POINTS, Chain, HookManager
from rtbridge.transport.base import Secret, Transport
from rtbridge.transport.grpcio import GrpcioTransport
from rtbridge.transport.http import HttpApp
from rtbridge.transport.settings import GrpcSettings, Tls
from rtbridge.transport.uvicorn import UvicornTransport

log = logging.getLogger("rtbridge")

#: Events that every application of Centrifugo meets; a start without an answer to one of them is worth a warning.
EXPECTED: Final = ("connect", "subscribe", "publish", "rpc")

#: Transports that take Centrifugo's proxy calls; whoever reaches them can pose as Centrifugo.
_PROXIES: Final = ("grpcio", "http")

#: Events whose silence `rtbridge.unhandled` may choose.
UNHANDLED_EVENTS: Final = [kind for kind, method in METHODS.items() if method.silence in ("disconnect", "error")]


def load(
    path: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    workdir: Path | None = None,
    offline: bool = False,
    dotenv: Path | None = None,
) -> Loaded:
    """The configuration of a file, its event names checked; see :func:`rtbridge.config.load_config`."""
    return load_config(
        path, overrides=overrides, workdir=workdir, offline=offline, dotenv=dotenv, known_events=UNHANDLED_EVENTS
    )


class Runtime:
    """A configuration brought to life: plugins registered and checked, chains compiled, a bridge ready to boot.

    Args:
        config: The configuration.
        plugins: Plugins beside those that the configuration names: modules, objects with hooks, or module names.
        clock: Every duration and expiry asks it.

    Raises:
        PluginError: A plugin cannot be imported or registered.

    """

    def __init__(self, config: Config, plugins: Iterable[object] = (), clock: Clock = SYSTEM_CLOCK) -> None:
        self.config = config
        self._clock = clock
        #: The server API as hooks get it.
        self.api = LocalApi()
        self.manager = HookManager({"api": self.api, "config": config})
        for module in config.rtbridge.plugins:
            self._register(module)
        if config.rtbridge.entry_points:
            for point in entry_points(group=ENTRY_POINTS):
                if not self.manager.has_plugin(point.name):
                    self._register(_loaded(point.load, f"entry point {point.name} = {point.value}"), point.name)
        for plugin in plugins:
            self._register(plugin)
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
        )
        self._booting: asyncio.Task[None] | None = None
        self._unbooted = list(lifecycle["on_boot"].steps)  # a boot that failed goes on where it stopped
        self._down = False

    def _register(self, plugin: object, name: str | None = None) -> None:
        if isinstance(plugin, str):
            name = name or plugin
            plugin = _loaded(lambda: importlib.import_module(str(name)), f"plugin {name}")
        if not self.manager.is_registered(plugin):
            self.manager.register(plugin, name)

    def warnings(self) -> list[str]:
        """What an operator should know before the first event, one line each."""
        found = list(self.manager.warnings)
        own = self.config.rtbridge
        if own.embedded is not None:
            silence = {kind: f"it is denied ({self.bridge.denials.silence(kind).label})" for kind in METHODS}
            alone = own.http_proxy is None and self.config.centrifuge.proxy_address is None
            found += embedded_warnings(own.embedded, self.chains, silence, alone=alone)
            found += self._pages(own.embedded)
        for kind in EXPECTED if own.embedded is None else ():
            if self.chains[kind].empty:
                denied = self.bridge.denials.silence(kind)
                found.append(
                    f"nobody answers {kind}: every one is denied ({denied.label}); write @hookimpl on_{kind}(event)"
                )
        exposed = self.config.rtbridge.secret is None and self.config.rtbridge.tls is None
        for name, address in self.addresses().items():
            if exposed and name in _PROXIES and not _is_loopback(address):
                found.append(
                    f"{name} listens on {address}, beyond this machine, with neither TLS nor a secret: anybody who "
                    "reaches it can pose as Centrifugo; set rtbridge.secret or rtbridge.tls"
                )
        return found

    def _pages(self, embedded: Embedded) -> list[str]:
        """Whether pages that this process serves may connect to the server that it is."""
        http = self.config.http
        if http is None or http.address.path or http.address.host in ("0.0.0.0", "::"):  # noqa: S104  # compared only
            return []  # nobody knows here by which name browsers find it
        from rtbridge.embedded.fronts.origins import Origins

        page = str(http.address).replace("tcp://", "http://")
        if Origins(embedded.client.allowed_origins).admits(page):
            return []
        return [f"rtbridge.embedded: client.allowed_origins does not hold {page}, so pages served there cannot connect"]

    def addresses(self) -> dict[str, Address]:
        """What the configuration asks to listen where, by transport."""
        found: dict[str, Address] = {}
        if self.config.centrifuge.proxy_address is not None:
            found["grpcio"] = self.config.centrifuge.proxy_address
        if self.config.rtbridge.http_proxy is not None:
            found["http"] = self.config.rtbridge.http_proxy.address
        if self.config.rtbridge.embedded is not None:
            server = self.config.rtbridge.embedded.http_server
            found["embedded"] = Address(host=server.address or "0.0.0.0", port=server.port)  # noqa: S104
        if self.config.http is not None:
            found["web"] = self.config.http.address
        return found

    def secret(self) -> Secret | None:
        """The shared secret of proxy calls."""
        secret = self.config.rtbridge.secret
        return None if secret is None else Secret(secret.key, secret.values)

    def tls(self) -> Tls | None:
        """The TLS files of what listens."""
        tls = self.config.rtbridge.tls
        return None if tls is None else Tls(tls.cert, tls.key, tls.client_ca)

    def transports(self) -> list[Transport]:
        """Everything that the configuration asks to listen, not yet started."""
        own, found = self.config.rtbridge, list[Transport]()
        addresses = self.addresses()
        if "grpcio" in addresses:
            settings = GrpcSettings(
                address=_target(addresses["grpcio"]),
                tls=self.tls(),
                secret=self.secret(),
                message_size=own.limits.message_size,
                header_size=own.limits.header_size,
                keepalive=own.keepalive_time,
                max_connection_age=own.max_connection_age,
                drain_timeout=own.drain_timeout,
                reflection=own.grpc_reflection,
            )
            found.append(GrpcioTransport(self.bridge, settings))
        if "http" in addresses:
            app, size = self.http_app(), own.limits.header_size
            found.append(UvicornTransport(app, _target(addresses["http"]), tls=self.tls(), header_size=size))
        if own.embedded is not None:
            # Loaded where it is wanted: a backend of a Centrifugo pays neither memory nor time for it.
            from rtbridge.embedded import EmbeddedServer

            server = EmbeddedServer(self.bridge, own.embedded, clock=self._clock)
            self.api.bind(server.api.call)
            found.append(server)
        if self.config.http is not None:
            from rtbridge.plugins.http import http_transport

            found.append(http_transport(self.config))
        return found

    def http_app(self) -> HttpApp:
        """The HTTP proxy as an ASGI application."""
        limits = self.config.rtbridge.limits
        return HttpApp(self, secret=self.secret(), message_size=limits.message_size, header_size=limits.header_size)

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
        while self._unbooted:
            step = self._unbooted[0]
            try:
                await self.bridge.run_step(step)
            except Exception as exc:
                raise PluginError(f"{step.name} ({step.source}) failed: {type(exc).__name__}: {exc}") from exc
            del self._unbooted[0]

    async def ready(self) -> None:
        """Run the plugins' ``on_ready`` hooks; one that fails is logged."""
        await self._each("on_ready")

    async def stop(self, transports: Iterable[Transport]) -> None:
        """Close listeners, let what is under way end, bounded by ``drain_timeout``, and shut the plugins down."""
        self.bridge.end_streams()
        timeout = self.config.rtbridge.drain_timeout
        for result in await asyncio.gather(*(t.stop(timeout) for t in transports), return_exceptions=True):
            if isinstance(result, BaseException):
                log.error("a listener did not close: %s", result, exc_info=result)
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
        self.bridge.close()

    async def _each(self, hook: str) -> None:
        for step in self._lifecycle[hook].steps:
            try:
                await self.bridge.run_step(step)
            except Exception:
                log.exception("%s (%s) failed", step.name, step.source)


def asgi(config: str | Path | Mapping[str, Any] | Config | None = None, plugins: Iterable[object] = ()) -> HttpApp:
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
    runtime = Runtime(config or Config(), plugins)
    for line in runtime.warnings():
        log.warning("%s", line)
    return runtime.http_app()


def _check_unhandled(config: Config) -> None:
    for kind, answer in config.rtbridge.unhandled.items():
        if kind in METHODS and METHODS[kind].silence == "error" and answer.disconnect is not None:
            raise ConfigError(
                f"rtbridge.unhandled.{kind}: found a disconnect, allowed: an error; no client stands behind this call"
            )


def use_environment(config: Config) -> None:
    """Put ``server.env`` into the environment that hooks see."""
    os.environ.update(config.server.env)


def _loaded(load_plugin: Any, what: str) -> object:
    try:
        return load_plugin()
    except Exception as exc:
        frames = traceback.extract_tb(exc.__traceback__)
        here = os.path.dirname(__file__) + os.sep
        own = [f for f in frames if "importlib" not in f.filename and not f.filename.startswith(here)]
        place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
        raise PluginError(f"{what} cannot be imported{place}: {type(exc).__name__}: {exc}") from exc


def _target(address: Address) -> str:
    return f"unix:{address.path}" if address.path else str(address).removeprefix("tcp://")


def _is_loopback(address: Address) -> bool:
    return bool(address.path) or address.host in ("localhost", "::1") or address.host.startswith("127.")
