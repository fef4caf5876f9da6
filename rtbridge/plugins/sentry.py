"""Unexpected exceptions of hooks and of the HTTP application, and what does not boot, in Sentry.

Each event and each request has a scope of its own.

``rtbridge.plugins`` need not name it: the section ``rtbridge.sentry``, the variable ``SENTRY_DSN`` or a plugin that has
called ``sentry_sdk.init`` is enough. A client that is there is used as it is; else one is made in each process that
runs hooks, once the plugins are imported. What goes with a report says who and where, never what: no payload, meta,
token or header.
"""

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import nullcontext
from functools import partial
from typing import Any, Final

from rtbridge.config import Config, Sentry
from rtbridge.errors import PluginError, WrongAnswer
from rtbridge.events import Event
from rtbridge.hooks import hookimpl
from rtbridge.isolation import Scope

try:
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger
    from sentry_sdk.integrations.threading import ThreadingIntegration
    from sentry_sdk.scope import use_isolation_scope
    from sentry_sdk.utils import BadDsn
except ImportError as exc:
    raise PluginError("reports to Sentry need sentry-sdk; install it with pip install 'rtbridge[sentry]'") from exc

log = logging.getLogger("rtbridge")

#: Seconds that reports which have not been sent get at the end of the process.
FLUSH: Final = 2.0

#: Sentry's bound for the value of a tag.
_TAG: Final = 200

#: What these log as an error is reported already, with its traceback, and their other lines are about all events.
_OWN_LOGGERS: Final = ("rtbridge.events", "rtbridge.http")

#: The fields of an event that become tags.
_TAGS: Final = ("channel", "method", "client")


class _Process:
    """What there is once in a process.

    Attributes:
        client: The client that was made here.
        base: The scope that those of events begin as: what is set while plugins are imported and boot is in each.

    """

    client: Any = None
    base: Any = None


def start(settings: Sentry | None) -> None:
    """Make a client where none is and one is asked for.

    Raises:
        PluginError: The DSN is none.

    """
    for name in _OWN_LOGGERS:
        ignore_logger(name)
    _Process.base = sentry_sdk.get_isolation_scope()
    settings = settings or Sentry()
    dsn = settings.dsn or os.environ.get("SENTRY_DSN")
    if not dsn or sentry_sdk.get_client().is_active():
        return
    try:
        sentry_sdk.init(
            dsn=dsn,
            environment=settings.environment,
            release=settings.release,
            # Local variables hold payloads and tokens. Of the default integrations those are missing that look at
            # arguments of the command line and at requests, or add headers to what hooks send.
            include_local_variables=False,
            max_request_body_size="never",
            default_integrations=False,
            integrations=[
                AtexitIntegration(callback=_waiting),
                DedupeIntegration(),
                ExcepthookIntegration(),
                LoggingIntegration(),
                ThreadingIntegration(),
            ],
            shutdown_timeout=FLUSH,
        )
    except BadDsn:
        where = "rtbridge.sentry.dsn" if settings.dsn else "the variable SENTRY_DSN"
        raise PluginError(f"{where} is no DSN; copy it from the project's settings: https://KEY@HOST/PROJECT") from None
    _Process.client = sentry_sdk.get_client()


def _waiting(pending: int, timeout: float) -> None:
    log.warning("reports to Sentry have not left yet; they get %g s more", timeout)  # pending counts more than reports


def isolated(tags: Mapping[str, str], user: str = "") -> Scope:
    """A scope of its own for one event or request, entered as often as something of it runs.

    Args:
        tags: By name; a value is cut off at Sentry's bound.
        user: The user's id; "" for none.

    """
    if not sentry_sdk.get_client().is_active():
        return nullcontext
    scope = (_Process.base or sentry_sdk.get_isolation_scope()).fork()
    for name, value in tags.items():
        scope.set_tag(name, value[:_TAG])
    if user:
        scope.set_user({"id": user})
    scope.add_event_processor(_Reported())
    return partial(use_isolation_scope, scope)


def event_scope(event: Event) -> Scope:
    """The scope of an event: its kind, channel, method and client as tags, its user as the user."""
    tags = {"rtbridge.event": event.kind}
    for name in _TAGS:
        value = getattr(event, name, "")
        if value:
            tags[f"rtbridge.{name}"] = value
    return isolated(tags, getattr(event, "user", ""))


def request_scope(scope: MutableMapping[str, Any]) -> Scope:
    """The scope of a request: its method and, where it is reported, its path and its user.

    Args:
        scope: That of ASGI.

    """
    made = isolated({"rtbridge.event": "http", "rtbridge.method": scope["method"]})
    if made is not nullcontext:
        with made():
            sentry_sdk.get_isolation_scope().add_event_processor(partial(_placed, scope))
    return made


def _placed(scope: Mapping[str, Any], report: Any, hint: Mapping[str, Any]) -> Any:
    """The report with what is known of its request by now: a route's path rather than one with what it stands for."""
    path = getattr(scope.get("route"), "path", None) or scope["path"]
    report.setdefault("tags", {}).setdefault("rtbridge.path", str(path)[:_TAG])
    user = getattr(scope.get("user"), "is_authenticated", False) and _identity(scope["user"])
    if user and not report.get("user"):
        report["user"] = {"id": user}
    return report


def _identity(user: Any) -> str:
    """The id of a user as frameworks on Starlette have it, "" where there is none."""
    try:
        return str(user.identity)
    except (AttributeError, NotImplementedError):
        return ""


def request_failed(error: Exception) -> None:
    """Report what a request's handler raised, in its scope; sending is left to the client's own thread."""
    sentry_sdk.capture_exception(error)


class _Reported:
    """Lets each exception of one scope through once, whoever reports it: a hook, its log, or ``on_error``."""

    def __init__(self) -> None:
        self._seen: list[BaseException] = []

    def __call__(self, report: Any, hint: Mapping[str, Any]) -> Any:
        """The report without what our own frames hold, or None for one that has been made."""
        error = (hint.get("exc_info") or (None, None))[1]
        if error is not None:
            if any(error is seen for seen in self._seen):
                return None
            self._seen.append(error)
        for frame in _frames(report):
            if str(frame.get("module") or "").partition(".")[0] == "rtbridge":
                frame.pop("vars", None)  # of a client that wants local variables: ours are events, answers, settings
        return report


def _frames(report: Any) -> Iterator[dict[str, Any]]:
    for part in ("exception", "threads"):
        for value in (report.get(part) or {}).get("values") or ():
            yield from (value.get("stacktrace") or {}).get("frames") or ()


def boot_failed(error: PluginError) -> None:
    """Report a plugin or an application that cannot be imported or does not start."""
    with isolated({"rtbridge.event": "boot"})():
        sentry_sdk.capture_exception(error)


@hookimpl(tryfirst=True, blocking=False)
def on_boot(config: Config) -> None:
    """Make the client, before other plugins boot."""
    start(config.rtbridge.sentry)


@hookimpl(tryfirst=True, blocking=False)
def on_error(event: Event, error: BaseException) -> None:
    """Report it, in the event's scope; sending is left to the client's own thread."""
    with sentry_sdk.new_scope() as scope:
        if isinstance(error, WrongAnswer):  # always raised in the same place
            scope.fingerprint = ["{{ default }}", str(error)]
        elif error.__traceback__ is None:  # too late, after a number of seconds that differs
            scope.fingerprint = [type(error).__name__, event.kind]
            lease = event.call.lease
            if lease is not None and lease.busy:
                scope.set_context("thread", {"stack": lease.stack()})
        sentry_sdk.capture_exception(error)


@hookimpl(trylast=True)
async def on_shutdown() -> None:
    """Give what is not sent yet a while."""
    await asyncio.to_thread(_end)


def _end() -> None:
    own, _Process.client, _Process.base = _Process.client, None, None
    current = sentry_sdk.get_client()
    current.flush(timeout=FLUSH)
    if own is not None:
        own.close(timeout=0.0)
        if own is current:
            sentry_sdk.get_global_scope().set_client(None)
