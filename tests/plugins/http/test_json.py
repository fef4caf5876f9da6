"""JSON of any size: what it looks like, where its generators run, and what becomes of their failures."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from weakref import WeakSet

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from rtbridge.http import JSONObject, JSONStreamResponse, Site
from rtbridge.plugins.http import jsonstream


class Row(msgspec.Struct):
    id: int


class Rows:
    """A result of a database: it can be gone through, and is nothing that msgspec knows."""

    def __iter__(self) -> Iterator[Row]:
        return iter([Row(1), Row(2)])


def sync(*items: Any) -> Iterator[Any]:
    yield from items


async def asynchronous(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


async def written(value: Any, **options: Any) -> bytes:
    """What a response of the value sends as its body."""
    return b"".join([part async for part in JSONStreamResponse(value, **options).parts()])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: None, "null"),
        (dict, "{}"),
        (list, "[]"),
        (lambda: "é\n", '"é\\n"'),
        (lambda: {"a": 1, 2: [True, None, 1.5]}, '{"a":1,"2":[true,null,1.5]}'),
        (lambda: {datetime(2026, 1, 1, tzinfo=UTC): UUID(int=0)},
         '{"2026-01-01T00:00:00Z":"00000000-0000-0000-0000-000000000000"}'),
        (lambda: Row(1), '{"id":1}'),
        (lambda: (1, Row(2)), '[1,{"id":2}]'),
        (lambda: {3}, "[3]"),
        (lambda: Rows(), '[{"id":1},{"id":2}]'),
        (lambda: {"rows": Rows()}, '{"rows":[{"id":1},{"id":2}]}'),
        (lambda: sync(), "[]"),
        (lambda: asynchronous(), "[]"),
        (lambda: sync(1, 2), "[1,2]"),
        (lambda: asynchronous(1, 2), "[1,2]"),
        (lambda: map(str, (1, 2)), '["1","2"]'),
        (lambda: {"a": sync(1), "b": asynchronous(2), "c": 3}, '{"a":[1],"b":[2],"c":3}'),
        (lambda: {"a": asynchronous(1), "b": sync(2), 3: [sync(), asynchronous()]}, '{"a":[1],"b":[2],"3":[[],[]]}'),
        (lambda: sync(sync(1, 2), sync(), [sync(3)]), "[[1,2],[],[[3]]]"),
        (lambda: asynchronous(asynchronous(1), sync(asynchronous(2)), 3), "[[1],[[2]],3]"),
        (lambda: JSONObject(sync(("a", 1), (2, sync(3)))), '{"a":1,"2":[3]}'),
        (lambda: JSONObject(asynchronous(("a", JSONObject({})), ("b", JSONObject(asynchronous())))), '{"a":{},"b":{}}'),
        (lambda: JSONObject({"a": 1}.items()), '{"a":1}'),
        (lambda: [[0] * 300, sync()], json.dumps([[0] * 300, []], separators=(",", ":"))),
        (lambda: {"x" * n: "y" for n in range(300)},
         json.dumps({"x" * n: "y" for n in range(300)}, separators=(",", ":"))),
        (lambda: sync(*range(10_000)), json.dumps([*range(10_000)], separators=(",", ":"))),
        (lambda: asynchronous(*(["x" * 100] * 1000)), json.dumps(["x" * 100] * 1000, separators=(",", ":"))),
    ],
)  # fmt: skip
async def test_what_is_written(make: Any, text: str) -> None:
    """Generators are lists, wherever they stand; everything else is as msgspec writes it."""
    assert (await written(make())).decode() == text


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values, st.randoms(use_true_random=False))
def test_it_is_the_same_value(value: Any, random: Any) -> None:
    """Whichever of its lists are generators, and of which kind."""

    def loosened(value: Any) -> Any:
        if isinstance(value, dict):
            pairs = [(key, loosened(each)) for key, each in value.items()]
            return random.choice([dict, JSONObject, lambda p: JSONObject(asynchronous(*p))])(pairs)
        if isinstance(value, list):
            return random.choice([list, lambda v: sync(*v), lambda v: asynchronous(*v)])([*map(loosened, value)])
        return value

    assert json.loads(asyncio.run(written(loosened(value)))) == value


async def test_depth() -> None:
    """64 in one another, and no more."""
    value: Any = sync(1)
    for _ in range(jsonstream.DEPTH - 1):
        value = [value]
    assert json.loads(await written(value))
    for kind in (list, tuple):
        deep: Any = sync(1)
        for _ in range(jsonstream.DEPTH):
            deep = kind([deep])
        with pytest.raises(ValueError, match="more than 64 deep"):
            await written(deep)


async def test_what_cannot_be_json() -> None:
    """It is an error, unless it is told how."""
    with pytest.raises(TypeError):
        await written([sync(object())])
    assert await written([sync(object())], default=lambda _: "object") == b'[["object"]]'


async def test_where_generators_run() -> None:
    """Sync ones in one thread, each as its turn comes; async ones on the loop."""
    seen: list[tuple[str, str]] = []

    def outer() -> Iterator[Any]:
        try:
            for name in "ab":
                seen.append((name, threading.current_thread().name))
                yield inner(name * 2)
        finally:
            seen.append(("end", threading.current_thread().name))

    def inner(name: str) -> Iterator[Any]:
        seen.append((name, threading.current_thread().name))
        yield async_inner(name * 2)

    async def async_inner(name: str) -> AsyncIterator[str]:
        seen.append((name, threading.current_thread().name))
        yield name

    assert await written([asynchronous(1), outer()]) == b'[[1],[[["aaaa"]],[["bbbb"]]]]'
    assert [name for name, _ in seen] == ["a", "aa", "aaaa", "b", "bb", "bbbb", "end"]
    main = threading.current_thread().name
    assert {thread for name, thread in seen if len(name) == 4} == {main}
    assert {thread for name, thread in seen if len(name) != 4} == {"rtbridge-pull"}


async def test_items_are_sent_as_they_come(host: Any) -> None:
    """Of either kind, also one in the other, each before the next one is asked for."""
    steps = {kind: asyncio.Event() for kind in ("sync", "async", "mixed")}
    loop = asyncio.get_running_loop()
    site = Site()

    def waiting() -> Iterator[str]:
        yield "first"
        asyncio.run_coroutine_threadsafe(steps["sync"].wait(), loop).result(10)
        yield "second"

    async def async_waiting(kind: str) -> AsyncIterator[str]:
        yield "first"
        await steps[kind].wait()
        yield "second"

    @site.get("/{kind}")
    async def send(request: Request) -> Response:
        kind = request.path_params["kind"]
        made: dict[str, Any] = {
            "sync": lambda: waiting(),
            "async": lambda: async_waiting("async"),
            "mixed": lambda: sync("begun", async_waiting("mixed")),
        }
        return JSONStreamResponse({"rows": made[kind]()})

    served = await host(site)
    for kind, step in steps.items():
        async with served.client.stream("GET", f"/{kind}") as answer:
            got = ""
            async for part in answer.aiter_text():
                got += part
                if "first" in got and not step.is_set():
                    assert "second" not in got
                    step.set()
        assert "second" in json.dumps(json.loads(got))
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("outer", [sync, asynchronous])
async def test_nothing_is_kept(outer: Any) -> None:
    """A generator that has ended is forgotten, however many there are."""
    alive: WeakSet[Any] = WeakSet()
    most = 0

    def inner(number: int) -> Any:
        nonlocal most
        made = asynchronous(number) if number % 2 else sync(number)
        alive.add(made)
        most = max(most, len(alive))
        return made

    async def mapped() -> AsyncIterator[Any]:
        for number in range(500):
            yield inner(number)

    value = map(inner, range(500)) if outer is sync else mapped()
    assert json.loads(await written(value)) == [[n] for n in range(500)]
    assert most < 5


class Endless:
    """Generators that would go on for ever, and are closed."""

    def __init__(self) -> None:
        self.asked = 0
        self.closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def sync(self) -> Iterator[Any]:
        try:
            while True:
                self.asked += 1
                yield {"row": "x" * 1000}
        finally:
            self._loop.call_soon_threadsafe(self.closed.set)

    async def asynchronous(self) -> AsyncIterator[Any]:
        try:
            while True:
                self.asked += 1
                yield {"row": "x" * 1000}
        finally:
            await asyncio.sleep(0)
            self.closed.set()

    async def waiting(self) -> AsyncIterator[Any]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.closed.set()


@pytest.mark.parametrize(
    ("make", "begun"),
    [
        (lambda endless: {"rows": endless.sync()}, b"row"),
        (lambda endless: {"rows": endless.asynchronous()}, b"row"),
        (lambda endless: sync(1, endless.asynchronous()), b"row"),
        (lambda endless: asynchronous(1, endless.sync()), b"row"),
        (lambda endless: endless.waiting(), b"1"),
        (lambda endless: sync("begun", endless.waiting()), b"1"),
        (lambda endless: JSONObject(sync(("a", endless.waiting()))), b"1"),
    ],
    ids=["sync", "async", "async in sync", "sync in async", "waiting", "waiting in sync", "waiting in an object"],
)
async def test_a_reader_that_goes_away(host: Any, make: Any, begun: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it was in, everything is closed, no more was made than buffers hold, and nothing has failed."""
    endless = Endless()
    site = Site()
    site.get("/")(lambda _: JSONStreamResponse(make(endless)))
    served = await host(site)
    reader, writer = await served.connect(limit=4096)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    got = b""
    async with asyncio.timeout(10):
        while begun not in got:  # a piece of a chunked body: a size, a line's end, the data
            size = int(await reader.readline(), 16)
            got += (await reader.readexactly(size + 2))[:-2]
    writer.transport.abort()

    await asyncio.wait_for(endless.closed.wait(), 10)
    assert endless.asked < 50_000
    await served.server.stop(5)
    assert "failed" not in caplog.text


@pytest.mark.parametrize("kind", ["sync", "async", "mixed"])
async def test_failures(host: Any, kind: str) -> None:
    """Before the first item they are answered; after it the connection is cut, with no JSON that looks whole."""
    site = Site()

    def failing(after: int) -> Iterator[int]:
        yield from range(after)
        raise ValueError

    async def async_failing(after: int) -> AsyncIterator[int]:
        for number in range(after):
            yield number
        raise ValueError

    @site.get("/{after}")
    def send(request: Request) -> Response:
        after = int(request.path_params["after"])
        made: Any = {"sync": failing, "async": async_failing, "mixed": lambda n: sync(*[0] * n, async_failing(0))}[kind]
        return JSONStreamResponse({"rows": made(after)})

    served = await host(site)
    if kind != "mixed":  # there the first item is the other generator
        assert (await served.client.get("/0")).status_code == 500
    answer = await served.raw(b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b'{"rows":[0' in body
    assert b"]}" not in body
    assert not body.endswith(b"0\r\n\r\n")


async def test_head(host: Any) -> None:
    """Nothing is asked for anything."""

    asked: list[int] = []
    site = Site()
    site.get("/")(lambda _: JSONStreamResponse({"rows": map(asked.append, [1])}))
    answer = await (await host(site)).client.head("/")
    assert (answer.status_code, answer.headers["content-type"], asked) == (200, "application/json", [])
