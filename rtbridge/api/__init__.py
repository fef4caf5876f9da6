"""The server API of Centrifugo: what a backend may ask of the server.

.. code-block:: text

    commands   what is asked, and how its result is read    results, payloads  values, in and out
    base       Api and SyncApi                              _methods_generated their methods, from commands
    local      as hooks have it, for threads: threadsafe    http, grpcio       over the network
    remote     in JSON between processes of rtbridge        control            over the control RPC
    connect    configuration → where and how                retries            when a call is made again
    http_wire  what http says on a connection               grpc_calls         what grpcio and control share
    settings   of each wire                                 _generated, _proto_generated  messages
"""

from rtbridge.api._generated import METHODS
from rtbridge.api.base import Api, SyncApi
from rtbridge.api.commands import Command
from rtbridge.api.local import LocalApi
from rtbridge.api.results import (
    ClientInfo,
    History,
    MapChange,
    MapEntry,
    MapState,
    MapStream,
    Position,
    PresenceStats,
    Publication,
)

__all__ = [
    "METHODS",
    "Api",
    "ClientInfo",
    "Command",
    "History",
    "LocalApi",
    "MapChange",
    "MapEntry",
    "MapState",
    "MapStream",
    "Position",
    "PresenceStats",
    "Publication",
    "SyncApi",
]
