"""What a server counts, in Prometheus' form."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "captioner_requests_total", "Requests answered.", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "captioner_request_seconds",
            "From a request's head to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._open = Gauge("captioner_requests_open", "Requests being answered.", registry=self._registry)
        self._rows = Counter(
            "captioner_rows_total", "Files and texts done.", ["job", "result"], registry=self._registry
        )
        self._batch = Histogram(
            "captioner_batch_size", "Files done together.", buckets=(1, 2, 4, 8, 16, 32), registry=self._registry
        )
        self._batch_seconds = Histogram(
            "captioner_batch_seconds", "Time that a batch took.", buckets=_SECONDS, registry=self._registry
        )
        self._waiting = Gauge("captioner_queue_files", "Files that wait.", registry=self._registry)

    def watch_queue(self, waiting: Callable[[], int]) -> None:
        """Tell how many files wait whenever somebody asks."""
        self._waiting.set_function(waiting)

    def asked(self) -> None:
        """Count a request that has come."""
        self._open.inc()

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request that has been answered."""
        self._open.dec()
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def done(self, job: str, failed: bool) -> None:
        """Count a file or text."""
        self._rows.labels(job, "error" if failed else "ok").inc()

    def batch(self, size: int, seconds: float) -> None:
        """Count files that were done together."""
        self._batch.observe(size)
        self._batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self._registry)
