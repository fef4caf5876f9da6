"""A running ``rtbridge serve`` that is watched and told what to do: control RPC, signals, health, changed files."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import grpc
import httpx
import pytest

from rtbridge.codec.descriptors import message_class
from tests.cli.conftest import ROOT

Start = Callable[..., Any]
Invoke = Callable[..., Any]

#: Seconds after which a wait has failed.
BOUND = 20.0


def until(condition: Callable[[], object], why: str) -> None:
    """Wait until something is the case."""
    end = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < end, why
        time.sleep(0.02)


CONFIG = """
    centrifuge: {{proxy_address: "tcp://127.0.0.1:0", pool: {{num_workers: {workers}}}}}
    rpc: {{listen: "unix://{folder}/rpc.sock"}}
    status: {{address: "127.0.0.1:0"}}
    rtbridge: {{plugins: [{plugin}], entry_points: false, drain_timeout: 10s}}
"""

HOOKS = """
    from rtbridge import RPCResult, hookimpl
    @hookimpl
    async def on_rpc(event): return RPCResult(data="{version}")
"""


class Served:
    """A project that is served."""

    def __init__(self, project: Any, serve: Start, invoke: Invoke) -> None:
        self._project, self._serve, self.invoke = project, serve, invoke
        self.process: Any = None

    def config(self, workers: int = 1, plugin: str = "hooks") -> None:
        self._project.config(CONFIG.format(workers=workers, folder=self._project.folder, plugin=plugin))

    def hooks(self, version: str) -> None:
        path = self._project.write("hooks.py", HOOKS.format(version=version))
        os.utime(path, (time.time() + len(version), time.time() + len(version)))

    def begin(self, *arguments: str, **more: Any) -> Any:
        self.process = self._serve(*arguments, **more)
        return self.process

    def rpc(self) -> Any:
        """What an RPC is answered."""
        found = self.invoke("call", "rpc", "--method", "x", "--address", self.process.address("gRPC"))
        return json.loads(found.stdout)["result"].get("data")

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://{self.process.address('status')}{path}", timeout=BOUND)


@pytest.fixture
def served(project: Any, serve: Start, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Served:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    found = Served(project, serve, invoke)
    found.config()
    found.hooks("one")
    return found


def test_reload_takes_code_and_configuration_as_they_are_now(served: Served) -> None:
    """`reload`, or RoadRunner's `reset`; keys that need a restart are named."""
    served.begin()
    assert served.rpc() == "one"
    served.hooks("two")
    served.config(workers=2)
    found = served.invoke("reload")
    assert (found.exit_code, found.stdout) == (0, "reloaded: 2 workers take calls\n"), found.stderr
    assert served.rpc() == "two"
    text = (served._project.folder / ".rr.yaml").read_text().replace("drain_timeout: 10s", "max_connection_age: 1h")
    (served._project.folder / ".rr.yaml").write_text(text)
    found = served.invoke("reset")
    assert found.exit_code == 0
    assert "warning: rtbridge.max_connection_age has changed and needs a restart\n" in found.stderr


def test_a_configuration_that_is_not_valid_changes_nothing(served: Served) -> None:
    """The error is shown, the exit code is 2, and what ran before goes on."""
    process = served.begin()
    served.hooks("two")
    good = (served._project.folder / ".rr.yaml").read_text()
    (served._project.folder / ".rr.yaml").write_text(good.replace("num_workers: 1", "num_workers: many"))
    found = served.invoke("reload")
    assert found.exit_code == 2
    assert "centrifuge.pool.num_workers: found a string 'many'" in found.stderr
    (served._project.folder / "good.yaml").write_text(good)
    found = served.invoke("reload", "-c", "good.yaml")
    assert found.exit_code == 2
    assert "centrifuge.pool.num_workers: found a string 'many'" in found.stderr
    (served._project.folder / ".rr.yaml").write_text(good)
    assert served.rpc() == "one"
    process.shows("reload failed, what ran before goes on")


def test_a_plugin_that_does_not_load_changes_nothing(served: Served) -> None:
    served.begin()
    served._project.write("hooks.py", "1/0  # a mistake that is longer than what was there before it, by far\n" * 3)
    found = served.invoke("reload")
    assert found.exit_code == 2
    assert "rtbridge: plugin hooks cannot be imported" in found.stderr
    assert "ZeroDivisionError" in found.stderr
    assert served.rpc() == "one"


def test_sighup_reloads(served: Served) -> None:
    process = served.begin()
    served.hooks("two")
    process.signal(signal.SIGHUP)
    process.wait_for("reloaded: 1 workers take calls")
    assert served.rpc() == "two"


def test_changed_files_reload(served: Served) -> None:
    """--watch: Python files and the configuration, nothing else."""
    process = served.begin("--watch")
    served._project.write("notes.txt", "nothing")
    served.hooks("two, by watching")
    process.wait_for("reloaded: 1 workers take calls")
    assert served.rpc() == "two, by watching"
    served.config(workers=2)
    process.wait_for("reloaded: 2 workers take calls")


def test_watching_needs_workers(served: Served) -> None:
    found = served.invoke("serve", "--watch", "-o", "centrifuge.pool.debug=true")
    assert found.exit_code == 2
    assert "--watch replaces workers, and there are none: set centrifuge.pool.debug to false" in found.stderr


def test_without_workers_there_is_nothing_to_reload(served: Served) -> None:
    """centrifuge.pool.debug: health and control are there all the same."""
    process = served.begin("-o", "centrifuge.pool.debug=true")
    found = served.invoke("reload")
    assert found.exit_code == 2
    assert "there are no workers to replace: centrifuge.pool.debug is set" in found.stderr
    process.signal(signal.SIGHUP)
    process.wait_for("reload: there are no workers to replace")
    found = served.invoke("workers")
    pid = process.process.pid
    assert found.stdout.splitlines() == [
        f"no workers: process {pid} runs the hooks (centrifuge.pool.debug)",
        "",
        f"process {pid} is ready; 0 calls wait for a worker",
    ]
    assert served.get("/ready").json()["workers"] == {}
    assert served.rpc() == "one"


def test_workers_shows_what_each_does(served: Served) -> None:
    process = served.begin("-o", "centrifuge.pool.num_workers=2")
    served.rpc()
    until(lambda: served.get("/ready").status_code == 200, "it never gets ready")
    found = served.invoke("workers")
    lines = found.stdout.splitlines()
    assert lines[0].split() == ["worker", "process", "state", "jobs", "calls", "streams", "memory", "CPU", "age"]
    assert [line.split()[0] for line in lines[1:3]] == ["1", "2"]
    assert all(line.split()[2] == "ready" and line.split()[7] == "MB" for line in lines[1:3])
    assert sum(int(line.split()[3]) for line in lines[1:3]) == 1
    assert lines[4] == f"process {process.process.pid} is ready; 0 calls wait for a worker"


def test_workers_goes_on_looking(served: Served, start: Start) -> None:
    """-i: again every second, until Ctrl-C."""
    served.begin()
    # Whoever starts tests in the background may have them ignore Ctrl-C.
    looking = start("workers", "-i", prelude="import signal; signal.signal(signal.SIGINT, signal.default_int_handler)")
    looking.wait_for("is ready; 0 calls wait")
    looking.wait_for("is ready; 0 calls wait")
    looking.signal(signal.SIGINT)
    assert looking.end() == 0


def test_stop_ends_it(served: Served) -> None:
    process = served.begin()
    found = served.invoke("stop")
    assert (found.exit_code, found.stdout) == (0, "ends when the calls under way are answered\n")
    assert process.end() == 0
    assert not (served._project.folder / "rpc.sock").exists()


def test_stop_at_once(served: Served) -> None:
    """-f: without waiting, and no worker is left behind."""
    served._project.write(
        "hooks.py",
        """
        import os, pathlib, time
        from rtbridge import hookimpl
        pathlib.Path("pid").write_text(str(os.getpid()))
        @hookimpl
        async def on_rpc(event):
            pathlib.Path("begun").touch()
            time.sleep(3600)
        """,
    )
    process = served.begin()
    target, folder = process.address("gRPC"), served._project.folder
    with grpc.insecure_channel(target) as channel:
        send: Any = channel.unary_unary("/centrifugal.centrifugo.proxy.CentrifugoProxy/RPC")
        call = send.future(
            message_class("centrifugal.centrifugo.proxy.RPCRequest")().SerializeToString(), timeout=BOUND
        )
        until(lambda: (folder / "begun").exists(), "the hook was not reached")
        found = served.invoke("stop", "-f")
        assert (found.exit_code, found.stdout) == (0, "ends at once\n")
        assert process.end() == 1
        call.cancel()
    worker = int((folder / "pid").read_text())
    until(lambda: not _alive(worker), "the worker outlives its parent")


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_calls_under_load_are_answered_before_the_end(served: Served) -> None:
    """SIGTERM with calls under way in both workers: each accepted one is answered."""
    served._project.write(
        "hooks.py",
        """
        import asyncio, pathlib
        from rtbridge import RPCResult, hookimpl
        @hookimpl
        async def on_rpc(event):
            pathlib.Path(f"begun-{event.data}").touch()
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.01)
            return RPCResult(data=event.data)
        """,
    )
    served.config(workers=2)
    process = served.begin()
    folder = served._project.folder
    request = message_class("centrifugal.centrifugo.proxy.RPCRequest")
    reply = message_class("centrifugal.centrifugo.proxy.RPCResponse")
    with grpc.insecure_channel(process.address("gRPC")) as channel:
        send: Any = channel.unary_unary("/centrifugal.centrifugo.proxy.CentrifugoProxy/RPC")
        calls = [send.future(request(data=str(n).encode()).SerializeToString(), timeout=BOUND) for n in range(50)]
        until(lambda: len(list(folder.glob("begun-*"))) == 50, "not all calls came")
        process.signal()
        process.wait_for("taking no new calls")
        (folder / "go").touch()
        assert [reply.FromString(call.result()).result.data for call in calls] == [str(n).encode() for n in range(50)]
    assert process.end() == 0


def test_the_socket_is_for_its_user_alone(served: Served) -> None:
    served.begin()
    assert stat.S_IMODE((served._project.folder / "rpc.sock").stat().st_mode) & 0o077 == 0


def test_the_token_is_wanted_of_everybody(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has none, or a wrong one, learns nothing. Without a configuration it comes from the environment."""
    text = (served._project.folder / ".rr.yaml").read_text()
    wanted = text.replace(f'"unix://{served._project.folder}/rpc.sock"', '"127.0.0.1:0"')
    wanted = wanted.replace("drain_timeout: 10s", "rpc_token: '${TOKEN:-s3cret}'")
    (served._project.folder / ".rr.yaml").write_text(wanted)
    process = served.begin()
    where = f"rpc.listen={process.address('rpc')}"
    assert served.invoke("workers", "-o", where).exit_code == 0
    for token in ("rtbridge.rpc_token=wrong", "rtbridge.rpc_token=null"):
        found = served.invoke("workers", "-o", where, "-o", token)
        assert found.exit_code == 2
        assert "refuses the token" in found.stderr
    process.wait_for("refused a call of the control RPC")
    (served._project.folder / "elsewhere").mkdir()
    monkeypatch.chdir(served._project.folder / "elsewhere")
    monkeypatch.setenv("RR_RPC", process.address("rpc"))
    assert "refuses the token" in served.invoke("workers").stderr
    monkeypatch.setenv("RTBRIDGE_RPC_TOKEN", "s3cret")
    assert f"process {process.process.pid} is ready" in served.invoke("workers").stdout


def test_where_nobody_listens(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way to be wrong has a text that says what to do."""
    found = served.invoke("workers")
    assert found.exit_code == 2
    assert "nothing answers on unix://" in found.stderr
    assert "is `rtbridge serve` running there, with rpc.listen set?" in found.stderr
    served._project.config("rtbridge: {entry_points: false}")
    assert "there is no control RPC: set rpc.listen" in served.invoke("stop").stderr
    monkeypatch.setenv("RR_RPC", "nonsense")
    assert "RR_RPC is 'nonsense'" in served.invoke("stop").stderr
    assert "-w nowhere: " in served.invoke("stop", "-w", "nowhere").stderr


def test_hooks_find_the_control_rpc_by_their_environment(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """RR_RPC, as RoadRunner sets it."""
    process = served.begin()
    monkeypatch.setenv("RR_RPC", f"unix://{served._project.folder}/rpc.sock")
    (served._project.folder / "elsewhere").mkdir()
    monkeypatch.chdir(served._project.folder / "elsewhere")
    found = served.invoke("workers")
    assert f"process {process.process.pid} is ready" in found.stdout


def test_another_server_is_no_control_rpc(served: Served) -> None:
    process = served.begin()
    found = served.invoke("workers", "-o", f"rpc.listen={process.address('gRPC')}")
    assert found.exit_code == 2
    assert "is no control RPC of rtbridge" in found.stderr


def test_a_taken_address_is_said(served: Served, start: Start) -> None:
    process = served.begin()
    second = start("serve", "-o", f"status.address={process.address('status')}")
    assert second.end() == 2
    assert any("HTTP cannot listen on" in line for line in second.err)
    second = start("serve", "-o", "status=null")
    assert second.end() == 2
    assert any("the control RPC cannot listen on unix:" in line for line in second.err)


def test_health_while_workers_boot_fail_and_drain(served: Served, start: Start) -> None:
    """/health says that the process lives, /ready whether it is to be sent calls, and gRPC's health the same."""
    served._project.write(
        "hooks.py",
        """
        import asyncio, pathlib
        from rtbridge import hookimpl
        @hookimpl
        async def on_boot():
            pathlib.Path("booting").touch()
            while not pathlib.Path("go").exists():
                await asyncio.sleep(0.01)
        @hookimpl
        async def on_shutdown():
            pathlib.Path("ending").touch()
            while not pathlib.Path("end").exists():
                await asyncio.sleep(0.01)
        """,
    )
    folder = served._project.folder
    text = (folder / ".rr.yaml").read_text().replace('"127.0.0.1:0"}', '"unix://' + str(folder) + '/status.sock"}')
    (folder / ".rr.yaml").write_text(text)
    process = start("serve", "-o", "status.unavailable_status_code=599", "-o", "centrifuge.pool.destroy_timeout=20s")
    via = httpx.HTTPTransport(uds=str(folder / "status.sock"))
    with httpx.Client(transport=via, base_url="http://localhost", timeout=BOUND) as client:
        until(lambda: (folder / "booting").exists(), "it does not boot")
        ready = client.get("/ready")
        assert ready.status_code == 599
        assert ready.json() == {
            "ready": False,
            "why": ["1 of 1 workers have not started yet"],
            "workers": {"starting": 1},
            "queue": 0,
            "listeners": {},
        }
        assert client.get("/health").status_code == 200
        assert process.out == []
        (folder / "go").touch()
        process.wait_for("^ready$")
        until(lambda: client.get("/ready").status_code == 200, "it does not get ready")
        found = client.get("/ready").json()
        assert (found["ready"], found["why"], found["workers"]) == (True, [], {"ready": 1})
        assert set(found["listeners"]) == {"builtin", "status", "rpc"}
        assert _serving(process.address("gRPC")) == 1
        process.signal()
        until(lambda: (folder / "ending").exists(), "it does not end")
        ending = client.get("/ready")
        assert ending.status_code == 599
        assert ending.json()["why"] == ["stopping"]
        assert client.get("/health").status_code == 200
        (folder / "end").touch()
    assert process.end() == 0


def _serving(address: str) -> int:
    with grpc.insecure_channel(address) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        reply = message_class("grpc.health.v1.HealthCheckResponse").FromString(check(b"", timeout=BOUND))
        status: int = reply.status
        return status


def test_health_of_a_crash_loop(served: Served) -> None:
    """Red on both, with the reason, until the plugin is mended; nothing is restarted by hand."""
    process = served.begin()
    served._project.write("hooks.py", "import os\nos._exit(9)  # a mistake that takes the whole process with it\n")
    pid = int(served.invoke("workers").stdout.splitlines()[1].split()[1])
    os.kill(pid, signal.SIGKILL)
    until(lambda: any("times in a row" in why for why in served.get("/ready").json()["why"]), "no crash loop")
    assert served.get("/ready").status_code == 503
    assert _serving(process.address("gRPC")) == 2
    found = served.invoke("call", "rpc", "--method", "x", "--address", process.address("gRPC"))
    assert json.loads(found.stdout)["error"]["temporary"] is True
    assert "is not ready: " in served.invoke("workers").stdout
    served.hooks("mended")
    until(lambda: served.get("/ready").status_code == 200, "it stays red")
    assert _serving(process.address("gRPC")) == 1
    assert served.rpc() == "mended"


OUTSIDE = """
import asyncio, sys
import rtbridge
rtbridge.load_config()
store = rtbridge.kv("shared")
store.sync.set("from outside", {"n": 1}, ttl=60)
async def main():
    return [await store.get("from a hook"), await store.incr("counted"), await store.has("nothing")]
print(asyncio.run(main()), asyncio.run(main()), store.sync.get("counted"))
"""


def outside(served: Served) -> "subprocess.CompletedProcess[str]":
    """The script, run in the project."""
    return subprocess.run(
        [sys.executable, "-c", OUTSIDE],
        cwd=served._project.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


@pytest.mark.parametrize("alone", ["false", "true"])
def test_stores_in_memory_are_there_for_other_processes(served: Served, start: Start, alone: str) -> None:
    """Over the control RPC, awaited and blocking, from a script that read the configuration."""
    served._project.write(
        "hooks.py",
        """
        from rtbridge import RPCResult, hookimpl
        @hookimpl
        async def on_rpc(event, kv):
            await kv("shared").set("from a hook", "hello")
            return RPCResult(data=await kv("shared").get("from outside"))
        """,
    )
    path = served._project.folder / ".rr.yaml"
    path.write_text(path.read_text() + "kv: {shared: {driver: memory}}\n")
    process = served.begin("-o", f"centrifuge.pool.debug={alone}")
    assert served.rpc() is None
    script = outside(served)
    assert script.stdout == "['hello', 1, False] ['hello', 2, False] 2\n", script.stderr
    assert served.rpc() == {"n": 1}
    process.signal()
    assert process.end() == 0
    script = outside(served)
    assert "KvUnavailable: kv store shared: nothing answers on unix://" in script.stderr
