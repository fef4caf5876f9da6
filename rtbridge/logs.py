"""What the process logs, and how a line looks: for people, or one JSON object for each record.

Names and texts in a record may come from clients, so neither form lets one of them end a line or reach a terminal as
a control character.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

Level = Literal["debug", "info", "warning", "error"]
Encoding = Literal["console", "json"]

#: Loggers of libraries whose own talk is not about this process's work. Their debug lines may show what clients sent.
QUIET: Final = ("asyncio", "grpc", "uvicorn", "uvicorn.access", "uvicorn.asgi", "uvicorn.error")

_COLOURS: Final = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_CONTINUED: Final = "    | "


def setup(
    level: Level = "info",
    encoding: Encoding = "console",
    stream: TextIO | None = None,
    *,
    worker: int = 0,
    mode: str = "",
) -> None:
    """Send every record of the process to one stream, in place of what was set up before.

    Args:
        level: The least severe level that is logged.
        encoding: Lines for people, or one JSON object for each record.
        stream: Where to; standard error by default.
        worker: The number of the worker process, which lines and objects show; 0 in a process that is none.
        mode: What this worker does, shown with it; "" to leave it out.

    """
    out: TextIO = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(out)
    colours = out.isatty()
    json_lines = encoding == "json"
    handler.setFormatter(
        JsonFormatter(worker, mode) if json_lines else ConsoleFormatter(colours=colours, worker=worker, mode=mode)
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class JsonFormatter(logging.Formatter):
    """One JSON object on each line: ``ts``, ``level``, ``logger``, ``msg``, the fields of the event, ``exception``.

    Args:
        worker: The number of the worker process, as ``worker``; 0 to leave it out.
        mode: What it does, as ``mode``; "" to leave it out.

    """

    def __init__(self, worker: int = 0, mode: str = "") -> None:
        super().__init__()
        self._process = {name: value for name, value in (("worker", worker), ("mode", mode)) if value}

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        own: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        own |= self._process
        if trace := _trace(self, record):
            own["exception"] = trace
        return json.dumps(own | {k: v for k, v in _event(record).items() if k not in own}, default=repr)


class ConsoleFormatter(logging.Formatter):
    """Time, level, logger and message in columns; what belongs to a line above it is indented behind a bar.

    Args:
        colours: Colour the level; for terminals.
        worker: The number of the worker process, before the message; 0 to leave it out.
        mode: What it does, before its number; "" to leave it out.

    """

    def __init__(self, *, colours: bool = False, worker: int = 0, mode: str = "") -> None:
        super().__init__()
        self._worker = f"{mode} worker {worker}: ".lstrip() if worker else ""
        self._colours = colours
        self._second = (-1, "")

    def format(self, record: logging.LogRecord) -> str:
        """The record's lines, without the last one's end."""
        second = int(record.created)
        if second != self._second[0]:  # a busy process writes thousands of lines with one and the same time
            self._second = second, datetime.fromtimestamp(second).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        time = self._second[1]
        level = f"{record.levelname:<7}"
        if self._colours and (code := _COLOURS.get(record.levelname)):
            level = f"\x1b[{code}m{level}\x1b[0m"
        # A line break in the constant part of a message is meant; one in what was filled in may be a client's.
        first, *more = record.getMessage().split("\n") if "\n" in str(record.msg) else [record.getMessage()]
        more += _trace(self, record).splitlines()
        lines = [f"{time}.{int(record.msecs):03d} {level} {record.name:<15} {self._worker}{printable(first)}"]
        return "\n".join([*lines, *(_CONTINUED + printable(line) for line in more)])


def printable(text: str) -> str:
    """The text with everything that would break a line or steer a terminal written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _event(record: logging.LogRecord) -> Mapping[str, Any]:
    event: Any = getattr(record, "event", None)
    return event if isinstance(event, Mapping) else {}  # pyright: ignore[reportUnknownVariableType]


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts: list[str] = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)
