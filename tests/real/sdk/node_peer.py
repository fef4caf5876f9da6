"""The JavaScript client in Node; one process serves the whole run."""

import asyncio
import base64
import itertools
import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.centrifugo import BOUND
from tests.real.sdk.peers import Given, Peer

_CALLS: Final = {"presence_stats": "presenceStats", "set_tags_filter": "setTagsFilter", "delta_stats": "deltaStats"}


class NodeProcess:
    """``tests/real/node/client.mjs`` at work; a thread reads what it says, as event loops come and go with tests."""

    def __init__(self, *command: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._listener: Callable[[dict[str, Any]], None] | None = None
        self._thread = threading.Thread(target=self._read, name="node", daemon=True)
        self._thread.start()
        self.numbers = itertools.count(1)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            if (listener := self._listener) is not None:
                listener(json.loads(text, object_hook=_bytes))

    def listen(self, listener: Callable[[dict[str, Any]], None] | None) -> None:
        """Give everything that it says to this function, in the thread that reads it."""
        self._listener = listener

    def write(self, content: Mapping[str, Any]) -> None:
        """Give it a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(content, default=_base64).encode() + b"\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(BOUND)
        finally:
            self._process.kill()
            self._process.wait()
            self._thread.join()
            self._process.stdout.close()


class NodePeer(Peer):
    """The JavaScript client over one transport in one protocol."""

    def __init__(self, node: NodeProcess, transport: str, protobuf: bool) -> None:
        super().__init__("js", transport, protobuf)
        self._node = node
        self._mark = f"{next(node.numbers)}/"  # tells this test's clients from those of earlier ones
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loop = asyncio.get_running_loop()
        node.listen(self._hear)

    def _hear(self, line: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self._take, line)

    def _take(self, line: dict[str, Any]) -> None:
        if "id" in line:
            if (answer := self._waiting.pop(line["id"], None)) is not None and not answer.done():
                answer.set_result(line)
        elif line["client"].startswith(self._mark):
            context = _snake(line["context"])
            if "channel" in line:
                context.pop("channel", None)
            context |= context.pop("error", None) or {}
            for key in ("type", "transport", "temporary", "has_recovered_publications"):
                context.pop(key, None)
            client = line["client"].removeprefix(self._mark)
            self._queue(client, line.get("channel", ""), line["event"]).put_nowait(self._plain(context))

    async def _ask(self, call: str, **given: Any) -> Any:
        number = next(self._node.numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._node.write({"id": number, "do": call, **given})
        async with asyncio.timeout(BOUND):
            return self._answer(await self._waiting[number])

    def _answer(self, line: Mapping[str, Any]) -> Any:
        return line["error"] if "error" in line else self._plain(_snake(line["result"]))

    async def connect(
        self,
        address: str,
        *,
        client: str = "a",
        token: str = "",
        tokens: Given | None = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        version: str = "",
        ping_delay: float = 10.0,
    ) -> None:
        endpoint: Any = f"ws://{address}/connection/websocket"
        if self.transport != "websocket":
            endpoint = [
                {"transport": self.transport, "endpoint": f"http://{address}/connection/{self.transport}"},
            ]
        options: dict[str, Any] = {
            "token": token,
            "version": version,
            "headers": headers or {},
            "timeout": BOUND * 1000,
            "maxServerPingDelay": ping_delay * 1000,
            "emulationEndpoint": f"http://{address}/emulation",
        }
        if data is not None:
            options["data"] = self._packed(data)
        given = {} if tokens is None else {"tokens": tokens}
        await self._ask(
            "connect", client=self._mark + client, endpoint=endpoint, protobuf=self.protobuf, options=options, **given
        )

    async def subscribe(
        self,
        channel: str,
        *,
        client: str = "a",
        token: str = "",
        tokens: Given | None = None,
        states: Given | None = None,
        data: Any = None,
        positioned: bool = False,
        recoverable: bool = False,
        join_leave: bool = False,
        delta: bool = False,
        tags_filter: Mapping[str, Any] | None = None,
    ) -> None:
        options: dict[str, Any] = {
            "token": token,
            "positioned": positioned,
            "recoverable": recoverable,
            "joinLeave": join_leave,
        }
        if data is not None:
            options["data"] = self._packed(data)
        if delta:
            options["delta"] = "fossil"
        if tags_filter is not None:
            options["tagsFilter"] = tags_filter
        given = {"tokens": tokens, "states": states}
        given = {name: value for name, value in given.items() if value is not None}
        await self._ask("subscribe", client=self._mark + client, channel=channel, options=options, **given)

    def _call(self, call: str, given: dict[str, Any]) -> dict[str, Any]:
        if "data" in given:
            given = {**given, "data": self._packed(given["data"])}
        if call == "history":
            channel = given.pop("channel")
            given = {"channel": channel, "options": given}
        return {"do": _CALLS.get(call, call), **given}

    async def do(self, call: str, *, client: str = "a", **given: Any) -> Any:
        command = self._call(call, given)
        return await self._ask(command.pop("do"), client=self._mark + client, **command)

    async def batch(self, *calls: tuple[str, Mapping[str, Any]], client: str = "a") -> list[Any]:
        """What calls came to that left in one frame."""
        commands = [self._call(call, dict(given)) for call, given in calls]
        answers = await self._ask("batch", client=self._mark + client, calls=commands)
        return [self._answer(answer) for answer in answers]

    async def close(self) -> None:
        """End the clients of this test."""
        await self._ask("forget")
        self._node.listen(None)


def _snake(value: Any) -> Any:
    """The same with keys as Python has them; payloads stay as they are."""
    if not isinstance(value, dict):
        return [_snake(each) for each in value] if isinstance(value, list) else value
    found = {}
    for key, each in value.items():
        name = re.sub(r"(?<=[a-z])[A-Z]", lambda letter: f"_{letter[0].lower()}", key)
        found[name] = each if name in ("data", "conn_info", "chan_info", "tags") else _snake(each)
    if "stream_position" in found:
        found["position"] = found.pop("stream_position")
    return found


def _bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["base64"]) if value.keys() == {"base64"} else value


def _base64(value: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(value).decode()}
