"""Where clients reach the realtime server: the embedded one, or one that the configuration names."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Final, NamedTuple, Self
from urllib.parse import urlsplit

from rtbridge.config import Config

#: A Host header as browsers write it; anything else is not repeated in an answer.
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?)(?::[0-9]{1,5})?")

#: Centrifugo's path of the one transport that it always serves.
_WEBSOCKET: Final = {"websocket": "/connection/websocket"}


class Realtime(NamedTuple):
    """The realtime server as a browser sees it.

    Attributes:
        secure: Whether it is reached over TLS.
        host: Host and port as they stand in a URL; without a host where the page's own is meant: ``:8000``.
        paths: Path of each transport: ``websocket``, ``sse``, ``http_stream`` and the ``emulation`` of the last two.

    """

    secure: bool
    host: str
    paths: Mapping[str, str]

    @classmethod
    def of(cls, config: Config) -> Self | None:
        """The one that the configuration names; None if it names none."""
        own = config.rtbridge
        paths = _WEBSOCKET
        if own.embedded is not None:
            paths = {} if own.embedded.websocket.disabled else {"websocket": own.embedded.websocket.handler_prefix}
            for name in ("sse", "http_stream"):
                stream = getattr(own.embedded, name)
                if stream.enabled:
                    paths |= {name: stream.handler_prefix, "emulation": own.embedded.emulation.handler_prefix}
        if own.public_url is not None:
            url = urlsplit(own.public_url)
            below = {name: url.path + path for name, path in paths.items()}
            return cls(url.scheme in ("wss", "https"), url.netloc, below)
        if own.embedded is None:
            return None
        server = own.embedded.http_server
        host = "" if _is_local(server.address) else f"[{server.address}]" if ":" in server.address else server.address
        return cls(server.tls.enabled, f"{host}:{server.port}", paths)

    def at(self, page: str) -> dict[str, str]:
        """The URL of each transport, for a page with this Host header."""
        return {name: f"{self._scheme(name)}://{self._host(page)}{path}" for name, path in self.paths.items()}

    def sources(self, page: str) -> str:
        """The same as the sources of a Content-Security-Policy, for a page with this Host header."""
        schemes = sorted({self._scheme(name) for name in self.paths}, reverse=True)
        return " ".join(f"{scheme}://{self._host(page)}" for scheme in schemes)

    def _scheme(self, name: str) -> str:
        return ("ws" if name == "websocket" else "http") + ("s" if self.secure else "")

    def _host(self, page: str) -> str:
        if not self.host.startswith(":"):
            return self.host
        found = _HOST.fullmatch(page)
        return f"{found[1] if found else '127.0.0.1'}{self.host}"


def _is_local(address: str) -> bool:
    """Whether a browser elsewhere cannot use it: every interface, or this machine's own."""
    if address in ("", "localhost"):
        return True
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return ip.is_unspecified or ip.is_loopback
