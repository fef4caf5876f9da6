"""A real Centrifugo for tests: where its program is, and one that runs with a given configuration."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from tests.processes import ended

#: Seconds after which a wait has failed; nothing here depends on how long anything takes.
BOUND: Final = 20.0

#: Why a test that needs the program is skipped; no registry has it, so this is no failure under CI either.
MISSING: Final = "centrifugo was not found: put it on PATH, or its path into RTBRIDGE_CENTRIFUGO"


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings, the second one's values where they differ."""
    result = dict(base)
    for key, value in more.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def find_binary() -> Path | None:
    """The program that ``RTBRIDGE_CENTRIFUGO`` names, else the one on PATH, else None.

    Raises:
        FileNotFoundError: ``RTBRIDGE_CENTRIFUGO`` names something that is no program.

    """
    named = os.environ.get("RTBRIDGE_CENTRIFUGO", "")
    if named:
        path = Path(named).expanduser()
        if not path.is_file() or not os.access(path, os.X_OK):
            raise FileNotFoundError(f"RTBRIDGE_CENTRIFUGO names {named}, which is no program")
        return path.resolve()
    found = shutil.which("centrifugo")
    return None if found is None else Path(found)


def find_free_port() -> int:
    """A TCP port that was free on the loopback a moment ago, for programs that cannot bind port 0."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Centrifugo:
    """A running Centrifugo; ``log`` has its lines so far."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port
        self.log: list[str] = []
        self._grown = asyncio.Condition()
        self._reader = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    async def start(
        cls,
        binary: Path,
        folder: Path,
        config: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """One that takes connections on the loopback.

        Args:
            binary: The program.
            folder: Where its configuration file is written.
            config: Centrifugo's configuration; the address is added.
            environment: All that it sees of the environment beside an empty PATH.

        Raises:
            ChildProcessError: It ended at once; the message is its log.

        """
        port = find_free_port()
        base = {
            "http_server": {"address": "127.0.0.1", "port": port},
            "usage_stats": {"disabled": True},
            "log": {"level": "info"},
        }
        path = folder / f"centrifugo-{port}.json"
        path.write_text(json.dumps(merged(base, config)))
        process = await asyncio.create_subprocess_exec(
            binary,
            "-c",
            path,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": "", **(environment or {})},
        )
        server = cls(process, port)
        try:
            await server._listening()
        except BaseException:
            await server.stop()
            raise
        return server

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._grown:
                self.log.append(line.decode().rstrip())
                self._grown.notify_all()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    async def logged(self, *texts: str, times: int = 1) -> list[str]:
        """The log lines that hold all of these texts, once there are so many."""

        def found() -> list[str]:
            return [line for line in self.log if all(text in line for text in texts)]

        async with asyncio.timeout(BOUND), self._grown:
            await self._grown.wait_for(lambda: len(found()) >= times)
        return found()

    async def _listening(self) -> None:
        async with asyncio.timeout(BOUND):
            while self._process.returncode is None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    await writer.wait_closed()
                    return
                await asyncio.sleep(0.01)
        await self._reader
        raise ChildProcessError("Centrifugo ended at once:\n" + "\n".join(self.log))

    def terminate(self) -> None:
        """Ask it to end, as an operator would."""
        if self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it at once; it would wait for clients that keep idle connections."""
        if self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """End it."""
        self.terminate()
        try:
            await ended(self._process, BOUND)
        finally:
            await self._reader
