"""Where unexpected exceptions are reported."""

from typing import Protocol

from starlette.types import Scope

from rtbridge.errors import PluginError
from rtbridge.isolation import Scope as Inside


class Reporter(Protocol):
    """Whoever reports them."""

    def request_scope(self, scope: Scope) -> Inside:
        """What is entered around everything that runs for a request."""
        ...

    def request_failed(self, error: Exception) -> None:
        """Report what the handler of a request raised."""
        ...

    def boot_failed(self, error: PluginError) -> None:
        """Report what keeps an application from answering."""
        ...
