"""``rtbridge hooks``."""

import json
from collections.abc import Callable
from typing import Any

from click.testing import Result

Invoke = Callable[..., Result]

MORE = """
    from rtbridge import Router, hookimpl

    @hookimpl
    async def on_event(event, call_next):
        return await call_next(event)

    @hookimpl(wrapper=True)
    def on_connect(event):
        return (yield)

    @hookimpl
    def after_event(event): ...

    router = Router()

    @router.on_rpc("*")
    async def last(event): ...

    @router.on_rpc("e{rest}")
    async def middle(event, rest): ...

    @router.on_rpc("echo", priority=5)
    async def first(event): ...

    class Later:
        @hookimpl(trylast=True)
        async def on_connect(self, event): ...

    def on_publish(event): ...
"""


def test_listeners_stand_in_the_order_in_which_they_run(chat: Any, invoke: Invoke) -> None:
    """Plain hooks, then routes: exact, captures, stars; priority first within these; with mode and source."""
    chat.write("more.py", MORE)
    found = invoke("hooks", "--json", "-o", "rtbridge.plugins=[chat.hooks, more]")
    assert found.exit_code == 0
    told = json.loads(found.stdout)
    assert told["plugins"] == ["chat.hooks", "more"]
    rpc = told["events"]["rpc"]
    assert [(each["order"], each["name"], each["pattern"]) for each in rpc["listeners"]] == [
        (1, "more.first", "echo"),
        (2, "chat.hooks.echo", "echo"),
        (3, "more.middle", "e{rest}"),
        (4, "more.last", "*"),
    ]
    assert rpc["listeners"][0]["priority"] == 5
    connect = told["events"]["connect"]
    assert connect["listeners"] == [
        {"order": 1, "name": "chat.hooks.on_connect", "mode": "async", "source": "chat/hooks.py:7"}
    ]
    assert [(each["kind"], each["name"], each["source"]) for each in connect["around"]] == [
        ("middleware", "more.on_event", "more.py:3"),
        ("wrapper", "more.on_connect", "more.py:7"),
    ]
    assert told["events"]["refresh"]["listeners"][0]["mode"] == "inline"
    assert told["events"]["subscribe"]["listeners"][0]["mode"] == "blocking"
    assert told["lifecycle"]["after_event"] == [
        {"order": 1, "name": "more.after_event", "mode": "blocking", "source": "more.py:11"}
    ]
    assert told["events"]["sub_refresh"] == {
        "hook": "on_sub_refresh",
        "listeners": [],
        "around": [{"kind": "middleware", "name": "more.on_event", "source": "more.py:3"}],
        "unanswered": "expired: true",
    }
    assert told["warnings"][0].startswith("more.on_publish (")
    assert told["warnings"][0].endswith("has no @hookimpl and never runs")


def test_the_same_for_people(chat: Any, invoke: Invoke) -> None:
    """One block for each event that somebody answers, one table of those that nobody does."""
    chat.write("more.py", MORE)
    found = invoke("hooks", "-o", "rtbridge.plugins=[chat.hooks, more]")
    lines = found.stdout.splitlines()
    assert lines[0] == "on_event, around every event"
    assert lines[1].split() == ["outermost", "first", "more.on_event", "more.py:3"]
    at = lines.index("on_connect, unanswered: disconnect 4500 (not handled)")
    assert lines[at + 1].split() == ["wrapper", "more.on_connect", "more.py:7"]
    assert lines[at + 2].split() == ["1", "chat.hooks.on_connect", "async", "chat/hooks.py:7"]
    at = lines.index("on_publish, unanswered: disconnect 4500 (not handled)")
    assert lines[at + 1].split() == [
        "1",
        "chat:{room}",
        "(priority",
        "3)",
        "chat.hooks.clean",
        "async",
        "chat/hooks.py:29",
    ]
    at = lines.index("nobody answers")
    denied = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[at + 2 :] if line.startswith("  on_")}
    assert denied == {
        "on_sub_refresh": "expired: true",
        "on_subscribe_unidirectional": "disconnect 4500 (not handled)",
        "on_subscribe_bidirectional": "disconnect 4500 (not handled)",
        "on_cache_empty": "refused: gRPC UNIMPLEMENTED, HTTP 404",
        "on_channel_state": "error 108 (not available)",
        "on_map_publish": "disconnect 4500 (not handled)",
        "on_map_remove": "disconnect 4500 (not handled)",
        "on_shared_poll_refresh": "error 108 (not available)",
    }
    assert lines[-1].startswith("warning: more.on_publish")


def test_denials_are_shown_as_configured(project: Any, invoke: Invoke) -> None:
    """rtbridge.unhandled decides what stands there; no plugin is no error."""
    project.config("rtbridge: {entry_points: false, unhandled: {rpc: {error: {code: 104}}}}")
    found = invoke("hooks")
    assert found.exit_code == 0
    assert any(
        line.split() == ["on_rpc", "error", "104", "(method", "not", "found)"] for line in found.stdout.splitlines()
    )


def test_an_object_as_plugin_and_a_file_elsewhere(chat: Any, invoke: Invoke, tmp_path: Any) -> None:
    """A source outside the working directory is shown whole."""
    chat.write("../elsewhere/far.py", "from rtbridge import hookimpl\n@hookimpl\nasync def on_rpc(event): ...\n")
    chat.write(
        "near.py",
        f"import sys\nsys.path.append({str(tmp_path / 'elsewhere')!r})\nfrom far import *\nfrom far import on_rpc\n",
    )
    found = invoke("hooks", "--json", "-o", "rtbridge.plugins=[near]")
    (listener,) = json.loads(found.stdout)["events"]["rpc"]["listeners"]
    assert listener["source"] == f"{(tmp_path / 'elsewhere' / 'far.py').as_posix()}:2"
