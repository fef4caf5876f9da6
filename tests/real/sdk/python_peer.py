"""The Python client."""

import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import centrifuge

from tests.centrifugo import BOUND
from tests.real.sdk.peers import Given, Peer


class _Handler:
    """Any handler of a connection or a subscription; it passes on what it is called with."""

    def __init__(self, tell: Callable[[str, Any], None]) -> None:
        self._tell = tell

    def __getattr__(self, name: str) -> Callable[[Any], Awaitable[None]]:
        if not name.startswith("on_"):
            raise AttributeError(name)

        async def handler(context: Any) -> None:
            self._tell(name.removeprefix("on_"), context)

        return handler


class PythonPeer(Peer):
    """The Python client in one protocol."""

    def __init__(self, protobuf: bool) -> None:
        super().__init__("python", "websocket", protobuf)
        self._clients: dict[str, Any] = {}

    def _handler(self, client: str, channel: str = "") -> _Handler:
        def tell(event: str, context: Any) -> None:
            found = self._common(context)
            if channel:
                found.pop("channel", None)
            self._queue(client, channel, event).put_nowait(found)

        return _Handler(tell)

    def _common(self, context: Any) -> Any:
        error = getattr(context, "error", None)
        if error is not None:
            return _refusal(error) or {"code": context.code}
        found = _mapping(context)
        if isinstance(found, dict):
            if "pub" in found:
                found |= found.pop("pub")
            for key in ("version", "delta"):
                found.pop(key, None)
            for each in found.get("publications", []):
                each.pop("delta")
            if "stream_position" in found:
                found["position"] = found.pop("stream_position")
        return self._plain(found)

    def _giving(
        self, values: Given | None, client: str, channel: str, event: str
    ) -> Callable[..., Awaitable[Any]] | None:
        if values is None:
            return None
        left = list(values)

        async def give(*_: Any) -> Any:
            self._queue(client, channel, event).put_nowait({})
            value = left.pop(0)
            if value is None:
                raise centrifuge.UnauthorizedError("turned away")
            return centrifuge.StreamPosition(**value) if event == "state" else value

        return give

    async def connect(
        self,
        address: str,
        *,
        client: str = "a",
        token: str = "",
        tokens: Given | None = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        version: str = "",
        ping_delay: float = 10.0,
    ) -> None:
        made = centrifuge.Client(
            f"ws://{address}/connection/websocket{'?format=protobuf' if self.protobuf else ''}",
            events=self._handler(client),
            token=token,
            get_token=self._giving(tokens, client, "", "token"),
            use_protobuf=self.protobuf,
            timeout=BOUND,
            max_server_ping_delay=ping_delay,
            version=version,
            data=None if data is None else self._packed(data),
            min_reconnect_delay=0.05,
            max_reconnect_delay=0.5,
            headers=dict(headers or {}),
            proxy=None,
        )
        self._clients[client] = made
        await made.connect()

    async def subscribe(
        self,
        channel: str,
        *,
        client: str = "a",
        token: str = "",
        tokens: Given | None = None,
        states: Given | None = None,
        data: Any = None,
        positioned: bool = False,
        recoverable: bool = False,
        join_leave: bool = False,
        delta: bool = False,
        tags_filter: Mapping[str, Any] | None = None,
    ) -> None:
        subscription = self._clients[client].new_subscription(
            channel,
            events=self._handler(client, channel),
            token=token,
            get_token=self._giving(tokens, client, channel, "token"),
            data=None if data is None else self._packed(data),
            min_resubscribe_delay=0.05,
            max_resubscribe_delay=0.5,
            positioned=positioned,
            recoverable=recoverable,
            join_leave=join_leave,
            delta=centrifuge.DeltaType.FOSSIL if delta else None,
            tags_filter=None if tags_filter is None else centrifuge.FilterNode(dict(tags_filter)),
            get_state=self._giving(states, client, channel, "state"),
        )
        await subscription.subscribe()

    async def do(self, call: str, *, client: str = "a", **given: Any) -> dict[str, Any]:
        target = self._clients[client]
        if "data" in given:
            given["data"] = self._packed(given["data"])
        if given.get("since"):
            given["since"] = centrifuge.StreamPosition(**given["since"])
        if call in ("unsubscribe", "resubscribe"):
            target, call = target.get_subscription(given.pop("channel")), call.replace("resub", "sub")
        elif call == "set_tags_filter":
            target, given = target.get_subscription(given["channel"]), {"tags_filter": given["filter"]}
            given["tags_filter"] = centrifuge.FilterNode(given["tags_filter"])
        elif call == "publish" and target.get_subscription(given["channel"]):
            target = target.get_subscription(given.pop("channel"))
        try:
            done = getattr(target, call)(**given)
            return self._common(await done if isinstance(done, Awaitable) else done) or {}
        except centrifuge.ReplyError as exc:
            return _refusal(exc)
        except centrifuge.ClientDisconnectedError:
            return {"code": 11, "message": "connection closed"}  # as the JavaScript client puts it

    async def close(self) -> None:
        """End the clients of this test."""
        for client in self._clients.values():
            with contextlib.suppress(centrifuge.CentrifugeError):
                await client.disconnect()


def _refusal(error: Exception) -> dict[str, Any]:
    """What a server's error says; nothing for an error of the client itself, which has a code beside it."""
    return {"code": error.code, "message": error.message} if isinstance(error, centrifuge.ReplyError) else {}


def _mapping(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _mapping(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list):
        return [_mapping(each) for each in value]
    if isinstance(value, dict):
        return {key: _mapping(each) for key, each in value.items()}
    return value
