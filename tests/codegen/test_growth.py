"""A proto that grows by fields and by an event needs no other hand edit: the generator does the rest.

A copy of the project gets a changed proto, is generated, and is then used by a plugin in another process, over every
transport.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

#: What is added to the proto behind the line that is found by its first words: every shape of field that has a rule.
CHANGES = {
    # A request: scalars, payloads with and without base64, a wrapper, and messages, also one that answers use as well.
    "message PublishRequest {": """\
  string room_title = 20; // The room's title.
  uint64 size = 21; // Its size.
  repeated uint64 sizes = 22; // Sizes.
  map<string, uint64> counts = 23; // Counts.
  bytes draft = 24; // A draft.
  string b64draft = 25; // The same in base64.
  bytes trace = 26; // Where it came from.
  BoolValue muted = 27; // Whether it is muted.
  SharedPollRefreshItem newest = 28; // The newest item.
  map<string, SharedPollRefreshItem> tracked = 29; // Items by name.
  FilterNode filter = 30; // What the client wants to see.
  int32 delay = 31; // In seconds.
""",
    # A message inside a request.
    "message SharedPollRefreshItem {": """\
  bytes note = 3; // A note.
  string b64note = 4; // The same in base64.
""",
    # A result.
    "message PublishResult {": """\
  string receipt = 9; // Shown to nobody.
""",
    # A call.
    "service CentrifugoProxy {": """\
  // A client reports a message of somebody else. Nothing else is known about it.
  rpc Moderate(ModerateRequest) returns (ModerateResponse);

""",
}

MESSAGES = """
// Sent when a client reports a message.
message ModerateRequest {
  string client = 1; // The connection's id.
  string encoding = 2; // `json` or `binary`.
  string channel = 3; // The channel.
  bytes data = 4; // What is reported.
  string b64data = 5; // The same in base64.
}

// One label of a verdict.
message ModerateLabel {
  string text = 1; // The label.
  BoolValue final = 2; // Whether it stays.
}

// Takes the report.
message ModerateResult {
  bytes data = 1; // Goes to the client.
  string b64data = 2; // The same in base64.
  repeated ModerateLabel verdicts = 3; // The labels.
}

// The answer to a report.
message ModerateResponse {
  ModerateResult result = 1;
  Error error = 2;
  Disconnect disconnect = 3;
}
"""

#: Runs in the copy. Prints one JSON object: what hooks saw and what left, by transport.
USE = """
import asyncio, base64, json, types
import grpc.aio, httpx, msgspec
from google.protobuf import json_format
import rtbridge
from rtbridge import ModerateEvent, ModerateLabel, ModerateResult, PublishEvent, PublishResult, Router, hookimpl
from rtbridge.app import Runtime, UNHANDLED_EVENTS
from rtbridge.codec.descriptors import message_class
from rtbridge.config import parse_config
from rtbridge.events import METHODS
from rtbridge.transport.memory import MemoryTransport

PACKAGE = "centrifugal.centrifugo.proxy."
seen = []
router = Router()

class Report(msgspec.Struct):
    text: str

@hookimpl
async def on_moderate(event: ModerateEvent) -> ModerateResult | None:
    seen.append([event.via, event.channel, event.data])
    return None

@router.on_moderate("chat:{room}")
async def judge(event: ModerateEvent, room: str, data: Report) -> ModerateResult:
    return ModerateResult(data={"room": room, "text": data.text}, verdicts=[ModerateLabel(text="rude", final=False)])

@hookimpl
async def on_publish(event: PublishEvent) -> PublishResult:
    seen.append([
        event.via, event.room_title, event.size, event.sizes, event.counts, event.draft, event.trace, event.muted,
        event.newest.note, {name: item.version for name, item in event.tracked.items()},
        [node.op for node in event.filter.nodes], event.delay, type(event.filter).__name__,
    ])
    return PublishResult(receipt=event.room_title)

plugin = types.ModuleType("plugin")
plugin.__dict__.update(on_moderate=on_moderate, router=router, on_publish=on_publish)

PUBLISH = {
    "encoding": "json", "user": "u", "channel": "c", "room_title": "Lobby", "size": 2**64 - 1, "sizes": [1, 2**63],
    "counts": {"a": 3}, "delay": -5, "muted": {"value": False}, "newest": {"key": "k", "b64note": "eyJuIjogMX0="},
    "tracked": {"x": {"key": "k", "version": 7}}, "filter": {"op": "and", "nodes": [{"op": "not"}]},
}
PAYLOADS = {"data": {"d": 1}, "draft": {"t": [1]}, "trace": "here"}

def proto(name, fields, payloads):
    message = message_class(PACKAGE + name)()
    json_format.ParseDict(fields, message)
    for key, value in payloads.items():
        setattr(message, key, json.dumps(value).encode())
    return message.SerializeToString()

def answer(name, data):
    message = message_class(PACKAGE + name).FromString(data)
    if name == "PublishResponse":
        return message.result.receipt
    if message.HasField("disconnect"):
        return message.disconnect.code
    (verdict,) = message.result.verdicts
    return [json.loads(message.result.data), verdict.text, verdict.HasField("final"), verdict.final.value]

async def main():
    given = {
        "version": "3", "centrifuge": {"proxy_address": "tcp://127.0.0.1:0"},
        "rtbridge": {"entry_points": False, "http_proxy": {"address": "127.0.0.1:0"},
                     "unhandled": {"moderate": {"disconnect": {"code": 4600, "reason": "no"}}}},
    }
    runtime = Runtime(parse_config(given, known_events=UNHANDLED_EVENTS).config, [plugin])
    await runtime.boot()
    memory = MemoryTransport(runtime.bridge)
    transports = {t.name: t for t in runtime.transports()}
    for transport in transports.values():
        await transport.start()
    calls = {
        "moderate": ("Moderate", {"client": "1", "channel": "chat:lobby"}, {"data": {"text": "hm"}}),
        "unanswered": ("Moderate", {"client": "1", "channel": "elsewhere"}, {}),
        "publish": ("Publish", PUBLISH, PAYLOADS),
    }
    out = {}
    async with grpc.aio.insecure_channel(transports["builtin"].address) as channel:
        async with httpx.AsyncClient(base_url=f"http://{transports['http'].address}") as client:
            for label, (name, fields, payloads) in calls.items():
                kind = name.lower()
                path = f"/{PACKAGE}CentrifugoProxy/{name}"
                body, text = proto(name + "Request", fields, payloads), json.dumps(fields | payloads).encode()
                reply = await channel.unary_unary(path)(body, timeout=10)
                json_reply = (await client.post(f"/{kind}", content=text, headers={"content-type": "application/json"}))
                out[label] = {
                    "builtin": answer(name + "Response", reply),
                    "http": json_reply.json(),
                    "memory proto": answer(name + "Response", (await memory.request(kind, body)).payload),
                    "memory json": json.loads((await memory.request(kind, text, wire="json")).payload),
                }
    await runtime.stop(transports.values())
    print(json.dumps({"out": out, "seen": seen, "exported": "ModerateEvent" in rtbridge.__all__}))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """The copy, its proto changed and its files generated."""
    copy = tmp_path_factory.mktemp("grown")
    for name in ("rtbridge", "proto"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", copy)
    (copy / "docs").mkdir()
    path = copy / "proto/centrifugo/proxy.proto"
    text = path.read_text()
    for anchor, addition in CHANGES.items():
        assert text.count(anchor) == 1, anchor
        text = text.replace(anchor, f"{anchor}\n{addition.rstrip()}")
    path.write_text(text + MESSAGES)
    run(copy, "-m", "rtbridge._codegen", "--root", str(copy))
    return copy


def run(copy: Path, *arguments: str) -> str:
    """The output of a Python of the copy; its own error is the test's."""
    # Not measured: the copy is gone when coverage looks for its files.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(120)
def test_the_new_event_and_fields_work_on_every_transport(grown: Path) -> None:
    """Hook, route, typed payload, answer, denial and configuration of the new event; new fields in and out."""
    script = grown / "use.py"
    script.write_text(USE)
    found = json.loads(run(grown, str(script)))
    assert found["exported"]

    label = {"text": "rude", "final": {"value": False}}
    moderated = {"room": "lobby", "text": "hm"}
    body = {"result": {"data": moderated, "verdicts": [label]}}
    message = [moderated, "rude", True, False]
    assert found["out"]["moderate"] == {
        "builtin": message,
        "http": body,
        "memory proto": message,
        "memory json": body,
    }
    denied = {"disconnect": {"code": 4600, "reason": "no"}}
    assert found["out"]["unanswered"] == {"builtin": 4600, "http": denied, "memory proto": 4600, "memory json": denied}
    published = {"result": {"receipt": "Lobby"}}
    assert found["out"]["publish"] == {
        "builtin": "Lobby",
        "http": published,
        "memory proto": "Lobby",
        "memory json": published,
    }

    transports = ["builtin", "http", "memory", "memory"]
    fields = ["Lobby", 2**64 - 1, [1, 2**63], {"a": 3}, {"t": [1]}, "here", False, {"n": 1}, {"x": 7}, ["not"], -5]
    assert found["seen"] == [
        *([via, "chat:lobby", {"text": "hm"}] for via in transports),
        *([via, "elsewhere", None] for via in transports),
        *([via, *fields, "ReceivedFilterNode"] for via in transports),
    ]


def test_the_new_event_is_on_the_page_of_hooks(grown: Path) -> None:
    """Its hook, fields and result are documented like any other."""
    page = (grown / "docs/hooks.md").read_text()
    section = page[page.index("### `on_moderate`") : page.index("### `on_connect`")]
    assert "A client reports a message of somebody else. Nothing else is known about it." in section
    assert "def on_moderate(event, api, kv, config) -> ModerateResult | None" in section
    assert "gRPC method `Moderate`, HTTP path `/moderate`." in section
    assert "| `data` | JSON value; bytes in `raw_data` | What is reported. |" in section
    assert "| `verdicts` | list of `ModerateLabel` | The labels. |" in section
    assert "| `room_title` | `str` | The room's title. |" in page
    assert "| `filter` | `ReceivedFilterNode` | What the client wants to see. |" in page
    assert "| `receipt` | `str` | Shown to nobody. |" in page


@pytest.mark.timeout(120)
def test_the_new_files_pass_the_type_checker_and_the_linter(grown: Path) -> None:
    """Generated code is held to the rules of the rest."""
    generated = [str(path.relative_to(grown)) for path in grown.glob("rtbridge/**/_*generated.py")]
    assert len(generated) == 8
    run(grown, "-m", "ruff", "check", "--no-cache", *generated)
    run(grown, "-m", "ruff", "format", "--check", "--no-cache", *generated)
    run(grown, "-m", "mypy", "--follow-imports=silent", f"--cache-dir={grown / 'types'}", *generated)


def test_a_second_run_changes_nothing(grown: Path) -> None:
    """The copy is fresh after one run."""
    assert run(grown, "-m", "rtbridge._codegen", "--check", "--root", str(grown)) == ""
