"""``proxy_ip_parser``: the client's address and scheme behind proxies that are trusted."""

from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from rtbridge.transport.forwarded import Forwarded

_SCHEMES: Final = {b"http": "http", b"https": "https"}


class Proxies:
    """Puts the client's address and scheme into the scope, as proxies tell them that are trusted.

    The address is read from ``X-Forwarded-For`` or ``Forwarded`` (RFC 7239), from the right, or from ``X-Real-IP``
    where there is no list; the scheme from ``X-Forwarded-Proto``. From anybody else they are a client's own words.

    Args:
        app: What is behind it.
        networks: Addresses and networks of the proxies.

    """

    def __init__(self, app: ASGIApp, networks: Iterable[str]) -> None:
        self._app = app
        self._forwarded = Forwarded(networks, real_ip=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        client = scope.get("client")
        if client is not None and self._forwarded.trusts(client[0]):
            address = self._forwarded.address(client[0], scope["headers"])
            if address != client[0]:
                scope["client"] = (address, 0)  # its port is not told
            # A list has one scheme for each proxy; the nearest one wrote the last.
            told = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
            last = told[-1].rpartition(b",")[2].strip().lower() if told else b""
            scope["scheme"] = _SCHEMES.get(last, scope["scheme"])
        await self._app(scope, receive, send)
