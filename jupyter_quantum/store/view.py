"""What can be read, as of one moment."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import bindparam, func, select

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import (
    APPROVALS,
    ATTEMPTS,
    DEVICES,
    EVENTS,
    JOBS,
    PEOPLE,
    REPORTS,
    Statement,
    micros,
)
from jupyter_quantum.store.reading import absent, where
from jupyter_quantum.store.reads.admissions import AdmissionReads
from jupyter_quantum.store.reads.audit import AuditReads
from jupyter_quantum.store.reads.door import DoorReads
from jupyter_quantum.store.reads.execution import ExecutionReads
from jupyter_quantum.store.reads.exports import ExportReads
from jupyter_quantum.store.reads.keeping import KeepingReads
from jupyter_quantum.store.reads.ledger import LedgerReads
from jupyter_quantum.store.reads.policy import PolicyReads
from jupyter_quantum.store.reads.requests import RequestReads
from jupyter_quantum.store.reads.series import SeriesReads
from jupyter_quantum.store.reads.sessions import SessionReads
from jupyter_quantum.store.reads.tenancy import TenancyReads
from jupyter_quantum.store.rows import (
    ApprovalRow,
    ApprovalState,
    AttemptRow,
    AttemptState,
    DeviceRow,
    EventRow,
    JobRow,
    ReportRow,
)

__all__ = ["BY_PRINCIPAL", "View", "absent", "mismatch"]

_OPEN_ATTEMPTS = ATTEMPTS.select.where(t.attempts.c.state.in_([AttemptState.SCHEDULED, AttemptState.RUNNING]))
_NUMBERED = EVENTS.select.where(t.events.c.seq.is_not(None)).order_by(t.events.c.seq)
_BY_KEY = Statement(
    select(t.jobs.c.id, t.jobs.c.body).where(
        t.jobs.c.principal == bindparam("owner"), t.jobs.c.idempotency == bindparam("given")
    )
)
BY_PRINCIPAL = Statement(select(t.people.c.pseudonym).where(t.people.c.principal == bindparam("wanted")))
_LAST_SEQ = select(func.coalesce(func.max(t.events.c.seq), 0))


def mismatch() -> Conflict:
    """What to answer to a key that came with another body before."""
    return Conflict(
        "This Idempotency-Key was sent before, with another request.",
        code="idempotency.mismatch",
        hint="Use a new key for a new request.",
    )


class View(
    AdmissionReads,
    AuditReads,
    LedgerReads,
    PolicyReads,
    RequestReads,
    TenancyReads,
    DoorReads,
    ExportReads,
    ExecutionReads,
    KeepingReads,
    SeriesReads,
    SessionReads,
):
    """Everything that can be read, as of one moment. Methods named for one thing raise NotFound where it is absent."""

    def pseudonym(self, principal_id: str) -> str | None:
        """The name by which the record calls this principal; None where it never had to, or has forgotten."""
        found = BY_PRINCIPAL.run(self._reading(), {"wanted": principal_id}).first()
        return None if found is None else str(found[0])

    def person(self, pseudonym: str) -> str | None:
        """``Principal.id`` behind a pseudonym; None where it was forgotten."""
        found = self._get(PEOPLE, pseudonym)
        return None if found is None else found.principal

    def job(self, job_id: str) -> JobRow:
        """The job."""
        return self._need(JOBS, job_id, "job")

    def attempt(self, tag: str) -> AttemptRow:
        """The attempt with this tag."""
        return self._need(ATTEMPTS, tag, "attempt")

    def report(self, report_id: str) -> ReportRow:
        """The report."""
        return self._need(REPORTS, report_id, "report")

    def approval(self, approval_id: str) -> ApprovalRow:
        """The request for approval."""
        return self._need(APPROVALS, approval_id, "request for approval")

    def device(self, name: str) -> DeviceRow:
        """The device."""
        return self._need(DEVICES, name, "device")

    # -- several rows ----------------------------------------------------------------------------------------------

    def jobs(
        self,
        *,
        principal: str | None = None,
        project: str | None = None,
        projects: Collection[str] | None = None,
        device: str | None = None,
        states: Collection[JobState] | None = None,
        before: str | None = None,
        limit: int | None = 50,
    ) -> list[JobRow]:
        """Jobs that match all that is given, newest first; ``before`` is the id of the last one already seen."""
        query = where(JOBS.select, t.jobs.c, principal=principal, project=project, device=device)
        if projects is not None:
            query = query.where(t.jobs.c.project.in_(sorted(projects)))
        if states is not None:
            query = query.where(t.jobs.c.state.in_(sorted(states)))
        if before is not None:
            query = query.where(t.jobs.c.id < before)
        return self._all(JOBS, query.order_by(t.jobs.c.id.desc()).limit(limit))

    def attempts(self, job_id: str) -> list[AttemptRow]:
        """A job's attempts, first to last."""
        return self._all(ATTEMPTS, ATTEMPTS.select.where(t.attempts.c.job == job_id).order_by(t.attempts.c.number))

    def open_attempts(self, *, expired_by: datetime | None = None) -> list[AttemptRow]:
        """Attempts that are scheduled or running (whose lease ended before ``expired_by``), oldest first."""
        query = _OPEN_ATTEMPTS.order_by(t.attempts.c.created, t.attempts.c.tag)
        if expired_by is not None:
            query = query.where(t.attempts.c.lease_until < micros(expired_by))
        return self._all(ATTEMPTS, query)

    def approvals(
        self,
        *,
        state: ApprovalState | None = "open",
        projects: Collection[str] | None = None,
        principal: str | None = None,
        job: str | None = None,
        roles: Collection[str] | None = None,
        expired_by: datetime | None = None,
        limit: int = 200,
    ) -> list[ApprovalRow]:
        """Requests for approval that match all that is given, oldest first."""
        query = where(APPROVALS.select, t.approvals.c, state=state, principal=principal, job=job)
        if projects is not None:
            query = query.where(t.approvals.c.project.in_(sorted(projects)))
        if roles is not None:
            query = query.where(t.approvals.c.role.in_(sorted(roles)))
        if expired_by is not None:
            query = query.where(t.approvals.c.expires < micros(expired_by))
        return self._all(APPROVALS, query.order_by(t.approvals.c.id).limit(limit))

    def devices(self) -> list[DeviceRow]:
        """Every device that a runner ever announced, by name."""
        return self._all(DEVICES, DEVICES.select.order_by(t.devices.c.name))

    # -- events ----------------------------------------------------------------------------------------------------

    def events(self, after: int, *, limit: int = 500) -> list[EventRow]:
        """Numbered events with ``seq > after``, in order."""
        return self._all(EVENTS, _NUMBERED.where(t.events.c.seq > after).limit(limit))

    def job_events(self, job_id: str) -> list[EventRow]:
        """Every event of a job, numbered or not, oldest first."""
        return self._all(EVENTS, EVENTS.select.where(t.events.c.job == job_id).order_by(t.events.c.pos))

    def last_seq(self) -> int:
        """The highest number given; 0 before the first."""
        return int(self._reading().execute(_LAST_SEQ).scalar_one())

    def idempotent(self, principal: str, key: str, body: str) -> str | None:
        """Id of the job that this principal made with this key; None for a new key.

        Raises Conflict ``idempotency.mismatch`` where the key came with another body (digest).
        """
        found = _BY_KEY.run(self._reading(), {"owner": principal, "given": key}).first()
        if found is None:
            return None
        if found.body != body:
            raise mismatch()
        return str(found.id)
