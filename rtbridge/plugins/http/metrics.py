"""``http_metrics``: how many requests there were and how long they took, by status, with RoadRunner's names.

Workers count, whoever has the status page adds up and shows it. There is no label but the status, so what is kept is
bounded, whatever is asked for.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import Final, NamedTuple, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.errors import PluginError

#: Upper bounds of the histogram's buckets in seconds: those of Prometheus's own clients.
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

#: Status, seconds in all, and how many requests took up to each bound but more than the one before; the last for more.
Row: TypeAlias = tuple[int, float, list[int]]


class Counts:
    """Requests that have ended, by status."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self._buckets: dict[int, list[int]] = {}

    def one(self, status: int, seconds: float) -> None:
        """A request has ended."""
        self._row(status)[bisect_left(BOUNDS, seconds)] += 1
        self._seconds[status] += seconds

    def _row(self, status: int) -> list[int]:
        row = self._buckets.get(status)
        if row is None:
            row = self._buckets[status] = [0] * (len(BOUNDS) + 1)
            self._seconds[status] = 0.0
        return row

    def add(self, rows: Iterable[Row]) -> None:
        """What another process has counted."""
        for status, seconds, buckets in rows:
            row = self._row(status)
            for index, count in enumerate(buckets[: len(row)]):
                row[index] += count
            self._seconds[status] += seconds

    def rows(self) -> list[Row]:
        """Everything so far."""
        return [(status, self._seconds[status], buckets) for status, buckets in sorted(self._buckets.items())]

    def take(self) -> list[Row]:
        """The same, to count from zero on."""
        found = self.rows()
        self._seconds, self._buckets = {}, {}
        return found


class Measured:
    """Counts what passes.

    Args:
        app: The application.
        counts: Where to.
        status: That of a request whose application fails.
        clock: Times requests.

    Raises:
        PluginError: The package is not installed that the counts are shown with.

    """

    def __init__(self, app: ASGIApp, counts: Counts, status: int, clock: Clock = SYSTEM_CLOCK) -> None:
        if find_spec("prometheus_client") is None:
            text = "http_metrics needs prometheus-client; install it with pip install 'rtbridge[metrics]'"
            raise PluginError(f"http.middleware: {text}")
        self._app = app
        self._counts = counts
        self._status = status
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        status = self._status

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = self._clock.monotonic()
        try:
            await self._app(scope, receive, noting)
        finally:
            self._counts.one(status, self._clock.monotonic() - began)


class Exposition(NamedTuple):
    """Text for Prometheus.

    Attributes:
        body: The text.
        media_type: Its type.

    """

    body: bytes
    media_type: str


def exposition(counts: Counts, held: int) -> Exposition:
    """The counts as Prometheus reads them.

    Args:
        counts: Requests that have ended.
        held: Requests under way.

    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
    from prometheus_client.registry import Collector

    class Families(Collector):
        def collect(self) -> Iterator[Metric]:
            total = CounterMetricFamily("rr_http_request", "Requests that have ended.", labels=["status"])
            took = HistogramMetricFamily("rr_http_request_duration_seconds", "How long they took.", labels=["status"])
            for status, seconds, buckets in counts.rows():
                total.add_metric([str(status)], sum(buckets))
                took.add_metric([str(status)], list(_cumulative(buckets)), seconds)
            yield total
            yield took
            yield GaugeMetricFamily("rr_http_requests_queue", "Requests under way.", held)

    registry = CollectorRegistry()
    registry.register(Families())
    return Exposition(generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4)


def _cumulative(buckets: Sequence[int]) -> Iterator[tuple[str, float]]:
    so_far = 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), buckets, strict=True):
        so_far += count
        yield bound, so_far
