"""A server that speaks Centrifugo's client protocol, from one process's memory.

.. code-block:: text

    fronts/     sockets and HTTP: WebSocket, SSE, HTTP streams, server API
    wire        bytes ↔ messages            session    a connection, sans-IO
    commands/   what a client asks for      hub        channels, publications, presence
    rules       options and permissions     history    offsets, recovery
    tokens      JWT                         backend    events to the hooks, answers back
    api         the server API              node       what all of it shares
"""

from rtbridge.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer"]
