"""Counters and durations of a server, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECOND_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_COUNT_BUCKETS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one server, which ``docs/serve.md`` lists."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "rilievo_requests",
            "Requests by route and status.",
            ("route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "rilievo_request_seconds",
            "Time from the request's headers to the end of the response.",
            ("route",),
            buckets=_SECOND_BUCKETS,
            registry=registry,
        )
        self._batches = Histogram(
            "rilievo_batch_photographs",
            "Photographs that the network processes in one batch.",
            buckets=_COUNT_BUCKETS,
            registry=registry,
        )
        self._frames = Counter(
            "rilievo_stream_frames",
            "Stream frames by outcome.",
            ("outcome",),
            registry=registry,
        )

    def count_request(self, route: str, status: int, seconds: float | int) -> None:
        """Count an answered request and its duration."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_batch(self, count: int) -> None:
        """Count a run of a network on ``count`` photographs."""
        self._batches.observe(count)

    def count_frame(self, outcome: str) -> None:
        """Count a frame of a stream; the outcome is answered, passed_over or refused."""
        self._frames.labels(outcome).inc()

    def add_gauge(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Add a gauge whose number the function ``value`` returns whenever Prometheus asks."""
        Gauge(f"rilievo_{name}", description, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """Metrics in Prometheus's text format."""
        return generate_latest(self._registry)
