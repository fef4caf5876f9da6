"""Plays a recording against a server and holds what the server does against it, step by step."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx
import websockets

from tests.centrifugo import BOUND
from tests.embedded.replay.clients import EOF, Client, Socket, Stream
from tests.embedded.replay.protobuf import write_commands, write_emulation
from tests.embedded.replay.values import Mismatch, Values
from tests.embedded.servers import Server

#: Seconds of the server's time within which a recorded message or close comes. All of them came earlier.
PATIENCE: Final = 12.0

#: Seconds of the server's time after the last step in which nothing more may come.
AFTERWARDS: Final = 0.1

_BIDIRECTIONAL_SOCKET: Final = "/connection/websocket"

Step = Mapping[str, Any]


class Player:
    """One play of one recording.

    Args:
        recording: The parsed file.
        server: Runs with the recording's ``config``, and nobody else uses it.

    """

    def __init__(self, recording: Mapping[str, Any], server: Server) -> None:
        self._steps: list[Step] = recording["steps"]
        self._server = server
        self._values = Values(recording.get("tokens", {}), server.time)
        self._clients: dict[str, Client] = {}
        self._about_pings = {step["client"] for step in self._steps if {} in step.get("recv", ())}
        self._http = httpx.AsyncClient(
            base_url=server.http, verify=False, trust_env=False, timeout=httpx.Timeout(BOUND, read=None)
        )
        self._kinds: Mapping[str, Callable[[Step], Awaitable[None]]] = {
            "open": self._open,
            "via": self._emulate,
            "commands": self._send,
            "send": self._send,
            "recv": self._receive,
            "close": self._close,
            "disconnect": self._leave,
            "api": self._api,
            "http": self._request,
            "wait": self._wait,
            "server": self._terminate,
        }

    async def play(self) -> None:
        """Every step, and a look whether anything comes that was not recorded.

        Raises:
            Mismatch: The first difference.

        """
        try:
            for number, step in enumerate(self._steps):
                kind = next(kind for kind in self._kinds if kind in step)
                try:
                    async with asyncio.timeout(BOUND):
                        await self._kinds[kind](step)
                except Mismatch as exc:
                    raise Mismatch(f"step {number}, {json.dumps(step, ensure_ascii=False)[:300]}\n{exc}") from None
                except TimeoutError:
                    raise Mismatch(f"step {number}, {json.dumps(step)[:300]}: no end of it") from None
            await self._afterwards()
        finally:
            for client in self._clients.values():
                await client.leave()
            await self._http.aclose()

    async def _afterwards(self) -> None:
        await self._server.advance(AFTERWARDS)
        closes = {step["client"] for step in self._steps if "close" in step}
        for label, client in self._clients.items():
            if label in self._about_pings or label in closes:
                continue
            if client.inbox:
                raise Mismatch(f"after the last step {label} got {client.inbox}")
            if client.closed is not None:
                raise Mismatch(f"after the last step {label} was closed: {client.closed}")

    # Connections

    async def _open(self, step: Step) -> None:
        if step["open"].get("method") is None:
            await self._open_socket(step)
        else:
            await self._open_stream(step)

    async def _open_socket(self, step: Step) -> None:
        request, label = step["open"], step["client"]
        offered: list[Any] = request.get("subprotocols", [])
        query = request.get("query", "")
        url = f"{self._server.websocket}{request['path']}" + (f"?{self._values.filled(query)}" if query else "")
        opened: dict[str, Any] = {}
        try:
            socket = await websockets.connect(
                url,
                subprotocols=offered or None,
                additional_headers=request.get("headers"),
                compression=None,
                ping_interval=None,
                max_size=None,
                proxy=None,
                close_timeout=BOUND,
            )
        except websockets.InvalidStatus as exc:
            opened["status"] = exc.response.status_code
        else:
            if offered:
                opened["subprotocol"] = socket.subprotocol
            self._clients[label] = Socket(
                socket,
                protobuf="centrifuge-protobuf" in offered or "protobuf" in query,
                keeps_pings=label in self._about_pings,
                pongs=request["path"] == _BIDIRECTIONAL_SOCKET,
            )
        self._values.match(step.get("opened", {}), opened, "opened")

    async def _open_stream(self, step: Step) -> None:
        request, label = step["open"], step["client"]
        body: str | bytes | None = None
        if "commands" in request:
            body = write_commands(self._values.filled_value(request["commands"]))
        elif "body" in request:
            body = self._values.filled(request["body"])
        sent = self._http.build_request(
            request["method"], self._path(request), headers=request.get("headers"), content=body
        )
        response = await self._http.send(sent, stream=True)
        opened: dict[str, Any] = {
            "status": response.status_code,
            "content_type": response.headers.get("content-type", ""),
        }
        if response.status_code == 200:
            keeps_pings = label in self._about_pings
            self._clients[label] = Stream(response, protobuf="commands" in request, keeps_pings=keeps_pings)
        else:
            opened["body"] = (await response.aread()).decode()
        self._values.match(step["opened"], opened, "opened")

    async def _leave(self, step: Step) -> None:
        await self._clients.pop(step["client"]).leave()
        await self._server.left(sum(client.closed is None for client in self._clients.values()))

    # What clients send

    async def _send(self, step: Step) -> None:
        client = self._clients[step["client"]]
        if "commands" in step:
            await client.send(write_commands(self._values.filled_value(step["commands"])))
        elif client.protobuf:
            await client.send(base64.b64decode(step["send"]))
        else:
            await client.send(self._values.filled(step["send"]))

    async def _emulate(self, step: Step) -> None:
        target = {"session": f"$session:{step['client']}", "node": "$node", **step.get("emulation", {})}
        headers = None
        if "commands" in step:
            data = write_commands(self._values.filled_value(step["commands"]))
            content = write_emulation(data=data, **self._values.filled_value(target))
            headers = {"Content-Type": "application/octet-stream"}
        else:
            content = self._values.filled(json.dumps({**target, "data": step["send"]})).encode()
        response = await self._http.post("/emulation", content=content, headers=headers)
        self._values.match(step["status"], response.status_code, "status")
        self._values.match(step.get("body", ""), response.text, "body")

    # What clients get

    async def _receive(self, step: Step) -> None:
        client, recorded = self._clients[step["client"]], step["recv"]
        if not recorded:
            if await self._server.within(step["for"], client.holds(1)):
                raise Mismatch(f"came {client.inbox}, closed {client.closed}")
            return
        if not await self._server.within(PATIENCE, client.holds(len(recorded))) or len(client.inbox) < len(recorded):
            raise Mismatch(f"came only {json.dumps(client.inbox, ensure_ascii=False)}, closed {client.closed}")
        seen, client.inbox = client.inbox[: len(recorded)], client.inbox[len(recorded) :]
        self._values.match(recorded, seen)

    async def _close(self, step: Step) -> None:
        client = self._clients[step["client"]]
        if not await self._server.within(PATIENCE, client.ends()):
            raise Mismatch(f"not closed, came {client.inbox}")
        if client.inbox:
            raise Mismatch(f"came {client.inbox} before it was closed: {client.closed}")
        self._values.match(dict(step["close"]), dict(client.closed or EOF), "close")

    # Requests

    async def _api(self, step: Step) -> None:
        call = step["api"]
        response = await self._http.post(
            f"/api/{call['method']}",
            # With the spaces that json.dumps writes: subscribers in protobuf and in deltas get payloads byte for byte.
            content=json.dumps(self._values.filled_value(call["params"])),
            headers={"X-API-Key": "key", "Content-Type": "application/json", **call.get("headers", {})},
        )
        self._values.match(step.get("status", 200), response.status_code, "status")
        self._values.match(step["result"], _parsed(response.text), "result")

    async def _request(self, step: Step) -> None:
        request, recorded = step["http"], step["response"]
        body = request.get("body")
        sent = self._http.build_request(
            request["method"],
            self._path(request),
            headers=request.get("headers"),
            content=None if body is None else self._values.filled(body),
        )
        response = await self._http.send(sent, stream=True)
        if recorded["body"] == "$stream":
            if await self._server.within(AFTERWARDS, _exhaust(response)):
                raise Mismatch("the answer has ended")
        else:
            seen = (await response.aread()).decode()
            self._values.match(recorded["body"], _parsed(seen) if isinstance(recorded["body"], dict) else seen, "body")
        await response.aclose()
        self._values.match(recorded["status"], response.status_code, "status")
        headers = {name: response.headers.get(name) for name in recorded.get("headers", ())}
        self._values.match(recorded.get("headers", {}), headers, "headers")

    def _path(self, request: Mapping[str, Any]) -> str:
        pairs = [f"{name}={quote(self._values.filled(value))}" for name, value in request.get("query", {}).items()]
        path: str = request["path"]
        return f"{path}?{'&'.join(pairs)}" if pairs else path

    # The server

    async def _wait(self, step: Step) -> None:
        await self._server.advance(step["wait"])

    async def _terminate(self, step: Step) -> None:
        self._server.terminate()


async def _exhaust(response: httpx.Response) -> None:
    async for _ in response.aiter_raw():
        pass


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
