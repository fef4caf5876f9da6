"""Servers of WebSocket clients that are measured beside each other."""

import contextlib
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.processes import OWN, Running, free_port, serving
from bench.workload import REALTIME

EMBEDDED: Final = "rtbridge"
CENTRIFUGO: Final = "Centrifugo"
SOCKETIO: Final = "python-socketio"


class Contender(NamedTuple):
    """A server that is measured.

    Attributes:
        name: As tables show it.
        framing: What its clients speak: ``centrifuge`` or ``socketio``.
        program: Centrifugo's; None for servers of ours.

    """

    name: str
    framing: str
    program: Path | None = None


class Server(NamedTuple):
    """A contender that runs.

    Attributes:
        contender: Which one.
        address: Where clients connect.
        pids: Its processes, as generators take them; ``a+b`` is the sum of two.

    """

    contender: Contender
    address: str
    pids: str


#: What to do where there is none.
MISSING: Final = "put it on PATH, or its path into RTBRIDGE_CENTRIFUGO"


def centrifugo_program() -> Path | None:
    """Centrifugo's program: the one that ``RTBRIDGE_CENTRIFUGO`` names, else the one on PATH, else None."""
    named = os.environ.get("RTBRIDGE_CENTRIFUGO", "")
    program = shutil.which(Path(named).expanduser() if named else "centrifugo")
    return None if program is None else Path(program)


def found() -> list[Contender]:
    """Those that are there, the embedded server first; a line is printed for each that is not."""
    present = [Contender(EMBEDDED, "centrifuge")]
    program = centrifugo_program()
    if program is not None:
        present.append(Contender(CENTRIFUGO, "centrifuge", program))
    else:
        print(f"{CENTRIFUGO} is left out: {MISSING}")
    if importlib.util.find_spec("socketio") is not None:
        present.append(Contender(SOCKETIO, "socketio"))
    else:
        print(f"{SOCKETIO} is left out: pip install --group bench")
    return present


@contextlib.contextmanager
def running(contender: Contender, folder: Path, *, calls: bool = False) -> Iterator[Server]:
    """A contender's server, until the block ends.

    Args:
        contender: Which one.
        folder: For its files.
        calls: Clients will call; a Centrifugo needs somebody behind it who answers.

    """
    with contextlib.ExitStack() as stack:
        start = stack.enter_context
        if contender.name == CENTRIFUGO:
            behind = start(serving("the proxy's server", (*OWN, "grpcio"))) if calls else None
            assert contender.program is not None
            server = start(centrifugo(contender.program, folder, behind))
            pids = f"{server.pid}+{behind.pid}" if behind else str(server.pid)
        else:
            server = start(serving(contender.name, (*OWN, _OWN_NAMES[contender.name])))
            pids = str(server.pid)
        yield Server(contender, server.address, pids)


_OWN_NAMES: Final[Mapping[str, str]] = {EMBEDDED: "embedded", SOCKETIO: "socketio"}


def centrifugo(program: Path, folder: Path, behind: Running | None, core: int = 0) -> AbstractContextManager[Running]:
    """A Centrifugo, until the block ends.

    Args:
        program: Its program.
        folder: For its configuration.
        behind: Who answers RPCs; None to have none.
        core: Which core it runs on.

    """
    port = free_port()
    config: dict[str, Any] = {
        "http_server": {"address": "127.0.0.1", "port": port},
        "usage_stats": {"disabled": True},
        "log": {"level": "error"},
        **REALTIME,
    }
    if behind is not None:
        config["rpc"] = {**REALTIME["rpc"], "proxy": {"endpoint": f"grpc://{behind.address}", "timeout": "5s"}}
    else:
        del config["rpc"]
    path = folder / f"centrifugo-{port}.json"
    path.write_text(json.dumps(config))
    return serving(CENTRIFUGO, (str(program), "-c", str(path)), f"127.0.0.1:{port}", core=core)
