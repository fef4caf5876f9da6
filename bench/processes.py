"""Programs of a benchmark: generators compiled, servers and generators each on a core of their own."""

import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

ROOT: Final = Path(__file__).parents[1]
LOAD: Final = ROOT / "bench" / "load"

#: What starts a server of ours; its name follows.
OWN: Final = (sys.executable, "-m", "bench.servers")

#: Everything here has one processor.
_ENVIRONMENT: Final = {**os.environ, "GOMAXPROCS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


class Running(NamedTuple):
    """A server that takes connections."""

    address: str
    pid: int


def build(programs: Path) -> None:
    """Compile the Go programs."""
    go = shutil.which("go")
    if go is None:
        raise SystemExit(
            "Go is not installed, and the load generators in bench/load are Go programs: https://go.dev/dl"
        )
    subprocess.run([go, "build", "-o", f"{programs}/", "./..."], cwd=LOAD, check=True)


def pinned(core: int) -> list[str]:
    """What goes before a command to keep it on one core."""
    taskset = shutil.which("taskset")
    if taskset is None or (os.cpu_count() or 1) < 2:
        raise SystemExit("taskset (util-linux) and two cores are needed: servers and generator must not share one")
    return [taskset, "--cpu-list", str(core)]


def free_port() -> int:
    """A TCP port of the loopback that was free a moment ago, for programs that do not say which one they took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def raise_file_limit(wanted: int) -> None:
    """Let this process and what it starts open so many files.

    Raises:
        SystemExit: The system does not allow it.

    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"{wanted} open files are needed and {hard} allowed: raise the hard limit (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextlib.contextmanager
def serving(
    name: str, command: Sequence[str], address: str = "", *, core: int = 0, quiet: bool = False
) -> Iterator[Running]:
    """A server on a core of its own, until the block ends.

    Args:
        name: As errors call it.
        command: What starts it.
        address: Where it will listen; where there is none, its first line of output says so.
        core: Which core.
        quiet: Lose its log, where the load has it complain of every other call.

    Raises:
        SystemExit: It did not start.

    """
    output = subprocess.DEVNULL if address else subprocess.PIPE
    process = subprocess.Popen(
        [*pinned(core), *command],
        cwd=ROOT,
        env=_ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.DEVNULL if quiet else None,
        text=True,
    )
    try:
        if process.stdout is not None:
            address = process.stdout.readline().strip()
        if not address or not _listening(process, address):
            raise SystemExit(f"{name} did not start")
        yield Running(address, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def rtbridge_serve(folder: Path, config: str) -> Iterator["subprocess.Popen[str]"]:
    """``rtbridge serve`` in a folder with this ``.rr.yaml``, until the block ends; its output is a pipe."""
    (folder / ".rr.yaml").write_text(config)
    command = [sys.executable, "-m", "rtbridge", "serve"]
    process = subprocess.Popen(command, cwd=folder, env=_ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def _listening(process: "subprocess.Popen[str]", address: str) -> bool:
    host, _, port = address.rpartition(":")
    for _ in range(1000):
        if process.poll() is not None:
            return False
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return True
        time.sleep(0.01)
    return False


def family(pid: int) -> list[psutil.Process]:
    """A server, and its workers where it has some."""
    server = psutil.Process(pid)
    return [server, *server.children()]


def group(pid: int) -> str:
    """The same as generators take the sum of several processes."""
    return "+".join(str(each.pid) for each in family(pid))


def generate(program: Path, arguments: Sequence[str], *, within: float) -> dict[str, Any]:
    """What a load generator on core 1 reports.

    Raises:
        SystemExit: It failed.

    """
    done = subprocess.run(
        [*pinned(1), str(program), *arguments],
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )
    try:
        figures: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise SystemExit(f"{program.name} {' '.join(arguments)}: {done.stdout}{done.stderr}") from None
    return figures
