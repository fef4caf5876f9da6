"""A parent in this process with real HTTP workers, and requests to them."""

import asyncio
import os
from typing import Any

import httpx

from rtbridge.app import UNHANDLED_EVENTS
from rtbridge.config import Config, parse_config
from rtbridge.transport.base import Transport
from rtbridge.workers.parent import Parent
from tests.workers.conftest import Watched, soon, until

APP = """
    import asyncio, os, pathlib, sys, threading, time
    from starlette.concurrency import run_in_threadpool
    from starlette.routing import Route
    from rtbridge import hookimpl, resettable
    from rtbridge.http import EventStreamResponse, Site, handler

    FOLDER = pathlib.Path(os.environ["FOLDER"])
    LEAKED = []

    def leave(name):
        (FOLDER / name).write_text(str(os.getpid()))

    async def comes(name):
        while not (FOLDER / name).exists():
            await asyncio.sleep(0.005)

    class Counted:
        resets = 0
        def reset(self): self.resets += 1

    COUNTED = resettable(Counted())
    BOOTED = []

    @hookimpl
    def on_boot(): BOOTED.append(os.getpid())

    @hookimpl
    def http_routes(config):
        async def hook(request): return [config.centrifuge.name, BOOTED]
        return [Route("/hook", handler(hook))]

    app = Site()

    @app.get("/pid")
    async def pid(request): return str(os.getpid())

    @app.get("/env/{name}")
    async def env(request): return os.environ.get(request.path_params["name"])

    @app.get("/resets")
    async def resets(request): return COUNTED.resets

    @app.get("/count")
    async def count(request): return await request.state.kv("shared").incr("n")

    @app.get("/channels")
    async def channels(request):
        await request.state.api.publish("news", {"a": 1})
        return (await request.state.api.history("news", limit=1)).position.offset

    @app.get("/until/{name}")
    async def wait(request):
        leave("until")
        await comes(request.path_params["name"])
        return str(os.getpid())

    @app.get("/lines/{name}")
    async def lines(request):
        yield "first\\n"
        await comes(request.path_params["name"])
        yield "last\\n"

    CHUNK = b"x" * 1024

    @app.get("/chunks/async")
    async def chunks(request):
        for _ in range(10_000):
            yield CHUNK

    @app.get("/chunks/sync")
    def blocking_chunks(request):
        for _ in range(10_000):
            yield CHUNK

    @app.get("/events")
    async def events(request):
        async def feed():
            yield {"a": 1}
            await asyncio.Event().wait()
        return EventStreamResponse(feed())

    @app.get("/exit")
    async def leaves(request): os._exit(3)

    @app.get("/block/{seconds}")
    async def block(request):
        leave("blocks")
        time.sleep(float(request.path_params["seconds"]))

    @app.get("/wait")
    async def waits(request):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            leave("cancelled")
            raise

    @app.get("/thread")
    def thread(request):
        leave("thread")
        time.sleep(3600)

    @app.post("/size")
    async def size(request): return len(await request.body())

    @app.get("/leak/{megabytes}")
    async def leak(request):
        LEAKED.append(bytearray(int(request.path_params["megabytes"]) * 1024 * 1024))
        return str(os.getpid())
"""


def web_configuration(pool: dict[str, Any], **sections: Any) -> Config:
    http = {"address": "127.0.0.1:0", "app": "site_of_workers:app", **sections.pop("http", {})}
    given: dict[str, Any] = {
        "version": "3",
        "http": {**http, "pool": {"num_workers": 1, "destroy_timeout": "5s", **pool}},
        "centrifuge": {"proxy_address": None, "name": "shop", "pool": {"num_workers": 1, "destroy_timeout": "5s"}},
        "kv": {"shared": {"driver": "memory", "config": {}}},
        "logs": {"level": "warning"},
        **sections,
    }
    own = {"entry_points": False, "plugins": ["site_of_workers"], "drain_timeout": "5s", **given.pop("rtbridge", {})}
    return parse_config({**given, "rtbridge": own}, known_events=UNHANDLED_EVENTS).config


class Served(Watched):
    """A parent that serves HTTP, and a client of it."""

    mode = "http"

    def __init__(self, parent: Parent, transports: list[Transport]) -> None:
        super().__init__(parent)
        self.transports = transports
        self.address = next(each.address for each in transports if each.name == "web")
        self.client = self.another()

    def another(self, **more: Any) -> httpx.AsyncClient:
        """A client with connections of its own."""
        return httpx.AsyncClient(base_url=f"http://{self.address}", timeout=20, trust_env=False, **more)

    async def get(self, path: str) -> httpx.Response:
        return await soon(self.client.get(path))

    async def pid(self) -> int:
        """The process that answers, over a new connection."""
        async with self.another() as client:
            return int((await client.get("/pid")).text)

    def holds(self, count: int) -> bool:
        """Whether the workers hold so many requests together."""
        return sum(worker.held for worker in self.workers()) == count

    async def stop(self) -> None:
        await soon(self.client.aclose())
        await soon(self.parent.stop(self.transports))
        assert self.parent.workers() == []


async def served(config: Config) -> Served:
    """Start a parent; what fails leaves nothing behind."""
    parent = Parent(config)
    transports: list[Transport] = []
    try:
        parent.start(lazy=config.centrifuge.lazy_boot)
        transports = parent.transports()
        await soon(parent.boot())
        for transport in transports:
            await soon(transport.start())
    except BaseException:
        await soon(parent.stop(transports))
        raise
    await parent.ready()
    return Served(parent, transports)


class Load:
    """Requests that go on until they are told to end, one after the other on each of some connections.

    Args:
        site: Where to.
        keep_alive: Whether a connection carries more than one request.

    """

    def __init__(self, site: Served, *, keep_alive: bool, width: int = 4) -> None:
        self.done = 0
        self.failed: list[Exception] = []
        self.pids: set[int] = set()
        self._site = site
        self._headers = {} if keep_alive else {"connection": "close"}
        self._over = False
        self._tasks = [asyncio.create_task(self._run()) for _ in range(width)]

    async def _run(self) -> None:
        async with self._site.another() as client:
            while not self._over:
                try:
                    answer = await client.get("/pid", headers=self._headers)
                    answer.raise_for_status()
                    self.pids.add(int(answer.text))
                    self.done += 1
                except httpx.HTTPError as exc:
                    self.failed.append(exc)

    async def more(self, count: int = 50) -> None:
        """Wait until so many more requests were answered."""
        wanted = self.done + count
        await until(lambda: self.done >= wanted, "requests are not answered")

    async def end(self) -> None:
        self._over = True
        await soon(asyncio.gather(*self._tasks))


def go(name: str = "go") -> None:
    """Let requests go on that wait for a file."""
    with open(os.path.join(os.environ["FOLDER"], name), "w") as file:
        file.write("")
