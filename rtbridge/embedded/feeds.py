"""Subscriptions that a hook feeds: the subscribe streams of ``subscribe_stream_proxy_enabled``.

Publications of a stream go to the one client that subscribed, without offsets. Source: centrifugal.dev, "Proxy
subscription streams".
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

from rtbridge.bridge import StreamFailed
from rtbridge.embedded._client_generated import Publication, PublishResult, Push, Reply, SubscribeRequest
from rtbridge.embedded.answers import RESPONSES, check, subscribe_options
from rtbridge.embedded.backend import Backend, Done, payload
from rtbridge.embedded.commands import subscribe as subscribing
from rtbridge.embedded.connection import INSUFFICIENT_STATE, SERVER_UNSUBSCRIBE, Pending
from rtbridge.embedded.hub import Subscription
from rtbridge.embedded.rules import Space
from rtbridge.embedded.session import Session
from rtbridge.errors import ClientError, Disconnect
from rtbridge.events import Event, ReceivedPublication, SubscribeBidirectionalEvent, SubscribeUnidirectionalEvent

log = logging.getLogger("rtbridge.embedded")

#: Publications of a client that wait for the hook of a bidirectional stream.
_QUEUE: Final = 256


class _Feed:
    """One stream on its way."""

    __slots__ = ("channel", "queue", "session", "sub", "task")

    def __init__(self, session: Session, channel: str, *, both: bool) -> None:
        self.session = session
        self.channel = channel
        self.queue: asyncio.Queue[bytes] | None = asyncio.Queue(_QUEUE) if both else None
        self.sub: Subscription | None = None
        self.task: asyncio.Task[None] | None = None

    async def incoming(self) -> AsyncIterator[ReceivedPublication]:
        """What the client publishes into its stream."""
        assert self.queue is not None
        while True:
            yield ReceivedPublication(raw_data=await self.queue.get())

    def stop(self) -> None:
        """End the stream; its hook is cancelled."""
        if self.task is not None:
            self.task.cancel()


class Feeds:
    """All streams.

    Args:
        backend: Makes events, and has the handler that answers them.

    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._feeds: dict[tuple[Session, str], _Feed] = {}

    def subscribe(self, session: Session, reply_to: int, request: SubscribeRequest, space: Space) -> None:
        """Start a stream, and answer the subscribe command when its first message is there."""
        both = space.options.subscribe_stream_proxy_bidirectional
        feed = _Feed(session, request.channel, both=both)
        event = self._event(feed, request, both=both)
        then = partial(subscribing.guarded, session, request.channel, self._started, feed, reply_to, request, space)
        session.wait(reply_to, then, partial(self._begin, feed, event))

    def _event(self, feed: _Feed, request: SubscribeRequest, *, both: bool) -> Event:
        backend, proxy = self._backend, self._backend.stream_proxy
        call = backend.call(feed.session, proxy)
        if both:
            call.incoming = feed.incoming()
        fields: dict[str, Any] = {
            **backend.of_user(feed.session, proxy),
            "channel": request.channel,
            "token": request.token,
            "raw_data": payload(request.data),
        }
        kind = SubscribeBidirectionalEvent if both else SubscribeUnidirectionalEvent
        return kind(call=call, **fields)

    def _begin(self, feed: _Feed, event: Event, done: Done) -> Any:
        feed.task = asyncio.get_running_loop().create_task(self._run(feed, event, done))
        return feed.task.cancel

    async def _run(self, feed: _Feed, event: Event, done: Done) -> None:
        reply, stream = await self._backend.handler.event_stream(event)
        if reply.outcome.failure is not None:
            done(None)
            return
        event.call.deadline = None
        done(RESPONSES[event.kind].FromString(reply.payload).subscribe_response)
        if stream is None:
            self._end(feed, clean=True)
            return
        if feed.sub is None:
            stream.abandon()
            return
        clean = False
        try:
            async for item in stream.items():
                message = RESPONSES[event.kind].FromString(item).publication
                data = feed.session.wire.payload(message.data)
                feed.session.push(Push(channel=feed.channel, pub=Publication(data=data, tags=dict(message.tags))))
            clean = True
        except StreamFailed:
            log.debug("the stream of %s failed", feed.channel)
        except Disconnect as exc:
            feed.session.disconnect(exc)
        finally:
            self._end(feed, clean=clean)

    def _started(self, feed: _Feed, reply_to: int, request: SubscribeRequest, space: Space, answer: Any) -> None:
        session = feed.session
        result = check(answer)
        plan = session.node.rules.plan(space, None if result is None else subscribe_options(result))
        plan.recovery = plan.positioning = plan.auto_cache = False
        plan.client_refresh = not space.options.sub_refresh_proxy_enabled
        subscribing.finish(session, reply_to, request, plan)
        feed.sub = session.subscription(request.channel)
        if feed.sub is not None:
            feed.sub.stop = partial(self._stopped, feed)
            self._feeds[session, request.channel] = feed

    def _stopped(self, feed: _Feed) -> None:
        self._feeds.pop((feed.session, feed.channel), None)
        feed.stop()

    def _end(self, feed: _Feed, *, clean: bool) -> None:
        session = feed.session
        self._feeds.pop((session, feed.channel), None)
        if feed.sub is not None and session.subscription(feed.channel) is feed.sub:
            feed.sub.stop = None
            session.unsubscribe(feed.channel, SERVER_UNSUBSCRIBE if clean else INSUFFICIENT_STATE)

    def publish(self, session: Session, reply_to: int, channel: str, data: bytes) -> None:
        """Hand a client's publication to its stream.

        Raises:
            ClientError: 108, there is no bidirectional stream; 111, its hook does not keep up.

        """
        feed = self._feeds.get((session, channel))
        if feed is None or feed.queue is None or isinstance(session.channels.get(channel), Pending):
            raise ClientError("NOT_AVAILABLE")
        try:
            feed.queue.put_nowait(data)
        except asyncio.QueueFull as exc:
            raise ClientError("TOO_MANY_REQUESTS") from exc
        session.reply(Reply(id=reply_to, publish=PublishResult()))
