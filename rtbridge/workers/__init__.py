"""Worker processes: one parent that owns the sockets, workers that run hooks.

.. code-block:: text

    parent                                            worker
    parent      a configuration served by workers     __main__    the start of the process
    supervisor  starts, watches, replaces workers     child       its life
    slots       the places of workers                 duty        what every worker does
    pool        hands calls to workers                answerer    takes calls, runs hooks
    web         the socket of HTTP workers            acceptor    takes connections, answers requests
    process     one worker, as its parent sees it     outgoing    a stream
    held        one call, one stream                  framed_api  the server API, framed_stores stores
    requests    events made in the parent
    usage       memory, CPU, limits of a worker

    both        frames: what travels, and how it is written; link: one end of the socketpair
"""
