"""Testing one's hooks: an application in the test's own process, and a clock that the test moves."""

from rtbridge.testing.api import ApiCalls
from rtbridge.testing.app import App, Stream
from rtbridge.testing.clock import VirtualClock

__all__ = ["ApiCalls", "App", "Stream", "VirtualClock"]
