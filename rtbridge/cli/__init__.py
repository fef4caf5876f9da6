"""The command line: one file per command group.

.. code-block:: text

    project   options that most commands share, and what they load
    serve     serve                        check     check, schema, version
    hooks     hooks                        call      call; dial (the wire), verdict (what Centrifugo makes of it)
    lifetime  start, signals, drain        centrifugo  centrifugo-config
    token     token                        dumps     dumps
    api       publish, broadcast, presence, history, disconnect, info
    kv        kv keygen, kv rotate

Exit codes: 0 fine, 1 the command's own "no" (an unanswered event, a denied or refused call, a difference), 2 something
has to be set up differently.
"""

from typing import Any

import click

from rtbridge import __version__
from rtbridge.cli.api import broadcast, disconnect, history, info, presence, publish
from rtbridge.cli.call import call
from rtbridge.cli.centrifugo import centrifugo_config
from rtbridge.cli.check import check, schema, version
from rtbridge.cli.control import reload, stop, workers
from rtbridge.cli.dumps import dumps
from rtbridge.cli.hooks import hooks
from rtbridge.cli.kv import kv
from rtbridge.cli.serve import serve
from rtbridge.cli.token import token
from rtbridge.errors import SetupError


class _Fault(click.ClickException):
    exit_code = SetupError.exit_code

    def show(self, file: Any = None) -> None:
        click.echo(f"rtbridge: {self.message}", err=True)


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SetupError as exc:
            raise _Fault(str(exc)) from exc


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "--version", prog_name="rtbridge", message="%(prog)s %(version)s")
def cli() -> None:
    """Serve Centrifugo's proxy calls with the hooks of your plugins."""


for command in (serve, reload, workers, stop, check, hooks, call, dumps, token, kv, centrifugo_config, schema, version):
    cli.add_command(command)
for command in (publish, broadcast, presence, history, disconnect, info):
    cli.add_command(command)
cli.add_command(reload, "reset")  # RoadRunner's word for it


def main() -> None:
    """Run the command line of this process and end it."""
    cli(prog_name="rtbridge")


__all__ = ["cli", "main"]
