"""The process that owns the sockets: what listens talks to its pools, and hooks run in their workers."""

import asyncio
import logging
import os
import pickle
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from rtbridge import listening
from rtbridge.api.remote import Answered, answered
from rtbridge.app import Listing, Runtime, environment_of, runtime_of
from rtbridge.config import Address, Config
from rtbridge.config.fields import Section
from rtbridge.denial import Denials
from rtbridge.plugins.kv import in_memory, memory_stores
from rtbridge.readiness import Readiness
from rtbridge.stores import Store
from rtbridge.stores.remote import Performed, perform
from rtbridge.transport.base import Transport, close
from rtbridge.workers.frames import MAX_PAYLOAD, ApiCall, ApiReply, Mode, Ready, Start, StoreCall, StoreReply, clean
from rtbridge.workers.pool import Pool
from rtbridge.workers.process import Worker
from rtbridge.workers.supervisor import Supervisor
from rtbridge.workers.usage import WorkerInfo

if TYPE_CHECKING:
    from rtbridge.plugins.http.metrics import Exposition
    from rtbridge.workers.web import Web

log = logging.getLogger("rtbridge.workers")

#: Calls that one worker holds at once where ``limits.worker_concurrency`` says nothing: enough to keep it busy while
#: hooks wait, few enough that one that stands still takes little with it.
WORKER_CONCURRENCY: Final = 256

#: What the parent takes from the configuration once, at its start.
RESTART: Final = (
    "centrifuge.lazy_boot",
    "centrifuge.name",
    "centrifuge.pool.debug",
    "centrifuge.proxy_address",
    "http.address",
    "http.lazy_boot",
    "http.pool.debug",
    "http.ssl.address",
    "rpc",
    "rtbridge.embedded",
    "rtbridge.grpc_compress_from",
    "rtbridge.grpc_reflection",
    "rtbridge.grpc_server",
    "rtbridge.http_proxy",
    "rtbridge.keepalive_time",
    "rtbridge.limits.connections",
    "rtbridge.limits.header_size",
    "rtbridge.limits.message_size",
    "rtbridge.max_connection_age",
    "rtbridge.public_url",
    "rtbridge.rpc_token",
    "rtbridge.secret",
    "rtbridge.tls",
    "status",
)


class Parent:
    """A configuration served by worker processes.

    Args:
        config: The configuration.
        environment: Of the workers, without what ``server.env`` adds; this process's own by default.

    """

    def __init__(self, config: Config, environment: Mapping[str, str] | None = None) -> None:
        self.config = config
        self._started = config
        self.readiness = Readiness()
        unhandled = {kind: answer.exception() for kind, answer in config.rtbridge.unhandled.items()}
        self.handler = Pool(Denials(unhandled), **_bounds(config))
        self._inherited = dict(os.environ if environment is None else environment)
        #: Answers the server API, where there is an embedded server.
        self.serve_api: Callable[[str, Any], Any] | None = None
        #: One for all workers: those of the memory driver.
        self.stores: dict[str, Store] = memory_stores(config)
        self._supervisor: Supervisor | None = None
        self._web: Web | None = None
        self._inner: Runtime | None = None  # serves HTTP in this process, where it has no workers
        self._swapping = asyncio.Lock()
        self._lazy = False

    @property
    def supervisor(self) -> Supervisor:
        """The workers, once started."""
        assert self._supervisor is not None
        return self._supervisor

    def addresses(self) -> dict[str, Address]:
        """What the configuration asks to listen where, by transport."""
        return listening.addresses(self.config)

    def start(self, *, lazy: bool) -> None:
        """Start the workers; :meth:`boot` waits for the first.

        Raises:
            ListenError: The address of the HTTP server cannot be bound, which its workers have from here.
            PluginError: With ``http.pool.debug``: a plugin cannot be imported or registered.

        """
        self._lazy = lazy
        config = self.config
        if config.http is not None and config.http.pool.debug:
            self._inner = runtime_of(config, elsewhere=self.stores)
        elif config.http is not None:
            from rtbridge.workers.web import Web

            self._web = Web(
                config,
                self.readiness,
                start=self._web_frame(config),
                environment=self._environment(config, "http"),
                api=self._api,
                store=self._store,
            )
        if not listening.taking_events(config):
            return  # nobody asks the hooks
        self._supervisor = Supervisor(
            self.handler,
            self.readiness,
            config.centrifuge.pool,
            drain_timeout=config.rtbridge.drain_timeout,
            start=self._first_frame(config),
            environment=self._environment(config),
            api=self._api,
            store=self._store,
        )
        self._supervisor.begin(lazy=lazy)

    def _first_frame(self, config: Config) -> Callable[[int], Start]:
        pickled, path, lazy = pickle.dumps(config), list(sys.path), self._lazy
        return lambda number: Start(number, pickled, path, lazy)

    def _web_frame(self, config: Config) -> Callable[[int, dict[str, int]], Start]:
        http, started = config.http, self._started.http
        assert http is not None
        assert started is not None
        # The sockets are those of the start: what is asked for besides, or no more, comes with a restart.
        if (http.address is None) != (started.address is None):
            http = msgspec.structs.replace(http, address=started.address)
        if (http.ssl is None) != (started.ssl is None):
            http = msgspec.structs.replace(http, ssl=started.ssl)
        pickled = pickle.dumps(msgspec.structs.replace(config, http=http))
        path, lazy = list(sys.path), http.lazy_boot
        return lambda number, listeners: Start(number, pickled, path, lazy, "http", listeners)

    def _environment(self, config: Config, mode: Mode = "centrifuge") -> dict[str, str]:
        return {**self._inherited, **environment_of(config, mode)}

    async def boot(self) -> Worker | None:
        """Wait until a worker has booted; with lazy workers there is nothing to wait for.

        Raises:
            PluginError: No worker boots.

        """
        if self._inner is not None and not self._lazy:
            await self._inner.boot()
        return None if self._lazy or self._supervisor is None else await asyncio.shield(self.supervisor.first)

    def transports(self) -> list[Transport]:
        """Everything that the configuration asks to listen, not yet started."""
        found = listening.transports(self, bind_api=self._bind)
        if self._web is not None:
            found.append(self._web)
        elif self._inner is not None:
            found.append(self._inner.web())
        return found

    def _bind(self, serve: Callable[[str, Any], Any]) -> None:
        self.serve_api = serve
        if self._inner is not None:
            self._inner.api.bind(serve)

    @property
    def _supervisors(self) -> list[Supervisor]:
        web = None if self._web is None else self._web.supervisor
        return [each for each in (self._supervisor, web) if each is not None]

    async def ready(self) -> None:
        """Have ``on_ready`` hooks run, in every worker."""
        for each in self._supervisors:
            each.serving()
        if self._inner is not None:
            await self._inner.ready()

    def listing(self) -> Listing | None:
        """What the workers serve, once one is ready."""
        ready = self._told()
        return None if ready is None else ready.listing

    def _told(self) -> Ready | None:
        return next((each.listing for each in self._supervisors if each.listing is not None), None)

    def warnings(self) -> Sequence[str]:
        """What the workers think that an operator should know, once one is ready."""
        ready = self._told()
        return () if ready is None else ready.warnings

    def workers(self) -> list[WorkerInfo]:
        """Every worker there is."""
        return [worker for each in self._supervisors for worker in each.snapshot()]

    def metrics(self) -> "Exposition | None":
        """What ``http_metrics`` has counted, for Prometheus; None where it does not."""
        http = self.config.http
        if http is None or "http_metrics" not in http.middleware:
            return None
        if self._web is not None:
            from rtbridge.plugins.http.metrics import exposition

            held = sum(worker.held for worker in self._web.supervisor.snapshot())
            return exposition(self._web.counts, held)
        return None if self._inner is None else self._inner.metrics()

    def restart_keys(self, config: Config) -> list[str]:
        """The keys of another configuration that only a restart brings into force, because they differ."""
        keys = RESTART if self._inner is None else (*RESTART, "http")
        found = [path for path in changed(self._started, config) if any(_within(path, key) for key in keys)]
        kept = set(in_memory(self._started)) & set(in_memory(config))
        return found + [f"kv.{name}" for name in sorted(kept) if self._started.kv[name] != config.kv[name]]

    async def reload(self, config: Config, environment: Mapping[str, str] | None = None) -> None:
        """Replace all workers, one by one, by ones of this configuration; nothing under way is lost.

        What the parent itself took from the configuration at its start stays as it is.

        Raises:
            PluginError: A successor does not start; the workers that were not replaced yet go on, with what they have.
            TimeoutError: It takes longer than ``reset_timeout`` of the pool.

        """
        async with self._swapping:
            before, inherited = self.config, self._inherited
            if environment is not None:
                self._inherited = dict(environment)
            self._configure(config)
            try:
                for each in self._supervisors:
                    await each.swap()
            except BaseException:
                self._inherited = inherited
                self._configure(before)
                raise
            self.config = config

    def _configure(self, config: Config) -> None:
        self.handler.configure(**_bounds(config))
        for name, store in memory_stores(config).items():
            self.stores.setdefault(name, store)  # what is in one that is there stays
        if self._supervisor is not None:
            self._supervisor.configure(
                config.centrifuge.pool,
                drain_timeout=config.rtbridge.drain_timeout,
                start=self._first_frame(config),
                environment=self._environment(config),
            )
        if self._web is not None and config.http is not None and self._started.http is not None:
            start, environment = self._web_frame(config), self._environment(config, "http")
            self._web.configure(config, start=start, environment=environment)

    async def stop(self, transports: Sequence[Transport]) -> None:
        """Close listeners, let what is under way end, bounded by ``drain_timeout``, and end the workers."""
        self.readiness.hold("stop", "stopping")
        if self._supervisor is not None:
            self._supervisor.end_streams()
        await close(transports, self.config.rtbridge.drain_timeout)
        await self.shutdown()

    async def shutdown(self) -> None:
        """End the workers."""
        if self._web is not None:
            await self._web.stop(self.config.rtbridge.drain_timeout)
        if self._supervisor is not None:
            await self._supervisor.stop()
        if self._inner is not None:
            await self._inner.shutdown()

    def _store(self, worker: Worker, frame: StoreCall) -> None:
        """Do an operation of a hook's; the memory driver never waits."""
        done = _at_once(perform(self.stores, frame.store, frame.operation, frame.arguments))
        result, error, message = done
        if len(result) > MAX_PAYLOAD:
            result, error = b"", "KvLimit"
            message = f"kv.{frame.store}: {len(done.result):,} bytes; at most {MAX_PAYLOAD:,} travel at once"
        worker.send(StoreReply(frame.id, result, error, clean(message)), len(result))

    def _api(self, worker: Worker, frame: ApiCall) -> None:
        """Answer a call of the server API that a hook made."""
        done = answered(self.serve_api, frame.method, frame.request)
        size = len(done.result)
        if size > MAX_PAYLOAD:
            done = Answered(b"", 107, f"a result of {size:,} bytes; to a worker at most {MAX_PAYLOAD:,} travel")
        worker.send(ApiReply(frame.id, *done), len(done.result))


def _at_once(work: Coroutine[Any, Any, Performed]) -> Performed:
    try:
        work.send(None)
    except StopIteration as done:
        found: Performed = done.value
        return found
    work.close()
    raise AssertionError("a store in memory waited")


def _bounds(config: Config) -> dict[str, Any]:
    limits, pool = config.rtbridge.limits, config.centrifuge.pool
    return {
        "concurrency": limits.concurrency,
        "worker_concurrency": limits.worker_concurrency or WORKER_CONCURRENCY,
        "max_queue_size": pool.max_queue_size,
        "allocate_timeout": pool.allocate_timeout,
    }


def _within(path: str, key: str) -> bool:
    """Whether a key that has changed is one of these, below one, or the section around one."""
    return f"{path}.".startswith(f"{key}.") or f"{key}.".startswith(f"{path}.")


def changed(before: object, after: object, path: str = "") -> list[str]:
    """The keys that differ, as deep as both sides have a section."""
    if isinstance(before, Section) and type(before) is type(after):
        found: list[str] = []
        for name in before.__struct_fields__:
            found += changed(getattr(before, name), getattr(after, name), f"{path}.{name}" if path else name)
        return found
    return [] if before == after else [path]
