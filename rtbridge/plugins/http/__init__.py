"""An HTTP server: the user's application, the files of a folder, and where the realtime server is.

.. code-block:: text

    server      on a socket            app         layers around the user's application
    guard       exceptions, reset      hosted      that application: loading, lifespan
    intime      counts, time           routes      those of hooks
    failing     where no worker is     reports     to whom exceptions are reported
    doors       where it listens       metrics     what is counted
    bodies      sizes; uploads         static      which file a path names
    headers     CORS, gzip             sendfile    files that the application names
    proxies     client addresses       own         answers of the server's own; realtime, what pages are told
    relay       parts of an answer from their maker to their reader; threads, for makers that block
    streams     generators             files       with conditions and ranges; media, their types
    jsonstream  JSON of any size       sse         server-sent events
    handlers    of values, on Starlette
"""

from rtbridge.plugins.http.app import http_app
from rtbridge.plugins.http.server import http_transport

__all__ = ["http_app", "http_transport"]
