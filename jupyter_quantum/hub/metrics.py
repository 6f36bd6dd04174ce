"""What the service counts, for Prometheus; names follow one rule: ``quantum_<noun>_<verb>_<unit>``."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class Metrics:
    """The counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Histogram(
            "quantum_request_answer_seconds",
            "Time from a request's headers to its answer; long polls included.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.streams = Gauge("quantum_stream_open_count", "Event streams that are open.", registry=self.registry)
        self.restarts = Counter("quantum_runner_restart", "Restarts of the local runner.", registry=self.registry)
        self.refusals = Counter(
            "quantum_request_refuse", "Requests answered with an error, by code.", ["code"], registry=self.registry
        )

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)
