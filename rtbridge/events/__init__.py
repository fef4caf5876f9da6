"""What arrives and what is answered: typed events and results, and the few rules that all of them share."""

from rtbridge.events import _generated
from rtbridge.events._generated import *  # noqa: F403  # the proto decides which names there are
from rtbridge.events.base import Event, InvalidEvent, Received, Result
from rtbridge.events.call import Call, Headers
from rtbridge.events.method import Method
from rtbridge.events.outcome import Failure, Outcome
from rtbridge.events.values import JSON_NULL, NEVER, ExpireAt

__all__ = [
    "JSON_NULL",
    "NEVER",
    "Call",
    "Event",
    "ExpireAt",
    "Failure",
    "Headers",
    "InvalidEvent",
    "Method",
    "Outcome",
    "Received",
    "Result",
]
__all__ += _generated.__all__
