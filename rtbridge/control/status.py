"""``/health`` and ``/ready``: for probes of a container's host and of load balancers."""

from collections import Counter
from collections.abc import Callable, Mapping

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from rtbridge.config import Status
from rtbridge.control.base import Controlled
from rtbridge.transport.uvicorn import UvicornTransport

#: A probe sends next to nothing.
_HEADERS = 8 * 1024


def status_app(controlled: Controlled, listeners: Callable[[], Mapping[str, str]], unavailable: int) -> Starlette:
    """The application.

    ``/health`` is 200 as long as the process answers at all. ``/ready`` is 200 while new calls are welcome and
    ``unavailable`` while workers boot, fail again and again, or drain. Both tell the same in JSON: ``ready``, ``why``
    (why not), ``workers`` (how many by state), ``queue`` (calls that wait) and ``listeners``.

    Args:
        controlled: The process.
        listeners: What listens where, by transport.
        unavailable: ``status.unavailable_status_code``.

    """

    def report() -> dict[str, object]:
        seen = controlled.seen()
        return {
            "ready": seen.ready,
            "why": list(seen.reasons),
            "workers": dict(Counter(str(worker["state"]) for worker in seen.workers)),
            "queue": seen.queue,
            "listeners": dict(listeners()),
        }

    async def health(request: Request) -> JSONResponse:
        return JSONResponse(report())

    async def ready(request: Request) -> JSONResponse:
        found = report()
        return JSONResponse(found, 200 if found["ready"] else unavailable)

    return Starlette(routes=[Route("/health", health), Route("/ready", ready)])


def status_transport(
    config: Status, controlled: Controlled, listeners: Callable[[], Mapping[str, str]]
) -> UvicornTransport:
    """The application where the section ``status`` wants it, not yet started."""
    app = status_app(controlled, listeners, config.unavailable_status_code)
    return UvicornTransport(app, config.address.target, tls=None, header_size=_HEADERS, name="status")
