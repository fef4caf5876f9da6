"""How a log line looks, and what never stands in one."""

import base64
import http.client
import io
import json
import logging
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import grpc
import pytest

import rtbridge
from rtbridge import logs
from rtbridge.codec.descriptors import message_class
from rtbridge.events import METHODS
from rtbridge.testing import App

PACKAGE = "centrifugal.centrifugo.proxy."


def _logged(encoding: logs.Encoding, level: logs.Level = "debug") -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    logs.setup(level, encoding, stream)
    return logging.getLogger("rtbridge.events"), stream


def test_json_has_one_object_with_the_events_fields() -> None:
    """Time in UTC, level, logger, text, and what the bridge adds."""
    log, stream = _logged("json")
    log.info("connect → %s", "ok", extra={"event": {"kind": "connect", "ms": 0.2, "level": "x"}})
    record = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", record.pop("ts"))
    assert record == {
        "level": "info",
        "logger": "rtbridge.events",
        "msg": "connect → ok",
        "kind": "connect",
        "ms": 0.2,
    }


def test_json_holds_a_traceback_in_its_line() -> None:
    """The exception's text is a field; the record stays one line."""
    log, stream = _logged("json")
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        log.exception("failed", stack_info=True)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    trace = json.loads(lines[0])["exception"]
    assert "ValueError: line one\nline two" in trace
    assert "Stack (most recent call last)" in trace


def test_console_has_columns() -> None:
    """Time, level, logger, text; no colours where nobody sees them."""
    log, stream = _logged("console")
    log.warning("careful", extra={"event": {"kind": "rpc"}})
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} WARNING rtbridge\.events careful\n", stream.getvalue())


def test_console_colours_levels_on_a_terminal() -> None:
    """A terminal gets colours, an ordinary level none."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    logs.setup("info", "console", stream)
    logging.getLogger("x").error("bad")
    logging.getLogger("x").info("good")
    bad, good = stream.getvalue().splitlines()
    assert "\x1b[31mERROR  \x1b[0m" in bad
    assert "\x1b" not in good


FORGED = "a\r\n2026-01-01 00:00:00.000 ERROR   rtbridge        owned\x1b[2J\u2028\x85\x00"


@pytest.mark.parametrize("encoding", ["console", "json"])
def test_nothing_that_is_filled_in_ends_a_line_or_steers_a_terminal(encoding: logs.Encoding) -> None:
    """Names come from clients: line breaks of every kind and escapes are written out."""
    log, stream = _logged(encoding)
    log.info("subscribe %s", FORGED, extra={"event": {"channel": FORGED}})
    log.info(FORGED.replace("\n", ""))
    written = stream.getvalue()
    assert len(written.splitlines()) == 2
    assert all(char.isprintable() or char == "\n" for char in written)
    assert r"\x1b[2J" in written or r"\u001b[2J" in written


def test_console_marks_what_belongs_to_the_line_above() -> None:
    """Tracebacks, and line breaks that the code means, stand behind a bar, so they cannot pass for records."""
    log, stream = _logged("console")
    log.error("it is here:\n%s", "  File x\n  File y\x1b")
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("failed")
    lines = stream.getvalue().splitlines()
    assert lines[1:3] == ["    |   File x", r"    |   File y\x1b"]
    assert all(line.startswith("    | ") for line in lines[4:])
    assert any("owned" in line for line in lines[4:])


def test_the_level_is_a_threshold_and_libraries_are_quiet() -> None:
    """Below the level nothing is written; libraries speak from warnings on."""
    log, stream = _logged("console", "warning")
    log.info("hidden")
    log.warning("shown")
    assert stream.getvalue().endswith("shown\n")
    assert "hidden" not in stream.getvalue()
    _, stream = _logged("console", "debug")
    for name in ("uvicorn.error", "asyncio", "grpc"):
        logging.getLogger(name).info("talk")
        logging.getLogger(name).warning("warned")
    assert "talk" not in stream.getvalue()
    assert stream.getvalue().count("warned") == 3
    _, stream = _logged("console", "error")
    logging.getLogger("uvicorn.error").warning("warned")
    assert stream.getvalue() == ""


def test_a_second_set_up_takes_the_place_of_the_first() -> None:
    """No record is written twice."""
    first, second = io.StringIO(), io.StringIO()
    logs.setup(stream=first)
    logs.setup(stream=second)
    logging.getLogger("x").info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


CANARY = "c4n4ry"

PLUGIN = """
from rtbridge import *
from rtbridge import ClientError, Disconnect, Router, hookimpl
from rtbridge.events import METHODS
from rtbridge.testing import App


def fails(kind):
    async def hook(event):
        mode = event.headers.get("x-mode")
        if mode == "silent":
            return None
        if mode == "disconnect":
            raise Disconnect(4501, "reason")
        if mode == "error":
            raise ClientError(1000, "message")
        if mode == "wrong":
            return {"a": "c4n4ry-answer"}
        if mode == "parse":
            event.parse(int)
        if mode == "bug":
            raise KeyError("fine")
        if kind == "connect":
            return ConnectResult(user="42", data="c4n4ry-answer", meta={"m": "c4n4ry-answer"}, info="c4n4ry-answer")
        if kind == "rpc":
            return RPCResult(data={"x": "c4n4ry-answer"})
        if kind == "publish":
            return PublishResult(data="c4n4ry-answer", tags={"t": "c4n4ry-answer"})
        return None

    async def stream(event):
        answer = await hook(event)
        if answer is not None:
            yield answer
        yield SubscribeResult(data="c4n4ry-answer", info="c4n4ry-answer")
        yield Publication(data="c4n4ry-answer")
        raise KeyError("fine")

    made = stream if METHODS[kind].stream else hook
    made.__name__ = made.__qualname__ = "on_" + kind
    return hookimpl(made)


for kind in METHODS:
    globals()["on_" + kind] = fails(kind)
"""

#: Fields of requests that name who and where; operators need them in the log.
OPEN = ("client", "transport", "protocol", "encoding", "user", "channel", "method", "name", "version")

MODES = ("ok", "silent", "disconnect", "error", "wrong", "parse", "bug")


def _request(kind: str) -> dict[str, Any]:
    """Every field of the request that is no name, filled with the canary."""
    method = METHODS[kind]
    name = "Subscribe" if method.stream else method.name
    message = message_class(f"{PACKAGE}{name}Request")
    filled: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.name in OPEN:
            filled[field.name] = "json" if field.name == "encoding" else f"{field.name}-1"
        elif field.name in ("data", "meta"):
            filled[field.name] = {"secret": f"{CANARY}-{field.name}"}
        elif field.name == "token":
            filled[field.name] = f"{CANARY}-token"
        elif field.name == "labels":
            filled[field.name] = {"label": f"{CANARY}-label"}
    return filled


def _proto(kind: str, *, binary: bool = False) -> bytes:
    method, filled = METHODS[kind], _request(kind)
    name = "Subscribe" if method.stream else method.name
    for field in ("data", "meta"):
        if field in filled:
            filled[field] = json.dumps(filled[field]).encode()
    if binary and "data" in filled:
        filled["b64data"] = base64.b64encode(filled.pop("data")).decode()
        filled["encoding"] = "binary"
    message = message_class(f"{PACKAGE}{name}Request")(**filled)
    if method.stream:
        message = (
            message_class(f"{PACKAGE}StreamSubscribeRequest")(subscribe_request=message)
            if method.stream == "both"
            else message
        )
    return bytes(message.SerializeToString())


def _over_grpc(address: str) -> int:
    calls = 0
    channel: Any
    with grpc.insecure_channel(address) as channel:
        for kind, method in METHODS.items():
            for mode in MODES:
                metadata = (
                    ("x-proxy-key", f"{CANARY}-secret"),
                    ("x-mode", mode),
                    ("cookie", f"sid={CANARY}-cookie"),
                    ("authorization", f"Bearer {CANARY}-bearer"),
                    ("x-more-bin", f"{CANARY}-metadata".encode()),
                )
                options: dict[str, Any] = {"metadata": metadata, "timeout": 10}
                for body in (_proto(kind), _proto(kind, binary=True), CANARY.encode()):
                    calls += 1
                    try:
                        if method.stream == "both":
                            list(channel.stream_stream(method.path)(iter([body]), **options))
                        elif method.stream:
                            list(channel.unary_stream(method.path)(body, **options))
                        else:
                            channel.unary_unary(method.path)(body, **options)
                    except grpc.RpcError:
                        continue
        for key in (f"{CANARY}-wrong", ""):
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(METHODS["rpc"].path)(_proto("rpc"), metadata=(("x-proxy-key", key),), timeout=10)
    return calls


def _over_http(address: str) -> int:
    calls = 0
    connection = http.client.HTTPConnection(address, timeout=10)
    for kind in METHODS:
        for mode in MODES:
            for body in (
                json.dumps(_request(kind)),
                f'{{"data": {CANARY}',
                json.dumps({"data": CANARY, "user": {CANARY: 1}}),
            ):
                headers = {
                    "Content-Type": "application/json",
                    "X-Proxy-Key": f"{CANARY}-secret",
                    "X-Mode": mode,
                    "Cookie": f"sid={CANARY}-cookie",
                    "Authorization": f"Bearer {CANARY}-bearer",
                }
                connection.request("POST", f"/{kind}?token={CANARY}-query", body, headers)
                connection.getresponse().read()
                calls += 1
    connection.request("POST", "/rpc", "{}", {"X-Proxy-Key": f"{CANARY}-wrong"})
    assert connection.getresponse().read()
    connection.close()
    return calls


@pytest.mark.timeout(60)
@pytest.mark.parametrize("encoding", ["console", "json"])
def test_no_payload_token_header_or_secret_is_ever_logged(tmp_path: Path, encoding: str) -> None:
    """All events over both wires, answered, denied, failed and undecodable, at level debug."""
    (tmp_path / "canary.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / ".rr.yaml").write_text(
        f"""
version: "3"
centrifuge: {{proxy_address: "127.0.0.1:0"}}
logs: {{level: debug, encoding: {encoding}}}
rtbridge:
  plugins: [canary]
  entry_points: false
  http_proxy: {{address: "127.0.0.1:0"}}
  secret: {{values: ["{CANARY}-secret"]}}
""",
        encoding="utf-8",
    )
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-m", "rtbridge", "serve"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(rtbridge.__file__).parents[1]), "PYTHONUNBUFFERED": "1"},
            stdout=stdout,
            stderr=stderr,
        )
    try:
        for _ in range(600):
            text = out.read_text(encoding="utf-8") + err.read_text(encoding="utf-8")
            if re.search(r"^ready$|\"msg\": \"ready\"", text, re.MULTILINE):
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.05)
        where = dict(re.findall(r"(gRPC|HTTP)(?: +| listens on )(127\.0\.0\.1:\d+)", text))
        calls = _over_grpc(where["gRPC"]) + _over_http(where["HTTP"])
        process.terminate()
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(20)
    written = out.read_text(encoding="utf-8") + err.read_text(encoding="utf-8")
    events = [line for line in written.splitlines() if "rtbridge.events" in line and " ms" in line]
    assert len(events) >= calls
    assert "channel-1" in written
    leaks = [line for line in written.splitlines() if CANARY in line]
    assert leaks == []


async def test_the_memory_transport_logs_no_payload_either() -> None:
    """The same plugin in the test's own process."""
    plugin = types.ModuleType("canary")
    exec(PLUGIN, plugin.__dict__)
    stream = io.StringIO()
    logs.setup("debug", "json", stream)
    secret = {"secret": CANARY}
    async with App(plugins=[plugin]) as app:
        for mode in MODES:
            headers = {"x-mode": mode, "cookie": CANARY}
            await app.connect(data=secret, headers=headers)
            await app.subscribe("channel-1", data=secret, meta=secret, token=CANARY, headers=headers)
            await app.publish("channel-1", secret, meta=secret, headers=headers)
            await app.rpc("method-1", secret, meta=secret, headers=headers)
            await app.refresh(meta=secret, headers=headers)
            await app.sub_refresh("channel-1", meta=secret, headers=headers)
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sum("ms" in record for record in records) == 6 * len(MODES)
    assert CANARY not in stream.getvalue()


@pytest.mark.parametrize("worker", [0, 2])
def test_a_worker_says_which_one_it_is(worker: int) -> None:
    """Several processes end in one log."""
    stream = io.StringIO()
    logs.setup("info", "console", stream, worker=worker)
    logging.getLogger("a").info("text")
    assert stream.getvalue().endswith(f"a               {'worker 2: ' if worker else ''}text\n")
    stream = io.StringIO()
    logs.setup("info", "json", stream, worker=worker)
    logging.getLogger("a").info("text")
    assert json.loads(stream.getvalue()).get("worker", 0) == worker
