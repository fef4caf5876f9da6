"""``rtbridge dumps``, in a process of its own."""

import json
import re
import signal
import socket
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from click.testing import Result

from rtbridge import RPCResult, dump, hookimpl
from rtbridge.testing import App

Start = Callable[..., Any]
Invoke = Callable[..., Result]


@pytest.fixture
def dumps(start: Start) -> Callable[..., tuple[Any, int]]:
    """Starts it on a free port and tells the port."""

    def run(*arguments: str) -> tuple[Any, int]:
        process = start("dumps", "--listen", "127.0.0.1:0", *arguments)
        told = process.wait_for(r"^waiting for dumps on ")
        return process, int(told.rsplit(":", 1)[1])

    return run


def send(port: int, *lines: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        peer.sendall(b"".join(lines))


def line(**changed: Any) -> bytes:
    given = {"time": 1_777_896_000.5, "file": "/far/hooks.py", "line": 7, "event": None, "value": "1", "pid": 4711}
    return json.dumps(given | changed).encode() + b"\n"


def end(process: Any) -> None:
    process.signal(signal.SIGTERM)
    assert process.end() == 0


async def test_from_a_hook_to_the_terminal(dumps: Any) -> None:
    """A dump in a hook is printed with its time, place, event and value."""
    process, port = dumps()

    class Plugin:
        @hookimpl
        def on_rpc(self, event: Any) -> RPCResult:
            dump({"of": event.data, "long": ["x" * 60] * 2})
            return RPCResult()

    async with App([Plugin()], config={"rtbridge": {"dump_server": f"tcp://127.0.0.1:{port}"}}) as app:
        await app.rpc("rooms.create", 1, user="42", client="c-1")
    process.wait_for(r"^    }$")
    end(process)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} \S*test_dumps.py:\d+ rpc 'rooms.create' user='42' client='c-1', process \d+",
        process.out[0],
    )
    assert process.out[1:3] == ["    {", "        'of': 1,"]


def test_what_is_printed(dumps: Any, project: Any) -> None:
    """Paths start from the working directory, times are local, and nothing in a value steers the terminal."""
    process, port = dumps()
    own = str(project.folder / "chat" / "hooks.py")
    event = {"kind": "publish", "channel": "chat:1", "user": "\x1b[31m"}
    send(port, line(file=own, event=event, value="a\n\x1b[31mb"), line(value="last", time=1e300))
    process.wait_for("last")
    end(process)
    when = datetime.fromtimestamp(1_777_896_000.5).strftime("%H:%M:%S.500")
    assert process.out == [
        f"{when} chat/hooks.py:7 publish 'chat:1' user='\\x1b[31m', process 4711",
        "    a",
        "    \\x1b[31mb",
        "--:--:--.--- /far/hooks.py:7 outside of an event, process 4711",
        "    last",
    ]


def test_as_json(dumps: Any) -> None:
    """The lines are printed as they came; what is lost is told on standard error."""
    process, port = dumps("--json")
    send(port, line(value="ä", dropped=3), line(value="last"))
    process.wait_for("last")
    end(process)
    assert [(json.loads(each)["value"], json.loads(each).get("dropped")) for each in process.out] == [
        ("ä", 3),
        ("last", None),
    ]
    assert "rtbridge: 3 dumps before the next one came too fast and are lost" in process.err


def test_lines_that_are_no_dumps(dumps: Any) -> None:
    """They are told and skipped, whatever is wrong with them, and those after them are shown."""
    process, port = dumps()
    long = b"x" * (6 * 1024 * 1024)
    send(port, b"GET / HTTP/1.1\n", b"{}\n", b"\xff\n", long, b"\n", line(value="after"), b'{"half')
    process.wait_for("its end did not come")
    send(port, long, b"\n", line(value="between"), long)
    process.wait_for("between")
    send(port, line(value="last"))
    process.wait_for("last")
    end(process)
    told = [each for each in process.err if each.startswith("rtbridge: a line was skipped: ")]
    assert len(told) == 7
    assert sum("longer than 1048576 bytes" in each for each in told) == 3
    assert "    after" in process.out


def test_several_at_once(dumps: Any) -> None:
    """Senders that stay connected do not hold up each other, nor the end."""
    process, port = dumps()
    peers = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(3)]
    try:
        for number, peer in enumerate(reversed(peers)):
            peer.sendall(line(value=f"from {number}"))
            process.wait_for(f"from {number}")
        process.signal(signal.SIGINT)
        assert process.end() == 0
        assert "Traceback" not in "\n".join(process.err)
    finally:
        for peer in peers:
            peer.close()


def test_an_address_that_is_taken(invoke: Invoke) -> None:
    """It says so and what to do, with exit code 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = invoke("dumps", "--listen", f"127.0.0.1:{port}")
    assert ended.exit_code == 2
    assert f"rtbridge: cannot listen on tcp://127.0.0.1:{port}: " in ended.stderr
    assert "is there another rtbridge dumps? --listen takes another address" in ended.stderr


def test_nowhere_to_listen(project: Any, invoke: Invoke) -> None:
    """Without an address in the configuration one has to be given, and a wrong one is refused."""
    project.config("rtbridge: {entry_points: false}")
    ended = invoke("dumps")
    assert ended.exit_code == 2
    assert "rtbridge: nowhere to listen: set rtbridge.dump_server, such as tcp://127.0.0.1:9912" in ended.stderr
    ended = invoke("dumps", "--listen", "9912")
    assert ended.exit_code == 2
    assert "--listen '9912': no port" in ended.stderr


def test_the_configured_address(project: Any, start: Start) -> None:
    """It is where the processes of the configuration send; a Unix socket can be one."""
    path = project.folder / "d.sock"
    project.config(f'rtbridge: {{entry_points: false, dump_server: "unix://{path}"}}')
    process = start("dumps")
    process.wait_for(f"^waiting for dumps on unix://{path}$")
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))
        peer.sendall(line(value="here", time=time.time()))
    process.wait_for("here")
    end(process)
