"""Django's models in hooks: sets Django up, and looks after its database connections on the threads of hooks.

Put ``rtbridge.plugins.django`` first in ``rtbridge.plugins``: it calls ``django.setup()`` when it is imported, so that
the plugins after it may import models. Around each run of ``def`` hooks it does what Django does around a request.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager

from rtbridge.errors import PluginError
from rtbridge.hooks import hookimpl

try:  # Django has no type stubs
    import django  # pyright: ignore[reportMissingTypeStubs]
    from django.conf import settings  # pyright: ignore[reportMissingTypeStubs]
    from django.db import close_old_connections, reset_queries  # pyright: ignore[reportMissingTypeStubs]
except ImportError as exc:
    raise PluginError("rtbridge.plugins.django needs Django; install it with pip install 'rtbridge[django]'") from exc

if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
    raise PluginError(
        "rtbridge.plugins.django needs settings; set DJANGO_SETTINGS_MODULE, for example under server.env in .rr.yaml"
    )
django.setup()


@hookimpl(tryfirst=True)
@contextmanager
def around_blocking() -> Generator[None]:
    """Close connections that are broken or older than ``CONN_MAX_AGE``, before hooks run on this thread and after."""
    reset_queries()
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()
