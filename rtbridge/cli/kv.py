"""``rtbridge kv``: key files, and what is encrypted with them."""

import asyncio
import sys
from pathlib import Path

import click

from rtbridge.cli.project import Chosen, enter, project_options
from rtbridge.config import Config
from rtbridge.errors import ConfigError, KvError
from rtbridge.plugins.kv import IN_MEMORY, open_stores
from rtbridge.stores import Kv
from rtbridge.stores.crypt import write_keypair
from rtbridge.stores.rotate import Rotated, cipher_of, count, rotate


@click.group()
def kv() -> None:
    """Keys of the key-value stores."""


@kv.command()
@click.argument("file")
def keygen(file: str) -> None:
    """Make a key file for rtbridge.kv.keypair_path.

    FILE must not be there yet; only its owner may read it.
    """
    path = Path(file)
    pair = write_keypair(path.absolute())
    click.echo(f"{path}: key {pair.id.hex()}. Keep a copy: without it nobody reads what it encrypted.")


@kv.command(name="rotate")
@click.argument("store")
@click.option("--plain", is_flag=True, help="Encrypt values that are not encrypted yet, too.")
@project_options
@click.pass_context
def rotate_store(ctx: click.Context, /, chosen: Chosen, store: str, plain: bool) -> None:
    """Encrypt every value of STORE with the newest key.

    Values of rtbridge.kv.previous_keypair_paths are read and rewritten, sealed boxes too where accept_sealed is on. The
    store may be in use meanwhile. Exit code 1: there were values that nobody can read; they stay as they are.
    """
    config = enter(chosen).config
    if store in config.kv and config.kv[store].driver in IN_MEMORY:
        raise ConfigError(f"kv.{store} is in the memory of the processes that serve: they forget it when they stop")
    try:
        done = asyncio.run(_rotated(config, store, plain=plain))
    except KvError as exc:
        raise ConfigError(str(exc)) from exc
    click.echo(f"{store}: {_entries(done.rewritten)} rewritten, {done.current:,} had the newest key already.")
    if done.changed:
        click.echo(f"{_entries(done.changed)} ended or changed meanwhile.")
    if done.unreadable:
        click.echo(
            f"{_entries(done.unreadable)} cannot be read and stay as they are: their key is neither keypair_path nor "
            "one of previous_keypair_paths, or they are damaged or not encrypted (--plain).",
            err=True,
        )
        ctx.exit(1)


async def _rotated(config: Config, name: str, *, plain: bool) -> Rotated:
    stores = open_stores(config)
    try:
        store: Kv = stores(name)
        cipher_of(store)
        await store.store.open()
        total = await count(store)
        with click.progressbar(length=total, label=f"{name}:", file=sys.stderr) as bar:
            return await rotate(store, bar.update, plain=plain)
    finally:
        await stores.close()


def _entries(number: int) -> str:
    return f"{number:,} {'entry' if number == 1 else 'entries'}"
