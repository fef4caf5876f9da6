"""``rtbridge serve``."""

import logging
import os
from collections.abc import Sequence

import click

from rtbridge import __version__, logs
from rtbridge.app import Runtime
from rtbridge.cli import describe, lifetime
from rtbridge.cli.project import Chosen, enter, project_options
from rtbridge.errors import ConfigError
from rtbridge.transport.base import Transport

log = logging.getLogger("rtbridge")


@click.command()
@project_options
def serve(chosen: Chosen) -> None:
    """Answer Centrifugo's proxy calls until a signal comes.

    SIGTERM or SIGINT (Ctrl-C) ends it after the calls under way, within rtbridge.drain_timeout; a second one ends it
    at once, with exit code 1.
    """
    loaded = enter(chosen)
    config = loaded.config
    logs.setup(config.logs.level, config.logs.encoding)
    runtime = Runtime(config)
    if not runtime.addresses():
        raise ConfigError(describe.NOWHERE)
    for line in (*loaded.notices, *runtime.warnings()):
        log.warning("%s", line)
    quiet = config.logs.encoding == "json"

    def started(running: Sequence[Transport]) -> None:
        addresses = [(each.name, each.address) for each in running]
        if quiet:  # standard output and error often end in one place, and a table is no JSON
            for wire, address, tls, secret in describe.listeners(runtime, addresses):
                fields = {"transport": wire, "address": address, "tls": tls, "secret": secret}
                log.info("%s listens on %s", wire, address, extra={"event": fields})
            log.info("ready")
        else:
            click.echo(f"rtbridge {__version__}, process {os.getpid()}\n")
            click.echo("\n".join(describe.served(runtime, addresses)))
            click.echo("\nready")
            for address in (address for name, address in addresses if name == "web"):
                click.echo(f"open {describe.url(address)}")

    lifetime.run(lifetime.serve(runtime, lazy=config.centrifuge.lazy_boot, started=started))
    log.info("ended")
