"""Chromium with a script that drives it, and the sample chat in front of either server."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from tests.centrifugo import MISSING, Centrifugo, find_binary, find_free_port
from tests.processes import ended

ROOT: Final = Path(__file__).parents[3]
HERE: Final = Path(__file__).parent
CI: Final = os.environ.get("CI", "").lower() not in ("", "0", "false")

#: Seconds after which a program is stuck; nothing comes near it.
BOUND: Final = 100

#: What a browser is called where it is installed.
NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


class Served(NamedTuple):
    """A chat that is served, with a gap for a cable between its pages and the realtime server.

    Attributes:
        page: The page's URL.
        upstream: Port of the realtime server.
        proxy: Port where pages look for it, which nobody serves yet.
        sdk: The JavaScript client, as npm brought it.

    """

    page: str
    upstream: int
    proxy: int
    sdk: Path


@pytest.fixture(scope="session")
def browser() -> Path:
    """Chromium, from ``RTBRIDGE_CHROMIUM`` or PATH; skips where there is none, fails there under CI."""
    named = os.environ.get("RTBRIDGE_CHROMIUM", "")
    found = next(filter(None, map(shutil.which, (named,) if named else NAMES)), None)
    if found is None:
        reason = "chromium is not installed, which leaves out the chat in a browser (apt-get install chromium)"
        if CI:
            pytest.fail(f"{reason}; under CI it has to be there", pytrace=False)
        pytest.skip(reason)
    return Path(found)


def _npm_ci(npm: Path, source: Path, folder: Path) -> Path:
    for each in source.glob("*.*"):
        if each.suffix in (".json", ".mjs"):
            shutil.copy(each, folder)
    command = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=150)
    if done.returncode:
        pytest.fail(f"npm ci:\n{done.stdout}{done.stderr}", pytrace=False)
    return folder


@pytest.fixture(scope="session")
def driver(npm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script beside its installed dependencies."""
    return _npm_ci(npm, HERE, tmp_path_factory.mktemp("driver")) / "chat.mjs"


@pytest.fixture(scope="session")
def web(npm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the sample's page with the JavaScript client beside them, as `dev.py run` puts it there."""
    folder = tmp_path_factory.mktemp("chat")
    package = _npm_ci(npm, ROOT / "samples/chat", folder)
    files = folder / "web"
    shutil.copytree(ROOT / "samples/chat/web", files, ignore=shutil.ignore_patterns("vendor"))
    (files / "vendor").mkdir()
    shutil.copy(package / "node_modules/centrifuge/dist/centrifuge.js", files / "vendor")
    return files


def behind_centrifugo(page: str, address: str) -> dict[str, Any]:
    """The sample's `rtbridge.embedded` as a real Centrifugo's configuration that asks the hooks at an address."""
    config = yaml.safe_load((ROOT / ".rr.yaml").read_text())["rtbridge"]["embedded"]
    del config["http_server"]
    proxy = {"endpoint": f"grpc://{address}", "timeout": "10s"}
    config["client"]["allowed_origins"] = [page]
    for event in ("connect", "refresh"):
        config["client"]["proxy"][event] |= proxy
    channel = config["channel"]["proxy"]
    for event in ("subscribe", "publish"):
        channel[event] = channel.get(event, {}) | proxy
    config["rpc"]["proxy"] |= proxy
    return dict(config)


class Rtbridge:
    """`rtbridge serve` in the project's folder."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.log: list[str] = []
        self._reader = asyncio.get_running_loop().create_task(self._read())
        self._ready = asyncio.Event()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.log.append(line.decode().rstrip())
            if self.log[-1] == "ready":
                self._ready.set()
        self._ready.set()

    @classmethod
    async def start(cls, options: dict[str, Any]) -> "Rtbridge":
        """One that is ready, with these keys in place of the file's."""
        given = [word for key, value in options.items() for word in ("-o", f"{key}={json.dumps(value)}")]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rtbridge", "serve", *given,
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        server = cls(process)
        async with asyncio.timeout(BOUND):
            await server._ready.wait()
        assert process.returncode is None, "\n".join(server.log)
        return server

    async def stop(self) -> None:
        """End it."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            await ended(self._process, BOUND)
        finally:
            await self._reader


@pytest.fixture(params=["embedded", "centrifugo"])
async def served(request: pytest.FixtureRequest, web: Path, tmp_path: Path) -> AsyncIterator[Served]:
    """The chat with each realtime server: rtbridge's own, and a real Centrifugo where there is one."""
    page, grpc, upstream, proxy = (find_free_port() for _ in range(4))
    url = f"http://127.0.0.1:{page}"
    options: dict[str, Any] = {
        "centrifuge.proxy_address": f"127.0.0.1:{grpc}",
        "http.address": f"127.0.0.1:{page}",
        "http.static.dir": str(web),
        "rtbridge.public_url": f"ws://127.0.0.1:{proxy}",
    }
    centrifugo = None
    if request.param == "centrifugo":
        binary = find_binary()
        if binary is None:
            pytest.skip(MISSING)
        options["rtbridge.embedded"] = None
        centrifugo = await Centrifugo.start(binary, tmp_path, behind_centrifugo(url, f"127.0.0.1:{grpc}"))
        upstream = centrifugo.port
    else:
        options["rtbridge.embedded.http_server.port"] = upstream
        options["rtbridge.embedded.client.allowed_origins"] = [url]
    rtbridge = await Rtbridge.start(options)
    try:
        yield Served(f"{url}/", upstream, proxy, web / "vendor/centrifuge.js")
    finally:
        await rtbridge.stop()
        print(*rtbridge.log, sep="\n")  # pytest shows it where the test has failed
        if centrifugo is not None:
            await centrifugo.stop()


@pytest.fixture
def shots(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Where pictures go: a folder of ``RTBRIDGE_SHOTS``, which keeps them, or of the test."""
    kept = os.environ.get("RTBRIDGE_SHOTS", "")
    folder = Path(kept) / request.node.name if kept else tmp_path / "shots"
    folder.mkdir(parents=True, exist_ok=True)
    print(f"pictures are in {folder}")
    return folder


@pytest.fixture
def play(
    node: Path, driver: Path, browser: Path, served: Served, shots: Path, tmp_path: Path
) -> Callable[[str], Awaitable[Any]]:
    """Plays a scenario of the script: ``await play("conversation")`` gives what was seen."""

    async def run(scenario: str) -> Any:
        given = {
            "chromium": str(browser), "page": served.page, "upstream": served.upstream, "proxy": served.proxy,
            "shots": str(shots), "sdk": str(served.sdk),
        }  # fmt: skip
        home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
        process = await asyncio.create_subprocess_exec(
            node, driver, scenario, json.dumps(given),
            env=os.environ | home, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(BOUND):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, err.decode()
        return json.loads(out)

    return run
