"""Answers for handlers of an HTTP application: streams, files, JSON of any size, server-sent events.

They are Starlette responses, so Starlette, FastAPI and Litestar take them as they are.
"""

from rtbridge.plugins.http.current import current_request
from rtbridge.plugins.http.files import FileResponse
from rtbridge.plugins.http.handlers import Site, handler, respond
from rtbridge.plugins.http.hints import early_hints
from rtbridge.plugins.http.jsonstream import JSONObject, JSONStreamResponse
from rtbridge.plugins.http.sse import EventStreamResponse, ServerSentEvent, last_event_id
from rtbridge.plugins.http.streams import StreamResponse

__all__ = [
    "EventStreamResponse",
    "FileResponse",
    "JSONObject",
    "JSONStreamResponse",
    "ServerSentEvent",
    "Site",
    "StreamResponse",
    "current_request",
    "early_hints",
    "handler",
    "last_event_id",
    "respond",
]
