"""``rtbridge check``, ``rtbridge schema`` and ``rtbridge version``."""

import json
import platform
from importlib.metadata import version as installed

import click

from rtbridge import __version__
from rtbridge.app import EXPECTED, Runtime
from rtbridge.centrifugo import CENTRIFUGO
from rtbridge.cli import describe
from rtbridge.cli.project import Chosen, enter, project_options
from rtbridge.config import json_schema


@click.command()
@click.option("--offline", is_flag=True, help="List variables that are not set instead of refusing them.")
@click.option("--strict", is_flag=True, help="Fail when nobody answers connect, subscribe, publish or rpc.")
@project_options
@click.pass_context
def check(ctx: click.Context, /, chosen: Chosen, offline: bool, strict: bool) -> None:
    """Say whether rtbridge could start, and what it would serve.

    Reads the configuration and registers the plugins; nothing is booted and nothing listens. With --offline, plugins
    are registered only where no variable is missing.
    """
    loaded = enter(chosen, offline=offline)
    for line in loaded.notices:
        click.echo(f"warning: {line}", err=True)
    if loaded.missing_variables:
        click.echo("variables without a value:")
        for name in loaded.missing_variables:
            click.echo(f"  {name}")
        click.echo("\nthe configuration is fine otherwise; plugins were not loaded, they may need those variables")
        if strict:
            click.echo("rtbridge: --strict needs the plugins", err=True)
            ctx.exit(1)
        return
    runtime = Runtime(loaded.config)
    click.echo("\n".join(describe.served(runtime.config, runtime.listing(), describe.addresses(runtime))))
    warnings = runtime.warnings()
    if not runtime.addresses():
        warnings.insert(0, f"{describe.NOWHERE}; as it is, only rtbridge.asgi can serve this")
    for line in warnings:
        click.echo(f"warning: {line}", err=True)
    if strict and (silent := [kind for kind in EXPECTED if runtime.chains[kind].empty]):
        click.echo(f"rtbridge: --strict: nobody answers {', '.join(silent)}", err=True)
        ctx.exit(1)


@click.command()
def schema() -> None:
    """Print the JSON Schema of .rr.yaml."""
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@click.command()
def version() -> None:
    """Print the versions of rtbridge and of what it stands on."""
    rows = [("rtbridge", __version__), ("Python", platform.python_version())]
    rows += [(name, installed(name)) for name in ("grpcio", "protobuf", "msgspec", "pluggy")]
    rows.append(("Centrifugo proxy protocol", CENTRIFUGO))
    for name, number in rows:
        click.echo(f"{name:<26} {number}")
