"""``rtbridge hooks``: who listens to what, in which order."""

import json
from typing import Any

import click

from rtbridge.app import Runtime
from rtbridge.cli import describe
from rtbridge.cli.project import Chosen, bring_up, project_options
from rtbridge.events import METHODS
from rtbridge.hooks import Chain
from rtbridge.hooks.chain import Middleware
from rtbridge.hooks.steps import Step


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@project_options
def hooks(chosen: Chosen, as_json: bool) -> None:
    """Print who listens to what, in the order in which they run."""
    _, runtime = bring_up(chosen)
    found = collect(runtime)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(render(found)))


def collect(runtime: Runtime) -> dict[str, Any]:
    """Everything that the command prints, as JSON values."""
    events = {kind: _event(runtime, kind, chain) for kind, chain in runtime.chains.items()}
    lifecycle = {
        name: [_step(number, step) for number, step in enumerate(chain.steps, 1)]
        for name, chain in runtime.manager.lifecycle().items()
    }
    plugins = [name for name, _ in runtime.manager.list_name_plugin()]
    return {"plugins": plugins, "events": events, "lifecycle": lifecycle, "warnings": runtime.manager.warnings}


def _event(runtime: Runtime, kind: str, chain: Chain) -> dict[str, Any]:
    listeners = [_step(number, step) for number, step in enumerate(chain.plain, 1)]
    if chain.routes is not None:
        in_order = sorted(chain.routes.listeners, key=lambda each: (each.pattern.rank, -each.priority))
        for number, listener in enumerate(in_order, len(listeners) + 1):
            own = _step(number, listener.bind({}))
            listeners.append({**own, "pattern": listener.pattern.text, "priority": listener.priority})
    around = [
        {
            "kind": "middleware" if isinstance(each, Middleware) else "wrapper",
            "name": each.name,
            "source": describe.relative(each.source),
        }
        for each in chain.around
    ]
    return {
        "hook": f"on_{kind}",
        "listeners": listeners,
        "around": around,
        "unanswered": describe.denial(runtime.bridge.denials.silence(kind)),
    }


def _step(number: int, step: Step) -> dict[str, Any]:
    return {
        "order": number,
        "name": step.name,
        "mode": step.mode.name.lower(),
        "source": describe.relative(step.source),
    }


def render(found: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines: list[str] = []
    events: dict[str, Any] = found["events"]
    middleware = [each for each in events["connect"]["around"] if each["kind"] == "middleware"]
    if middleware:
        lines += ["on_event, around every event", *_rows(("outermost first", each) for each in middleware), ""]
    for event in events.values():
        if not event["listeners"]:
            continue
        wrappers = [("wrapper", each) for each in event["around"] if each["kind"] == "wrapper"]
        lines.append(f"{event['hook']}, unanswered: {event['unanswered']}")
        lines += [*_rows([*wrappers, *((str(each["order"]), each) for each in event["listeners"])]), ""]
    for name, steps in found["lifecycle"].items():
        if steps:
            lines += [name, *_rows((str(each["order"]), each) for each in steps), ""]
    silent = {kind: event for kind, event in events.items() if not event["listeners"] and kind in METHODS}
    if silent:
        lines.append("nobody answers")
        rows = [(f"  {event['hook']}", event["unanswered"]) for event in silent.values()]
        lines += describe.table(("  hook", "denied with"), rows)
        lines.append("")
    lines += [f"warning: {line}" for line in found["warnings"]]
    if lines and not lines[-1]:
        lines.pop()
    return lines


def _rows(entries: Any) -> list[str]:
    rows: list[tuple[str, ...]] = []
    for label, each in entries:
        where = each.get("pattern", "")
        if each.get("priority"):
            where += f" (priority {each['priority']})"
        rows.append((f"  {label}", where, each["name"], each.get("mode", ""), each["source"]))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width).rstrip() for row in rows
    ]
