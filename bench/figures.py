"""Minimum, median and maximum of repeated measurements, tables, and what machine they are from."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """What repeated measurements of one thing came to."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.1f} / {self.median:.1f} / {self.high:.1f}"


def spread(values: Sequence[float]) -> Spread:
    """Minimum, median and maximum."""
    return Spread(min(values), statistics.median(values), max(values))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column to the left, the rest to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = [cell.ljust(width) if not at else cell.rjust(width) for at, (cell, width) in _sized(cells)]
        return f"| {' | '.join([first, *rest])} |"

    def _sized(cells: Sequence[str]) -> enumerate[tuple[str, int]]:
        return enumerate(list(zip(cells, widths, strict=True)))

    rule = "|" + "|".join("-" * (width + 1) + ("-" if not at else ":") for at, width in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *(line(row) for row in rows)])


def machine() -> dict[str, Any]:
    """What the figures depend on besides rtbridge."""
    packages = ("grpcio", "msgspec", "protobuf", "uvicorn", "uvloop", "httptools")
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        **{name: _version(name) for name in packages},
    }


def described() -> str:
    """The machine in one line."""
    return ", ".join(f"{name} {value}" for name, value in machine().items() if value)


def save(path: Path, figures: dict[str, Any]) -> None:
    """Write figures and machine as JSON."""
    path.write_text(json.dumps({"machine": machine(), **figures}, indent=2) + "\n")


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:
        return ""
