"""The record of one run (R1), put together for those who may see the job, and the calibration that it rests on."""

from __future__ import annotations

import json
from typing import Any

from jupyter_quantum.exceptions import Conflict, NotFound
from jupyter_quantum.pipeline.asking import approvers_of, round_of
from jupyter_quantum.pipeline.audit import proofs
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.dossier import Read
from jupyter_quantum.pipeline.named import Naming
from jupyter_quantum.pipeline.views import provenance, summary
from jupyter_quantum.store import View
from jupyter_quantum.store.crypt import SERVICE
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.wire.devices import CalibrationRef
from jupyter_quantum.wire.jobs import Provenance
from jupyter_quantum.wire.results import ResultView

__all__ = ["Provenances"]


class Provenances:
    """Reads what is kept of a run; the caller has checked who asks."""

    def __init__(self, context: Context, read: Read) -> None:
        self._context = context
        self._read = read

    async def of(self, row: JobRow) -> Provenance:
        """The record of one run."""
        found = await self._summary(row)

        def read(view: View) -> Provenance:
            now = view.job(row.id)
            events = view.job_events(row.id)
            return provenance(
                now,
                attempts=view.attempts(row.id),
                events=events,
                approver=approvers_of(view, now),
                approvals=round_of(view, now),
                naming=Naming(view),
                proofs=proofs(view, events),
                found=found,
            )

        return await self._context.store.read(read)

    async def _summary(self, row: JobRow) -> dict[str, Any]:
        """What the result says in short; nothing where it is gone."""
        if row.result is None:
            return {}
        try:
            raw = await self._read(row, "results", row.result, "result of this job")
        except Conflict as error:
            if error.code not in ("data.shredded", "job.archived"):
                raise
            return {}
        return summary(ResultView.model_validate_json(raw))

    async def calibration(self, row: JobRow) -> tuple[CalibrationRef, dict[str, Any]]:
        """The calibration that the job was laid out for, and its document. Raises Conflict ``job.calibration``."""
        if row.calibration is None or row.snapshot is None:
            raise Conflict(
                "No calibration was kept with this job.",
                code="job.calibration",
                hint="Jobs that were refused have none, and those of before the service kept them.",
            )
        try:
            raw = await self._context.store.artefacts.get(SERVICE, row.snapshot)
        except NotFound:
            raise Conflict("The calibration of this job is not there any more.", code="job.calibration") from None
        return CalibrationRef.model_validate_json(row.calibration), json.loads(raw)
