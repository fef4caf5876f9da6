"""gRPC to a server that misbehaves: statuses, what is made again, metadata, deadlines."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from rtbridge import Api, ApiError, ApiFailure, Command, ConfigError, Position
from rtbridge.api.settings import GrpcSettings, Trust
from rtbridge.codec.descriptors import message_class
from tests.api.conftest import client_of
from tests.api.fakes import PACKAGE, GrpcFake
from tests.centrifugo import find_free_port

pytestmark = pytest.mark.usefixtures("at_once")


@pytest.fixture
async def fake() -> AsyncIterator[GrpcFake]:
    """The server."""
    async with GrpcFake().listening() as made:
        yield made


@pytest.fixture(params=["grpc", "grpc-sync"])
async def api(request: pytest.FixtureRequest, fake: GrpcFake) -> AsyncIterator[Api]:
    """A client of it."""
    settings = GrpcSettings(target=fake.target, key="the-key", timeout=20.0)
    made = client_of(settings, sync=request.param == "grpc-sync")
    yield made
    await made.close()


def failing(fake: GrpcFake, code: grpc.StatusCode, details: str = "x", times: int = 1000) -> None:
    """Have the next calls end with a status, those after them well."""
    left = times

    async def answer(method: str, context: Any) -> bytes:
        nonlocal left
        if left:
            left -= 1
            await context.abort(code, details)
        return await fake.empty(method, context)

    fake.answer = answer


async def test_a_request(api: Api, fake: GrpcFake) -> None:
    """Method and key, as Centrifugo wants them."""
    assert await api.publish("room", 1) == Position()
    ((method, metadata),) = fake.asked
    assert (method, metadata["authorization"]) == ("Publish", "apikey the-key")


async def test_a_read_is_made_again(api: Api, fake: GrpcFake) -> None:
    """Up to three times."""
    failing(fake, grpc.StatusCode.UNAVAILABLE, times=3)
    assert await api.presence("room") == {}
    assert len(fake.asked) == 4
    failing(fake, grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(ApiFailure, match=r"^the connection to gRPC 127\.0\.0\.1:\d+ broke: x$") as caught:
        await api.presence("room")
    assert (caught.value.may_have_happened, caught.value.temporary, len(fake.asked)) == (True, True, 8)


async def test_what_must_not_happen_twice_is_not_made_again(api: Api, fake: GrpcFake) -> None:
    """Only with a key by which the server knows it."""
    failing(fake, grpc.StatusCode.UNAVAILABLE)
    calls: list[Any] = [
        lambda: api.publish("room", 1),
        lambda: api.disconnect("42"),
        lambda: api.batch([Command.info(), Command.publish("room", 1)]),
    ]
    for number, call in enumerate(calls, 1):
        with pytest.raises(ApiFailure) as caught:
            await call()
        assert caught.value.may_have_happened
        assert len(fake.asked) == number
    failing(fake, grpc.StatusCode.UNAVAILABLE, times=1)
    await api.publish("room", 1, idempotency_key="k")
    assert len(fake.asked) == 5


async def test_time_is_up(fake: GrpcFake) -> None:
    """The server may have done what was asked."""

    async def never(method: str, context: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    fake.answer = never
    for sync in (False, True):
        api = client_of(GrpcSettings(target=fake.target, timeout=0.3), sync=sync)
        with pytest.raises(ApiFailure, match=r"did not answer within 0\.3 s") as caught:
            await api.publish("room", 1)
        assert (caught.value.may_have_happened, caught.value.temporary) == (True, True)
        await api.close()
    assert len(fake.asked) == 2


@pytest.mark.parametrize("sync", [False, True])
async def test_nobody_there(sync: bool) -> None:
    """Nothing has happened, for sure, and it may go better later."""
    api = client_of(GrpcSettings(target=f"127.0.0.1:{find_free_port()}"), sync=sync)
    with pytest.raises(
        ApiFailure, match=r"^nothing answers on gRPC 127\.0\.0\.1:\d+: .+is grpc_api\.enabled"
    ) as caught:
        await api.publish("room", 1)
    assert (caught.value.may_have_happened, caught.value.temporary) == (False, True)
    await api.close()


@pytest.mark.parametrize(
    ("status", "details", "code", "said", "happened"),
    [
        (grpc.StatusCode.NOT_FOUND, "unknown channel", 102, "unknown channel", None),
        (grpc.StatusCode.NOT_FOUND, "not found", 104, "not found", None),
        (grpc.StatusCode.INVALID_ARGUMENT, "bad request", 107, "bad request", None),
        (grpc.StatusCode.INVALID_ARGUMENT, "not available", 108, "not available", None),
        (grpc.StatusCode.OUT_OF_RANGE, "unrecoverable position", 112, "unrecoverable position", None),
        (grpc.StatusCode.ALREADY_EXISTS, "conflict", 113, "conflict", None),
        (grpc.StatusCode.UNAUTHENTICATED, "", 0, "refuses the API key: check the key", False),
        (grpc.StatusCode.UNIMPLEMENTED, "", 0, "has no method publish", False),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "too large", 0, "takes no request as large as this one", False),
        (grpc.StatusCode.INTERNAL, "broken", 0, "INTERNAL: broken", True),
    ],
)
async def test_statuses(
    api: Api, fake: GrpcFake, status: grpc.StatusCode, details: str, code: int, said: str, happened: bool | None
) -> None:
    """In its transport error mode Centrifugo tells errors by them; the others are of the way there."""
    failing(fake, status, details)
    with pytest.raises(ApiError, match=said) as caught:
        await api.publish("room", 1)
    assert caught.value.code == code
    assert getattr(caught.value, "may_have_happened", None) is happened
    assert "the-key" not in f"{caught.value}{api!r}"
    assert len(fake.asked) == 1


async def test_answers_that_are_none(api: Api, fake: GrpcFake) -> None:
    """Broken bytes, and a response that has nothing in it."""

    async def broken(method: str, context: Any) -> bytes:
        return b"\xff\xff\xff"

    async def nothing(method: str, context: Any) -> bytes:
        return b""

    fake.answer = broken
    with pytest.raises(ApiFailure, match="answers something else than the server API does"):
        await api.publish("room", 1)
    fake.answer = nothing
    with pytest.raises(ApiFailure, match="answers publish with neither a result nor an error"):
        await api.publish("room", 1)


async def test_numbers_that_the_message_cannot_carry(api: Api, fake: GrpcFake) -> None:
    """A bad request, as over HTTP, and nothing is sent."""
    with pytest.raises(ApiError, match="bad request") as caught:
        await api.publish("room", 1, version=-1)
    assert (caught.value.code, fake.asked) == (107, [])


async def test_an_answer_of_any_size(api: Api, fake: GrpcFake) -> None:
    """gRPC's own limit is 4 MiB."""

    async def large(method: str, context: Any) -> bytes:
        response = message_class(f"{PACKAGE}.HistoryResponse")()
        response.result.publications.add(data=b'"' + b"x" * (6 << 20) + b'"')
        return bytes(response.SerializeToString())

    fake.answer = large
    (found,) = (await api.history("room", limit=1)).publications
    assert len(found.data) == 6 << 20


@pytest.mark.parametrize("sync", [False, True])
async def test_tls(sync: bool, certificates: Any) -> None:
    """A server that wants a client certificate; nothing is said to one that another authority signed."""
    pair = (certificates.server_key.read_bytes(), certificates.server_cert.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], certificates.ca.read_bytes(), require_client_auth=True)
    ours = Trust(authority=certificates.ca, cert=certificates.client_cert, key=certificates.client_key)
    async with GrpcFake(credentials).listening() as secure:
        settings = GrpcSettings(target=secure.target, trust=ours, compress=True, timeout=20.0)
        for trust in (ours, replace(ours, server_name="localhost")):
            api = client_of(replace(settings, trust=trust), sync=sync)
            assert await api.publish("room", "x" * 1000) == Position()
            await api.close()
        assert len(secure.asked) == 2
        for trust in (
            replace(ours, authority=certificates.stranger_ca),
            replace(ours, server_name="elsewhere.example"),
            replace(ours, cert=None, key=None),
        ):
            api = client_of(replace(settings, trust=trust, timeout=0.5), sync=sync)
            with pytest.raises(ApiFailure):
                await api.publish("room", 1)
            await api.close()
        assert len(secure.asked) == 2
        missing = client_of(replace(settings, trust=replace(ours, authority=Path("nowhere.pem"))), sync=sync)
        with pytest.raises(ConfigError, match=r"^a TLS file for the server API cannot be used: nowhere\.pem: No such"):
            await missing.publish("room", 1)
