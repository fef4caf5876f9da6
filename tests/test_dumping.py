"""`rtbridge.dump`: what it shows, that it is bounded, and that it never gets in a hook's way."""

import dataclasses
import json
import logging
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from rtbridge import RPCEvent, RPCResult, dump, dumping, hookimpl
from rtbridge.config import Address
from rtbridge.dumping import Dump, Sender
from rtbridge.pretty import pretty
from rtbridge.testing import App


class Peer:
    """Stands for `rtbridge dumps`: takes connections, one after the other, and gives back what comes as lines."""

    def __init__(self, port: int = 0, family: int = socket.AF_INET, address: Any = None) -> None:
        self._listener = socket.socket(family)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.settimeout(10)
        self._listener.bind(address or ("127.0.0.1", port))
        self._listener.listen()
        self._connection: socket.socket | None = None

    @property
    def address(self) -> Address:
        host, port = self._listener.getsockname()
        return Address(host=host, port=port)

    def take(self) -> Any:
        self._connection, _ = self._listener.accept()
        self._connection.settimeout(10)
        return self._connection.makefile("rb")

    def close(self) -> None:
        for each in (self._connection, self._listener):
            if each is not None:
                each.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    """Somebody who listens."""
    made = Peer()
    yield made
    made.close()


@pytest.fixture
def sender(peer: Peer) -> Iterator[Sender]:
    """What sends there, for the time of the test."""
    made = dumping.use(peer.address)
    assert made is not None
    yield made
    made.close()


def lines(records: list[logging.LogRecord]) -> list[str]:
    return [record.getMessage() for record in records if record.name == "rtbridge.dump"]


class Plugin:
    """Dumps in a hook of each kind."""

    @hookimpl(tryfirst=True)
    async def on_rpc(self, event: RPCEvent) -> None:
        assert dump(event.data) == event.data

    @hookimpl(specname="on_rpc")
    def blocks(self, event: RPCEvent) -> RPCResult:
        return dump(RPCResult(data={"ok": True}), "beside it")


def number_of(text: str) -> int:
    """The line of this file that has the text."""
    source = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(source, 1) if text in line)


async def test_the_record(caplog: pytest.LogCaptureFixture) -> None:
    """It has the value, the place and the event, from the loop and from threads; the value comes back."""
    caplog.set_level(logging.INFO, "rtbridge.dump")
    async with App([Plugin()]) as app:
        outcome = await app.rpc("m", {"text": "hi"}, user="42", client="c-1")
    assert outcome.result == RPCResult(data={"ok": True})
    first, second = (record for record in caplog.records if record.name == "rtbridge.dump")
    line = number_of("dump(event.data)")
    words = "rpc 'm' user='42' client='c-1'"
    assert first.getMessage() == f"{__file__}:{line}, {words}\n{{'text': 'hi'}}"
    assert (first.pathname, first.lineno, first.levelname) == (__file__, line, "INFO")
    assert vars(first)["event"] == {"kind": "rpc", "method": "m", "user": "42", "client": "c-1"}
    assert second.getMessage().endswith(f", {words}\nRPCResult(data={{'ok': True}})\n'beside it'")


def test_outside_of_an_event(caplog: pytest.LogCaptureFixture) -> None:
    """A dump at import, or in a task of one's own, says that there is no event."""
    caplog.set_level(logging.INFO, "rtbridge.dump")
    assert dump(7) == 7
    assert lines(caplog.records) == [f"{__file__}:{number_of('assert dump(7)')}, outside of an event\n7"]


def test_nobody_looks(caplog: pytest.LogCaptureFixture) -> None:
    """Where it is neither logged nor sent, the value is not even looked at."""
    caplog.set_level(logging.WARNING)

    class Touchy:
        def __repr__(self) -> str:
            raise AssertionError

    touchy = Touchy()
    assert dump(touchy) is touchy
    assert caplog.records == []


async def test_a_dump_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """An event that cannot be described is logged, and the hook goes on."""
    caplog.set_level(logging.INFO, "rtbridge.dump")
    caplog.set_level(logging.WARNING, "rtbridge.events")  # its own line could not describe the event either

    class Careless:
        @hookimpl
        async def on_rpc(self) -> RPCResult:
            return dump(RPCResult())

    wrong: Any = 7
    async with App([Careless()]) as app:
        assert (await app.send(RPCEvent(method=wrong, call=app.memory.call()))).error is None
    assert any("dump() failed" in text for text in lines(caplog.records))


# --- The text --------------------------------------------------------------------------------------------------------


class Point(msgspec.Struct):
    x: int
    y: Any = None


class Secret(msgspec.Struct):
    token: str

    def __repr__(self) -> str:
        return "Secret(<hidden>)"


@dataclasses.dataclass
class Data:
    name: str
    hidden: str = dataclasses.field(default="h", repr=False)


@dataclasses.dataclass(repr=False)
class Silent:
    name: str

    def __repr__(self) -> str:
        return "Silent"


class Child(Data):
    """No dataclass itself."""


class Row(NamedTuple):
    id: int


class Raises:
    def __repr__(self) -> str:
        raise ValueError("x")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        ("a\nb", "'a\\nb'"),
        ([], "[]"),
        ((), "()"),
        (set(), "set()"),
        ({}, "{}"),
        ((1,), "(1,)"),
        ([1, (2, 3)], "[1, (2, 3)]"),
        ({1}, "{1}"),
        (frozenset({1}), "frozenset({1})"),
        (Point(x=1, y=[2]), "Point(x=1, y=[2])"),
        (Secret(token="t"), "Secret(<hidden>)"),
        (Data("n"), "Data(name='n')"),
        (Data, repr(Data)),
        (Silent("n"), "Silent"),
        (Child("n"), "Child(name='n')"),
        (Row(1), "Row(id=1)"),
        ([Raises()], "[<Raises that cannot be shown: ValueError>]"),
        (10**5000, "<int that cannot be shown: ValueError>"),
        ("\ud800", "'\\ud800'"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_small_values(value: object, text: str) -> None:
    """They stand on one line, as their repr; what hides something stays hidden."""
    assert pretty(value) == text


def test_a_line_that_is_too_long() -> None:
    """A container is broken up, with its items indented."""
    name = "n" * 60
    assert pretty({"a": Point(x=1, y=[name, name]), "b": (name * 2,)}) == (
        "{\n"
        "    'a': Point(\n"
        "        x=1,\n"
        "        y=[\n"
        f"            '{name}',\n"
        f"            '{name}',\n"
        "        ],\n"
        "    ),\n"
        "    'b': (\n"
        f"        '{name * 2}',\n"
        "    ),\n"
        "}"
    )


def test_bounds() -> None:
    """Long strings, many items, deep nesting and values without an end are cut short, and say so."""
    assert pretty("x" * 5000) == f"'{'x' * 4096}'… (904 more)"
    assert pretty(b"x" * 5000).endswith("… (904 more)")
    assert pretty(type("Long", (), {"__repr__": lambda _: "y" * 5000})()) == f"{'y' * 4096}… (904 more)"
    assert pretty(list(range(1000))).endswith("    199,\n    … (800 more),\n]")
    deep: list[Any] = []
    deep.append(deep)
    assert pretty(deep) == "[[[[[[[[[…]]]]]]]]]"
    assert pretty([[[[[[[[(1,)]]]]]]]]) == "[[[[[[[[(…)]]]]]]]]"
    wide: Any = [[["z" * 4000] * 200] * 200] * 200
    text = pretty(wide)
    assert len(text.encode()) <= 64 * 1024
    assert text.endswith(("… (cut off)", "]"))
    assert len(pretty(*["ä" * 4000] * 20).encode()) <= 64 * 1024
    assert pretty(*["ä" * 4000] * 20).endswith("… (cut off)")


def test_half_a_surrogate_pair() -> None:
    """A repr with one is shown with a question mark in its place, so that it can be written anywhere."""
    assert pretty(type("Half", (), {"__repr__": lambda _: "\ud800"})()) == "?"


def test_a_dict_that_changes() -> None:
    """It is said that it cannot be shown."""
    changing: dict[Any, int] = {}

    class Key:
        def __repr__(self) -> str:
            changing[len(changing)] = 1
            return "key"

    changing[Key()] = 1
    changing[1] = 2
    assert pretty(changing) == "<dict that cannot be shown: RuntimeError>"


# --- Sending ---------------------------------------------------------------------------------------------------------


def record(number: int, value: str = "v") -> Dump:
    return Dump(time=1.5, file="f.py", line=number, event=None, value=value, pid=1)


async def test_a_dump_on_its_way(peer: Peer, sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    """One JSON object on a line, with everything in it; also where the log does not want it."""
    caplog.set_level(logging.WARNING)
    async with App([Plugin()]) as app:
        await app.rpc("m", 1, user="42")
    dump("last")
    reader = peer.take()
    first, second, third = (json.loads(reader.readline()) for _ in range(3))
    assert first.pop("time") > 0
    assert first.pop("pid") > 0
    client = "00000000-0000-4000-8000-000000000001"
    event = {"kind": "rpc", "method": "m", "user": "42", "client": client}
    assert first == {"file": __file__, "line": number_of("dump(event.data)"), "event": event, "value": "1"}
    assert second["value"] == "RPCResult(data={'ok': True})\n'beside it'"
    assert (third["event"], third["value"]) == (None, "'last'")
    assert lines(caplog.records) == []


async def test_the_configuration_says_where(peer: Peer) -> None:
    """`rtbridge.dump_server` is used from the start to the end, and what is left is sent before the end."""
    address = str(peer.address)
    async with App([Plugin()], config={"rtbridge": {"dump_server": address}}) as app:
        assert dumping._sender is app.runtime._dumps
        await app.rpc("m", 1)
    assert vars(dumping)["_sender"] is None
    assert len(peer.take().readlines()) == 2


def test_without_an_address_nothing_changes(sender: Sender) -> None:
    """A second runtime in the process does not switch off the first one's; a later address replaces it."""
    assert dumping.use(None) is None
    assert dumping._sender is sender
    other = dumping.use(Address(host="127.0.0.1", port=1))
    sender.close()
    assert dumping._sender is other
    assert other is not None
    other.close()


def test_too_many() -> None:
    """What does not fit into the queue is counted, and the next dump that fits says how many are lost."""
    made = Sender(Address(host="127.0.0.1", port=1))
    made._thread = threading.Thread()  # nothing is sent
    for number in range(1003):
        made.put(record(number))
    assert len(made._waiting) == 1000
    made._waiting.popleft()
    made.put(record(2000))
    made._waiting.popleft()
    made.put(record(2001))
    assert [each.dropped for each in list(made._waiting)[-2:]] == [3, 0]


def test_nobody_listens_yet(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It tries again until somebody does, and nothing of what waits is lost."""
    address = peer.address
    peer.close()
    refused = threading.Event()
    connect = dumping._connected

    def noticed(given: Address) -> socket.socket:
        try:
            return connect(given)
        except OSError:
            refused.set()
            raise

    monkeypatch.setattr(dumping, "_connected", noticed)
    made = Sender(address)
    made.put(record(1))
    assert refused.wait(10)
    again = Peer(address.port)
    try:
        assert json.loads(again.take().readline())["line"] == 1
    finally:
        made.close()
        again.close()


def test_who_listened_is_gone(peer: Peer) -> None:
    """The next dump finds out before it is sent, and goes to whoever listens then."""
    made = Sender(peer.address)
    try:
        made.put(record(1))
        reader = peer.take()
        made.put(record(2))
        assert [json.loads(reader.readline())["line"] for _ in range(2)] == [1, 2]
        reader.close()
        assert peer._connection is not None
        peer._connection.close()
        made.put(record(3))
        assert json.loads(peer.take().readline())["line"] == 3
    finally:
        made.close()


def test_the_end_with_nobody_there(peer: Peer) -> None:
    """Closing gives up at once where nobody listens, twice is once, and nothing is taken afterwards."""
    address = peer.address
    peer.close()
    made = Sender(address)
    made.put(record(1))
    thread = made._thread
    assert thread is not None
    made.close()
    made.close()
    made.put(record(2))
    thread.join(10)
    assert not thread.is_alive()
    assert len(made._waiting) == 1


def test_the_end_with_somebody_who_does_not_read(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that nobody takes does not hold the end up."""
    monkeypatch.setattr(dumping, "_FLUSH", 0.1)
    monkeypatch.setattr(dumping, "_PATIENCE", 60.0)
    made = Sender(peer.address)
    made.put(record(1, "x" * 64_000_000))
    reader = peer.take()
    assert reader.read(1) == b"{"
    thread = made._thread
    assert thread is not None
    made.close()
    thread.join(10)
    assert not thread.is_alive()


def test_a_unix_socket(tmp_path: Path) -> None:
    """It may be one, too; what is not there is tried again."""
    path = str(tmp_path / "d")
    with pytest.raises(FileNotFoundError):
        dumping._connected(Address(path=path))
    listening = Peer(family=socket.AF_UNIX, address=path)
    made = Sender(Address(path=path))
    try:
        made.put(record(1))
        assert json.loads(listening.take().readline())["line"] == 1
    finally:
        made.close()
        listening.close()


def test_a_line_comes_back_as_it_was() -> None:
    """What is written can be read, and nothing else."""
    given = record(3, "a\nb")
    assert dumping.decoded(msgspec.json.encode(given)) == given
    with pytest.raises(msgspec.ValidationError):
        dumping.decoded(b"{}")


def test_many_threads(sender: Sender, peer: Peer) -> None:
    """Dumps of several threads come whole, each once."""

    def work(start: int) -> None:
        for number in range(start, start + 50):
            sender.put(record(number))

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 200, 50)]
    for each in threads:
        each.start()
    found: queue.SimpleQueue[int] = queue.SimpleQueue()
    reader = peer.take()
    for _ in range(200):
        found.put(json.loads(reader.readline())["line"])
    for each in threads:
        each.join(10)
    assert sorted(found.get() for _ in range(200)) == list(range(200))
