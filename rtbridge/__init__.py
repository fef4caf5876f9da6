"""Centrifugo-first realtime SDK for Python: proxy calls become typed events, hooks answer them, silence denies."""

from rtbridge.api import Api, ClientInfo, Command, History, Position, PresenceStats, SyncApi
from rtbridge.app import asgi, load_config
from rtbridge.config import Config
from rtbridge.dumping import dump
from rtbridge.errors import (
    ApiError,
    ApiFailure,
    BadRequest,
    BinaryPayload,
    ClientError,
    ConfigError,
    Disconnect,
    HookError,
    InvalidMessage,
    KvError,
    KvLimit,
    KvUnavailable,
    KvUnreadable,
    KvUnsupported,
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
from rtbridge.stores import Kv, KvStores, SyncKv, kv

__version__ = "0.1.0"

__all__ = [
    "JSON_NULL",
    "NEVER",
    "Api",
    "ApiError",
    "ApiFailure",
    "BadRequest",
    "BinaryPayload",
    "CallNext",
    "ClientError",
    "ClientInfo",
    "Command",
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
    "Kv",
    "KvError",
    "KvLimit",
    "KvStores",
    "KvUnavailable",
    "KvUnreadable",
    "KvUnsupported",
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
    "SyncApi",
    "SyncKv",
    "WrongAnswer",
    "asgi",
    "current_event",
    "dump",
    "hookimpl",
    "kv",
    "load_config",
    "resettable",
]
__all__ += _generated.__all__
