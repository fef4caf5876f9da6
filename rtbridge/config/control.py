"""How other processes find the control RPC of a running rtbridge: by a configuration, or by their environment."""

import os

from rtbridge.config.model import Config
from rtbridge.config.values import Address, parse_address
from rtbridge.errors import ConfigError


def address_in_environment() -> Address | None:
    """What ``RR_RPC`` names, which hooks and all that they start inherit; None where it is not set.

    Raises:
        ConfigError: It is no address.

    """
    named = os.environ.get("RR_RPC")
    if not named:
        return None
    try:
        return parse_address(named)
    except ValueError as exc:
        raise ConfigError(f"RR_RPC is {named!r}, allowed: tcp://host:port or unix:///path") from exc


def rpc_token(config: Config | None) -> str | None:
    """What callers show: ``rtbridge.rpc_token``, else the variable ``RTBRIDGE_RPC_TOKEN``; None for nothing."""
    configured = None if config is None else config.rtbridge.rpc_token
    return configured or os.environ.get("RTBRIDGE_RPC_TOKEN") or None
