"""`api.sync`: the server API for threads, over whatever an `Api` is made of."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rtbridge import Api, ApiError, ApiFailure, PublishEvent, PublishResult, RPCEvent, RPCResult, hookimpl
from rtbridge.api import LocalApi
from rtbridge.api.connect import open_async
from rtbridge.api.settings import GrpcSettings, HttpSettings
from rtbridge.app import Runtime
from rtbridge.config import parse_config
from rtbridge.testing import ApiCalls, App, VirtualClock
from tests.api.fakes import GrpcFake, HttpFake, answer

pytestmark = pytest.mark.timeout(60)


class Plugin:
    """Hooks on threads, and one on the event loop."""

    @hookimpl
    def on_boot(self, api: Api) -> None:
        api.sync.publish("news", "booted")

    @hookimpl
    def on_publish(self, event: PublishEvent, api: Api) -> PublishResult:
        present = api.sync.presence_stats(event.channel)
        return PublishResult(data={"users": present.num_users})

    @hookimpl
    async def on_rpc(self, event: RPCEvent, api: Api) -> RPCResult:
        with pytest.raises(RuntimeError, match=r"^api\.sync blocks, and this is the event loop .*: await api here$"):
            api.sync.publish("news", 1)
        return RPCResult(data=(await api.publish("news", event.data)).offset)


async def test_hooks_on_threads_call_it() -> None:
    """From on_boot on; on the loop itself it would wait for itself."""
    clock = VirtualClock()
    async with App([Plugin()], clock=clock) as app:
        app.api.answer("presence_stats", num_users=3)
        result = (await app.publish("room", 1)).result
        assert isinstance(result, PublishResult)
        assert result.data == {"users": 3}
        assert (await app.rpc("x", "called")).result is not None
        assert app.api.published == [("news", "booted"), ("news", "called")]
        app.api.refuse("presence_stats", 108)
        with pytest.raises(ApiError) as refused:
            await asyncio.to_thread(app.runtime.api.sync.presence_stats, "room")
        assert refused.value.code == 108


async def test_of_the_embedded_server_in_this_process() -> None:
    """Its channels belong to the event loop, so calls of threads run there."""
    channels = {"without_namespace": {"history_size": 100, "history_ttl": "60s"}}
    embedded = {"http_server": {"address": "127.0.0.1", "port": 0}, "channel": channels}
    config: dict[str, Any] = {"version": "3", "rtbridge": {"entry_points": False, "embedded": embedded}}
    runtime = Runtime(parse_config(config).config)
    runtime.transports()
    await runtime.boot()
    sync = runtime.api.sync
    found = await asyncio.gather(*(asyncio.to_thread(sync.publish, "room", number) for number in range(50)))
    assert sorted(position.offset for position in found) == list(range(1, 51))
    with pytest.raises(ApiError) as refused:
        await asyncio.to_thread(sync.publish, "nowhere:room", 1)
    assert refused.value.code == 102
    await runtime.shutdown()


@pytest.mark.parametrize("wire", ["http", "grpc"])
async def test_of_a_centrifugo(wire: str) -> None:
    """Threads share the connection of the hooks on the event loop."""
    config: dict[str, Any] = {"version": "3", "rtbridge": {"entry_points": False}}
    async with HttpFake().listening() as http, GrpcFake().listening() as grpc:
        http.answers = [answer('{"result":{"num_users":3}}')]
        if wire == "http":
            config["rtbridge"]["centrifugo_api"] = {"http": {"url": http.url}}
        else:
            config["centrifuge"] = {"grpc_api_address": f"tcp://{grpc.target}", "proxy_address": None}
        runtime = Runtime(parse_config(config).config)
        await runtime.boot()
        await runtime.api.presence_stats("room")
        found = await asyncio.to_thread(runtime.api.sync.presence_stats, "room")
        await runtime.shutdown()
        if wire == "http":
            assert (found.num_users, [asked.connection for asked in http.asked]) == (3, [1, 1])
        else:
            assert [method for method, _ in grpc.asked] == ["PresenceStats"] * 2


async def test_of_an_api_made_by_hand() -> None:
    """A client of its own over the same settings, which needs no event loop and is closed with the other."""
    async with HttpFake().listening() as http, GrpcFake().listening() as grpc:
        for settings in (HttpSettings(url=http.url), GrpcSettings(target=grpc.target)):
            async with open_async(settings) as api:
                await asyncio.to_thread(api.sync.publish, "room", 1)
        assert (len(http.asked), len(grpc.asked)) == (1, 1)


class Calling(threading.Thread):
    """A call on a thread, and how it failed."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self._work = work
        self._failure: ApiFailure | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except ApiFailure as failure:
            self._failure = failure

    def failure(self) -> ApiFailure:
        """How it failed, once it is over; this thread stands still until then."""
        self.join(20)
        assert self._failure is not None
        return self._failure


async def test_a_loop_that_stands_still() -> None:
    """The call ends in its time, and nothing of it happens later."""
    calls = ApiCalls()
    api = LocalApi()
    api.bind(calls.serve)
    api.attach()
    failure = Calling(lambda: api.sync.publish("room", 1, timeout=0.01)).failure()
    assert str(failure) == "api.sync: the event loop of the hooks was busy for 0.01 s"
    assert (failure.may_have_happened, failure.temporary) == (False, True)
    await asyncio.to_thread(api.sync.publish, "room", 2)
    assert calls.published == [("room", 2)]


def test_a_loop_that_is_over() -> None:
    """Before the hooks run, after them, and in between."""
    api = LocalApi()
    with pytest.raises(RuntimeError, match=r"^api\.sync: no event loop runs hooks yet; use it from on_boot on$"):
        api.sync.publish("room", 1)
    begun = threading.Event()

    async def never(method: str, request: Any, *, timeout: float | None = None) -> Any:
        begun.set()
        await asyncio.Event().wait()

    async def end_during_a_call() -> Calling:
        api.relay(never)
        api.attach()
        calling = Calling(lambda: api.sync.publish("room", 1))
        await asyncio.to_thread(begun.wait, 20)
        return calling

    failures = [asyncio.run(end_during_a_call()).failure(), Calling(lambda: api.sync.publish("room", 1)).failure()]
    assert [(str(each), each.may_have_happened) for each in failures] == [
        ("api.sync: the event loop of the hooks ended during the call", True),
        ("api.sync: the event loop of the hooks has ended", False),
    ]
