"""An HTTP server for people's browsers: the files of a folder, and where the realtime server is.

.. code-block:: text

    app         routes and headers of every answer, on Starlette
    static      which file a path names, and its answer
    realtime    the addresses of the realtime server, as /config.json tells them
"""

from rtbridge.plugins.http.app import http_app, http_transport

__all__ = ["http_app", "http_transport"]
