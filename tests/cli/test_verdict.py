"""The sentence about a reply, held against what a real Centrifugo did with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from rtbridge.cli.verdict import Verdict, failed, verdict

#: Where the recording says "ok" it holds no body to judge.
RECORDED = [
    outcome
    for line in (Path(__file__).parents[1] / "recordings" / "outcomes.jsonl").read_text(encoding="utf-8").splitlines()
    if (outcome := json.loads(line))["answer_body"] != "ok"
]

#: When the outcomes were recorded, so that their expiry times lie ahead.
THEN = 1_700_000_000.0

ASKED = {"channel": "room", "method": "sum"}


@pytest.mark.parametrize(
    "recorded", RECORDED, ids=[f"{each['wire']}-{each['event']}-{each['answer']}" for each in RECORDED]
)
def test_the_sentence_says_what_centrifugo_did(recorded: dict[str, Any]) -> None:
    """Close code, error code or unsubscribe code stand in the sentence; exit code 0 where the client went on."""
    kind, answer = recorded["event"], recorded["answer_body"]
    said = failed(kind) if isinstance(answer, str) else verdict(kind, answer, ASKED, THEN)
    last: dict[str, Any] = recorded["client_saw"][-1] if recorded["client_saw"] else {}
    seen = recorded["close"] or last.get("error") or last.get("push", {}).get("unsubscribe")
    if seen is not None:
        assert str(seen["code"]) in said.text
        assert said.code == 1
    else:
        assert said.code == (1 if isinstance(answer, str) else 0)


@pytest.mark.parametrize(
    ("kind", "reply", "text", "code"),
    [
        ("connect", {"result": {}}, "The client is let in anonymously.", 0),
        (
            "connect",
            {"result": {"user": "7", "channels": ["b"], "subs": {"a": {}}}},
            "The client is let in as user '7', subscribed to a, b.",
            0,
        ),
        (
            "connect",
            {"result": {"user": "7", "expire_at": 5}},
            "The client gets error 110 (expired), since expire_at has passed: SDKs end disconnected.",
            1,
        ),
        (
            "connect",
            {"result": {"expire_at": 2_000_000_000}},
            "The client is let in anonymously; Centrifugo asks again at 2033-05-18 03:33:20 UTC where its refresh "
            "proxy is on.",
            0,
        ),
        ("connect", {"error": {"code": 1000}}, "The client gets error 1000: SDKs end disconnected.", 1),
        (
            "connect",
            {"error": {"code": 109, "message": "token expired"}},
            "The client gets error 109 (token expired): SDKs fetch a new token and connect again.",
            1,
        ),
        (
            "subscribe",
            {"error": {"code": 103, "message": "permission denied"}},
            "The client gets error 103 (permission denied): SDKs end unsubscribed.",
            1,
        ),
        (
            "subscribe",
            {"result": {"expire_at": 2_000_000_000}},
            "The client is subscribed to 'room' until 2033-05-18 03:33:20 UTC; after that Centrifugo asks again where "
            "its sub_refresh proxy is on.",
            0,
        ),
        (
            "subscribe",
            {"result": {"expire_at": 5}},
            "The client gets error 110 (expired), since expire_at has passed.",
            1,
        ),
        ("publish", {}, "Centrifugo publishes the client's data to 'room'.", 0),
        (
            "publish",
            {"result": {"data": 1, "skip_history": True}},
            "Centrifugo publishes the hook's data to 'room', past the history.",
            0,
        ),
        ("rpc", {"result": {}}, "The client gets an empty result of 'sum'.", 0),
        ("rpc", {"result": {"b64data": "MQ=="}}, "The client gets the result of 'sum'.", 0),
        (
            "rpc",
            {"result": {"b64data": "/w=="}},
            "The client gets the bytes of 'sum'; one that speaks JSON is closed with 3506 (inappropriate protocol).",
            0,
        ),
        (
            "rpc",
            {"error": {"code": 104, "message": "method not found"}},
            "The client gets error 104 (method not found); its connection stays.",
            1,
        ),
        ("rpc", {"disconnect": {"code": 4000}}, "The client's connection is closed with 4000; SDKs reconnect.", 1),
        (
            "rpc",
            {"disconnect": {"code": 100, "reason": "x"}},
            "The client's connection is closed with 100 (x); no close frame carries that code, so SDKs see 1006 and "
            "reconnect.",
            1,
        ),
        ("sub_refresh", {"result": {}}, "The subscription goes on and expires no more.", 0),
        (
            "sub_refresh",
            {"error": {"code": 1000}},
            "Centrifugo ignores the error and takes the subscription for expired: the client is unsubscribed with 2501 "
            "(expired); SDKs subscribe again.",
            1,
        ),
        (
            "refresh",
            {},
            "Centrifugo takes the connection for expired: the connection is closed with 3005 (connection expired); "
            "SDKs reconnect.",
            1,
        ),
        (
            "refresh",
            {"result": {"expire_at": 5}},
            "Centrifugo finds no expire_at in the future and takes the connection for expired: the connection is "
            "closed with 3005 (connection expired); SDKs reconnect.",
            1,
        ),
        (
            "refresh",
            {"result": {"expire_at": 10**17}},
            f"The connection goes on; Centrifugo asks again after second {10**17} of the epoch.",
            0,
        ),
    ],
)
def test_the_sentence(kind: str, reply: dict[str, Any], text: str, code: int) -> None:
    """Each answer's meaning, in words."""
    assert verdict(kind, reply, ASKED, THEN) == Verdict(text, code)


def test_a_failed_call() -> None:
    """Clients get a temporary error; sessions get a minute."""
    assert failed("connect").text.endswith("temporary: SDKs connect again.")
    assert failed("subscribe").text.endswith("temporary: SDKs subscribe again.")
    assert failed("sub_refresh").text == "Centrifugo keeps the subscription for 60 seconds and asks again."
