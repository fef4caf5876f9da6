"""Texts of ``.rr.yaml`` that stand for a value: durations, sizes, addresses. Each reader raises ``ValueError``."""

import ipaddress
import re
from typing import Final

import msgspec

_UNIT_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ns|us|µs|μs|ms|s|m|h)")
_DURATION: Final = re.compile(rf"(?:{_DURATION_PART.pattern})+")

_SIZE_BYTES: Final = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_SIZE: Final = re.compile(rf"([0-9]{{1,15}})(\.[0-9]{{1,9}})? ?({'|'.join(_SIZE_BYTES)})?")

_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?")
_PORT: Final = re.compile(r"[0-9]{1,5}")


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen or dial: a TCP host and port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    #: Path of the Unix socket; empty for TCP.
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return bool(self.path) or self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def target(self) -> str:
        """As transports and gRPC take it: ``host:port`` or ``unix:path``."""
        return f"unix:{self.path}" if self.path else str(self).removeprefix("tcp://")


def parse_duration(text: str) -> float:
    """Seconds of a Go duration such as ``10s``, ``1m30s`` or ``250ms``; ``0`` needs no unit."""
    if text == "0":
        return 0.0
    if _DURATION.fullmatch(text) is None:
        raise ValueError("not a duration")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def format_duration(seconds: float) -> str:
    """The shortest Go duration in one unit: ``30s``, ``250ms``, ``576h``."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def parse_size(text: str) -> int:
    """Bytes of a size such as ``4MiB`` (1024²), ``1MB`` (1000²), ``512B`` or ``512``."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("not a size")
    whole, fraction, unit = match.groups()
    factor = _SIZE_BYTES[unit or "B"]
    if fraction is None:
        return int(whole) * factor
    scale = int("1" + "0" * (len(fraction) - 1))
    digits: str = whole + fraction[1:]
    size, rest = divmod(int(digits) * factor, scale)
    if rest:
        raise ValueError("not a whole number of bytes")
    return size


def format_size(size: int) -> str:
    """The size in its largest binary unit that keeps it whole: ``4MiB``."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _SIZE_BYTES[unit] == 0:
            return f"{size // _SIZE_BYTES[unit]}{unit}"
    return f"{size}B"


def parse_address(text: str) -> Address:
    """The address in ``tcp://host:port``, ``host:port`` or ``unix:///path``; IPv6 hosts stand in brackets."""
    if text.startswith("unix://"):
        path = text.removeprefix("unix://")
        if not path.startswith("/") or path.endswith("/") or "\0" in path:
            raise ValueError("the path of a Unix socket is absolute: unix:///run/rtbridge.sock")
        return Address(path=path)
    host, colon, port = text.removeprefix("tcp://").rpartition(":")
    if not colon:
        raise ValueError("no port")
    if not host:
        raise ValueError("no host; 0.0.0.0 is every IPv4 interface, [::] every interface")
    if _PORT.fullmatch(port) is None or int(port) > 65535:
        raise ValueError("the port is not a number from 0 to 65535")
    return Address(host=_parse_host(host), port=int(port))


def _parse_host(host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError as exc:
            raise ValueError("not an IPv6 address in the brackets") from exc
    if ":" in host:
        raise ValueError("an IPv6 host stands in brackets: [::1]:30000")
    if _HOST.fullmatch(host) is None:
        raise ValueError("not a host name or an IP address")
    return host
