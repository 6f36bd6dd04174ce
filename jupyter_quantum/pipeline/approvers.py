"""Who may decide a job's request for approval: somebody else, who holds the role that policy asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jupyter_quantum.core.facts import Approver
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Refused
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.store.rows import ApprovalRow

__all__ = ["Approvers", "deciders", "who_decides"]

_WHO: Final = {
    Approver.LEAD.value: "The leads of {0}",
    Approver.OWNER.value: "The owner of {0}",
    Approver.OPERATOR.value: "The operators",
    Approver.ADMIN.value: "The administrators",
}


def deciders(role: str, project: str) -> str:
    """``The leads of qcourse``: who holds this role."""
    return _WHO.get(role, f"Whoever is {role}").format(project)


def who_decides(role: str, project: str) -> str:
    """``The leads of qcourse decide``."""
    return f"{deciders(role, project)} {'decides' if role == Approver.OWNER else 'decide'}"


class Approvers:
    """Answers from the tenants and the hub's groups; no role is a hard-coded name."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def holds(self, who: Principal, role: str, project: str) -> bool:
        """Whether ``who`` holds this role for a project."""
        people = self._context.people
        if role == Approver.LEAD:
            return project in people.leads(who)
        if role == Approver.OWNER:
            spec = self._context.tenants.projects.get(project)
            return spec is not None and spec.owner == who.name
        return role in (Approver.OPERATOR, Approver.ADMIN) and role in people.staff(who)

    def sees(self, who: Principal, row: ApprovalRow) -> bool:
        """Own requests, those one may be asked about, and those of projects that one leads."""
        led = row.project in self._context.people.leads(who)
        own = self._context.people.owns(who, row.principal, row.project)
        return own or led or self.holds(who, row.role, row.project)

    def obstacle(self, who: Principal, row: ApprovalRow, others: Sequence[ApprovalRow] = ()) -> Refused | None:
        """Why this person may not decide this request; ``others`` are the requests of the same round."""
        if row.principal == who.id or row.asked_by == who.name:
            return Refused(f"You asked for this, so another {row.role} must decide.", code="approval.own")
        if not self.holds(who, row.role, row.project):
            return Refused(f"{who_decides(row.role, row.project)} this.", code="approval.role")
        if any(other.id != row.id and other.decided_by == who.id for other in others):
            return Refused("You have decided for another role already; a second person must.", code="approval.same")
        if not who.interactive:
            return Refused(
                "A person decides this, signed in on the hub's page; a token cannot.",
                code="approval.interactive",
                hint="Open the hub's quantum page.",
            )
        return None
