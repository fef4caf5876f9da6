"""``rtbridge dumps``: shows what ``rtbridge.dump`` sends from running processes."""

import asyncio
import contextlib
from datetime import datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from rtbridge import dumping
from rtbridge.cli import describe, lifetime
from rtbridge.cli.project import Chosen, enter, project_options
from rtbridge.config import Address
from rtbridge.config.values import parse_address
from rtbridge.errors import ConfigError, ListenError
from rtbridge.events.words import in_words
from rtbridge.logs import printable

#: Bytes of the longest line that is read.
_LONGEST: Final = 1024 * 1024


@click.command()
@click.option("--listen", metavar="ADDRESS", help="Listen here; rtbridge.dump_server by default.")
@click.option("--json", "as_json", is_flag=True, help="Print each dump as the JSON object that came.")
@project_options
def dumps(chosen: Chosen, listen: str | None, as_json: bool) -> None:
    """Show what rtbridge.dump(...) in hooks sends here, until a signal comes.

    Processes send where rtbridge.dump_server is set in their configuration.
    """
    lifetime.run(_serve(_address(chosen, listen), as_json=as_json))


def _address(chosen: Chosen, listen: str | None) -> Address:
    if listen is None or chosen.names_a_file or Path(".rr.yaml").exists():
        configured = enter(chosen).config.rtbridge.dump_server
    else:
        configured = None
    if listen is not None:
        try:
            return parse_address(listen)
        except ValueError as exc:
            raise click.UsageError(f"--listen {listen!r}: {exc}") from exc
    if configured is None:
        raise ConfigError(
            "nowhere to listen: set rtbridge.dump_server, such as tcp://127.0.0.1:9912; processes send there, too"
        )
    return configured


async def _serve(address: Address, *, as_json: bool) -> None:
    signals = lifetime.Signals()
    senders: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        senders[task] = writer
        try:
            await _read(reader, as_json=as_json)
        finally:
            del senders[task]
            writer.close()

    try:
        if address.path:
            server = await asyncio.start_unix_server(take, address.path, limit=_LONGEST)
        else:
            server = await asyncio.start_server(take, address.host, address.port, limit=_LONGEST)
    except OSError as exc:
        raise ListenError(
            f"cannot listen on {address}: {exc.strerror}; is there another rtbridge dumps? --listen takes another "
            "address, and processes send to rtbridge.dump_server"
        ) from exc
    where = address if address.path else Address(host=address.host, port=server.sockets[0].getsockname()[1])
    click.echo(f"waiting for dumps on {where}", err=True)
    await signals.stop.wait()
    server.close()
    tasks = list(senders)
    for writer in senders.values():
        writer.transport.abort()  # asyncio reports a cancelled reader as an error
    await asyncio.gather(*tasks)


async def _read(reader: asyncio.StreamReader, *, as_json: bool) -> None:
    skipping = False
    with contextlib.suppress(ConnectionError):
        while True:
            try:
                line = await reader.readuntil()
            except asyncio.LimitOverrunError as exc:
                await reader.readexactly(exc.consumed)
                if not skipping:
                    _complain(f"it is longer than {_LONGEST} bytes")
                skipping = True
                continue
            except asyncio.IncompleteReadError as exc:
                if exc.partial and not skipping:
                    _complain("its end did not come")
                return
            if not skipping:
                _show(line, as_json=as_json)
            skipping = False


def _show(line: bytes, *, as_json: bool) -> None:
    try:
        found = dumping.decoded(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        _complain(str(exc))
        return
    if found.dropped:
        _complain(f"{found.dropped} dumps before the next one came too fast and are lost", what="")
    click.echo(line.decode().rstrip("\r\n") if as_json else "\n".join(_rendered(found)))


def _complain(why: str, what: str = "a line was skipped: ") -> None:
    click.echo(f"rtbridge: {what}{printable(why)}", err=True)


def _rendered(found: dumping.Dump) -> list[str]:
    try:
        when = datetime.fromtimestamp(found.time).astimezone().isoformat(" ", "milliseconds")[11:23]
    except (ValueError, OverflowError, OSError):
        when = "--:--:--.---"
    words = in_words(found.event) if found.event else "outside of an event"
    head = f"{when} {describe.relative(f'{found.file}:{found.line}')} {words}, process {found.pid}"
    return [printable(head), *(f"    {printable(line)}" for line in found.value.splitlines())]
