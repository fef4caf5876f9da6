"""The section of the embedded server: what it takes, what it refuses, and in which words."""

import base64
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rtbridge.config import Embedded, embedded_from, json_schema, parse_config
from rtbridge.config.embedded_kinds import Pem, format_interval
from rtbridge.errors import ConfigError
from tests.config.written import defaults

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def fault(mapping: dict[str, Any], **options: Any) -> str:
    """The text of the error that a configuration of Centrifugo raises, without its source."""
    with pytest.raises(ConfigError) as caught:
        embedded_from(mapping, source="c", **options)
    return str(caught.value).removeprefix("c: ")


def test_nothing_is_every_default() -> None:
    """The section with nothing in it is the server as Centrifugo starts without a file."""
    assert (
        embedded_from({})
        == Embedded()
        == parse_config({"version": "3", "rtbridge": {"embedded": {}}}).config.rtbridge.embedded
    )
    assert parse_config({"version": "3"}).config.rtbridge.embedded is None
    assert parse_config('version: "3"\nrtbridge: {embedded: null}').config.rtbridge.embedded is None


def test_values_are_read() -> None:
    """Durations are seconds, lists tuples, sections their own types."""
    found = embedded_from(
        {
            "client": {
                "ping_interval": "1m",
                "proxy": {"connect": {"enabled": True, "timeout": "1500ms", "http_headers": ["Cookie"]}},
            },
            "channel": {
                "namespaces": [{"name": "chat", "history_size": 5, "history_ttl": "9000h", "history_meta_ttl": "9000h"}]
            },
            "rpc": {"namespaces": [{"name": "rooms", "proxy_enabled": True}]},
            "trusted_subnets": ["10.0.0.0/8", "::1"],
        }
    )
    assert found.client.ping_interval == 60.0
    assert found.client.proxy.connect.timeout == 1.5
    assert found.client.proxy.connect.http_headers == ("Cookie",)
    assert found.channel.namespaces[0].name == "chat"
    assert found.channel.namespaces[0].history_ttl == 9000 * 3600
    assert found.rpc.namespaces[0].proxy_enabled
    assert found.trusted_subnets == ("10.0.0.0/8", "::1/128")


def test_a_zero_is_the_default() -> None:
    """Centrifugo 6.9.1 prints these defaults for a file with these zeros; port 0 is a free port here."""
    found = embedded_from(
        {
            "client": {"channel_limit": 0, "ping_interval": "0s", "pong_timeout": 0, "stale_close_delay": "0s"},
            "channel": {"namespace_boundary": "", "max_length": 0, "private_prefix": "", "history_meta_ttl": 0},
            "websocket": {"handler_prefix": "", "write_timeout": 0},
            "sse": {"handler_prefix": ""},
            "http_server": {"port": 0},
        }
    )
    assert found.http_server.port == 0
    assert found == embedded_from({"http_server": {"port": 0}})
    assert found.client.channel_limit == 128
    assert found.sse.handler_prefix == "/connection/sse"


@pytest.mark.parametrize(
    ("ping", "pong", "seconds"),
    [(-1, -2, (-1e-9, -2e-9)), ("-1s", "-1500ms", (-1.0, -1.5)), ("10s", -1, (10.0, -1e-9))],
)
def test_pings_and_pongs_are_switched_off_by_negative_times(
    ping: object, pong: object, seconds: tuple[float, float]
) -> None:
    """A bare number is nanoseconds to Centrifugo."""
    found = embedded_from({"client": {"ping_interval": ping, "pong_timeout": pong}})
    assert (found.client.ping_interval, found.client.pong_timeout) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(25.0, "25s"), (0.25, "250ms"), (-1e-9, "-1ns"), (-1.0, "-1s"), (0.0, "0s"), (1e-6, "1000ns")]
)
def test_an_interval_is_written_as_go_does(seconds: float, text: str) -> None:
    """What is printed for Centrifugo is what it reads back."""
    assert format_interval(seconds) == text


@pytest.mark.parametrize("value", [PEM, base64.b64encode(PEM.encode()).decode(), "cert.pem"])
def test_a_pem_is_text_base64_or_a_path(tmp_path: Path, value: str) -> None:
    """All three give the text; a path stays known."""
    (tmp_path / "cert.pem").write_text(PEM)
    tls = embedded_from({"http_server": {"tls": {"client_ca_pem": value}}}, base_dir=tmp_path).http_server.tls
    assert tls.client_ca_pem == PEM
    assert tls.client_ca_pem.file == (tmp_path / "cert.pem" if value == "cert.pem" else None)


def test_offline_no_pem_is_looked_at() -> None:
    """An image is built where the certificate is not."""
    text = 'version: "3"\nrtbridge: {embedded: {http_server: {tls: {enabled: true, cert_pem: a, key_pem: "${KEY}"}}}}'
    loaded = parse_config(text, offline=True, environ={}, base_dir=Path("/nowhere"))
    assert loaded.config.rtbridge.embedded is not None
    tls = loaded.config.rtbridge.embedded.http_server.tls
    assert (tls.cert_pem, tls.cert_pem.file) == (Pem(), Path("/nowhere/a"))
    assert loaded.missing_variables == ("KEY",)


def test_what_is_not_known_is_compared_with_nothing() -> None:
    """A size that a variable is going to give may go with the time that is there."""
    text = 'version: "3"\nrtbridge: {embedded: {channel: {without_namespace: {history_ttl: 1h, history_size: "${N}"}}}}'
    assert parse_config(text, offline=True, environ={}).missing_variables == ("N",)
    with pytest.raises(ConfigError, match="found it without history_size"):
        parse_config(text, environ={"N": "0"})


CHANNEL = "channel.without_namespace"


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        (
            {"client": {"proxy": {"connect": {"endpoint": "grpc://x"}}}},
            "client.proxy.connect.endpoint: leave it out, this process answers; "
            "rtbridge centrifugo-config fills it in for Centrifugo",
        ),
        (
            {"rpc": {"proxy": {"endpoint": ""}}},
            "rpc.proxy.endpoint: leave it out, this process answers; "
            "rtbridge centrifugo-config fills it in for Centrifugo",
        ),
        (
            {"engine": {"type": "redis"}},
            "engine: a key of Centrifugo 6.9.1 that the embedded server does not support; remove it",
        ),
        (
            {"channel": {"namespaces": [{"name": "ab"}, {"name": "cd", "map": {}}]}},
            "channel.namespaces.1.map: a key of Centrifugo 6.9.1 that the embedded server does not support; remove it",
        ),
        (
            {"channel": {"proxy": {"map_publish": {"endpoint": "x"}}}},
            "channel.proxy.map_publish: a key of Centrifugo 6.9.1 that the embedded server does not support; remove it",
        ),
        (
            {"http_api": {"keys": "a"}},
            "http_api.keys: unknown key, allowed: disabled, handler_prefix, key, error_mode, insecure; "
            "did you mean key?",
        ),
        (
            {"client": {"ping_interval": 5}},
            "client.ping_interval: found an integer 5 (it has no unit), allowed: a "
            "duration (10s, 1m30s, 250ms) from -576h to 576h (or -1)",
        ),
        (
            {"client": {"ping_interval": "-x"}},
            "client.ping_interval: found a string '-x' (not a duration), allowed: a "
            "duration (10s, 1m30s, 250ms) from -576h to 576h (or -1)",
        ),
        (
            {"client": {"ping_interval": "5s"}},
            "client.pong_timeout: found 8s, allowed: less than ping_interval, which is 5s",
        ),
        (
            {"client": {"token": {"audience": "a", "audience_regex": "b"}}},
            "client.token.audience_regex: found it beside audience, allowed: one of the two",
        ),
        (
            {"client": {"subscription_token": {"issuer": "a", "issuer_regex": "b"}}},
            "client.subscription_token.issuer_regex: found it beside issuer, allowed: one of the two",
        ),
        (
            {"client": {"token": {"issuer_regex": "("}}},
            "client.token.issuer_regex: found a string '(' (not a regular expression: missing ), unterminated "
            "subpattern), allowed: a regular expression of Go (RE2)",
        ),
        (
            {"client": {"token": {"user_id_claim": "user.id"}}},
            "client.token.user_id_claim: found a string 'user.id', allowed: the name of a claim: letters and '_'",
        ),
        (
            {"client": {"token": {"rsa_public_key": "key"}}},
            "client.token.rsa_public_key: found a string 'key', allowed: a public key as PEM text",
        ),
        (
            {"client": {"token": {"jwks_public_endpoint": "ftp://a"}}},
            "client.token.jwks_public_endpoint: found a string 'ftp://a', allowed: an http:// or https:// URL",
        ),
        (
            {"client": {"token": {"hmac_secret_key": 12345}}},
            "client.token.hmac_secret_key: found an integer (quote it to make it text), allowed: a string",
        ),
        (
            {
                "client": {"subscribe_to_user_personal_channel": {"enabled": True, "personal_channel_namespace": "pp"}},
                "channel": {"namespaces": [{"name": "ab"}]},
            },
            "client.subscribe_to_user_personal_channel.personal_channel_namespace: found 'pp', which is not in "
            "channel.namespaces; there: ab",
        ),
        (
            {"client": {"subscribe_to_user_personal_channel": {"enabled": True, "personal_channel_namespace": "pp"}}},
            "client.subscribe_to_user_personal_channel.personal_channel_namespace: found 'pp', which is not in "
            "channel.namespaces; there: none",
        ),
        (
            {"client": {"subscribe_to_user_personal_channel": {"single_connection": True}}},
            "client.subscribe_to_user_personal_channel.single_connection: found true, which needs presence in "
            "channel.without_namespace",
        ),
        (
            {
                "client": {
                    "subscribe_to_user_personal_channel": {
                        "enabled": True,
                        "personal_channel_namespace": "ab",
                        "single_connection": True,
                    }
                },
                "channel": {"namespaces": [{"name": "ab"}]},
            },
            "client.subscribe_to_user_personal_channel.single_connection: found true, which needs presence in the "
            "namespace ab",
        ),
        (
            {"client": {"connect_code_to_unidirectional_disconnect": {"transforms": [{"code": 0, "to": {"code": 1}}]}}},
            "client.connect_code_to_unidirectional_disconnect.transforms.0.code: found an integer 0, allowed: an "
            "integer from 1 to 4294967295\n"
            "c: client.connect_code_to_unidirectional_disconnect.transforms.0.to: "
            "disconnect code 1: use 4000-4499 (SDKs reconnect) or 4500-4999 (they stop)",
        ),
        (
            {
                "client": {
                    "connect_code_to_unidirectional_disconnect": {
                        "transforms": [{"code": 1, "to": {"code": 4000, "reason": "é"}}]
                    }
                }
            },
            "client.connect_code_to_unidirectional_disconnect.transforms.0.to.reason: found 'é', allowed: ASCII",
        ),
        (
            {"client": {"user_id_http_header": "a b"}},
            "client.user_id_http_header: found a string 'a b', allowed: the name of a header",
        ),
        (
            {"channel": {"namespaces": [{"name": "x"}]}},
            "channel.namespaces.0.name: found a string 'x', allowed: two or more of a-z, A-Z, 0-9, '-', '_', '.'",
        ),
        (
            {"channel": {"namespaces": [{"presence": True}]}},
            "channel.namespaces.0.name: the key is missing, allowed: two or more of a-z, A-Z, 0-9, '-', '_', '.'",
        ),
        (
            {"channel": {"namespaces": [{"name": "ab"}, {"name": "ab"}]}},
            "channel.namespaces.1.name: found 'ab' a second time, allowed: each name once",
        ),
        (
            {"rpc": {"namespaces": [{"name": "ab"}, {"name": "ab"}]}},
            "rpc.namespaces.1.name: found 'ab' a second time, allowed: each name once",
        ),
        (
            {"channel": {"without_namespace": {"history_size": 1}}},
            f"{CHANNEL}.history_size: found it without history_ttl, allowed: both or neither",
        ),
        (
            {"channel": {"without_namespace": {"history_ttl": "1s"}}},
            f"{CHANNEL}.history_ttl: found it without history_size, allowed: both or neither",
        ),
        (
            {"channel": {"without_namespace": {"history_size": 1, "history_ttl": "1500ms"}}},
            f"{CHANNEL}.history_ttl: found 1500ms, allowed: whole seconds",
        ),
        ({"channel": {"history_meta_ttl": "1500ms"}}, "channel.history_meta_ttl: found 1500ms, allowed: whole seconds"),
        (
            {
                "channel": {
                    "history_meta_ttl": "1h",
                    "namespaces": [{"name": "ab", "history_size": 1, "history_ttl": "2h"}],
                }
            },
            "channel.namespaces.0.history_ttl: found 2h, allowed: at most its history_meta_ttl of 1h",
        ),
        (
            {"channel": {"without_namespace": {"history_size": 1, "history_ttl": "2h", "history_meta_ttl": "1h"}}},
            f"{CHANNEL}.history_ttl: found 2h, allowed: at most its history_meta_ttl of 1h",
        ),
        (
            {"channel": {"without_namespace": {"force_recovery": True}}},
            f"{CHANNEL}.force_recovery: found true, which needs history_size and history_ttl",
        ),
        (
            {"channel": {"without_namespace": {"auto_cache_recover": True}}},
            f"{CHANNEL}.auto_cache_recover: found true, which needs force_recovery and force_recovery_mode: cache",
        ),
        (
            {"channel": {"without_namespace": {"subscribe_stream_proxy_enabled": True, "publish_proxy_enabled": True}}},
            f"{CHANNEL}.subscribe_stream_proxy_enabled: found true beside publish_proxy_enabled, allowed: one of them",
        ),
        (
            {"channel": {"without_namespace": {"force_recovery_mode": "caches"}}},
            f"{CHANNEL}.force_recovery_mode: found a string 'caches', allowed: \"\", cache, stream; "
            "did you mean cache?",
        ),
        (
            {"channel": {"without_namespace": {"allowed_delta_types": ["xdelta"]}}},
            f"{CHANNEL}.allowed_delta_types.0: found a string 'xdelta', allowed: fossil",
        ),
        (
            {"websocket": {"handler_prefix": "ws"}},
            "websocket.handler_prefix: found a string 'ws', allowed: a path that starts with '/'",
        ),
        (
            {"health": {"enabled": True, "handler_prefix": "/api/"}},
            "health.handler_prefix: found '/api/', which is that of http_api, too",
        ),
        (
            {"http_server": {"tls": {"enabled": True}}},
            "http_server.tls.cert_pem: the key is missing, and enabled is true",
        ),
        (
            {"trusted_subnets": ["10.0.0.1/8"]},
            "trusted_subnets.0: found a string '10.0.0.1/8' (10.0.0.1/8 has host bits set), allowed: a network such as "
            "10.0.0.0/8, or an address",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_key(mapping: dict[str, Any], text: str) -> None:
    """Centrifugo's own checks, the kinds of values, and its keys that this server does not have."""
    assert fault(mapping) == text


def test_a_pem_that_is_none_is_not_shown(tmp_path: Path) -> None:
    """It might be a key whose first line got lost."""
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / "latin.pem").write_bytes(b"\xff")
    allowed = ", allowed: PEM text, its base64, or the path of a PEM file, relative to the folder of this file"
    for value, reason in (
        ("MIIB\nQQQQ", "a string of length 9"),
        ("nowhere", "a string of length 7 (no file of that name)"),
        ("empty.pem", f"a string of length 9 ({tmp_path}/empty.pem holds no PEM)"),
        ("latin.pem", f"a string of length 9 ({tmp_path}/latin.pem cannot be read)"),
        (5, "an integer (quote it to make it text)"),
    ):
        found = fault({"http_server": {"tls": {"key_pem": value}}}, base_dir=tmp_path)
        assert found == f"http_server.tls.key_pem: found {reason}{allowed}"


def test_a_namespace_of_personal_channels_that_are_off_is_not_looked_for() -> None:
    """Centrifugo starts with it, too."""
    section = {"subscribe_to_user_personal_channel": {"personal_channel_namespace": "gone"}}
    assert not embedded_from({"client": section}).client.subscribe_to_user_personal_channel.enabled


def test_in_a_file_the_line_is_that_of_the_key() -> None:
    """Also for keys that only do not go together."""
    text = (
        'version: "3"\nrtbridge:\n  embedded:\n    channel:\n      namespaces:\n        - name: ab\n'
        "          presence: true\n          force_recovery: true\n    admin: {enabled: true}\n"
    )
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    path = "rtbridge.embedded"
    assert str(caught.value).splitlines() == [
        f"<config>:8: {path}.channel.namespaces.0.force_recovery: found true, which needs history_size and history_ttl",
        f"<config>:9: {path}.admin: a key of Centrifugo 6.9.1 that the embedded server does not support; remove it",
    ]


def test_a_missing_key_is_said_where_its_section_is() -> None:
    """There is no line of its own to point at."""
    text = 'version: "3"\nrtbridge:\n  embedded:\n    http_server:\n      tls:\n        enabled: true\n'
    with pytest.raises(
        ConfigError, match=r"^<config>:5: rtbridge.embedded.http_server.tls.cert_pem: the key is missing"
    ):
        parse_config(text)


def test_secrets_are_not_shown() -> None:
    """Neither the section nor the configuration that it is in repeats them."""
    token = {"hmac_secret_key": "s3cret", "hmac_previous_secret_key": "0lder", "audience": "shop"}
    tls = {"key_pem": PEM}
    shown = repr(embedded_from({"client": {"token": token}, "http_api": {"key": "4pi"}, "http_server": {"tls": tls}}))
    assert "audience='shop'" in shown
    assert [text for text in ("s3cret", "0lder", "4pi", "MIIB") if text in shown] == []


def test_defaults_of_the_schema_load() -> None:
    """They are written as in the file, and name what the section is without them."""
    schema: Any = json_schema()
    section = schema["properties"]["rtbridge"]["properties"]["embedded"]
    written = defaults(json.loads(json.dumps(section)))
    assert embedded_from(written) == Embedded()
    assert written["channel"]["history_meta_ttl"] == "720h"
    jsonschema.Draft202012Validator(schema).validate({"version": "3", "rtbridge": {"embedded": written}})


@pytest.mark.parametrize(
    ("section", "good"),
    [
        ({"client": {"ping_interval": -1, "pong_timeout": "-1s"}}, True),
        ({"client": {"ping_interval": 25}}, False),
        ({"channel": {"namespaces": [{"name": "ab", "force_recovery_mode": ""}]}}, True),
        ({"channel": {"namespaces": [{"presence": True}]}}, False),
        ({"channel": {"namespaces": [{"name": "a"}]}}, False),
        ({"engine": {}}, False),
    ],
)
def test_the_schema_knows_the_section(section: dict[str, Any], good: bool) -> None:
    """An editor says the same."""
    schema: Any = json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"version": "3", "rtbridge": {"embedded": section}}) is good
