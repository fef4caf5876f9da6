"""Centrifugo-first realtime SDK for Python: proxy calls become typed events, hooks answer them, silence denies."""

from rtbridge.api import Api, ClientInfo, History, Position, PresenceStats
from rtbridge.app import asgi
from rtbridge.config import Config
from rtbridge.dumping import dump
from rtbridge.errors import (
    ApiError,
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
from rtbridge.isolation import current_event, resettable

__version__ = "0.1.0"

__all__ = [
    "JSON_NULL",
    "NEVER",
    "Api",
    "ApiError",
    "BadRequest",
    "BinaryPayload",
    "CallNext",
    "ClientError",
    "ClientInfo",
    "Config",
    "ConfigError",
    "Disconnect",
    "Event",
    "ExpireAt",
    "Headers",
    "History",
    "HookError",
    "InvalidEvent",
    "InvalidMessage",
    "ListenError",
    "MetaError",
    "Outcome",
    "Overloaded",
    "PluginError",
    "Position",
    "PresenceStats",
    "Router",
    "RtbridgeError",
    "SetupError",
    "WrongAnswer",
    "asgi",
    "current_event",
    "dump",
    "hookimpl",
    "resettable",
]
__all__ += _generated.__all__
