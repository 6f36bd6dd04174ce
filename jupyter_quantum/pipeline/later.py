"""Jobs that wait for a moment (their budget's next window, another try): queued, and not yet in a device's queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo

from jupyter_quantum.pipeline import sentences
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.wire.devices import Wait

__all__ = ["Later"]


class Later:
    """Who joins the queue when."""

    def __init__(self, clock: Callable[[], datetime], zone: tzinfo) -> None:
        self._clock = clock
        self._zone = zone
        self._jobs: dict[str, JobRow] = {}

    def keep(self, row: JobRow) -> bool:
        """Whether it is too early for this job; it is kept then until :meth:`due` gives it back."""
        if row.not_before is None or row.not_before <= self._clock():
            return False
        self._jobs[row.id] = row
        return True

    def drop(self, job_id: str) -> None:
        """The job waits no longer."""
        self._jobs.pop(job_id, None)

    def due(self) -> list[JobRow]:
        """Jobs whose time has come, in the order in which they were submitted; they are not kept any more."""
        if not self._jobs:
            return []
        now = self._clock()
        found = [row for row in self._jobs.values() if row.not_before is None or row.not_before <= now]
        for row in found:
            del self._jobs[row.id]
        return sorted(found, key=lambda row: row.id)

    def wait(self, job_id: str) -> Wait | None:
        """Why such a job waits; None for one that is not kept."""
        row = self._jobs.get(job_id)
        if row is None or row.not_before is None:
            return None
        now = self._clock()
        seconds = round(max(0.0, (row.not_before - now).total_seconds()), 1)
        if row.attempts:
            said = sentences.retried(row.device, row.not_before, self._zone, now)
            return Wait(p50=seconds, reason="wait.retry", words=said)
        words = sentences.next_window(row.not_before, self._zone, now)
        return Wait(p50=seconds, reason="wait.quota", words=words)

    def texts(self) -> dict[str, str]:
        """The same for each, as it is stored; without the seconds, which change all the time."""
        found = {job: self.wait(job) for job in self._jobs}
        return {job: wait.model_copy(update={"p50": None}).model_dump_json() for job, wait in found.items() if wait}
