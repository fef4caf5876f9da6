"""The server API over the control RPC: what goes wrong, and how it is told."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from rtbridge import ApiError, ApiFailure
from rtbridge.api import _generated as messages
from rtbridge.api.remote import Answered, answered, encode
from rtbridge.api.settings import ControlSettings
from tests.api.conftest import client_of
from tests.api.fakes import ControlFake, GrpcFake
from tests.centrifugo import find_free_port

pytestmark = pytest.mark.usefixtures("at_once")


@pytest.fixture
async def fake() -> AsyncIterator[ControlFake]:
    """The process."""
    async with ControlFake(lambda method, request: Answered(b"{}")).listening() as made:
        yield made


@pytest.fixture(params=["control", "control-sync"])
async def api(request: pytest.FixtureRequest, fake: ControlFake) -> AsyncIterator[Any]:
    """A client of it."""
    made = client_of(ControlSettings(target=fake.target, timeout=20.0), sync=request.param == "control-sync")
    yield made
    await made.close()


async def test_errors_travel(api: Any, fake: ControlFake) -> None:
    """With their code and their text."""
    fake.answer = lambda method, request: Answered(b"", 102, "unknown channel")
    with pytest.raises(ApiError) as refused:
        await api.publish("nowhere:room", 1)
    assert (refused.value.code, refused.value.message) == (102, "unknown channel")


async def test_an_answer_of_something_else(api: Any, fake: ControlFake) -> None:
    """It may have been carried out."""
    fake.answer = lambda method, request: Answered(b"[]")
    with pytest.raises(ApiFailure, match="answers something else than the control RPC does") as failed:
        await api.publish("room", 1)
    assert failed.value.may_have_happened is True


async def test_a_fault_of_the_process(api: Any, fake: ControlFake) -> None:
    """The same."""
    fake.answer = lambda method, request: 1 / 0
    with pytest.raises(ApiFailure, match=r": UNKNOWN: ") as failed:
        await api.publish("room", 1)
    assert (failed.value.may_have_happened, failed.value.temporary) == (True, False)


async def test_requests_have_a_bound(api: Any, fake: ControlFake) -> None:
    """That of the stores."""
    with pytest.raises(ApiFailure, match="takes no request as large as this one") as failed:
        await api.publish("room", "x" * (64 * 1024**2))
    assert (failed.value.may_have_happened, fake.asked) == (False, [])


@pytest.mark.parametrize("sync", [False, True])
async def test_nobody_there(sync: bool) -> None:
    """Says what to look at."""
    api = client_of(ControlSettings(target=f"127.0.0.1:{find_free_port()}", timeout=20.0), sync=sync)
    with pytest.raises(ApiFailure, match=r"is `rtbridge serve` running there, with rpc\.listen set\?") as failed:
        await api.publish("room", 1)
    await api.close()
    assert (failed.value.may_have_happened, failed.value.temporary) == (False, True)


async def test_another_service() -> None:
    """No control RPC, or one from before there was this call."""
    async with GrpcFake().listening() as other:
        other.answer = unimplemented
        api = client_of(ControlSettings(target=other.target, timeout=20.0))
        with pytest.raises(ApiFailure, match="is no control RPC of rtbridge, or that of an older one"):
            await api.publish("room", 1)
        await api.close()


async def unimplemented(method: str, context: Any) -> bytes:
    """What servers say of methods that they do not know."""
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
    return b""


def failing(method: str, request: Any) -> Any:
    """A bug of the server."""
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("serve", "method", "request_", "code"),
    [
        (None, "info", b"{}", 108),
        (failing, "nothing", b"{}", 107),
        (failing, "publish", b"{", 107),
        (failing, "publish", b"\xff", 107),
        (failing, "publish", b'{"channel":1}', 107),
        (failing, "info", b"{}", 100),
    ],
)
def test_what_is_asked_in_a_wrong_way(serve: Any, method: str, request_: bytes, code: int) -> None:
    """By a code, as over HTTP."""
    assert answered(serve, method, request_).code == code


def test_texts_that_cannot_be_written() -> None:
    """Are written otherwise."""

    def serve(method: str, request: Any) -> Any:
        raise ApiError(107, "\udcff")

    assert answered(serve, "info", encode(messages.InfoRequest())) == Answered(b"", 107, "\\udcff")
