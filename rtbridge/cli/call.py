"""``rtbridge call``: one proxy call to the running server, as Centrifugo would make it."""

import json
import re
import time
import uuid
from pathlib import Path
from typing import Any, Final

import click
from google.protobuf.message import DecodeError

from rtbridge.centrifugo.places import table
from rtbridge.cli import dial
from rtbridge.cli.messages import reply_value, request_message
from rtbridge.cli.project import Chosen, enter, project_options, timeout_seconds
from rtbridge.cli.verdict import UNREACHED, Verdict, failed, verdict
from rtbridge.config import Address, Config
from rtbridge.config.values import parse_address
from rtbridge.errors import ConfigError

#: What both wires take as the name of a header.
_HEADER: Final = re.compile(r"[A-Za-z0-9_.-]+")

KINDS: Final = ("connect", "subscribe", "publish", "rpc", "refresh", "sub_refresh")

#: Option → the events that take it; what is not here goes with every event.
_TAKES: Final = {
    "user": KINDS[1:],
    "channel": ("connect", "subscribe", "publish", "sub_refresh"),
    "method": ("rpc",),
    "data": ("connect", "subscribe", "publish", "rpc"),
    "meta": KINDS[1:],
}


@click.command()
@click.argument("event", type=click.Choice(KINDS))
@click.option("--user", help="The user's id.")
@click.option("--channel", multiple=True, help="The channel; for connect the channels that the client asks for.")
@click.option("--method", help="The method of an rpc.")
@click.option("--data", metavar="JSON", help="What the client sends.")
@click.option("--meta", metavar="JSON", help="The connection's meta.")
@click.option("--header", "headers", metavar="NAME=VALUE", multiple=True, help="A header or metadata; repeatable.")
@click.option("--http", "over_http", is_flag=True, help="Call over HTTP; gRPC by default where it is served.")
@click.option("--address", metavar="HOST:PORT", help="Whom to call; by default what the configuration says.")
@click.option("--timeout", default="1s", show_default=True, help="How long Centrifugo waits.")
@click.option("--cacert", metavar="FILE", help="Who signed the server's certificate.")
@click.option("--cert", metavar="FILE", help="The client certificate.")
@click.option("--key", metavar="FILE", help="The key of the client certificate.")
@click.option("--insecure", is_flag=True, help="Use TLS and trust whatever certificate the server shows.")
@project_options
@click.pass_context
def call(
    ctx: click.Context,
    /,
    chosen: Chosen,
    event: str,
    over_http: bool,
    address: str | None,
    timeout: str,
    headers: tuple[str, ...],
    cacert: str | None,
    cert: str | None,
    key: str | None,
    insecure: bool,
    **given: Any,
) -> None:
    """Make one proxy call to the running server and say what Centrifugo makes of the reply.

    The reply goes to standard output as JSON, the sentence to standard error. Address, TLS and secret come from the
    configuration. Exit code 0: answered; 1: denied, an error, or no answer in time; 2: the call came to no hook,
    because nobody listens, or TLS or the secret was refused.
    """
    request, seconds, pairs = _request(event, given), timeout_seconds(timeout), _pairs(headers)
    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key go together")
    # Taken as they are now: -w changes where relative paths start.
    files = {name: Path(text).absolute() for name, text in (("cacert", cacert), ("cert", cert), ("key", key)) if text}
    config = _config(chosen, address)
    over_http = over_http or (address is None and _only_http(config))
    peer = dial.Peer(
        _address(config, address, over_http=over_http),
        _trust(config, files, insecure=insecure, known=address is None or chosen.names_a_file),
        _with_secret(config, pairs),
        seconds,
    )
    try:
        reply = _exchange(peer, event, request, over_http=over_http)
        said = verdict(event, reply, request, time.time())
    except dial.Failed as exc:
        reply, said = {"failure": str(exc)}, failed(event)
    except dial.Unreached as exc:
        where = str(peer.address).removeprefix("tcp://")
        outage = failed(event).text.removeprefix("Centrifugo ").removeprefix("The client ")
        who = "Centrifugo" if failed(event).text.startswith("Centrifugo") else "the client"
        text = f"{'HTTP' if over_http else 'gRPC'} {where} {exc}; as long as that is so, {who} {outage}"
        reply, said = None, Verdict(text, UNREACHED)
    if reply is not None:
        click.echo(json.dumps(reply, indent=2, ensure_ascii=False))
    click.echo(said.text, err=True)
    ctx.exit(said.code)


def _request(event: str, given: dict[str, Any]) -> dict[str, Any]:
    for name, events in _TAKES.items():
        if given[name] not in (None, ()) and event not in events:
            raise click.UsageError(f"--{name} goes with {', '.join(events)}, not with {event}")
    request: dict[str, Any] = {
        "client": str(uuid.uuid4()),
        "transport": "websocket",
        "protocol": "json",
        "encoding": "json",
    }
    if event == "connect":
        request |= {"name": "rtbridge"} | ({"channels": list(given["channel"])} if given["channel"] else {})
    else:
        request["user"] = given["user"] or ""
    if event in ("subscribe", "publish", "sub_refresh"):
        if len(given["channel"]) != 1:
            raise click.UsageError(f"{event} takes one --channel")
        request["channel"] = given["channel"][0]
    if event == "rpc":
        if not given["method"]:
            raise click.UsageError("rpc takes --method")
        request["method"] = given["method"]
    for name in ("data", "meta"):
        if given[name] is not None:
            try:
                request[name] = json.loads(given[name])
            except ValueError as exc:
                hint = "; a string stands in double quotes: '\"text\"'" if name == "data" else ""
                raise click.UsageError(f"--{name} is no JSON: {exc}{hint}") from exc
    return request


def _config(chosen: Chosen, address: str | None) -> Config:
    # Whoever names an address may stand on a machine that has no configuration.
    if address is not None and not chosen.names_a_file and not Path(".rr.yaml").exists():
        return Config()
    return enter(chosen).config


def _only_http(config: Config) -> bool:
    return config.centrifuge.proxy_address is None and config.rtbridge.http_proxy is not None


def _address(config: Config, given: str | None, *, over_http: bool) -> Address:
    if given is not None:
        try:
            found = parse_address(given)
        except ValueError as exc:
            raise click.UsageError(f"--address {given}: {exc}") from exc
    else:
        http = config.rtbridge.http_proxy
        listens = (http.address if http is not None else None) if over_http else config.centrifuge.proxy_address
        if listens is None:
            key = "rtbridge.http_proxy.address" if over_http else "centrifuge.proxy_address"
            raise ConfigError(f"{key} is not set; set it, or give --address")
        found = listens
    if not found.path and not found.port:
        raise ConfigError("the configured port is 0, any free one; give --address as rtbridge serve printed it")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(found.host, found.host)  # noqa: S104  # to be dialled
    return Address(host=host, port=found.port, path=found.path)


def _trust(config: Config, files: dict[str, Path], *, insecure: bool, known: bool) -> dial.Trust | None:
    tls = config.rtbridge.tls
    if tls is None and not files and not insecure:
        return None
    if tls is not None and tls.client_ca is not None and "cert" not in files:
        raise ConfigError(
            "rtbridge wants a client certificate (rtbridge.tls.client_ca), as Centrifugo has to show one: give "
            "--cert and --key"
        )
    pinned = tls.cert if tls is not None and "cacert" not in files and known else None
    return dial.Trust(files.get("cacert"), pinned, files.get("cert"), files.get("key"), insecure)


def _pairs(given: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--header {name!r} is not NAME=VALUE")
        if not _HEADER.fullmatch(name.strip()) or not (value.isascii() and value.isprintable()):
            raise click.UsageError(
                f"--header {name!r}: a name has letters, digits and -_. only, a value printable ASCII"
            )
        pairs.append((name.strip(), value))
    return pairs


def _with_secret(config: Config, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    secret = config.rtbridge.secret
    if secret is not None and secret.key not in [name.lower() for name, _ in pairs]:
        return [*pairs, (secret.key, secret.values[0])]
    return pairs


def _exchange(peer: dial.Peer, event: str, request: dict[str, Any], *, over_http: bool) -> dict[str, Any]:
    if not over_http:
        try:
            return reply_value(event, dial.over_grpc(peer, event, request_message(event, request)))
        except DecodeError as exc:
            raise dial.Failed("the reply is no message of the proxy service") from exc
    body = json.dumps(request, ensure_ascii=False).encode()
    try:
        reply: Any = json.loads(dial.over_http(peer, f"/{event}", body))
    except ValueError as exc:
        raise dial.Failed("the reply is no JSON") from exc
    return table(reply)
