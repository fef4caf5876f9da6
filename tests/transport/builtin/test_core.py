"""The core of a connection: calls in and out, headers, and the end of streams and connections."""

import gzip
from typing import Any

import pytest

from rtbridge.transport.builtin import frames
from rtbridge.transport.builtin.limits import Limits
from rtbridge.transport.builtin.sending import percent_encoded
from rtbridge.transport.builtin.streams import Cancelled, Ended, Message, Stream
from tests.transport.builtin.wire import CALL, GET, Client, data, kinds, message, reset

REPLY = [frames.HEADERS, frames.DATA, frames.HEADERS]


def failed(found: Any) -> tuple[str, str]:
    """Status and text of a call that has no answer but these."""
    headers = found[0]
    assert (headers.kind, headers.flags) == (frames.HEADERS, frames.END_HEADERS | frames.END_STREAM)
    assert headers.fields[":status"] == "200"
    assert headers.fields["content-type"] == "application/grpc"
    return headers.fields["grpc-status"], headers.fields.get("grpc-message", "")


def test_the_greeting() -> None:
    """Settings come first, with our limits, then room for all streams, then the answer to the client's settings."""
    greeting = Client(Limits(streams=7, header_size=1000)).greeting
    assert kinds(greeting) == [frames.SETTINGS, frames.WINDOW_UPDATE, frames.SETTINGS]
    values = {greeting[0].payload[i + 1]: int.from_bytes(greeting[0].payload[i + 2 : i + 6]) for i in (0, 6, 12)}
    assert values == {
        frames.MAX_CONCURRENT_STREAMS: 7,
        frames.INITIAL_WINDOW_SIZE: 2**20,
        frames.MAX_HEADER_LIST_SIZE: 4000,
    }
    assert greeting[2].flags == frames.ACK


@pytest.mark.parametrize("by", [0, 1, 7, 100])
def test_calls(by: int) -> None:
    """Whole calls come out with what their headers say, however the bytes are cut, and are answered with OK."""
    client = Client()
    own = {"x_a": "1", "user_agent": "me", "x_bin": "AQI", "grpc_timeout": "250m"}
    sent = b"".join(client.unary(number, b"ping%d" % number, **own) for number in (1, 3, 5))
    assert client.feed(sent, by) == []
    calls = client.called()
    assert [call.message for call in calls] == [b"ping1", b"ping3", b"ping5"]
    for call in calls:
        assert (call.head.path, call.timeout) == ("/s/Unary", 0.25)
        assert list(call.head.headers.pairs()) == [("x-a", "1"), ("user-agent", "me"), ("x-bin", b"\x01\x02")]
    assert len({call.head for call in calls}) == 1
    for call in calls:
        client.connection.respond(call, b"pong")
        client.connection.respond(call, b"once more, which is nothing")
        headers, body, trailers = client.read()
        assert kinds([headers, body, trailers]) == REPLY
        assert {headers.stream, body.stream, trailers.stream} == {call.id}
        assert headers.fields == {":status": "200", "content-type": "application/grpc"}
        assert (headers.flags, body.flags, trailers.flags) == (4, 0, 5)
        assert body.payload == message(b"pong")
        assert trailers.fields == {"grpc-status": "0"}
    assert client.connection.calls == {}


def test_replies_get_short() -> None:
    """After the first reply, headers and trailers are three bytes."""
    client = Client()
    sizes = []
    for number in (1, 3, 5):
        client.feed(client.unary(number))
        (call,) = client.called()
        client.connection.respond(call, b"")
        sizes.append(len(client.connection.data_to_send()))
    assert sizes[1] == sizes[2] == 3 * 9 + 3 + 5 < sizes[0]


def test_the_order_of_the_peers_table() -> None:
    """Streams that begin, calls between, and streams that end: each block means what it meant when it was written."""
    client = Client()
    stream = client.open(1)
    client.connection.send(stream, b"a")
    found = client.feed(client.unary(3) + client.unary(5, path="/s/Stream"))
    unary, other = client.called()
    client.connection.finish(other)
    client.connection.respond(unary, b"b")
    client.connection.finish(stream)
    found += client.feed(data(1, b""))
    assert [(each.stream, each.fields) for each in found if each.kind == frames.HEADERS] == [
        (1, {":status": "200", "content-type": "application/grpc"}),
        (5, {":status": "200", "content-type": "application/grpc"}),
        (5, {"grpc-status": "0"}),
        (3, {":status": "200", "content-type": "application/grpc"}),
        (3, {"grpc-status": "0"}),
        (1, {"grpc-status": "0"}),
    ]


@pytest.mark.parametrize("size", [0, 100, 4095])
def test_a_peer_with_a_small_table(size: int) -> None:
    """Nothing is put into it, and the next block says so."""
    client = Client(settings={frames.HEADER_TABLE_SIZE: size})
    client.decoder.max_allowed_table_size = size
    for number in (1, 3):
        client.feed(client.unary(number))
        (call,) = client.called()
        client.connection.respond(call, b"x")
        found = client.read()
        assert kinds(found) == REPLY
        assert found[0].payload.startswith(b"\x20") == (number == 1)
        assert (found[0].fields["content-type"], found[2].fields) == ("application/grpc", {"grpc-status": "0"})


def test_failures() -> None:
    """Without an answer before it, a status travels in the only headers; its text is percent-encoded and bounded."""
    client = Client()
    client.feed(client.unary(1) + client.unary(3) + client.unary(5))
    first, second, third = client.called()
    client.connection.fail(first, 3, "100 % bad: é\n")
    assert failed(client.read()) == ("3", "100 %25 bad: %C3%A9%0A")
    client.connection.fail(second, 13, "")
    client.connection.fail(second, 13, "")
    assert failed(client.read()) == ("13", "")
    client.connection.send(third, b"x")
    client.connection.fail(third, 13, "late")
    found = client.read()
    assert kinds(found) == REPLY
    assert found[2].fields == {"grpc-status": "13", "grpc-message": "late"}
    assert len(percent_encoded("é" * 5000)) == 6 * 1024


def test_a_caller_that_is_still_sending() -> None:
    """It is told that it need not, and what it had sent by then is ignored."""
    client = Client()
    stream = client.open(1)
    client.connection.fail(stream, 7, "no")
    found = client.read()
    assert kinds(found) == [frames.HEADERS, frames.RST_STREAM]
    assert int.from_bytes(found[1].payload) == frames.NO_ERROR
    assert client.feed(data(1, message(b"late"), 0) + data(1, message(b"x")) + client.call(1, frames.END_STREAM)) == []
    assert client.events == []


def test_messages_of_a_stream() -> None:
    """They come out one by one, however they are cut, and their end after them."""
    client = Client()
    stream = client.open(1)
    sent = message(b"one") + message(b"") + message(b"three" * 10)
    for start in range(0, len(sent), 4):
        client.feed(data(1, sent[start : start + 4], 0))
    client.feed(data(1, b"", frames.END_STREAM))
    assert [each.data for each in client.events[:-1]] == [b"one", b"", b"three" * 10]
    assert client.events[-1] == Ended(stream)
    assert stream.held >= sum(each.size for each in client.events[:-1])
    for each in client.events[:-1]:
        client.connection.consumed(each)
    assert (stream.held, client.connection._unread) == (0, 0)


def test_trailers_of_a_caller() -> None:
    """They end what it sends, and are nobody's metadata."""
    client = Client()
    client.feed(client.call(1) + data(1, message(b"x"), 0))
    assert client.events == []
    trailers = frames.frame(
        frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, client.block(("x-checksum", "7"))
    )
    assert client.feed(trailers) == []
    assert [call.message for call in client.called()] == [b"x"]


@pytest.mark.parametrize(
    ("flags", "field"), [(0, ("x-a", "1")), (frames.END_STREAM, (":path", "/"))], ids=["without an end", "pseudo"]
)
def test_trailers_that_are_none(flags: int, field: tuple[str, str]) -> None:
    client = Client()
    client.feed(client.call(1))
    found = client.feed(frames.frame(frames.HEADERS, frames.END_HEADERS | flags, 1, client.block(field)))
    assert reset(found) == frames.PROTOCOL_ERROR


def test_padding_and_priority() -> None:
    """Both are read over."""
    client = Client()
    block = client.block(*CALL)
    padded = b"\x04" + b"\x80\0\0\x07\xff" + block + bytes(4)
    flags = frames.END_HEADERS | frames.PADDED | frames.PRIORITISED
    client.feed(frames.frame(frames.HEADERS, flags, 1, padded))
    client.feed(frames.frame(frames.PRIORITY, 0, 1, bytes(5)) + frames.frame(0x77, 0xFF, 1, b"unknown"))
    client.feed(data(1, b"\x02" + message(b"x") + bytes(2), frames.PADDED | frames.END_STREAM))
    assert [call.message for call in client.called()] == [b"x"]


def test_a_header_block_in_pieces() -> None:
    """CONTINUATION goes on where HEADERS ended."""
    client = Client()
    block = client.block(*CALL, x_a="y" * 100)
    sent = frames.frame(frames.HEADERS, 0, 1, block[:5]) + frames.frame(frames.CONTINUATION, 0, 1, block[5:50])
    client.feed(sent + frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[50:]) + data(1, message(b"x")))
    (call,) = client.called()
    assert call.head.headers["x-a"] == "y" * 100


@pytest.mark.parametrize(
    "own",
    [
        {"path": ""},
        {"X-Upper": "1"},
        {"connection": "close"},
        {"te": "gzip"},
        {":unknown": "1"},
        {"content_length": "x"},
        {"grpc_timeout": "1"},
        {"grpc_timeout": "123456789m"},
        {"grpc_timeout": "-1S"},
        {"x": "a\nb"},
        {"x": " a"},
    ],
    ids=str,
)
def test_malformed_requests(own: dict[str, str]) -> None:
    """Their stream is reset, and the connection goes on (RFC 9113, section 8.1.1)."""
    client = Client()
    assert reset(client.feed(client.call(1, **own))) == frames.PROTOCOL_ERROR
    client.feed(client.unary(3))
    assert len(client.called()) == 1


@pytest.mark.parametrize(
    ("timeout", "seconds"), [("2H", 7200), ("1M", 60), ("5S", 5), ("99999999u", 99.999999), ("0n", 0)]
)
def test_timeouts(timeout: str, seconds: float) -> None:
    client = Client()
    client.feed(client.unary(1, grpc_timeout=timeout))
    (call,) = client.called()
    assert call.timeout == pytest.approx(seconds)


def test_content_length() -> None:
    """What it announces has to come, no more and no less (section 8.1.1)."""
    client = Client()
    client.feed(client.unary(1, b"ping", content_length="9"))
    assert [call.message for call in client.called()] == [b"ping"]
    for number, announced in ((3, "8"), (5, "10")):
        found = client.feed(client.unary(number, b"ping", content_length=announced))
        assert reset(found) == frames.PROTOCOL_ERROR
    assert reset(client.feed(client.call(7, frames.END_STREAM, content_length="1"))) == frames.PROTOCOL_ERROR
    assert client.called() == []


@pytest.mark.parametrize(
    ("request_", "status"),
    [(GET, "415"), ((*CALL[:4], ("content-type", "application/json")), "415"), ((GET[0], *CALL[1:]), "405")],
    ids=["a browser", "another content type", "another method"],
)
def test_what_is_no_call_of_grpc(request_: tuple[tuple[str, str], ...], status: str) -> None:
    """It is answered as a server of HTTP does, once it has come, and no hook hears of it."""
    client = Client()
    block = client.block(*request_)
    assert client.feed(frames.frame(frames.HEADERS, frames.END_HEADERS, 1, block)) == []
    found = client.feed(data(1, b"whatever" * 1000, 0) + data(1, b""))
    assert kinds(found) == [frames.HEADERS, frames.DATA, frames.DATA]
    assert found[0].fields[":status"] == status
    assert found[0].fields["content-length"] == str(len(found[1].payload))
    assert b"gRPC" in found[1].payload
    assert (found[2].payload, found[2].flags) == (b"", frames.END_STREAM)
    assert client.events == []


def test_an_unknown_path() -> None:
    """It comes out with its first message, or with none; what follows is ignored."""
    client = Client()
    client.feed(client.call(1, path="/no/Such") + data(1, message(b"a") + message(b"b"), 0))
    (call,) = client.called()
    assert (call.head.streaming, call.message) == (None, b"a")
    client.feed(data(1, message(b"c")))
    client.feed(client.call(3, frames.END_STREAM, path="/no/Such"))
    client.feed(client.unary(5, b"d", path="/no/Such"))
    assert [call.message for call in client.called()] == [b"", b"d"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", "13"),
        (b"\0\0", "13"),
        (message(b"ab")[:-1], "13"),
        (message(b"ab") + message(b"c"), "13"),
        (message(gzip.compress(b"a"), 1), "13"),
        (b"\0\x7f\xff\xff\xff", "8"),
    ],
    ids=["nothing", "half a prefix", "cut off", "two", "compressed without saying how", "too large"],
)
def test_requests_that_are_no_message(sent: bytes, status: str) -> None:
    client = Client()
    assert failed(client.feed(client.call(1) + data(1, sent)))[0] == status
    assert [type(event) for event in client.events] == [Cancelled]


def test_a_stream_that_is_cut_off() -> None:
    """A message that does not end fails its call."""
    client = Client()
    client.open(1)
    assert failed(client.feed(data(1, message(b"ab")[:-1]))) == ("13", "a message that is cut off")


def test_gzip() -> None:
    """Compressed messages are inflated, within the limit, and nothing else is understood."""
    client = Client(Limits(message_size=1000))
    own = {"grpc_encoding": "gzip"}
    client.feed(client.call(1, **own) + data(1, message(gzip.compress(b"x" * 4000), 1)))
    assert [call.message for call in client.called()] == [b"x" * 4000]
    stream = client.open(3, **own)
    client.feed(data(3, message(gzip.compress(b"y"), 1) + message(b"z"), 0))
    assert [(each.stream, each.data) for each in client.events] == [(stream, b"y"), (stream, b"z")]
    for number, body, status, text in (
        (5, gzip.compress(b"x" * 4001), "8", "inflates to more than 4000 bytes"),
        (7, b"no gzip", "13", "not gzip"),
        (9, gzip.compress(b"x")[:-1], "13", "not one piece"),
        (11, gzip.compress(b"x") + b"y", "13", "not one piece"),
    ):
        code, said = failed(client.feed(client.call(number, **own) + data(number, message(body, 1))))
        assert code == status
        assert text in said
    found = client.feed(client.call(13, grpc_encoding="zstd") + data(13, message(b"x", 1)))
    assert failed(found)[0] == "12"
    assert found[0].fields["grpc-accept-encoding"] == "identity,gzip"
    client.open(15, **own)
    assert failed(client.feed(data(15, message(b"no", 1), 0)))[0] == "13"


def test_compressed_replies() -> None:
    """From a size on, where the caller accepts gzip, and off without a size."""
    client = Client(Limits(compress_from=100))
    client.feed(client.unary(1, grpc_accept_encoding="identity, gzip") + client.unary(3))
    able, unable = client.called()
    client.connection.respond(able, b"x" * 100)
    headers, body, _ = client.read()
    assert headers.fields["grpc-encoding"] == "gzip"
    assert body.payload[0] == 1
    assert gzip.decompress(body.payload[5:]) == b"x" * 100
    client.connection.respond(unable, b"x" * 100)
    headers, body, _ = client.read()
    assert "grpc-encoding" not in headers.fields
    assert body.payload == message(b"x" * 100)
    client.feed(client.unary(5, grpc_accept_encoding="gzip"))
    client.connection.respond(client.called()[0], b"x" * 99)
    assert client.read()[1].payload == message(b"x" * 99)


def test_a_caller_gives_up() -> None:
    """Its call is cancelled, and an answer goes nowhere."""
    client = Client()
    stream = client.open(1)
    assert client.feed(frames.rst_stream(1, frames.CANCEL) * 2) == []
    assert client.events == [Cancelled(stream, "")]
    client.connection.respond(stream, b"x")
    client.connection.fail(stream, 13, "x")
    client.connection.finish(stream)
    client.connection.reset(stream, frames.CANCEL)
    assert client.connection.send(stream, b"x")
    assert client.read() == []


def test_drain() -> None:
    """GOAWAY in two steps: calls on their way still come in, later ones are refused, and then it is over."""
    client = Client()
    stream = client.open(1)
    client.connection.drain()
    client.connection.drain()
    first, ping = client.read()
    assert (first.kind, int.from_bytes(first.payload[:4])) == (frames.GOAWAY, 2**31 - 1)
    assert ping.kind == frames.PING
    client.feed(client.unary(3))
    (late,) = client.called()
    (second,) = client.feed(frames.frame(frames.PING, frames.ACK, 0, ping.payload))
    assert (second.kind, second.payload) == (frames.GOAWAY, bytes.fromhex("0000000300000000"))
    assert reset(client.feed(client.unary(5))) == frames.REFUSED_STREAM
    client.connection.respond(late, b"x")
    assert not client.connection.drained
    client.connection.finish(stream)
    assert (client.connection.drained, client.connection.closed) == (True, False)


def test_ping() -> None:
    """Theirs are answered, and answers to ours are nothing to answer."""
    client = Client()
    (pong,) = client.feed(frames.frame(frames.PING, 0, 0, b"12345678"))
    assert (pong.kind, pong.flags, pong.payload) == (frames.PING, frames.ACK, b"12345678")
    client.connection.ping()
    (ping,) = client.read()
    assert client.feed(frames.frame(frames.PING, frames.ACK, 0, ping.payload)) == []


def test_streams_over_the_limit() -> None:
    """They are refused, and the others go on."""
    client = Client(Limits(streams=2))
    client.feed(client.call(1) + client.call(3))
    assert reset(client.feed(client.call(5))) == frames.REFUSED_STREAM
    client.feed(data(1, message(b"x")))
    client.connection.respond(client.called()[0], b"")
    client.read()
    assert client.feed(client.call(7)) == []


def test_a_farewell_of_the_peer() -> None:
    """It opens no more streams; those that are open are answered."""
    client = Client()
    client.feed(client.unary(1) + frames.goaway(0, frames.NO_ERROR, b"bye"))
    client.connection.respond(client.called()[0], b"x")
    assert kinds(client.read()) == REPLY


def test_bad_binary_metadata() -> None:
    """It is the layer above that refuses the call; several values and padding are fine."""
    client = Client()
    client.feed(client.unary(1, x_bin="AQI=, AQ") + client.unary(3, x_bin="!"))
    good, bad = client.called()
    assert list(good.head.headers.pairs()) == [("x-bin", b"\x01\x02"), ("x-bin", b"\x01")]
    assert (good.head.fault, bad.head.fault) == ("", "metadata x-bin is not base64")


def test_heads_are_kept_within_bounds() -> None:
    """A caller whose every call has other headers makes us keep a few of them."""
    client = Client()
    for number in range(1, 400, 2):
        client.feed(client.unary(number, x=str(number)))
        client.connection.respond(client.called()[0], b"")
        client.read()
    assert len(client.connection._heads.kept) <= 64


def test_what_a_call_is_not() -> None:
    """A message belongs to its stream, and nothing of a call that is over is counted."""
    client = Client()
    stream = client.open(1)
    client.feed(data(1, message(b"x" * 10) + b"\0", 0))
    (event,) = client.events
    assert isinstance(event, Message)
    assert client.connection._unread > 16
    client.feed(frames.rst_stream(1, frames.CANCEL))
    assert client.connection._unread == 0
    client.connection.consumed(event)
    assert client.connection._unread == 0
    assert isinstance(stream, Stream)
