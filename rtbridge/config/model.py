"""The keys of ``.rr.yaml``: names, types, bounds, defaults and descriptions. Errors and the JSON Schema come from here.

``Meta(extra=...)`` says what msgspec has no word for:

=================  ==================================================================================
``kind``           a :class:`~rtbridge.config.kinds.Kind`, where the type alone does not say how to read it
``secret``         the value is never shown
``when_present``   the default where the section is written but the key is not
``aliases``        other spellings of a value
``later``          values of a version to come
``hint``           added to the text of what is allowed
``notice``         one line for a user who sets the key
``notices``        value → one line for a user who sets it
``by``             another key, and value of it → the section that this one is read into
``placeholder``    stands for a value that a missing variable would have given
=================  ==================================================================================
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, field

from rtbridge.config.api import CentrifugoApi
from rtbridge.config.embedded import Embedded
from rtbridge.config.faults import listed, nearest
from rtbridge.config.fields import (
    AddressText,
    Duration,
    EnvName,
    EnvValue,
    File,
    NonEmpty,
    PositiveDuration,
    SecretText,
    Section,
    Size,
)
from rtbridge.config.http import Http, UrlText
from rtbridge.config.kinds import CODE, HEADER
from rtbridge.config.kv import Kv, KvStore
from rtbridge.config.pool import Pool
from rtbridge.config.values import Address
from rtbridge.errors import ClientError, Disconnect


class ClientTls(Section, frozen=True, kw_only=True):
    """A certificate and its key."""

    cert: Annotated[File, Meta(description="PEM file of the certificate.")]
    key: Annotated[File, Meta(description="PEM file of the private key.")]


class ServerTls(ClientTls, frozen=True, kw_only=True):
    """TLS for what listens."""

    client_ca: Annotated[
        File | None,
        Meta(description="PEM file of the authority whose client certificates are wanted (mutual TLS); null = none."),
    ] = None


class Centrifuge(Section, frozen=True, kw_only=True):
    """Centrifugo: where its proxy calls arrive, and where its server API is."""

    proxy_address: Annotated[
        AddressText | None,
        Meta(
            description="Where the gRPC proxy listens for Centrifugo's calls; null = it does not.",
            extra={"when_present": "tcp://127.0.0.1:30000"},
        ),
    ] = None
    grpc_api_address: Annotated[
        AddressText | None,
        Meta(
            description="Centrifugo's gRPC server API, which hooks call; null = none.",
            extra={"when_present": "tcp://127.0.0.1:10000"},
        ),
    ] = None
    name: Annotated[NonEmpty, Meta(description="Name of this application.")] = "rtbridge"
    version: Annotated[str, Meta(description="Version of this application.")] = "1.0.0"
    use_compressor: Annotated[bool, Meta(description="gzip on calls to the gRPC server API.")] = False
    tls: Annotated[ClientTls | None, Meta(description="Client certificate for the server API.")] = None
    pool: Annotated[Pool, Meta(description="Worker processes that run hooks; absent = one for each CPU.")] = Pool()
    lazy_boot: Annotated[bool, Meta(description="Load plugins at the first event instead of at the start.")] = False


class Server(Section, frozen=True, kw_only=True):
    """What runs hooks."""

    env: Annotated[
        Mapping[EnvName, EnvValue],
        Meta(description="Environment of whatever runs hooks; names keep their case."),
    ] = field(default_factory=dict[str, str])

    def __repr__(self) -> str:
        return f"Server(env=<{len(self.env)} variables>)"


class Rpc(Section, frozen=True, kw_only=True):
    """The control RPC: ``rtbridge reload``, ``workers``, ``stop``."""

    listen: Annotated[
        AddressText, Meta(description="Where it listens; beyond this machine rtbridge.rpc_token is needed.")
    ] = Address(host="127.0.0.1", port=6001)


class Status(Section, frozen=True, kw_only=True):
    """Health over HTTP: ``/health`` and ``/ready``."""

    address: Annotated[AddressText, Meta(description="Where it listens.")]
    unavailable_status_code: Annotated[
        int, Meta(ge=400, le=599, description="HTTP status of /ready while it is not.")
    ] = 503


class Logs(Section, frozen=True, kw_only=True):
    """What is logged, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least severe level that is logged.", extra={"aliases": {"warn": "warning"}}),
    ] = "info"
    encoding: Annotated[
        Literal["console", "json"], Meta(description="Lines for people, or one JSON object on each line.")
    ] = "console"


class HttpProxy(Section, frozen=True, kw_only=True):
    """Centrifugo's HTTP proxy protocol."""

    address: Annotated[AddressText, Meta(description="Where the HTTP proxy listens for Centrifugo's calls.")]


class Secret(Section, frozen=True, kw_only=True):
    """What every proxy call has to carry."""

    key: Annotated[
        str,
        Meta(description="Header or gRPC metadata key that carries the secret.", extra={"kind": HEADER}),
    ] = "x-proxy-key"
    values: Annotated[
        tuple[SecretText, ...],
        Meta(min_length=1, description="Accepted secrets; several while one replaces another."),
    ]

    def __repr__(self) -> str:
        return f"Secret(key={self.key!r}, values=<{len(self.values)} hidden>)"


class Sentry(Section, frozen=True, kw_only=True):
    """Where unexpected exceptions are reported."""

    dsn: Annotated[
        SecretText | None,
        Meta(description="Where reports go: https://KEY@HOST/PROJECT; null = as the variable SENTRY_DSN says."),
    ] = None
    environment: Annotated[
        NonEmpty | None, Meta(description="What reports call this deployment; null = as SENTRY_ENVIRONMENT says.")
    ] = None
    release: Annotated[
        NonEmpty | None,
        Meta(
            description="What reports call this version; null = as SENTRY_RELEASE says, or the commit of a git clone."
        ),
    ] = None


class DisconnectAnswer(Section, frozen=True, kw_only=True):
    """A disconnect, as :class:`rtbridge.errors.Disconnect` takes it."""

    code: Annotated[
        int | str,
        Meta(
            description="4000-4999, or one of Centrifugo's own codes by number or name.",
            extra={"kind": CODE, "placeholder": 4500},
        ),
    ]
    reason: Annotated[str | None, Meta(description="At most 123 bytes; null = the code's own text, if it has one.")] = (
        None
    )

    def __post_init__(self) -> None:
        self.exception()

    def exception(self) -> Disconnect:
        """A new exception to raise."""
        return Disconnect(self.code, self.reason)


class ErrorAnswer(Section, frozen=True, kw_only=True):
    """An error reply, as :class:`rtbridge.errors.ClientError` takes it."""

    code: Annotated[
        int | str,
        Meta(
            description="400-1999, or one of Centrifugo's own 100-113 by number or name.",
            extra={"kind": CODE, "placeholder": 400},
        ),
    ]
    message: Annotated[
        str | None, Meta(description="Text for the client; null = the code's own text, if it has one.")
    ] = None
    temporary: Annotated[
        bool | None, Meta(description="Whether the client may try again; null = as the code says, else false.")
    ] = None

    def __post_init__(self) -> None:
        self.exception()

    def exception(self) -> ClientError:
        """A new exception to raise."""
        return ClientError(self.code, self.message, temporary=self.temporary)


class Unhandled(Section, frozen=True, kw_only=True):
    """How an event is denied that no hook answered: exactly one of both."""

    disconnect: Annotated[DisconnectAnswer | None, Meta(description="Close the client's connection.")] = None
    error: Annotated[ErrorAnswer | None, Meta(description="Answer with an error; the connection stays.")] = None

    def __post_init__(self) -> None:
        if (self.disconnect is None) == (self.error is None):
            found = "neither disconnect nor error" if self.error is None else "both disconnect and error"
            raise ValueError(f"found {found}, allowed: exactly one of the two")

    def exception(self) -> Disconnect | ClientError:
        """A new exception to raise."""
        answer = self.disconnect or self.error
        assert answer is not None
        return answer.exception()


#: The shipped answer to an event that nobody answers, under the key ``default``.
NOT_HANDLED: Final = Unhandled(disconnect=DisconnectAnswer(code=4500, reason="not handled"))


class Limits(Section, frozen=True, kw_only=True):
    """Bounds of what is taken in."""

    concurrency: Annotated[int, Meta(ge=1, description="Events answered at once; more are told to try again.")] = 1000
    message_size: Annotated[Size, Meta(description="Largest proxy request.")] = 4 * 1024**2
    header_size: Annotated[Size, Meta(description="Largest set of headers or metadata.")] = 16 * 1024
    connections: Annotated[
        int,
        Meta(
            ge=1,
            description="Connections that each of the gRPC proxy, the HTTP proxy and the HTTP server holds; more are "
            "closed at once.",
        ),
    ] = 10_000
    hook_timeout: Annotated[
        PositiveDuration | None,
        Meta(description="Time that the hooks of one event may take; null = the caller's own deadline only."),
    ] = None
    worker_concurrency: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Events that one worker process holds at once; null = 256."),
    ] = None


class Rtbridge(Section, frozen=True, kw_only=True):
    """What RoadRunner has no word for."""

    plugins: Annotated[
        tuple[NonEmpty, ...], Meta(description="Modules whose hooks and routers are registered, in this order.")
    ] = ()
    entry_points: Annotated[bool, Meta(description="Load installed plugins of the entry-point group rtbridge.")] = True
    grpc_server: Annotated[
        Literal["builtin", "grpcio"],
        Meta(description="What serves the gRPC proxy: rtbridge's own server, or gRPC's core, which costs far more."),
    ] = "builtin"
    http_proxy: Annotated[
        HttpProxy | None, Meta(description="The same events as JSON over HTTP; null = not served.")
    ] = None
    secret: Annotated[
        Secret | None, Meta(description="A secret wanted in header or metadata of every proxy call; null = none.")
    ] = None
    tls: Annotated[ServerTls | None, Meta(description="TLS of the gRPC and HTTP proxies; null = plaintext.")] = None
    centrifugo_api: Annotated[
        CentrifugoApi, Meta(description="How hooks and other processes call Centrifugo's server API.")
    ] = CentrifugoApi()
    embedded: Annotated[
        Embedded | None,
        Meta(description="A server for clients in this process, with Centrifugo's own keys; null = none."),
    ] = None
    public_url: Annotated[
        UrlText | None,
        Meta(
            description="Where clients reach the realtime server, for /config.json of the HTTP server; null = where "
            "rtbridge.embedded listens."
        ),
    ] = None
    unhandled: Annotated[
        Mapping[str, Unhandled],
        Meta(description="How events are denied that no hook answers: an event's name, or default for the others."),
    ] = field(default_factory=lambda: {"default": NOT_HANDLED})
    limits: Annotated[Limits, Meta(description="Bounds of what is taken in.")] = Limits()
    threads: Annotated[int, Meta(ge=1, le=1024, description="Threads for hooks that block.")] = 32
    drain_timeout: Annotated[Duration, Meta(description="Time that events get to end when the process stops.")] = 30.0
    max_connection_age: Annotated[
        Duration, Meta(description="Age at which a proxy connection is asked to reconnect; 0s = never.")
    ] = 0.0
    keepalive_time: Annotated[
        Duration, Meta(description="Silence on a proxy connection after which it is pinged; 0s = never.")
    ] = 60.0
    grpc_compress_from: Annotated[
        Size | None,
        Meta(
            description="Size from which the builtin server compresses replies, where callers take gzip; null = never."
        ),
    ] = None
    grpc_reflection: Annotated[bool, Meta(description="Serve gRPC reflection beside the proxy.")] = False
    rpc_token: Annotated[
        SecretText | None, Meta(description="What callers of the control RPC have to show; null = nothing.")
    ] = None
    dump_server: Annotated[
        AddressText | None,
        Meta(description="Where rtbridge dumps listens, to see what rtbridge.dump shows; null = in the log only."),
    ] = None
    kv: Annotated[Kv, Meta(description="Values of the stores of kv: serializer, compression, encryption.")] = Kv()

    sentry: Annotated[
        Sentry | None,
        Meta(description="Reports to Sentry; null = where SENTRY_DSN is set, or a plugin has called sentry_sdk.init."),
    ] = None

    def __post_init__(self) -> None:
        if "default" not in self.unhandled:
            msgspec.structs.force_setattr(self, "unhandled", {"default": NOT_HANDLED, **self.unhandled})

    def unhandled_answer(self, event: str) -> Disconnect | ClientError:
        """A new exception that denies an event which no hook answered."""
        return self.unhandled.get(event, self.unhandled["default"]).exception()


class Config(Section, frozen=True, kw_only=True):
    """The whole file.

    YAML is read with the scalars of YAML 1.2: booleans are ``true`` and ``false`` only, so ``yes``, ``no``, ``on`` and
    ``off`` are text, and so are ``1:30``, ``0755`` and dates.
    """

    version: Annotated[
        Literal["3"],
        Meta(
            description='Version of the format, in quotes: "3".', extra={"hint": 'write version: "3", with the quotes'}
        ),
    ] = "3"
    centrifuge: Annotated[Centrifuge, Meta(description="Centrifugo: its proxy calls and its server API.")] = (
        Centrifuge()
    )
    server: Annotated[Server, Meta(description="What runs hooks.")] = Server()
    http: Annotated[Http | None, Meta(description="An HTTP server for people's browsers; null = none.")] = None
    rpc: Annotated[Rpc | None, Meta(description="The control RPC: reload, workers, stop; null = none.")] = None
    status: Annotated[Status | None, Meta(description="Health over HTTP; null = none.")] = None
    logs: Annotated[Logs, Meta(description="What is logged, and how.")] = Logs()
    kv: Annotated[Mapping[NonEmpty, KvStore], Meta(description="Key-value stores, by name.")] = field(
        default_factory=dict[str, KvStore]
    )
    rtbridge: Annotated[Rtbridge, Meta(description="What RoadRunner has no word for.")] = Rtbridge()

    def __post_init__(self) -> None:
        if self.rpc is not None and not self.rpc.listen.is_loopback and not self.rtbridge.rpc_token:
            raise ValueError(
                f"rpc.listen: {self.rpc.listen} is beyond this machine, and whoever reaches it can stop rtbridge: set "
                "rtbridge.rpc_token, or listen on 127.0.0.1 or a Unix socket"
            )
        if self.http is not None and "http_metrics" in self.http.middleware and self.status is None:
            raise ValueError(
                "http.middleware: found http_metrics, but no section status, on whose address /metrics is; allowed: "
                "both or neither"
            )
        for name in self.rtbridge.kv.stores:
            if name not in self.kv:
                stores = f"allowed: {listed(list(self.kv))}" if self.kv else "and there is none under kv"
                raise ValueError(f"rtbridge.kv.stores.{name}: no such store, {stores}{nearest(name, self.kv)}")
