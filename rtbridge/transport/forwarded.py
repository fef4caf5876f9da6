"""The address of a client behind reverse proxies, believed only where those are known.

A header is anybody's word. What counts is who sent it: the connection's own peer and, while that is a trusted proxy,
the one from which it says it got the request. Lists are read from the right end, where the nearest proxy writes.
Sources: RFC 7239 (``Forwarded``); ``X-Forwarded-For`` and ``X-Real-IP`` as every proxy writes them.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from rtbridge.errors import SetupError

#: Proxies in a row; a longer list is a made-up one, and its right end is enough.
_DEEPEST: Final = 32


class Forwarded:
    """Finds client addresses.

    Args:
        trusted: Addresses and networks (``10.0.0.0/8``) of the proxies in front of this server.
        real_ip: Whether ``X-Real-IP``, which has one address and no proxies, is believed where there is no list.

    Raises:
        SetupError: One of them is neither.

    """

    def __init__(self, trusted: Iterable[str] = (), *, real_ip: bool = False) -> None:
        lists = (b"x-forwarded-for", b"forwarded")
        self._wanted = (*lists, b"x-real-ip") if real_ip else lists
        self._networks: list[IPv4Network | IPv6Network] = []
        for text in trusted:
            try:
                self._networks.append(ip_network(text, strict=False))
            except ValueError as exc:
                raise SetupError(f"trusted proxies: {text!r} is no address and no network") from exc

    def address(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The client's address.

        Args:
            peer: The address that the connection comes from.
            headers: Names, in any case, and values of the request.

        """
        if not self.trusts(peer):
            return peer
        lists: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            key = name.lower()
            if key in self._wanted:
                lists.setdefault(key, []).append(value)
        if b"x-real-ip" in lists and len(lists) > 1:
            del lists[b"x-real-ip"]
        # A proxy writes one of the two and hands on what it does not know, so two that differ are no evidence at all.
        found = {self._walk(peer, key, b",".join(values)) for key, values in lists.items()}
        return found.pop() if len(found) == 1 else peer

    def _walk(self, peer: str, key: bytes, value: bytes) -> str:
        parts = value.decode("latin-1").rsplit(",", _DEEPEST)[-_DEEPEST:]
        for part in reversed(parts):
            node = _for(part) if key == b"forwarded" else part
            address = _parse(node)
            if address is None:
                return peer  # the proxy hides it, or made it up: the proxy is who we know
            peer = address
            if not self.trusts(address):
                break
        return peer

    def trusts(self, text: str) -> bool:
        """Whether an address is that of a trusted proxy."""
        if not self._networks:
            return False
        address = _parse(text)
        if address is None:
            return False
        parsed = ip_address(address)
        return any(parsed in network for network in self._networks)


def _for(element: str) -> str:
    """The ``for`` of one element of ``Forwarded``."""
    for pair in element.split(";"):  # no quoted string that matters holds a separator
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value.strip().strip('"')
    return ""


def _parse(text: str) -> str | None:
    """An address without brackets, port and zone, an IPv4 one in its own form; None where it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
