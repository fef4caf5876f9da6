"""Centrifugo-first realtime SDK for Python: proxy calls become typed events, hooks answer them, silence denies."""

from rtbridge.app import asgi
from rtbridge.config import Config
from rtbridge.errors import (
    BadRequest,
    BinaryPayload,
    ClientError,
    ConfigError,
    Disconnect,
    HookError,
    InvalidMessage,
    ListenError,
    MetaError,
    Overloaded,
    PluginError,
    RtbridgeError,
    SetupError,
    WrongAnswer,
)
from rtbridge.events import JSON_NULL, NEVER, Event, ExpireAt, Headers, InvalidEvent, Outcome, _generated
from rtbridge.events._generated import *  # noqa: F403  # the proto decides which names there are
from rtbridge.hooks import CallNext, Router, hookimpl

__version__ = "0.1.0"

__all__ = [
    "JSON_NULL",
    "NEVER",
    "BadRequest",
    "BinaryPayload",
    "CallNext",
    "ClientError",
    "Config",
    "ConfigError",
    "Disconnect",
    "Event",
    "ExpireAt",
    "Headers",
    "HookError",
    "InvalidEvent",
    "InvalidMessage",
    "ListenError",
    "MetaError",
    "Outcome",
    "Overloaded",
    "PluginError",
    "Router",
    "RtbridgeError",
    "SetupError",
    "WrongAnswer",
    "asgi",
    "hookimpl",
]
__all__ += _generated.__all__
