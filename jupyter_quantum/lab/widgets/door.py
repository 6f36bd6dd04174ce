"""What the widget asks of the client. :class:`HubDoor` asks a real hub; tests bring a door of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from jupyter_quantum.wire.jobs import JobView
from jupyter_quantum.wire.reports import ReportLine, ReportView
from jupyter_quantum.wire.results import ResultView

__all__ = ["Door"]


class Door(Protocol):
    """The few requests of a promotion. Each raises :class:`~jupyter_quantum.exceptions.QuantumError`."""

    def report(
        self, work: object, *, shots: int | None, devices: list[str] | None = None, dry_run: str | None = None
    ) -> ReportView:
        """Validate on these devices (all where None) and make a dry run on one of them."""
        ...

    def lines(self, work: object, *, shots: int | None) -> Iterator[ReportLine]:
        """The report on all devices as it is made: each device pending, rows as they come, at last the whole.

        Raises what is raised beforehand at the call, before the first line.
        """
        ...

    def submit(self, report: ReportView, device: str, *, reason: str | None, max_price: int | None) -> JobView:
        """Submit what the report validated; ``max_price`` in micro-credits."""
        ...

    def follow(self, job: JobView, wait_s: float) -> JobView:
        """The job once it has moved on from this version, or after ``wait_s`` seconds."""
        ...

    def cancel(self, job: JobView) -> JobView:
        """Cancel and return the job as it is then."""
        ...

    def replay(self, job: JobView) -> JobView:
        """Run a completed job's work once more, at no more than it could cost."""
        ...

    def verdict(self, job: JobView) -> str:
        """Of a replay that has completed: how it compares with its first job, in words."""
        ...

    def bundle(self, job: JobView) -> str:
        """Save the job's bundle in the working directory; the name of the file."""
        ...

    def result(self, job: JobView) -> ResultView:
        """The result of a completed job."""
        ...

    def expires(self, job: JobView) -> Any:
        """When the request for approval expires (a datetime), or None where that is not known."""
        ...

    def handle(self, job: JobView) -> Any:
        """The client's own job object, as ``hub.job(id)`` gives it."""
        ...
