"""``rtbridge centrifugo-config``."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import click
import yaml

from rtbridge.app import Runtime
from rtbridge.centrifugo.build import Built, Target, build
from rtbridge.centrifugo.compare import Ours, compare
from rtbridge.centrifugo.embedded import called, whole
from rtbridge.centrifugo.source import read_source
from rtbridge.cli import describe
from rtbridge.cli.project import Chosen, bring_up, project_options, timeout_seconds
from rtbridge.config import Address, Embedded
from rtbridge.config.values import format_duration
from rtbridge.errors import ConfigError


@click.command("centrifugo-config")
@click.option("--grpc", "wire", flag_value="grpc", help="Have events travel over gRPC.")
@click.option("--http", "wire", flag_value="http", help="Have events travel over HTTP; streams stay on gRPC.")
@click.option("--endpoint", metavar="HOST", help="Where Centrifugo finds rtbridge: host, host:port, or a whole URL.")
@click.option("--timeout", help="How long Centrifugo waits for an answer; 1s, or what rtbridge.embedded says.")
@click.option("--cacert", metavar="FILE", help="On Centrifugo's machine: who signed rtbridge's certificate.")
@click.option("--cert", metavar="FILE", help="On Centrifugo's machine: its client certificate.")
@click.option("--key", metavar="FILE", help="On Centrifugo's machine: the key of its client certificate.")
@click.option("--format", "form", type=click.Choice(["json", "yaml"]), default="json", show_default=True)
@click.option("--check", "existing", metavar="FILE", help="Say what differs in this configuration of Centrifugo.")
@project_options
@click.pass_context
def centrifugo_config(
    ctx: click.Context,
    /,
    chosen: Chosen,
    wire: str | None,
    endpoint: str | None,
    timeout: str | None,
    cacert: str | None,
    cert: str | None,
    key: str | None,
    form: str,
    existing: str | None,
) -> None:
    """Print a Centrifugo 6 configuration: the proxy part, for the hooks that exist.

    With rtbridge.embedded in the configuration it is the whole: what a real Centrifugo needs to take the embedded
    server's place, secrets left out. The configuration goes to standard output, what else has to be done to standard
    error. With --check, print what differs in an existing configuration (JSON, YAML or TOML) instead; exit code 1 when
    something does. There, --http says that streams are left out on purpose.
    """
    # Read before -w changes where relative paths start: it is Centrifugo's file, not the project's.
    theirs = None if existing is None else read_source(Path(existing))
    _, runtime = bring_up(chosen)
    if theirs is not None:
        found = differences(runtime, theirs, streams=wire != "http")
        for line in found:
            click.echo(line)
        if found:
            ctx.exit(1)
        click.echo("nothing differs")
        return
    files = {"server_ca_pem": cacert, "cert_pem": cert, "key_pem": key}
    given = {name: value for name, value in files.items() if value is not None}
    own = runtime.config.rtbridge.embedded
    if own is not None:
        built = _whole(runtime, own, wire, endpoint, timeout, given)
    else:
        built = build(runtime.chains, target_of(runtime, wire, endpoint, timeout or "1s")._replace(files=given))
        if not built.config:
            raise ConfigError("no hook answers an event that Centrifugo could be told to send; see rtbridge hooks")
    if form == "yaml":
        click.echo(yaml.safe_dump(built.config, sort_keys=False), nl=False)
    else:
        click.echo(json.dumps(built.config, indent=2))
    for note in built.notes:
        click.echo(f"note: {note}", err=True)


def _whole(
    runtime: Runtime,
    own: Embedded,
    wire: str | None,
    endpoint: str | None,
    timeout: str | None,
    files: Mapping[str, str],
) -> Built:
    if timeout is not None:
        timeout_seconds(timeout)
    if not called(own):
        return whole(own, None)
    listening = [name for name in (runtime.config.rtbridge.grpc_server, "http") if name in runtime.addresses()]
    built = whole(own, target_of(runtime, wire, endpoint, timeout or "1s")._replace(files=files), timeout=timeout)
    if not listening:
        built.notes.append("rtbridge listens for no calls of Centrifugo yet: set centrifuge.proxy_address")
    return built


def differences(runtime: Runtime, theirs: dict[str, object], *, streams: bool) -> list[str]:
    """What differs between a configuration of Centrifugo and this runtime."""
    own, addresses = runtime.config.rtbridge, runtime.addresses()
    denied = {
        kind: f"it is denied ({describe.denial(runtime.bridge.denials.silence(kind))})" for kind in runtime.chains
    }
    ours = Ours(
        grpc=own.grpc_server in addresses or not addresses,  # with neither, a framework mounts rtbridge.asgi
        http="http" in addresses or not addresses,
        tls=own.tls is not None,
        secret_key=own.secret.key if own.secret else None,
        secret_values=own.secret.values if own.secret else (),
        streams=streams,
        hook_timeout=own.limits.hook_timeout,
    )
    return compare(theirs, runtime.chains, denied, ours)


def target_of(runtime: Runtime, wire: str | None, endpoint: str | None, timeout: str) -> Target:
    """How Centrifugo reaches this runtime.

    Raises:
        ConfigError: There is no address that Centrifugo could be told.

    """
    own, addresses = runtime.config.rtbridge, runtime.addresses()
    wire = wire or ("http" if "http" in addresses and own.grpc_server not in addresses else "grpc")
    asked = {wire: endpoint, ("grpc" if wire == "http" else "http"): _host_of(endpoint)}
    http = _http(addresses.get("http"), asked["http"], tls=own.tls is not None)
    grpc = _grpc(addresses.get(own.grpc_server), asked["grpc"])
    if (http if wire == "http" else grpc) is None:
        key = "rtbridge.http_proxy.address" if wire == "http" else "centrifuge.proxy_address"
        raise ConfigError(
            f"{key} names no host and port; say with --endpoint HOST:PORT where Centrifugo finds rtbridge"
        )
    seconds = timeout_seconds(timeout)
    if own.limits.hook_timeout is not None and seconds <= own.limits.hook_timeout:
        timeout = format_duration(math.ceil(own.limits.hook_timeout) + 1)
    return Target(
        grpc=grpc,
        http=http,
        prefer_http=wire == "http",
        timeout=timeout,
        secret_key=own.secret.key if own.secret else None,
        tls=own.tls is not None,
        client_cert=own.tls is not None and own.tls.client_ca is not None,
    )


def _split(endpoint: str) -> tuple[str, str]:
    """Host, in brackets where it is an IPv6 address, and port, empty where there is none."""
    host, colon, port = endpoint.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        return host, port
    return (f"[{endpoint}]" if ":" in endpoint and not endpoint.startswith("[") else endpoint), ""


def _host_of(endpoint: str | None) -> str | None:
    # A host holds for both wires; a port and a URL hold for the wire that was asked for.
    return None if endpoint is None or "/" in endpoint else _split(endpoint)[0]


def _grpc(address: Address | None, endpoint: str | None) -> str | None:
    if endpoint is not None and "/" in endpoint:
        return endpoint
    if address is not None and address.path:
        return f"unix://{address.path}"
    where = _where(address, endpoint)
    return None if where is None else f"grpc://{where}"


def _http(address: Address | None, endpoint: str | None, *, tls: bool) -> str | None:
    if endpoint is not None and "/" in endpoint:
        return endpoint.rstrip("/")
    if address is not None and address.path:
        return None  # Centrifugo's HTTP client knows no Unix sockets
    where = _where(address, endpoint)
    return None if where is None else f"{'https' if tls else 'http'}://{where}"


def _where(address: Address | None, endpoint: str | None) -> str | None:
    host, port = _split(endpoint) if endpoint is not None else ("", "")
    if port:
        return f"{host}:{port}"
    if address is None or not address.port:
        return None
    if not host:
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104  # to be dialled
        host = f"[{name}]" if ":" in name else name
    return f"{host}:{address.port}"
