"""The example that the reference product opens with: let in by a token, greet with initial data, or refuse."""

from typing import Any

import pytest

from rtbridge import ConnectEvent, ConnectResult, Disconnect, hookimpl

USERS = {"t": "42"}


class Authenticate:
    """Decides and lets no later hook see the event."""

    @hookimpl(tryfirst=True)
    async def on_connect(self, event: ConnectEvent) -> None:
        user = USERS.get(event.data["authToken"])
        event.stop_propagation()
        if user is None:
            raise Disconnect(4501, "bad token")
        event.respond(ConnectResult(user=user, data={"messages": ["welcome"]}, info={"name": "Ann"}))


class Later:
    """Would let everybody in."""

    @hookimpl
    def on_connect(self, event: ConnectEvent) -> ConnectResult:
        return ConnectResult(user="intruder")


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ({"authToken": "t"}, {"result": {"user": "42", "data": {"messages": ["welcome"]}, "info": {"name": "Ann"}}}),
        ({"authToken": "x"}, {"disconnect": {"code": 4501, "reason": "bad token"}}),
        ({}, {"error": {"code": 100, "message": "internal server error", "temporary": True}}),
    ],
    ids=["let in", "refused", "a bug refuses"],
)
async def test_authenticate_by_token(peer: Any, data: dict[str, str], answer: dict[str, Any]) -> None:
    """The user and the initial data reach the client; a wrong token closes the connection; nothing lets in by
    accident."""
    await peer.start(Later(), Authenticate())
    fields = {"client": "c", "transport": "websocket", "protocol": "json", "encoding": "json", "data": data}
    assert await peer.call("connect", fields) == answer
