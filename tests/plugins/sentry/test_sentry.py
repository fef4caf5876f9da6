"""Reports to Sentry, read by a server that speaks its envelope protocol."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import sentry_sdk

from rtbridge import (
    Event,
    PluginError,
    Publication,
    RPCEvent,
    SubscribeResult,
    SubscribeUnidirectionalEvent,
    hookimpl,
    resettable,
)
from rtbridge.plugins import sentry
from rtbridge.testing import App
from tests.plugins.sentry.conftest import BOUND, Hooks, Sink, config, settled

CLIENT = "00000000-0000-4000-8000-000000000001"


async def test_what_is_reported(sink: Sink) -> None:
    """Unexpected exceptions, wrong answers and timeouts, each once; an answer is none, and neither is silence."""
    async with App([Hooks()], config=config(sink)) as app:
        for method in ("fail", "block", "wrong", "unwritable", "error", "disconnect", "fine", "nobody"):
            await app.rpc(method, "x")
        await app.rpc("wait", deadline=0.05)
        await settled(app)
    kinds = [kind for kind, _ in sink.errors()]
    assert kinds == ["LookupError", "LookupError", "TypeError", "WrongAnswer", "_TimedOut"]
    by_method = {event["tags"]["rtbridge.method"]: event for event in sink.events}
    assert by_method["block"]["tags"]["thread"] == "yes"
    assert by_method["wait"]["fingerprint"] == ["_TimedOut", "rpc"]
    assert "answered RPCEvent with int" in by_method["wrong"]["fingerprint"][1]
    chain = [value["type"] for value in by_method["fail"]["exception"]["values"]]
    assert chain == ["KeyError", "LookupError"]


async def test_a_thread_that_takes_too_long(sink: Sink) -> None:
    """The report is made while it is still busy, and shows where it is."""
    go_on = threading.Event()

    class Plugin:
        @hookimpl
        def on_rpc(self) -> None:
            go_on.wait(BOUND)

    async with App([Plugin()], config=config(sink)) as app:
        try:
            await app.rpc("m", deadline=0.05)
            await settled(app)
        finally:
            go_on.set()
    (report,) = sink.events
    assert "go_on.wait(BOUND)" in report["contexts"]["thread"]["stack"]


async def test_who_and_where_and_never_what(sink: Sink) -> None:
    """Kind, channel, method, user and client; no payload, meta, token, header or local variable."""
    payload, meta, token, header, secret = (f"hidden{number}" for number in range(5))

    class Plugin(Hooks):
        @hookimpl
        async def on_subscribe(self, event: Event) -> SubscribeResult:
            raise LookupError("gone")

    async with App([Plugin()], config=config(sink, secret={"values": [secret]})) as app:
        await app.subscribe("chat:1", user="42", data=payload, meta=meta, token=token, headers={"h": header})
        await app.rpc("fail", payload, user="42", meta=meta, headers={"h": header})
        await settled(app)
    one, two = sorted(sink.events, key=lambda event: str(event["tags"]["rtbridge.event"]))
    assert two["user"] == one["user"] == {"id": "42"}
    assert one["tags"] == {"rtbridge.event": "rpc", "rtbridge.method": "fail", "rtbridge.client": CLIENT}
    assert two["tags"] == {"rtbridge.event": "subscribe", "rtbridge.channel": "chat:1", "rtbridge.client": CLIENT}
    for hidden in (payload, meta, token, header, secret):
        assert hidden.encode() not in sink.raw
    assert "request" not in one
    assert not one.get("breadcrumbs", {}).get("values")


async def test_long_names_are_cut_off(sink: Sink) -> None:
    """A tag has at most 200 characters."""

    class Plugin:
        @hookimpl
        async def on_publish(self) -> None:
            raise LookupError("gone")

    async with App([Plugin()], config=config(sink)) as app:
        await app.publish("c" * 300)
        await settled(app)
    assert sink.events[0]["tags"]["rtbridge.channel"] == "c" * 200


async def test_scopes_do_not_leak(sink: Sink) -> None:
    """What hooks of many events at once set, on the loop, on threads and after the event, stays with its event."""
    number_of_events = 60
    all_there = asyncio.Barrier(number_of_events)

    class Plugin:
        @hookimpl(tryfirst=True)
        async def on_rpc(self, event: RPCEvent) -> None:
            sentry_sdk.set_tag("number", event.user)
            logging.getLogger("shop").warning("crumb %s", event.user)
            await all_there.wait()

        @hookimpl(specname="on_rpc")
        def blocking(self, event: RPCEvent) -> None:
            sentry_sdk.set_tag(f"thread{event.user}", "yes")
            if int(event.user) % 2:
                raise LookupError(event.user)

        @hookimpl
        async def after_event(self, event: RPCEvent) -> None:
            await asyncio.sleep(0)
            if not int(event.user) % 2:
                sentry_sdk.capture_message(event.user)

    async with App([Plugin()], config=config(sink)) as app:
        await asyncio.gather(*(app.rpc("m", user=str(number)) for number in range(number_of_events)))
        await settled(app)
        assert sentry_sdk.get_isolation_scope()._tags == {}
    assert sorted(int(event["user"]["id"]) for event in sink.events) == list(range(number_of_events))
    for event in sink.events:
        user = event["user"]["id"]
        tags = {name: value for name, value in event["tags"].items() if not name.startswith("rtbridge.")}
        assert tags == {"number": user, f"thread{user}": "yes"}
        assert [crumb["message"] for crumb in event["breadcrumbs"]["values"]] == [f"crumb {user}"]


async def test_what_is_set_at_boot_goes_with_every_event(sink: Sink) -> None:
    """Scopes of events begin as the one that plugins boot in."""

    class Plugin(Hooks):
        @hookimpl
        async def on_boot(self) -> None:
            assert sentry_sdk.get_client().dsn == sink.dsn
            sentry_sdk.set_tag("shard", "7")

    async with App([Plugin()], config=config(sink)) as app:
        await asyncio.create_task(app.rpc("fail", "x"))
        await settled(app)
    assert [event["tags"]["shard"] for event in sink.events] == ["7"]


async def test_streams(sink: Sink) -> None:
    """A stream has one scope from its first message to its end, whoever asks for its items."""

    class Plugin:
        @hookimpl
        async def on_subscribe_unidirectional(
            self, event: SubscribeUnidirectionalEvent
        ) -> AsyncGenerator[SubscribeResult | Publication]:
            sentry_sdk.set_tag("stream", event.channel)
            try:
                yield SubscribeResult()
                yield Publication(data=1)
                raise LookupError(event.channel)
            finally:
                sentry_sdk.capture_message(f"end of {event.channel}")

    async with App([Plugin()], config=config(sink)) as app:
        events = [SubscribeUnidirectionalEvent(channel=name, user=name, encoding="json") for name in ("a", "b")]
        streams = [aiter(await app.stream(event)) for event in events]
        for stream in streams:
            assert (await anext(stream)).data == 1
        assert sentry_sdk.get_isolation_scope()._tags == {}
        for stream in streams:
            with pytest.raises(Exception, match="a hook of the stream failed"):
                await anext(stream)
        await settled(app)
    assert sink.errors() == [("LookupError", "a"), ("LookupError", "b"), ("None", "None"), ("None", "None")]
    for report in sink.events:
        channel = report["user"]["id"]
        assert (report["tags"]["stream"], report["tags"]["rtbridge.channel"]) == (channel, channel)
        assert report.get("message", f"end of {channel}") == f"end of {channel}"


async def test_hooks_that_run_after_an_event(sink: Sink) -> None:
    """No `on_error` hears of them; Sentry does, by the log, with the event's scope."""

    class Plugin(Hooks):
        @hookimpl
        async def after_event(self) -> None:
            raise LookupError("after")

        def reset(self) -> None:
            raise LookupError("reset")

    resettable(plugin := Plugin())
    async with App([plugin], config=config(sink)) as app:
        await app.rpc("fine")
        await settled(app)
    assert sink.errors() == [("LookupError", "after"), ("LookupError", "reset")]
    assert {event["tags"]["rtbridge.method"] for event in sink.events} == {"fine"}


async def test_one_that_the_hook_reports_itself(sink: Sink) -> None:
    """Is not reported again when it leaves the hook, on a thread neither."""

    class Plugin:
        @hookimpl(tryfirst=True)
        def on_rpc(self, event: RPCEvent) -> None:
            try:
                raise LookupError("caught")
            except LookupError as error:
                if event.method == "captured":
                    sentry_sdk.capture_exception(error)
                else:
                    logging.getLogger("shop").exception("look")
                raise

    async with App([Plugin()], config=config(sink)) as app:
        await app.rpc("captured")
        await app.rpc("logged")
        await settled(app)
    assert sink.errors() == [("LookupError", "caught")] * 2


@pytest.mark.parametrize("trouble", ["refuses", "hangs", "is not there"])
async def test_a_sink_that(trouble: str, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are answered as ever, the queue has its bound, and the end waits no longer than it should."""
    monkeypatch.setattr(sentry, "FLUSH", 0.2)
    if trouble == "refuses":
        sink.status = 500
    elif trouble == "hangs":
        sink.hold.clear()
    else:
        sink.close()
    async with App([Hooks()], config=config(sink)) as app:
        for _ in range(150):
            outcome = await app.rpc("fail", "x")
            assert outcome.error is not None
            assert outcome.error.temporary
        assert (await app.rpc("fine")).result.data == 1
        await asyncio.wait_for(app.runtime.bridge.drain(), BOUND)
        if trouble == "hangs":
            assert await asyncio.to_thread(sink.asked.acquire, timeout=BOUND)
            transport: Any = sentry_sdk.get_client().transport
            assert transport._worker._queue.qsize() == 100
    assert sink.events == []
    assert not sentry_sdk.get_client().is_active()


async def test_a_client_that_is_broken() -> None:
    """What it raises reaches neither the client nor other hooks, and a failed boot says what failed."""

    class Broken(sentry_sdk.transport.Transport):
        def capture_envelope(self, envelope: Any) -> None:
            raise RuntimeError("broken")

    seen: list[str] = []

    class Plugin(Hooks):
        @hookimpl
        async def on_error(self, error: BaseException) -> None:
            seen.append(str(error))

    class Unbootable:
        @hookimpl
        async def on_boot(self) -> None:
            raise LookupError("no database")

    sentry_sdk.init(dsn="http://k@127.0.0.1:9/1", transport=Broken, default_integrations=False)
    async with App([Plugin()]) as app:
        assert (await app.rpc("fail", "x")).error is not None
        await asyncio.wait_for(app.runtime.bridge.drain(), BOUND)
    assert seen == ["no such order"]
    with pytest.raises(PluginError, match=r"on_boot .* failed: LookupError: no database"):
        async with App([Unbootable()]):
            pass
