"""HTTP to servers that misbehave: what is made again and what never is, broken answers, connections."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtbridge import Api, ApiError, ApiFailure, Command
from rtbridge.api.settings import HttpSettings, Trust
from tests.api.conftest import client_of
from tests.api.fakes import DROP, Answer, HttpFake, answer
from tests.centrifugo import find_free_port

HALF = Answer(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"resu', True)
BUSY = answer("busy", 503)


pytestmark = pytest.mark.usefixtures("at_once")


@pytest.fixture
async def fake() -> AsyncIterator[HttpFake]:
    """The server."""
    async with HttpFake().listening() as made:
        yield made


@pytest.fixture(params=["http", "http-sync"])
async def api(request: pytest.FixtureRequest, fake: HttpFake) -> AsyncIterator[Api]:
    """A client of it."""
    made = client_of(HttpSettings(url=fake.url, key="the-key", timeout=20.0), sync=request.param == "http-sync")
    yield made
    await made.close()


async def test_a_request(api: Api, fake: HttpFake) -> None:
    """What Centrifugo's documentation shows."""
    fake.answers = [answer('{"result":{"offset":3,"epoch":"e"},"more":null}')]
    assert (await api.publish("room", {"ä": 1})).offset == 3
    (asked,) = fake.asked
    assert (asked.path, asked.body.decode()) == ("/api/publish", '{"channel":"room","data":{"ä":1}}')
    assert (asked.headers["x-api-key"], asked.headers["content-type"]) == ("the-key", "application/json")
    assert asked.headers["host"] == fake.url.split("/")[2]


@pytest.mark.parametrize("fault", [DROP, HALF, BUSY], ids=["drop", "half", "busy"])
async def test_a_read_is_made_again(api: Api, fake: HttpFake, fault: Answer) -> None:
    """Up to three times."""
    fake.answers = [fault, fault, fault, answer('{"result":{"num_clients":2}}')]
    assert (await api.presence_stats("room")).num_clients == 2
    assert len(fake.asked) == 4
    fake.answers = [fault]
    with pytest.raises(ApiFailure) as caught:
        await api.presence_stats("room")
    assert (caught.value.may_have_happened, caught.value.temporary) == (True, True)
    assert len(fake.asked) == 8


@pytest.mark.parametrize("fault", [DROP, HALF, BUSY], ids=["drop", "half", "busy"])
async def test_what_must_not_happen_twice_is_not_made_again(api: Api, fake: HttpFake, fault: Answer) -> None:
    """The caller is told that it may have happened."""
    fake.answers = [fault]
    calls: list[Any] = [
        lambda: api.publish("room", 1),
        lambda: api.broadcast(["room"], 1),
        lambda: api.subscribe("42", "room"),
        lambda: api.unsubscribe("42", "room"),
        lambda: api.disconnect("42"),
        lambda: api.refresh("42"),
        lambda: api.history_remove("room"),
        lambda: api.rpc("x"),
        lambda: api.map_publish("room", "k", 1),
        lambda: api.map_remove("room", "k"),
        lambda: api.map_clear("room"),
        lambda: api.shared_poll_publish("room", "k", 1, version=1),
        lambda: api.batch([Command.info(), Command.publish("room", 1)]),
    ]
    for number, call in enumerate(calls, 1):
        with pytest.raises(ApiFailure) as caught:
            await call()
        assert caught.value.may_have_happened
        assert len(fake.asked) == number


async def test_what_has_a_key_is_made_again(api: Api, fake: HttpFake) -> None:
    """By it the server knows that it has it; a batch is made again where each command could be."""
    ok = answer()
    for call in (
        lambda: api.publish("room", 1, idempotency_key="k"),
        lambda: api.broadcast([], 1, idempotency_key="k"),
        lambda: api.map_publish("room", "k", 1, idempotency_key="k"),
        lambda: api.map_remove("room", "k", idempotency_key="k"),
    ):
        fake.answers = [DROP, ok]
        fake.asked.clear()
        await call()
        assert len(fake.asked) == 2
        assert fake.asked[0].body == fake.asked[1].body
    fake.answers = [DROP, answer('{"replies":[{"info":{}},{"publish":{}}]}')]
    fake.asked.clear()
    await api.batch([Command.info(), Command.publish("room", 1, idempotency_key="k")])
    assert len(fake.asked) == 2


async def test_a_refusal_is_not_made_again(api: Api, fake: HttpFake) -> None:
    """The server has answered."""
    fake.answers = [answer('{"error":{"code":100,"message":"internal server error"}}')]
    with pytest.raises(ApiError) as caught:
        await api.presence("room")
    assert (type(caught.value), caught.value.code, len(fake.asked)) == (ApiError, 100, 1)


@pytest.mark.parametrize("sync", [False, True])
async def test_nobody_there(sync: bool) -> None:
    """Nothing has happened, for sure, and it may go better later."""
    api = client_of(HttpSettings(url=f"http://127.0.0.1:{find_free_port()}/api"), sync=sync)
    with pytest.raises(ApiFailure, match=r"^nothing answers on http://127\.0\.0\.1:\d+/api: .+is the server") as caught:
        await api.publish("room", 1)
    assert (caught.value.may_have_happened, caught.value.temporary) == (False, True)
    await api.close()


@pytest.mark.parametrize("sync", [False, True])
async def test_time_is_up(fake: HttpFake, sync: bool) -> None:
    """A server that does not answer may have done what was asked."""
    fake.answers = [None]
    api = client_of(HttpSettings(url=fake.url, timeout=0.2), sync=sync)
    for call in (api.publish("room", 1), api.presence("room")):
        with pytest.raises(ApiFailure, match=r"did not answer within 0\.2 s") as caught:
            await call
        assert (caught.value.may_have_happened, caught.value.temporary) == (True, True)
    assert len(fake.asked) == 2
    await api.close()


@pytest.mark.parametrize("sync", [False, True])
async def test_time_is_up_before_anything_was_sent(fake: HttpFake, sync: bool) -> None:
    """A server that never says a word of TLS has not seen the request."""
    settings = HttpSettings(url=fake.url.replace("http:", "https:"), trust=Trust(), timeout=0.2)
    api = client_of(settings, sync=sync)
    with pytest.raises(ApiFailure, match=r"could not be reached within 0\.2 s") as caught:
        await api.publish("room", 1)
    assert not caught.value.may_have_happened
    await api.close()


@pytest.mark.parametrize(
    ("given", "code", "said", "happened"),
    [
        (answer("hello"), 0, "answers something else than the server API does", True),
        (answer(""), 0, "answers something else", True),
        (answer("[]"), 0, "answers something else", True),
        (answer('{"result":5}'), 0, "answers something else", True),
        (answer('{"result":{"presence":{"a":1}}}'), 0, "answers something else", True),
        (answer(b'{"result":{"presence":{"\xff":{}}}}'), 0, "answers something else", True),
        (answer("Bad Request\n", 400), 107, "bad request", None),
        (answer('{"code":102,"message":"unknown channel"}', 404), 102, "unknown channel", None),
        (answer('{"code":"x"}', 404), 0, "there is no server API at", False),
        (answer("404 page not found\n", 404), 0, "check the URL", False),
        (answer("", 405), 0, "there is no server API at", False),
        (answer("", 401), 0, "refuses the API key: check the key", False),
        (answer("", 413), 0, "takes no request as large as this one", False),
        (answer("", 302, "Location: /"), 0, "answers HTTP 302", False),
        (answer("", 429), 0, "answers HTTP 429", False),
        (answer("", 500), 0, "answers HTTP 500", True),
        (Answer(b"SSH-2.0-OpenSSH\r\n\r\n", True), 0, "what answers is not HTTP/1.1", True),
        (Answer(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", True), 0, "what answers is not HTTP/1.1", True),
    ],
)
async def test_answers_that_are_none(
    api: Api, fake: HttpFake, given: Answer, code: int, said: str, happened: bool | None
) -> None:
    """Typed, with a text that says where to look, and the connection is not used for anything else."""
    fake.answers = [given]
    with pytest.raises(ApiError, match=said) as caught:
        await api.presence("room")
    assert caught.value.code == code
    assert getattr(caught.value, "may_have_happened", None) is happened
    fake.answers = [answer('{"result":null}')]
    assert await api.presence("room") == {}


async def test_a_batch_with_too_few_answers(api: Api, fake: HttpFake) -> None:
    """Which of them is missing cannot be known; one that is there and empty can."""
    fake.answers = [answer('{"replies":[{"publish":{"offset":1}}]}')]
    with pytest.raises(ApiFailure, match="answered 1 of 2 commands"):
        await api.batch([Command.publish("a", 1), Command.publish("b", 1)])
    fake.answers = [answer('{"replies":[{"publish":{"offset":1}},{}]}')]
    _, second = await api.batch([Command.publish("a", 1), Command.publish("b", 1)])
    assert isinstance(second, ApiFailure)


async def test_connections_are_kept(api: Api, fake: HttpFake) -> None:
    """As long as the server keeps them."""
    for _ in range(3):
        await api.presence("room")
    assert {asked.connection for asked in fake.asked} == {1}
    fake.answers = [answer('{"result":{}}', 200, "Connection: close", close=True), answer()]
    for _ in range(3):
        await api.presence("room")
    assert [asked.connection for asked in fake.asked] == [1, 1, 1, 1, 2, 2]


async def test_an_answer_in_pieces(api: Api, fake: HttpFake) -> None:
    """Chunked, as proxies send it, after an interim answer."""
    head = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    fake.answers = [Answer(head + b'7\r\n{"resul\r\n13\r\nt":{"num_clients":7\r\n2\r\n}}\r\n0\r\n\r\n')]
    assert (await api.presence_stats("room")).num_clients == 7
    assert (await api.presence_stats("room")).num_clients == 7
    assert {asked.connection for asked in fake.asked} == {1}


async def test_more_than_was_asked_for(api: Api, fake: HttpFake) -> None:
    """A connection on which more comes than an answer is not used again."""
    fake.answers = [Answer(answer().data + b"more")]
    await api.presence("room")
    await api.presence("room")
    assert [asked.connection for asked in fake.asked] == [1, 2]
