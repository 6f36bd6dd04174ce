"""Asking people about a job, and what they agreed to: the envelope that an approval binds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jupyter_quantum.core import words
from jupyter_quantum.core.facts import Approver, Decision, ExportFacts, Facts
from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.money import Cost
from jupyter_quantum.core.tenancy import ProjectSpec, name_of
from jupyter_quantum.exceptions import Refused
from jupyter_quantum.pipeline.policy import context_of
from jupyter_quantum.pipeline.runs import Run, Verdict
from jupyter_quantum.pipeline.validate import PUBS, Parcel
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import ApprovalRow, DecisionRow, JobRow
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.runner import Prepared

__all__ = [
    "Agreed",
    "agreed",
    "approvers_of",
    "ask_about",
    "ask_people",
    "check_reachable",
    "envelope",
    "keep_decision",
    "round_of",
    "terms_of",
    "withdraw_open",
]


def terms_of(parcel: Parcel) -> dict[str, Any]:
    """What makes a request the same one again; ``template`` is the PUBs without the values of their parameters."""
    pubs = PUBS.dump_python(list(parcel.pubs), mode="json")
    template = [{name: value for name, value in pub.items() if name != "parameters"} for pub in pubs]
    return {
        "source": parcel.source,
        "kind": parcel.kind.value,
        "transpile": parcel.transpile,
        "options": dict(parcel.options),
        "pubs": digest_of(json.dumps(pubs, sort_keys=True).encode()),
        "template": digest_of(json.dumps(template, sort_keys=True).encode()),
    }


def envelope(run: Run, prepared: Prepared, cost: Cost) -> dict[str, Any]:
    """What an approval binds: circuits, options, device, price cap, fidelity floor."""
    return {
        **terms_of(run.parcel),
        "executable": prepared.digest,
        "device": run.device.name,
        "price_at_most": cost.at_most,
        "success_floor": prepared.success.low if prepared.success else None,
        "mfa": run.asker.mfa,
    }


@dataclass(frozen=True, slots=True)
class Agreed:
    """What people agreed to for a job."""

    roles: tuple[str, ...]
    price_cap: int
    success_floor: float | None
    round: int
    mfa: bool = False

    def broken_by(self, device: str, prepared: Prepared, cost: Cost) -> str | None:
        """In words, what a new validation breaks; None where it stays within."""
        if cost.at_most > self.price_cap:
            return (
                f"{device} may cost {words.price(cost.at_most)} credits now; "
                f"{words.price(self.price_cap)} were approved."
            )
        if self.success_floor is None or prepared.success is None or prepared.success.value >= self.success_floor:
            return None
        return (
            f"{device} was recalibrated: success is now {prepared.success.value:.2f}; "
            f"at least {self.success_floor:.2f} was approved."
        )


def round_of(view: View, job: JobRow) -> list[ApprovalRow]:
    """The requests of the job's current round, in the order of their roles."""
    if job.approval is None:
        return []
    current = view.approval(job.approval).round
    rows = [row for row in view.approvals(state=None, job=job.id) if row.round == current]
    return sorted(rows, key=lambda row: (row.role, row.id))


def agreed(view: View, job: JobRow) -> Agreed | None:
    """What people agreed to: in an envelope, or about this job; None where nobody was asked."""
    if job.envelope is not None:
        env = view.envelope(job.envelope)
        return Agreed(tuple(json.loads(env.roles)), job.held or 0, env.success_floor, 0)  # no more than it took there
    rows = [row for row in round_of(view, job) if row.state == "approved"]
    if not rows:
        return None
    bound = json.loads(rows[0].envelope)
    roles = tuple(sorted({row.role for row in rows}))
    return Agreed(roles, bound["price_at_most"], bound["success_floor"], rows[0].round, bool(bound.get("mfa")))


def approvers_of(view: View, job: JobRow) -> str | None:
    """Names of those whose approval the job runs under: in its round, or of its envelope; None where nobody was."""
    if job.envelope is not None:
        return name_of(view.envelope(job.envelope).decided_by)
    names = [name_of(row.decided_by) for row in round_of(view, job) if row.state == "approved" and row.decided_by]
    return ", ".join(names) or None


def check_reachable(project: ProjectSpec, roles: Sequence[str], asker: str) -> None:
    """Nobody waits for a person who cannot be. Raises Refused ``approval.nobody``."""
    if Approver.OWNER not in roles or (project.owner is not None and project.owner != asker):
        return
    why = "has no owner" if project.owner is None else "has no other owner than you"
    raise Refused(
        f"This needs the owner's approval, and {project.name} {why}.",
        code="approval.nobody",
        hint="Tell the administrators: the project needs an owner, or the policy another role.",
    )


def ask_people(
    tx: Tx,
    job: JobRow,
    roles: Sequence[str],
    *,
    words: str,
    bound: Mapping[str, Any],
    expiry_s: float,
    round: int,  # noqa: A002 - the row's own word
) -> str:
    """Ask each role, by a request of its own; the id of the first request of the round."""
    first = ""
    for role in roles:
        row = ApprovalRow(
            id=new_id("apr"),
            job=job.id,
            project=job.project,
            role=role,
            principal=job.principal,
            asked_by=job.owner,
            words=words,
            created=tx.now,
            expires=tx.now + timedelta(seconds=expiry_s),
            reason=job.reason,
            envelope=json.dumps(bound),
            round=round,
        )
        tx.add_approval(row, actor=job.principal)
        first = first or row.id
    return first


def ask_about(tx: Tx, run: Run, verdict: Verdict, expiry_s: float, not_before: datetime | None = None) -> JobRow:
    """The job waits for the people whom policy asks for, and then for ``not_before``."""
    decision = verdict.decision
    bound = envelope(run, verdict.prepared, verdict.cost)
    first = ask_people(tx, run.row, decision.roles, words=decision.words, bound=bound, expiry_s=expiry_s, round=1)
    event = {"approval": first, "roles": list(decision.roles)}
    columns: dict[str, Any] = {"approval": first, "not_before": not_before}
    return tx.move(run.row.id, JobState.AWAITING_APPROVAL, actor=run.row.principal, event=event, **columns)


def withdraw_open(tx: Tx, job: JobRow, actor: str) -> None:
    """Nobody need decide about this job any more."""
    for other in round_of(tx, job):
        if other.state == "open":
            tx.decide_approval(other.id, "withdrawn", actor=actor)


def keep_decision(
    tx: Tx,
    principal: str,
    facts: Facts | ExportFacts,
    made: Decision,
    *,
    job: str | None = None,
    request: str | None = None,
) -> None:
    """Store what policy was told and what it answered, in the transaction of the act."""
    row = DecisionRow(
        id=new_id("dec"),
        time=tx.now,
        action=facts.action,
        person=principal,
        project=facts.project,
        context=json.dumps(context_of(facts)),
        effect=made.effect,
        version=made.version,
        words=made.words,
        job=job,
        request=request,
        policies=json.dumps(made.policies),
        roles=json.dumps(made.roles),
        code=made.code,
    )
    tx.add_decision(row)
