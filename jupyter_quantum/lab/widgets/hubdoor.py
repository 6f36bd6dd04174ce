"""The door of a real hub."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from jupyter_quantum.client.hub import Hub
from jupyter_quantum.client.origin import origin, sent_from
from jupyter_quantum.client.report import report_lines
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.wire.jobs import Approvals, JobView
from jupyter_quantum.wire.reports import ReportLine, ReportRequest, ReportView
from jupyter_quantum.wire.results import ResultView

__all__ = ["HubDoor"]

_PATIENCE_S: Final = 2.0
"""After so long (seconds) the widget says that the service does not answer, and goes on asking."""


class HubDoor:
    """Asks ``hub`` (``Hub()`` where omitted)."""

    def __init__(self, hub: Hub | None = None) -> None:
        self._hub = Hub() if hub is None else hub
        self._cell = origin()
        """The one that promotes: its button is pressed later."""
        self._jobs: dict[str, Any] = {}
        self._asking = threading.Lock()
        self._asked: tuple[object, int | None, ReportRequest] | None = None

    def report(
        self, work: object, *, shots: int | None, devices: list[str] | None = None, dry_run: str | None = None
    ) -> ReportView:
        """Validate, and make a dry run."""
        request = self._request(work, shots).model_copy(update={"devices": devices, "dry_run": dry_run})
        return self._hub._connection.post("reports", ReportView, request)

    def lines(self, work: object, *, shots: int | None) -> Iterator[ReportLine]:
        """Validate everywhere, row by row."""
        return report_lines(self._hub._connection, self._request(work, shots))

    def _request(self, work: object, shots: int | None) -> ReportRequest:
        """The request for this work. Its circuits are written once, by the cell that promotes them: what the widget
        asks later, on a thread of its own, reads no circuit that a cell may be working on."""
        with self._asking:
            if self._asked is None or self._asked[0] is not work:
                self._asked = (work, shots, self._written(work, shots))
            elif self._asked[1] != shots:
                self._asked = (work, shots, self._with_shots(self._asked[2], work, shots))
            return self._asked[2]

    def _written(self, work: object, shots: int | None) -> ReportRequest:
        return self._hub._report_request(work, shots, None, {}, None, "auto")

    def _with_shots(self, known: ReportRequest, work: object, shots: int | None) -> ReportRequest:
        if known.kind is not JobKind.RUN or shots is None:
            return self._written(work, shots)  # each PUB has shots of its own
        return known.model_copy(update={"options": {**known.options, "shots": shots}})

    def submit(self, report: ReportView, device: str, *, reason: str | None, max_price: int | None) -> JobView:
        """Submit what was validated."""
        at_most = None if max_price is None else max_price / CREDIT
        with sent_from(self._cell):
            job = self._hub.submit(report.id, device, max_price=at_most, reason=reason)
        self._jobs[job.view.id] = job
        return job.view

    def follow(self, job: JobView, wait_s: float) -> JobView:
        """The job once it has moved on, by one long poll."""
        ask = self._hub._connection.get
        return ask(f"jobs/{job.id}", JobView, wait_s=wait_s, patience_s=_PATIENCE_S, version=job.version)

    def cancel(self, job: JobView) -> JobView:
        """Cancel."""
        handle = self.handle(job)
        handle.cancel()
        seen: JobView = handle.view
        return seen

    def replay(self, job: JobView) -> JobView:
        """Run it once more, on its own device, at no more than it could cost then."""
        at_most = None if job.price_at_most is None else job.price_at_most / CREDIT
        with sent_from(self._cell):
            again = self.handle(job).replay(max_price=at_most)
        self._jobs[again.view.id] = again
        seen: JobView = again.view
        return seen

    def verdict(self, job: JobView) -> str:
        """The verdict's sentence, with its test and p-value."""
        said: str = self.handle(job).verdict().words
        return said

    def bundle(self, job: JobView) -> str:
        """Save it; the file is named for the job."""
        return str(self.handle(job).bundle())

    def result(self, job: JobView) -> ResultView:
        """The result, from the job itself where it came with it."""
        if job.result is not None:
            return ResultView.model_validate(job.result)
        return self._hub._connection.get(f"jobs/{job.id}/result", ResultView)

    def expires(self, job: JobView) -> datetime | None:
        """When the open request for this job expires."""
        asked = self._hub._connection.get("approvals", Approvals, state="open").approvals
        return next((one.expires for one in asked if one.id == job.approval or one.job.id == job.id), None)

    def handle(self, job: JobView) -> Any:
        """The job object that the submission made."""
        if job.id not in self._jobs:
            self._jobs[job.id] = self._hub.job(job.id)
        return self._jobs[job.id]
