"""What Prometheus may ask: requests, their times, faces, refusals, the queue, memory."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client import generate_latest as as_text
from starlette.types import Scope

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The counters of one server."""

    def __init__(self, pending: Callable[[], int]) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._requests = Counter("mien_requests", "Requests", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "mien_request_seconds", "Time to the answer", ["route"], registry=registry, buckets=_SECONDS
        )
        self.faces = Counter("mien_faces", "Faces found in pictures", registry=registry)
        self.refusals = Counter("mien_refusals", "Requests refused", ["status"], registry=registry)
        queue = Gauge("mien_pending_requests", "Requests that are looked at or wait for it", registry=registry)
        queue.set_function(pending)

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request that was answered; `status` 0 where the client had gone."""
        path = getattr(scope.get("route"), "path", "")
        route = path or ("page" if 200 <= status < 400 else "other")
        self._requests.labels(route, str(status or 499)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return as_text(self._registry)
