"""``rtbridge publish``, ``broadcast``, ``presence``, ``history``, ``disconnect``, ``info``: the server API by hand."""

import json
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from rtbridge.api import Position, SyncApi
from rtbridge.api.connect import find_endpoint, open_sync
from rtbridge.cli.project import Chosen, enter, project_options, timeout_seconds
from rtbridge.errors import ApiError, ApiFailure, Disconnect, SetupError
from rtbridge.events import JSON_NULL

F = TypeVar("F", bound=Callable[..., Any])


class _Refused(click.ClickException):
    def show(self, file: Any = None) -> None:
        click.echo(f"rtbridge: {self.message}", err=True)


_TIMEOUT = click.option("--timeout", metavar="5s", help="How long the server may take; by default as configured.")


def _ask(chosen: Chosen, timeout: str | None, call: Callable[[SyncApi], Any]) -> Any:
    """What a call gives; ends the command with 1 when it is refused, with 2 when it reaches nobody."""
    seconds = None if timeout is None else timeout_seconds(timeout)
    settings = find_endpoint(
        lambda file: enter(chosen._replace(config=file)).config,
        chosen.config,
        named=chosen.names_a_file,
        timeout=seconds,
    )
    try:
        with open_sync(settings) as api:
            return call(api)
    except ApiFailure as exc:
        if not exc.may_have_happened:
            raise SetupError(str(exc)) from exc
        raise _Refused(str(exc)) from exc
    except ApiError as exc:
        raise _Refused(str(exc)) from exc


def _value(text: str) -> Any:
    if text == "-":
        text = sys.stdin.read()
    try:
        value = msgspec.json.decode(text)
        return JSON_NULL if value is None else value
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise click.UsageError(f"this is no JSON: {exc}; a string stands in double quotes: '\"text\"'") from exc


def _tags(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--tag {text!r} is not NAME=VALUE")
        found[name] = value
    return found


def _show(value: Any) -> None:
    shown = msgspec.to_builtins(value, enc_hook=lambda other: str(other))
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False))


def _publishing(command: F) -> F:
    """Give a command the options of a publication."""
    wrapped: Any = command
    for option in (
        click.option("--delta", is_flag=True, help="Delta subscribers get the difference to the one before."),
        click.option("--skip-history", is_flag=True, help="Deliver it without keeping it."),
        click.option("--idempotency-key", default="", metavar="KEY", help="Publish once for each key in 5 minutes."),
        click.option("--tag", "tags", metavar="NAME=VALUE", multiple=True, help="A tag; repeatable."),
    ):
        wrapped = option(wrapped)
    result: F = wrapped
    return result


@click.command()
@click.argument("channel")
@click.argument("json_", metavar="JSON")
@_publishing
@_TIMEOUT
@project_options
def publish(chosen: Chosen, timeout: str | None, channel: str, json_: str, tags: tuple[str, ...], **given: Any) -> None:
    """Publish into a channel; - as JSON reads it from standard input."""
    data, named = _value(json_), _tags(tags)
    _show(_ask(chosen, timeout, lambda api: api.publish(channel, data, tags=named, **given)))


@click.command()
@click.argument("channels", nargs=-1, required=True, metavar="CHANNEL...")
@click.argument("json_", metavar="JSON")
@_publishing
@_TIMEOUT
@project_options
@click.pass_context
def broadcast(
    ctx: click.Context,
    /,
    chosen: Chosen,
    timeout: str | None,
    channels: tuple[str, ...],
    json_: str,
    tags: tuple[str, ...],
    **given: Any,
) -> None:
    """Publish the same into several channels; exit code 1 where one of them refuses it."""
    data, named = _value(json_), _tags(tags)
    found = _ask(chosen, timeout, lambda api: api.broadcast(channels, data, tags=named, **given))
    _show({channel: _answer(each) for channel, each in zip(channels, found, strict=False)})
    ctx.exit(1 if any(isinstance(each, ApiError) for each in found) else 0)


def _answer(each: Position | ApiError) -> Any:
    return {"error": {"code": each.code, "message": each.message}} if isinstance(each, ApiError) else each


@click.command()
@click.argument("channel")
@click.option("--stats", is_flag=True, help="Only how many there are.")
@_TIMEOUT
@project_options
def presence(chosen: Chosen, timeout: str | None, channel: str, stats: bool) -> None:
    """Show who is in a channel, by client id."""
    if stats:
        _show(_ask(chosen, timeout, lambda api: api.presence_stats(channel)))
    else:
        _show(_ask(chosen, timeout, lambda api: api.presence(channel)))


@click.command()
@click.argument("channel")
@click.option("--limit", default=10, show_default=True, help="Publications at most; 0 = the position, -1 = all.")
@click.option("--reverse", is_flag=True, help="Newest first.")
@click.option("--since", metavar="OFFSET:EPOCH", help="Only those after this position.")
@_TIMEOUT
@project_options
def history(chosen: Chosen, timeout: str | None, channel: str, limit: int, reverse: bool, since: str | None) -> None:
    """Show what a channel keeps."""
    after: Position | None = None
    if since is not None:
        offset, colon, epoch = since.partition(":")
        if not offset.isdecimal() or not colon:
            raise click.UsageError(f"--since {since}: a position is wanted, such as 12:xyZa")
        after = Position(int(offset), epoch)
    _show(_ask(chosen, timeout, lambda api: api.history(channel, limit=limit, since=after, reverse=reverse)))


@click.command()
@click.argument("user")
@click.option("--client", default="", metavar="ID", help="Only this connection of the user.")
@click.option("--session", default="", metavar="ID", help="Only the connection of this session.")
@click.option("--code", type=int, help="4000-4999, or one of Centrifugo's; 3503 by default.")
@click.option("--reason", help="What the client is told with the code.")
@_TIMEOUT
@project_options
def disconnect(
    chosen: Chosen, timeout: str | None, user: str, client: str, session: str, code: int | None, reason: str | None
) -> None:
    """Close the connections of a user; '' has the anonymous ones, not all."""
    if code is None and reason is not None:
        raise click.UsageError("--reason goes with --code")
    try:
        given = None if code is None else Disconnect(code, reason)
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    _ask(chosen, timeout, lambda api: api.disconnect(user, given, client=client, session=session))


@click.command()
@click.option("--metrics", is_flag=True, help="With what the nodes measure.")
@_TIMEOUT
@project_options
def info(chosen: Chosen, timeout: str | None, metrics: bool) -> None:
    """Show the nodes of the server."""
    nodes = _ask(chosen, timeout, lambda api: api.info())
    if not metrics:
        for node in nodes:
            node.metrics = None
    _show(nodes)
