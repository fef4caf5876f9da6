"""Tables and bars of the embedded server's benchmark."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from bench.contenders import CENTRIFUGO, EMBEDDED, SOCKETIO
from bench.figures import Spread, spread, table

#: (part, contender, case) → what each round measured.
Shots = dict[tuple[str, str, str], list[dict[str, Any]]]

#: The case of a part that has only one.
ONLY: Final = ""

#: The storm that a bar is set for.
_LARGEST: Final = "5,000"


class Verdict(NamedTuple):
    """A bar, and what was found.

    Attributes:
        what: What is held against it.
        value: What was measured.
        bar: The most, or with ``least`` the least, that is allowed.
        least: Which of the two.

    """

    what: str
    value: float
    bar: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        return self.value >= self.bar if self.least else self.value <= self.bar

    def row(self) -> list[str]:
        """Its line in a table."""
        sign = "≥" if self.least else "≤"
        return [self.what, f"{self.value:.3g}", f"{sign} {self.bar:g}", "yes" if self.met else "NO"]


def cpu(shots: Sequence[Mapping[str, Any]]) -> Spread:
    """Microseconds of the server's CPU for one operation."""
    return spread([each["cpu_ms_per_1k"][0] for each in shots])


def of(shots: Sequence[Mapping[str, Any]], key: str, scale: float = 1.0) -> Spread:
    """Any other figure; a list has one entry for each server, and here is one server."""
    values = [each[key] for each in shots]
    return spread([(value[0] if isinstance(value, list) else value) * scale for value in values])


def failed(shots: Sequence[Mapping[str, Any]]) -> int:
    """What did not succeed, in all rounds."""
    return sum(each["errs"] for each in shots)


def _ratio(shots: Shots, part: str, case: str, figure: Callable[[Any], Spread], over: str, under: str) -> float | None:
    """How many times ``under``'s median ``over``'s is; None where one of them was not measured."""
    both = shots.get((part, over, case)), shots.get((part, under, case))
    if not both[0] or not both[1]:
        return None
    return figure(both[0]).median / figure(both[1]).median


def _against(shots: Shots, part: str, case: str, name: str, figure: Callable[[Any], Spread]) -> str:
    ratio = _ratio(shots, part, case, figure, name, EMBEDDED)
    return "" if ratio is None else f"{ratio:.2f}"


def _fanout(shots: Shots, name: str, case: str, found: Sequence[Any]) -> list[str]:
    return [
        str(cpu(found)),
        _against(shots, "fanout", case, name, cpu),
        f"{of(found, 'rps').median:,.0f}",
        f"{of(found, 'gen_cpu').median:.0%}",
        str(failed(found)),
    ]


def _p99(found: Sequence[Any]) -> Spread:
    return of(found, "p99_us", 1e-3)


def _paced(shots: Shots, name: str, case: str, found: Sequence[Any]) -> list[str]:
    return [
        str(of(found, "p50_us", 1e-3)),
        str(_p99(found)),
        _against(shots, "paced", case, name, _p99),
        str(cpu(found)),
        f"{of(found, 'server_cpu').median:.0%}",
        str(failed(found)),
    ]


def _storm(shots: Shots, name: str, case: str, found: Sequence[Any]) -> list[str]:
    seconds = of(found, "seconds")
    return [
        f"{seconds.low:.2f} / {seconds.median:.2f} / {seconds.high:.2f}",
        str(cpu(found)),
        f"{of(found, 'gen_cpu').median:.0%}",
        str(failed(found)),
    ]


def _memory(shots: Shots, name: str, case: str, found: Sequence[Any]) -> list[str]:
    return [str(of(found, "kb_per_conn")), f"{of(found, 'kb', 1 / 1024).median:.0f}"]


def _rpc(shots: Shots, name: str, case: str, found: Sequence[Any]) -> list[str]:
    return [
        str(cpu(found)),
        _against(shots, "rpc", case, name, cpu),
        f"{of(found, 'rps').median:,.0f}",
        f"{of(found, 'p50_us').median:,.0f}",
        f"{of(found, 'p99_us').median:,.0f}",
        f"{of(found, 'gen_cpu').median:.0%}",
        str(failed(found)),
    ]


def _recovery(shots: Shots, name: str, case: str, found: Sequence[Any]) -> list[str]:
    whole = [each for each in found if each]
    return [
        f"{len(whole)} of {len(found)}",
        *(str(sum(each[key] for each in whole)) for key in ("lost", "twice", "disordered")),
        f"{sum(each['recovered'] for each in whole)} of {sum(each['returns'] for each in whole)}",
        str(spread([each["back"] for each in whole])) if whole else "",
    ]


class Part(NamedTuple):
    """One of the measurements.

    Attributes:
        title: What it is about.
        case: What its cases are; empty where there is one.
        columns: After the server and the case.
        cells: Their values, from all shots, a contender's name, a case and that contender's shots of it.

    """

    title: str
    case: str
    columns: tuple[str, ...]
    cells: Callable[[Shots, str, str, Sequence[Any]], list[str]]


#: In the order in which they are measured.
PARTS: Final[dict[str, Part]] = {
    "storm": Part(
        "Clients that connect and subscribe at once",
        "clients",
        ("seconds until all are in", "CPU µs per client", "generator busy", "refused"),
        _storm,
    ),
    "fanout": Part(
        "Fan-out to 1,000 subscribers, as fast as it goes",
        ONLY,
        ("CPU µs per delivery", "against rtbridge", "deliveries/s", "generator busy", "missing"),
        _fanout,
    ),
    "paced": Part(
        "Fan-out to 1,000 subscribers, 20 publications a second",
        ONLY,
        ("p50 ms", "p99 ms", "against rtbridge", "CPU µs per delivery", "server busy", "missing"),
        _paced,
    ),
    "rpc": Part(
        "Calls of clients, answered by hooks",
        "load",
        ("CPU µs per call", "against rtbridge", "calls/s", "p50 µs", "p99 µs", "generator busy", "failed"),
        _rpc,
    ),
    "memory": Part(
        "Memory of idle subscribers",
        "clients",
        ("KiB per client", "MiB with all of them"),
        _memory,
    ),
    "recovery": Part(
        "160 messages, 20 a second, to clients that have no network for 2 s",
        "client",
        ("clients that came through", "lost", "twice", "out of order", "returns told “recovered”", "s until back"),
        _recovery,
    ),
}


def tables(shots: Shots) -> str:
    """Everything that was measured."""
    return "\n\n".join(
        f"{part.title}\n\n{_table(name, part, shots)}"
        for name, part in PARTS.items()
        if any(key[0] == name for key in shots)
    )


def _table(name: str, part: Part, shots: Shots) -> str:
    mine = [(server, case) for key, server, case in shots if key == name]
    # Cases stay together, contenders in their own order within.
    order = list(dict.fromkeys(case for _, case in mine))
    rows = [
        [server, *([case] if part.case else []), *part.cells(shots, server, case, shots[name, server, case])]
        for server, case in sorted(mine, key=lambda each: order.index(each[1]))
    ]
    return table(["server", *([part.case] if part.case else []), *part.columns], rows)


def verdicts(shots: Shots) -> list[Verdict]:
    """The bars of what was measured."""
    found = list[Verdict]()

    def held(what: str, value: float | None, bar: float, *, least: bool = False) -> None:
        if value is not None:
            found.append(Verdict(what, value, bar, least))

    held(
        "fan-out: CPU per delivery, times Centrifugo's",
        _ratio(shots, "fanout", ONLY, cpu, EMBEDDED, CENTRIFUGO),
        1.5,
    )
    held(
        "fan-out: python-socketio's CPU per delivery, times ours",
        _ratio(shots, "fanout", ONLY, cpu, SOCKETIO, EMBEDDED),
        15,
        least=True,
    )
    held("paced: p99, times Centrifugo's", _ratio(shots, "paced", ONLY, _p99, EMBEDDED, CENTRIFUGO), 1.5)
    for (part, server, case), ours in shots.items():
        if server != EMBEDDED:
            continue
        if part == "recovery":
            bad = [not each or each["lost"] + each["twice"] + each["disordered"] > 0 for each in ours]
            held(f"recovery, {case}: clients with a message lost, twice or out of order", sum(bad), 0)
            unsure = [not each or each["recovered"] < each["returns"] or not each["returns"] for each in ours]
            held(f"recovery, {case}: clients that were not told “recovered”", sum(unsure), 0)
            continue
        if part == "memory":
            held("memory: KiB per idle subscriber", of(ours, "kb_per_conn").median, 25)
        elif part == "storm":
            if case == _LARGEST:
                held(f"storm of {case}: seconds, the slowest round", of(ours, "seconds").high, 3)
        elif part == "rpc":
            held(f"rpc, {case}: CPU µs per call", cpu(ours).median, 60)
        held(f"{part}{', ' + case if case else ''}: failures", failed(ours), 0)
    return found
