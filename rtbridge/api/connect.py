"""From a configuration to a client of the server that it names."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rtbridge.api.base import Api, SyncApi
from rtbridge.api.local import UNSET
from rtbridge.api.settings import TIMEOUT, ControlSettings, GrpcSettings, HttpSettings, Trust
from rtbridge.config import Address, Config, Embedded, load_config
from rtbridge.config.control import address_in_environment, rpc_token
from rtbridge.config.load import DEFAULT_FILE
from rtbridge.errors import ConfigError

if TYPE_CHECKING:
    from rtbridge.config import CentrifugoApi

#: What lets other processes reach an embedded server that its HTTP API does not.
_OR_RPC: Final = "set rpc.listen to have it called over the control RPC"

#: Any wire.
Settings = HttpSettings | GrpcSettings | ControlSettings


def open_async(settings: Settings) -> Api:
    """A client in coroutines; the library of its wire is loaded here."""
    if isinstance(settings, HttpSettings):
        from rtbridge.api.http import HttpApi

        return HttpApi(settings)
    if isinstance(settings, ControlSettings):
        from rtbridge.api.control import ControlApi

        return ControlApi(settings)
    from rtbridge.api.grpcio import GrpcApi

    return GrpcApi(settings)


def open_sync(settings: Settings) -> SyncApi:
    """A client for code that blocks; the library of its wire is loaded here."""
    if isinstance(settings, HttpSettings):
        from rtbridge.api.http import SyncHttpApi

        return SyncHttpApi(settings)
    if isinstance(settings, ControlSettings):
        from rtbridge.api.control import SyncControlApi

        return SyncControlApi(settings)
    from rtbridge.api.grpcio import SyncGrpcApi

    return SyncGrpcApi(settings)


class LazyApi:
    """A client that is made, and whose libraries are loaded, with the first call.

    Args:
        settings: Where and how.

    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Api | None = None

    async def call(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """See :meth:`Api.call`."""
        if self._client is None:
            self._client = open_async(self._settings)
        return await self._client.call(method, request, timeout=timeout)

    async def close(self) -> None:
        """Close the client, where there is one."""
        if self._client is not None:
            await self._client.close()


def centrifugo(config: Config, timeout: float | None = None) -> Settings | None:
    """How the Centrifugo of a configuration is called; None where it names none.

    Args:
        config: The configuration.
        timeout: Seconds that a call may take, in place of the configured ones.

    """
    own, given = config.rtbridge.centrifugo_api, config.centrifuge
    seconds = own.timeout if timeout is None else timeout
    trust = _trust(config, own)
    if own.http is not None:
        return HttpSettings(
            url=own.http.url,
            key=own.http.key,
            trust=trust or Trust(),
            timeout=seconds,
            key_from="rtbridge.centrifugo_api.http.key here, and http_api.key in Centrifugo",
        )
    if given.grpc_api_address is None:
        return None
    return GrpcSettings(
        target=given.grpc_api_address.target,
        key=own.grpc_key,
        trust=trust,
        compress=given.use_compressor,
        timeout=seconds,
        key_from="rtbridge.centrifugo_api.grpc_key here, and grpc_api.key in Centrifugo",
    )


def control(address: Address, config: Config | None = None, timeout: float | None = None) -> ControlSettings:
    """How the embedded server is called over the control RPC of its process.

    Args:
        address: Where that listens.
        config: Has the token and the timeout; None for those of the environment, and the default.
        timeout: Seconds that a call may take, in place of the configured ones.

    """
    seconds = TIMEOUT if config is None else config.rtbridge.centrifugo_api.timeout
    return ControlSettings(
        target=address.target, token=rpc_token(config), timeout=seconds if timeout is None else timeout
    )


def _trust(config: Config, own: "CentrifugoApi") -> Trust | None:
    shown = config.centrifuge.tls
    if own.tls is None and shown is None:
        return None
    return Trust(
        authority=None if own.tls is None else own.tls.server_ca,
        server_name=None if own.tls is None else own.tls.server_name,
        cert=None if shown is None else shown.cert,
        key=None if shown is None else shown.key,
    )


def embedded(config: Config, section: Embedded, timeout: float | None = None) -> HttpSettings:
    """How another process calls the embedded server of a configuration: over its HTTP API.

    Raises:
        ConfigError: It does not serve the API, or not on an address that can be known.

    """
    api, server = section.http_api, section.http_server
    if api.disabled:
        raise ConfigError(
            f"rtbridge.embedded.http_api.disabled is set, so no other process can call the server API: {_OR_RPC}"
        )
    if not api.key and not api.insecure:
        raise ConfigError(f"rtbridge.embedded.http_api.key is not set, so every call is refused: set it, or {_OR_RPC}")
    if not server.port:
        raise ConfigError(
            "rtbridge.embedded.http_server.port is 0, any free one, so other processes cannot find it: set a port, or "
            f"rtbridge.centrifugo_api.http.url, or {_OR_RPC}"
        )
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.address, server.address)  # noqa: S104
    authority = f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}"
    scheme = "https" if server.tls.enabled else "http"
    trust = Trust()
    if server.tls.enabled:
        shown = config.centrifuge.tls
        if server.tls.client_ca_pem and shown is None:
            raise ConfigError(
                "rtbridge.embedded.http_server.tls.client_ca_pem wants a client certificate: set centrifuge.tls to one"
            )
        trust = Trust(
            pinned=server.tls.cert_pem,
            cert=None if shown is None else shown.cert,
            key=None if shown is None else shown.key,
        )
    return HttpSettings(
        url=f"{scheme}://{authority}{api.handler_prefix.rstrip('/')}",
        key=api.key or None,
        trust=trust,
        timeout=config.rtbridge.centrifugo_api.timeout if timeout is None else timeout,
        key_from="rtbridge.embedded.http_api.key, which has to be that of the running server",
    )


def endpoint_of(config: Config, timeout: float | None = None, rpc: Address | None = None) -> Settings:
    """How a process that rtbridge does not run calls the server that a configuration names.

    That is the embedded server where there is one, unless ``rtbridge.centrifugo_api.http`` says how to reach it. It is
    called over the control RPC that ``RR_RPC`` names, else over its HTTP API, else over the RPC of ``rpc.listen``.

    Args:
        config: The configuration.
        timeout: Seconds that a call may take, in place of the configured ones.
        rpc: What ``RR_RPC`` names, where that counts.

    Raises:
        ConfigError: It names none that could be called.

    """
    if config.rtbridge.embedded is not None and config.rtbridge.centrifugo_api.http is None:
        if rpc is not None:
            return control(rpc, config, timeout)
        try:
            return embedded(config, config.rtbridge.embedded, timeout)
        except ConfigError:
            listen = None if config.rpc is None else config.rpc.listen
            if listen is None or not (listen.path or listen.port):
                raise
            return control(listen, config, timeout)
    found = centrifugo(config, timeout)
    if found is None:
        raise ConfigError(UNSET)
    return found


def find_endpoint(
    load: Callable[[str | None], Config], file: str | None, *, named: bool, timeout: float | None = None
) -> Settings:
    """The same for a configuration that is looked for.

    Args:
        load: Reads a file; None for ``.rr.yaml``.
        file: The file; None for what ``RR_CONFIG_PATH`` names, or ``.rr.yaml``. Without either ``RR_RPC`` will do.
        named: Whether it was asked for. What ``RR_RPC`` names may be another server's then, and does not count.
        timeout: Seconds that a call may take, in place of the configured ones.

    Raises:
        ConfigError: The file cannot be used, or names no server that could be called.

    """
    rpc = None if named else address_in_environment()
    file = file or os.environ.get("RR_CONFIG_PATH") or None
    if rpc is not None and file is None and not os.path.exists(DEFAULT_FILE):
        return control(rpc, timeout=timeout)
    return endpoint_of(load(file), timeout, rpc)


def endpoint_from(path: str | Path | None = None, timeout: float | None = None) -> Settings:
    """The same for a configuration file; by default what ``RR_CONFIG_PATH`` names, or ``.rr.yaml``."""
    file = None if path is None else str(path)
    return find_endpoint(lambda each: load_config(each).config, file, named=path is not None, timeout=timeout)
