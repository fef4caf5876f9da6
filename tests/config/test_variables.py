"""``${VAR}``, ``-o``, secrets and ``offline``."""

from pathlib import Path
from typing import Any

import pytest

import rtbridge
from rtbridge.config import parse_config
from rtbridge.errors import ConfigError

MINIMAL = 'version: "3"\n'


def name(text: Any, environ: dict[str, str]) -> str:
    """``centrifuge.name`` of a configuration that writes the text there."""
    return parse_config({"version": "3", "centrifuge": {"name": text}}, environ=environ).config.centrifuge.name


def fault(data: Any, **options: Any) -> str:
    """The text of the error that a configuration raises."""
    options.setdefault("environ", {})
    with pytest.raises(ConfigError) as caught:
        parse_config(data, **options)
    return str(caught.value).replace(f"rtbridge {rtbridge.__version__}", "rtbridge VERSION")


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("${A}", "x"),
        ("a${A}b${B}c", "axbyc"),
        ("${A}${B}", "xy"),
        ("${NO:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${A:-d}", "x"),
        ("-${NO:-}-", "--"),
        ("${A}:${NO:-30000}", "x:30000"),
        ("$A $5 $$ $", "$A $5 $$ $"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$${A:-b} ${B}", "${A:-b} y"),
        ("${TRICK}", "${A}"),
        ("${NO:-a b:c$d}", "a b:c$d"),
        ("${EMPTY}x", "x"),
        ("${NUMBER}", "007"),
        ("${TRUE}", "true"),
    ],
)
def test_variables_in_text(text: Any, made: str) -> None:
    environ = {"A": "x", "B": "y", "EMPTY": "", "TRICK": "${A}", "NUMBER": "007", "TRUE": "true"}
    assert name(text, environ) == made


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A-b}", "${A:b}", "${A:?b}", "${A", "${A:-${B}}", "${A b}"])
def test_what_starts_no_variable(text: Any) -> None:
    assert fault({"version": "3", "centrifuge": {"name": text}}, environ={"A": "x", "B": "y"}) == (
        "<config>: centrifuge.name: found ${ that starts no variable, allowed: ${NAME} or ${NAME:-default} "
        "with plain text as the default; $${ is a literal ${"
    )


def test_a_variable_that_is_not_set() -> None:
    assert fault(MINIMAL + "rtbridge:\n  plugins: [a, '${NO}']\n  threads: ${NO}") == (
        "<config>:3: rtbridge.plugins.1: variable NO is not set, allowed: set it, or give a default as in "
        "${NO:-default}\n"
        "<config>:4: rtbridge.threads: variable NO is not set, allowed: set it, or give a default as in ${NO:-default}"
    )


def test_a_variable_that_is_missing_twice_is_named_once() -> None:
    assert fault(MINIMAL + "centrifuge: {name: '${NO}-${NO}'}").count("NO is not set") == 1


def test_variables_of_typed_keys_are_read_as_yaml() -> None:
    text = (
        MINIMAL
        + "rtbridge:\n  threads: ${T}\n  entry_points: ${E}\n  limits: {message_size: '${S}', hook_timeout: '${H}'}\n"
    )
    environ = {"T": "0x10", "E": "false", "S": "512", "H": "null"}
    settings = parse_config(text, environ=environ).config.rtbridge
    assert (settings.threads, settings.entry_points) == (16, False)
    assert (settings.limits.message_size, settings.limits.hook_timeout) == (512, None)
    assert fault(text, environ={**environ, "T": "yes", "E": "yes"}) == (
        "<config>:3: rtbridge.threads: found a string 'yes' (from ${T}), allowed: an integer from 1 to 1024\n"
        "<config>:4: rtbridge.entry_points: found a string 'yes' (from ${E}), allowed: true or false"
    )
    assert "found a string '12' (from ${T})" in fault(MINIMAL + "rtbridge: {threads: '1${T}'}", environ={"T": "2"})


def test_a_section_is_no_variable() -> None:
    assert "found a string of length 2, allowed: a mapping" in fault(MINIMAL + "logs: ${L}", environ={"L": "{}"})


SECRET = MINIMAL + "rtbridge:\n  secret:\n    key: {key}\n    values: {values}\n"


def secret(values: str, key: str = "x-proxy-key") -> str:
    return SECRET.replace("{key}", key).replace("{values}", values)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ("['${S}']", "values.0: found an empty string (from ${S})"),
        ("['${S:-}']", "values.0: found an empty string (from ${S})"),
        ("['']", "values.0: found an empty string"),
        ("[' sesame']", "values.0: found a string of length 7"),
        ('["sesame\\n"]', "values.0: found a string of length 7"),
        ("[sésame]", "values.0: found a string of length 6"),
        ("[123456]", "values.0: found an integer (quote it to make it text)"),
        ("[1.25]", "values.0: found a number (quote it to make it text)"),
        ("[true]", "values.0: found a boolean (quote it to make it text)"),
        ("[~]", "values.0: found nothing (null)"),
        ("[[sesame]]", "values.0: found a list"),
        ("sesame", "values: found a string of length 6"),
        ("{sesame: sesame}", "values: found a mapping"),
        ("[]", "values: found an empty list"),
    ],
)
def test_secrets_are_never_shown(values: str, found: str) -> None:
    text = fault(secret(values), environ={"S": ""})
    assert text.startswith(f"<config>:5: rtbridge.secret.{found}, allowed: ")
    assert not {"sesame", "sésame", "123456", "1.25"} & set(text.replace("'", " ").split())


def test_a_secret_in_a_wrong_place_is_not_shown() -> None:
    assert fault(MINIMAL + "rtbridge: {secret: sesame}") == (
        "<config>:2: rtbridge.secret: found a string of length 6, allowed: a mapping with the keys key, values, or null"
    )
    assert "sesame" not in fault(MINIMAL + "rtbridge: {secret: {value: sesame}}")
    assert "sesame" not in fault(MINIMAL, overrides=["sesame", "rtbridge.secret=sesame", "rtbridge.threads=[sesame"])


def test_secrets_are_not_in_a_repr() -> None:
    text = secret("[sesame]") + "server: {env: {TOKEN: sesame}}"
    loaded = parse_config(text, environ={})
    assert loaded.config.server.env == {"TOKEN": "sesame"}
    assert "sesame" not in repr(loaded)
    assert "Secret(key='x-proxy-key', values=<1 hidden>)" in repr(loaded)


def test_a_nul_in_the_environment() -> None:
    text = fault(MINIMAL + 'server: {env: {A: "x\\0"}}')
    assert text == "<config>:2: server.env.A: found a string of length 2, allowed: text without a NUL"
    assert "found nothing (null)" in fault(MINIMAL + "server: {env: {A: ~}}")


@pytest.mark.parametrize("key", ["X-Proxy-Key", "authorization", "a.b_c"])
def test_names_of_the_secret_s_header(key: str) -> None:
    found = parse_config(secret("[sesame]", key), environ={}).config.rtbridge.secret
    assert found is not None
    assert found.key == key.lower()


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("'a b'", "'a b'"),
        ("ключ", "'ключ'"),
        ("''", "''"),
        ("grpc-key", "'grpc-key' (HTTP and gRPC use it themselves)"),
        ("key-bin", "'key-bin' (HTTP and gRPC use it themselves)"),
        ("Host", "'Host' (HTTP and gRPC use it themselves)"),
    ],
)
def test_what_is_no_name_of_a_header(key: str, found: str) -> None:
    assert fault(secret("[sesame]", key)) == (
        f"<config>:4: rtbridge.secret.key: found a string {found}, "
        "allowed: the name of a header: letters, digits, '-', '_' and '.'"
    )


def test_offline_collects_what_is_not_set() -> None:
    text = """
version: "3"
centrifuge: {proxy_address: "tcp://${HOST}:30000", grpc_api_address: "${API}", name: "${NAME}-x"}
rtbridge:
  plugins: ["${PLUGIN}"]
  threads: ${THREADS}
  drain_timeout: ${DRAIN}
  secret: {values: ["${ONE}", "${ONE}${TWO}"]}
  tls: {cert: "${CERT}", key: no.pem, client_ca: "${CA}"}
  http_proxy: {address: "${HTTP}"}
  limits: {hook_timeout: "${HOOK}"}
  unhandled: {rpc: {error: {code: "${CODE}"}}, connect: {disconnect: {code: "${CODE}", reason: "${NAME:-x}"}}}
"""
    loaded = parse_config(text, environ={}, offline=True, base_dir=Path("/nowhere"))
    assert " ".join(loaded.missing_variables) == "HOST API NAME PLUGIN THREADS DRAIN ONE TWO CERT CA HTTP HOOK CODE"
    config = loaded.config
    assert config.centrifuge.proxy_address is not None
    assert config.centrifuge.name == "rtbridge"
    assert config.rtbridge.plugins == ("${PLUGIN}",)
    assert config.rtbridge.threads == 32
    assert config.rtbridge.secret is not None
    assert config.rtbridge.secret.values == ("${ONE}", "${ONE}${TWO}")
    assert len(fault(text).split("\n")) == 16


def test_offline_still_checks_what_is_known() -> None:
    assert fault(secret("['${S}']"), environ={"S": ""}, offline=True).startswith("<config>:5: rtbridge.secret.values.0")


@pytest.mark.parametrize("section", ["x-a", "jobs", "server.command"])
def test_variables_that_nothing_reads_need_no_value(section: str) -> None:
    assert parse_config(MINIMAL, overrides=[section + "=${NO}"], environ={}).missing_variables == ()


def test_options_beat_the_file() -> None:
    options = [
        "rtbridge.threads=8",
        "rtbridge.plugins=[a, '${P}']",
        "centrifuge.name=x",
        "centrifuge.name='a=b'",
        "logs={level: error}",
        "server.env.A=tcp://127.0.0.1:1",
        "rtbridge.http_proxy.address=127.0.0.1:1",
        "rtbridge.limits.hook_timeout=null",
        "rtbridge.limits.header_size=# nothing",
    ]
    text = MINIMAL + "rtbridge: {threads: 2, limits: }\nlogs: {encoding: json}\nserver: {env: {B: c}}"
    with pytest.raises(ConfigError, match="header_size: found nothing"):
        parse_config(text, overrides=options, environ={"P": "b"})
    config = parse_config(text, overrides=options[:-1], environ={"P": "b"}).config
    assert config.rtbridge.threads == 8
    assert config.rtbridge.plugins == ("a", "b")
    assert config.centrifuge.name == "a=b"
    assert str(config.centrifuge.proxy_address) == "tcp://127.0.0.1:30000"
    assert (config.logs.level, config.logs.encoding) == ("error", "console")
    assert config.server.env == {"A": "tcp://127.0.0.1:1", "B": "c"}
    assert str(config.rtbridge.http_proxy and config.rtbridge.http_proxy.address) == "tcp://127.0.0.1:1"


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("rtbridge.threads", "option -o: number 1 has no '=', allowed: key.path=value"),
        ("=1", "option -o: number 1 has an empty key, allowed: key.path=value"),
        ("rtbridge..threads=1", "option -o: rtbridge..threads: number 1 has an empty key, allowed: key.path=value"),
        ("logs.level=", "option -o: logs.level: found no value, allowed: key.path=value; '' is the empty string"),
        (
            "rtbridge.threads=abc",
            "option -o: rtbridge.threads: found a string 'abc', allowed: an integer from 1 to 1024",
        ),
        (
            "rtbridge.threads=[1",
            "option -o: rtbridge.threads: not YAML: while parsing a flow sequence, "
            "expected ',' or ']', but got '<stream end>'",
        ),
        ("logs.level=\x07", "option -o: logs.level: found the character U+0007, which YAML forbids"),
        ("logs.level=" + "[" * 99, "option -o: logs.level: nested deeper than 32 levels"),
        (
            "rtbridge.plugins.0=a",
            "option -o: rtbridge.plugins.0: rtbridge.plugins is a list; set it whole, as in -o 'rtbridge.plugins=...'",
        ),
        ("version.a=1", "option -o: version.a: version is a scalar; set it whole, as in -o 'version=...'"),
    ],
)
def test_options_that_cannot_be(option: str, text: Any) -> None:
    assert fault(MINIMAL + "rtbridge: {plugins: [x]}", overrides=[option]) == text


def test_an_option_with_an_unknown_key() -> None:
    assert fault(MINIMAL, overrides=["rtbridge.thread=1"]).endswith("; did you mean threads?")
    options: dict[str, Any] = {"overrides": ["metrics.address=x"], "environ": {}}
    assert parse_config(MINIMAL, **options).notices[0].startswith("option -o: metrics: RoadRunner's key")
