"""Whole results: every field, expiry in each form, payloads as JSON and as bytes, and absence that is never a null."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rtbridge import (
    JSON_NULL,
    ChannelsCapability,
    ChannelStateResult,
    ConnectResult,
    Event,
    FilterNode,
    MapPublishResult,
    MapRemoveResult,
    PublishResult,
    RefreshResult,
    RPCResult,
    SharedPollRefreshResult,
    SharedPollRefreshResultItem,
    SubRefreshResult,
    SubscribeOptionOverride,
    SubscribeOptions,
    SubscribeResult,
    hookimpl,
)

AT = 1_900_000_000
WHEN = datetime.fromtimestamp(AT, UTC)
OVERRIDE = SubscribeOptionOverride(presence=True, join_leave=False)

CASES: list[tuple[str, Any, dict[str, Any]]] = [
    (
        "connect",
        ConnectResult(
            user="42",
            expire_at=WHEN,
            info={"n": 1},
            data=JSON_NULL,
            channels=["a", "b"],
            subs={"x": SubscribeOptions(data=[1], override=OVERRIDE, cache_recover=True)},
            meta={"m": 1},
            caps=[ChannelsCapability(channels=["a"], allow=["sub"], match="wildcard")],
            labels={"l": "1"},
        ),
        {
            "user": "42",
            "expire_at": AT,
            "info": {"n": 1},
            "data": None,
            "channels": ["a", "b"],
            "subs": {
                "x": {
                    "data": [1],
                    "override": {"presence": {"value": True}, "join_leave": {}},
                    "cache_recover": True,
                }
            },
            "meta": {"m": 1},
            "caps": [{"channels": ["a"], "allow": ["sub"], "match": "wildcard"}],
            "labels": {"l": "1"},
        },
    ),
    ("refresh", RefreshResult(expire_at=AT, info=[1], meta="m"), {"expire_at": AT, "info": [1], "meta": "m"}),
    (
        "subscribe",
        SubscribeResult(
            expire_at=AT, info=1, data="d", allow=["pub"], server_tags_filter=FilterNode(key="k", cmp="eq", val="v")
        ),
        {
            "expire_at": AT,
            "info": 1,
            "data": "d",
            "allow": ["pub"],
            "server_tags_filter": {"key": "k", "cmp": "eq", "val": "v"},
        },
    ),
    (
        "publish",
        PublishResult(
            data={"t": "é"}, skip_history=True, tags={"a": "b"}, idempotency_key="i", delta=True, version=2**63
        ),
        {
            "data": {"t": "é"},
            "skip_history": True,
            "tags": {"a": "b"},
            "idempotency_key": "i",
            "delta": True,
            "version": 2**63,
        },
    ),
    ("rpc", RPCResult(data=0), {"data": 0}),
    ("rpc", RPCResult(data=b'{"exact":  1}'), {"data": {"exact": 1}}),
    ("rpc", RPCResult(data=None), {}),
    ("sub_refresh", SubRefreshResult(expire_at=AT, info={}), {"expire_at": AT, "info": {}}),
    (
        "map_publish",
        MapPublishResult(key="k", data=[], score=-1, key_mode="if_new", stream_data={}),
        {"key": "k", "data": [], "score": -1, "key_mode": "if_new", "stream_data": {}},
    ),
    ("map_remove", MapRemoveResult(key="k", tags={"a": ""}), {"key": "k", "tags": {"a": ""}}),
    (
        "shared_poll_refresh",
        SharedPollRefreshResult(
            items=[SharedPollRefreshResultItem(key="k", data=1, version=3, prev_data=0)], epoch="e"
        ),
        {"items": [{"key": "k", "data": 1, "version": 3, "prev_data": 0}], "epoch": "e"},
    ),
    ("channel_state", ChannelStateResult(), {}),
]


def plugin(kind: str, result: Any) -> object:
    async def hook(event: Event) -> Any:
        return result

    return type("Plugin", (), {f"on_{kind}": staticmethod(hookimpl(hook))})()


def without_defaults(value: Any) -> Any:
    """JSON may say `"value": false` where protobuf leaves the default out."""
    if isinstance(value, dict):
        return {k: without_defaults(v) for k, v in value.items() if not (k == "value" and v is False)}
    return [without_defaults(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("kind", "result", "answer"), CASES, ids=[f"{kind}-{n}" for n, (kind, *_) in enumerate(CASES)])
async def test_every_field_leaves(peer: Any, kind: str, result: Any, answer: dict[str, Any]) -> None:
    """What a hook sets is what Centrifugo reads."""
    await peer.start(plugin(kind, result))
    assert without_defaults(await peer.call(kind)) == {"result": answer}


async def test_bytes_that_are_no_json(peer: Any) -> None:
    """They go as bytes over gRPC, and in the base64 field over HTTP."""
    await peer.start(plugin("rpc", RPCResult(data=b"\x00\xff")))
    assert await peer.call("rpc") == {"result": {"data": b"\x00\xff"} if peer.wire == "proto" else {"b64data": "AP8="}}


@pytest.mark.parametrize("data", [object(), "\ud800"], ids=["no JSON form", "lone surrogate"])
async def test_a_result_that_cannot_be_written(peer: Any, data: object, caplog: pytest.LogCaptureFixture) -> None:
    """It is the hook's fault and is answered like one; the log says what is wrong with it."""
    await peer.start(plugin("rpc", RPCResult(data=data)))
    assert (await peer.call("rpc"))["error"]["code"] == 100
    assert "rpc: the answer cannot be written: " in caplog.text


@pytest.mark.parametrize("kind", ["refresh", "shared_poll_refresh"])
async def test_an_unwritable_result_where_a_bug_fails_the_call(peer: Any, kind: str) -> None:
    """Where an exception is a failed call, so is a result that cannot be written."""
    result: Any = (
        RefreshResult(expire_at=AT, info=object())
        if kind == "refresh"
        else SharedPollRefreshResult(items=[SharedPollRefreshResultItem(key="k", data=object())])
    )
    await peer.start(plugin(kind, result))
    assert await peer.call(kind) == {"failure": "internal"}
