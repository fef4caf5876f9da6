"""``rtbridge serve`` as a process behind Centrifugo: killed and back, drained under load, configured by itself."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import centrifuge
import pytest
import yaml

from rtbridge import RPCResult

pytestmark = [pytest.mark.real, pytest.mark.timeout(90)]

ROOT: Final = Path(__file__).parents[3]
BOUND: Final = 30.0
TEMPORARY: Final = {"error": {"code": 100, "message": "internal server error", "temporary": True}}

PLUGIN: Final = """
import asyncio, os
from rtbridge import ConnectEvent, ConnectResult, PublishResult, RefreshResult, Router, RPCResult, SubscribeResult
from rtbridge import hookimpl

router = Router()
started = os.open("started", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@hookimpl
async def on_connect(event: ConnectEvent) -> ConnectResult:
    return ConnectResult(user="42", meta={"role": "admin"})

@hookimpl
async def on_refresh() -> RefreshResult:
    return RefreshResult(expired=True)

@router.on_subscribe("chat:{room}")
async def join(event, room: str) -> SubscribeResult:
    return SubscribeResult(data={"room": room})

@router.on_publish("chat:{room}")
async def clean(event, data: dict[str, str]) -> PublishResult:
    return PublishResult(data={"text": data["text"].strip()})

@router.on_rpc("role")
async def role(event) -> RPCResult:
    return RPCResult(data=event.meta["role"])

@router.on_rpc("rooms:slow")
async def slow(event) -> RPCResult:
    os.write(started, b"%d\\n" % event.data)
    await asyncio.sleep(0.05)
    return RPCResult(data=event.data)
"""


class Project:
    """A folder with a plugin and a ``.rr.yaml``, and the processes that were started there."""

    def __init__(self, folder: Path, grpc: int, http: int, grpc_server: str) -> None:
        self.folder = folder
        self._grpc_server = grpc_server
        self.addresses = {"grpc": f"127.0.0.1:{grpc}", "http": f"127.0.0.1:{http}"}
        self.running: list[asyncio.subprocess.Process] = []
        (folder / "chat_hooks.py").write_text(PLUGIN)
        self.configure()

    def configure(self, **own: Any) -> None:
        """Write ``.rr.yaml``, with more keys of ``rtbridge``."""
        config = {
            "version": "3",
            "centrifuge": {"proxy_address": f"tcp://{self.addresses['grpc']}", "pool": {"num_workers": 2}},
            "rpc": {"listen": f"unix://{self.folder}/rpc.sock"},
            "rtbridge": {
                "plugins": ["chat_hooks"],
                "entry_points": False,
                "grpc_server": self._grpc_server,
                "http_proxy": {"address": f"tcp://{self.addresses['http']}"},
                **own,
            },
        }
        (self.folder / ".rr.yaml").write_text(yaml.safe_dump(config))

    async def _start(self, *command: str) -> asyncio.subprocess.Process:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "rtbridge",
            *command,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        )
        self.running.append(process)
        return process

    async def run(self, *command: str) -> str:
        """What a command prints; it has to succeed."""
        process = await self._start(*command)
        async with asyncio.timeout(BOUND):
            output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def serve(self) -> asyncio.subprocess.Process:
        """``rtbridge serve``, once it is ready; its output is read on, so that it never blocks."""
        process = await self._start("serve")
        lines: list[str] = []
        assert process.stdout is not None
        async with asyncio.timeout(BOUND):
            async for line in process.stdout:
                lines.append(line.decode())
                if line.strip() == b"ready":
                    break
            else:
                pytest.fail("rtbridge serve ended at once:\n" + "".join(lines), pytrace=False)
        asyncio.get_running_loop().create_task(process.stdout.read())
        return process

    async def close(self) -> None:
        """End what still runs."""
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@pytest.fixture
async def project(
    centrifugo_binary: Path, tmp_path: Path, free_port: Callable[[], int], grpc_server: str
) -> AsyncIterator[Project]:
    """A project of a user's, not yet served."""
    folder = tmp_path / "project"
    folder.mkdir()
    made = Project(folder, free_port(), free_port(), grpc_server)
    yield made
    await made.close()


async def until(answered: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """Ask until the wanted answer comes; every other one has to be a temporary error."""
    async with asyncio.timeout(BOUND):
        while (answer := await answered()) != wanted:
            assert answer == TEMPORARY
            await asyncio.sleep(0.05)


async def test_killed_and_back(wire: str, project: Project, fronted: Any, proxying: Any) -> None:
    """While rtbridge is gone clients stay connected and get temporary errors; once it is back on its port everything
    goes on, and who could not connect meanwhile is let in, without any help."""
    process = await project.serve()
    stand = await fronted(proxying(wire, project.addresses[wire]))
    client, told = stand.sdk()
    frames = await stand.client()
    await client.connect()
    await told.of("connected")
    assert (await client.rpc("role", {})).data == "admin"
    assert await frames.send(rpc={"method": "role"}) == {"rpc": {"data": "admin"}}

    process.kill()
    await process.wait()
    assert await frames.send(rpc={"method": "role"}) == TEMPORARY
    assert await frames.send(publish={"channel": "chat:1", "data": {"text": "hi"}}) == TEMPORARY
    with pytest.raises(centrifuge.ReplyError) as failed:
        await client.rpc("role", {})
    assert (failed.value.code, failed.value.temporary) == (100, True)
    subscription = client.new_subscription("chat:1", events=told, min_resubscribe_delay=0.05, max_resubscribe_delay=0.5)
    await subscription.subscribe()
    assert (await told.of("error")).error.code == 100
    late, heard = stand.sdk()
    await late.connect()
    assert (await heard.of("error")).error.code == 100

    await project.serve()
    await heard.of("connected")
    assert (await told.of("subscribed")).data == {"room": "1"}
    await until(lambda: frames.send(rpc={"method": "role"}), {"rpc": {"data": "admin"}})
    assert await frames.alive()
    assert (await client.rpc("role", {})).data == "admin"
    assert (await late.rpc("role", {})).data == "admin"


async def test_drained_under_load(wire: str, project: Project, fronted: Any, proxying: Any) -> None:
    """SIGTERM while 8 clients call without pause: each call that reached a hook is answered, the first one after
    that is a temporary error, nothing else is, and the process ends with 0."""
    process = await project.serve()
    stand = await fronted(proxying(wire, project.addresses[wire]))
    answered: set[int] = set()
    enough = asyncio.Event()

    async def call(client: Any, first: int) -> Any:
        number = first
        while (reply := await client.send(rpc={"method": "rooms:slow", "data": number})) == {"rpc": {"data": number}}:
            answered.add(number)
            number += 1
            if len(answered) >= 100:
                enough.set()
        return reply

    clients = [await stand.client() for _ in range(8)]
    calls = [asyncio.create_task(call(client, 100_000 * index)) for index, client in enumerate(clients)]
    async with asyncio.timeout(BOUND):
        await enough.wait()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        last = await asyncio.gather(*calls)
    assert last == [TEMPORARY] * 8
    started = {int(line) for line in (project.folder / "started").read_text().split()}
    assert started == answered
    for client in clients:
        assert await client.alive()


async def test_workers_killed_and_swapped(wire: str, project: Project, fronted: Any, proxying: Any) -> None:
    """While 8 clients call without pause: a killed worker costs no more than the calls that it held, a temporary error
    each; a reload costs nothing; nobody is disconnected."""
    await project.serve()
    stand = await fronted(proxying(wire, project.addresses[wire]))
    clients = [await stand.client() for _ in range(8)]
    done, failed = asyncio.Event(), list[Any]()
    answered = 0

    async def call(client: Any) -> None:
        nonlocal answered
        while not done.is_set():
            reply = await client.send(rpc={"method": "rooms:slow", "data": answered})
            if "rpc" in reply:
                answered += 1
            else:
                failed.append(reply)

    async def more(calls: int) -> None:
        wanted = answered + calls
        while answered < wanted:
            await asyncio.sleep(0.01)

    async def pids() -> set[int]:
        lines = (await project.run("workers")).splitlines()[1:]
        return {int(line.split()[1]) for line in lines if " ready " in line}

    calls = [asyncio.create_task(call(client)) for client in clients]
    async with asyncio.timeout(BOUND):
        await more(20)
        before = await pids()
        os.kill(min(before), signal.SIGKILL)
        await more(20)
        while len(before | await pids()) != 3:
            pass
        killed, failed = failed, []
        assert len(killed) <= len(clients)
        assert all(reply == TEMPORARY for reply in killed)
        assert "reloaded: 2 workers take calls" in await project.run("reload")
        await more(20)
        done.set()
        await asyncio.gather(*calls)
    assert failed == []
    assert not (before & await pids())
    for client in clients:
        assert await client.alive()


class Relay:
    """Passes bytes on to an address and counts the connections."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self.count = 0
        self.grown = asyncio.Condition()
        self.address = ""

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self.grown:
            self.count += 1
            self.grown.notify_all()
        there, back = await asyncio.open_connection(self._host, self._port)

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
                target.write_eof()

        await asyncio.gather(pump(reader, back), pump(there, writer))
        for each in (writer, back):
            each.close()


async def test_connection_age_costs_nothing(serve: Any, hooks: Any, fronted: Any, proxying: Any) -> None:
    """Under load Centrifugo's connections are replaced again and again, and no call fails for it."""
    served = await serve(hooks(rpc=lambda event: RPCResult(data=event.data)), max_connection_age="300ms")
    async with Relay(served.address) as relay:
        stand = await fronted(proxying("grpc", relay.address))
        clients = [await stand.client() for _ in range(4)]
        before, done, failed = relay.count, asyncio.Event(), []

        async def call(client: Any) -> int:
            number = 0
            while not done.is_set():
                reply = await client.send(rpc={"method": "m", "data": number})
                if reply != {"rpc": {"data": number}}:
                    failed.append(reply)
                number += 1
            return number

        calls = [asyncio.create_task(call(client)) for client in clients]
        async with asyncio.timeout(BOUND), relay.grown:
            await relay.grown.wait_for(lambda: relay.count >= before + 6)
        done.set()
        assert sum(await asyncio.gather(*calls)) > len(clients)
        assert failed == []
        await stand.close()


async def test_printed_configuration(wire: str, project: Project, fronted: Any) -> None:
    """What ``rtbridge centrifugo-config`` prints is a configuration with which a real Centrifugo asks the hooks."""
    project.configure(secret={"key": "x-proxy-key", "values": ["s3cret"]})
    printed = json.loads((await project.run("centrifugo-config", f"--{wire}")).partition("\nnote:")[0])
    await project.serve()
    path = project.folder / "centrifugo.json"
    path.write_text(json.dumps(printed))
    assert await project.run("centrifugo-config", "--check", str(path)) == "nothing differs\n"
    client = await (await fronted(printed, {"CENTRIFUGO_VAR_RTBRIDGE_SECRET": "s3cret"})).client()
    assert await client.send(subscribe={"channel": "chat:1"}) == {"subscribe": {"data": {"room": "1"}}}
    assert await client.send(publish={"channel": "chat:1", "data": {"text": " hi "}}) == {"publish": {}}
    assert (await client.push())["pub"]["data"] == {"text": "hi"}
    assert await client.send(rpc={"method": "role"}) == {"rpc": {"data": "admin"}}
    assert await client.send(rpc={"method": "rooms:slow", "data": 7}) == {"rpc": {"data": 7}}
