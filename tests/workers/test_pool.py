"""Calls that travel to workers: who gets them, what they carry, what is refused."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from rtbridge.codec import JSON, PROTO
from rtbridge.codec.descriptors import message_class
from rtbridge.embedded.answers import RESPONSES
from rtbridge.events import METHODS, Call, Headers
from rtbridge.handler import Refused
from rtbridge.workers import frames
from rtbridge.workers.requests import request_of
from tests.workers.conftest import Answered, Pool, Project, soon, until

Start = Callable[..., Awaitable[Pool]]


async def test_a_hook_answers_in_a_process_of_its_own(start: Start) -> None:
    pool = await start()
    pid = (await pool.ask("pid")).data
    assert pid != os.getpid()
    assert [worker.pid for worker in pool.workers("ready")] == [pid]


async def test_a_call_arrives_as_it_was_sent(start: Start) -> None:
    """Payload, headers in any case, transport."""
    pool = await start()
    assert (await pool.ask("echo", {"a": [1, "ü"]})).data == {"a": [1, "ü"]}
    assert (await pool.ask("header")).data == ["1", "test"]


async def test_silence_is_denied_by_the_worker(start: Start) -> None:
    pool = await start()
    answer = await pool.ask("nobody answers this")
    assert (answer.message.disconnect.code, answer.message.disconnect.reason) == (4500, "not handled")


async def test_the_environment_of_a_worker(start: Start) -> None:
    """server.env, RR_MODE and RR_RPC, as RoadRunner sets them; this process gets none of them."""
    before = dict(os.environ)
    pool = await start(own={"server": {"env": {"APP_SECRET": "s"}}, "rpc": {"listen": "unix:///run/x.sock"}})
    for name, value in (("APP_SECRET", "s"), ("RR_MODE", "centrifuge"), ("RR_RPC", "unix:///run/x.sock")):
        assert (await pool.ask("env", name)).data == value
        assert os.environ.get(name) == before.get(name)


async def test_calls_are_spread_over_the_workers(start: Start) -> None:
    """The least loaded one gets the next call; equals take turns."""
    pool = await start(num_workers=2)
    first, second = await pool.ready(2)
    assert {(await pool.ask("pid")).data for _ in range(4)} == {first, second}
    calls = [asyncio.create_task(pool.ask("until", "go")) for _ in range(10)]
    await until(lambda: [worker.held for worker in pool.workers()] == [5, 5])
    pool.go()
    pids = [(await soon(call)).data for call in calls]
    assert pids.count(first) == pids.count(second) == 5
    assert sorted(worker.jobs for worker in pool.workers()) == [7, 7]


async def test_a_caller_who_goes_away_cancels_the_hook(start: Start, project: Project) -> None:
    pool = await start()
    calling = asyncio.create_task(pool.ask("wait"))
    await until(lambda: project.exists("waits"))
    calling.cancel()
    await until(lambda: project.exists("cancelled"))
    await until(lambda: pool.parent.handler.active == 0)
    assert (await pool.ask("echo", 1)).data == 1


async def test_a_call_is_answered_inside_its_deadline(start: Start) -> None:
    """By the worker's own bridge; the pool's deadline is only for workers that cannot."""
    pool = await start()
    answer = await pool.ask("wait", deadline=0.5)
    assert answer.temporary
    assert answer.why == ""


@pytest.mark.parametrize("deadline", [20.0, None])
async def test_calls_wait_for_a_place(start: Start, deadline: float | None) -> None:
    """worker_concurrency holds one worker, concurrency all of them; whoever waits too long is told to try again."""
    pool = await start(own={"limits": {"worker_concurrency": 1}})
    pool.parent.handler._allocate = 0.3  # as allocate_timeout says, which also bounds the start
    held = asyncio.create_task(pool.ask("until", "go"))
    await until(lambda: [worker.held for worker in pool.workers()] == [1])
    waiting = asyncio.create_task(pool.ask("pid", deadline=deadline))
    await until(lambda: pool.parent.handler.waiting == 1)
    answer = await soon(waiting)
    assert answer.temporary
    assert "every worker is busy, after 0.30 s" in answer.why
    waiting = asyncio.create_task(pool.ask("pid"))
    await until(lambda: pool.parent.handler.waiting == 1)
    pool.go()
    assert (await soon(waiting)).data == (await soon(held)).data
    assert (pool.parent.handler.active, pool.parent.handler.waiting) == (0, 0)


async def test_all_workers_together_hold_what_concurrency_says(start: Start) -> None:
    pool = await start(own={"limits": {"concurrency": 2}}, num_workers=2)
    await pool.ready(2)
    calls = [asyncio.create_task(pool.ask("until", "go")) for _ in range(3)]
    await until(lambda: pool.parent.handler.waiting == 1)
    assert [worker.held for worker in pool.workers()] == [1, 1]
    pool.go()
    assert len({(await soon(call)).data for call in calls}) == 2


async def test_the_queue_is_bounded(start: Start) -> None:
    """max_queue_size: what is beyond it is told to try again at once."""
    pool = await start(own={"limits": {"worker_concurrency": 1}}, max_queue_size=1)
    calls = [asyncio.create_task(pool.ask("until", "go")) for _ in range(2)]
    await until(lambda: pool.parent.handler.waiting == 1)
    answer = await pool.ask("pid")
    assert answer.temporary
    assert "1 calls wait for a worker already; see centrifuge.pool.max_queue_size" in answer.why
    calls[1].cancel()
    await asyncio.wait([calls[1]])
    assert pool.parent.handler.waiting == 0
    pool.go()
    await soon(calls[0])


async def promised(pool: Pool, asked: Awaitable[Any]) -> tuple[asyncio.Task[Any], Any]:
    """A call that was promised the only worker's only place, a moment before it knows; and that worker."""
    handler = pool.parent.handler
    worker = handler._take()
    assert worker is not None
    calling = asyncio.ensure_future(asked)
    await until(lambda: handler.waiting == 1)
    handler._return(worker)
    handler._serve_line()
    assert (handler.waiting, handler.active) == (0, 1)
    return calling, worker


async def test_a_caller_who_leaves_gives_its_place_back(start: Start) -> None:
    """It had waited for a worker, and was promised one, when it was cancelled."""
    pool = await start(own={"limits": {"worker_concurrency": 1}})
    handler = pool.parent.handler
    calling, worker = await promised(pool, handler.unary("rpc", "proto")(b"", pool.call()))
    calling.cancel()
    await asyncio.wait([calling])
    assert calling.cancelled()
    assert (handler.active, worker.load) == (0, 0)
    assert (await pool.ask("echo", 1)).data == 1


async def test_a_promised_worker_that_ends_is_replaced_by_another(start: Start) -> None:
    """The call goes on to wait, and its successor answers."""
    pool = await start(own={"limits": {"worker_concurrency": 1}})
    calling, worker = await promised(pool, pool.ask("pid"))
    worker._end()  # as the loop does once the process is reaped
    worker.process.kill()
    assert (await soon(calling)).data not in (worker.pid, None)
    assert worker.load == 0


def handed_over(pool: Pool, method: str, data: bytes = b"null") -> tuple[asyncio.Future[Answered], Callable[[], Any]]:
    """An RPC that is submitted: its answer, and what takes it back."""
    answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
    request = message_class("centrifugal.centrifugo.proxy.RPCRequest")(method=method, data=data).SerializeToString()

    def deliver(reply: Any) -> None:
        answer.set_result(Answered("rpc", reply))

    return answer, pool.parent.handler.submit("rpc", "proto")(request, pool.call(), deliver)


async def test_a_submitted_call_is_answered(start: Start) -> None:
    """By a worker, and by the pool itself where no worker can; after a wait where none is free."""
    pool = await start(own={"limits": {"worker_concurrency": 1}})
    answer, _ = handed_over(pool, "echo", b"[7]")
    assert (await soon(answer)).data == [7]
    first, _ = handed_over(pool, "until", b'"go"')
    second, keep = handed_over(pool, "echo", b"8")
    await until(lambda: pool.parent.handler.waiting == 1)
    pool.go()
    await soon(first)
    assert (await soon(second)).data == 8
    lost, _ = handed_over(pool, "exit")
    assert (await soon(lost)).temporary
    keep()


async def test_a_submitted_call_is_taken_back(start: Start, project: Project) -> None:
    """Its hook is cancelled, and nothing is delivered."""
    pool = await start()
    answer, take_back = handed_over(pool, "wait")
    await until(lambda: project.exists("waits"))
    take_back()
    await until(lambda: project.exists("cancelled"))
    await until(lambda: pool.parent.handler.active == 0)
    assert not answer.done()


async def test_a_submitted_call_that_is_too_large(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = await start()
    monkeypatch.setattr("rtbridge.workers.process.MAX_PAYLOAD", 1000)
    answer, take_back = handed_over(pool, "echo", b"1" * 2000)
    assert "at most 1,000 travel" in (await soon(answer)).why
    take_back()
    assert pool.parent.handler.active == 0


async def test_a_reply_that_cannot_be_delivered_harms_no_other(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    pool = await start()
    pids = await pool.ready(1)

    def deliver(reply: Any) -> None:
        raise ZeroDivisionError

    keep = pool.parent.handler.submit("rpc", "proto")(b"", pool.call(), deliver)
    assert (await pool.ask("pid")).data in pids
    assert "an answer could not be delivered" in caplog.text
    keep()


@pytest.mark.parametrize("kind", ["rpc", "subscribe_unidirectional"])
async def test_who_waits_hears_that_no_worker_comes(start: Start, kind: str) -> None:
    """At once, instead of waiting for the deadline; and so does whoever comes later. A worker takes it back."""
    pool = await start(boot=False, plugin="import time; time.sleep(3600)", allocate_timeout="60s")
    handler = pool.parent.handler

    async def opened() -> Any:
        if kind == "rpc":
            return await pool.ask("pid")
        return Answered(kind, (await soon(handler.stream(kind)(b"", pool.call(), None))).reply)

    calling = asyncio.create_task(opened())
    await until(lambda: handler.waiting == 1)
    handler.give_up("it does not start")
    answer = await soon(calling)
    assert answer.failure == "internal" or answer.temporary
    assert answer.why == "it does not start"
    assert (await opened()).why == "no worker runs: it does not start"
    handler.give_up("")
    calling = asyncio.create_task(opened())
    await until(lambda: handler.waiting == 1)
    calling.cancel()
    await asyncio.wait([calling])


async def test_a_call_that_no_event_can_be_made_of(start: Start) -> None:
    """Broken bytes are refused by the worker, unknown calls through it, so that on_invalid may answer."""
    pool = await start(
        """
        from rtbridge import ClientError, hookimpl
        @hookimpl
        async def on_invalid(event):
            if event.raw == b"ask": raise ClientError(404, event.method + str(event.error))
        """
    )
    handler = pool.parent.handler
    assert (await pool.send("rpc", b"\xff")).failure == "invalid"
    reply = await soon(handler.refuse(Refused("", "", "/x", b"", "unknown"), pool.call()))
    assert (reply.outcome.failure, reply.outcome.why) == ("unimplemented", "unknown")
    reply = await soon(handler.refuse(Refused("rpc", "proto", "RPC", b"ask", " is wrong"), pool.call()))
    error = Answered("rpc", reply).message.error
    assert (error.code, error.message) == (404, "RPC is wrong")
    json = await soon(handler.unary("rpc", "json")(b"{", pool.call()))
    assert json.outcome.failure == "invalid"


async def test_an_answer_of_any_size_travels(start: Start) -> None:
    pool = await start()
    assert len((await pool.ask("big", 3_000_000)).data) == 3_000_000
    assert len(set(await asyncio.gather(*(_size(pool, 200_000 + n) for n in range(20))))) == 20


async def _size(pool: Pool, size: int) -> int:
    return len((await pool.ask("big", size)).data)


async def test_an_answer_beyond_all_measure_is_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it costs the parent its memory; the worker goes on."""
    pool = await start(
        """
        from rtbridge import RPCResult, hookimpl
        from rtbridge.workers import answerer
        answerer.MAX_PAYLOAD = 1000
        @hookimpl
        async def on_rpc(event): return RPCResult(data="x" * event.data)
        """
    )
    answer = await pool.ask("", 1000)
    assert answer.temporary
    assert "an answer of 1,0" in answer.why
    assert (await pool.ask("", 10)).data == "x" * 10


async def test_a_request_beyond_all_measure_is_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """message_size may be larger than what travels at once."""
    pool = await start()
    monkeypatch.setattr("rtbridge.workers.process.MAX_PAYLOAD", 1000)
    answer = await pool.ask("echo", "x" * 1000)
    assert answer.temporary
    assert "to a worker at most 1,000 travel" in answer.why
    assert pool.parent.handler.active == 0


async def test_an_answer_in_words_that_are_no_text(start: Start) -> None:
    """What a hook raised may hold anything; the batch that carries it must not suffer."""
    pool = await start()
    answers = await asyncio.gather(pool.ask("surrogate"), *(pool.ask("echo", n) for n in range(5)))
    assert [answer.data for answer in answers[1:]] == list(range(5))
    assert answers[0].temporary


@pytest.mark.parametrize("kind", list(RESPONSES))
def test_an_event_made_here_is_the_request_that_centrifugo_would_send(kind: str) -> None:
    """What the embedded server asks reaches a worker as the same event."""
    method = METHODS[kind]
    call = Call(Headers([("a", "b")]), "embedded")
    fields: dict[str, Any] = {}
    for name in method.event.__struct_fields__:
        if name.startswith("raw_"):
            fields[name] = b'{"k":1}'
        elif name == "labels":
            fields[name] = {"a": "b"}
        elif name == "channels":
            fields[name] = ("a", "b")
        elif name != "call":
            fields[name] = f"a {name}"
    event = method.event(call=call, **fields)
    assert PROTO[kind].decode(request_of(event), call) == event


def test_every_route_has_a_codec() -> None:
    assert set(frames.ROUTES) == {(k, "proto") for k in PROTO} | {(k, "json") for k in JSON}
    assert [frames.ROUTE[route] for route in frames.ROUTES] == list(range(len(frames.ROUTES)))


STREAMS = """
    import asyncio, os, pathlib
    from rtbridge import Publication, SubscribeResult, hookimpl

    FOLDER = pathlib.Path(os.environ["FOLDER"])

    @hookimpl
    async def on_subscribe_unidirectional(event):
        try:
            yield SubscribeResult()
            for number in range(event.data):
                yield Publication(data=number)
                (FOLDER / "yielded").write_text(str(number))
            if event.channel == "endless":
                await asyncio.sleep(3600)
            if event.channel == "exit":
                os._exit(3)
            if event.channel == "sysexit":
                raise SystemExit(3)
        finally:
            (FOLDER / "closed").write_text("")

    @hookimpl
    async def on_subscribe_bidirectional(event):
        yield SubscribeResult()
        async for publication in event.incoming:
            yield Publication(data=publication.data)
"""


def subscribe(channel: str, count: int) -> bytes:
    message = message_class("centrifugal.centrifugo.proxy.SubscribeRequest")
    return bytes(message(channel=channel, data=str(count).encode()).SerializeToString())


async def open_stream(pool: Pool, channel: str, count: int) -> Any:
    opened = await soon(
        pool.parent.handler.stream("subscribe_unidirectional")(subscribe(channel, count), pool.call(), None)
    )
    assert opened.stream is not None, opened.reply
    return opened.stream


async def read(stream: Any) -> list[bytes]:
    found = []
    async for item in stream.items():
        message = message_class("centrifugal.centrifugo.proxy.StreamSubscribeResponse").FromString(item)
        found.append(message.publication.data)
    return found


async def test_a_stream_comes_in_order_and_ends(start: Start) -> None:
    """Many more messages than may be under way at once."""
    pool = await start(STREAMS)
    assert await soon(read(await open_stream(pool, "x", 1000))) == [str(n).encode() for n in range(1000)]
    await until(lambda: [worker.streams for worker in pool.workers()] == [0])


async def test_a_stream_waits_for_whoever_reads_it(start: Start, project: Project) -> None:
    """A slow client holds its hook back, not the memory of the parent."""
    pool = await start(STREAMS)
    stream = await open_stream(pool, "x", 1000)
    await until(lambda: project.exists("yielded"))
    assert (await pool.ask("ping")).message.HasField("disconnect")  # whatever the hook could send has been read by now
    items = stream.items()
    first = await soon(anext(items))
    assert first.endswith(b"0")
    assert int((project.folder / "yielded").read_text()) <= frames.WINDOW
    assert len(stream._items) <= frames.WINDOW
    await items.aclose()
    await until(lambda: project.exists("closed"))


@pytest.mark.parametrize("how", ["abandon", "close"])
async def test_a_client_that_leaves_ends_its_stream(start: Start, project: Project, how: str) -> None:
    pool = await start(STREAMS)
    stream = await open_stream(pool, "endless", 1)
    if how == "abandon":
        stream.abandon()
    else:
        items = stream.items()
        await soon(anext(items))
        await items.aclose()
    await until(lambda: project.exists("closed"))
    await until(lambda: [worker.streams for worker in pool.workers()] == [0])


@pytest.mark.parametrize("channel", ["exit", "sysexit"])
async def test_a_stream_whose_worker_dies_fails(start: Start, channel: str) -> None:
    """Centrifugo then unsubscribes with 2500, and SDKs subscribe again, elsewhere."""
    pool = await start(STREAMS)
    (pid,) = await pool.ready(1)
    with pytest.raises(Exception, match="ended"):
        await soon(read(await open_stream(pool, channel, 3)))
    await pool.replaced(pid)


async def test_what_the_client_sends_reaches_its_stream(start: Start) -> None:
    """More than may be under way at once, and no more than the hook takes."""
    pool = await start(STREAMS)
    request = message_class("centrifugal.centrifugo.proxy.StreamSubscribeRequest")
    first = request()
    first.subscribe_request.channel = "x"
    sent = 0

    async def incoming() -> AsyncIterator[bytes]:
        nonlocal sent
        for number in range(500):
            message = request()
            message.publication.data = str(number).encode()
            sent += 1
            yield message.SerializeToString()

    opened = await soon(
        pool.parent.handler.stream("subscribe_bidirectional")(first.SerializeToString(), pool.call(), incoming())
    )
    assert opened.stream is not None
    assert await soon(read(opened.stream)) == [str(n).encode() for n in range(500)]
    assert sent == 500
