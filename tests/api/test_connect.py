"""From a configuration to a client: which server, over which wire, with which key; in hooks and in other processes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rtbridge import Api, ApiError, ConfigError, RPCResult, SyncApi, hookimpl
from rtbridge.api.connect import centrifugo, endpoint_from, endpoint_of
from rtbridge.api.settings import ControlSettings, GrpcSettings, HttpSettings, Trust
from rtbridge.app import Runtime
from rtbridge.config import Config, parse_config
from rtbridge.testing import App
from tests.api.conftest import started
from tests.api.fakes import GrpcFake, HttpFake, answer

pytestmark = pytest.mark.timeout(60)


def configured(**sections: Any) -> Config:
    """A configuration with these sections."""
    return parse_config({"version": "3", **sections}).config


def test_a_centrifugo_over_grpc() -> None:
    """RoadRunner's keys, and the key that it has none for."""
    config = configured(
        centrifuge={"grpc_api_address": "tcp://c:10001", "use_compressor": True},
        rtbridge={"centrifugo_api": {"grpc_key": "k", "timeout": "2s"}},
    )
    found = endpoint_of(config)
    assert isinstance(found, GrpcSettings)
    assert (found.target, found.key, found.trust, found.compress, found.timeout) == ("c:10001", "k", None, True, 2.0)
    assert centrifugo(config, 0.5) == endpoint_of(config, 0.5)
    assert endpoint_of(config, 0.5).timeout == 0.5


def test_the_default_is_that_of_roadrunner() -> None:
    """Where the section is written."""
    found = endpoint_of(configured(centrifuge={}))
    assert isinstance(found, GrpcSettings)
    assert (found.target, found.timeout) == ("127.0.0.1:10000", 5.0)
    unix = endpoint_of(configured(centrifuge={"grpc_api_address": "unix:///run/c.sock"}))
    assert isinstance(unix, GrpcSettings)
    assert unix.target == "unix:/run/c.sock"


def test_a_centrifugo_over_http() -> None:
    """Where its URL is given, whatever the default of gRPC is."""
    found = endpoint_of(
        configured(centrifuge={}, rtbridge={"centrifugo_api": {"http": {"url": "https://c/api/", "key": "k"}}})
    )
    assert isinstance(found, HttpSettings)
    assert (found.url, found.key, found.trust) == ("https://c/api", "k", Trust())


def test_tls(tmp_path: Path) -> None:
    """RoadRunner's client certificate, and whom to trust."""
    for name in ("cert.pem", "key.pem", "ca.pem"):
        (tmp_path / name).write_text("x")
    cert = {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    own = {"centrifugo_api": {"tls": {"server_ca": str(tmp_path / "ca.pem"), "server_name": "c.example"}}}
    found = endpoint_of(configured(centrifuge={"tls": cert}, rtbridge=own))
    assert isinstance(found, GrpcSettings)
    assert found.trust == Trust(
        authority=tmp_path / "ca.pem",
        server_name="c.example",
        cert=tmp_path / "cert.pem",
        key=tmp_path / "key.pem",
    )
    public = endpoint_of(configured(centrifuge={}, rtbridge={"centrifugo_api": {"tls": {}}}))
    assert isinstance(public, GrpcSettings)
    assert public.trust == Trust()
    assert found.trust is not None
    with pytest.raises(ConfigError, match="a TLS file for the server API cannot be used"):
        found.trust.context()


EMBEDDED: dict[str, Any] = {"http_server": {"port": 8001}, "http_api": {"key": "k"}}


@pytest.mark.parametrize(
    ("address", "prefix", "url"),
    [
        ("", "/api", "http://127.0.0.1:8001/api"),
        ("0.0.0.0", "/x/api/", "http://127.0.0.1:8001/x/api"),
        ("::", "/api", "http://[::1]:8001/api"),
        ("rt.example", "/", "http://rt.example:8001"),
    ],
)
def test_the_embedded_server(address: str, prefix: str, url: str) -> None:
    """Other processes call its HTTP API, which listens where clients connect."""
    server = {**EMBEDDED, "http_server": {"address": address, "port": 8001}}
    server["http_api"] = {"key": "k", "handler_prefix": prefix}
    found = endpoint_of(configured(centrifuge={}, rtbridge={"embedded": server}))
    assert isinstance(found, HttpSettings)
    assert (found.url, found.key) == (url, "k")


def test_the_embedded_server_elsewhere() -> None:
    """A URL that is given says how to reach it."""
    own = {"embedded": EMBEDDED, "centrifugo_api": {"http": {"url": "http://rt.example/api", "key": "k"}}}
    found = endpoint_of(configured(rtbridge=own))
    assert isinstance(found, HttpSettings)
    assert found.url == "http://rt.example/api"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"http_api": {"disabled": True}}, r"^rtbridge\.embedded\.http_api\.disabled is set"),
        ({"http_api": {}}, r"^rtbridge\.embedded\.http_api\.key is not set"),
        ({"http_server": {"port": 0}}, r"^rtbridge\.embedded\.http_server\.port is 0"),
    ],
)
def test_an_embedded_server_that_cannot_be_called(section: dict[str, Any], said: str) -> None:
    """Says which key to set; with a control RPC it is called over that."""
    own = {"embedded": {**EMBEDDED, **section}}
    with pytest.raises(ConfigError, match=said) as refused:
        endpoint_of(configured(rtbridge=own))
    assert str(refused.value).endswith("set rpc.listen to have it called over the control RPC")
    found = endpoint_of(configured(rpc={"listen": "unix:///run/rpc.sock"}, rtbridge={**own, "rpc_token": "t"}), 2.0)
    assert found == ControlSettings(target="unix:/run/rpc.sock", token="t", timeout=2.0)
    with pytest.raises(ConfigError, match=said):
        endpoint_of(configured(rpc={"listen": "tcp://127.0.0.1:0"}, rtbridge=own))


def test_no_server() -> None:
    """Says which keys there are."""
    for config in (Config(), configured(centrifuge={"grpc_api_address": None})):
        with pytest.raises(ConfigError, match=r"^there is no server to call: set centrifuge\.grpc_api_address"):
            endpoint_of(config)
        assert centrifugo(config) is None


def test_keys_are_in_no_repr() -> None:
    """Neither in a configuration's nor in that of what is made from it."""
    own = {"centrifugo_api": {"http": {"url": "http://c/api", "key": "the-secret"}}}
    over_http = configured(rtbridge=own)
    over_grpc = configured(centrifuge={}, rtbridge={"centrifugo_api": {"grpc_key": "the-secret"}})
    section = {"embedded": {**EMBEDDED, "http_api": {}}, "rpc_token": "the-secret"}
    over_control = configured(rpc={"listen": "tcp://127.0.0.1:6001"}, rtbridge=section)
    for config in (over_http, over_grpc, over_control):
        assert "the-secret" not in repr((config, endpoint_of(config)))


@pytest.mark.parametrize("key", ["", "a\nb", " a", "ä"])
def test_keys_that_cannot_be_sent(key: str) -> None:
    """Refused where they are given, without showing them."""
    for make in (
        lambda: HttpSettings(url="http://c/api", key=key),
        lambda: GrpcSettings(target="c:1", key=key),
        lambda: ControlSettings(target="c:1", token=key),
    ):
        with pytest.raises(ValueError, match=r"^the API key or token is empty, or holds what no header can carry"):
            make()


CONFIG = """
version: "3"
rtbridge:
  centrifugo_api: {http: {url: "%s", key: "the-key"}}
"""


async def test_from_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, the variable, or .rr.yaml; three lines in any process."""
    async with HttpFake().listening() as fake:
        fake.answers = [answer('{"result":{"offset":7}}')]
        (tmp_path / "other.yaml").write_text(CONFIG % fake.url)
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("RR_CONFIG_PATH", raising=False)
        with pytest.raises(ConfigError, match=r"\.rr\.yaml"):
            Api.from_config()
        named = Api.from_config("other.yaml", timeout=20.0)
        monkeypatch.setenv("RR_CONFIG_PATH", str(tmp_path / "other.yaml"))
        by_variable = Api.from_config()
        monkeypatch.delenv("RR_CONFIG_PATH")
        (tmp_path / ".rr.yaml").write_text(CONFIG % fake.url)
        for api in (named, by_variable, Api.from_config()):
            async with api:
                assert (await api.publish("room", 1)).offset == 7
        with SyncApi.from_config() as blocking:
            assert (await asyncio.to_thread(blocking.publish, "room", 1)).offset == 7
        assert [asked.headers["x-api-key"] for asked in fake.asked] == ["the-key"] * 4


BOTH = """
version: "3"
rpc: {listen: "tcp://127.0.0.1:6001"}
rtbridge:
  rpc_token: "of-the-file"
  centrifugo_api: {timeout: 3s}
  embedded: {http_server: {port: 8001}, http_api: {key: k}}
"""


def test_where_rr_rpc_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the embedded server of a file that was looked for, and where there is none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RR_CONFIG_PATH", raising=False)
    monkeypatch.setenv("RR_RPC", "tcp://127.0.0.1:6009")
    alone = ControlSettings(target="127.0.0.1:6009", token=None, timeout=5.0)
    assert endpoint_from() == alone
    monkeypatch.setenv("RTBRIDGE_RPC_TOKEN", "of-the-environment")
    assert endpoint_from(timeout=1.0) == ControlSettings(
        target="127.0.0.1:6009", token="of-the-environment", timeout=1.0
    )
    (tmp_path / ".rr.yaml").write_text(BOTH)
    inherited = ControlSettings(target="127.0.0.1:6009", token="of-the-file", timeout=3.0)
    assert endpoint_from() == inherited
    monkeypatch.setenv("RR_CONFIG_PATH", str(tmp_path / ".rr.yaml"))
    assert endpoint_from() == inherited
    assert isinstance(endpoint_from(".rr.yaml"), HttpSettings)  # what is named may be another server's
    monkeypatch.setenv("RR_CONFIG_PATH", str(tmp_path / "centrifugo.yaml"))
    (tmp_path / "centrifugo.yaml").write_text(CONFIG % "http://c/api")
    assert isinstance(endpoint_from(), HttpSettings)  # a Centrifugo is called as configured
    monkeypatch.setenv("RR_RPC", "nonsense")
    with pytest.raises(ConfigError, match=r"^RR_RPC is 'nonsense', allowed: tcp://host:port or unix:///path$"):
        endpoint_from()


async def test_from_config_of_an_embedded_server_with_tls(tmp_path: Path, certificates: Any) -> None:
    """Its certificate is trusted as it is: it was made for the name that clients know."""
    tls = {"enabled": True, "cert_pem": str(certificates.server_cert), "key_pem": str(certificates.server_key)}
    server, _ = await started("embedded", tmp_path, {"http_server": {"tls": tls}})
    section = {"http_server": {"address": "127.0.0.1", "port": server.port, "tls": tls}, "http_api": {"key": "key"}}
    found = endpoint_of(configured(rtbridge={"embedded": section}))
    from rtbridge.api.connect import open_async

    async with open_async(found) as api:
        assert (await api.publish("room", 1)).offset == 1
    await server.stop()


class Plugin:
    """A hook that calls the API."""

    @hookimpl
    async def on_rpc(self, event: Any, api: Api) -> RPCResult:
        try:
            return RPCResult(data=(await api.publish("room", event.data)).offset)
        except ApiError as exc:
            return RPCResult(data=[exc.code, str(exc)])


async def ask(config: Config) -> Any:
    """What the hook says."""
    runtime = Runtime(config, [Plugin()])
    await runtime.boot()
    app = App([], config=config)
    app.runtime, app.memory = runtime, type(app.memory)(runtime.bridge)
    outcome = await app.rpc("x", 1)
    await runtime.shutdown()
    result = outcome.result
    assert isinstance(result, RPCResult)
    return result.data


async def test_hooks_call_the_centrifugo_that_is_configured() -> None:
    """Over HTTP or gRPC, and without one they are told what to set."""
    async with HttpFake().listening() as fake:
        fake.answers = [answer('{"result":{"offset":7}}')]
        own = {"entry_points": False, "centrifugo_api": {"http": {"url": fake.url, "key": "k"}}}
        assert await ask(configured(rtbridge=own)) == 7
    async with GrpcFake().listening() as grpc:
        config = configured(centrifuge={"grpc_api_address": f"tcp://{grpc.target}"}, rtbridge={"entry_points": False})
        assert await ask(config) == 0
        assert [method for method, _ in grpc.asked] == ["Publish"]
    code, text = await ask(configured(rtbridge={"entry_points": False}))
    assert code == 108
    assert "set centrifuge.grpc_api_address or rtbridge.centrifugo_api.http for a Centrifugo" in text
