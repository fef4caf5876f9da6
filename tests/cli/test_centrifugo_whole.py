"""``rtbridge centrifugo-config`` with ``rtbridge.embedded``: the whole of a configuration for a real Centrifugo."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from rtbridge.app import Runtime
from rtbridge.centrifugo.build import SECRET_VARIABLE
from rtbridge.centrifugo.embedded import called, tree_of, warnings, whole
from rtbridge.config import embedded_from, parse_config
from tests.centrifugo import MISSING, find_binary

Invoke = Callable[..., Result]

#: Everything that the printed file has to keep.
EMBEDDED = """
    http_server: {{address: 127.0.0.1, port: 8000, tls: {{enabled: true, cert_pem: {cert}, key_pem: {key}}}}}
    trusted_subnets: [10.0.0.0/8]
    client:
      allowed_origins: ["https://shop.example", "*.test"]
      token: {{hmac_secret_key: s3cret-one, audience: shop, rsa_public_key: "{rsa}"}}
      subscription_token: {{enabled: true, hmac_secret_key: s3cret-two}}
      ping_interval: 10s
      pong_timeout: -1
      channel_limit: 7
      proxy:
        connect:
          {{enabled: true, timeout: 2500ms, http_headers: [Cookie, X-Proxy-Key], emulated_headers: [x-proxy-key]}}
      connect_code_to_unidirectional_disconnect:
        {{enabled: true, transforms: [{{code: 100, to: {{code: 4000, reason: later}}}}]}}
    channel:
      history_meta_ttl: 48h
      proxy: {{publish: {{include_connection_meta: true}}, sub_refresh: {{timeout: 3s}}}}
      without_namespace: {{allowed_delta_types: [fossil], channel_regex: "^[a-z]+$"}}
      namespaces:
        - {{name: chat, presence: true, history_size: 5, history_ttl: 1h, subscribe_proxy_enabled: true,
           publish_proxy_enabled: true}}
    rpc: {{namespaces: [{{name: rooms, proxy_enabled: true}}]}}
    http_api: {{key: s3cret-three}}
    websocket: {{compression: true, message_size_limit: 1000}}
    health: {{enabled: true}}
"""

RSA = "-----BEGIN PUBLIC KEY-----\\nMIIB\\n-----END PUBLIC KEY-----\\n"


@pytest.fixture
def shop(chat: Any, certificates: Path) -> Any:
    """The chat project with an embedded server beside its proxies."""
    section = EMBEDDED.format(cert=certificates / "server.pem", key=certificates / "server.key", rsa=RSA)
    chat.write(
        ".rr.yaml",
        'version: "3"\ncentrifuge: {proxy_address: "127.0.0.1:30000"}\nrtbridge:\n  plugins: [chat.hooks]\n'
        '  entry_points: false\n  secret: {values: ["s3cret"]}\n  embedded:' + section,
    )
    return chat


def _printed(invoke: Invoke, *arguments: str) -> tuple[dict[str, Any], list[str]]:
    found = invoke("centrifugo-config", *arguments)
    assert found.exit_code == 0, found.output
    config: dict[str, Any] = json.loads(found.stdout)
    return config, found.stderr.splitlines()


def test_the_section_becomes_centrifugos(shop: Any, invoke: Invoke, certificates: Path) -> None:
    """What is not a default is there in Centrifugo's format, endpoints are filled in, secrets and own keys are not."""
    config, notes = _printed(invoke, "--endpoint", "backend")
    grpc = {"static_metadata": {"x-proxy-key": f"${{{SECRET_VARIABLE}}}"}}
    wire = {"endpoint": "grpc://backend:30000", "grpc": grpc}
    assert config == {
        "http_server": {
            "address": "127.0.0.1",
            "tls": {
                "enabled": True,
                "cert_pem": str(certificates / "server.pem"),
                "key_pem": str(certificates / "server.key"),
            },
        },
        "client": {
            "allowed_origins": ["https://shop.example", "*.test"],
            "token": {"audience": "shop", "rsa_public_key": RSA.replace("\\n", "\n")},
            "subscription_token": {"enabled": True},
            "ping_interval": "10s",
            "pong_timeout": "-1ns",
            "channel_limit": 7,
            "proxy": {"connect": {"enabled": True, "timeout": "2500ms", "http_headers": ["Cookie"], **wire}},
            "connect_code_to_unidirectional_disconnect": {
                "enabled": True,
                "transforms": [{"code": 100, "to": {"code": 4000, "reason": "later"}}],
            },
        },
        "channel": {
            "history_meta_ttl": "48h",
            "proxy": {
                "subscribe": wire,
                "publish": {"include_connection_meta": True, **wire},
                "sub_refresh": {"timeout": "3s"},
            },
            "without_namespace": {"allowed_delta_types": ["fossil"], "channel_regex": "^[a-z]+$"},
            "namespaces": [
                {
                    "name": "chat",
                    "presence": True,
                    "history_size": 5,
                    "history_ttl": "1h",
                    "subscribe_proxy_enabled": True,
                    "publish_proxy_enabled": True,
                }
            ],
        },
        "rpc": {"proxy": wire, "namespaces": [{"name": "rooms", "proxy_enabled": True}]},
        "websocket": {"compression": True, "message_size_limit": 1000},
        "health": {"enabled": True},
    }
    assert list(config["client"]["proxy"]["connect"])[:2] == ["enabled", "endpoint"]
    start = "note: start Centrifugo with"
    value = "set to the value of rtbridge"
    assert notes == [
        "note: http_server.tls.cert_pem names a file; it has to be on the machine of Centrifugo",
        "note: http_server.tls.key_pem names a file; it has to be on the machine of Centrifugo",
        f"{start} CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY {value}.embedded.client.token.hmac_secret_key",
        f"{start} CENTRIFUGO_CLIENT_SUBSCRIPTION_TOKEN_HMAC_SECRET_KEY {value}.embedded.client.subscription_token."
        "hmac_secret_key",
        f"{start} CENTRIFUGO_HTTP_API_KEY {value}.embedded.http_api.key",
        "note: Centrifugo has no trusted_subnets: where http_headers names X-Forwarded-For, hooks get it as it came",
        "note: client.proxy.connect.emulated_headers: x-proxy-key carries the secret, so it is left out",
        f"{start} {SECRET_VARIABLE} {value}.secret",
    ]
    assert "s3cret" not in json.dumps(config)


def test_the_wire_and_the_timeout_are_those_that_were_asked_for(shop: Any, invoke: Invoke) -> None:
    """Over HTTP each event has its path; --timeout stands for all of them; YAML is the same file."""
    options = ["--http", "-o", "rtbridge.http_proxy.address=127.0.0.1:30001", "--timeout", "4s"]
    config, _ = _printed(invoke, *options)
    proxies = {**config["client"]["proxy"], **config["channel"]["proxy"], "rpc": config["rpc"]["proxy"]}
    assert proxies.pop("sub_refresh") == {"timeout": "3s"}
    assert {name: (proxy["endpoint"], proxy["timeout"]) for name, proxy in proxies.items()} == {
        name: (f"http://127.0.0.1:30001/{name}", "4s") for name in ("connect", "subscribe", "publish", "rpc")
    }
    assert yaml.safe_load(invoke("centrifugo-config", "--format", "yaml", *options).stdout) == config


def test_check_accepts_what_was_printed(shop: Any, invoke: Invoke) -> None:
    """But for what the hooks and the section's own switches do not agree on."""
    file = shop.write("centrifugo.json", json.dumps(_printed(invoke)[0]))
    found = invoke("centrifugo-config", "--check", str(file)).stdout.splitlines()
    assert found == [
        "on_refresh is never called: client.proxy.refresh.enabled is off",
        "rpc.namespaces[rooms].proxy_enabled is on and no pattern of on_rpc matches there (namespace rooms)",
        "on_rpc is never called without a namespace: rpc.without_namespace.proxy_enabled is off",
    ]


def test_without_switches_there_is_nothing_to_reach(chat: Any, invoke: Invoke) -> None:
    """No proxy address is needed, and a port that Centrifugo cannot take is a note."""
    chat.config("rtbridge: {entry_points: false, embedded: {client: {insecure: true}, http_server: {port: 0}}}")
    config, notes = _printed(invoke)
    assert config == {"http_server": {"port": 0}, "client": {"insecure": True}}
    assert notes == ["note: http_server.port is 0, which is 8000 to Centrifugo"]


def test_an_application_without_proxies_is_told_to_listen(chat: Any, invoke: Invoke) -> None:
    """With --endpoint the file can be made all the same."""
    section = "embedded: {rpc: {without_namespace: {proxy_enabled: true}}}"
    chat.config(f"rtbridge: {{plugins: [chat.hooks], entry_points: false, {section}}}")
    assert "centrifuge.proxy_address names no host and port" in invoke("centrifugo-config").stderr
    config, notes = _printed(invoke, "--endpoint", "backend:7")
    assert config["rpc"]["proxy"] == {"endpoint": "grpc://backend:7"}
    assert notes == ["note: rtbridge listens for no calls of Centrifugo yet: set centrifuge.proxy_address"]


def test_a_stream_wants_grpc(chat: Any, invoke: Invoke) -> None:
    """Over HTTP alone Centrifugo could not start."""
    section = "embedded: {channel: {without_namespace: {subscribe_stream_proxy_enabled: true}}}"
    chat.config(f'rtbridge: {{entry_points: false, http_proxy: {{address: "127.0.0.1:1"}}, {section}}}')
    found = invoke("centrifugo-config")
    assert found.exit_code == 2
    assert "channel.proxy.subscribe_stream: streams travel over gRPC only" in found.stderr


def test_a_timeout_that_is_none_is_refused(shop: Any, invoke: Invoke) -> None:
    """As without the section."""
    assert "--timeout 0s: a duration above zero is wanted" in invoke("centrifugo-config", "--timeout", "0s").stderr


def test_every_default_is_left_out() -> None:
    """A file for Centrifugo as it is."""
    assert tree_of(embedded_from({})) == ({}, [])
    assert called(embedded_from({})) == []
    assert whole(embedded_from({}), None) == ({}, [])


def test_a_key_in_the_file_itself_is_not_printed() -> None:
    """Its certificate is."""
    pem = "-----BEGIN {0}-----\nMIIB\n-----END {0}-----\n"
    tls = {"cert_pem": pem.format("CERTIFICATE"), "key_pem": pem.format("PRIVATE KEY")}
    config, notes = tree_of(embedded_from({"http_server": {"tls": tls}}))
    assert config == {"http_server": {"tls": {"cert_pem": tls["cert_pem"]}}}
    assert notes == [
        "start Centrifugo with CENTRIFUGO_HTTP_SERVER_TLS_KEY_PEM set to the value of "
        "rtbridge.embedded.http_server.tls.key_pem"
    ]


def _found(project: Any, section: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, alone: bool = True) -> list[str]:
    monkeypatch.syspath_prepend(project.folder)  # the invoke fixture forgets what was imported from there
    loaded = parse_config({"version": "3", "rtbridge": {"plugins": ["chat.hooks"], "entry_points": False}})
    runtime = Runtime(loaded.config)
    denied = dict.fromkeys(runtime.chains, "it is denied")
    return warnings(embedded_from(section), runtime.chains, denied, alone=alone)


@pytest.mark.usefixtures("invoke")
def test_switches_and_hooks_are_compared(chat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook whose switch is off, a switch without a hook, meta that does not come: one line each."""
    section = {
        "http_server": {"address": "127.0.0.1"},
        "client": {"insecure": True, "proxy": {"connect": {"enabled": True}}},
        "channel": {
            "without_namespace": {"sub_refresh_proxy_enabled": True},
            "namespaces": [{"name": "chat", "publish_proxy_enabled": True}],
        },
        "http_api": {"insecure": True},
    }
    assert _found(chat, section, monkeypatch) == [
        "rtbridge.embedded: on_refresh is never called: client.proxy.refresh.enabled is off",
        "rtbridge.embedded: on_subscribe listens in namespace chat and is never called there: subscribe_proxy_enabled "
        "is off",
        "rtbridge.embedded: channel.without_namespace.sub_refresh_proxy_enabled is on and no hook answers sub_refresh: "
        "it is denied",
        "rtbridge.embedded: on_rpc is never called: proxy_enabled is on in no namespace of rpc",
        "rtbridge.embedded: channel.proxy.publish.include_connection_meta is off and chat.hooks.clean takes meta",
    ]


@pytest.mark.usefixtures("invoke")
@pytest.mark.parametrize("alone", [True, False])
def test_hooks_that_only_a_real_centrifugo_calls(chat: Any, monkeypatch: pytest.MonkeyPatch, alone: bool) -> None:
    """They are worth a line where no Centrifugo is in sight."""
    chat.write(
        "chat/hooks.py",
        """
        from rtbridge import hookimpl
        @hookimpl
        async def on_map_publish(event): ...
        @hookimpl
        async def on_cache_empty(event): ...
        """,
    )
    text = "rtbridge.embedded: on_{} is never called: only a real Centrifugo sends it"
    lines = [text.format("map_publish"), text.format("cache_empty")]
    assert _found(chat, {}, monkeypatch, alone=alone) == (lines if alone else [])


@pytest.mark.usefixtures("invoke")
@pytest.mark.parametrize("disabled", [True, False])
def test_open_doors_beyond_this_machine(chat: Any, monkeypatch: pytest.MonkeyPatch, disabled: bool) -> None:
    """Insecure modes are for a loopback address."""
    chat.write("chat/hooks.py", "")
    section = {"client": {"insecure": True}, "http_api": {"insecure": True, "disabled": disabled}}
    lines = [
        "rtbridge.embedded: client.insecure is on, beyond this machine: whoever reaches it may do everything",
        "rtbridge.embedded: http_api.insecure is on, beyond this machine: whoever reaches it has the server API",
    ]
    assert _found(chat, section, monkeypatch) == (lines[:1] if disabled else lines)


@pytest.mark.real
@pytest.mark.parametrize("form", ["json", "yaml"])
@pytest.mark.parametrize("wire", ["--grpc", "--http"])
def test_centrifugo_accepts_it(shop: Any, invoke: Invoke, wire: str, form: str) -> None:
    """`centrifugo checkconfig --strict` knows every key, and takes the secrets from the variables that notes name."""
    binary = find_binary()
    if binary is None:
        pytest.skip(MISSING)
    options = ["-o", "rtbridge.http_proxy.address=127.0.0.1:30001", wire, "--format", form]
    printed = invoke("centrifugo-config", *options)
    file = shop.write(f"c.{form}", printed.stdout)
    named = [word for word in printed.stderr.split() if word.startswith("CENTRIFUGO_")]
    assert len(named) == 4
    environment = {**os.environ, **dict.fromkeys(named, "s3cret")}
    command = [str(binary), "checkconfig", "--strict", "-c", str(file)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert (found.returncode, found.stdout) == (0, "")
