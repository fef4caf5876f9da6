"""Clients that mean no good, over real sockets: each gets the documented answer, the others are served, nothing stays.

The same attacks go to a real Centrifugo where there is one, which shows that the answers are its.
"""

import asyncio
import contextlib
import gc
import json
import logging
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from tests.centrifugo import BOUND, MISSING, find_binary
from tests.embedded.servers import Embedded, RealCentrifugo, Server
from tests.tokens import sign

CONFIG: Final[Mapping[str, Any]] = {
    "client": {"token": {"hmac_secret_key": "secret"}, "queue_max_size": 65536},
    "http_api": {"key": "key"},
    "sse": {"enabled": True},
    "http_stream": {"enabled": True},
    "channel": {
        "without_namespace": {
            "allow_subscribe_for_client": True,
            "allow_publish_for_subscriber": True,
            "presence": True,
            "history_size": 5,
            "history_ttl": "300s",
        }
    },
}

BAD_REQUEST: Final = (3501, "bad request")
INVALID_TOKEN: Final = (3500, "invalid token")
TOO_LARGE: Final = (1009, "")

Attack = Callable[[Server], Awaitable[None]]


# What every attacker needs


async def opened(server: Server, **options: Any) -> ClientConnection:
    """A WebSocket before its connect command."""
    options = {"compression": None, "max_size": None, "proxy": None, "close_timeout": BOUND, **options}
    return await websockets.connect(f"{server.websocket}/connection/websocket", **options)


async def connected(server: Server, user: str = "42", **options: Any) -> ClientConnection:
    """A WebSocket that is let in."""
    socket = await opened(server, **options)
    await socket.send(json.dumps({"id": 1, "connect": {"token": sign({"sub": user})}}))
    assert "connect" in json.loads(await socket.recv())
    return socket


async def ended(socket: ClientConnection) -> tuple[int, str]:
    """How the server closes a connection; what it says before is left out."""
    async with asyncio.timeout(BOUND):
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code or 0, socket.close_reason or ""


async def api(server: Server, method: str, **params: Any) -> Any:
    """The result of a call of the server API."""
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=BOUND) as client:
        response = await client.post(f"{server.http}/api/{method}", json=params, headers={"X-API-Key": "key"})
    return response.json()["result"]


async def is_served(server: Server) -> None:
    """A client that means well is let in, subscribes, publishes and hears itself."""
    socket = await connected(server, "good")
    commands = [
        {"id": 2, "subscribe": {"channel": "good"}},
        {"id": 3, "publish": {"channel": "good", "data": {"n": 1}}},
        {"id": 4, "unsubscribe": {"channel": "good"}},
    ]
    await socket.send("\n".join(map(json.dumps, commands)))
    seen: list[Any] = []
    async with asyncio.timeout(BOUND):
        while not any(each.get("id") == 4 for each in seen):
            seen += map(json.loads, str(await socket.recv()).split("\n"))
    assert [list(each)[-1] for each in seen] == ["subscribe", "push", "publish", "unsubscribe"]
    assert seen[1]["push"]["pub"]["data"] == {"n": 1}
    await socket.close()


async def raw(server: Server, data: bytes) -> bytes:
    """What the server says to these bytes before it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(data)
        async with asyncio.timeout(BOUND):
            return await reader.read(-1)
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()


# Attacks


def saying(expected: tuple[int, str], *frames: str | bytes, introduced: bool = True) -> Attack:
    """Sends these messages and is closed for it."""

    async def attack(server: Server) -> None:
        socket = await (connected if introduced else opened)(server)
        with contextlib.suppress(websockets.ConnectionClosed):  # it may be closed before it has sent all
            for frame in frames:
                await socket.send(frame)
        assert await ended(socket) == expected

    return attack


def protobuf(*frames: bytes) -> Attack:
    """Sends these messages to the protobuf wire and is closed for it."""

    async def attack(server: Server) -> None:
        socket = await opened(server, subprotocols=["centrifuge-protobuf"])
        for frame in frames:
            await socket.send(frame)
        assert await ended(socket) == BAD_REQUEST

    return attack


async def subscribes_without_end(server: Server) -> None:
    """10,000 subscriptions: 128 are granted, the others are errors."""
    socket = await connected(server)
    commands = [json.dumps({"id": 2 + number, "subscribe": {"channel": f"c{number}"}}) for number in range(10_000)]

    async def read() -> list[Any]:
        replies: list[Any] = []
        while len(replies) < len(commands):
            replies += map(json.loads, str(await socket.recv()).split("\n"))
        return replies

    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as both:
        reading = both.create_task(read())
        for start in range(0, len(commands), 1000):
            await socket.send("\n".join(commands[start : start + 1000]))
    codes = [reply["error"]["code"] for reply in reading.result() if "error" in reply]
    assert codes == [106] * (10_000 - 128)
    await socket.close()


async def vanishes(server: Server) -> None:
    """Connections that break off at every stage."""
    for _ in range(10):
        (await opened(server)).transport.abort()
        subscribed = await connected(server)
        await subscribed.send(json.dumps({"id": 2, "subscribe": {"channel": "room"}}))
        subscribed.transport.abort()


async def dawdles(server: Server) -> None:
    """Requests that never come to an end keep nobody else from being served."""
    heads = [
        b"GET /connection/websocket HTTP/1.1\r\nHost:",
        b"GET /connection/websocket HTTP/1.1\r\nUpgrade: websocket\r\n",
        b"POST /api/publish HTTP/1.1\r\nHost: x\r\nX-API-Key: key\r\nContent-Length: 1000\r\n\r\n{",
        b"POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"",
    ]
    writers = []
    for number in range(200):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writers.append(writer)
        writer.write(heads[number % len(heads)])
        await writer.drain()
    await is_served(server)
    for writer in writers:
        writer.transport.abort()


async def is_no_http(server: Server) -> None:
    """Bytes that are no request are refused, in words or by hanging up."""
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
        b"\0" * 5000 + b"\r\n\r\n",
        b"HELO there\r\n\r\n",
    ):
        answer = await raw(server, data)
        assert not answer or answer.startswith(b"HTTP/1.1 400 "), answer


async def has_no_end_of_headers(server: Server) -> None:
    """A head beyond every bound is refused before it is read whole."""
    line = b"X-Filler: " + b"a" * 1000 + b"\r\n"
    answer = await raw(server, b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\n" + line * 2000)
    assert not answer or answer.split(b" ")[1] in (b"400", b"431"), answer[:200]


async def guesses_the_key(server: Server) -> None:
    """Every wrong key is 401, wherever it stands."""
    async with httpx.AsyncClient(base_url=server.http, verify=False, trust_env=False, timeout=BOUND) as client:
        for number in range(20):
            for headers, query in (
                ({"X-API-Key": f"guess-{number}"}, ""),
                ({"Authorization": f"apikey guess-{number}"}, ""),
                ({}, f"?api_key=guess-{number}"),
                ({}, ""),
            ):
                response = await client.post(f"/api/publish{query}", headers=headers, json={"channel": "c", "data": 1})
                assert (response.status_code, response.content) == (401, b"")


async def sends_bad_bodies(server: Server) -> None:
    """Bodies that are too large or make no sense are 413 and 400."""
    large = b'{"id":1,"connect":{"data":"' + b"a" * 100_000 + b'"}}'
    async with httpx.AsyncClient(base_url=server.http, verify=False, trust_env=False, timeout=BOUND) as client:
        for path in ("/connection/http_stream", "/connection/sse", "/emulation"):
            assert (await client.post(path, content=large)).status_code == 413, path
        assert (await client.post("/emulation", content=b"garbage")).status_code == 400
        assert (await client.get("/connection/sse?cf_connect=")).status_code == 400
        bad = await client.post("/api/publish", content=b"{", headers={"X-API-Key": "key"})
        assert bad.status_code == 400


ATTACKS: Final[dict[str, Attack]] = {
    "garbage first": saying(BAD_REQUEST, "garbage", introduced=False),
    "garbage": saying(BAD_REQUEST, "garbage"),
    "bytes": saying(BAD_REQUEST, b"\xff\x00\xfe" * 100),
    "nothing": saying(BAD_REQUEST, ""),
    "an unknown command": saying(BAD_REQUEST, '{"id":2,"dance":{}}'),
    "no id": saying(BAD_REQUEST, '{"subscribe":{"channel":"c"}}'),
    "id 0": saying(BAD_REQUEST, '{"id":0,"subscribe":{"channel":"c"}}'),
    "two connects": saying(BAD_REQUEST, '{"id":2,"connect":{}}'),
    "before connect": saying(BAD_REQUEST, '{"id":1,"subscribe":{"channel":"c"}}', introduced=False),
    "a false token": saying(INVALID_TOKEN, '{"id":1,"connect":{"token":"a.b.c"}}', introduced=False),
    "deep nesting": saying(BAD_REQUEST, '{"id":2,"rpc":{"data":' + "[" * 30_000),
    "too large": saying(TOO_LARGE, '{"id":2,"rpc":{"data":"' + "a" * 70_000 + '"}}'),
    "far too large": saying(TOO_LARGE, "a" * 10_000_000),
    "protobuf garbage": protobuf(b"\xff" * 50),
    "protobuf length": protobuf(b"\xff\xff\xff\xff\x0f" + b"a" * 10),
    "10,000 subscribes": subscribes_without_end,
    "vanishing": vanishes,
    "slowloris": dawdles,
    "no HTTP": is_no_http,
    "endless headers": has_no_end_of_headers,
    "wrong keys": guesses_the_key,
    "bad bodies": sends_bad_bodies,
}

EACH = pytest.mark.parametrize("attack", [pytest.param(attack, id=name) for name, attack in ATTACKS.items()])

SERVERS = ["embedded", pytest.param("centrifugo", marks=pytest.mark.real)]


@pytest.fixture(params=SERVERS)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """Each server, with a small queue for each client."""
    running: Server
    if request.param == "embedded":
        running = await Embedded.start(CONFIG)
    else:
        binary = find_binary()
        if binary is None:
            pytest.skip(MISSING)
        running = await RealCentrifugo.start(binary, tmp_path, CONFIG)
    yield running
    await running.stop()


@EACH
async def test_the_others_are_served(attack: Attack, server: Server) -> None:
    """During an attack a client that was there before goes on, and afterwards a new one is served."""
    before = await connected(server, "before")
    await attack(server)
    await before.send('{"id":2,"presence":{"channel":"c"}}')
    assert "error" in json.loads(await before.recv())
    await before.close()
    await is_served(server)


async def test_who_does_not_read(server: Server) -> None:
    """A client that stops reading is let go of, and the other subscribers get everything."""
    idle = await connected(server, max_queue=1)
    await idle.send('{"id":2,"subscribe":{"channel":"room"}}')
    await idle.recv()
    eager = await connected(server, "eager")
    await eager.send('{"id":2,"subscribe":{"channel":"room"}}')
    await eager.recv()
    sent, text = 0, "a" * 50_000
    async with asyncio.timeout(BOUND):
        while (await api(server, "presence_stats", channel="room")).get("num_clients") == 2:
            for _ in range(10):
                sent += 1
                await api(server, "publish", channel="room", data=[sent, text])
                assert json.loads(await eager.recv())["push"]["pub"]["data"] == [sent, text]
    assert sent > 0
    idle.transport.abort()
    await eager.close()


def of_ours() -> int:
    """How many objects there are of rtbridge's types and of the loop's transports."""
    gc.collect()
    modules = [str(type(each).__module__) for each in gc.get_objects()]
    return sum(module.startswith(("rtbridge.", "asyncio.selector_events")) for module in modules)


def blocks() -> int:
    """How many blocks of memory rtbridge's code holds."""
    gc.collect()
    found = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/rtbridge/*")])
    return sum(each.count for each in found.statistics("filename"))


async def test_nothing_stays() -> None:
    """After all attacks, again and again, there are as many objects and blocks of memory as before."""
    quick = [attack for name, attack in ATTACKS.items() if name not in ("10,000 subscribes", "far too large")]
    server = await Embedded.start(CONFIG)
    node = server.server.node

    async def round_of_attacks() -> None:
        for attack in quick:
            await attack(server)
        async with asyncio.timeout(BOUND):
            while node.open:  # those who vanished are noticed soon
                await asyncio.sleep(0.01)

    async with AsyncExitStack() as end:
        end.push_async_callback(server.stop)
        logging.disable()  # pytest keeps what is logged, and with it what it is about
        end.callback(logging.disable, logging.NOTSET)
        await round_of_attacks()
        tracemalloc.start()
        end.callback(tracemalloc.stop)
        await round_of_attacks()
        objects, memory = of_ours(), blocks()
        for _ in range(3):
            await round_of_attacks()
        # Pools and caches grow by a few; one client that stays leaves dozens behind, and there are hundreds of them.
        assert of_ours() <= objects + 20
        assert blocks() <= memory + 100
        assert (node.clients, node.sessions) == ({}, {})
