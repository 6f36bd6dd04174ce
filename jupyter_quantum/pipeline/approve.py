"""Approvals: requests that people decide, on the hub's page only. Nobody decides their own.

Policy may ask for several roles at once: each is a request of its own, decided by a different person, and the job goes
on when the last of its round is approved.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from jupyter_quantum.core.facts import Decision, Facts
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, InputError, JobRejected, QuantumError, Refused, Unavailable
from jupyter_quantum.pipeline.approvers import Approvers
from jupyter_quantum.pipeline.asking import ask_people, keep_decision, round_of, withdraw_open
from jupyter_quantum.pipeline.budgets import bound_prices
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.decide import Deciding
from jupyter_quantum.pipeline.envelopes import standing_of
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.schedule import SERVICE, Scheduling
from jupyter_quantum.pipeline.views import approval_view, decision_view, error_body
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import ApprovalRow, ApprovalState, JobRow
from jupyter_quantum.wire.approvals import ApprovalsDecided, ApprovalsDecision, DecidedApproval
from jupyter_quantum.wire.jobs import ApprovalDecision, Approvals, ApprovalView
from jupyter_quantum.wire.runner import Prepared

__all__ = ["Approving"]

_STATES = frozenset({"open", "approved", "rejected", "expired", "withdrawn"})


class Approving:
    """Lists and decides requests."""

    def __init__(
        self, context: Context, deciding: Deciding, scheduling: Scheduling, live: Live, approvers: Approvers
    ) -> None:
        self._context = context
        self._deciding = deciding
        self._scheduling = scheduling
        self._live = live
        self._approvers = approvers

    async def list(self, who: Principal, state: str) -> Approvals:
        """One's own, those of projects that one leads, and those that ask for one's role. ``state``: or ``all``."""
        if state != "all" and state not in _STATES:
            raise InputError(f"There is no state {state!r}.", code="approval.state", hint="Use open, or all.")
        wanted: ApprovalState | None = None if state == "all" else state  # type: ignore[assignment]
        people, projects = self._context.people, self._context.tenants.projects
        leads, staff = people.leads(who), people.staff(who) & {"operator", "admin"}
        owned = {name for name, spec in projects.items() if spec.owner == who.name}

        def read(view: View) -> list[ApprovalView]:
            found = view.approvals(state=wanted, principal=who.id)
            if leads | owned:
                found += view.approvals(state=wanted, projects=leads | owned)
            if staff:
                found += view.approvals(state=wanted, roles=staff)
            rows = {row.id: row for row in found if self._approvers.sees(who, row)}
            return [self.view(view, who, rows[key]) for key in sorted(rows)]

        return Approvals(approvals=await self._context.store.read(read))

    def view(self, view: View, who: Principal, row: ApprovalRow) -> ApprovalView:
        """One request as ``who`` sees it."""
        spec = self._context.tenants.projects.get(row.project)
        left = 0 if spec is None else self._deciding.budgets.left_to(view, spec)
        job = view.job(row.job)
        may = row.state == "open" and self._approvers.obstacle(who, row, round_of(view, job)) is None
        return approval_view(row, job, project_left=left, may_decide=may)

    # Deciding

    async def decide_several(self, who: Principal, answer: ApprovalsDecision) -> ApprovalsDecided:
        """The same answer to each; one that cannot be decided does not disturb the others."""
        decided = []
        for approval_id in dict.fromkeys(answer.ids):
            try:
                one = ApprovalDecision(verdict=answer.verdict, note=answer.note)
                decided.append(DecidedApproval(id=approval_id, approval=await self.decide(who, approval_id, one)))
            except QuantumError as error:
                decided.append(DecidedApproval(id=approval_id, error=error_body(error)))
        return ApprovalsDecided(decided=decided)

    async def decide(self, who: Principal, approval_id: str, answer: ApprovalDecision) -> ApprovalView:
        """Approve or reject. Raises NotFound, Refused (not this person), Conflict (decided already)."""

        def read(view: View) -> tuple[ApprovalRow, JobRow, list[ApprovalRow]]:
            row = view.approval(approval_id)
            job = view.job(row.job)
            return row, job, round_of(view, job)

        row, job, others = await self._context.store.read(read)
        if not self._approvers.sees(who, row):
            raise absent("request for approval")
        obstacle = self._approvers.obstacle(who, row, others)
        if obstacle is not None:
            raise obstacle
        if row.state != "open":
            raise Conflict(f"This request is {row.state} already.", code="approval.decided")
        if answer.verdict == "reject":
            await self._reject(who, row, answer.note)
        else:
            await self._approve(who, row, job, others, answer)
        return await self._context.store.read(lambda view: self.view(view, who, view.approval(approval_id)))

    async def _reject(self, who: Principal, row: ApprovalRow, note: str | None) -> None:
        if not (note and note.strip()):
            raise InputError("A rejection needs a reason.", code="approval.note", hint="Say why, in a sentence.")
        said = JobRejected(f'Rejected by {who.name}: "{note}" Nothing was charged.', code="approval.rejected")
        await self._end(row, "rejected", said, actor=who.id, note=note)

    async def _approve(
        self, who: Principal, row: ApprovalRow, job: JobRow, others: Sequence[ApprovalRow], answer: ApprovalDecision
    ) -> None:
        """Ask policy again, with the round's approvals among the facts; then the job goes on by itself."""
        self._check_standing(row, others, answer)
        try:
            facts, decision = await self._decision(job, row, {*(other.role for other in others), row.role})
        except Unavailable:  # the hub does not answer: the request stays open
            raise
        except QuantumError as error:
            await self._end(row, "approved", error, actor=who.id, note=answer.note)
            return

        def write(tx: Tx) -> JobRow:
            self._check_second(tx, who, row)
            tx.decide_approval(row.id, "approved", actor=who.id, note=answer.note)
            now = tx.job(row.job)
            if any(other.state == "open" for other in round_of(tx, now)):
                return tx.amend(row.job, actor=who.id, event={"approval": row.id})
            keep_decision(tx, row.principal, facts, decision, job=row.job)
            text = decision_view(decision).model_dump_json()
            if decision.effect == "needs_approval":  # the policies have changed: somebody else is asked as well
                self._ask_more(tx, now, row, decision)
                return tx.amend(row.job, actor=SERVICE, event={"code": "approval.again"}, decision=text)
            if answer.standing is not None:
                tx.add_envelope(standing_of(row, now.device, answer.standing, who, tx.now))
            return tx.move(row.job, JobState.QUEUED, actor=who.id, event={"approval": row.id}, decision=text)

        after = await self._context.store.write(write)
        self._live.moved(after)
        if after.state is JobState.QUEUED:
            self._scheduling.queued(after)

    @staticmethod
    def _check_standing(row: ApprovalRow, others: Sequence[ApprovalRow], answer: ApprovalDecision) -> None:
        if answer.standing is not None and {other.role for other in others} - {row.role}:
            raise InputError(
                "Several people decide this job, so one of them cannot leave an approval standing.",
                code="approval.standing",
                hint="Approve this job; for more, ask for a budget.",
            )

    def _check_second(self, tx: Tx, who: Principal, row: ApprovalRow) -> None:
        """Once more, as of the transaction: two clicks of one person may come at the same moment."""
        obstacle = self._approvers.obstacle(who, tx.approval(row.id), round_of(tx, tx.job(row.job)))
        if obstacle is not None:
            raise obstacle

    def _ask_more(self, tx: Tx, job: JobRow, row: ApprovalRow, decision: Decision) -> None:
        ask_people(
            tx,
            job,
            decision.roles,
            words=decision.words,
            bound=json.loads(row.envelope),
            expiry_s=self._context.settings.approval_expiry_s,
            round=row.round,
        )

    async def _decision(self, job: JobRow, row: ApprovalRow, roles: set[str]) -> tuple[Facts, Decision]:
        """Policy's answer where all of these have approved. Raises what forbids it now."""
        device = self._context.registry.get(job.device)
        if device is None:
            raise Refused(f"{job.device} is no longer there.", code="device.gone")
        mfa = bool(json.loads(row.envelope).get("mfa", False))
        asker = await self._deciding.asker_now(job, mfa=mfa)
        prepared = Prepared.model_validate_json(job.prepared or "{}")
        project = self._context.tenants.project(job.project)
        cost = self._deciding.budgets.cost(device, prepared, bound_prices(job))
        facts = self._deciding.facts(asker, project, device, prepared, cost, sorted(roles))
        decision = self._context.policies.decide(facts)
        if decision.effect == "refuse":
            raise Refused(decision.words, code=decision.code or "policy.refused")
        return facts, decision

    async def _end(
        self, row: ApprovalRow, state: ApprovalState, why: QuantumError, *, actor: str, note: str | None
    ) -> None:
        """The job is rejected with its reason, the hold released, and nobody else need decide."""
        text = error_body(why, row.job).model_dump_json()

        def write(tx: Tx) -> JobRow:
            tx.decide_approval(row.id, state, actor=actor, note=note)
            withdraw_open(tx, tx.job(row.job), SERVICE)
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
