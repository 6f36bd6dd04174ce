"""Jobs as a notebook sees them: Qiskit's job interface over the state that the service keeps.

A job belongs to its project and outlives the notebook: ``hub.job(id)`` finds it again. Interrupting :meth:`result`
stops waiting, never the job; only :meth:`cancel` cancels.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias

from qiskit import QuantumCircuit
from qiskit.primitives import BasePrimitiveJob, PrimitiveResult
from qiskit.providers import BackendV2, JobStatus, JobTimeoutError, JobV1
from qiskit.result import Result
from qiskit.transpiler import Target

from jupyter_quantum.client import cards
from jupyter_quantum.client.bundle import DOWNLOAD, bundle_name, save_bundle
from jupyter_quantum.client.circuits import load_circuits
from jupyter_quantum.client.compare import Verdict
from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.intervals import IntervalTable, intervals
from jupyter_quantum.client.provenance import ProvenanceCard
from jupyter_quantum.client.replay import compared, original, replay, waited
from jupyter_quantum.client.results import Metadata, check_whole, primitive_result, run_result
from jupyter_quantum.client.submit import ended
from jupyter_quantum.core.jobs import FINAL, JobKind, JobState
from jupyter_quantum.exceptions import JobCancelled, JobEnded, JobFailed, JobRejected
from jupyter_quantum.targets import target_from_json
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.devices import TargetView
from jupyter_quantum.wire.jobs import JobView, SourceView
from jupyter_quantum.wire.results import ResultView

__all__ = ["HubJob", "PrimitiveJob", "RunJob", "job_of"]

FindBackend: TypeAlias = Callable[[], BackendV2]
LONG_POLL_S: Final = 25.0
"""For how long one request waits for a job to move, in seconds."""

_S = JobState
_STATUS: Final = {
    _S.DRAFT: JobStatus.INITIALIZING,
    _S.VALIDATED: JobStatus.VALIDATING,
    _S.AWAITING_APPROVAL: JobStatus.QUEUED,
    _S.QUEUED: JobStatus.QUEUED,
    _S.SCHEDULED: JobStatus.QUEUED,
    _S.RUNNING: JobStatus.RUNNING,
    _S.COMPLETED: JobStatus.DONE,
    _S.FAILED: JobStatus.ERROR,
    _S.CANCELLED: JobStatus.CANCELLED,
    _S.REJECTED: JobStatus.ERROR,
    _S.ARCHIVED: JobStatus.DONE,
}
_ENDED: Final[dict[JobState, type[JobEnded]]] = {
    _S.FAILED: JobFailed,
    _S.CANCELLED: JobCancelled,
    _S.REJECTED: JobRejected,
}


class HubJob:
    """What every job of the hub has besides Qiskit's interface."""

    def __init__(self, connection: Connection, view: JobView, metadata: Metadata = None) -> None:
        self._connection = connection
        self._seen = view
        self._circuit_metadata = metadata
        self._find_backend: FindBackend | None = None
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def view(self) -> JobView:
        """The job as last seen; :meth:`refresh` asks again."""
        return self._seen

    @property
    def state(self) -> JobState:
        """The job's state now (asks the service unless it is final)."""
        return self._latest().state

    @property
    def price(self) -> float | None:
        """What the run is expected to cost, in credits; None where unknown."""
        return cards.credits(self._seen.price)

    @property
    def price_at_most(self) -> float | None:
        """The most that the run can cost, in credits; what is on hold for it."""
        return cards.credits(self._seen.price_at_most)

    @property
    def cost(self) -> float | None:
        """What the run cost, in credits; None before the end."""
        return cards.credits(self._latest().cost)

    @property
    def report(self) -> str | None:
        """Id of the report that this job was submitted from; ``hub.report(id)`` reads it."""
        return self._seen.report

    @cached_property
    def transpiled(self) -> list[QuantumCircuit]:
        """The circuits as the device ran them, in the order sent."""
        return load_circuits(self._connection.get(f"jobs/{self._seen.id}/executable", CircuitBundle))

    @property
    def source(self) -> list[QuantumCircuit]:
        """The circuits as sent."""
        return load_circuits(self._connection.get(f"jobs/{self._seen.id}/source", SourceView).circuits)

    @cached_property
    def target(self) -> Target:
        """The device's Target with the calibration that the circuits were laid out for.

        Raises :class:`~jupyter_quantum.exceptions.Conflict` (``job.calibration``) where none was kept.
        """
        return target_from_json(self._connection.get(f"jobs/{self._seen.id}/calibration", TargetView).target)

    @property
    def provenance(self) -> ProvenanceCard:
        """The record of this run: digests, compiler, versions, calibration, policy, times."""
        return self._connection.get(f"jobs/{self._seen.id}/provenance", ProvenanceCard)

    def replay(
        self, device: str | None = None, *, max_price: float | None = None, reason: str | None = None
    ) -> RunJob | PrimitiveJob:
        """Run this job's work once more: the same circuits, options and seeds, as a new job that pays like any other.

        Args:
            device: another device; the job's own where omitted.
            max_price: credits; refuse where it may cost more.
            reason: for the person who must approve it.

        Raises:
            Conflict: this job has no result (``replay.unfinished``), or its circuits are gone (``job.archived``).
        """
        view = replay(self._connection, self._seen.id, device, max_price=max_price, reason=reason)
        here = device is None or device == self._seen.device
        return job_of(self._connection, view, self._circuit_metadata, self._find_backend if here else None)

    def verdict(self, timeout: float | None = None) -> Verdict:
        """Of a replay: *same*, *drifted* or *different* from the job that it repeats, with the test and its p-value.

        Waits for the result up to ``timeout`` seconds. Raises Conflict (``replay.none``) for a job that is no replay.
        """
        first = self._connection.get(f"jobs/{original(self._seen)}", JobView)
        return self.compare(job_of(self._connection, first), timeout)

    def compare(self, other: HubJob, timeout: float | None = None) -> Verdict:
        """How this job's raw result compares with another's; see :mod:`jupyter_quantum.client.compare`.

        Waits for both up to ``timeout`` seconds. Raises Conflict (``compare.shape``) where they have other parts.
        """
        began = time.monotonic()
        results = other._result_view(timeout), self._result_view(waited(began, timeout))
        return compared(self._connection, other.view.id, self._seen.id, results)

    def bundle(self, path: str | os.PathLike[str] | None = None, *, target: str = DOWNLOAD, reason: str = "") -> Path:
        """Save the run with everything that a reviewer needs to verify it offline; answers the file.

        A bundle is an export: it goes where the project lets its data go, at once or after a review.

        Args:
            path: the file; named for the job, in the working directory, where omitted.
            target: the export target of downloads.
            reason: for the person who decides, where one does.

        Raises:
            Refused: the project's data may not go there (``export.target`` names where to), or policy says no.
            Conflict: somebody has to agree first (``export.review``); call it again then.
        """
        file = Path(bundle_name(self._seen.name, self._seen.id) if path is None else path)
        save_bundle(self._connection, self._seen.id, file, target, reason)
        return file

    def intervals(self, timeout: float | None = None) -> IntervalTable:
        """Shares and expectation values with 95 % confidence intervals, mitigated ones beside the raw."""
        return intervals(self._result_view(timeout))

    def done(self) -> bool:
        """Whether there is (or was, before archiving) a result."""
        return self.state in {JobState.COMPLETED, JobState.ARCHIVED}

    def running(self) -> bool:
        """Whether the device has it."""
        return self.state is JobState.RUNNING

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.state is JobState.CANCELLED

    def errored(self) -> bool:
        """Whether it failed or was refused."""
        return self.state in {JobState.FAILED, JobState.REJECTED}

    def in_final_state(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINAL

    def refresh(self) -> JobView:
        """Ask the service for the job as it is now."""
        return self._keep(self._connection.get(f"jobs/{self._seen.id}", JobView))

    def delete(self) -> None:
        """Delete circuits and result of one's own job that has ended; what was recorded of it, and its cost, stay.

        Raises :class:`~jupyter_quantum.exceptions.Conflict` (``job.unfinished``) where it has not ended.
        """
        view = self._connection.post(f"jobs/{self._seen.id}/archive", JobView)
        with self._lock:
            self._seen = view

    def cancel(self) -> None:
        """Cancel the job; raises :class:`~jupyter_quantum.exceptions.Conflict` where it has ended already."""
        self._keep(self._connection.post(f"jobs/{self._seen.id}/cancel", JobView))

    def wait(self, timeout: float | None = None) -> JobView:
        """Wait for the end (seconds; None: however long it takes); raises Qiskit's ``JobTimeoutError``."""
        stop = None if timeout is None else time.monotonic() + timeout
        while (seen := self._seen).state not in FINAL:
            left = LONG_POLL_S if stop is None else min(LONG_POLL_S, stop - time.monotonic())
            if left <= 0:
                raise JobTimeoutError(
                    f"{seen.id} is {seen.state.value} after {timeout:g} s. It goes on; ask again later, "
                    f'also from another notebook: hub.job("{seen.id}").result()'
                )
            self._keep(self._connection.get(f"jobs/{seen.id}", JobView, wait_s=max(left, 0.01), version=seen.version))
        return seen

    def moves(self) -> Iterator[JobView]:
        """The job as it is now, then after each move, to its end."""
        yield (seen := self.refresh())
        while seen.state not in FINAL:
            newer = self._keep(
                self._connection.get(f"jobs/{seen.id}", JobView, wait_s=LONG_POLL_S, version=seen.version)
            )
            if newer.version > seen.version:
                yield newer
            seen = newer

    def _repr_html_(self) -> str:
        return cards.job_html(self._seen)

    def __repr__(self) -> str:
        return cards.job_text(self._seen)

    def _keep(self, view: JobView) -> JobView:
        with self._lock:
            if view.version >= self._seen.version:
                if view.result is None and self._seen.result is not None:
                    view = view.model_copy(update={"result": self._seen.result})
                self._seen = view
            return self._seen

    def _latest(self) -> JobView:
        return self._seen if self._seen.state in FINAL else self.refresh()

    def _result_view(self, timeout: float | None) -> ResultView:
        seen = self.wait(timeout)
        if error := _ENDED.get(seen.state):
            raise ended(seen, error)
        if seen.result is not None:
            return ResultView.model_validate(seen.result)
        return self._connection.get(f"jobs/{seen.id}/result", ResultView)


class RunJob(HubJob, JobV1):  # type: ignore[misc]  # Qiskit ships no types
    """A job of ``backend.run``; its result is Qiskit's ``Result``."""

    def __init__(
        self,
        connection: Connection,
        view: JobView,
        metadata: Metadata = None,
        backend: FindBackend | None = None,
    ) -> None:
        HubJob.__init__(self, connection, view, metadata)
        JobV1.__init__(self, None, view.id)
        self._find_backend = backend

    def backend(self) -> BackendV2:
        """The device."""
        assert self._find_backend is not None
        return self._find_backend()

    def submit(self) -> None:
        """Nothing to do: a job object exists only once the service has the job."""

    def result(self, timeout: float | None = None) -> Result:
        """The result, waiting for it up to ``timeout`` seconds.

        Raises Qiskit's ``JobTimeoutError``, or :class:`~jupyter_quantum.exceptions.JobEnded` where there is none.
        """
        if self._made is None:
            check_whole(found := self._result_view(timeout), self._seen.id)
            self._made = run_result(found, self._seen.id, self._circuit_metadata)
        return self._made

    def partial(self, timeout: float | None = None) -> Result:
        """The result as far as the device gave it; of a missing circuit an experiment without success."""
        return run_result(self._result_view(timeout), self._seen.id, self._circuit_metadata)

    def status(self) -> JobStatus:
        """Qiskit's status; :attr:`state` tells more."""
        return _STATUS[self.state]


class PrimitiveJob(HubJob, BasePrimitiveJob[PrimitiveResult[Any], str]):  # type: ignore[misc]  # Qiskit ships no types
    """A job of a sampler or an estimator; its result is Qiskit's ``PrimitiveResult``."""

    def __init__(self, connection: Connection, view: JobView, metadata: Metadata = None) -> None:
        HubJob.__init__(self, connection, view, metadata)
        BasePrimitiveJob.__init__(self, view.id)

    def result(self, timeout: float | None = None) -> PrimitiveResult[Any]:
        """The result, waiting for it up to ``timeout`` seconds.

        Raises Qiskit's ``JobTimeoutError``, or :class:`~jupyter_quantum.exceptions.JobEnded` where there is none.
        """
        if self._made is None:
            check_whole(found := self._result_view(timeout), self._seen.id)
            self._made = primitive_result(found, self._circuit_metadata, self._seen.id)
        return self._made

    def partial(self, timeout: float | None = None) -> PrimitiveResult[Any]:
        """The result as far as the device gave it; a missing PUB is empty, and its metadata say ``missing``."""
        return primitive_result(self._result_view(timeout), self._circuit_metadata, self._seen.id)

    def status(self) -> str:
        """IBM Runtime's words: INITIALIZING, QUEUED, RUNNING, CANCELLED, DONE, ERROR."""
        status = _STATUS[self.state]
        return "INITIALIZING" if status is JobStatus.VALIDATING else str(status.name)


def job_of(
    connection: Connection, view: JobView, metadata: Metadata = None, backend: FindBackend | None = None
) -> RunJob | PrimitiveJob:
    """The job object that fits the kind of job."""
    if view.kind is JobKind.RUN:
        return RunJob(connection, view, metadata, backend)
    return PrimitiveJob(connection, view, metadata)
