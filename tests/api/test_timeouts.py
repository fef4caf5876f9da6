"""A call's own timeout, on every way that a call travels, at a server that does not answer."""

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

from rtbridge import Api, ApiFailure, Command, SyncApi
from rtbridge.api import LocalApi
from rtbridge.api import _generated as messages
from rtbridge.api.settings import ControlSettings, GrpcSettings, HttpSettings
from rtbridge.workers.framed_api import FramedApi
from rtbridge.workers.frames import TO_WORKER, Unpacker
from rtbridge.workers.link import Link
from tests.api.conftest import Threaded, client_of
from tests.api.fakes import ControlFake, GrpcFake, HttpFake, answer

#: Above what the tests may take, so that one that waits for it fails.
CONFIGURED: Final = 600.0

pytestmark = pytest.mark.timeout(60)

WAYS: Final = ("http", "http-sync", "grpc", "grpc-sync", "control", "control-sync", "framed", "framed-sync")


async def never(*_: Any) -> bytes:
    """No answer."""
    await asyncio.Event().wait()
    return b""


async def framed(stack: AsyncExitStack) -> LocalApi:
    """The API of a worker whose parent takes calls and does nothing."""
    end, other = socket.socketpair()
    stack.callback(other.close)
    link = await Link.over(end, Unpacker(TO_WORKER), lambda frames: None, lambda: None)
    stack.callback(link.abort)
    made = LocalApi(timeout=CONFIGURED)
    made.relay(FramedApi(link, CONFIGURED).call)
    made.attach()
    return made


@pytest.fixture(params=WAYS)
async def api(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A client of a server that does not answer."""
    wire, _, sync = request.param.partition("-")
    async with AsyncExitStack() as stack:
        made: Any
        if wire == "framed":
            local = await framed(stack)
            made = Threaded(local.sync) if sync else local
        elif wire == "http":
            http = await stack.enter_async_context(HttpFake().listening())
            http.answers = [answer(), None]
            made = client_of(HttpSettings(url=http.url, timeout=CONFIGURED), sync=bool(sync))
            await made.info()  # the connection is there, so that the time is the server's alone
        elif wire == "control":
            control = await stack.enter_async_context(ControlFake(never).listening())
            made = client_of(ControlSettings(target=control.target, timeout=CONFIGURED), sync=bool(sync))
        else:
            grpc = await stack.enter_async_context(GrpcFake().listening())
            grpc.answer = never
            made = client_of(GrpcSettings(target=grpc.target, timeout=CONFIGURED), sync=bool(sync))
        yield made
        await made.close()


CALLS: Final[dict[str, Callable[[Any], Awaitable[Any]]]] = {
    "a method": lambda api: api.publish("room", 1, timeout=0.2),
    "one that may be made twice": lambda api: api.presence("room", timeout=0.2),
    "run": lambda api: api.run(Command.info(), timeout=0.2),
    "call": lambda api: api.call("info", messages.InfoRequest(), timeout=0.2),
    "batch": lambda api: api.batch([Command.publish("room", 1)], timeout=0.2),
}


@pytest.mark.parametrize("call", CALLS)
async def test_it_ends_the_call(api: Any, call: str) -> None:
    """In place of the configured one; the server has the request, so it may have been carried out."""
    with pytest.raises(ApiFailure, match=r"did not answer within 0\.2 s$") as failed:
        await CALLS[call](api)
    assert (failed.value.may_have_happened, failed.value.temporary) == (True, True)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
async def test_what_is_no_timeout(api: Any, timeout: float) -> None:
    """Refused before anything is sent."""
    with pytest.raises(ValueError, match=r"^timeout=.*: seconds above zero are wanted, or None for the configured"):
        await api.publish("room", 1, timeout=timeout)


@pytest.mark.parametrize("make", [lambda: HttpSettings(url="http://c/api", timeout=0), lambda: LocalApi()])
async def test_settings_without_time(make: Callable[[], Any]) -> None:
    """Told where they are made; an API that answers in this process looks at the value, too."""
    with pytest.raises(ValueError, match="seconds above zero are wanted"):
        await make().publish("room", 1, timeout=0)


async def test_a_worker_whose_link_is_full() -> None:
    """A request that did not leave cannot have been carried out."""
    async with AsyncExitStack() as stack:
        end, other = socket.socketpair()
        stack.callback(other.close)
        link = await Link.over(end, Unpacker(TO_WORKER), lambda frames: None, lambda: None)
        stack.callback(link.abort)
        link.pause_writing()
        with pytest.raises(ApiFailure, match=r"^the parent process did not answer within 0\.05 s$") as failed:
            await FramedApi(link, CONFIGURED).call("info", messages.InfoRequest(), timeout=0.05)
        assert failed.value.may_have_happened is False
        link.resume_writing()
        calling = asyncio.create_task(FramedApi(link, CONFIGURED).call("info", messages.InfoRequest()))
        await asyncio.sleep(0)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling


@pytest.mark.parametrize("colour", [Api, SyncApi])
def test_every_method_takes_it(colour: type) -> None:
    """As the last argument, by name."""
    methods = [name for name, value in vars(Command).items() if isinstance(value, staticmethod)]
    for name in [*methods, "run", "batch", "call"]:
        parameter = inspect.signature(getattr(colour, name)).parameters["timeout"]
        assert (parameter.kind, parameter.default) == (parameter.KEYWORD_ONLY, None), name
