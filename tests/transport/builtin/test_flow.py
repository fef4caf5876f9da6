"""Flow control in both directions, and the budgets that bound what a peer can make the core keep or do."""

import pytest

from rtbridge.transport.builtin import frames
from rtbridge.transport.builtin.limits import Budget, Limits
from rtbridge.transport.builtin.streams import Cancelled, Message, Writable
from tests.transport.builtin.wire import CALL, Client, Frame, data, farewell, kinds, message, reset


def body(found: list[Frame]) -> bytes:
    return b"".join(each.payload for each in found if each.kind == frames.DATA)


def grants(found: list[Frame], stream: int) -> int:
    """What the server's WINDOW_UPDATEs of a stream add up to."""
    return sum(
        int.from_bytes(each.payload) for each in found if each.kind == frames.WINDOW_UPDATE and each.stream == stream
    )


def test_a_reply_waits_for_its_window() -> None:
    """A stream sends what it may, and the rest when it may; the trailers come last."""
    client = Client(settings={frames.INITIAL_WINDOW_SIZE: 10})
    client.feed(client.unary(1))
    (call,) = client.called()
    client.connection.respond(call, b"x" * 20)
    found = client.read()
    assert kinds(found) == [frames.HEADERS, frames.DATA]
    assert len(body(found)) == 10
    found = client.feed(frames.window_update(1, 14))
    assert kinds(found) == [frames.DATA]
    assert len(body(found)) == 14
    found = client.feed(frames.window_update(1, 1))
    assert kinds(found) == [frames.DATA, frames.HEADERS]
    assert client.connection.calls == {}
    assert client.connection._unsent == 0


def test_settings_change_every_window() -> None:
    """Windows of streams that are open grow and shrink, below nothing too (RFC 9113, section 6.9.2)."""
    client = Client(settings={frames.INITIAL_WINDOW_SIZE: 10})
    client.feed(client.unary(1))
    client.connection.respond(client.called()[0], b"x" * 20)
    assert len(body(client.read())) == 10
    assert body(client.feed(frames.settings({frames.INITIAL_WINDOW_SIZE: 4}))) == b""
    assert body(client.feed(frames.window_update(1, 6))) == b""
    assert len(body(client.feed(frames.settings({frames.INITIAL_WINDOW_SIZE: 5})))) == 1
    assert len(body(client.feed(frames.settings({frames.INITIAL_WINDOW_SIZE: 50})))) == 14


def test_many_windows_that_open_at_once() -> None:
    """Replies that waited for their own window wait for the connection's then, and none is forgotten."""
    client = Client(settings={frames.INITIAL_WINDOW_SIZE: 0})
    client.feed(b"".join(client.unary(number) for number in range(1, 21, 2)))
    for call in client.called():
        client.connection.respond(call, b"x" * 50_000)
    assert body(client.read()) == b""
    assert len(body(client.feed(frames.settings({frames.INITIAL_WINDOW_SIZE: 2**20})))) == 65_535
    assert len(body(client.feed(frames.window_update(0, 2**20)))) == 10 * 50_005 - 65_535
    assert client.connection.calls == {}


def test_the_window_of_the_connection_is_shared() -> None:
    """Streams take turns, one that had its share waits behind the others, and small replies do not overtake."""
    client = Client(settings={frames.INITIAL_WINDOW_SIZE: 2**20})
    client.feed(client.unary(1) + client.unary(3) + client.unary(5))
    for call in client.called():
        client.connection.respond(call, bytes((call.id,)) * 50_000)
    assert len(body(client.read())) == 65_535
    found = client.feed(frames.window_update(0, 50_000))
    assert next(each.stream for each in found if each.kind == frames.DATA) == 3
    found += client.feed(frames.window_update(0, 50_000))
    assert sorted({each.stream for each in found if each.kind == frames.DATA}) == [3, 5]
    assert [each.stream for each in found if each.flags & frames.END_STREAM and each.kind == frames.HEADERS] == [3, 5]
    assert client.connection._blocked == {}


def test_frames_have_the_size_that_the_peer_takes() -> None:
    client = Client(settings={frames.INITIAL_WINDOW_SIZE: 2**20, frames.MAX_FRAME_SIZE: 20_000})
    client.feed(client.unary(1) + frames.window_update(0, 2**20))
    client.connection.respond(client.called()[0], b"x" * 50_000)
    sizes = [len(each.payload) for each in client.read() if each.kind == frames.DATA]
    assert sizes == [20_000, 20_000, 10_005]


def test_a_sender_is_told_when_it_may_go_on() -> None:
    client = Client(settings={frames.INITIAL_WINDOW_SIZE: 10})
    stream = client.open(1)
    assert client.connection.send(stream, b"12345")
    assert not client.connection.send(stream, b"12345")
    assert not client.connection.send(stream, b"12345")
    client.feed(frames.window_update(1, 10))
    assert client.events == []
    client.feed(frames.window_update(1, 10))
    assert client.events == [Writable(stream)]
    client.events.clear()
    client.connection.send(stream, b"1234567890")
    client.feed(frames.settings({frames.INITIAL_WINDOW_SIZE: 100}))
    assert client.events == [Writable(stream)]


def test_a_transport_that_takes_no_more() -> None:
    """Nothing large is written until it does, whatever the windows say."""
    client = Client()
    stream = client.open(1)
    client.connection.paused = True
    assert not client.connection.send(stream, b"12345")
    assert body(client.read()) == b""
    assert client.connection.resume() == [stream]
    assert body(client.read()) == message(b"12345")


def test_a_status_waits_for_what_was_sent() -> None:
    """A call fails after its messages, not amid them; one that is given up drops them."""
    client = Client(settings={frames.INITIAL_WINDOW_SIZE: 10})
    stream = client.open(1)
    client.connection.send(stream, b"x" * 20)
    client.connection.fail(stream, 13, "bug")
    client.read()
    found = client.feed(frames.window_update(1, 100))
    assert kinds(found) == [frames.DATA, frames.HEADERS, frames.RST_STREAM]
    assert found[1].fields == {"grpc-status": "13", "grpc-message": "bug"}
    stream = client.open(3)
    client.connection.send(stream, b"x" * 20)
    client.read()
    client.connection.reset(stream, frames.CANCEL)
    assert reset(client.read()) == frames.CANCEL
    assert client.connection._unsent == 0


def test_requests_are_read_on() -> None:
    """A large request gets room as it comes, a stream's only as its messages are used."""
    client = Client(Limits(stream_window=1000, connection_window=100_000))
    found = client.feed(client.call(1) + data(1, message(b"x" * 5000)[:600], 0))
    assert grants(found, 1) == 600
    stream = client.open(3)
    found = client.feed(data(3, message(b"x" * 595), 0))
    assert found == []
    (event,) = client.events
    assert isinstance(event, Message)
    client.connection.consumed(event)
    assert grants(client.read(), 3) == 600
    assert stream.credit == 1000


def test_a_message_larger_than_the_window() -> None:
    """It comes in on credit, which is taken back from what its stream may send after it."""
    client = Client(Limits(stream_window=1000, connection_window=100_000))
    client.open(1)
    whole = message(b"x" * 4995)
    found = client.feed(data(1, whole[:1000], 0))
    assert grants(found, 1) == 4000
    client.feed(data(1, whole[1000:], 0))
    (event,) = client.events
    client.connection.consumed(event)
    assert grants(client.read(), 1) == 1000


def test_more_than_the_window() -> None:
    """Data beyond it is a fault (section 6.9.1)."""
    client = Client(Limits(stream_window=1000))
    client.open(1)
    assert reset(client.feed(data(1, message(b"x" * 1000), 0))) == frames.FLOW_CONTROL_ERROR


def test_padding_counts() -> None:
    """It takes of the windows, and is given back (section 6.9.1)."""
    client = Client(Limits(stream_window=1000))
    client.open(1)
    given = 0
    for _ in range(20):
        given += grants(client.feed(data(1, b"\xc7" + message(b"") + bytes(199), frames.PADDED)), 1)
        client.connection.consumed(client.events.pop())
        given += grants(client.read(), 1)
    assert given > 3000


def test_the_window_of_the_connection_is_kept_open() -> None:
    client = Client(Limits(connection_window=100_000))
    given = 0
    for number in range(1, 61, 2):
        given += grants(client.feed(client.unary(number, b"x" * 9000)), 0)
        client.connection.respond(client.called()[0], b"")
        client.read()
    assert given > 200_000


@pytest.mark.parametrize(
    ("sent", "code"),
    [(frames.window_update(1, 0), frames.PROTOCOL_ERROR), (frames.window_update(1, 2**31 - 1), 3)],
    ids=["nothing", "too much"],
)
def test_broken_window_updates(sent: bytes, code: int) -> None:
    client = Client()
    stream = client.open(1)
    assert reset(client.feed(sent)) == code
    assert [each.stream for each in client.events] == [stream]
    assert client.feed(frames.window_update(1, 5)) == []


def test_settings_that_overflow_a_window() -> None:
    client = Client()
    client.open(1)
    client.feed(frames.window_update(1, 2**31 - 1 - 65_535))
    found = client.feed(frames.settings({frames.INITIAL_WINDOW_SIZE: 65_536}))
    assert farewell(client, found) == frames.FLOW_CONTROL_ERROR


# Budgets.


def test_a_budget() -> None:
    budget = Budget(3, 2)
    assert [budget.spend(1, 0.0) for _ in range(4)] == [True, True, True, False]
    assert [budget.spend(1, 1.0) for _ in range(2)] == [True, False]
    assert budget.spend(3, 100.0)
    assert not budget.spend(1, 100.0)


def test_unfinished_requests_are_bounded() -> None:
    """One connection has us keep so much and no more; what is used or given up makes room."""
    client = Client(Limits(message_size=1000, unread=8000))
    for number in (1, 3):
        client.feed(client.call(number) + data(number, message(b"x" * 3900)[:3800], 0))
    found = client.feed(client.call(5) + data(5, message(b"x" * 3900)[:3800], 0))
    assert kinds(found) == [frames.HEADERS, frames.RST_STREAM]
    assert found[0].fields["grpc-status"] == "8"
    assert "8000 bytes of unfinished requests" in found[0].fields["grpc-message"]
    client.feed(frames.rst_stream(1, frames.CANCEL))
    assert client.feed(client.call(7) + data(7, message(b"x" * 3900)[:3800], 0)) == []


def test_replies_that_nobody_takes() -> None:
    """While too much of them waits, new calls are refused."""
    client = Client(Limits(unsent=1000), settings={frames.INITIAL_WINDOW_SIZE: 0})
    client.feed(client.unary(1))
    client.connection.respond(client.called()[0], b"x" * 1000)
    client.read()
    assert reset(client.feed(client.unary(3))) == frames.REFUSED_STREAM
    client.feed(frames.window_update(1, 2000))
    client.feed(client.unary(5))
    assert len(client.called()) == 1


def test_what_is_overdue() -> None:
    """Replies that do not move, and requests that do not end; not calls that wait for their hook, nor streams."""
    client = Client(settings={frames.INITIAL_WINDOW_SIZE: 10})
    client.now = 100.0
    client.feed(client.unary(1) + client.unary(3) + client.call(5) + client.call(7, path="/s/Stream"))
    stuck = next(call for call in client.called() if call.id == 1)
    client.connection.respond(stuck, b"x" * 20)
    assert client.connection.overdue(10.0) == []
    client.now = 110.0
    client.feed(frames.window_update(1, 1))
    assert [each.id for each in client.connection.overdue(10.0)] == [5]
    client.now = 120.0
    assert [each.id for each in client.connection.overdue(10.0)] == [1, 5]
    assert not client.connection.closed


def test_a_window_that_never_opens() -> None:
    """Where it is the connection's, the connection ends."""
    client = Client(settings={frames.INITIAL_WINDOW_SIZE: 2**20})
    client.feed(client.unary(1))
    client.connection.respond(client.called()[0], b"x" * 100_000)
    client.now = 50.0
    client.connection.overdue(30.0)
    assert farewell(client, client.read()) == frames.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("part", [b"\0", frames.frame(frames.HEADERS, 0, 1, b"\x83")], ids=["frame", "block"])
def test_what_does_not_end(part: bytes) -> None:
    """A part of a frame and of a header block hold their connection for a while; each new frame is a new one."""
    client = Client()
    for _ in range(5):
        client.now += 20.0
        client.feed(frames.SETTINGS_ACK[:3])
        assert client.connection.overdue(30.0) == []
        client.feed(frames.SETTINGS_ACK[3:])
    client.feed(part)
    client.now += 20.0
    assert client.connection.overdue(30.0) == []
    assert not client.connection.closed
    client.now += 20.0
    client.connection.overdue(30.0)
    assert farewell(client, client.read()) == frames.ENHANCE_YOUR_CALM


def test_messages_that_nobody_reads() -> None:
    """Each of them counts, empty ones too."""
    client = Client(Limits(message_size=10, unread=10_000))
    client.open(1)
    found = client.feed(data(1, message(b"") * 60, 0))
    assert found[0].fields["grpc-status"] == "8"
    assert client.connection._unread == 0


def test_replies_beyond_what_may_wait() -> None:
    """Their calls fail, so that what waits is bounded whatever was under way."""
    client = Client(Limits(unsent=1000), settings={frames.INITIAL_WINDOW_SIZE: 0})
    client.feed(client.unary(1) + client.unary(3))
    first, second = client.called()
    client.connection.respond(first, b"x" * 1001)
    client.read()
    client.connection.respond(second, b"x")
    assert client.read()[0].fields["grpc-status"] == "8"


def test_what_is_ready_is_bounded() -> None:
    """A window that is wide open is no reason to make more ready than a transport takes."""
    client = Client(settings={frames.INITIAL_WINDOW_SIZE: 2**30})
    client.feed(client.unary(1) + client.unary(3) + client.unary(5) + frames.window_update(0, 2**30))
    first, second, third = client.called()
    client.connection.respond(first, b"x" * 2**20)
    client.connection.respond(second, b"x")
    client.connection.respond(third, b"x" * 2**20)
    sizes = []
    while found := client.read():
        sizes.append(len(body(found)))
        assert client.connection.resume() == []
    assert max(sizes) == 2**20
    assert sum(sizes) == 2**21 + 1 + 15


FLOODS = {
    "pings": frames.frame(frames.PING, 0, 0, bytes(8)),
    "settings": frames.settings({}),
    "acks": frames.SETTINGS_ACK,
    "priorities": frames.frame(frames.PRIORITY, 0, 9, bytes(5)),
    "windows": frames.window_update(0, 1),
    "unknown frames": frames.frame(0x77, 0, 0),
    "empty data": data(1, b"", 0),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods(name: str) -> None:
    """Frames that are no part of a call: so many at once, so many a second, and as many again for each answer."""
    client = Client(Limits(idle_frames=500, idle_frames_rate=100))
    stream = client.open(1)
    for _ in range(20):  # each second there is room for what comes by right
        client.now += 1.0
        client.feed(FLOODS[name] * 90)
    for _ in range(100):  # and answers are work done
        client.feed(FLOODS[name] * 40)
        client.connection.send(stream, b"x")
    assert not client.connection.closed
    found = client.feed(FLOODS[name] * 1000)
    assert farewell(client, found) == frames.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("how", ["reset", "provoked", "refused", "late data"])
def test_rapid_reset(how: str) -> None:
    """Streams given up at once, or made to be reset by us: so many, and the connection ends."""
    client = Client(Limits(resets=50, resets_rate=10, streams=1 if how == "refused" else 10))
    if how == "refused":
        client.open(1)
    last: list[Frame] = []
    count = 0
    for number in range(3, 1000, 2):
        sent = client.call(number)
        if how == "reset":
            sent += frames.rst_stream(number, frames.CANCEL)
        elif how == "provoked":
            sent += frames.window_update(number, 0)
        elif how == "late data":
            sent += frames.frame(frames.DATA, 1, number, message(b"x")) + data(number, b"x")
        last = client.feed(sent)
        count += 1
        if client.connection.closed:
            break
    assert 50 < count < 60
    assert farewell(client, last) == frames.ENHANCE_YOUR_CALM
    assert all(isinstance(event, Cancelled) or event.id for event in client.events)


def test_a_header_block_that_does_not_end() -> None:
    """Neither in frames nor in bytes."""
    client = Client(Limits(continuations=3))
    piece = frames.frame(frames.CONTINUATION, 0, 1)
    found = client.feed(frames.frame(frames.HEADERS, 0, 1) + piece * 4)
    assert farewell(client, found) == frames.ENHANCE_YOUR_CALM
    client = Client()
    piece = frames.frame(frames.CONTINUATION, 0, 1, bytes(16_000))
    found = client.feed(frames.frame(frames.HEADERS, 0, 1) + piece * 5)
    assert farewell(client, found) == frames.ENHANCE_YOUR_CALM


def test_a_header_bomb() -> None:
    """A small block that refers to a large header many times."""
    client = Client()
    block = client.block(*CALL, x="y" * 3000)
    found = client.feed(frames.frame(frames.HEADERS, 4, 1, block + b"\xbe" * 10_000))
    assert farewell(client, found) == frames.ENHANCE_YOUR_CALM
