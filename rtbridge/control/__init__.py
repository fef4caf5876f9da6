"""How a running process is watched and told what to do.

.. code-block:: text

    base     what can be asked of a process
    status   /health and /ready over HTTP
    service  the control RPC on grpc.aio
    client   its caller
"""
