"""``rtbridge check``, ``schema``, ``version`` and the group itself."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import Result

from rtbridge import __version__

Invoke = Callable[..., Result]


def test_check_prints_what_would_be_served(chat: Any, invoke: Invoke) -> None:
    """Exit code 0 and no warning where everything is answered."""
    found = invoke("check", "--strict", "-o", "centrifuge.pool.num_workers=3")
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout.splitlines() == [
        "listens  address      TLS  secret",
        "gRPC     127.0.0.1:0  no   yes (x-proxy-key)",
        "HTTP     127.0.0.1:0  no   yes (x-proxy-key)",
        "",
        "plugins  1: chat.hooks",
        "answers  connect, refresh, subscribe, publish, rpc (2 hooks, 3 routes)",
        "workers  3",
    ]


def test_check_warns_and_strict_fails(project: Any, invoke: Invoke) -> None:
    """Events that nobody answers are warnings; with --strict they are exit code 1."""
    project.config('centrifuge: {proxy_address: "127.0.0.1:0"}\nrtbridge: {entry_points: false}')
    found = invoke("check", "-o", "centrifuge.pool.debug=true")
    assert found.exit_code == 0
    assert found.stderr.splitlines() == [
        f"warning: nobody answers {kind}: every one is denied (disconnect 4500); write @hookimpl on_{kind}(event)"
        for kind in ("connect", "subscribe", "publish", "rpc")
    ]
    assert found.stdout.splitlines()[-2:] == [
        "answers  nothing (0 hooks, 0 routes)",
        "workers  none: everything in one process",
    ]
    strict = invoke("check", "--strict")
    assert strict.exit_code == 1
    assert strict.stderr.endswith("rtbridge: --strict: nobody answers connect, subscribe, publish, rpc\n")


def test_check_says_that_nothing_listens(chat: Any, invoke: Invoke) -> None:
    """rtbridge.asgi needs no address, so it is a warning here, where serve refuses."""
    chat.config("rtbridge: {plugins: [chat.hooks], entry_points: false}")
    found = invoke("check", "--strict")
    assert found.exit_code == 0
    assert found.stdout.startswith("listens  nowhere\n")
    assert found.stderr.startswith("warning: nothing listens: set rtbridge.embedded")


def test_offline_lists_missing_variables(chat: Any, invoke: Invoke) -> None:
    """Each variable once; plugins wait until the variables are there; exit code 0."""
    chat.config(
        """
        centrifuge: {proxy_address: "${CHECK_HOST}:${CHECK_PORT}"}
        rtbridge:
          plugins: [chat.hooks]
          secret: {values: ["${CHECK_SECRET}", "${CHECK_PORT}"]}
        """
    )
    refused = invoke("check")
    assert refused.exit_code == 2
    assert "CHECK_SECRET" in refused.stderr
    found = invoke("check", "--offline")
    assert found.exit_code == 0
    assert found.stdout.splitlines()[:4] == [
        "variables without a value:",
        "  CHECK_HOST",
        "  CHECK_PORT",
        "  CHECK_SECRET",
    ]
    assert "plugins were not loaded" in found.stdout
    strict = invoke("check", "--offline", "--strict")
    assert (strict.exit_code, strict.stderr) == (1, "rtbridge: --strict needs the plugins\n")


def test_offline_loads_plugins_where_nothing_is_missing(chat: Any, invoke: Invoke) -> None:
    """An image build finds a plugin that cannot be imported."""
    assert invoke("check", "--offline").exit_code == 0
    found = invoke("check", "--offline", "-o", "rtbridge.plugins=[nowhere]")
    assert found.exit_code == 2
    assert found.stderr.startswith("rtbridge: plugin nowhere cannot be imported: ")


def test_check_shows_notices(chat: Any, invoke: Invoke) -> None:
    """Keys that have no effect, with file and line."""
    found = invoke("check", "-o", "centrifuge.pool.stream_timeout=4s")
    assert found.exit_code == 0
    assert "warning: option -o: centrifuge.pool.stream_timeout: has no effect" in found.stderr


def test_schema_is_a_json_schema_that_accepts_the_file(chat: Any, invoke: Invoke) -> None:
    """What is printed can be given to an editor."""
    found = invoke("schema")
    schema = json.loads(found.stdout)
    assert found.exit_code == 0
    jsonschema.Draft202012Validator.check_schema(schema)
    config = yaml.safe_load((chat.folder / ".rr.yaml").read_text())
    jsonschema.validate(config, schema)
    config["rtbridge"]["plugin"] = []
    with pytest.raises(jsonschema.ValidationError, match="plugin"):
        jsonschema.validate(config, schema)


def test_version_names_what_it_stands_on(invoke: Invoke) -> None:
    """One line each, and --version for the number alone."""
    found = invoke("version")
    names = [line.rsplit(maxsplit=1)[0].strip() for line in found.stdout.splitlines()]
    assert names == ["rtbridge", "Python", "grpcio", "protobuf", "msgspec", "pluggy", "Centrifugo proxy protocol"]
    assert found.stdout.splitlines()[-1].endswith(" 6.9.1")
    assert invoke("--version").stdout == f"rtbridge {__version__}\n"


def test_help_names_every_command(invoke: Invoke) -> None:
    """Each with a line of its own."""
    found = invoke("--help")
    for command in ("serve", "check", "hooks", "call", "centrifugo-config", "schema", "version"):
        assert f"\n  {command} " in found.stdout
        assert invoke(command, "-h").exit_code == 0


def test_a_bug_of_ours_shows_its_traceback(start: Callable[..., Any], chat: Any) -> None:
    """Only faults of setting up are told without one."""
    process = start(
        "check",
        prelude="import rtbridge.cli.describe as d\ndef wrong(*a): raise RuntimeError('ours')\nd.served = wrong",
    )
    assert process.end() == 1
    assert process.err[0] == "Traceback (most recent call last):"
    assert process.err[-1] == "RuntimeError: ours"
