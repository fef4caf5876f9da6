"""The serving process as its operator sees it: reload, status, stop."""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from rtbridge import logs
from rtbridge.api.remote import Answered, answered
from rtbridge.app import Runtime
from rtbridge.cli.lifetime import Signals
from rtbridge.cli.project import Chosen
from rtbridge.control.base import Reloaded, Seen
from rtbridge.errors import SetupError
from rtbridge.plugins.kv import in_memory
from rtbridge.stores import Store
from rtbridge.stores.remote import Performed, perform
from rtbridge.transport.base import Transport, places
from rtbridge.workers.parent import Parent

log = logging.getLogger("rtbridge")

#: Seconds that the caller of ``stop`` has to get its answer.
_ANSWERED: Final = 0.1

#: Milliseconds of quiet after which changed files are acted on.
_QUIET: Final = 200


class Process:
    """A :class:`rtbridge.control.base.Controlled`.

    Args:
        chosen: Where the configuration is read from, again with each reload.
        host: What is served.
        signals: Stops it.
        environment: The process's environment as it was before the configuration added to it.

    Attributes:
        running: What listens.

    """

    def __init__(
        self, chosen: Chosen, host: Runtime | Parent, signals: Signals, environment: Mapping[str, str]
    ) -> None:
        self._chosen = chosen
        self._host = host
        self._signals = signals
        self._environment = environment
        self._tasks: set[asyncio.Task[object]] = set()
        self.running: Sequence[Transport] = ()

    def listeners(self) -> list[Transport]:
        """Health and control, where the configuration wants them; not yet started."""
        config, found = self._host.config, list[Transport]()
        if config.status is not None:
            from rtbridge.control.status import status_transport

            found.append(status_transport(config.status, self, self._addresses, self._host.metrics))
        if config.rpc is not None:
            from rtbridge.control.service import ControlTransport

            found.append(ControlTransport(self, config.rpc.listen, config.rtbridge.rpc_token))
        return found

    def _addresses(self) -> dict[str, str]:
        return {name: address for each in self.running for name, address in places(each).items()}

    async def reload(self) -> Reloaded:
        """Read the configuration again and replace all workers; what fails leaves everything as it was."""
        if not isinstance(self._host, Parent):
            error = "there are no workers to replace: centrifuge.pool.debug is set; restart the process"
            log.error("reload: %s", error)
            return Reloaded(error=error)
        try:
            return await self._reload(self._host)
        except SetupError as exc:
            error = str(exc)
        except TimeoutError:
            error = "not all workers were replaced within reset_timeout of their pool; those that were stay"
        log.error("reload failed, what ran before goes on: %s", error)
        return Reloaded(error=error)

    async def _reload(self, host: Parent) -> Reloaded:
        loaded = self._chosen.load(environ=self._environment)
        restart = host.restart_keys(loaded.config)
        log.info("reload: workers are replaced one by one")
        before = host.config.logs
        await host.reload(loaded.config, {**loaded.dotenv, **self._environment})
        if loaded.config.logs != before:
            logs.setup(loaded.config.logs.level, loaded.config.logs.encoding)
        notices = [*loaded.notices, *host.warnings()]
        for line in notices:
            log.warning("%s", line)
        for key in restart:
            log.warning("%s has changed and needs a restart", key)
        ready = sum(worker.state == "ready" for worker in host.workers())
        log.info("reloaded: %d workers take calls", ready)
        return Reloaded(restart=restart, notices=notices, workers=ready)

    def hangup(self) -> None:
        """SIGHUP came."""
        log.info("SIGHUP: reload")
        self._keep(asyncio.get_running_loop().create_task(self.reload()))

    def seen(self) -> Seen:
        """What there is to see now."""
        host, readiness = self._host, self._host.readiness
        parent = host if isinstance(host, Parent) else None
        return Seen(
            workers=[] if parent is None else [msgspec.structs.asdict(worker) for worker in parent.workers()],
            queue=0 if parent is None else parent.handler.waiting,
            ready=readiness.ready and bool(self.running),
            reasons=readiness.reasons,
            pid=os.getpid(),
        )

    async def store(self, name: str, operation: str, arguments: bytes) -> Performed:
        """Do an operation on a store in memory."""
        host = self._host
        if isinstance(host, Parent):
            stores: Mapping[str, Store] = host.stores
        else:
            stores = {each: host.kv(each).store for each in in_memory(host.config)}
        return await perform(stores, name, operation, arguments)

    async def api(self, method: str, request: bytes) -> Answered:
        """Make a call of the server API of the embedded server."""
        host = self._host
        return answered(host.serve_api if isinstance(host, Parent) else host.api.serve, method, request)

    def stop(self, *, force: bool) -> None:
        """End the process; soon, so that the caller still gets its answer."""
        loop = asyncio.get_running_loop()
        if force:
            loop.call_later(_ANSWERED, self._signals.force, "rtbridge stop -f")
            return
        log.info("rtbridge stop: taking no new calls, ending those under way")
        loop.call_later(_ANSWERED, self._signals.stop.set)

    async def watch(self, config: Path | None) -> None:
        """Reload whenever a Python file below the project, or its configuration, changes."""
        try:
            from watchfiles import DefaultFilter, awatch
        except ImportError as exc:
            raise SetupError("--watch needs the watchfiles package: pip install 'rtbridge[watch]'") from exc
        folder = Path.cwd() if config is None else config.parent
        names = {".env"} if config is None else {".env", config.name}

        class Sources(DefaultFilter):
            def __call__(self, change: object, path: str) -> bool:
                wanted = path.endswith(".py") or os.path.basename(path) in names
                return wanted and super().__call__(change, path)  # type: ignore[arg-type]

        async for _ in awatch(folder, watch_filter=Sources(), debounce=_QUIET):
            log.info("files have changed: reload")
            await self.reload()

    def _keep(self, task: "asyncio.Task[object]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
