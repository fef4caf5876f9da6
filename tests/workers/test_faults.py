"""Workers that die, hang, leak and lie: each costs only its own calls, and each of those is answered."""

import asyncio
import os
import signal
import socket
import time
import types
from collections.abc import Awaitable, Callable
from typing import Any, cast

import psutil
import pytest

from rtbridge.errors import PluginError
from rtbridge.workers import usage
from rtbridge.workers.frames import Item
from rtbridge.workers.parent import Parent
from rtbridge.workers.process import _PROGRAM
from tests.workers.conftest import HOOKS, Pool, Project, configuration, soon, stopped, until

Start = Callable[..., Awaitable[Pool]]


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)


@pytest.mark.parametrize(("method", "why"), [("exit", "ended"), ("sysexit", "SystemExit"), ("interrupt", "Interrupt")])
async def test_a_hook_that_ends_its_process_costs_its_own_call(start: Start, method: str, why: str) -> None:
    """os._exit, sys.exit and an interrupt: a temporary error, and another worker."""
    pool = await start()
    (pid,) = await pool.ready(1)
    answer = await pool.ask(method)
    assert answer.temporary
    assert why in answer.why
    await pool.replaced(pid)
    assert (await pool.ask("echo", 1)).data == 1


async def test_a_killed_worker_costs_the_calls_that_it_held(start: Start) -> None:
    """Those of the other one go on."""
    pool = await start(num_workers=2)
    first, second = await pool.ready(2)
    calls = [asyncio.create_task(pool.ask("until", "go")) for _ in range(6)]
    await until(lambda: [worker.held for worker in pool.workers()] == [3, 3])
    kill(first)
    await until(lambda: sum(call.done() for call in calls) == 3)
    await pool.ready(2)
    pool.go()
    answers = [await soon(call) for call in calls]
    failed = [answer for answer in answers if answer.temporary]
    assert len(failed) == 3
    assert all("ended" in answer.why for answer in failed)
    assert {answer.data for answer in answers if answer not in failed} == {second}
    assert pool.parent.handler.active == 0


async def test_a_worker_that_is_told_to_end_is_replaced_first(start: Start) -> None:
    """SIGTERM to a worker: a successor, then its calls, then its end."""
    pool = await start()
    (pid,) = await pool.ready(1)
    held = asyncio.create_task(pool.ask("until", "go"))
    await until(lambda: [worker.held for worker in pool.workers()] == [1])
    kill(pid, signal.SIGTERM)
    await until(lambda: {worker.state for worker in pool.workers()} == {"ready", "retiring"})
    assert (await pool.ask("pid")).data != pid
    assert not held.done()
    pool.go()
    assert (await soon(held)).data == pid
    await pool.replaced(pid)


async def test_an_interrupt_of_the_terminal_is_for_the_parent(start: Start) -> None:
    """Ctrl-C and a closed terminal reach every process; workers leave it to the parent."""
    pool = await start()
    (pid,) = await pool.ready(1)
    kill(pid, signal.SIGINT)
    kill(pid, signal.SIGHUP)
    assert (await pool.ask("pid")).data == pid
    assert os.getpgid(pid) != os.getpgid(0)


async def test_what_a_hook_prints_harms_nothing(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    pool = await start()
    assert (await pool.ask("print", "x" * 100)).data is True
    assert f"printed {'x' * 100}\n" in capfd.readouterr().out


async def test_a_worker_whose_loop_is_blocked_gets_no_new_calls(start: Start, project: Project) -> None:
    """It is found out by its silence, and comes back when it speaks; calls meanwhile go elsewhere."""
    pool = await start(num_workers=2)
    await pool.ready(2)
    blocked = asyncio.create_task(pool.ask("block", 4.0, deadline=1.0))
    await until(lambda: project.exists("blocks"))
    pid = int((project.folder / "blocks").read_text())
    assert (await soon(blocked)).temporary
    await until(lambda: [worker.pid for worker in pool.workers("blocked")] == [pid])
    assert pid not in {(await pool.ask("pid")).data for _ in range(6)}
    assert set(await pool.ready(2)) >= {pid}


async def test_a_worker_whose_loop_stays_blocked_is_killed(start: Start, project: Project) -> None:
    """Its calls are answered inside their deadlines, all of them; the slot lives."""
    pool = await start(supervisor={"exec_ttl": "1s"})
    (pid,) = await pool.ready(1)
    blocked = asyncio.create_task(pool.ask("block", 3600, deadline=None))
    await until(lambda: project.exists("blocks"))
    others = [asyncio.create_task(pool.ask("pid", deadline=deadline)) for deadline in (0.3, 1.0)]
    answers = [await soon(call) for call in (blocked, *others)]
    assert all(answer.temporary for answer in answers)
    await pool.replaced(pid)
    assert pool.parent.handler.active == 0


async def test_a_parent_that_was_away_blames_no_worker(start: Start) -> None:
    """While it did not run itself, nobody could have heard an answer."""
    pool = await start()
    (pid,) = await pool.ready(1)
    worker = pool.process_of(pid)
    worker._pinged = time.monotonic() - 30.0
    worker.excuse(30.0)
    assert worker.ping() < 1.0
    assert worker.state == "ready"
    worker._pinged = None
    worker.excuse(30.0)  # it was not asked


class Probe:
    """What the system says of a process, as no test can have it on command."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.state = psutil.STATUS_RUNNING
        self.asked = 0

    def status(self) -> str:
        self.asked += 1
        return self.state

    def cpu_times(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(user=1.0, system=1.0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)


@pytest.mark.parametrize("tells", [True, False])
async def test_a_worker_that_is_left_waiting_for_a_cpu_is_not_blamed(
    start: Start, project: Project, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tells: bool
) -> None:
    """It wants to run and uses nothing. Once it sleeps it is blocked, and where the system tells no sleep, at once."""
    monkeypatch.setattr(usage, "_TELLS", tells)
    pool = await start()
    (pid,) = await pool.ready(1)
    worker = pool.process_of(pid)
    pool.parent.supervisor._usage._probes[pid] = probe = cast("Any", Probe(pid))
    blocked = asyncio.create_task(pool.ask("block", 3600, deadline=1.0))
    await until(lambda: project.exists("blocks"))
    assert (await soon(blocked)).temporary
    if tells:
        await until(lambda: probe.asked >= 2)
        assert worker.state == "ready"
        assert any("waits for a CPU" in record.getMessage() for record in caplog.records)
        probe.state = psutil.STATUS_SLEEPING
    await until(lambda: worker.state == "blocked")
    kill(pid)
    await pool.replaced(pid)


async def test_a_call_beyond_exec_ttl_is_answered_and_cancelled(start: Start, project: Project) -> None:
    """Where the hook heeds that, its worker stays."""
    pool = await start(supervisor={"exec_ttl": "300ms"})
    (pid,) = await pool.ready(1)
    answer = await pool.ask("wait", deadline=None)
    assert answer.temporary
    assert "no answer from worker 1" in answer.why
    await until(lambda: project.exists("cancelled"))
    await until(lambda: pool.parent.handler.active == 0)
    assert await pool.ready(1) == [pid]


async def test_a_hook_that_heeds_no_cancellation_costs_its_worker(start: Start, project: Project) -> None:
    """After a second of grace: a successor first; the calls that the worker holds besides have their own time."""
    pool = await start(supervisor={"exec_ttl": "1s"}, own={"drain_timeout": "1s"}, destroy_timeout="1h")
    (pid,) = await pool.ready(1)
    assert (await pool.ask("stubborn", deadline=None)).temporary
    await pool.replaced(pid)
    assert pool.parent.handler.active == 0


async def test_a_thread_that_does_not_return_costs_its_worker(start: Start, project: Project) -> None:
    """Where exec_ttl says that it should have: the event was answered long ago, its thread is still taken."""
    pool = await start(supervisor={"exec_ttl": "500ms"})
    (pid,) = await pool.ready(1)
    answer = await pool.send("publish", b"", deadline=0.3)
    assert answer.temporary
    assert project.exists("thread")
    await pool.replaced(pid)


async def test_a_worker_that_closes_its_link_is_replaced(start: Start) -> None:
    pool = await start(
        """
        import gc, os, socket
        from rtbridge import RPCResult, hookimpl
        @hookimpl
        async def on_rpc(event):
            if event.method == "close":
                import psutil
                for fd in range(3, 256):
                    try:
                        if socket.socket(fileno=os.dup(fd)).family == socket.AF_UNIX:
                            os.dup2(os.open("/dev/null", os.O_RDWR), fd)
                    except OSError:
                        pass
            return RPCResult(data=1)
        """
    )
    (pid,) = await pool.ready(1)
    assert (await pool.ask("close")).temporary
    await pool.replaced(pid)


async def test_a_worker_that_sends_rubbish_is_replaced(start: Start) -> None:
    """What is no frame ends the link, before anything is made of it."""
    pool = await start(
        """
        from rtbridge import RPCResult, hookimpl
        from rtbridge.workers import link
        @hookimpl
        async def on_rpc(event):
            if event.method == "rubbish":
                link.pack = lambda frames: b"\\x00\\x00\\x00\\x01\\xff"
            return RPCResult(data=1)
        """
    )
    (pid,) = await pool.ready(1)
    assert (await pool.ask("rubbish")).temporary
    await pool.replaced(pid)


async def test_late_and_unknown_frames_are_nobodys_answer(start: Start) -> None:
    """What a worker says of calls and streams that are over is dropped."""
    pool = await start()
    (pid,) = await pool.ready(1)
    worker = pool.process_of(pid)
    from rtbridge.workers.frames import Answer, Credit, Ended, Pong, StreamEnd

    worker._received([Answer(999, b"x"), Ended(999), Item(999, b""), StreamEnd(999, ""), Credit(999, 1), Pong()])
    assert (await pool.ask("echo", 1)).data == 1
    assert pool.parent.handler.active == 0


async def test_a_worker_ends_when_its_parent_does(start: Start, project: Project) -> None:
    """Even one whose loop is blocked: no orphans."""
    ends = [socket.socketpair() for _ in range(2)]
    import subprocess
    import sys

    processes = [
        subprocess.Popen([sys.executable, "-P", str(_PROGRAM), str(theirs.fileno()), "1"], pass_fds=[theirs.fileno()])
        for _, theirs in ends
    ]
    from rtbridge.workers.frames import Start as First
    from rtbridge.workers.frames import pack

    project.write("plugged.py", "import time\ntime.sleep(3600)\n")
    import pickle

    config = pickle.dumps(configuration(["plugged"], {}))
    ends[1][0].sendall(pack([First(1, config, sys.path, False)]))
    for ours, theirs in ends:
        theirs.close()
        ours.close()
    loop = asyncio.get_running_loop()
    for process in processes:
        await soon(loop.run_in_executor(None, process.wait))
    assert processes[0].returncode == 1


async def test_a_plugin_that_cannot_be_imported_ends_an_eager_start(start: Start) -> None:
    """With the words that one process has for it."""
    with pytest.raises(PluginError, match=r"plugin plugged cannot be imported \(.*plugged.py:1\): ZeroDivisionError"):
        await start("1/0")


async def test_a_worker_that_dies_at_import_ends_an_eager_start(start: Start) -> None:
    """After some tries, since nobody said why."""
    with pytest.raises(PluginError, match="workers do not start: it exited with code 7"):
        await start("import os; os._exit(7)")


async def test_a_worker_that_does_not_get_ready_is_killed(start: Start) -> None:
    with pytest.raises(PluginError, match="workers do not start: it was not ready within allocate_timeout"):
        await start("import time; time.sleep(3600)", allocate_timeout="700ms")


BROKEN = "import os; os._exit(7)"


async def test_a_worker_that_dies_at_import_heals_when_the_import_does(start: Start, project: Project) -> None:
    """Back-off, readiness red, every call answered with a temporary error at once; no restart needed."""
    pool = await start()
    (pid,) = await pool.ready(1)
    readiness = pool.parent.readiness
    await until(lambda: readiness.ready)
    project.write("plugged.py", BROKEN)
    kill(pid)
    await until(lambda: any("times in a row: it exited with code 7" in why for why in readiness.reasons))
    answers = [await pool.ask("pid") for _ in range(20)]
    assert all(answer.temporary for answer in answers)
    assert "no worker runs: worker 1 failed" in answers[0].why
    failures = pool.parent.supervisor._slots[0].failures
    assert failures >= 3
    project.write("plugged.py", HOOKS)
    (healed,) = await pool.ready(1)
    assert (await pool.ask("pid")).data == healed
    await until(lambda: readiness.ready, "it stays red")


async def test_lazy_workers_heal_from_a_broken_start(start: Start, project: Project) -> None:
    """With lazy_boot nothing is verified at the start, so nothing ends it."""
    pool = await start("1/0", own={"lazy_boot": True})
    readiness = pool.parent.readiness
    await until(lambda: any("times in a row" in why for why in readiness.reasons))
    answer = await pool.ask("pid")
    assert answer.temporary
    assert "plugin plugged cannot be imported" in answer.why
    project.write("plugged.py", HOOKS)
    await pool.ready(1)
    assert (await pool.ask("echo", 1)).data == 1
    await until(lambda: readiness.ready, "it stays red")


async def test_the_parent_is_not_ready_before_its_workers_are(start: Start, project: Project) -> None:
    """Eager workers count when their plugins have booted."""
    text = """
        import asyncio, os, pathlib
        from rtbridge import hookimpl
        @hookimpl
        async def on_boot():
            while not (pathlib.Path(os.environ["FOLDER"]) / "go").exists():
                await asyncio.sleep(0.01)
    """
    pool = await start(text, boot=False, num_workers=2)
    assert pool.parent.readiness.reasons == ["2 of 2 workers have not started yet"]
    waiting = asyncio.create_task(pool.ask("x"))
    await until(lambda: pool.parent.handler.waiting == 1)
    assert {worker.state for worker in pool.workers()} == {"starting"}
    project.write("go", "")
    assert (await soon(waiting)).message.HasField("disconnect")
    await pool.ready(2)
    await until(lambda: pool.parent.readiness.ready)


async def test_a_call_does_not_wait_for_a_first_worker_beyond_its_deadline(start: Start) -> None:
    pool = await start("import time; time.sleep(3600)", boot=False)
    answer = await pool.ask("x", deadline=0.4)
    assert answer.temporary
    assert "no worker is ready yet" in answer.why


async def test_an_api_call_whose_parent_has_no_server(start: Start) -> None:
    pool = await start(
        """
        from rtbridge import ApiError, RPCResult, hookimpl
        @hookimpl
        async def on_rpc(event, api):
            try:
                await api.publish("x", 1)
            except ApiError as exc:
                return RPCResult(data=str(exc))
        """,
        own={"centrifuge": {"grpc_api_address": None}},
    )
    assert "108" in (await pool.ask("x")).data


async def test_max_jobs_replaces_a_worker_without_a_failed_call(start: Start) -> None:
    """The successor is ready before the old one leaves."""
    pool = await start(max_jobs=5)
    (pid,) = await pool.ready(1)
    for _ in range(5):
        assert (await pool.ask("pid")).data == pid
    await until(lambda: pid not in [worker.pid for worker in pool.workers("ready")])
    assert (await pool.ask("pid")).data != pid
    await pool.replaced(pid)


async def test_a_worker_that_leaks_is_replaced(start: Start) -> None:
    """max_worker_memory: no new calls for it, and none lost."""
    pool = await start(supervisor={"watch_tick": "50ms", "max_worker_memory": 120})
    (pid,) = await pool.ready(1)
    held = asyncio.create_task(pool.ask("until", "go"))
    await until(lambda: [worker.held for worker in pool.workers()] == [1])
    for _ in range(5):
        await pool.ask("leak", 20)
    await until(lambda: "retiring" in {worker.state for worker in pool.workers()}, "it may leak")
    pool.go()
    assert (await soon(held)).data == pid
    await pool.replaced(pid)


async def test_ttl_replaces_a_worker(start: Start) -> None:
    pool = await start(supervisor={"watch_tick": "50ms", "ttl": "1s"})
    (pid,) = await pool.ready(1)
    await until(lambda: pid not in [worker.pid for worker in pool.workers()])
    assert (await pool.ask("echo", 1)).data == 1


async def test_idle_ttl_replaces_a_worker_that_was_used(start: Start) -> None:
    """One that never had a call is as good as new."""
    pool = await start(supervisor={"watch_tick": "20ms", "idle_ttl": "200ms"}, num_workers=2)
    await pool.ready(2)
    used = (await pool.ask("pid")).data
    (other,) = {worker.pid for worker in pool.workers()} - {used}
    await until(lambda: used not in [worker.pid for worker in pool.workers()])
    assert other in await pool.ready(2)


async def test_extra_workers_come_when_calls_wait_and_go_when_none_does(start: Start) -> None:
    """dynamic_allocator: bounded, and the calls that they hold when they go are answered."""
    pool = await start(
        own={"limits": {"worker_concurrency": 1}},
        supervisor={"watch_tick": "50ms"},
        dynamic_allocator={"max_workers": 2, "spawn_rate": 100, "idle_timeout": "1s"},
    )
    calls = [asyncio.create_task(pool.ask("until", "go")) for _ in range(5)]
    await until(lambda: len(pool.workers("ready")) == 3, "no extra workers")
    await until(lambda: pool.parent.handler.waiting == 2)
    assert len(pool.workers()) == 3
    pool.go()
    assert len({(await soon(call)).data for call in calls}) >= 2
    await pool.ready(1)
    assert pool.parent.readiness.ready


async def test_a_stop_lets_calls_end_and_shuts_plugins_down(project: Project) -> None:
    """on_shutdown in each worker, after its last call; nothing is left."""
    project.write(
        "plugged.py",
        HOOKS
        + """
    @hookimpl
    async def on_shutdown():
        leave(f"down-{os.getpid()}")
    """,
    )
    parent = Parent(configuration(["plugged"], {"num_workers": 2}))
    parent.start(lazy=False)
    pool = Pool(parent)
    await soon(parent.boot())
    pids = await pool.ready(2)
    held = [asyncio.create_task(pool.ask("until", "go")) for _ in range(4)]
    await until(lambda: [worker.held for worker in pool.workers()] == [2, 2])
    ending = asyncio.create_task(stopped(parent))
    await until(lambda: not parent.readiness.ready)
    project.write("go", "")
    answers = {(await soon(call)).data for call in held}
    await soon(ending)
    assert answers == set(pids)
    assert all(project.exists(f"down-{pid}") for pid in pids)


async def test_a_worker_that_does_not_end_is_killed(project: Project) -> None:
    """destroy_timeout bounds on_shutdown."""
    project.write(
        "plugged.py",
        """
        import time
        from rtbridge import hookimpl
        @hookimpl(blocking=False)
        def on_shutdown(): time.sleep(3600)
        """,
    )
    parent = Parent(configuration(["plugged"], {"num_workers": 1, "destroy_timeout": "300ms"}))
    parent.start(lazy=False)
    await soon(parent.boot())
    await stopped(parent)


async def test_a_stop_during_the_start_leaves_nothing(project: Project) -> None:
    project.write("plugged.py", "import time; time.sleep(3600)")
    parent = Parent(configuration(["plugged"], {"num_workers": 2, "destroy_timeout": "300ms"}))
    parent.start(lazy=False)
    await until(lambda: len(parent.workers()) == 2)
    await stopped(parent)
    parent.supervisor.first.cancel()
