"""``rtbridge reload``, ``workers`` and ``stop``: what is asked of a running ``rtbridge serve``."""

import os
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import click

from rtbridge.cli import describe
from rtbridge.cli.project import Chosen, project_options
from rtbridge.config import Address, Config
from rtbridge.config.control import address_in_environment, rpc_token
from rtbridge.config.load import DEFAULT_FILE
from rtbridge.control.client import Control
from rtbridge.errors import ConfigError, SetupError

#: Seconds that the process has to answer what it can answer at once.
_SOON: Final = 10.0

#: Seconds of a wait that has no bound of its own.
_LONG: Final = 86_400.0

#: Seconds between two looks of ``workers -i``.
_TICK: Final = 1.0


def _find(chosen: Chosen) -> tuple[Address, str | None, Config | None]:
    """Where the control RPC is, its token, and the configuration that says so.

    Hooks and what they start find it by RR_RPC; everybody else by the configuration.
    """
    chosen.go()
    named = None if chosen.names_a_file else address_in_environment()
    config: Config | None = None
    if named is None or os.path.exists(DEFAULT_FILE):
        config = chosen.load().config
    if named is not None:
        return named, rpc_token(config), config
    if config is None or config.rpc is None:
        raise ConfigError('there is no control RPC: set rpc.listen, such as rpc: {listen: "tcp://127.0.0.1:6001"}')
    return config.rpc.listen, rpc_token(config), config


@click.command()
@project_options
def reload(chosen: Chosen) -> None:
    """Replace all workers one by one, with the configuration and the code as they are now; nothing is lost.

    A configuration that is not valid, or a plugin that does not boot, changes nothing: what ran before goes on, and the
    exit code is 2.
    """
    address, token, config = _find(chosen)
    with Control(address, token) as control:
        reply = control.call("Reload", timeout=_reloaded_within(config))
    if reply.error:
        raise SetupError(reply.error)
    for line in reply.notices:
        click.echo(f"warning: {line}", err=True)
    for key in reply.restart:
        click.echo(f"warning: {key} has changed and needs a restart", err=True)
    click.echo(f"reloaded: {reply.workers} workers take calls")


def _reloaded_within(config: Config | None) -> float:
    """Seconds that all pools have to be replaced in, one after the other."""
    if config is None:
        return _LONG
    pools = [config.centrifuge.pool.reset_timeout]
    if config.http is not None:
        pools.append(config.http.pool.reset_timeout)
    return sum(pools) + _SOON if all(pools) else _LONG


@click.command()
@click.option("-i", "--interactive", is_flag=True, help="Look again every second, until Ctrl-C.")
@project_options
def workers(chosen: Chosen, interactive: bool) -> None:
    """Show the worker processes: what each does, holds and uses."""
    address, token, _ = _find(chosen)
    with Control(address, token) as control:
        seen = control.call("Workers", timeout=_SOON)
        if not interactive:
            click.echo("\n".join(_table(seen, {}, 0.0)))
            return
        before: dict[int, float] = {}
        try:
            while True:
                if sys.stdout.isatty():
                    click.clear()
                click.echo("\n".join(_table(seen, before, _TICK)))
                before = {worker.pid: worker.cpu for worker in seen.workers}
                time.sleep(_TICK)
                seen = control.call("Workers", timeout=_SOON)
        except KeyboardInterrupt:
            return


@click.command()
@click.option("-f", "--force", is_flag=True, help="At once, without waiting for calls under way.")
@project_options
def stop(chosen: Chosen, force: bool) -> None:
    """End a running `rtbridge serve`, after the calls under way."""
    address, token, _ = _find(chosen)
    with Control(address, token) as control:
        control.call("Stop", timeout=_SOON, force=force)
    click.echo("ends at once" if force else "ends when the calls under way are answered")


def _table(seen: Any, before: dict[int, float], passed: float) -> list[str]:
    """The workers, and what else there is to see."""
    lines: list[str] = []
    if seen.workers:
        header = ("worker", "process", "state", "jobs", "calls", "streams", "memory", "CPU", "age")
        lines += describe.table(header, [_row(worker, before, passed) for worker in seen.workers])
    else:
        lines.append(f"no workers: process {seen.pid} runs the hooks (centrifuge.pool.debug)")
    state = "ready" if seen.ready else f"not ready: {'; '.join(seen.reasons) or 'it does not listen yet'}"
    return [*lines, "", f"process {seen.pid} is {state}; {seen.queue} calls wait for a worker"]


def _row(worker: Any, before: dict[int, float], passed: float) -> Sequence[str]:
    if worker.pid in before and passed:
        share = (worker.cpu - before[worker.pid]) / passed
    else:
        share = worker.cpu / worker.age if worker.age else 0.0
    return (
        f"http {worker.number}" if worker.mode == "http" else str(worker.number),
        str(worker.pid),
        worker.state,
        str(worker.jobs),
        str(worker.held),
        str(worker.streams),
        f"{worker.memory / 1024**2:.1f} MB",
        f"{100 * share:.0f} %",
        _age(worker.age),
    )


def _age(seconds: float) -> str:
    """``45s``, ``3m 12s``, ``5h 2m``, ``9d 4h``."""
    left = int(seconds)
    parts = list[str]()
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= size or parts or unit == "s":
            parts.append(f"{left // size}{unit}")
            left %= size
    return " ".join(parts[:2])
