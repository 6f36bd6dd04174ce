"""What a runner counts, for Prometheus at a port on loopback; names follow one rule: ``quantum_<noun>_<verb>_<unit>``.

There is one runner in a process, so there is one :data:`METRICS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["METRICS", "RunnerMetrics", "serve"]

_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0)


class RunnerMetrics:
    """Counters of one runner, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.tasks = Counter(
            "quantum_task_end", "Tasks by kind and by how they ended.", ["task", "outcome"], registry=self.registry
        )
        self.seconds = Histogram(
            "quantum_task_run_seconds",
            "Time from a task's lease to its last report.",
            ["task"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.messages = Counter(
            "quantum_message_send",
            "Messages to the service, by what became of them.",
            ["message", "outcome"],
            registry=self.registry,
        )
        self.calls = Counter(
            "quantum_vendor_call", "Questions to vendors.", ["device", "verb", "outcome"], registry=self.registry
        )
        self.answers = Histogram(
            "quantum_vendor_answer_seconds",
            "Time until a vendor answered, or did not.",
            ["device", "verb"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.leases = Gauge("quantum_lease_hold_count", "Tasks that are leased now.", registry=self.registry)
        self.workers = Gauge("quantum_worker_live_count", "Locked workers that live now.", registry=self.registry)
        self.ready = Gauge("quantum_worker_wait_count", "Locked workers that wait for a user.", registry=self.registry)

    def watch(self, leases: Callable[[], int], workers: Callable[[], int], ready: Callable[[], int]) -> None:
        """Where the gauges read."""
        self.leases.set_function(leases)
        self.workers.set_function(workers)
        self.ready.set_function(ready)

    @contextmanager
    def asking(self, device: str, verb: str) -> Iterator[None]:
        """Count a question to a vendor, and how long it took."""
        began, outcome = time.monotonic(), "answered"
        try:
            yield
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            self.calls.labels(device, verb, outcome).inc()
            self.answers.labels(device, verb).observe(time.monotonic() - began)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)


METRICS: Final = RunnerMetrics()


async def serve(port: int) -> tuple[web.AppRunner, int]:
    """Answer ``/metrics`` on loopback; returns what to clean up, and the port. Raises ``OSError`` where it is taken."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=METRICS.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    made = web.AppRunner(app, access_log=None)
    await made.setup()
    site = web.TCPSite(made, "127.0.0.1", port)
    await site.start()
    found: int = made.addresses[0][1]
    return made, found
