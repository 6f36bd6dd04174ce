"""Envelopes: within them jobs go on without asking. Asked for like anything else, used up job by job, revoked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from jupyter_quantum.core import words
from jupyter_quantum.core.facts import Approver, Facts
from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.tenancy import Principal, name_of
from jupyter_quantum.exceptions import InputError, Refused
from jupyter_quantum.pipeline.approvers import Approvers
from jupyter_quantum.pipeline.asking import terms_of
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.requests import Kind
from jupyter_quantum.pipeline.runs import Covered, Run, Verdict
from jupyter_quantum.pipeline.validate import Parcel
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import ApprovalRow, EnvelopeRow, RequestRow
from jupyter_quantum.wire.approvals import BudgetAsked, Envelopes, EnvelopeView, Revoke
from jupyter_quantum.wire.jobs import Standing
from jupyter_quantum.wire.runner import Prepared

__all__ = ["BudgetKind", "Enveloping", "standing_of"]


class Enveloping:
    """Finds the envelope that covers a job, lists and revokes them."""

    def __init__(self, context: Context, live: Live, approvers: Approvers) -> None:
        self._context = context
        self._live = live
        self._approvers = approvers

    async def cover(self, run: Run, verdict: Verdict) -> Verdict:
        """The verdict, with the envelope that spares the job its request, where there is one."""
        if verdict.decision.effect != "needs_approval":
            return verdict
        covered = await self.covering(run.row.principal, run.parcel, verdict.prepared, verdict.facts)
        return replace(verdict, covered=covered)

    async def covering(self, principal: str, parcel: Parcel, prepared: Prepared, facts: Facts) -> Covered | None:
        """An envelope that fits what ``principal`` asks for, and with whose approvals policy allows it."""
        now = self._context.clock()

        def read(view: View) -> list[EnvelopeRow]:
            return view.envelopes(state="approved", project=facts.project, device=facts.device, after=now)

        for found in await self._context.store.read(read):
            if not _fits(found, principal, parcel, prepared, facts.price_at_most):
                continue
            more = replace(facts, approvals=facts.approvals | set(json.loads(found.roles)))
            decision = self._context.policies.decide(more)
            if decision.effect == "allow":
                return Covered(found.id, replace(decision, words="Allowed, as it was approved ahead."), more)
        return None

    async def list(self, who: Principal, *, ended: bool = False) -> Envelopes:
        """Those of projects that one belongs to, newest first; ``ended``: also what covers nothing any more."""
        projects = self._context.people.roles(who)
        now = self._context.clock()
        staff = self._context.people.staff(who) & {"operator", "admin"}

        def read(view: View) -> list[EnvelopeRow]:
            state, after = (None, None) if ended else ("approved", now)
            return view.envelopes(state=state, after=after, projects=None if staff else projects)  # type: ignore[arg-type]

        rows = await self._context.store.read(read)
        return Envelopes(envelopes=[self.view(row, now) for row in rows])

    async def get(self, who: Principal, envelope_id: str) -> EnvelopeView:
        """One, with the jobs that went on in it. Raises NotFound for one of a foreign project."""

        def read(view: View) -> EnvelopeView:
            row = self._visible(who, view.envelope(envelope_id))
            jobs = [use.job for use in view.envelope_uses(envelope_id)]
            return self.view(row, self._context.clock(), jobs)

        return await self._context.store.read(read)

    async def revoke(self, who: Principal, envelope_id: str, why: Revoke) -> EnvelopeView:
        """End one. For whoever asked, and for those whose approval it stands for."""
        row = self._visible(who, await self._context.store.read(lambda view: view.envelope(envelope_id)))
        held = any(self._approvers.holds(who, role, row.project) for role in json.loads(row.roles))
        if row.principal != who.id and not held:
            raise Refused("Whoever asked for it, or holds the role that approved it, may end it.", code="approval.role")
        after = await self._context.store.write(lambda tx: tx.revoke_envelope(envelope_id, actor=who.id, note=why.note))
        self._live.committed()
        return self.view(after, self._context.clock())

    def _visible(self, who: Principal, row: EnvelopeRow) -> EnvelopeRow:
        people = self._context.people
        if row.project in people.roles(who) or people.staff(who) & {"operator", "admin"}:
            return row
        raise absent("envelope")

    @staticmethod
    def view(row: EnvelopeRow, now: datetime, jobs: Sequence[str] = ()) -> EnvelopeView:
        """An envelope as the project's people see it."""
        terms = json.loads(row.terms)
        return EnvelopeView(
            id=row.id,
            kind=row.kind,
            project=row.project,
            device=row.device,
            roles=json.loads(row.roles),
            asked_by=row.asked_by,
            decided_by=name_of(row.decided_by),
            origin=row.origin,
            reason=row.reason,
            source=terms.get("source"),
            free_parameters=bool(terms.get("free_parameters")),
            price_cap=row.price_cap,
            success_floor=row.success_floor,
            amount=row.amount,
            held=row.held,
            used=row.used,
            left=row.left,
            created=row.created,
            until=row.until,
            state="ended" if row.state == "approved" and row.until <= now else row.state,
            jobs=list(jobs),
        )


def _fits(row: EnvelopeRow, principal: str, parcel: Parcel, prepared: Prepared, at_most: int) -> bool:
    """Whether a job is within the envelope, as far as can be said before the transaction that takes from it."""
    success = prepared.success
    if name_of(row.decided_by) == name_of(principal):  # nobody's approval is for their own run
        return False
    if (row.price_cap is not None and at_most > row.price_cap) or (row.left is not None and at_most > row.left):
        return False
    if row.success_floor is not None and (success is None or success.value < row.success_floor):
        return False
    return row.kind == "budget" or (row.principal == principal and _same(row, parcel))


def _same(row: EnvelopeRow, parcel: Parcel) -> bool:
    """The approved circuits with the approved options; the parameters too, unless they are free."""
    terms, asked = json.loads(row.terms), terms_of(parcel)
    compared = ["source", "kind", "transpile", "options", "template" if terms["free_parameters"] else "pubs"]
    return all(terms[name] == asked[name] for name in compared)


def standing_of(row: ApprovalRow, device: str, wish: Standing, by: Principal, now: datetime) -> EnvelopeRow:
    """The envelope that an approval leaves standing for later jobs. Raises InputError where it has ended before."""
    if wish.until <= now:
        raise InputError("The end lies in the past.", code="envelope.until", hint="Say until when it may be used.")
    bound = json.loads(row.envelope)
    terms = {name: bound[name] for name in ("source", "kind", "transpile", "options", "pubs", "template")}
    return EnvelopeRow(
        id=new_id("env"),
        kind="circuit",
        project=row.project,
        device=device,
        principal=row.principal,
        asked_by=row.asked_by,
        decided_by=by.id,
        origin=row.id,
        created=now,
        until=wish.until,
        roles=json.dumps([row.role]),
        reason=row.reason or "",
        terms=json.dumps(terms | {"free_parameters": wish.free_parameters}),
        price_cap=bound["price_at_most"],
        success_floor=bound["success_floor"],
        amount=wish.amount,
    )


class BudgetKind(Kind):
    """A project's budget on a device for a while: within it, its members need not ask."""

    name = "budget"
    body = BudgetAsked

    def __init__(self, context: Context) -> None:
        self._context = context

    def decided_by(self, project: str | None, body: BudgetAsked) -> str:
        """The role whose approval it stands for."""
        return body.role

    def words(self, row: RequestRow) -> str:
        """What approving does."""
        body: BudgetAsked = self.read(row)
        zone, now = self._context.settings.time_zone, self._context.clock()
        until = words.moment(body.until.astimezone(zone), now.astimezone(zone))
        cap = "" if body.price_cap is None else f", at most {words.price(body.price_cap)} a job"
        return (
            f"Members of {row.project} may spend {words.price(body.amount)} credits on {body.device} until {until}"
            f"{cap}, without asking each time."
        )

    def may_ask(self, who: Principal, project: str | None, body: BudgetAsked) -> None:
        """Members ask, about a device that they see."""
        if project is None or project not in self._context.people.roles(who):
            raise absent("project")
        if self._context.registry.get(body.device) is None:
            raise absent("device")
        if body.role not in (Approver.LEAD, Approver.OPERATOR, Approver.ADMIN):
            raise InputError(
                f"Nobody decides as {body.role}.", code="envelope.role", hint="Ask a lead, or an operator."
            )

    def check(self, view: View, row: RequestRow) -> None:
        """Its end must lie ahead."""
        body: BudgetAsked = self.read(row)
        if body.until <= self._context.clock():
            raise InputError("The end lies in the past.", code="envelope.until", hint="Ask for a later end.")

    def approve(self, tx: Tx, row: RequestRow, by: Principal) -> Mapping[str, Any]:
        """Put it in force."""
        body: BudgetAsked = self.read(row)
        made = EnvelopeRow(
            id=new_id("env"),
            kind="budget",
            project=row.project or "",
            device=body.device,
            principal=row.principal,
            asked_by=row.asked_by,
            decided_by=by.id,
            origin=row.id,
            created=tx.now,
            until=body.until,
            roles=json.dumps([row.role]),
            reason=row.reason,
            price_cap=body.price_cap,
            success_floor=body.success_floor,
            amount=body.amount,
        )
        tx.add_envelope(made)
        return {"envelope": made.id}
