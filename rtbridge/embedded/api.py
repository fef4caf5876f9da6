"""The server API over this node: what ``/api`` serves, and what hooks call in process.

Every method takes a request of :mod:`rtbridge.api` and gives back its result. Source: centrifugal.dev, "Server API".
"""

import base64
import binascii
import logging
import re
from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType

from rtbridge.api import _generated as messages
from rtbridge.embedded._client_generated import ClientInfo, SubscribeRequest
from rtbridge.embedded.commands.publish import well_formed
from rtbridge.embedded.commands.subscribe import enter, entered, push_subscribe
from rtbridge.embedded.connection import MAX_TTL, SERVER_UNSUBSCRIBE
from rtbridge.embedded.grants import Override, SubscribeOptions
from rtbridge.embedded.history import Position, Pub
from rtbridge.embedded.node import Node
from rtbridge.embedded.rules import Space
from rtbridge.embedded.session import Session
from rtbridge.embedded.wire import json_raw
from rtbridge.errors import ApiError, ClientError, Disconnect

log = logging.getLogger("rtbridge.embedded")

_OVERRIDES: Final = ("presence", "join_leave", "force_recovery", "force_positioning", "force_push_join_leave")


class ServerApi:
    """The methods of the server API.

    Args:
        node: Its channels and connections.

    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._methods: dict[str, Callable[[Any], Any]] = {
            "publish": self.publish,
            "broadcast": self.broadcast,
            "subscribe": self.subscribe,
            "unsubscribe": self.unsubscribe,
            "disconnect": self.disconnect,
            "refresh": self.refresh,
            "presence": self.presence,
            "presence_stats": self.presence_stats,
            "history": self.history,
            "history_remove": self.history_remove,
            "info": self.info,
            "rpc": self.rpc,
            "channels": self.channels,
        }

    def call(self, method: str, request: Any) -> Any:
        """The result of a method.

        Args:
            method: Its name in the API: ``presence_stats``.
            request: Its request.

        Raises:
            ApiError: The call is refused.

        """
        if method == "batch":
            return self.batch(request)
        serve = self._methods.get(method)
        if serve is None:
            raise ApiError(107)  # maps and shared polls, which no namespace here has
        try:
            return serve(request)
        except ClientError as exc:
            raise ApiError(exc.code, exc.message) from exc

    def batch(self, request: messages.BatchRequest) -> messages.BatchResponse:
        """The replies to several commands, one after the other; one that fails stops none of the others."""
        return messages.BatchResponse(replies=[self._command(command) for command in request.commands])

    def _command(self, command: messages.Command) -> messages.Reply:
        for method in command.__struct_fields__:
            request = getattr(command, method, None)
            if request is not None:
                try:
                    return messages.Reply(**{method: self.call(method, request)})
                except ApiError as exc:
                    return messages.Reply(error=messages.Error(exc.code, exc.message))
        return messages.Reply(error=messages.Error(104, "not found"))

    # Publications.

    def publish(self, request: messages.PublishRequest) -> messages.PublishResult:
        """Publish into a channel."""
        return self._publish(request.channel, _either(request.data, request.b64data) or b"", request)

    def broadcast(self, request: messages.BroadcastRequest) -> messages.BroadcastResult:
        """Publish the same into several channels; each has its own response."""
        if not request.channels:
            raise ApiError(107)
        data = _either(request.data, request.b64data) or b""
        responses: list[messages.PublishResponse] = []
        for channel in request.channels:
            try:
                responses.append(messages.PublishResponse(result=self._publish(channel, data, request)))
            except ApiError as exc:
                responses.append(messages.PublishResponse(error=messages.Error(exc.code, exc.message)))
        return messages.BroadcastResult(responses=responses)

    def _publish(
        self, channel: str, data: bytes, request: messages.PublishRequest | messages.BroadcastRequest
    ) -> messages.PublishResult:
        space = self._space(channel)
        if not well_formed(data, space.options.publication_data_format):
            raise ApiError(107)
        keep = self._node.keep(space)
        position = self._node.hub.publish(
            channel,
            data,
            keep._replace(size=0) if request.skip_history else keep,
            tags=request.tags,
            delta=request.delta or space.options.delta_publish,
            idempotency_key=request.idempotency_key,
            version=request.version,
            version_epoch=request.version_epoch,
        )
        return messages.PublishResult(position.offset, position.epoch)

    # Connections.

    def subscribe(self, request: messages.SubscribeRequest) -> messages.SubscribeResult:
        """Subscribe the connections of a user, or one of them, to a channel."""
        space = self._space(request.channel)
        given = request.override
        override = None
        if given is not None:
            values = {name: value.value for name in _OVERRIDES if (value := getattr(given, name)) is not None}
            override = Override(**values)
        options = SubscribeOptions(
            info=_either(request.info, request.b64info),
            data=_either(request.data, request.b64data),
            expire_at=request.expire_at,
            override=override,
        )
        since = request.recover_since
        for session in self._chosen(request.user, request.client, request.session):
            self._subscribe(session, space, request.channel, options, since)
        return messages.SubscribeResult()

    def _subscribe(
        self,
        session: Session,
        space: Space,
        channel: str,
        options: SubscribeOptions,
        since: messages.StreamPosition | None,
    ) -> None:
        limit = self._node.config.client.channel_limit
        if limit and len(session.channels) >= limit:
            session.disconnect(Disconnect("CHANNEL_LIMIT"))
            return
        plan = self._node.rules.plan(space, options)
        plan.client_refresh = plan.auto_cache = False
        wish = SubscribeRequest(channel=channel)
        if since is not None:
            wish = SubscribeRequest(channel=channel, recover=True, offset=since.offset, epoch=since.epoch)
        try:
            result, sub = enter(session, channel, plan, wish, server_side=True)
        except Disconnect as exc:
            session.disconnect(exc)
        else:
            push_subscribe(session, channel, result)
            entered(session, channel, sub)

    def unsubscribe(self, request: messages.UnsubscribeRequest) -> messages.UnsubscribeResult:
        """Unsubscribe the connections of a user, or one of them, from a channel."""
        if request.channel and self._node.rules.space(request.channel) is None:
            raise ApiError(102)
        for session in self._chosen(request.user, request.client, request.session):
            session.unsubscribe(request.channel, SERVER_UNSUBSCRIBE)
        return messages.UnsubscribeResult()

    def disconnect(self, request: messages.DisconnectRequest) -> messages.DisconnectResult:
        """Close the connections of a user, or one of them."""
        code, reason = 3503, "force disconnect"
        if request.disconnect is not None:
            code, reason = request.disconnect.code, request.disconnect.reason
        for session in self._chosen(request.user, request.client, request.session):
            if session.id not in request.whitelist:
                session.close(code, reason)
        return messages.DisconnectResult()

    def refresh(self, request: messages.RefreshRequest) -> messages.RefreshResult:
        """Change when the connections of a user, or one of them, expire."""
        now = int(self._node.clock.time())
        expire_at = min(request.expire_at, now + MAX_TTL)
        for session in self._chosen(request.user, request.client, request.session):
            if request.expired or 0 < expire_at <= now:
                session.disconnect(Disconnect("EXPIRED"))
                continue
            if request.info is not UNSET:
                session.renew_info(bytes(request.info))
            session.expire_at = expire_at
            session.schedule_expiry()
            session.push_refresh()
        return messages.RefreshResult()

    def _chosen(self, user: str, client: str, session: str) -> list[Session]:
        return [
            each for each in self._node.of_user(user) if client in ("", each.id) and session in ("", each.session_id)
        ]

    # Looking.

    def presence(self, request: messages.PresenceRequest) -> messages.PresenceResult:
        """The clients in a channel."""
        self._with_presence(request.channel)
        found = self._node.hub.presence(request.channel)
        return messages.PresenceResult(presence={client: _info(info) for client, info in found.items()})

    def presence_stats(self, request: messages.PresenceStatsRequest) -> messages.PresenceStatsResult:
        """How many clients and users are in a channel."""
        self._with_presence(request.channel)
        return messages.PresenceStatsResult(*self._node.hub.presence_stats(request.channel))

    def _with_presence(self, channel: str) -> None:
        if not self._space(channel).options.presence:
            raise ApiError(108)

    def history(self, request: messages.HistoryRequest) -> messages.HistoryResult:
        """The publications that a channel keeps."""
        space = self._with_history(request.channel)
        stream = self._node.hub.stream(request.channel, self._node.keep(space).meta_ttl)
        since = None if request.since is None else Position(request.since.offset, request.since.epoch)
        pubs = stream.read(since, request.limit, reverse=request.reverse)
        return messages.HistoryResult([_publication(pub) for pub in pubs], stream.epoch, stream.top)

    def history_remove(self, request: messages.HistoryRemoveRequest) -> messages.HistoryRemoveResult:
        """Forget the publications of a channel; its offset goes on."""
        self._with_history(request.channel)
        self._node.hub.forget(request.channel)
        return messages.HistoryRemoveResult()

    def _with_history(self, channel: str) -> Space:
        space = self._space(channel)
        if not space.history:
            raise ApiError(108)
        return space

    def _space(self, channel: str) -> Space:
        if not channel:
            raise ApiError(107)
        space = self._node.rules.space(channel)
        if space is None:
            raise ApiError(102)
        return space

    def channels(self, request: messages.ChannelsRequest) -> messages.ChannelsResult:
        """The channels with subscribers, by a glob pattern where one is given."""
        matches = _glob(request.pattern) if request.pattern else None
        found = self._node.hub.channels()
        return messages.ChannelsResult(
            {name: messages.ChannelInfo(count) for name, count in found if matches is None or matches.fullmatch(name)}
        )

    def info(self, request: messages.InfoRequest) -> messages.InfoResult:
        """This node; there is no other."""
        node = self._node
        result = messages.NodeResult(
            uid=node.uid,
            name=node.name,
            version=node.version,
            num_clients=len(node.clients),
            num_users=node.users,
            num_channels=len(node.hub),
            uptime=int(node.clock.monotonic() - node.started_at),
            num_subs=sum(count for _, count in node.hub.channels()),
        )
        return messages.InfoResult(nodes=[result])

    def rpc(self, request: messages.RPCRequest) -> messages.RPCResult:
        """Refused, as in the stock server: these are for extensions of it."""
        raise ApiError(104 if request.method else 107)


def _either(data: Raw | UnsetType, b64: str) -> bytes | None:
    """The payload in one of its two forms; base64 wins.

    Raises:
        ApiError: 107, it is no base64.

    """
    if b64:
        try:
            return base64.b64decode(b64, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise ApiError(107) from exc
    return None if data is UNSET else bytes(data)


def _info(info: ClientInfo) -> messages.ClientInfo:
    return messages.ClientInfo(user=info.user, client=info.client, conn_info=info.conn_info, chan_info=info.chan_info)


def _publication(pub: Pub) -> messages.Publication:
    raw = json_raw(pub.data)
    if raw is None:
        raise ApiError(100)
    found = messages.Publication(data=raw, offset=pub.offset, tags=pub.tags)
    if pub.info is not None:
        found.info = _info(pub.info)
    return found


def _glob(pattern: str) -> re.Pattern[str]:
    """A pattern of ``*``, ``?``, ``[ab]``, ``[!ab]`` and ``{one,two}`` as a regular expression.

    Raises:
        ApiError: 107, it is none.

    """
    parts: list[str] = []
    depth = 0
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "\\" and index + 1 < len(pattern):
            index += 1
            parts.append(re.escape(pattern[index]))
        elif char == "*":
            parts.append(".*")
        elif char == "?":
            parts.append(".")
        elif char == "[":
            end = pattern.find("]", index + 2)
            if end < 0:
                raise ApiError(107)
            inner = pattern[index + 1 : end].replace("\\", "\\\\").replace("^", "\\^").replace("[", "\\[")
            parts.append(f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]")
            index = end
        elif char == "{":
            parts.append("(?:")
            depth += 1
        elif char == "}" and depth:
            parts.append(")")
            depth -= 1
        elif char == "," and depth:
            parts.append("|")
        else:
            parts.append(re.escape(char))
        index += 1
    if depth:
        raise ApiError(107)
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error as exc:
        raise ApiError(107) from exc
