"""``http_metrics``: requests by status and time, on the status page, from all workers that there were."""

import asyncio
import os
import signal
import sys
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.exceptions import HTTPException
from starlette.requests import Request

from rtbridge.app import Runtime
from rtbridge.config import parse_config
from rtbridge.control.status import status_app
from rtbridge.errors import ConfigError, PluginError
from rtbridge.http import Site
from rtbridge.plugins.http import metrics as module
from rtbridge.plugins.http.metrics import BOUNDS, Counts, Measured, exposition
from rtbridge.testing import VirtualClock
from tests.workers.conftest import project as project
from tests.workers.conftest import until
from tests.workers.web import APP, served, web_configuration


def samples(text: bytes) -> dict[str, float]:
    """Each value by its name and labels."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_what_is_shown() -> None:
    """RoadRunner's names; a bucket holds what took no longer than its bound."""
    counts = Counts()
    for seconds in (0.004, 0.005, 0.3, 60.0):
        counts.one(200, seconds)
    counts.one(404, 0.001)
    found = samples(exposition(counts, 3).body)
    assert found["rr_http_request_total{status=200}"] == 4
    assert found["rr_http_request_total{status=404}"] == 1
    assert found["rr_http_requests_queue"] == 3
    assert found["rr_http_request_duration_seconds_bucket{le=0.005,status=200}"] == 2
    assert found["rr_http_request_duration_seconds_bucket{le=0.5,status=200}"] == 3
    assert found["rr_http_request_duration_seconds_bucket{le=10.0,status=200}"] == 3
    assert found["rr_http_request_duration_seconds_bucket{le=+Inf,status=200}"] == 4
    assert found["rr_http_request_duration_seconds_count{status=200}"] == 4
    assert found["rr_http_request_duration_seconds_sum{status=200}"] == pytest.approx(60.309)


def test_what_others_counted_is_added() -> None:
    """Taken once, and then counted from zero on."""
    here, there = Counts(), Counts()
    for status in (200, 200, 500):
        there.one(status, 0.1)
    here.add(there.take())
    assert there.rows() == []
    there.one(200, 0.2)
    here.add(there.take())
    assert [(status, sum(buckets)) for status, _, buckets in here.rows()] == [(200, 3), (500, 1)]
    here.add([(200, 1.0, [1] * 99)])  # more than there are
    assert len(here.rows()[0][2]) == len(BOUNDS) + 1


async def test_what_is_counted() -> None:
    """By the status that was answered; an application that fails has the one that is answered for it."""
    clock, counts = VirtualClock(), Counts()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        clock.advance(0.25)
        if scope["path"] == "/fail":
            raise RuntimeError
        await send({"type": "http.response.start", "status": int(scope["path"][1:]), "headers": []})
        await send({"type": "http.response.body", "body": b""})

    measured = Measured(app, counts, 503, clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(measured), base_url="http://h") as client:
        for path in ("/200", "/204", "/200"):
            await client.get(path)
        with pytest.raises(RuntimeError):
            await client.get("/fail")
    assert [(status, seconds) for status, seconds, _ in counts.rows()] == [(200, 0.5), (204, 0.25), (503, 0.25)]


def test_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start says what to install."""
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    tree = {
        "version": "3",
        "http": {"address": "127.0.0.1:0", "middleware": ["http_metrics"]},
        "status": {"address": "127.0.0.1:0"},
    }
    with pytest.raises(
        PluginError, match=r"needs prometheus-client; install it with pip install 'rtbridge\[metrics\]'"
    ):
        Runtime(parse_config(tree).config).web()


def test_a_status_page_is_needed() -> None:
    with pytest.raises(ConfigError, match="found http_metrics, but no section status, on whose address /metrics is"):
        parse_config({"version": "3", "http": {"address": "h:1", "middleware": ["http_metrics"]}})


async def ask(runtime: Any) -> httpx.Response:
    """The status page's answer."""
    app = status_app(None, dict, 503, runtime.metrics)  # type: ignore[arg-type]  # nobody asks it for more
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://h") as client:
        return await client.get("/metrics")


async def test_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted where the layer stands: what is answered before it is not."""
    site = Site()

    @site.get("/fine")
    async def fine(_: Request) -> str:
        return "fine"

    @site.get("/refused")
    async def refused(_: Request) -> None:
        raise HTTPException(403)

    monkeypatch.setitem(sys.modules, "site_for_metrics", SimpleNamespace(app=site))
    tree = {
        "version": "3",
        "http": {"address": "127.0.0.1:0", "app": "site_for_metrics:app", "middleware": ["http_metrics"]},
        "status": {"address": "127.0.0.1:0"},
    }
    runtime = Runtime(parse_config(tree).config)
    server = runtime.web()
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://{server.address}", trust_env=False) as client:
        for path in ("/fine", "/fine", "/refused"):
            await client.get(path)
    await server.stop(1)
    answer = await ask(runtime)
    found = samples(answer.content)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert found["rr_http_request_total{status=200}"] == 2
    assert found["rr_http_request_total{status=403}"] == 1
    assert found["rr_http_requests_queue"] == 0


async def test_nothing_is_counted() -> None:
    runtime = Runtime(parse_config({"version": "3", "http": {"address": "127.0.0.1:0"}}).config)
    answer = await ask(runtime)
    assert (answer.status_code, answer.text) == (404, "nothing is counted: http.middleware does not name http_metrics")


async def test_workers_count_for_their_parent(project: Any) -> None:
    """What a worker counted stays when it is replaced, and when it ends."""
    project.write("site_of_workers.py", APP)
    sections = {"status": {"address": "127.0.0.1:0"}, "http": {"middleware": ["http_metrics"]}}
    site = await served(web_configuration({}, **sections))
    try:
        for _ in range(3):
            await site.get("/pid")

        async def total() -> float:
            return samples((await ask(site.parent)).content).get("rr_http_request_total{status=200}", 0)

        async def comes(count: int) -> None:
            async with asyncio.timeout(20):
                while await total() != count:
                    await asyncio.sleep(0.02)

        await comes(3)
        (pid,) = await site.ready(1)
        os.kill(pid, signal.SIGKILL)
        await site.replaced(pid)
        await site.client.aclose()
        site.client = site.another()
        await site.get("/pid")
        await asyncio.wait_for(site.parent.reload(site.parent.config), 20)
        await site.ready(1)
        await comes(4)
        held = asyncio.create_task(site.get("/until/go"))
        await until(lambda: site.workers()[0].held == 1)
        assert samples((await ask(site.parent)).content)["rr_http_requests_queue"] == 1
        project.write("go", "")
        assert (await held).status_code == 200
    finally:
        await site.stop()
