"""To join a project: asked by anybody whom the hub knows, decided by a lead, in force at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.tenancy import Principal, Role
from jupyter_quantum.exceptions import Conflict, Refused
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.requests import Kind
from jupyter_quantum.pipeline.tenancy import Tenancy
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import MembershipRow, RequestRow
from jupyter_quantum.wire.members import OnboardingBody

__all__ = ["Onboarding"]


class Onboarding(Kind):
    """The kind ``onboarding``. What members of the project may spend is the newcomer's from the first moment."""

    name = "onboarding"
    body = OnboardingBody

    def __init__(self, context: Context, tenancy: Tenancy) -> None:
        self._context = context
        self._tenancy = tenancy

    def decided_by(self, project: str | None, body: OnboardingBody) -> str:
        """Leads let members in; a new lead is an administrator's matter."""
        return "admin" if body.role is Role.LEAD else "lead"

    def words(self, row: RequestRow) -> str:
        """Who joins what, for how long."""
        asked: OnboardingBody = self.read(row)
        lasts = "until somebody ends it" if asked.days is None else f"for {asked.days} days"
        return f"{row.asked_by} joins {row.project} as {asked.role.value}, {lasts}."

    def may_ask(self, who: Principal, project: str | None, body: OnboardingBody) -> None:
        """Anybody, for a project that takes people in; to others a project of which they are no member is absent."""
        if who.kind != "user":
            raise Refused("Only people join projects.", code="onboarding.person")
        spec = self._context.tenants.projects.get(project or "")
        role = self._context.tenants.role(who, project or "")
        if spec is None or (role is None and not spec.onboarding):
            raise absent("project")
        if role is Role.LEAD or role is body.role:
            raise Conflict(f"You are {role.value} in {spec.name} already.", code="onboarding.member")

    def check(self, view: View, row: RequestRow) -> None:
        """One open request of a person for a project; the project is still there."""
        if row.project not in self._context.tenants.projects:
            raise Conflict(f"The project {row.project} is no longer there.", code="project.gone")
        same = view.requests(state="open", kind=self.name, project=row.project, principal=row.principal)
        if any(other.id != row.id for other in same):
            raise Conflict("You have asked for this already.", code="onboarding.asked", hint="Wait for the answer.")

    async def before(self, row: RequestRow) -> None:
        """Whoever asked must still be on the hub."""
        if await self._context.directory.groups_of(row.principal) is None:
            raise Conflict(f"The account of {row.asked_by} is gone.", code="owner.gone")

    def approve(self, tx: Tx, row: RequestRow, by: Principal) -> Mapping[str, Any]:
        """The membership, from now on."""
        asked: OnboardingBody = self.read(row)
        member = MembershipRow(
            id=new_id("mem"),
            principal=row.principal,
            name=row.asked_by,
            role=asked.role.value,
            kind="member",
            start=tx.now,
            granted_by=by.id,
            project=row.project,
            end=None if asked.days is None else tx.now + timedelta(days=asked.days),
            request=row.id,
            reason=row.reason,
        )
        return {"membership": tx.add_membership(member, actor=by.id).id}

    async def done(self, row: RequestRow) -> None:
        """In force in this process at once; other replicas follow within a second or two."""
        await self._tenancy.refresh()
