"""Whether exceptions are reported to Sentry: asked of the configuration, the environment and the plugins."""

import os
import sys
from collections.abc import Callable, MutableMapping
from importlib.util import find_spec
from typing import Any, Final, Protocol

from rtbridge.config import Config, Sentry
from rtbridge.errors import PluginError
from rtbridge.events import Event
from rtbridge.isolation import Scope

#: The plugin that reports.
SENTRY: Final = "rtbridge.plugins.sentry"

_DSN: Final = "SENTRY_DSN"


class Reporter(Protocol):
    """What the plugin has beside its hooks."""

    def start(self, settings: Sentry | None) -> None:
        """Make a client where none is and one is asked for."""
        ...

    def event_scope(self, event: Event) -> Scope:
        """What is entered around everything that runs for an event."""
        ...

    def request_scope(self, scope: MutableMapping[str, Any]) -> Scope:
        """What is entered around everything that runs for a request, by its scope in ASGI."""
        ...

    def request_failed(self, error: Exception) -> None:
        """Report what the handler of a request raised."""
        ...

    def boot_failed(self, error: PluginError) -> None:
        """Report what keeps plugins or an application from answering."""
        ...


def _client_is_there() -> bool:
    """Whether a plugin or the application has called ``sentry_sdk.init``."""
    sdk: Any = sys.modules.get("sentry_sdk")
    get_client = getattr(sdk, "get_client", None)
    return get_client is not None and bool(get_client().is_active())


def asked_for(config: Config) -> bool:
    """Whether exceptions are to be reported, as far as that is known by now."""
    own = config.rtbridge
    if own.sentry is not None or SENTRY in own.plugins or _client_is_there():
        return True
    return bool(os.environ.get(_DSN)) and find_spec("sentry_sdk") is not None


class Reports:
    """Whoever reports exceptions, once one is asked for: by the plugins, or by what is imported and started after them.

    Args:
        config: The configuration.

    Attributes:
        reporter: Whoever reports; None as long as nobody is asked to.
        on_late: Called with a reporter that was not there before; None does nothing.

    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.reporter: Reporter | None = None
        self.on_late: Callable[[Reporter], None] | None = None

    def look(self) -> Reporter | None:
        """Whoever reports by now.

        Raises:
            PluginError: The plugin's package is not installed.

        """
        if self.reporter is None and asked_for(self._config):
            self.reporter = reporter()
            if self.on_late is not None:
                self.on_late(self.reporter)
        return self.reporter


def reporter() -> Reporter:
    """The plugin.

    Raises:
        PluginError: Its package is not installed.

    """
    from rtbridge.plugins import sentry

    return sentry


def warnings(config: Config) -> list[str]:
    """What keeps exceptions from being reported, where that may not be meant."""
    dsn = os.environ.get(_DSN)
    if dsn and not asked_for(config):
        return [f"{_DSN} is set and nothing is reported: pip install 'rtbridge[sentry]'"]
    own = config.rtbridge.sentry
    if own is not None and not (own.dsn or dsn or _client_is_there()):
        return [
            f"nothing is reported to Sentry: set rtbridge.sentry.dsn or {_DSN}, or call sentry_sdk.init in a plugin"
        ]
    return []
