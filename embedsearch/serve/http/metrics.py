"""What the server counts, in the text form of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import Scope

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one server."""

    def __init__(
        self, waiting: Callable[[], int], indexes: Callable[[], int], models: Callable[[], int]
    ) -> None:
        """Make the counters.

        Args:
            waiting: how many requests wait or are worked on now.
            indexes: how many indexes are open now.
            models: how many models are loaded now.
        """
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "embedsearch_requests",
            "Answers, by route and status.",
            ("route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "embedsearch_request_seconds",
            "Seconds from request to answer, by route.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._batch = Histogram(
            "embedsearch_batch_queries",
            "Queries that went through a model together.",
            buckets=SIZES,
            registry=self._registry,
        )
        self._model = Histogram(
            "embedsearch_batch_seconds",
            "Seconds of a batch in the model and the index.",
            buckets=SECONDS,
            registry=self._registry,
        )
        for name, text, value in (
            ("queue", "Requests that wait or are worked on.", waiting),
            ("indexes_open", "Indexes that are open.", indexes),
            ("models_loaded", "Models that are loaded.", models),
        ):
            Gauge(f"embedsearch_{name}", text, registry=self._registry).set_function(value)
        ProcessCollector(registry=self._registry)  # memory and processor time of this process

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer; 499 where the client was gone before."""
        route = getattr(scope.get("route"), "path", "other")
        self._requests.labels(route, str(status or 499)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        """Count a batch of queries."""
        self._batch.observe(size)
        self._model.observe(seconds)

    def text(self) -> bytes:
        """Return all counters."""
        return generate_latest(self._registry)
