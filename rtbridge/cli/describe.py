"""What a runtime serves, in the words that several commands print."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from rtbridge.app import Listing, Runtime
from rtbridge.config import Config
from rtbridge.events import Outcome
from rtbridge.listening import taking_events
from rtbridge.workers.slots import workers_of

#: What to do where nothing listens.
NOWHERE = (
    "nothing listens: set rtbridge.embedded (clients), centrifuge.proxy_address (gRPC) or rtbridge.http_proxy.address "
    "(HTTP), or several"
)

#: The transport's name in the configuration's terms.
WIRE = {"grpcio": "gRPC", "builtin": "gRPC", "http": "HTTP"}

#: What listens for browsers, and the scheme of its URLs.
PAGES = {"web": "http", "https": "https"}

#: Hosts of listeners that no browser can be pointed at.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104


def listeners(config: Config, addresses: Iterable[tuple[str, str]]) -> list[tuple[str, str, str, str]]:
    """Wire, address, TLS and secret of each thing that listens, in words."""
    own = config.rtbridge
    secured = "no" if own.tls is None else _secured(own.tls.client_ca)
    wanted = "no" if own.secret is None else f"yes ({own.secret.key})"
    rows = [(WIRE.get(name, name), address, secured, wanted) for name, address in addresses]
    for index, (name, address, _, _) in enumerate(rows):
        if name == "embedded" and own.embedded is not None:
            tls = own.embedded.http_server.tls
            rows[index] = (name, address, _secured(tls.client_ca_pem) if tls.enabled else "no", "no")
        elif name in PAGES:
            ssl = None if config.http is None or name != "https" else config.http.ssl
            rows[index] = (name, url(address, PAGES[name]), "no" if ssl is None else _secured(ssl.root_ca), "no")
        elif name in ("status", "rpc"):
            token = name == "rpc" and own.rpc_token is not None
            rows[index] = (name, address, "no", "yes (rpc_token)" if token else "no")
    return rows


def _secured(client_ca: object) -> str:
    return "mutual" if client_ca else "yes"


def url(address: str, scheme: str = "http") -> str:
    """The address of an HTTP server as a browser takes it; one on a Unix socket as it is."""
    if address.startswith("unix:"):
        return address
    host, _, port = address.rpartition(":")
    return f"{scheme}://{_EVERYWHERE.get(host, host)}:{port}/"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The rows in columns under their header."""
    all_rows = [header, *rows]
    widths = [max(len(row[i]) for row in all_rows) for i in range(len(header))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in all_rows]


def served(config: Config, listing: Listing | None, addresses: Iterable[tuple[str, str]]) -> list[str]:
    """The lines that say what listens where, with which plugins, for which events, in how many workers."""
    rows = listeners(config, addresses)
    lines = table(("listens", "address", "TLS", "secret"), rows) if rows else ["listens  nowhere"]
    lines.append("")
    if listing is None:
        lines.append("plugins  not loaded yet (centrifuge.lazy_boot)")
    else:
        plugins, answers = listing.plugins, listing.answers
        lines.append(f"plugins  {len(plugins)}: {', '.join(plugins)}" if plugins else "plugins  none")
        counts = f"{_counted(listing.hooks, 'hook')}, {_counted(listing.routes, 'route')}"
        lines.append(f"answers  {', '.join(answers) or 'nothing'} ({counts})")
    lines.append(f"workers  {_workers(config)}")
    return lines


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def alone(config: Config) -> bool:
    """Whether everything is one process: no workers."""
    return config.centrifuge.pool.debug or os.name == "nt"


def _workers(config: Config) -> str:
    if alone(config):
        return "none: everything in one process"
    events = str(workers_of(config.centrifuge.pool)) if taking_events(config) else ""
    if config.http is None:
        return events
    http = "HTTP in this process" if config.http.pool.debug else f"{workers_of(config.http.pool)} for HTTP"
    return f"{events} for events, {http}" if events else http


def addresses(runtime: Runtime) -> list[tuple[str, str]]:
    """What the configuration asks to listen: transport and address, as a transport shows it once started."""
    found, config = runtime.addresses(), runtime.config
    if config.status is not None:
        found["status"] = config.status.address
    if config.rpc is not None:
        found["rpc"] = config.rpc.listen
    return [(name, address.target) for name, address in found.items()]


def denial(outcome: Outcome) -> str:
    """How an event is denied, for people."""
    if outcome.disconnect is not None:
        return str(outcome.disconnect)
    if outcome.error is not None:
        return str(outcome.error)
    if outcome.failure is not None:
        return {"unimplemented": "refused: gRPC UNIMPLEMENTED, HTTP 404", "invalid": "refused as a failed call"}.get(
            outcome.failure, outcome.label
        )
    return "expired: true"


def relative(source: str) -> str:
    """``file:line`` with the file's path from the working directory on, where it lies below it."""
    path, colon, line = source.rpartition(":")
    if not colon:
        return source
    here = Path.cwd()
    try:
        return f"{Path(path).resolve().relative_to(here.resolve()).as_posix()}:{line}"
    except (ValueError, OSError):
        return source.replace(os.sep, "/")
