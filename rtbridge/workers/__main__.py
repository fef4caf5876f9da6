"""A worker process; its parent starts it: ``python -P -m rtbridge.workers FD NUMBER NAME``."""

import os
import signal
import socket
import sys


def main() -> None:
    """Run one worker over the socket that this process was given."""
    for number in (signal.SIGINT, signal.SIGHUP):  # meant for the parent, which says what to do
        signal.signal(number, signal.SIG_IGN)
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    end = socket.socket(fileno=descriptor)
    from rtbridge.workers.child import run

    sys.exit(run(end))


if __name__ == "__main__":
    main()
