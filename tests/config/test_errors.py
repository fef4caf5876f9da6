"""Every error text: place, key path, what was found, what is allowed."""

from typing import Any

import pytest

import rtbridge
from rtbridge.config import parse_config
from rtbridge.errors import ConfigError


def fault(text: Any, **options: Any) -> str:
    """The text of the error that a configuration raises."""
    options.setdefault("environ", {})
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source=".rr.yaml", **options)
    assert caught.value.__cause__ is None
    return str(caught.value).replace(f"rtbridge {rtbridge.__version__}", "rtbridge VERSION")


def in_rtbridge(line: str) -> str:
    return f'version: "3"\nrtbridge:\n  {line}\n'


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("threads: abc", "threads: found a string 'abc', allowed: an integer from 1 to 1024"),
        ("threads: 0", "threads: found an integer 0, allowed: an integer from 1 to 1024"),
        ("threads: 1025", "threads: found an integer 1025, allowed: an integer from 1 to 1024"),
        ("threads: 1.5", "threads: found a number 1.5, allowed: an integer from 1 to 1024"),
        ("threads: true", "threads: found a boolean true, allowed: an integer from 1 to 1024"),
        ("threads: 010", "threads: found a string '010', allowed: an integer from 1 to 1024"),
        ("threads:", "threads: found nothing (null), allowed: an integer from 1 to 1024"),
        ("threads: [1]", "threads: found a list, allowed: an integer from 1 to 1024"),
        ("threads: {a: 1}", "threads: found a mapping, allowed: an integer from 1 to 1024"),
        (
            "limits: {concurrency: 0}",
            "limits.concurrency: found an integer 0, allowed: an integer of at least 1",
        ),
        (
            "limits: {worker_concurrency: 0}",
            "limits.worker_concurrency: found an integer 0, allowed: an integer of at least 1, or null",
        ),
        ("entry_points: yes", "entry_points: found a string 'yes', allowed: true or false"),
        ("entry_points: off", "entry_points: found a string 'off', allowed: true or false"),
        ("grpc_reflection: 1", "grpc_reflection: found an integer 1, allowed: true or false"),
        (
            "drain_timeout: 30",
            "drain_timeout: found an integer 30 (it has no unit), "
            "allowed: a duration (10s, 1m30s, 250ms) from 0s to 576h",
        ),
        (
            "drain_timeout: 1:30",
            "drain_timeout: found a string '1:30' (not a duration), "
            "allowed: a duration (10s, 1m30s, 250ms) from 0s to 576h",
        ),
        (
            "drain_timeout: true",
            "drain_timeout: found a boolean true, allowed: a duration (10s, 1m30s, 250ms) from 0s to 576h",
        ),
        (
            "drain_timeout: 577h",
            "drain_timeout: found a string '577h', allowed: a duration (10s, 1m30s, 250ms) from 0s to 576h",
        ),
        (
            "limits: {hook_timeout: 0s}",
            "limits.hook_timeout: found a string '0s', "
            "allowed: a duration (10s, 1m30s, 250ms) from 1ms to 576h, or null",
        ),
        (
            "limits: {message_size: 4M}",
            "limits.message_size: found a string '4M' (not a size), "
            "allowed: a size (4MiB, 16KiB, 1MB, or a number of bytes) from 1B to 2147483647B",
        ),
        (
            "limits: {header_size: false}",
            "limits.header_size: found a boolean false, "
            "allowed: a size (4MiB, 16KiB, 1MB, or a number of bytes) from 1B to 2147483647B",
        ),
        (
            "limits: {header_size: 0}",
            "limits.header_size: found an integer 0, "
            "allowed: a size (4MiB, 16KiB, 1MB, or a number of bytes) from 1B to 2147483647B",
        ),
        ("plugins: chat", "plugins: found a string of length 4, allowed: a list"),
        ("plugins: [1]", "plugins.0: found an integer 1 (quote it to make it text), allowed: a non-empty string"),
        ("plugins: ['']", "plugins.0: found a string '', allowed: a non-empty string"),
        ("plugins: [null]", "plugins.0: found nothing (null), allowed: a non-empty string"),
        (
            "http_proxy: {address: 30001}",
            "http_proxy.address: found an integer 30001, allowed: tcp://host:port, host:port or unix:///path",
        ),
        (
            "http_proxy: {address: ':30001'}",
            "http_proxy.address: found a string ':30001' "
            "(no host; 0.0.0.0 is every IPv4 interface, [::] every interface), "
            "allowed: tcp://host:port, host:port or unix:///path",
        ),
        (
            "http_proxy: {}",
            "http_proxy.address: the key is missing, allowed: tcp://host:port, host:port or unix:///path",
        ),
        (
            "http_proxy: yes",
            "http_proxy: found a string of length 3, allowed: a mapping with the keys address, or null",
        ),
        ("grpc_server: grpcoi", "grpc_server: found a string 'grpcoi', allowed: builtin, grpcio; did you mean grpcio?"),
        (
            'centrifugo_api: {grpc_key: k, http: {url: "http://c:8000/api"}}',
            "centrifugo_api: found both grpc_key and http, allowed: one of them; the API is called over one wire",
        ),
        (
            "centrifugo_api: {http: {url: ws://c:8000}}",
            "centrifugo_api.http.url: found a string 'ws://c:8000', allowed: an http or https URL: "
            "http://127.0.0.1:8000/api",
        ),
        (
            "unhandled: {rpc: {}}",
            "unhandled.rpc: found neither disconnect nor error, allowed: exactly one of the two",
        ),
        (
            "unhandled: {rpc: {error: {code: 104}, disconnect: {code: 4500}}}",
            "unhandled.rpc: found both disconnect and error, allowed: exactly one of the two",
        ),
        (
            "unhandled: {rpc: {allow: true, error: {code: 104}}}",
            "unhandled.rpc.allow: unknown key, allowed: disconnect, error",
        ),
        (
            "unhandled: {rpc: allow}",
            "unhandled.rpc: found a string of length 5, allowed: a mapping with the keys disconnect, error",
        ),
        ("unhandled: [rpc]", "unhandled: found a list, allowed: a mapping"),
        (
            "unhandled: {rpc: {disconnect: {code: 200}}}",
            "unhandled.rpc.disconnect: disconnect code 200: use 4000-4499 (SDKs reconnect) or 4500-4999 (they stop)",
        ),
        (
            "unhandled: {rpc: {error: {code: true}}}",
            "unhandled.rpc.error.code: found a boolean true, allowed: an integer or the name of a code",
        ),
        (
            "unhandled: {rpc: {error: {message: x}}}",
            "unhandled.rpc.error.code: the key is missing, allowed: an integer or the name of a code",
        ),
    ],
)
def test_a_key_of_rtbridge(line: str, text: Any) -> None:
    assert fault(in_rtbridge(line)) == f".rr.yaml:3: rtbridge.{text}"


def test_a_misspelt_key_gets_the_nearest_name() -> None:
    text = fault(in_rtbridge("limits: {concurency: 1}"))
    assert text == (
        ".rr.yaml:3: rtbridge.limits.concurency: unknown key, allowed: concurrency, message_size, header_size, "
        "connections, hook_timeout, worker_concurrency; did you mean concurrency?"
    )
    assert fault('version: "3"\nRTbridge: {}').endswith(
        "server, http, rpc, status, logs, kv, rtbridge, x-*; did you mean rtbridge?"
    )
    assert fault('version: "3"\nthreads: 3').endswith("x-*; did you mean rtbridge.threads?")
    allowed = "allowed: version, centrifuge, server, http, rpc, status, logs, kv, rtbridge, x-*"
    assert fault('version: "3"\nqwertz: {}').endswith(allowed)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1", '.rr.yaml:1: version: the key is missing, allowed: version: "3"'),
        (
            "version: 3",
            '.rr.yaml:1: version: found an integer 3 (quote it to make it text), allowed: "3" '
            '(write version: "3", with the quotes)',
        ),
        (
            'version: "2.7"',
            '.rr.yaml:1: version: found a string \'2.7\', allowed: "3" (write version: "3", with the quotes)',
        ),
    ],
)
def test_the_version_is_a_string_three(text: Any, error: str) -> None:
    assert error in fault(text).split("\n")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", '.rr.yaml: the file is empty, allowed: a mapping that starts with version: "3"'),
        ("# nothing\n", '.rr.yaml: the file is empty, allowed: a mapping that starts with version: "3"'),
        ("- a\n", '.rr.yaml:1: found no mapping at the top, allowed: a mapping that starts with version: "3"'),
        ("\n\ntext", '.rr.yaml:3: found no mapping at the top, allowed: a mapping that starts with version: "3"'),
        ("a:\n\tb: 1", ".rr.yaml:2: found a tab, allowed: spaces to indent"),
        ("a: b: c", ".rr.yaml:1: not YAML: mapping values are not allowed here"),
        (
            "a: {b: ${X}}",
            ".rr.yaml:1: not YAML: while parsing a flow mapping, expected ',' or '}', but got '{'; "
            "quote a value with ${...} inside { } or [ ]",
        ),
        ("a: [1, 2\nb: 1", ".rr.yaml:2: not YAML: while parsing a flow sequence, expected ',' or ']', but got ':'"),
        (
            "a: 'b\nc: 1\n",
            ".rr.yaml:1: not YAML: while scanning a quoted scalar, found unexpected end of stream",
        ),
        ("\n%x", ".rr.yaml:2: not YAML: expected '<document start>', but found '<stream end>'"),
        ("a: 1\n---\nb: 2", ".rr.yaml:2: found a second document (---), allowed: one"),
        ("a: *sesame", ".rr.yaml:1: found an alias without its anchor; quote a value that starts with *"),
        (
            "a: &sesame 1\nb: &sesame 2",
            ".rr.yaml:2: found an anchor twice, or without a name; quote a value that starts with &",
        ),
        ("a: !my!sesame x", ".rr.yaml:1: found a tag that cannot be read; quote a value that starts with !"),
        ('a: "\\UFFFFFFFF"', ".rr.yaml:1: not YAML: found a number or an escape that is out of range"),
        ("a: 1\nb: \x07", ".rr.yaml:2: found the character U+0007, which YAML forbids"),
        (b"a: 1\nb: \xff", ".rr.yaml:2: byte 0xFF is not UTF-8; save the file as UTF-8"),
        ("# " + "x" * 1024 * 1024, ".rr.yaml: more than 1,048,576 bytes"),
        ("[" * 40 + "]" * 40, ".rr.yaml:1: nested deeper than 32 levels"),
        (
            "[" + "a," * 12_000 + "]",
            ".rr.yaml:1: more than 10,000 values; aliases count each time they are used",
        ),
    ],
)
def test_a_text_that_is_no_configuration(text: Any, error: str) -> None:
    assert fault(text) == error


def test_aliases_of_aliases_are_counted() -> None:
    lines = ["x-0: &a0 [a, a, a, a, a, a, a, a, a]"]
    lines += [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert "more than 10,000 values; aliases count each time they are used" in fault("\n".join(lines))


def test_an_alias_of_what_it_stands_in() -> None:
    assert "nested deeper than 32 levels" in fault('version: "3"\nx-a: &a [*a]')


def test_a_key_that_is_written_twice() -> None:
    assert fault('version: "3"\nlogs: {}\nserver: {}\nlogs: {}') == (
        ".rr.yaml:4: logs: the key is written twice, first in line 2"
    )
    assert fault({"version": "3"}, overrides=["logs={level: info, level: debug}"]) == (
        "option -o: logs.level: the key is written twice"
    )


@pytest.mark.parametrize("key", ["[a]", "~", "{a: 1}"])
def test_a_key_that_is_not_text(key: str) -> None:
    assert ".rr.yaml:2: found a key that is not text" in fault(f'version: "3"\n? {key}\n: 1')


@pytest.mark.parametrize("value", ["!sesame 1", "!!set {a: null}", "!!binary aGk=", "!!int abc", "!x [a]"])
def test_a_tag(value: Any) -> None:
    assert fault(f'version: "3"\nlogs:\n  level: {value}') == (
        ".rr.yaml:3: logs.level: found a YAML tag, allowed: none; quote a value that starts with !"
    )


def test_a_merge_of_what_is_no_mapping() -> None:
    assert fault('version: "3"\nlogs:\n  <<: [{level: info}, debug]') == (
        ".rr.yaml:3: logs.<<: found a value that is not a mapping, allowed: an alias of one, or a list of them"
    )


@pytest.mark.parametrize(
    ("section", "text"),
    [
        (
            "include",
            "include: RoadRunner's include is not supported; "
            "write one file (x-* sections and YAML anchors share values)",
        ),
        ("envfile", "envfile: RoadRunner's envfile is not supported; put the variables into .env beside this file"),
    ],
)
def test_a_section_that_is_refused(section: str, text: Any) -> None:
    assert fault(f'version: "3"\n{section}: x') == f".rr.yaml:2: {text}"


def test_a_store_named_like_a_section_takes_nothing_away() -> None:
    assert (
        fault(
            'version: "3"\nkv: {version: {driver: memory}, rtbridge: {driver: memory}}\nrtbridge: {threads: 0}'
        ).count("\n")
        == 0
    )


def test_the_name_of_an_environment_variable() -> None:
    assert fault('version: "3"\nserver: {env: {"A=B": c}}') == (
        ".rr.yaml:2: server.env: found the key 'A=B', allowed: a string (a name without = and NUL)"
    )


def test_all_faults_come_at_once_in_the_order_of_the_file() -> None:
    lines = fault('rtbridge:\n  threads: 0\nlogs:\n  level: warm\nversion: "2"').split("\n")
    assert [line.split(": ")[0] for line in lines] == [".rr.yaml:2", ".rr.yaml:4", ".rr.yaml:5"]
    assert lines[1].endswith("found a string 'warm', allowed: debug, error, info, warning; did you mean warn?")


def test_many_faults_are_cut() -> None:
    lines = fault('version: "3"\n' + "".join(f"a{n}: 1\n" for n in range(60))).split("\n")
    assert len(lines) == 51
    assert lines[-1] == "and 10 more"


def test_a_long_value_is_cut_and_stays_on_one_line() -> None:
    text = fault({"version": "3", "logs": {"level": "a\n\x1b" + "b" * 100}})
    assert text == (
        f".rr.yaml: logs.level: found a string {('a' + chr(10) + chr(27) + 'b' * 57 + '…')!r}, "
        "allowed: debug, error, info, warning"
    )
    assert "\n" not in fault({"version": "3", "a\nb": 1})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"version": "3", 1: 2}, ".rr.yaml: found a key of type int, allowed: text"),
        (
            {"version": "3", "logs": {"level": {1}}},
            ".rr.yaml: logs.level: found a value of type set, allowed: text, numbers, booleans, lists and mappings",
        ),
        (
            {"version": "3", "rtbridge": {"threads": 10**5000}},
            ".rr.yaml: rtbridge.threads: found an integer of more than 64 bits, "
            "allowed: text, numbers, booleans, lists and mappings",
        ),
    ],
)
def test_a_mapping_with_what_no_file_holds(data: Any, text: Any) -> None:
    assert fault(data) == text


def test_a_mapping_that_holds_itself() -> None:
    data: dict[str, object] = {"version": "3"}
    data["x-a"] = data
    assert "nested deeper than 32 levels" in fault(data)


def test_events_are_checked_against_the_known_ones() -> None:
    text = in_rtbridge("unhandled: {default: {error: {code: 100}}, conect: {error: {code: 100}}}")
    assert parse_config(text, environ={}).config.rtbridge.unhandled.keys() == {"default", "conect"}
    assert fault(text, known_events=["connect", "rpc"]) == (
        ".rr.yaml:3: rtbridge.unhandled.conect: unknown event, allowed: default, connect, rpc; did you mean connect?"
    )


@pytest.mark.parametrize("line", ["threads: 1", "unhandled: {rpc: {error: {code: METHOD_NOT_FOUND}}}", "unhandled:"])
def test_known_events_pass(line: str) -> None:
    assert parse_config(in_rtbridge(line), environ={}, known_events=["rpc"])
    assert parse_config({"version": "3"}, known_events=["rpc"])
