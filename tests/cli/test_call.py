"""``rtbridge call`` against a server that runs."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import Result

Invoke = Callable[..., Result]
Start = Callable[..., Any]


@pytest.fixture(params=["gRPC", "HTTP"])
def wire(request: pytest.FixtureRequest) -> str:
    """Each of the two."""
    return str(request.param)


@pytest.fixture
def dial(chat: Any, serve: Start, invoke: Invoke, wire: str) -> Invoke:
    """Calls the project's running server over the wire."""
    process = serve()
    options = ["--address", process.address(wire), *(["--http"] if wire == "HTTP" else [])]
    return lambda *arguments: invoke("call", *arguments, *options)


def test_each_event_is_answered(dial: Invoke) -> None:
    """The reply as JSON on standard output, the sentence on standard error, exit code 0."""
    found = dial("connect", "--data", '{"authToken": "t"}')
    assert found.exit_code == 0
    result = json.loads(found.stdout)["result"]
    assert (result["user"], result["data"]) == ("42", {"motd": "hi"})
    assert found.stderr.startswith("The client is let in as user '42'; Centrifugo asks again at 20")

    found = dial("subscribe", "--channel", "chat:1", "--user", "42")
    assert (found.exit_code, found.stderr) == (0, "The client is subscribed to 'chat:1'.\n")

    found = dial("rpc", "--method", "echo", "--data", '"grüße"')
    assert (found.exit_code, json.loads(found.stdout)) == (0, {"result": {"data": "grüße"}})
    assert found.stderr == "The client gets the result of 'echo'.\n"

    found = dial("refresh", "--user", "42")
    assert found.exit_code == 0
    assert found.stderr.startswith("The connection goes on; Centrifugo asks again after 20")


def test_a_whole_result_is_shown(chat: Any, serve: Start, invoke: Invoke, wire: str) -> None:
    """Maps, lists, nested messages and bytes that are no JSON, the same over both wires."""
    chat.write(
        "whole.py",
        """
        from rtbridge import ConnectResult, SubscribeOptionOverride, SubscribeOptions, hookimpl
        @hookimpl
        async def on_connect(event):
            options = SubscribeOptions(data={"n": 1}, override=SubscribeOptionOverride(presence=False))
            return ConnectResult(
                user="", channels=event.channels, subs={"news": options}, labels={"a": "b"}, data=bytes([255])
            )
        """,
    )
    process = serve("-o", "rtbridge.plugins=[whole]")
    options = ["--address", process.address(wire), *(["--http"] if wire == "HTTP" else [])]
    found = invoke("call", "connect", "--channel", "a", "--channel", "b", *options)
    assert found.exit_code == 0
    result = json.loads(found.stdout)["result"]
    presence = result["subs"]["news"]["override"].pop("presence")
    assert presence in ({}, {"value": False})
    assert {key: result[key] for key in result if key != "user"} == {
        "channels": ["a", "b"],
        "subs": {"news": {"data": {"n": 1}, "override": {}}},
        "labels": {"a": "b"},
        "b64data": "/w==",
    }
    assert found.stderr == "The client is let in anonymously, subscribed to a, b, news.\n"


def test_data_meta_and_headers_reach_the_hook(dial: Invoke) -> None:
    """What the options say is what the event holds."""
    found = dial("publish", "--channel", "chat:1", "--data", "[1]", "--meta", '{"a": 1}', "--header", "X-Where=here=1")
    assert found.exit_code == 0
    assert json.loads(found.stdout) == {"result": {"data": {"text": [1], "by": {"a": 1}, "at": "here=1"}}}
    assert found.stderr == "Centrifugo publishes the hook's data to 'chat:1'.\n"


def test_a_denial_is_exit_code_1(dial: Invoke) -> None:
    """A raised disconnect, silence, and an expired session."""
    found = dial("connect", "--data", '{"authToken": "no"}')
    assert found.exit_code == 1
    assert json.loads(found.stdout) == {"disconnect": {"code": 4501, "reason": "bad token"}}
    assert found.stderr == "The client's connection is closed with 4501 (bad token); SDKs do not reconnect.\n"

    found = dial("rpc", "--method", "nothing")
    assert found.exit_code == 1
    assert found.stderr == "The client's connection is closed with 4500 (not handled); SDKs do not reconnect.\n"

    found = dial("refresh", "--user", "gone")
    assert found.exit_code == 1
    assert found.stderr == (
        "The connection has expired: the connection is closed with 3005 (connection expired); SDKs reconnect.\n"
    )


def test_a_failed_call_is_exit_code_1(dial: Invoke, wire: str) -> None:
    """A hook's bug in a refresh fails the call as a call."""
    found = dial("refresh", "--user", "bug")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["failure"].startswith("gRPC INTERNAL" if wire == "gRPC" else "HTTP 500")
    assert found.stderr == "Centrifugo keeps the connection for 60 seconds and asks again.\n"


def test_a_refused_secret_is_exit_code_2(dial: Invoke, wire: str) -> None:
    """The header given here beats the configured secret; the server refuses it."""
    found = dial("rpc", "--method", "echo", "--header", "X-Proxy-Key=wrong")
    assert (found.exit_code, found.stdout) == (2, "")
    assert " refuses the secret: " in found.stderr
    assert found.stderr.endswith("the client gets error 100 (internal server error), temporary: SDKs may try again.\n")


def test_an_answer_that_comes_too_late_is_exit_code_1(chat: Any, serve: Start, invoke: Invoke, wire: str) -> None:
    """After --timeout nobody waits; over gRPC rtbridge itself answers just before."""
    chat.write(
        "slow.py",
        """
        import asyncio
        from rtbridge import hookimpl
        @hookimpl
        async def on_rpc(event): await asyncio.sleep(600)
        """,
    )
    process = serve("-o", "rtbridge.plugins=[slow]", "-o", "rtbridge.drain_timeout=0s")
    http = ["--http"] if wire == "HTTP" else []
    found = invoke("call", "rpc", "--method", "x", "--timeout", "500ms", "--address", process.address(wire), *http)
    assert found.exit_code == 1
    reply = json.loads(found.stdout)
    if wire == "HTTP":
        assert reply == {"failure": "no answer within 0.5 s"}
    else:
        assert reply == {"error": {"code": 100, "message": "internal server error", "temporary": True}}
    assert found.stderr == "The client gets error 100 (internal server error), temporary: SDKs may try again.\n"


def test_nobody_there_is_exit_code_2(chat: Any, invoke: Invoke, wire: str) -> None:
    """A port that nobody listens on, as the configuration says it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = [
        "-o",
        f"centrifuge.proxy_address=127.0.0.1:{port}",
        "-o",
        f"rtbridge.http_proxy.address=127.0.0.1:{port}",
    ]
    found = invoke("call", "connect", *options, *(["--http"] if wire == "HTTP" else []))
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith(f"{wire} 127.0.0.1:{port} is not reachable: ")
    assert "onnection refused" in found.stderr


@contextlib.contextmanager
def _answering(answer: bytes) -> Iterator[int]:
    """A server that answers one connection with these bytes and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(10)
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.close()
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (b"HTTP/1.1 404 x\r\nContent-Length: 2\r\n\r\nno", 2, "is no proxy of Centrifugo's: HTTP 404: no"),
        (b"HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\nno", 1, "error 100"),
        (b"HTTP/1.1 200 x\r\nContent-Length: 4\r\n\r\nnull", 0, "Centrifugo publishes the client's data to 'c'."),
        (b"", 2, "closed the connection: "),
        (b"nonsense\r\n\r\n", 2, "closed the connection: "),
    ],
)
def test_what_is_no_rtbridge_is_told_apart(invoke: Invoke, answer: bytes, code: int, said: str) -> None:
    """Whatever listens there, there is one sentence and no traceback; no configuration is needed."""
    with _answering(answer) as port:
        found = invoke("call", "publish", "--channel", "c", "--http", "--address", f"127.0.0.1:{port}")
    assert found.exit_code == code
    assert said in found.stderr


def test_http_that_is_no_grpc_is_not_reachable(invoke: Invoke) -> None:
    """A gRPC call to a server that speaks something else."""
    with _answering(b"HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n") as port:
        found = invoke("call", "rpc", "--method", "x", "--timeout", "5s", "--address", f"127.0.0.1:{port}")
    assert found.exit_code == 2
    assert f"gRPC 127.0.0.1:{port} is not reachable: " in found.stderr


def test_a_server_that_says_nothing_is_not_reachable(invoke: Invoke) -> None:
    """A port that accepts and stays silent never becomes a gRPC connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = invoke("call", "rpc", "--method", "x", "--timeout", "300ms", "--address", f"127.0.0.1:{port}")
    assert found.exit_code == 2
    assert f"gRPC 127.0.0.1:{port} is not reachable: no connection within 0.3 s; " in found.stderr


def test_a_reply_that_is_no_message_is_a_failed_call(invoke: Invoke) -> None:
    """A gRPC server that answers with something else."""
    answer: Any = grpc.unary_unary_rpc_method_handler(lambda request, context: b"\xff\xff")
    handler = grpc.method_handlers_generic_handler("centrifugal.centrifugo.proxy.CentrifugoProxy", {"RPC": answer})
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        found = invoke("call", "rpc", "--method", "x", "--address", f"127.0.0.1:{port}")
        other = invoke("call", "connect", "--address", f"127.0.0.1:{port}")
    finally:
        server.stop(None).wait(10)
    assert found.exit_code == 1
    assert json.loads(found.stdout) == {"failure": "the reply is no message of the proxy service"}
    assert other.exit_code == 2
    assert "is no proxy of Centrifugo's: " in other.stderr


def test_binary_metadata_can_be_sent(dial: Invoke) -> None:
    """A name that ends in -bin is no special case for the caller."""
    found = dial("rpc", "--method", "echo", "--data", "1", "--header", "x-trace-bin=abc")
    assert (found.exit_code, json.loads(found.stdout)) == (0, {"result": {"data": 1}})


def test_insecure_needs_somebody_there(invoke: Invoke, wire: str) -> None:
    """TLS with nobody listening."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--insecure", "--address", f"127.0.0.1:{port}", *(["--http"] if wire == "HTTP" else [])]
    found = invoke("call", "connect", *options)
    assert found.exit_code == 2
    assert "is not reachable: Connection refused" in found.stderr


def test_the_only_wire_that_is_served_is_taken(chat: Any, serve: Start, invoke: Invoke) -> None:
    """Where the configuration has HTTP only, HTTP is what is called, at the configured port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    chat.config(
        f"""
        rtbridge: {{plugins: [chat.hooks], entry_points: false, http_proxy: {{address: "0.0.0.0:{port}"}}}}
        """
    )
    serve()
    found = invoke("call", "rpc", "--method", "echo", "--data", "1")
    assert (found.exit_code, json.loads(found.stdout)) == (0, {"result": {"data": 1}})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("subscribe",), "subscribe takes one --channel"),
        (("publish", "--channel", "a", "--channel", "b"), "publish takes one --channel"),
        (("rpc",), "rpc takes --method"),
        (("rpc", "--method", "x", "--channel", "c"), "--channel goes with connect, subscribe, publish, sub_refresh"),
        (
            ("connect", "--user", "1"),
            "--user goes with subscribe, publish, rpc, refresh, sub_refresh, not with connect",
        ),
        (("connect", "--data", "{"), "--data is no JSON: "),
        (("refresh", "--meta", "x"), "--meta is no JSON: "),
        (("connect", "--header", "x"), "--header 'x' is not NAME=VALUE"),
        (("connect", "--header", "a b=1"), "--header 'a b': a name has letters, digits and -_. only"),
        (("connect", "--header", "a=1\n2"), "a value printable ASCII"),
        (("connect", "--timeout", "soon"), "--timeout soon: a duration above zero is wanted"),
        (("connect", "--timeout", "0s"), "--timeout 0s: a duration above zero is wanted"),
        (("connect", "--address", "x"), "--address x: no port"),
        (("connect", "--cert", "x"), "--cert and --key go together"),
        (("connect",), "the configured port is 0, any free one; give --address"),
        (("connect", "-c", "bare.yaml"), "centrifuge.proxy_address is not set; set it, or give --address"),
        (("connect", "-c", "bare.yaml", "--http"), "rtbridge.http_proxy.address is not set; set it, or give"),
        (("sing",), "'sing' is not one of"),
    ],
)
def test_wrong_arguments_are_exit_code_2(chat: Any, invoke: Invoke, arguments: tuple[str, ...], message: str) -> None:
    """What is wrong is said before anybody is called."""
    chat.write("bare.yaml", 'version: "3"')
    found = invoke("call", *arguments)
    assert found.exit_code == 2
    assert message in found.stderr


def _tls(folder: Path, name: str, *more: str) -> list[str]:
    files = f"cert: {folder}/{name}.pem, key: {folder}/{name}.key"
    return ["-o", f"rtbridge.tls={{{', '.join([files, *more])}}}"]


def test_tls_from_the_configuration(chat: Any, serve: Start, invoke: Invoke, certificates: Path, wire: str) -> None:
    """The configured certificate is trusted as it is, whatever its name; without TLS nothing comes through."""
    options = _tls(certificates, "elsewhere")
    process = serve(*options)
    address = ["--address", process.address(wire), *(["--http"] if wire == "HTTP" else [])]
    assert process.out[3].split()[2] == "yes"
    found = invoke("call", "rpc", "--method", "echo", "--data", "1", *address, *options)
    assert (found.exit_code, json.loads(found.stdout)) == (0, {"result": {"data": 1}})

    plain = invoke("call", "rpc", "--method", "echo", *address)
    assert plain.exit_code == 2

    other = invoke("call", "rpc", "--method", "echo", *address, *_tls(certificates, "server"))
    assert other.exit_code == 2
    assert "does not come to terms over TLS" in other.stderr

    named = invoke("call", "rpc", "--method", "echo", "--cacert", f"{certificates}/ca.pem", *address, *options)
    assert named.exit_code == 2, "with an authority the name has to fit"

    trusting = invoke("call", "rpc", "--method", "echo", "--data", "2", "--insecure", *address)
    assert (trusting.exit_code, json.loads(trusting.stdout)) == (0, {"result": {"data": 2}})


def test_tls_with_an_authority(chat: Any, serve: Start, invoke: Invoke, certificates: Path, wire: str) -> None:
    """--cacert alone means TLS, and checks the name."""
    process = serve(*_tls(certificates, "server"))
    address = ["--address", process.address(wire), *(["--http"] if wire == "HTTP" else [])]
    found = invoke("call", "rpc", "--method", "echo", "--data", "1", "--cacert", f"{certificates}/ca.pem", *address)
    assert (found.exit_code, json.loads(found.stdout)) == (0, {"result": {"data": 1}})


def test_mutual_tls_needs_a_client_certificate(
    chat: Any, serve: Start, invoke: Invoke, certificates: Path, wire: str
) -> None:
    """Without --cert and --key it says so; with them the call is let in."""
    options = _tls(certificates, "server", f"client_ca: {certificates}/ca.pem")
    process = serve(*options)
    assert process.out[3].split()[2] == "mutual"
    address = ["--address", process.address(wire), *(["--http"] if wire == "HTTP" else [])]
    found = invoke("call", "rpc", "--method", "echo", *address, *options)
    assert found.exit_code == 2
    assert found.stderr == (
        "rtbridge: rtbridge wants a client certificate (rtbridge.tls.client_ca), as Centrifugo has to show one: give "
        "--cert and --key\n"
    )
    own = ["--cert", f"{certificates}/client.pem", "--key", f"{certificates}/client.key"]
    found = invoke("call", "rpc", "--method", "echo", "--data", "1", *own, *address, *options)
    assert (found.exit_code, json.loads(found.stdout)) == (0, {"result": {"data": 1}})

    stranger = invoke("call", "rpc", "--method", "echo", "--cacert", f"{certificates}/ca.pem", *address)
    assert stranger.exit_code == 2


def test_tls_files_that_cannot_be_read_are_named(chat: Any, invoke: Invoke, wire: str) -> None:
    """A missing file is the caller's mistake, not an unreachable server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = ["--address", f"127.0.0.1:{server.getsockname()[1]}", *(["--http"] if wire == "HTTP" else [])]
        found = invoke("call", "connect", "--cacert", "nowhere.pem", *address)
    assert found.exit_code == 2
    assert "No such file or directory" in found.stderr
