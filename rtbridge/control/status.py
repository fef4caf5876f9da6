"""``/health`` and ``/ready``: for probes of a container's host and of load balancers; ``/metrics`` for Prometheus."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from rtbridge.config import Status
from rtbridge.control.base import Controlled
from rtbridge.transport.uvicorn import UvicornTransport
from rtbridge.transport.uvicorn_protocol import Connections

#: A probe sends next to nothing.
_HEADERS = 8 * 1024

#: It says it at once, and asks again at an interval.
_CONNECTIONS = Connections(keep_alive=75, receive_timeout=20.0, send_timeout=20.0)


class Exposition(Protocol):
    """Text for Prometheus, and its type."""

    @property
    def body(self) -> bytes:
        """The text."""
        ...

    @property
    def media_type(self) -> str:
        """Its type."""
        ...


def status_app(
    controlled: Controlled,
    listeners: Callable[[], Mapping[str, str]],
    unavailable: int,
    metrics: Callable[[], Exposition | None] = lambda: None,
) -> Starlette:
    """The application.

    ``/health`` is 200 as long as the process answers at all. ``/ready`` is 200 while new calls are welcome and
    ``unavailable`` while workers boot, fail again and again, or drain. Both tell the same in JSON: ``ready``, ``why``
    (why not), ``workers`` (how many by state), ``queue`` (calls that wait) and ``listeners``. ``/metrics`` is there
    where something is counted.

    Args:
        controlled: The process.
        listeners: What listens where, by transport.
        unavailable: ``status.unavailable_status_code``.
        metrics: Gives what is counted, or None for nothing.

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

    async def counted(request: Request) -> Response:
        found = metrics()
        if found is None:
            return PlainTextResponse("nothing is counted: http.middleware does not name http_metrics", 404)
        return Response(found.body, headers={"content-type": found.media_type})

    return Starlette(routes=[Route("/health", health), Route("/ready", ready), Route("/metrics", counted)])


def status_transport(
    config: Status,
    controlled: Controlled,
    listeners: Callable[[], Mapping[str, str]],
    metrics: Callable[[], Exposition | None] = lambda: None,
) -> UvicornTransport:
    """The application where the section ``status`` wants it, not yet started."""
    app = status_app(controlled, listeners, config.unavailable_status_code, metrics)
    return UvicornTransport(
        app, config.address.target, tls=None, header_size=_HEADERS, name="status", connections=_CONNECTIONS
    )
