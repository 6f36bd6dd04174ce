"""What one request may write: jobs and money (from its bases), reports, approvals, devices, events, blobs, the lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import case

from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.admissions import AdmissionWrites
from jupyter_quantum.store.audit import LEAD
from jupyter_quantum.store.door import DoorWrites
from jupyter_quantum.store.exports import ExportWrites
from jupyter_quantum.store.forget import Forgetting
from jupyter_quantum.store.keeping import KeepingWrites
from jupyter_quantum.store.requests import RequestWrites
from jupyter_quantum.store.rows import (
    ApprovalRow,
    ApprovalState,
    DeviceRow,
    DeviceState,
    EventRow,
    ReportRow,
)
from jupyter_quantum.store.series import SeriesWrites
from jupyter_quantum.store.sessions import SessionWrites
from jupyter_quantum.store.tenancy import TenancyWrites
from jupyter_quantum.store.webhooks import WebhookWrites

__all__ = ["Tx"]

_NOTHING: Final[Mapping[str, Any]] = {}


class Tx(
    Forgetting,
    AdmissionWrites,
    RequestWrites,
    TenancyWrites,
    DoorWrites,
    WebhookWrites,
    ExportWrites,
    KeepingWrites,
    SeriesWrites,
    SessionWrites,
):
    """One request's writes: all of them or none."""

    # -- reports, approvals, devices -------------------------------------------------------------------------------

    def add_report(self, report: ReportRow, *, actor: str) -> ReportRow:
        """Store a report, with an event (``report.added``)."""
        self._tell(
            "report.added",
            actor=actor,
            principal=report.principal,
            project=report.project,
            data={"report": report.id, "source": report.source, "policy": report.policy},
        )
        return self._shelf(c.REPORTS).add(report)

    def add_approval(self, approval: ApprovalRow, *, actor: str) -> ApprovalRow:
        """Ask a person, with an event (``approval.changed``)."""
        self._tell_approval(approval, actor)
        return self._shelf(c.APPROVALS).add(approval)

    def decide_approval(
        self, approval_id: str, state: ApprovalState, *, actor: str, note: str | None = None
    ) -> ApprovalRow:
        """Approve, reject, expire or withdraw; ``actor`` is who did it. Moving the job is the caller's.

        Raises Conflict ``approval.decided`` where it is not open any more.
        """
        approval = self.approval(approval_id)
        if approval.state != "open":
            raise Conflict(f"This request is {approval.state} already.", code="approval.decided")
        after = self._shelf(c.APPROVALS).change(approval, state=state, decided_by=actor, decided=self.now, note=note)
        self._tell_approval(after, actor)
        return after

    def _tell_approval(self, approval: ApprovalRow, actor: str) -> None:
        data = {"approval": approval.id, "state": approval.state, "role": approval.role, "note": approval.note}
        self._tell(
            "approval.changed",
            actor=actor,
            principal=approval.principal,
            project=approval.project,
            job=approval.job,
            data=data | {"envelope": approval.envelope, "round": approval.round},
        )

    def put_device(self, device: DeviceRow, *, actor: str) -> DeviceRow:
        """Insert a device, or update what its runner says; what the operator says of it stays.

        A device that was offline becomes ready. An event (``device.changed``) only where more than ``seen`` changed.
        """
        before = self._get(c.DEVICES, device.name)
        if before is None:
            self._tell_device(device, actor)
            return self._shelf(c.DEVICES).add(device)
        told = {name: getattr(device, name) for name in ("announcement", "runner", "target")}
        if before.state == "offline":
            told |= {"state": "ready", "reason": None, "until": None, "awaits": None}
        after = self._shelf(c.DEVICES).change(before, **told, seen=device.seen)
        if replace(after, seen=before.seen) != before:
            self._tell_device(after, actor)
        return after

    def set_device_state(
        self,
        name: str,
        state: DeviceState,
        *,
        actor: str,
        reason: str | None = None,
        until: datetime | None = None,
        awaits: str | None = None,
    ) -> DeviceRow:
        """Pause, isolate, drain, resume, or note that no runner serves it, with an event (``device.changed``).

        ``awaits``: the calibration that it has, where another one lets it resume. A device that is ready starts with
        a clean slate.
        """
        before = self.device(name)
        since = self.now if state == "ready" and before.state != "ready" else before.since
        values = {"state": state, "reason": reason, "until": until, "awaits": awaits, "since": since}
        after = self._shelf(c.DEVICES).change(before, **values)
        self._tell_device(after, actor)
        return after

    def _tell_device(self, device: DeviceRow, actor: str) -> None:
        data = {"device": device.name, "state": device.state, "reason": device.reason, "runner": device.runner}
        more = {"admitted": device.admitted} | ({"awaits": device.awaits} if device.awaits else {})
        self._tell("device.changed", actor=actor, data=data | more)

    # -- events ----------------------------------------------------------------------------------------------------

    def add_event(
        self,
        type: str,  # noqa: A002 - the event's own word
        *,
        actor: str,
        principal: str | None = None,
        project: str | None = None,
        job: str | None = None,
        data: Mapping[str, Any] = _NOTHING,
    ) -> EventRow:
        """One event that no other method writes: a refusal, a changed quota."""
        return self._tell(type, actor=actor, principal=principal, project=project, job=job, data=data)

    # -- the lead --------------------------------------------------------------------------------------------------

    def claim_leader(self, holder: str, ttl_s: float) -> int | None:
        """Lead, or go on leading, for ``ttl_s`` seconds; the fencing token, or None where another holds the lease."""
        lease = t.leases.c
        now, until = c.micros(self.now), c.micros(self.now + timedelta(seconds=ttl_s))
        insert = self._dialect().insert(t.leases).values(name=LEAD, holder=holder, fence=1, until=until)
        renewed = (lease.holder == holder) & (lease.until >= now)
        statement = insert.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": holder, "until": until, "fence": case((renewed, lease.fence), else_=lease.fence + 1)},
            where=(lease.holder == holder) | (lease.until < now),
        ).returning(lease.fence)
        fence: int | None = self._conn.execute(statement).scalar()
        return fence
