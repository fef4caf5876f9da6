"""What arrives and what is answered: typed events and results, and the few rules that all of them share."""

from rtbridge.events._generated import *  # noqa: F403  # the generated module lists its public names
from rtbridge.events.base import Event as Event
from rtbridge.events.base import InvalidEvent as InvalidEvent
from rtbridge.events.base import Received as Received
from rtbridge.events.base import Result as Result
from rtbridge.events.call import Call as Call
from rtbridge.events.call import Headers as Headers
from rtbridge.events.method import Method as Method
from rtbridge.events.outcome import Failure as Failure
from rtbridge.events.outcome import Outcome as Outcome
from rtbridge.events.values import JSON_NULL as JSON_NULL
from rtbridge.events.values import NEVER as NEVER
from rtbridge.events.values import ExpireAt as ExpireAt
