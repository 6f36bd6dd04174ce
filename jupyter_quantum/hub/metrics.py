"""What the service counts, for Prometheus; names follow one rule: ``quantum_<noun>_<verb>_<unit>``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

__all__ = ["Metrics", "RunnerCount"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


@dataclass(frozen=True, slots=True)
class RunnerCount:
    """What there is of the runners of one owner."""

    owner: str
    """The service of the hub; ``local`` for the one on this machine."""
    runners: int
    devices: int
    leases: int


class _Runners(Collector):
    """Looks at the runners when somebody scrapes."""

    def __init__(self, look: Callable[[], tuple[list[RunnerCount], int]]) -> None:
        self._look = look

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Runners, devices and leases by owner; devices that wait for an operator."""
        found, pending = self._look()
        for name, words, value in (
            ("quantum_runner_live_count", "Runners that ask for work.", "runners"),
            ("quantum_device_serve_count", "Devices that they serve.", "devices"),
            ("quantum_lease_hold_count", "Tasks that they hold.", "leases"),
        ):
            family = GaugeMetricFamily(name, words, labels=["runner"])
            for one in found:
                family.add_metric([one.owner], getattr(one, value))
            yield family
        yield GaugeMetricFamily("quantum_device_wait_count", "Devices that wait for an operator.", value=pending)


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
        self.reports = Counter(
            "quantum_task_report", "Reports of runners, by state.", ["runner", "state"], registry=self.registry
        )
        self.refusals = Counter(
            "quantum_request_refuse", "Requests answered with an error, by code.", ["code"], registry=self.registry
        )

    def watch(self, look: Callable[[], tuple[list[RunnerCount], int]]) -> None:
        """Where numbers about runners are read, and how many devices wait for an operator."""
        self.registry.register(_Runners(look))

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)
