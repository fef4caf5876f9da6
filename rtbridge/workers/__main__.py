"""A worker process; its parent runs this file: ``python -P …/rtbridge/workers/__main__.py FD NUMBER``."""

import os
import signal
import socket
import sys
from pathlib import Path


def main() -> None:
    """Run one worker over the socket that this process was given."""
    # The parent may have found this package where this interpreter does not look; its own path comes with the start.
    sys.path.append(str(Path(__file__).parents[2]))
    for number in (signal.SIGINT, signal.SIGHUP):  # meant for the parent, which says what to do
        signal.signal(number, signal.SIG_IGN)
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    end = socket.socket(fileno=descriptor)
    from rtbridge.workers.child import run

    sys.exit(run(end))


if __name__ == "__main__":
    main()
