"""``.rr.yaml``: RoadRunner's file, read into a typed, frozen model.

.. code-block:: text

    document   YAML → tree with positions       tree       what that is
    options    -o key.path=value over it        roadrunner what is not read, and why
    dotenv     .env → variables                 interpolate ${VAR} in texts
    model      keys, types, defaults            kinds, values, shape  how one value is read
    convert    tree → model                     faults     every error text
    schema     model → JSON Schema              load       the way through all of it
"""

from rtbridge.config.api import ApiHttp, ApiTls, CentrifugoApi
from rtbridge.config.embedded import Embedded
from rtbridge.config.http import Cors, Http, HttpHeaders, HttpSsl, Sendfile, Static, Uploads
from rtbridge.config.kv import Kv, KvStore, KvStoreOptions
from rtbridge.config.load import Loaded, embedded_from, load_config, parse_config
from rtbridge.config.model import (
    Centrifuge,
    ClientTls,
    Config,
    DisconnectAnswer,
    ErrorAnswer,
    HttpProxy,
    Limits,
    Logs,
    Rpc,
    Rtbridge,
    Secret,
    Sentry,
    Server,
    ServerTls,
    Status,
    Unhandled,
)
from rtbridge.config.pool import DynamicAllocator, HttpPool, Pool, Supervisor
from rtbridge.config.schema import json_schema
from rtbridge.config.values import Address, parse_address

__all__ = [
    "Address",
    "ApiHttp",
    "ApiTls",
    "Centrifuge",
    "CentrifugoApi",
    "ClientTls",
    "Config",
    "Cors",
    "DisconnectAnswer",
    "DynamicAllocator",
    "Embedded",
    "ErrorAnswer",
    "Http",
    "HttpHeaders",
    "HttpPool",
    "HttpProxy",
    "HttpSsl",
    "Kv",
    "KvStore",
    "KvStoreOptions",
    "Limits",
    "Loaded",
    "Logs",
    "Pool",
    "Rpc",
    "Rtbridge",
    "Secret",
    "Sendfile",
    "Sentry",
    "Server",
    "ServerTls",
    "Static",
    "Status",
    "Supervisor",
    "Unhandled",
    "Uploads",
    "embedded_from",
    "json_schema",
    "load_config",
    "parse_address",
    "parse_config",
]
