"""Stage *decide again*: a job that was validated anew, after a new calibration or under changed policies.

It goes on by itself while it stays within what was agreed. A person is asked again only where the price cap or the
fidelity floor of an approval breaks, or where the policies ask for somebody who has not been asked; the hold stays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jupyter_quantum.core import words
from jupyter_quantum.core.facts import Decision
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.money import Cost
from jupyter_quantum.exceptions import Conflict, QuotaExceeded, Refused
from jupyter_quantum.pipeline.asking import (
    Agreed,
    agreed,
    ask_people,
    check_reachable,
    envelope,
    keep_decision,
    round_of,
)
from jupyter_quantum.pipeline.budgets import bound_prices
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.decide import Deciding
from jupyter_quantum.pipeline.runs import Run, Verdict, check_success, policy_error
from jupyter_quantum.pipeline.schedule import SERVICE
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.wire.runner import Prepared

__all__ = ["DecidingAgain", "signed_in_with_mfa"]


def signed_in_with_mfa(view: View, job: JobRow) -> bool:
    """Whether the owner had a second factor when policy was last asked about this job."""
    made = view.job_decisions(job.id)
    return bool(made and json.loads(made[-1].context).get("mfa", False))


class DecidingAgain:
    """Decides a job in state *validated* that has its hold."""

    def __init__(self, context: Context, deciding: Deciding) -> None:
        self._context = context
        self._deciding = deciding

    async def decide(self, run: Run, prepared: Prepared) -> JobRow:
        """Queue the job, or ask for a person; with the hold that it has, raised where it may cost more.

        Raises Conflict ``promise.changed`` where nobody was asked and it breaks the price or the success that its
        owner relies on; Refused ``price.cap``; policy's refusal; QuotaExceeded; Conflict ``job.move`` where it was
        cancelled meanwhile.
        """
        cost = self._deciding.budgets.cost(run.device, prepared, bound_prices(run.row))
        self._check_owner(run, cost)
        bound = await self._context.store.read(lambda view: agreed(view, run.row))
        broken = None if bound is None else bound.broken_by(run.device.name, prepared, cost)
        if bound is None:
            self._check_promise(run, prepared, cost)
        valid = bound.roles if bound is not None and broken is None else ()
        verdict = self._judge(run, prepared, cost, valid)
        if verdict.decision.effect == "refuse":
            await self._keep(run, verdict)
            raise policy_error(verdict.decision)
        if verdict.decision.effect == "allow":
            if broken is not None:  # nobody need be asked any more, so that the owner's own promise is what counts
                self._check_promise(run, prepared, cost)
            return await self._queue(run, verdict)
        check_reachable(run.project, verdict.decision.roles, run.row.owner)
        return await self._ask(run, verdict, bound, broken)

    def _judge(self, run: Run, prepared: Prepared, cost: Cost, approvals: Sequence[str]) -> Verdict:
        facts = self._deciding.facts(run.asker, run.project, run.device, prepared, cost, approvals)
        return Verdict(prepared, cost, self._context.policies.decide(facts), facts)

    @staticmethod
    def _check_owner(run: Run, cost: Cost) -> None:
        cap = run.row.max_price
        if cap is not None and cost.at_most > cap:
            raise Refused(
                f"This run may cost {words.price(cost.at_most)} credits now; you allowed {words.price(cap)}.",
                code="price.cap",
                hint="Raise max_price, or use fewer shots.",
            )

    @staticmethod
    def _check_promise(run: Run, prepared: Prepared, cost: Cost) -> None:
        """What the owner relies on where no person agreed to anything."""
        row = run.row
        if cost.at_most > row.on_hold and row.max_price is None:
            raise Conflict(
                f"{run.device.name} may cost {words.price(cost.at_most)} credits now; "
                f"{words.price(row.on_hold)} are on hold. Validate again to go on.",
                code="promise.changed",
            )
        check_success(run.device.name, Prepared.model_validate_json(row.prepared or "{}").success, prepared.success)

    async def _keep(self, run: Run, verdict: Verdict) -> None:
        row = run.row
        await self._context.store.write(
            lambda tx: keep_decision(tx, row.principal, verdict.facts, verdict.decision, job=row.id)
        )

    async def _queue(self, run: Run, verdict: Verdict) -> JobRow:
        def write(tx: Tx) -> JobRow:
            columns = self._again(tx, run, verdict)
            return tx.move(run.row.id, JobState.QUEUED, actor=SERVICE, event={"code": "validated.again"}, **columns)

        return await self._write(run.row.project, verdict, write)

    async def _ask(self, run: Run, verdict: Verdict, bound: Agreed | None, broken: str | None) -> JobRow:
        """A fresh request: of a new round where what was approved does not hold, else beside what was approved."""
        said = verdict.decision.words if broken is None else f"{broken} {verdict.decision.words}"

        def write(tx: Tx) -> JobRow:
            columns = self._again(tx, run, verdict)
            row = tx.job(run.row.id)
            if row.envelope is not None:
                row = tx.leave_envelope(row)
            asked = round_of(tx, row)
            joins = bool(asked) and broken is None and bound is not None and bound.round > 0
            number = (asked[0].round if joins else asked[0].round + 1) if asked else 1
            roles = verdict.decision.roles if joins else self._all_roles(run, verdict)
            first = ask_people(
                tx,
                row,
                roles,
                words=said,
                bound=envelope(run, verdict.prepared, verdict.cost),
                expiry_s=self._context.settings.approval_expiry_s,
                round=number,
            )
            columns["approval"] = row.approval if joins else first
            event = {"approval": first, "roles": list(roles), "code": "approval.again"}
            return tx.move(row.id, JobState.AWAITING_APPROVAL, actor=SERVICE, event=event, **columns)

        return await self._write(run.row.project, verdict, write)

    def _all_roles(self, run: Run, verdict: Verdict) -> tuple[str, ...]:
        """Whoever policy asks for where nothing is approved."""
        plain: Decision = self._judge(run, verdict.prepared, verdict.cost, ()).decision
        return plain.roles or verdict.decision.roles

    def _again(self, tx: Tx, run: Run, verdict: Verdict) -> dict[str, Any]:
        """What both ways share: artefact, decision, hold. Returns the new columns."""
        row, project = run.row, run.project
        self._context.refer(tx, row.project, verdict.prepared.executable or b"", verdict.prepared.digest or "")
        keep_decision(tx, row.principal, verdict.facts, verdict.decision, job=row.id)
        if verdict.cost.at_most > row.on_hold:
            budgets = self._deciding.budgets
            asked = (row.principal, project, run.device, verdict.prepared, verdict.cost)
            try:
                tx.raise_hold(row.id, budgets.claims(tx, *asked, at=row.not_before))
            except QuotaExceeded as error:
                others = self._deciding.budgets.alternatives(run.device, verdict.prepared, run.project)
                raise self._deciding.budgets.say_quota(error, others) from error
        return verdict.columns(run)

    async def _write(self, tenant: str, verdict: Verdict, write: Any) -> JobRow:
        await self._context.keep(tenant, verdict.prepared.executable or b"")
        row: JobRow = await self._context.store.write(write)
        return row
