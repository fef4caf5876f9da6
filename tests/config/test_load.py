"""Files: the fixtures in RoadRunner's style, ``.env``, and what cannot be read."""

import os
from pathlib import Path
from typing import Any

import pytest

import rtbridge
from rtbridge.config import Address, Config, load_config, parse_config
from rtbridge.config.dotenv import parse_dotenv
from rtbridge.config.faults import Faults
from rtbridge.errors import ClientError, ConfigError, Disconnect

FIXTURES = Path(__file__).with_name("fixtures")
MINIMAL = 'version: "3"\n'


def fails(*args: Any, **kwargs: Any) -> str:
    """The text of the error that a file raises."""
    kwargs.setdefault("environ", {})
    with pytest.raises(ConfigError) as caught:
        load_config(*args, **kwargs)
    return str(caught.value).replace(f"rtbridge {rtbridge.__version__}", "rtbridge VERSION")


def test_a_roadrunner_file_for_centrifugo_loads_with_notices() -> None:
    loaded = load_config("centrifuge_only.rr.yaml", workdir=FIXTURES, environ={})
    centrifuge = loaded.config.centrifuge
    assert centrifuge.proxy_address == Address(host="127.0.0.1", port=30000)
    assert centrifuge.use_compressor
    assert centrifuge.pool.num_workers == 2
    assert centrifuge.pool.supervisor is not None
    assert centrifuge.pool.supervisor.exec_ttl == 60.0
    assert loaded.config.server.env == {"APP_ENV": "prod", "WORKERS": "4"}
    assert (loaded.config.logs.level, loaded.config.logs.encoding) == ("warning", "json")
    assert loaded.path == FIXTURES / "centrifuge_only.rr.yaml"
    file = "centrifuge_only.rr.yaml"
    why = "RoadRunner's key, no meaning here"
    assert loaded.notices == (
        f"{file}:5: server.command: {why} (hooks are Python modules, see rtbridge.plugins)",
        f"{file}:6: server.relay: {why} (no worker is spoken to)",
        f"{file}:28: logs.mode: {why} (see logs.level and logs.encoding)",
        f"{file}:31: logs.channels: {why} (one log, one level)",
        f"{file}:34: metrics: {why} (/metrics is on status.address where http.middleware has http_metrics)",
    )


def test_a_roadrunner_file_with_everything_says_what_is_not_there_yet() -> None:
    assert fails("full.rr.yaml", workdir=FIXTURES).split("\n") == [
        "full.rr.yaml:17: http.middleware.1: found a string 'cache', not implemented in rtbridge VERSION; "
        "allowed: gzip, headers, http_metrics, proxy_ip_parser, sendfile, static",
    ]
    text = (FIXTURES / "full.rr.yaml").read_text()
    for section in ("http",):
        text = text.replace(f"\n{section}:", f"\nx-{section}:")
    notices = parse_config(text, environ={}).notices
    assert [notice.split(": ")[1] for notice in notices] == [
        "server.command",
        "server.user",
        "server.on_init",
        "jobs",
        "amqp",
        "otel",
        "lock",
    ]


def test_what_roadrunner_reads_wrongly_is_read_as_written(tmp_path: Path) -> None:
    for name in ("server.pem", "server.key", "ca.pem"):
        (tmp_path / name).touch()
    file = tmp_path / "quirks.rr.yaml"
    file.write_text((FIXTURES / "quirks.rr.yaml").read_text())
    environ = {"HOST": "10.0.0.1", "APP": "chat", "PLUGIN": "shop", "A": "blog", "STAGE": "", "DRAIN": "1m30"}
    loaded = load_config(file, environ=environ)
    config = loaded.config
    assert config.server.env == {"Mixed_Case": "kept", "PRICE": "$5 and $$", "LITERAL": "${HOME}", "SWITCH": "on"}
    assert str(config.centrifuge.proxy_address) == "tcp://10.0.0.1:30000"
    assert config.centrifuge.name == "chat-dev"
    assert config.centrifuge.version == "1:30"
    assert config.rtbridge.plugins == ("plain", "shop", "blog.hooks")
    assert config.rtbridge.threads == 8
    assert config.rtbridge.entry_points is False
    assert config.rtbridge.drain_timeout == 90.0
    assert config.rtbridge.max_connection_age == 0.0
    tls = config.rtbridge.tls
    assert tls is not None
    assert (tls.cert, tls.key, tls.client_ca) == (tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "ca.pem")
    assert loaded.notices == ()


DESIGN = """
version: "3"
server: {env: {APP_ENV: dev}}
centrifuge:
  proxy_address: tcp://127.0.0.1:30000
  grpc_api_address: tcp://127.0.0.1:10000
  name: chat
  pool: {debug: true}
  lazy_boot: false
logs: {level: info, encoding: console}
rtbridge:
  plugins: [chat.hooks]
  grpc_server: grpcio
  http_proxy: {address: 127.0.0.1:30001}
  secret: {key: X-Proxy-Key, values: ["${PROXY_SECRET}"]}
  tls: {cert: c.pem, key: k.pem, client_ca: null}
  unhandled: {rpc: {error: {code: 104, message: method not found}}}
  limits: {concurrency: 1000, message_size: 4MiB, header_size: 16KiB, hook_timeout: null, worker_concurrency: 256}
  threads: 32
  drain_timeout: 30s
  max_connection_age: 0s
"""


def test_the_designed_file(tmp_path: Path) -> None:
    (tmp_path / "c.pem").touch()
    (tmp_path / "k.pem").touch()
    loaded = parse_config(DESIGN, environ={"PROXY_SECRET": "s3same"}, base_dir=tmp_path)
    assert loaded.notices == ()
    assert loaded.config.rtbridge.limits.worker_concurrency == 256
    settings = loaded.config.rtbridge
    assert settings.secret is not None
    assert (settings.secret.key, settings.secret.values) == ("x-proxy-key", ("s3same",))
    assert str(settings.unhandled_answer("rpc")) == "error 104 (method not found)"
    assert settings.unhandled_answer("connect") == Disconnect(4500, "not handled")
    assert settings.limits.message_size == 4 * 1024**2
    assert settings.limits.hook_timeout is None


def test_defaults() -> None:
    config = parse_config(MINIMAL).config
    assert config == Config()
    assert config.centrifuge.proxy_address is None
    assert config.rtbridge.unhandled_answer("publish") == Disconnect(4500, "not handled")
    assert parse_config({"version": "3"}).config == config
    assert parse_config(MINIMAL + "rtbridge:\nlogs: {}\nserver:\n  env:\n").config == config


@pytest.mark.parametrize("section", ["centrifuge:", "centrifuge: {}", "centrifuge: {name: chat}"])
def test_the_grpc_proxy_listens_where_its_section_is_written(section: str) -> None:
    config = parse_config(MINIMAL + section).config
    assert str(config.centrifuge.proxy_address) == "tcp://127.0.0.1:30000"
    assert parse_config(MINIMAL + "centrifuge: {proxy_address: null}").config.centrifuge.proxy_address is None


def test_streams_of_a_worker_end_at_once() -> None:
    notices = parse_config(f"{MINIMAL}centrifuge:\n  pool: {{num_workers: 2, stream_timeout: 5s}}").notices
    assert notices == (
        "<config>:3: centrifuge.pool.stream_timeout: has no effect: the streams of a worker that is replaced end at "
        "once",
    )


@pytest.mark.parametrize("listen", ["127.0.0.1:6001", "unix:///run/rtbridge.sock", "tcp://localhost:1", "[::1]:6001"])
def test_the_control_rpc_of_this_machine_needs_no_token(listen: str) -> None:
    config = parse_config(f"{MINIMAL}rpc: {{listen: '{listen}'}}").config
    assert config.rpc is not None
    assert config.rpc.listen.is_loopback


def test_the_control_rpc_listens_where_roadrunners_does() -> None:
    assert str(parse_config(f"{MINIMAL}rpc: {{}}").config.rpc.listen) == "tcp://127.0.0.1:6001"  # type: ignore[union-attr]


def test_the_control_rpc_beyond_this_machine_needs_a_token() -> None:
    text = f"{MINIMAL}rpc: {{listen: '0.0.0.0:6001'}}\n"
    with pytest.raises(ConfigError, match=r"rpc\.listen: tcp://0\.0\.0\.0:6001 is beyond this machine"):
        parse_config(text)
    assert parse_config(f"{text}rtbridge: {{rpc_token: s3cret}}").config.rtbridge.rpc_token == "s3cret"


def test_a_mapping_from_python(tmp_path: Path) -> None:
    (tmp_path / "c.pem").touch()
    data: dict[str, Any] = {
        "version": "3",
        "server": {"env": {"N": 1, "F": 1.5, "B": True}, "command": None},
        "centrifuge": {"tls": {"cert": tmp_path / "c.pem", "key": "c.pem"}},
        "rtbridge": {"plugins": ("a", "b"), "threads": "${N:-4}"},
    }
    loaded = parse_config(data, environ={}, base_dir=tmp_path)
    assert loaded.config.server.env == {"N": "1", "F": "1.5", "B": "true"}
    assert loaded.config.centrifuge.tls is not None
    assert loaded.config.centrifuge.tls.key == tmp_path / "c.pem"
    assert loaded.config.rtbridge.plugins == ("a", "b")
    assert loaded.config.rtbridge.threads == 4
    assert loaded.notices[0].startswith("<config>: server.command: ")


@pytest.mark.parametrize(
    ("answer", "made"),
    [
        ("disconnect: {code: PERMISSION_DENIED}", Disconnect("PERMISSION_DENIED")),
        ("disconnect: {code: 4999, reason: bye}", Disconnect(4999, "bye")),
        ("error: {code: 100}", ClientError(100)),
        ("error: {code: 400, message: no, temporary: true}", ClientError(400, "no", temporary=True)),
        ("error: {code: '${CODE:-113}'}", ClientError(113)),
    ],
)
def test_answers_to_what_nobody_handles(answer: str, made: str) -> None:
    settings = parse_config(f"{MINIMAL}rtbridge: {{unhandled: {{rpc: {{{answer}}}}}}}", environ={}).config.rtbridge
    assert settings.unhandled_answer("rpc") == made
    assert settings.unhandled_answer("rpc") is not settings.unhandled_answer("rpc")
    assert settings.unhandled_answer("connect") == Disconnect(4500, "not handled")


def test_merge_keys() -> None:
    text = (
        'version: "3"\nx-a: &a {level: debug, encoding: json}\nx-b: &b {encoding: console}\n'
        "logs:\n  <<: [*b, *a]\n  level: error\n"
    )
    logs = parse_config(text).config.logs
    assert (logs.level, logs.encoding) == ("error", "console")


@pytest.mark.parametrize(
    ("scalar", "value"),
    [("1", 1), ("0x10", 16), ("0o17", 15), ("+3", 3), ('!!int "12"', 12), ("&n 7", 7), ("'${N}'", 9)],
)
def test_integers(scalar: str, value: Any) -> None:
    assert (
        parse_config(f"{MINIMAL}rtbridge: {{threads: {scalar}}}", environ={"N": "9"}).config.rtbridge.threads == value
    )


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse_config(b"\xef\xbb\xbf" + MINIMAL.encode()).config == Config()


def test_variables_come_from_the_process_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RTBRIDGE_TEST_NAME", "shop")
    monkeypatch.chdir(tmp_path)
    text = MINIMAL + "centrifuge: {name: '${RTBRIDGE_TEST_NAME}'}"
    assert parse_config(text).config.centrifuge.name == "shop"
    (tmp_path / ".rr.yaml").write_text(text)
    loaded = load_config()
    assert loaded.config.centrifuge.name == "shop"
    assert loaded.path == tmp_path / ".rr.yaml"


def test_dotenv_beside_the_file_gives_way_to_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".rr.yaml").write_text(MINIMAL + 'centrifuge: {name: "${A}-${B}"}')
    (tmp_path / ".env").write_text("A=file\nB=file\n")
    loaded = load_config(workdir=tmp_path, environ={"A": "real"})
    assert loaded.config.centrifuge.name == "real-file"
    assert loaded.dotenv == {"A": "file", "B": "file"}
    assert "real" not in os.environ.values()
    (tmp_path / "other.env").write_text("A=x\nB=y\n")
    assert load_config(workdir=tmp_path, environ={}, dotenv=Path("other.env")).config.centrifuge.name == "x-y"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("  export A = b c  ", "b c"),
        ("A=", ""),
        ("A=b # comment", "b"),
        ("A=# comment", ""),
        ("A=b#c", "b#c"),
        ("A='b # $c' # d", "b # $c"),
        (r'A="b\n\"\$\\\x" # d', 'b\n"$\\\\x'),
        ("A=${B}", "${B}"),
        ("\n# x\n\nA=b\r\n", "b"),
        ("A=a\nA=b", "b"),
    ],
)
def test_lines_of_dotenv(line: str, value: Any) -> None:
    assert parse_dotenv(line, ".env", Faults()) == {"A": value}


@pytest.mark.parametrize("line", ["sesame", "=sesame", "1A=sesame", "A='sesame", 'A="sesame', "A='sesame'x", "A=\0"])
def test_a_line_of_dotenv_that_cannot_be_read(line: str, tmp_path: Path) -> None:
    (tmp_path / ".rr.yaml").write_text(MINIMAL)
    (tmp_path / ".env").write_text(f"OK=1\n{line}\n")
    assert fails(workdir=tmp_path) == ".env:2: found a line that cannot be read, allowed: NAME=value, quotes in pairs"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert fails(workdir=tmp_path) == (
        f'.rr.yaml: no such file in {tmp_path}; write one that starts with version: "3", or name another'
    )
    assert fails(tmp_path) == f"{tmp_path}: found a directory, allowed: a file"
    (tmp_path / ".env").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert fails("pipe", workdir=tmp_path) == "pipe: found neither a file nor a link to one, allowed: a file"
    (tmp_path / "loop").symlink_to("loop")
    assert fails("loop", workdir=tmp_path) == "loop: cannot be read: Too many levels of symbolic links"
    assert fails("a\0b", workdir=tmp_path) == "a\\x00b: cannot be read: the name of a file holds no such character"
    (tmp_path / ".rr.yaml").write_text(MINIMAL)
    assert fails(workdir=tmp_path, dotenv=Path("no.env")) == (
        f"no.env: no such file in {tmp_path}; write it, or name another"
    )
    (tmp_path / ".rr.yaml").write_bytes(b"#" * (1024 * 1024 + 1))
    assert fails(workdir=tmp_path) == ".rr.yaml: more than 1,048,576 bytes"


def test_certificates_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    file = tmp_path / "etc" / "app.yaml"
    file.write_text(MINIMAL + "rtbridge: {tls: {cert: c.pem, key: k.pem}}")
    allowed = "allowed: the path of a readable file, relative to the folder of this file"
    key = f"rtbridge.tls.key: found a string 'k.pem' (no file at {tmp_path}/etc/k.pem), {allowed}"
    assert fails("etc/app.yaml", workdir=tmp_path).split("\n")[1] == f"etc/app.yaml:2: {key}"
    offline = load_config("etc/app.yaml", workdir=tmp_path, environ={}, offline=True).config.rtbridge.tls
    assert offline is not None
    assert offline.cert == tmp_path / "etc" / "c.pem"
    for name in ("c.pem", "k.pem"):
        (file.parent / name).touch()
    assert load_config(file, environ={}).config.rtbridge.tls == offline
    assert "found a string ''" in fails(file, overrides=["rtbridge.tls.cert=''"])


def test_a_certificate_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.pem").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match=r"c\.pem may not be read"):
        parse_config(MINIMAL + "rtbridge: {tls: {cert: c.pem, key: c.pem}}", base_dir=tmp_path)


def test_a_configuration_never_shows_its_secrets() -> None:
    text = f"""{MINIMAL}
rtbridge:
  rpc_token: s3cret
  secret: {{values: [s3cret]}}
  sentry: {{dsn: "https://s3cret@localhost/1"}}
server: {{env: {{TOKEN: s3cret}}}}
"""
    loaded = parse_config(text, environ={})
    assert "s3cret" not in repr(loaded)
    assert "rpc_token=<hidden>" in repr(loaded.config)
    assert "rpc_token=None" in repr(Config())
