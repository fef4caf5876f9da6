"""Client addresses behind proxies: headers count only where a trusted proxy wrote them."""

import pytest

from rtbridge import SetupError
from rtbridge.transport.forwarded import Forwarded

PROXIES = ("10.0.0.0/8", "192.0.2.1", "2001:db8:1::/48")


def address(peer: str, *headers: tuple[str, str], trusted: tuple[str, ...] = PROXIES) -> str:
    return Forwarded(trusted).address(peer, [(name.encode(), value.encode("latin-1")) for name, value in headers])


@pytest.mark.parametrize("name", ["x-forwarded-for", "X-Forwarded-For"])
@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.66, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.1.1.1, 192.0.2.1", "203.0.113.7"),
        ("198.51.100.66, 203.0.113.7, 10.1.1.1", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("fe80::7%eth0", "fe80::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("10.2.2.2", "10.2.2.2"),
        ("203.0.113.7, unknown", "10.0.0.1"),
        ("203.0.113.7, nonsense, 10.3.3.3", "10.3.3.3"),
        ("", "10.0.0.1"),
        (",", "10.0.0.1"),
        (", ".join(["198.51.100.66"] * 5000 + ["203.0.113.7"]), "203.0.113.7"),
        (", ".join(["198.51.100.66"] + ["10.1.1.1"] * 5000), "10.1.1.1"),
    ],
)
def test_lists_are_read_from_the_right(name: str, value: str, found: str) -> None:
    """Trusted proxies are passed over; the first address that is none is the client."""
    assert address("10.0.0.1", (name, value)) == found


def test_a_forged_header() -> None:
    """A client that is no proxy may write what it likes."""
    assert address("203.0.113.9", ("x-forwarded-for", "127.0.0.1")) == "203.0.113.9"
    assert address("203.0.113.9", ("forwarded", "for=127.0.0.1")) == "203.0.113.9"


def test_without_trusted_proxies() -> None:
    """Nobody is trusted by default, the loopback neither."""
    assert address("127.0.0.1", ("x-forwarded-for", "203.0.113.7"), trusted=()) == "127.0.0.1"


def test_a_forged_beginning() -> None:
    """What a client sends along stands left of what the proxy adds."""
    assert address("10.0.0.1", ("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "203.0.113.7")) == "203.0.113.7"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ("by=10.0.0.1; For=203.0.113.7;proto=https", "203.0.113.7"),
        ('for="203.0.113.7:4711"', "203.0.113.7"),
        ('for="[2001:db8::7]:4711"', "2001:db8::7"),
        ("for=198.51.100.66, for=203.0.113.7, for=10.1.1.1", "203.0.113.7"),
        ("for=_hidden", "10.0.0.1"),
        ("for=unknown", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
        ("for", "10.0.0.1"),
    ],
)
def test_forwarded(value: str, found: str) -> None:
    """The standard header says the same in other words."""
    assert address("10.0.0.1", ("forwarded", value)) == found


def test_both_headers() -> None:
    """A proxy writes one of the two, and a client may have written the other: then neither is believed."""
    good = ("x-forwarded-for", "203.0.113.7")
    assert address("10.0.0.1", good, ("forwarded", "for=203.0.113.7")) == "203.0.113.7"
    assert address("10.0.0.1", good, ("forwarded", "for=127.0.0.1")) == "10.0.0.1"


@pytest.mark.parametrize("peer", ["2001:db8:1::5", "::ffff:10.0.0.1", "192.0.2.1"])
def test_trusted_peers(peer: str) -> None:
    """A proxy is known by either family, and by the mapped form of its address."""
    assert address(peer, ("x-forwarded-for", "203.0.113.7")) == "203.0.113.7"


@pytest.mark.parametrize("peer", ["", "unix:", "not an address"])
def test_peers_without_an_address(peer: str) -> None:
    """Who has no address is in no network."""
    assert address(peer, ("x-forwarded-for", "203.0.113.7")) == peer


def test_what_is_no_network() -> None:
    """A typing error in the list of proxies is found at start."""
    with pytest.raises(SetupError, match=r"'10\.0\.0\.0/40'"):
        Forwarded(["10.0.0.0/40"])
