"""``python -m rtbridge``: the command line."""

from rtbridge.cli import main

if __name__ == "__main__":
    main()
