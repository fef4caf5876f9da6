"""``rtbridge serve``."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence

import click

from rtbridge import __version__, logs
from rtbridge.app import runtime_of
from rtbridge.cli import describe, lifetime
from rtbridge.cli.process import Process
from rtbridge.cli.project import Chosen, enter, project_options
from rtbridge.config import Config, Loaded
from rtbridge.errors import ConfigError
from rtbridge.listening import addresses
from rtbridge.loops import settle
from rtbridge.transport.base import Transport, places
from rtbridge.workers.parent import Parent

log = logging.getLogger("rtbridge")


@click.command()
@click.option("--watch", is_flag=True, help="Reload when a Python or configuration file of the project changes.")
@project_options
def serve(chosen: Chosen, watch: bool) -> None:
    """Answer Centrifugo's proxy calls until a signal comes.

    Hooks run in worker processes (centrifuge.pool). SIGHUP and `rtbridge reload` replace them one by one, with nothing
    lost. SIGTERM or SIGINT (Ctrl-C) ends it after the calls under way, within rtbridge.drain_timeout; a second one ends
    it at once, with exit code 1.
    """
    environment = dict(os.environ)
    loaded = enter(chosen)
    config = loaded.config
    logs.setup(config.logs.level, config.logs.encoding)
    if not addresses(config):
        raise ConfigError(describe.NOWHERE)
    if watch and describe.alone(config):
        raise ConfigError("--watch replaces workers, and there are none: set centrifuge.pool.debug to false")
    lifetime.run(_serve(chosen, loaded, environment, watch=watch))
    log.info("ended")


async def _serve(chosen: Chosen, loaded: Loaded, environment: Mapping[str, str], *, watch: bool) -> None:
    config = loaded.config
    for line in loaded.notices:
        log.warning("%s", line)
    host = runtime_of(config) if describe.alone(config) else Parent(config, {**loaded.dotenv, **environment})
    signals = lifetime.Signals()
    process = Process(chosen, host, signals, environment)
    signals.on_hangup(process.hangup)
    early = process.listeners()
    watching: asyncio.Task[None] | None = None
    if watch:
        watching = asyncio.create_task(process.watch(loaded.path))

    def started(running: Sequence[Transport]) -> None:
        for line in host.warnings():
            log.warning("%s", line)
        process.running = [*running, *early]
        settle()
        _tell(config, host, [place for each in process.running for place in places(each).items()])

    try:
        await lifetime.serve(host, signals, lazy=config.centrifuge.lazy_boot, started=started, early=early)
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.wait((watching,))


def _tell(config: Config, host: lifetime.Host, where: Sequence[tuple[str, str]]) -> None:
    """Say that everything listens, and what."""
    if config.logs.encoding == "json":  # standard output and error often end in one place, and a table is no JSON
        for wire, address, tls, secret in describe.listeners(config, where):
            fields = {"transport": wire, "address": address, "tls": tls, "secret": secret}
            log.info("%s listens on %s", wire, address, extra={"event": fields})
        log.info("ready")
        return
    say: Callable[[str], None] = click.echo
    say(f"rtbridge {__version__}, process {os.getpid()}\n")
    say("\n".join(describe.served(config, host.listing(), where)))
    say("\nready")
    for name, address in where:
        if name in describe.PAGES:
            say(f"open {describe.url(address, describe.PAGES[name])}")
