"""The server API on the command line, against a running `rtbridge serve` with the embedded server."""

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from rtbridge.cli.api import _value
from tests.centrifugo import find_free_port

Invoke = Callable[..., Any]

pytestmark = pytest.mark.timeout(60)

CONFIG = """
    rtbridge:
      entry_points: false
      embedded:
        http_server: {address: 127.0.0.1, port: %d}
        http_api: {key: "the-key"}
        node: {name: here}
        channel:
          without_namespace: {history_size: 10, history_ttl: 60s, presence: true}
          namespaces: [{name: bare}]
    centrifuge: {proxy_address: null, pool: {debug: true}}
"""


@pytest.fixture
def running(project: Any, serve: Any, invoke: Invoke) -> Invoke:
    """Runs a command in the folder of a server that runs."""
    project.config(CONFIG % find_free_port())
    serve()
    return invoke


def shown(result: Any, code: int = 0) -> Any:
    """What a command printed, as JSON."""
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_the_commands(running: Invoke) -> None:
    """What one publishes, another one sees; one server for them all, as starting it takes longest."""
    first = shown(running("publish", "room", '{"n": 1}', "--tag", "kind=x", "--idempotency-key", "k"))
    assert first["offset"] == 1
    assert shown(running("publish", "room", '{"n": 1}', "--idempotency-key", "k")) == first
    assert shown(running("publish", "room", "null"))["offset"] == 2
    assert shown(running("publish", "room", "3", "--skip-history")) == {"offset": 0, "epoch": ""}

    sent = shown(running("broadcast", "room", "nowhere:x", '"all"'), 1)
    assert sent["room"]["offset"] == 3
    assert sent["nowhere:x"] == {"error": {"code": 102, "message": "unknown channel"}}

    kept = shown(running("history", "room"))
    assert [each["data"] for each in kept["publications"]] == [{"n": 1}, None, "all"]
    assert (kept["publications"][0]["tags"], kept["position"]["offset"]) == ({"kind": "x"}, 3)
    since = f"1:{first['epoch']}"
    assert [each["offset"] for each in shown(running("history", "room", "--since", since))["publications"]] == [2, 3]
    assert [
        each["offset"] for each in shown(running("history", "room", "--reverse", "--limit", "1"))["publications"]
    ] == [3]

    assert shown(running("presence", "room")) == {}
    assert shown(running("presence", "room", "--stats")) == {"num_clients": 0, "num_users": 0}
    assert running("disconnect", "42", "--code", "4501", "--reason", "enough").output == ""
    (node,) = shown(running("info"))
    assert node["name"] == "here"

    refused = running("presence", "bare:room")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == "rtbridge: API error 108 (not available)\n"

    wrong = running("publish", "room", "1", "-o", "rtbridge.embedded.http_api.key=guess")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "refuses the API key: check rtbridge.embedded.http_api.key" in wrong.stderr
    assert "guess" not in wrong.stderr


HOOKS = """
    import subprocess, sys
    from rtbridge import RPCResult, hookimpl

    SCRIPT = "from rtbridge import SyncApi; print(SyncApi.from_config().publish('room', 2).offset)"

    def run(*command):
        done = subprocess.run([sys.executable, *command], cwd="elsewhere", capture_output=True, text=True, timeout=60)
        return done.stdout or done.stderr

    @hookimpl
    def on_rpc(event):
        return RPCResult(data=[run("-m", "rtbridge", "publish", "room", "1"), run("-c", SCRIPT)])
"""


@pytest.mark.parametrize("alone", [True, False], ids=["one process", "workers"])
def test_processes_that_hooks_start(alone: bool, project: Any, serve: Any, invoke: Invoke) -> None:
    """They reach the server with neither an API key, nor a port, nor a file: RR_RPC and the token are inherited.

    Other processes of the same configuration reach it over rpc.listen.
    """
    project.write("hooks.py", HOOKS)
    (project.folder / "elsewhere").mkdir()
    project.config(
        f"""
        server: {{env: {{RTBRIDGE_RPC_TOKEN: the-token}}}}
        centrifuge: {{proxy_address: "tcp://127.0.0.1:0", pool: {{num_workers: 1, debug: {str(alone).lower()}}}}}
        rpc: {{listen: "unix://{project.folder}/rpc.sock"}}
        rtbridge:
          plugins: [hooks]
          entry_points: false
          rpc_token: the-token
          embedded:
            http_server: {{address: 127.0.0.1, port: 0}}
            channel: {{without_namespace: {{history_size: 10, history_ttl: 60s}}}}
        """
    )
    process = serve()
    found = invoke("call", "rpc", "--method", "x", "--address", process.address("gRPC"), "--timeout", "60s")
    published, second = json.loads(found.stdout)["result"]["data"]
    assert (json.loads(published)["offset"], second) == (1, "2\n")
    assert shown(invoke("publish", "room", "3"))["offset"] == 3
    wrong = invoke("publish", "room", "4", "-o", "rtbridge.rpc_token=guess")
    assert wrong.exit_code == 2
    assert "refuses the token; give the one that it was started with" in wrong.stderr
    assert [each["data"] for each in shown(invoke("history", "room"))["publications"]] == [1, 2, 3]


def test_a_process_without_the_embedded_server(
    project: Any, serve: Any, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Says so; its Centrifugo is called as configured."""
    listen = f"unix://{project.folder}/rpc.sock"
    project.config(
        f"""
        centrifuge: {{proxy_address: "tcp://127.0.0.1:0", pool: {{debug: true}}}}
        rpc: {{listen: "{listen}"}}
        rtbridge: {{entry_points: false}}
        """
    )
    serve()
    (project.folder / "elsewhere").mkdir()
    monkeypatch.chdir(project.folder / "elsewhere")
    monkeypatch.setenv("RR_RPC", listen)
    found = invoke("info")
    assert found.exit_code == 1
    assert "no server API in this process: rtbridge.embedded is not configured" in found.stderr


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """- as JSON."""
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"from": "a pipe"}'))
    assert _value("-") == {"from": "a pipe"}


def test_nobody_there(project: Any, invoke: Invoke) -> None:
    """Exit code 2, and what to look at."""
    project.config(CONFIG % find_free_port())
    result = invoke("publish", "room", "1", "--timeout", "200ms")
    assert result.exit_code == 2
    assert "nothing answers on http://127.0.0.1:" in result.stderr


def test_no_server_in_the_configuration(project: Any, invoke: Invoke) -> None:
    """Exit code 2, and which keys there are."""
    project.config("rtbridge: {entry_points: false}")
    result = invoke("info")
    assert result.exit_code == 2
    assert "set centrifuge.grpc_api_address or rtbridge.centrifugo_api.http" in result.stderr


def test_the_file_that_the_variable_names(project: Any, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the clients in Python."""
    monkeypatch.setenv("RR_CONFIG_PATH", str(project.folder / "nowhere.yaml"))
    result = invoke("info")
    assert result.exit_code == 2
    assert "nowhere.yaml" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("publish", "room", "{"), "this is no JSON"),
        (("publish", "room", "text"), "a string stands in double quotes"),
        (("publish", "room", "1", "--tag", "x"), "--tag 'x' is not NAME=VALUE"),
        (("history", "room", "--since", "12"), "--since 12: a position is wanted, such as 12:xyZa"),
        (("disconnect", "42", "--code", "1"), "disconnect code 1: use 4000-4499"),
        (("disconnect", "42", "--reason", "x"), "--reason goes with --code"),
        (("info", "--timeout", "0s"), "--timeout 0s: a duration above zero is wanted"),
        (("broadcast", "1"), "Missing argument 'CHANNEL...'"),
    ],
)
def test_what_is_given_wrongly(project: Any, invoke: Invoke, arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2 before anything is called."""
    project.config(CONFIG % 1)
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
