"""HTTP workers: an application in processes of its own, on one socket."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from rtbridge.errors import ListenError, PluginError
from rtbridge.transport.settings import bind
from tests.workers.conftest import Project, soon, until
from tests.workers.web import APP, Load, Served, go, served, web_configuration

Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve(project: Project) -> AsyncIterator[Serve]:
    """Starts a parent: ``app`` is the text of the application, the rest keys of ``http.pool`` or sections."""
    running: list[Served] = []

    async def start(app: str = APP, *, sections: dict[str, Any] | None = None, **pool: Any) -> Served:
        project.write("site_of_workers.py", app)
        running.append(await served(web_configuration(pool, **(sections or {}))))
        return running[-1]

    yield start
    for each in running:
        await each.stop()


async def test_an_application_runs_in_processes_of_its_own(serve: Serve) -> None:
    """Told what they are by RR_MODE; no other worker is there where nothing else listens."""
    site = await serve(num_workers=2)
    pids = await site.ready(2)
    assert await site.pid() in pids
    assert (await site.get("/env/RR_MODE")).text == "http"
    assert [(worker.mode, worker.number) for worker in site.parent.workers()] == [("http", 1), ("http", 2)]
    listing = site.parent.listing()
    assert listing is not None
    assert listing.plugins == ["site_of_workers"]


async def test_the_world_of_hooks_is_there(serve: Serve) -> None:
    """Routes of hooks, behind on_boot; the stores of the parent; what is resettable is reset."""
    site = await serve()
    (pid,) = await site.ready(1)
    assert (await site.get("/hook")).json() == ["shop", [pid]]
    assert (await site.get("/count")).json() == 1
    assert (await site.get("/count")).json() == 2
    assert (await site.get("/resets")).json() == 3
    os.kill(pid, signal.SIGKILL)
    await site.replaced(pid)
    assert (await site.get("/count")).json() == 3


async def test_the_server_api_is_there(serve: Serve) -> None:
    """That of the embedded server, which the parent has."""
    embedded = {
        "http_server": {"address": "127.0.0.1", "port": 0},
        "channel": {"without_namespace": {"history_size": 10, "history_ttl": "60s"}},
    }
    site = await serve(sections={"rtbridge": {"embedded": embedded}})
    assert (await site.get("/channels")).json() == 1
    assert sorted(worker.mode for worker in site.parent.workers()) == ["centrifuge", "http"]


async def test_one_process_has_the_same(serve: Serve) -> None:
    """http.pool.debug: the application is where the socket is."""
    site = await serve(debug=True)
    assert site.workers() == []
    assert await site.pid() == os.getpid()
    assert (await site.get("/hook")).json() == ["shop", [os.getpid()]]
    assert (await site.get("/count")).json() == 1


@pytest.mark.parametrize("how", ["reload", "SIGTERM"])
@pytest.mark.parametrize("keep_alive", [True, False])
async def test_a_replacement_under_load_loses_no_request(serve: Serve, how: str, keep_alive: bool) -> None:
    """The successor takes connections before the old one stops to; each of that one's ends with an answer."""
    site = await serve(num_workers=2)
    before = await site.ready(2)
    load = Load(site, keep_alive=keep_alive)
    await load.more()
    if how == "reload":
        await soon(site.parent.reload(site.parent.config))
    else:
        for pid in before:
            os.kill(pid, signal.SIGTERM)
        await until(lambda: not {worker.pid for worker in site.workers("ready")} & set(before))
    await load.more()
    after = await site.ready(2)
    load.pids.clear()
    await load.more()
    await load.end()
    assert load.failed == []
    assert load.pids <= set(after)
    assert not set(after) & set(before)


async def test_connections_that_come_at_once_are_shared(serve: Serve) -> None:
    """No worker takes all of them, as those of a proxy that opens many and keeps them. Who is given the processor when
    is the system's business, so there are more until each has some."""
    site = await serve(num_workers=2)
    await site.ready(2)
    clients: list[httpx.AsyncClient] = []
    held: list[asyncio.Task[httpx.Response]] = []
    while not all(worker.held for worker in site.workers()):
        assert len(clients) < 160
        clients += [site.another() for _ in range(16)]
        held += [asyncio.create_task(client.get("/until/go")) for client in clients[-16:]]
        await until(partial(site.holds, len(held)))
    go()
    assert {(await soon(answer)).status_code for answer in held} == {200}
    for client in clients:
        await client.aclose()


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_streams_that_nobody_reads_take_no_memory(serve: Serve, kind: str) -> None:
    """Twenty readers take a byte now and then, and 10 MB wait for each."""
    site = await serve()
    await site.get("/chunks/" + kind)
    host, _, port = site.address.rpartition(":")
    before = site.workers()[0].memory
    readers: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    for _ in range(20):
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(f"GET /chunks/{kind} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        readers.append((reader, writer))
    for _ in range(100):
        for reader, _ in readers:
            await soon(reader.readexactly(1))
    assert site.workers()[0].memory - before < 30 * 1024 * 1024
    for _, writer in readers:
        writer.transport.abort()
    await until(lambda: site.workers()[0].held == 0, "they go on although nobody reads them")


async def test_a_killed_worker_costs_its_own_requests(serve: Serve) -> None:
    """Those that it held; every other one is answered, and new ones are by the others."""
    site = await serve(num_workers=2)
    await site.ready(2)
    load = Load(site, keep_alive=False)
    await load.more()
    victim = site.workers()[0].pid
    os.kill(victim, signal.SIGKILL)
    await load.more(200)
    await site.replaced(victim)
    await load.end()
    assert len(load.failed) <= 4  # one for each of those that may have been there
    assert all(isinstance(each, httpx.TransportError) for each in load.failed)
    await site.ready(2)


async def test_requests_under_way_end_where_they_are(serve: Serve) -> None:
    """Also those that have begun their answer; server-sent events end, for browsers to connect again."""
    site = await serve()
    (old,) = await site.ready(1)
    held = asyncio.create_task(site.get("/until/go"))
    async with (
        site.another() as other,
        other.stream("GET", "/lines/go") as lines,
        other.stream("GET", "/events") as sse,
    ):
        parts = lines.aiter_text()
        assert await anext(parts) == "first\n"
        events = sse.aiter_text()
        assert "data" in await anext(events)
        await until(lambda: os.path.exists(os.path.join(os.environ["FOLDER"], "until")))
        await soon(site.parent.reload(site.parent.config))
        assert {worker.state for worker in site.workers()} == {"ready", "retiring"}
        assert await site.pid() != old
        assert [text async for text in events if "data" in text] == []
        go()
        assert (await soon(held)).text == str(old)
        assert await anext(parts) == "last\n"
    await site.replaced(old)


async def test_a_stop_lets_requests_end(serve: Serve, project: Project) -> None:
    site = await serve()
    held = asyncio.create_task(site.another().get("/until/go"))
    await until(lambda: project.exists("until"))
    stopping = asyncio.create_task(site.stop())
    await until(lambda: site.workers() and site.workers()[0].state == "retiring")
    go()
    assert (await soon(held)).status_code == 200
    await soon(stopping)


async def test_a_worker_that_exits_is_replaced(serve: Serve) -> None:
    site = await serve()
    (pid,) = await site.ready(1)
    with pytest.raises(httpx.TransportError):
        await site.get("/exit")
    await site.replaced(pid)
    assert (await site.get("/pid")).text != str(pid)


@pytest.mark.parametrize(
    ("pool", "path"),
    [
        ({"max_jobs": 3}, "/pid"),
        ({"supervisor": {"watch_tick": "20ms", "ttl": "300ms"}}, "/pid"),
        ({"supervisor": {"watch_tick": "20ms", "idle_ttl": "100ms"}}, "/pid"),
        ({"supervisor": {"watch_tick": "20ms", "max_worker_memory": 200}}, "/leak/300"),
    ],
    ids=lambda value: str(value),
)
async def test_a_worker_that_has_had_its_time_is_replaced(serve: Serve, pool: dict[str, Any], path: str) -> None:
    """At no cost."""
    site = await serve(**pool)
    pid = site.workers()[0].pid
    for _ in range(3):
        assert (await site.get(path)).status_code == 200
    await site.replaced(pid)


async def test_a_request_beyond_exec_ttl_is_answered(serve: Serve, project: Project) -> None:
    """A handler that heeds that is cancelled, and its worker stays; a request that comes slowly has the time it needs,
    and so has an answer that has begun."""
    site = await serve(supervisor={"exec_ttl": "500ms"})
    (pid,) = await site.ready(1)
    async with site.another() as other, other.stream("GET", "/lines/go") as lines:
        assert (await site.get("/wait")).status_code == 500
        await until(lambda: project.exists("cancelled"))
        go()
        assert [line async for line in lines.aiter_lines()] == ["first", "last"]

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x"
        project_file = os.path.join(os.environ["FOLDER"], "cancelled")
        os.remove(project_file)
        await site.get("/wait")  # takes as long as exec_ttl
        yield b"y"

    assert (await soon(site.client.post("/size", content=slowly()))).json() == 2
    assert await site.ready(1) == [pid]


async def test_a_thread_that_does_not_return_costs_its_worker(serve: Serve) -> None:
    own = {"rtbridge": {"drain_timeout": "300ms"}}
    site = await serve(supervisor={"exec_ttl": "300ms"}, destroy_timeout="300ms", sections=own)
    (pid,) = await site.ready(1)
    assert (await site.get("/thread")).status_code == 500
    await site.replaced(pid)


async def test_a_worker_whose_loop_stays_blocked_is_killed(serve: Serve, project: Project) -> None:
    site = await serve(supervisor={"exec_ttl": "1s"})
    (pid,) = await site.ready(1)
    with pytest.raises(httpx.TransportError):
        await site.get("/block/3600")
    await site.replaced(pid)
    assert (await site.get("/pid")).status_code == 200


BROKEN = "import os; os._exit(7)"


async def test_who_asks_is_told_that_no_worker_starts(serve: Serve, project: Project) -> None:
    """Rather than to wait for one; with the first worker that starts all is well."""
    site = await serve(sections={"http": {"internal_error_code": 503}})
    (pid,) = await site.ready(1)
    project.write("site_of_workers.py", BROKEN)
    os.kill(pid, signal.SIGKILL)
    readiness = site.parent.readiness
    await until(lambda: any("http worker 1 failed 3 times in a row" in why for why in readiness.reasons))
    for _ in range(3):
        async with site.another() as client:
            answer = await soon(client.get("/pid"))
            assert (answer.status_code, answer.text) == (503, "Service Unavailable")
    project.write("site_of_workers.py", APP)
    await site.ready(1)
    await until(lambda: readiness.ready)
    async with site.another() as client:
        assert (await client.get("/pid")).status_code == 200


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1/0", r"site_of_workers cannot be imported \(.*site_of_workers.py:1\): ZeroDivisionError"),
        ("app = None", "http.app: site_of_workers:app is no application"),
        (BROKEN, "http workers do not start: it exited with code 7"),
    ],
)
async def test_an_application_that_does_not_start_ends_an_eager_start(serve: Serve, text: str, why: str) -> None:
    with pytest.raises(PluginError, match=why):
        await serve(text)


async def test_lazy_workers_start_with_a_request(serve: Serve, project: Project) -> None:
    """The application and on_boot; what fails is answered, and tried again."""
    broken = APP.replace("BOOTED.append(os.getpid())", "1/0")
    site = await serve(broken, sections={"http": {"lazy_boot": True, "debug": True}})
    answer = await site.get("/pid")
    assert answer.status_code == 500
    assert "on_boot" in answer.text
    assert "ZeroDivisionError" in answer.text


async def test_lazy_workers_heal_from_a_broken_import(serve: Serve, project: Project) -> None:
    site = await serve("1/0", sections={"http": {"lazy_boot": True, "debug": True}})
    answer = await site.get("/pid")
    assert answer.status_code == 500
    assert "http worker 1 failed: plugin site_of_workers cannot be imported" in answer.text
    project.write("site_of_workers.py", APP)
    await site.ready(1)
    async with site.another() as client:
        assert (await client.get("/pid")).status_code == 200


async def test_a_reload_brings_new_settings(serve: Serve) -> None:
    """Those of the application's server too; where it listens stays."""
    site = await serve()
    config = web_configuration({}, http={"address": "127.0.0.1:1", "access_logs": True, "max_request_size": 1})
    assert site.parent.restart_keys(config) == ["http.address"]
    await soon(site.parent.reload(config))
    async with site.another() as client:
        assert (await soon(client.post("/size", content=b"x" * (1024 * 1024 + 1)))).status_code == 413


async def test_a_reload_that_fails_leaves_everything_as_it_was(serve: Serve, project: Project) -> None:
    site = await serve()
    before = await site.ready(1)
    project.write("site_of_workers.py", "1/0")
    with pytest.raises(PluginError, match="cannot be imported"):
        await soon(site.parent.reload(site.parent.config))
    assert await site.ready(1) == before
    assert (await site.get("/pid")).status_code == 200


async def test_a_unix_socket(serve: Serve, project: Project) -> None:
    path = project.folder / "web.sock"
    site = await serve(sections={"http": {"address": f"unix://{path}"}})
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path))) as client:
        assert (await soon(client.get("http://shop/pid"))).text == str(site.workers()[0].pid)
    await site.stop()
    assert not path.exists()


async def test_an_address_that_is_taken(serve: Serve) -> None:
    with bind("127.0.0.1:0", "test") as taken:
        taken.listen()
        with pytest.raises(ListenError, match="HTTP cannot listen on"):
            await serve(sections={"http": {"address": f"127.0.0.1:{taken.getsockname()[1]}"}})
