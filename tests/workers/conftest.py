"""A parent in this process with real worker processes, and calls to them."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeVar

import pytest

from rtbridge.app import UNHANDLED_EVENTS
from rtbridge.bridge import Reply
from rtbridge.codec.descriptors import message_class
from rtbridge.config import Config, parse_config
from rtbridge.events import METHODS, Call, Headers
from rtbridge.workers.parent import Parent
from rtbridge.workers.usage import WorkerInfo

T = TypeVar("T")

_PACKAGE = "centrifugal.centrifugo.proxy"

#: Seconds after which a wait has failed; nothing here depends on how long anything takes.
BOUND = 25


async def soon(work: Awaitable[T]) -> T:
    return await asyncio.wait_for(work, BOUND)


async def until(condition: Callable[[], object], why: str = "it did not happen") -> None:
    """Wait until something is the case."""
    try:
        async with asyncio.timeout(BOUND):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(why) from None


class Answered:
    """A reply, read."""

    def __init__(self, kind: str, reply: Reply) -> None:
        self.failure = reply.outcome.failure
        self.why = reply.outcome.why
        name = "StreamSubscribe" if METHODS[kind].stream else METHODS[kind].name
        self.message: Any = message_class(f"{_PACKAGE}.{name}Response").FromString(reply.payload)

    @property
    def data(self) -> Any:
        """The JSON value of an RPC's result; fails where there is none."""
        assert self.message.HasField("result"), (self.message, self.why)
        return json.loads(self.message.result.data)

    @property
    def temporary(self) -> bool:
        """Whether the client is told to try again."""
        error = self.message.error
        return (error.code, error.temporary) == (100, True)


class Watched:
    """A parent and its workers of one mode."""

    mode = "centrifuge"

    def __init__(self, parent: Parent) -> None:
        self.parent = parent

    def workers(self, state: str = "") -> list[WorkerInfo]:
        found = [worker for worker in self.parent.workers() if worker.mode == self.mode]
        return [worker for worker in found if not state or worker.state == state]

    async def ready(self, count: int) -> list[int]:
        """Wait until so many workers take calls and no other process is left; their numbers."""
        await until(
            lambda: len(self.workers("ready")) == count == len(self.workers()), f"never {count} ready: {self.workers()}"
        )
        return [worker.pid for worker in self.workers()]

    async def replaced(self, pid: int) -> None:
        """Wait until a worker is gone and another one takes calls in its place."""
        await until(lambda: pid not in [worker.pid for worker in self.workers()], "it is still there")
        await until(lambda: self.workers("ready"), "nobody came in its place")


class Pool(Watched):
    """Calls to workers."""

    async def ask(self, method: str = "", data: Any = None, *, deadline: float | None = 20.0) -> Answered:
        """The answer to an RPC."""
        request = message_class(f"{_PACKAGE}.RPCRequest")(method=method, data=json.dumps(data).encode())
        return await self.send("rpc", request.SerializeToString(), deadline)

    async def send(self, kind: str, body: bytes, deadline: float | None = 20.0) -> Answered:
        """The answer to any call."""
        reply = await soon(self.parent.handler.unary(kind, "proto")(body, self.call(deadline)))
        return Answered(kind, reply)

    def call(self, deadline: float | None = 20.0) -> Call:
        clock = self.parent.handler.clock
        return Call(Headers([("x-a", "1")]), "test", None if deadline is None else clock.monotonic() + deadline, clock)

    def go(self) -> None:
        """Let the calls of "until" that wait for "go" end."""
        Path(os.environ["FOLDER"], "go").touch()

    def process_of(self, pid: int) -> Any:
        """The parent's side of a worker."""
        return next(worker for worker in self.parent.supervisor._workers if worker.pid == pid)


class Project:
    """A folder with plugins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(dedent(text))
        # Python trusts a .pyc whose source has the same size and the same second.
        stamp = path.stat().st_mtime_ns + len(os.listdir(self.folder)) * 10**9
        os.utime(path, ns=(stamp, stamp))

    def exists(self, name: str) -> bool:
        return (self.folder / name).exists()


def configuration(plugins: list[str], pool: dict[str, Any], **own: Any) -> Config:
    sections: dict[str, Any] = {name: own.pop(name) for name in ("server", "rpc") if name in own}
    if "kv_stores" in own:
        sections["kv"] = own.pop("kv_stores")
    lazy = own.pop("lazy_boot", False)
    given: dict[str, Any] = {
        "version": "3",
        "centrifuge": {
            "proxy_address": None,
            "pool": {"destroy_timeout": "5s", **pool},
            "lazy_boot": lazy,
            **own.pop("centrifuge", {}),
        },
        "logs": {"level": "warning"},
        "rtbridge": {"entry_points": False, "plugins": plugins, "drain_timeout": "5s", **own},
        **sections,
    }
    return parse_config(given, known_events=UNHANDLED_EVENTS).config


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder that workers import from."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("FOLDER", str(tmp_path))
    return Project(tmp_path)


HOOKS = """
    import asyncio, os, pathlib, sys, threading, time
    from rtbridge import ClientError, ConnectResult, RPCResult, hookimpl

    FOLDER = pathlib.Path(os.environ["FOLDER"])

    def leave(name):
        (FOLDER / name).write_text(str(os.getpid()))

    @hookimpl
    async def on_rpc(event, api):
        match event.method:
            case "pid": return RPCResult(data=os.getpid())
            case "echo": return RPCResult(data=event.data)
            case "env": return RPCResult(data=os.environ.get(event.data))
            case "header": return RPCResult(data=[event.headers["X-A"], event.via])
            case "exit": os._exit(3)
            case "sysexit": sys.exit(3)
            case "interrupt": raise KeyboardInterrupt
            case "print": print("printed", event.data, flush=True); return RPCResult(data=True)
            case "block": leave("blocks"); time.sleep(event.data)
            case "wait":
                leave("waits")
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    leave("cancelled")
                    raise
            case "stubborn":
                leave("stubborn")
                while True:
                    try:
                        await asyncio.sleep(3600)
                    except asyncio.CancelledError:
                        pass
            case "until":
                leave("until")
                while not (FOLDER / event.data).exists():
                    await asyncio.sleep(0.005)
                return RPCResult(data=os.getpid())
            case "leak":
                LEAKED.append(bytearray(event.data * 1024 * 1024))
                return RPCResult(data=os.getpid())
            case "big": return RPCResult(data="x" * event.data)
            case "surrogate": raise ClientError(400, "\\udcff")
        return None

    LEAKED = []

    @hookimpl
    def on_publish(event):
        leave("thread")
        time.sleep(3600)

    @hookimpl
    async def on_connect(event):
        return ConnectResult(user=str(os.getpid()))
"""


@pytest.fixture
async def start(project: Project) -> AsyncIterator[Callable[..., Awaitable[Pool]]]:
    """Starts a parent: ``plugin`` is the text of the plugin, the rest keys of ``centrifuge.pool``."""
    async with contextlib.AsyncExitStack() as stack:

        async def run(
            plugin: str | None = HOOKS, *, boot: bool = True, own: dict[str, Any] | None = None, **pool: Any
        ) -> Pool:
            if plugin is not None:
                project.write("plugged.py", plugin)
            config = configuration(["plugged"], {"num_workers": 1, **pool}, **(own or {}))
            parent = Parent(config)
            stack.push_async_callback(stopped, parent)
            parent.start(lazy=config.centrifuge.lazy_boot)
            if boot:
                await soon(parent.boot())
                await parent.ready()
            return Pool(parent)

        yield run


async def stopped(parent: Parent) -> None:
    await soon(parent.stop([]))
    assert parent.workers() == []
