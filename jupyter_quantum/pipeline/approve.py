"""Approvals: requests that a person decides, on the hub's page only. Nobody decides their own."""

from __future__ import annotations

import json

from jupyter_quantum.core.facts import Decision
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, InputError, JobRejected, QuantumError, Refused, Unavailable
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.decide import Deciding
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.schedule import SERVICE, Scheduling
from jupyter_quantum.pipeline.views import approval_view, decision_view, error_body
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import ApprovalRow, ApprovalState, JobRow
from jupyter_quantum.wire.jobs import ApprovalDecision, Approvals, ApprovalView
from jupyter_quantum.wire.runner import Prepared

__all__ = ["Approving"]

_STATES = frozenset({"open", "approved", "rejected", "expired", "withdrawn"})


class Approving:
    """Lists and decides requests."""

    def __init__(self, context: Context, deciding: Deciding, scheduling: Scheduling, live: Live) -> None:
        self._context = context
        self._deciding = deciding
        self._scheduling = scheduling
        self._live = live

    async def list(self, who: Principal, state: str) -> Approvals:
        """A lead's: those of their projects, and their own; everybody else's: their own. ``state``: or ``all``."""
        if state != "all" and state not in _STATES:
            raise InputError(f"There is no state {state!r}.", code="approval.state", hint="Use open, or all.")
        wanted: ApprovalState | None = None if state == "all" else state  # type: ignore[assignment]
        leads = self._context.people.leads(who)

        def read(view: View) -> list[ApprovalView]:
            own = view.approvals(state=wanted, principal=who.id)
            led = view.approvals(state=wanted, projects=leads) if leads else []
            rows = {row.id: row for row in (*own, *led)}
            return [self.view(view, who, rows[key]) for key in sorted(rows)]

        return Approvals(approvals=await self._context.store.read(read))

    def view(self, view: View, who: Principal, row: ApprovalRow) -> ApprovalView:
        """One request as ``who`` sees it."""
        account = view.account(f"project:{row.project}")
        spec = self._context.tenants.projects.get(row.project)
        left = account.available if account is not None else (spec.grant if spec is not None else 0)
        may = row.state == "open" and self._obstacle(who, row) is None
        return approval_view(row, view.job(row.job), project_left=left, may_decide=may)

    async def decide(self, who: Principal, approval_id: str, answer: ApprovalDecision) -> ApprovalView:
        """Approve or reject. Raises NotFound, Refused (not this person), Conflict (decided already)."""
        row = await self._context.store.read(lambda view: view.approval(approval_id))
        leads = row.project in self._context.people.leads(who)
        if not leads and row.principal != who.id:
            raise absent("approval")
        obstacle = self._obstacle(who, row)
        if obstacle is not None:
            raise obstacle
        if row.state != "open":
            raise Conflict(f"This request is {row.state} already.", code="approval.decided")
        if answer.verdict == "reject":
            await self._reject(who, row, answer.note)
        else:
            await self._approve(who, row, answer.note)
        return await self._context.store.read(lambda view: self.view(view, who, view.approval(approval_id)))

    def _obstacle(self, who: Principal, row: ApprovalRow) -> Refused | None:
        """Why this person may not decide this request."""
        if row.principal == who.id or row.asked_by == who.name:
            return Refused("You asked for this, so another lead must decide.", code="approval.own")
        if row.project not in self._context.people.leads(who):
            return Refused(f"Leads of {row.project} decide this.", code="approval.role")
        if not who.interactive:
            return Refused(
                "A person decides this, signed in on the hub's page; a token cannot.",
                code="approval.interactive",
                hint="Open the hub's quantum page.",
            )
        return None

    async def _reject(self, who: Principal, row: ApprovalRow, note: str | None) -> None:
        if not (note and note.strip()):
            raise InputError("A rejection needs a reason.", code="approval.note", hint="Say why, in a sentence.")
        said = JobRejected(f'Rejected by {who.name}: "{note}" Nothing was charged.', code="approval.rejected")
        await self._end(row, "rejected", said, actor=who.id, note=note)

    async def _approve(self, who: Principal, row: ApprovalRow, note: str | None) -> None:
        """Ask policy again, with the approval among the facts; then the job goes on by itself."""
        job = await self._context.store.read(lambda view: view.job(row.job))
        try:
            decision = await self._decision(job, row)
        except Unavailable:  # the hub does not answer: the request stays open
            raise
        except QuantumError as error:
            await self._end(row, "approved", error, actor=who.id, note=note)
            return
        text = decision_view(decision).model_dump_json()

        def write(tx: Tx) -> JobRow:
            tx.decide_approval(row.id, "approved", actor=who.id, note=note)
            event = {"approval": row.id}
            return tx.move(row.job, JobState.QUEUED, actor=who.id, event=event, decision=text)

        self._scheduling_on(await self._context.store.write(write))

    def _scheduling_on(self, job: JobRow) -> None:
        self._live.moved(job)
        self._scheduling.queued(job)

    async def _decision(self, job: JobRow, row: ApprovalRow) -> Decision:
        """Policy's answer to the approved request. Raises what forbids it now."""
        device = self._context.registry.get(job.device)
        if device is None:
            raise Refused(f"{job.device} is no longer there.", code="device.gone")
        mfa = bool(json.loads(row.envelope).get("mfa", False))
        asker = await self._deciding.asker_now(job, mfa=mfa)
        prepared = Prepared.model_validate_json(job.prepared or "{}")
        project = self._context.tenants.projects[job.project]
        cost = self._deciding.budgets.cost(device, prepared)
        decision = self._deciding.ask(asker, project, device, prepared, cost, approvals=[row.role])
        if decision.effect != "allow":
            raise Refused(decision.words, code=decision.code or "policy.refused")
        return decision

    async def _end(
        self, row: ApprovalRow, state: ApprovalState, why: QuantumError, *, actor: str, note: str | None
    ) -> None:
        """The job is rejected with its reason, and the hold released."""
        text = error_body(why, row.job).model_dump_json()

        def write(tx: Tx) -> JobRow:
            tx.decide_approval(row.id, state, actor=actor, note=note)
            event = {"approval": row.id, "code": why.code}
            return tx.move(row.job, JobState.REJECTED, actor=actor, event=event, error=text)

        self._live.moved(await self._context.store.write(write))

    async def expire(self) -> None:
        """Reject what nobody decided in time."""
        now = self._context.clock()
        rows = await self._context.store.read(lambda view: view.approvals(state="open", expired_by=now))
        for row in rows:
            said = JobRejected(
                "Nobody decided the request in time. Nothing was charged.",
                code="approval.expired",
                hint="Submit again to ask again.",
            )
            try:
                await self._end(row, "expired", said, actor=SERVICE, note=None)
            except Conflict:  # decided at this very moment
                continue
