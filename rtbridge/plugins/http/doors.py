"""Where the HTTP server listens: in plain text, over TLS, or both."""

import re
from typing import Final, NamedTuple

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from rtbridge.config import Address, Config, HttpSsl
from rtbridge.plugins.http.own import refusal
from rtbridge.transport.settings import Tls

#: What a URL may begin with: a name or an address, and a port.
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?)(?::[0-9]{1,5})?")

#: The port that https URLs leave out.
_HTTPS: Final = 443


class Door(NamedTuple):
    """One of the places.

    Attributes:
        name: ``web`` in plain text, ``https`` over TLS.
        address: Where.
        tls: Certificate and key; None in plain text.

    """

    name: str
    address: Address
    tls: Tls | None


def doors(config: Config) -> list[Door]:
    """Those that the section ``http`` asks for, one at least."""
    http = config.http
    assert http is not None
    found: list[Door] = []
    if http.address is not None:
        found.append(Door("web", http.address, None))
    if http.ssl is not None:
        found.append(Door("https", http.ssl.address, _tls(http.ssl)))
    return found


def _tls(settings: HttpSsl) -> Tls:
    asks = settings.client_auth_type in ("verify_client_cert_if_given", "require_and_verify_client_cert")
    return Tls(
        settings.cert,
        settings.key,
        settings.root_ca if asks else None,
        optional=settings.client_auth_type == "verify_client_cert_if_given",
        section="http.ssl",
    )


class Redirect:
    """Sends whoever asks in plain text to the same place over TLS, with 308, which keeps method and body.

    Args:
        port: Of the place over TLS.

    """

    def __init__(self, port: int) -> None:
        self._port = "" if port == _HTTPS else f":{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        host = _HOST.fullmatch(Headers(scope=scope).get("host", ""))
        answer: Response
        if host is None:
            answer = refusal(400)
        else:
            path = scope.get("raw_path") or scope["path"].encode()
            query = b"?" + scope["query_string"] if scope["query_string"] else b""
            there = f"https://{host[1]}{self._port}{(path + query).decode('latin-1')}"
            answer = RedirectResponse(there, 308)
        await answer(scope, receive, send)
