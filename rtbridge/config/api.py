"""The section ``rtbridge.centrifugo_api``: what RoadRunner's keys do not say of a Centrifugo's server API."""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from rtbridge.config.fields import File, NonEmpty, PositiveDuration, SecretText, Section
from rtbridge.config.http import read_url
from rtbridge.config.kinds import Kind, Place


def _read_http_url(value: object, place: Place) -> str:
    url = read_url(value, place)
    if not url.startswith(("http://", "https://")):
        raise ValueError
    return url


HTTP_URL: Final = Kind(
    noun="an http or https URL: http://127.0.0.1:8000/api",
    read=_read_http_url,
    schema={"type": "string", "pattern": "^https?://[!-~]+$"},
    placeholder="",
    text=True,
)

HttpUrlText: TypeAlias = Annotated[str, Meta(extra={"kind": HTTP_URL})]


class ApiHttp(Section, frozen=True, kw_only=True):
    """Centrifugo's HTTP API."""

    url: Annotated[HttpUrlText, Meta(description="Where it is, with its path: http://127.0.0.1:8000/api.")]
    key: Annotated[
        SecretText | None, Meta(description="Centrifugo's http_api.key; null = none, for http_api.insecure.")
    ] = None

    def __repr__(self) -> str:
        return f"ApiHttp(url={self.url!r}, key={'None' if self.key is None else '<hidden>'})"


class ApiTls(Section, frozen=True, kw_only=True):
    """How the server's certificate is checked; ``centrifuge.tls`` is what is shown to the server."""

    server_ca: Annotated[
        File | None, Meta(description="PEM file of the authority that signed it; null = well-known ones.")
    ] = None
    server_name: Annotated[NonEmpty | None, Meta(description="The name in it; null = the host that is called.")] = None


class CentrifugoApi(Section, frozen=True, kw_only=True):
    """How the server API of a Centrifugo is called: over HTTP where ``http`` is there, else over gRPC."""

    grpc_key: Annotated[
        SecretText | None, Meta(description="Centrifugo's grpc_api.key, for centrifuge.grpc_api_address.")
    ] = None
    http: Annotated[
        ApiHttp | None, Meta(description="Call it over HTTP, not over gRPC; null = centrifuge.grpc_api_address.")
    ] = None
    tls: Annotated[
        ApiTls | None, Meta(description="TLS of the gRPC API, and whom to trust; null = as centrifuge.tls and url say.")
    ] = None
    timeout: Annotated[PositiveDuration, Meta(description="Time that one call may take, retries included.")] = 5.0

    def __post_init__(self) -> None:
        if self.grpc_key is not None and self.http is not None:
            raise ValueError("found both grpc_key and http, allowed: one of them; the API is called over one wire")

    def __repr__(self) -> str:
        key = "None" if self.grpc_key is None else "<hidden>"
        return f"CentrifugoApi(grpc_key={key}, http={self.http!r}, tls={self.tls!r}, timeout={self.timeout!r})"
