"""Projects on disk, the command in this process and in its own, and certificates."""

import importlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from click.testing import CliRunner, Result

import rtbridge
from rtbridge.cli import cli
from tests.certificates import Authority

ROOT = Path(rtbridge.__file__).parents[1]

#: Seconds until a command that should have said or done something is given up.
PATIENCE = 20.0

PLUGIN = """
    from datetime import timedelta

    from rtbridge import ConnectResult, Disconnect, PublishResult, RefreshResult, Router, RPCResult, SubscribeResult
    from rtbridge import hookimpl


    @hookimpl
    async def on_connect(event):
        if event.data != {"authToken": "t"}:
            raise Disconnect(4501, "bad token")
        return ConnectResult(user="42", data={"motd": "hi"}, expire_at=timedelta(minutes=5))


    @hookimpl(blocking=False)
    def on_refresh(event):
        if event.user == "bug":
            raise ValueError("a bug")
        return RefreshResult(expired=True) if event.user == "gone" else RefreshResult(expire_at=timedelta(minutes=5))


    router = Router()


    @router.on_subscribe("chat:{room}")
    def enter(event, room):
        return SubscribeResult()


    @router.on_publish("chat:{room}", priority=3)
    async def clean(event, room, data, meta):
        return PublishResult(data={"text": data, "by": meta, "at": event.headers.get("x-where")})


    @router.on_rpc("echo")
    async def echo(event, data):
        return RPCResult(data=data)
"""


class Project:
    """A folder with a configuration and plugins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    def config(self, text: str) -> Path:
        return self.write(".rr.yaml", f'version: "3"\n{dedent(text)}')


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)


@pytest.fixture
def chat(project: Project) -> Project:
    """A project with one plugin, on both wires, wanting a secret."""
    project.write("chat/__init__.py", "")
    project.write("chat/hooks.py", PLUGIN)
    project.config(
        """
        centrifuge: {proxy_address: "tcp://127.0.0.1:0", pool: {num_workers: 1}}
        rtbridge:
          plugins: [chat.hooks]
          entry_points: false
          http_proxy: {address: "127.0.0.1:0"}
          secret: {values: ["s3cret"]}
        """
    )
    return project


@pytest.fixture
def invoke(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Runs a command in this process, in the project's folder, and leaves no trace of it."""
    before = set(sys.modules)
    environment = dict(os.environ)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(project.folder)

    def run(*arguments: str) -> Result:
        importlib.invalidate_caches()
        result = CliRunner().invoke(cli, arguments, prog_name="rtbridge")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    yield run
    os.environ.clear()
    os.environ.update(environment)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(project.folder)):
            del sys.modules[name]


class Running:
    """A command in a process of its own; its lines are read as they come."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str], stdin: int | None) -> None:
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._lines: list[str] = []
        self._seen = 0
        self._open = 2
        self._news = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.out)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.err)),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, lines: list[str]) -> None:
        with stream:
            for line in stream:
                with self._news:
                    lines.append(line.rstrip("\n"))
                    self._lines.append(lines[-1])
                    self._news.notify_all()
        with self._news:
            self._open -= 1
            self._news.notify_all()

    def wait_for(self, pattern: str) -> str:
        """The next line on either stream that matches, after the one that was waited for last."""
        found = self._find(pattern, self._seen)
        self._seen = found + 1
        return self._lines[found]

    def shows(self, pattern: str) -> str:
        """The first line on either stream that matches: one that has come, or that comes yet."""
        return self._lines[self._find(pattern, 0)]

    def _find(self, pattern: str, start: int) -> int:
        with self._news:
            while True:
                while start < len(self._lines):
                    if re.search(pattern, self._lines[start]):
                        return start
                    start += 1
                if not self._open:
                    raise AssertionError(f"the process ended without {pattern!r}:\n" + "\n".join(self._lines))
                if not self._news.wait(PATIENCE):
                    raise AssertionError(f"no line like {pattern!r} came:\n" + "\n".join(self._lines))

    def type(self, text: str) -> None:
        """Write to its standard input, which was started as a pipe, and close that."""
        assert self.process.stdin is not None
        with self.process.stdin as keyboard:
            keyboard.write(text)

    def address(self, wire: str) -> str:
        """Where it listens, as its table says."""
        return next(line.split()[1] for line in self.out if line.startswith(wire))

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """The exit code, once the process and its output have ended."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return code

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.end()


@pytest.fixture
def start(project: Project) -> Iterator[Callable[..., Running]]:
    """Starts ``rtbridge`` in a process of its own, which does not outlive the test."""
    running: list[Running] = []

    def run(
        *arguments: str, prelude: str = "", folder: Path | None = None, stdin: int | None = None, **environment: str
    ) -> Running:
        command = [sys.executable, "-m", "rtbridge", *arguments]
        if prelude:
            code = f"{dedent(prelude)}\nfrom rtbridge.cli import main\nmain()"
            command = [sys.executable, "-c", code, *arguments]
        running.append(Running(command, folder or project.folder, environment, stdin))
        return running[-1]

    yield run
    for each in running:
        each.stop()


@pytest.fixture
def serve(start: Callable[..., Running]) -> Callable[..., Running]:
    """Starts ``rtbridge serve`` and waits until it is ready."""

    def run(*arguments: str, **more: Any) -> Running:
        process = start("serve", *arguments, **more)
        process.wait_for(r"^ready$")
        return process

    return run


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``ca``, ``server`` (127.0.0.1), ``elsewhere`` (another name) and ``client``, as .pem and .key."""
    folder = tmp_path_factory.mktemp("certificates")
    ca = Authority(folder, "ca")
    ca.issue("server", "127.0.0.1", "localhost")
    ca.issue("elsewhere", "*.realtime.example")
    ca.issue("client")
    return folder
