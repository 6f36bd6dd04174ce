"""How a try at running a job ends without a result: moves that several stages share, each in its caller's transaction.

Nothing here is charged; what the device was used for is settled where its report is read (``execute``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import JobFailed, QuantumError
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.schedule import SERVICE
from jupyter_quantum.pipeline.views import error_body
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import AttemptRow, AttemptState, JobRow
from jupyter_quantum.wire.base import ErrorBody
from jupyter_quantum.wire.devices import Wait

__all__ = [
    "OUTDATED",
    "absent",
    "again",
    "did_not_run",
    "ends",
    "is_device_fault",
    "is_findable",
    "is_remote",
    "lost",
    "unknown",
]

OUTDATED: Final = "calibration.changed"
"""What a worker says of a run that was validated for another calibration than the device has: it does not begin it."""

_FAULTS: Final = ("vendor.", "device.", "runner.", "attempt.")
_NOTHING: Final[Mapping[str, Any]] = {}


def is_device_fault(code: str | None) -> bool:
    """Whether an error is the device's or its vendor's, so that another device may do better."""
    return code is not None and (code.startswith(_FAULTS) or code == "job.device")


def is_remote(device: Device | None) -> bool:
    """Whether runs on it are at a vendor, where they go on without us."""
    return device is not None and device.words.remote


def is_findable(device: Device | None, attempt: AttemptRow) -> bool:
    """Whether it can be found out what became of an attempt whose runner is gone: by its tag, or the vendor's ids."""
    if device is None or not device.words.remote:
        return False
    return device.words.recovery in ("idempotent", "searchable") or attempt.handles != "[]"


def lost() -> QuantumError:
    """Its runner is gone."""
    message = "The runner stopped answering while it had this run. Not charged."
    return JobFailed(message, code="runner.lost", hint="Try again.")


def absent(device: str) -> QuantumError:
    """It never reached the device."""
    message = f"{device} never got this run: its runner was lost before. Not charged."
    return JobFailed(message, code="attempt.absent", hint="Try again.")


def did_not_run(
    tx: Tx, row: JobRow, attempt: AttemptRow, why: QuantumError, most: int, *, fence: int | None = None, actor: str
) -> JobRow:
    """The attempt failed and costs nothing; the job waits for the next one, of ``most``, or ends."""
    tx.settle(row.id, attempt.number, 0)
    text = error_body(why, row.id).model_dump_json()
    tx.finish_attempt(attempt.tag, AttemptState.FAILED, fence=fence, error=text)
    event = {"tag": attempt.tag, "code": why.code}
    if row.cancel_asked is None and attempt.number < most:
        return again(tx, row, event, actor)
    return ends(tx, row, why, event, actor)


def again(tx: Tx, row: JobRow, event: Mapping[str, Any], actor: str, **columns: Any) -> JobRow:
    """Back into its device's queue."""
    return tx.move(row.id, JobState.QUEUED, actor=actor, event=event, error=None, wait=None, **columns)


def ends(
    tx: Tx, row: JobRow, why: QuantumError, event: Mapping[str, Any], actor: str = SERVICE, **columns: Any
) -> JobRow:
    """The last attempt has ended: cancelled where that was asked; on to another device where it may; else failed."""
    text = error_body(why, row.id).model_dump_json()
    if row.cancel_asked is not None:
        return tx.move(row.id, JobState.CANCELLED, actor=actor, event=event, error=None, **columns)
    if row.fallback != "[]" and is_device_fault(why.code) and not tx.job(row.id).cost:
        event = {**event, "leaves": row.device}
        wait = Wait(reason="wait.moving", words=sentences.leaving(row.device)).model_dump_json()
        return tx.move(row.id, JobState.QUEUED, actor=actor, event=event, error=None, wait=wait, leaving=text)
    return tx.move(row.id, JobState.FAILED, actor=actor, event=event, error=text, **columns)


def unknown(tx: Tx, row: JobRow, attempt: AttemptRow, *, fence: int | None = None, text: str | None = None) -> JobRow:
    """Nobody can tell whether the device ran it: the job stays running, and says so."""
    if row.state is JobState.SCHEDULED:
        tx.move(row.id, JobState.RUNNING, actor=SERVICE, event={"tag": attempt.tag})
    tx.finish_attempt(attempt.tag, AttemptState.UNKNOWN, fence=fence, error=text)
    said = ErrorBody(
        error="JobFailed", code="attempt.unknown", message=sentences.unknown_attempt(row.device), job=row.id
    )
    event = {"tag": attempt.tag, "code": "attempt.unknown"}
    return tx.amend(row.id, actor=SERVICE, event=event, error=said.model_dump_json(), wait=None)
