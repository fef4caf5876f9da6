"""What a configuration asks to listen, and the transports that do; each is loaded where it is wanted only."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.config import Address, Config, Embedded
from rtbridge.handler import Handler
from rtbridge.readiness import Readiness
from rtbridge.transport.base import Secret, Transport
from rtbridge.transport.settings import GrpcSettings, Tls

if TYPE_CHECKING:
    from rtbridge.transport.builtin import BuiltinTransport
    from rtbridge.transport.grpcio import GrpcioTransport
    from rtbridge.transport.http import HttpApp

#: Transports that take Centrifugo's proxy calls; whoever reaches them can pose as Centrifugo.
_PROXIES: Final = ("grpcio", "builtin", "http")


class Host(Protocol):
    """What transports need of whoever composes them."""

    @property
    def config(self) -> Config:
        """The configuration."""
        ...

    @property
    def handler(self) -> Handler:
        """Answers calls."""
        ...

    @property
    def readiness(self) -> Readiness:
        """What health checks say."""
        ...

    async def boot(self) -> object:
        """Wait until plugins have booted; later calls return at once."""
        ...

    async def shutdown(self) -> None:
        """Wait for events under way and let plugins shut down."""
        ...


def addresses(config: Config) -> dict[str, Address]:
    """What the configuration asks to listen where, by transport."""
    found: dict[str, Address] = {}
    if config.centrifuge.proxy_address is not None:
        found[config.rtbridge.grpc_server] = config.centrifuge.proxy_address
    if config.rtbridge.http_proxy is not None:
        found["http"] = config.rtbridge.http_proxy.address
    if config.rtbridge.embedded is not None:
        server = config.rtbridge.embedded.http_server
        found["embedded"] = Address(host=server.address or "0.0.0.0", port=server.port)  # noqa: S104
    if config.http is not None:
        if config.http.address is not None:
            found["web"] = config.http.address
        if config.http.ssl is not None:
            found["https"] = config.http.ssl.address
    return found


def transports(
    host: Host, *, bind_api: Callable[[Callable[[str, Any], Any]], None], clock: Clock = SYSTEM_CLOCK
) -> list[Transport]:
    """What takes calls and clients, as the configuration asks for it, not yet started; not the HTTP server.

    Args:
        host: Has the configuration, and answers calls.
        bind_api: Is given what answers the server API, where there is an embedded server.
        clock: Every duration and expiry of the embedded server asks it.

    """
    config, found = host.config, list[Transport]()
    own, where = config.rtbridge, addresses(config)
    if own.grpc_server in where:
        settings = GrpcSettings(
            address=where[own.grpc_server].target,
            tls=_tls(config),
            secret=_secret(config),
            message_size=own.limits.message_size,
            header_size=own.limits.header_size,
            connections=own.limits.connections,
            keepalive=own.keepalive_time,
            max_connection_age=own.max_connection_age,
            drain_timeout=own.drain_timeout,
            reflection=own.grpc_reflection,
            compress_from=own.grpc_compress_from,
        )
        found.append(_grpc(own.grpc_server)(host.handler, settings, host.readiness))
    if "http" in where:
        from rtbridge.transport.uvicorn import PROXY_CONNECTIONS, UvicornTransport

        app, size = http_app(host), own.limits.header_size
        kept = PROXY_CONNECTIONS._replace(most=own.limits.connections)
        found.append(UvicornTransport(app, where["http"].target, tls=_tls(config), header_size=size, connections=kept))
    if own.embedded is not None:
        from rtbridge.embedded import EmbeddedServer

        server = EmbeddedServer(host.handler, own.embedded, clock=clock)
        bind_api(server.api.call)
        found.append(server)
    return found


def _grpc(name: str) -> "type[GrpcioTransport] | type[BuiltinTransport]":
    if name == "builtin":
        from rtbridge.transport.builtin import BuiltinTransport

        return BuiltinTransport
    from rtbridge.transport.grpcio import GrpcioTransport

    return GrpcioTransport


def http_app(host: Host) -> "HttpApp":
    """The HTTP proxy as an ASGI application."""
    from rtbridge.transport.http import HttpApp

    limits = host.config.rtbridge.limits
    return HttpApp(host, secret=_secret(host.config), message_size=limits.message_size, header_size=limits.header_size)


def _secret(config: Config) -> Secret | None:
    secret = config.rtbridge.secret
    return None if secret is None else Secret(secret.key, secret.values)


def _tls(config: Config) -> Tls | None:
    tls = config.rtbridge.tls
    return None if tls is None else Tls(tls.cert, tls.key, tls.client_ca)


def taking_events(config: Config) -> bool:
    """Whether anything that listens takes events; where it is only the HTTP server, nobody asks the hooks."""
    return config.http is None or bool(set(addresses(config)) - {"web", "https"})


def warnings(config: Config) -> list[str]:
    """What an operator should know of these listeners, one line each."""
    found = list[str]()
    if config.rtbridge.embedded is not None:
        found += _pages(config, config.rtbridge.embedded)
    exposed = config.rtbridge.secret is None and config.rtbridge.tls is None
    for name, address in addresses(config).items():
        if exposed and name in _PROXIES and not address.is_loopback:
            found.append(
                f"{name} listens on {address}, beyond this machine, with neither TLS nor a secret: anybody who "
                "reaches it can pose as Centrifugo; set rtbridge.secret or rtbridge.tls"
            )
    return found


def _pages(config: Config, embedded: Embedded) -> list[str]:
    """Whether pages that this process serves may connect to the server that it is."""
    from rtbridge.embedded.fronts.origins import Origins

    found: list[str] = []
    for name, scheme in (("web", "http"), ("https", "https")):
        address = addresses(config).get(name)
        if address is None or address.path or address.host in ("0.0.0.0", "::"):  # noqa: S104  # compared only
            continue  # nobody knows here by which name browsers find it
        if name == "web" and config.http is not None and config.http.ssl is not None and config.http.ssl.redirect:
            continue
        page = str(address).replace("tcp://", f"{scheme}://")
        if not Origins(embedded.client.allowed_origins).admits(page):
            found.append(
                f"rtbridge.embedded: client.allowed_origins does not hold {page}, so pages served there cannot connect"
            )
    return found
