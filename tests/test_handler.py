"""Calls that are handed over with a function to call back, with the hooks in this process."""

import asyncio
import logging
from typing import Any

import pytest

from rtbridge import RPCResult, hookimpl
from rtbridge.bridge import Reply
from rtbridge.codec.descriptors import message_class
from rtbridge.events import Call, Headers
from rtbridge.handler import LocalHandler, in_a_task
from rtbridge.testing import App

BOUND = 10


class Plugin:
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    @hookimpl
    async def on_rpc(self, event: Any) -> RPCResult | None:
        if event.method == "wait":
            self.begun.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        return RPCResult(data=event.data)


def request(method: str) -> bytes:
    message = message_class("centrifugal.centrifugo.proxy.RPCRequest")(method=method, data=b"[1]")
    return bytes(message.SerializeToString())


async def test_a_reply_is_delivered() -> None:
    async with App([Plugin()]) as app:
        handler = LocalHandler(app.runtime.bridge)
        assert handler.submit("rpc", "proto") is None  # whoever wants a task makes one
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        keep = in_a_task(handler.unary("rpc", "proto"))(request("x"), Call(Headers(()), "test"), reply.set_result)
        answered = await asyncio.wait_for(reply, BOUND)
        message = message_class("centrifugal.centrifugo.proxy.RPCResponse").FromString(answered.payload)
        assert message.result.data == b"[1]"
        keep()  # too late, and no harm


async def test_a_call_that_is_taken_back_cancels_its_hooks() -> None:
    plugin = Plugin()
    async with App([plugin]) as app:
        handler = LocalHandler(app.runtime.bridge)
        replies: list[Reply] = []
        take_back = in_a_task(handler.unary("rpc", "proto"))(request("wait"), Call(Headers(()), "test"), replies.append)
        await asyncio.wait_for(plugin.begun.wait(), BOUND)
        take_back()
        await asyncio.wait_for(plugin.cancelled.wait(), BOUND)
        await asyncio.sleep(0)
        assert [reply.outcome.failure for reply in replies] == ["cancelled"]


async def test_a_fault_of_our_own_is_a_failed_call(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever waits hears of it; its text stays in the log."""

    async def broken(body: bytes, call: Call) -> Reply:
        raise ZeroDivisionError("secret")

    reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    with caplog.at_level(logging.ERROR, "rtbridge.events"):
        keep = in_a_task(broken)(b"", Call(Headers(()), "test"), reply.set_result)
        outcome = (await asyncio.wait_for(reply, BOUND)).outcome
    assert (outcome.failure, outcome.why) == ("internal", "ZeroDivisionError")
    assert "secret" in caplog.text
    keep()
