"""A role for a while: asked for and approved by somebody else, or taken at once by breaking the glass."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.tenancy import Principal, Role
from jupyter_quantum.exceptions import Conflict, InputError, Refused
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.members import member_view
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.requests import Kind
from jupyter_quantum.pipeline.tenancy import Tenancy
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import MembershipRow, RequestRow
from jupyter_quantum.wire.members import BreakGlass, ElevationBody, MemberView, Review

__all__ = ["BreakingGlass", "Elevation"]

log = logging.getLogger("jupyter_quantum.security")

IN_PROJECT: Final = frozenset(role.value for role in Role)
_HOUR: Final = 3600.0
_SERVICE: Final = "service"


def _fits(context: Context, role: str, project: str | None, hours: float, most_s: float) -> None:
    """Raise where the role, its place and its time do not go together."""
    if (role in IN_PROJECT) is (project is None):
        hint = "user and lead are roles in a project; operator, auditor and admin on the whole hub."
        raise InputError(f"The role {role} does not go with this.", code="elevation.role", hint=hint)
    if project is not None and project not in context.tenants.projects:
        raise absent("project")
    if hours * _HOUR > most_s:
        raise Refused(f"The longest is {most_s / _HOUR:g} hours.", code="elevation.duration")


class Elevation(Kind):
    """The kind ``elevation``: a member becomes lead, or takes a role on the whole hub, until an end."""

    name = "elevation"
    body = ElevationBody
    standing = True
    """Otherwise two could keep each other in a role for ever."""

    def __init__(self, context: Context, tenancy: Tenancy) -> None:
        self._context = context
        self._tenancy = tenancy

    def decided_by(self, project: str | None, body: ElevationBody) -> str:
        """Leads of the project; for roles on the whole hub an administrator."""
        return "lead" if body.role in IN_PROJECT else "admin"

    def words(self, row: RequestRow) -> str:
        """Who takes which role, where, for how long."""
        asked: ElevationBody = self.read(row)
        where = f"of {row.project}" if row.project else "on the whole hub"
        return f"{row.asked_by} is {asked.role} {where} for {asked.hours:g} hours from the approval."

    def may_ask(self, who: Principal, project: str | None, body: ElevationBody) -> None:
        """Members of the project, or of any where the role is the hub's."""
        if who.kind != "user":
            raise Refused("Only people take a role for a while.", code="elevation.person")
        roles = self._context.people.roles(who)
        if project is not None and project not in roles:
            raise absent("project")
        _fits(self._context, body.role, project, body.hours, self._context.settings.elevation_s)
        if project is None and not (roles or self._context.people.staff(who)):
            raise Refused("Only members of a project may ask for this.", code="elevation.stranger")
        if body.role in self._context.people.staff(who) or (project and roles[project] == body.role):
            raise Conflict(f"You are {body.role} already.", code="elevation.has")

    def check(self, view: View, row: RequestRow) -> None:
        """It says why; there is no other open request of this person for the same."""
        if len(row.reason) < 3:
            raise InputError("An elevation needs a reason.", code="elevation.reason", hint="Say what for.")
        asked: ElevationBody = self.read(row)
        for other in view.requests(state="open", kind=self.name, principal=row.principal):
            if other.id != row.id and (other.project, self.read(other).role) == (row.project, asked.role):
                raise Conflict("You have asked for this already.", code="elevation.asked")

    async def before(self, row: RequestRow) -> None:
        """Whoever asked must still be on the hub, and in the project."""
        groups = await self._context.directory.groups_of(row.principal)
        if groups is None:
            raise Conflict(f"The account of {row.asked_by} is gone.", code="owner.gone")
        who = Principal.known(row.principal, groups)
        if row.project is not None and self._context.tenants.role(who, row.project) is None:
            raise Conflict(f"{row.asked_by} is no longer in the project {row.project}.", code="owner.left")

    def approve(self, tx: Tx, row: RequestRow, by: Principal) -> Mapping[str, Any]:
        """The role, from now until its end."""
        asked: ElevationBody = self.read(row)
        taken = MembershipRow(
            id=new_id("mem"),
            principal=row.principal,
            name=row.asked_by,
            role=asked.role,
            kind="elevation",
            start=tx.now,
            granted_by=by.id,
            project=row.project,
            end=tx.now + timedelta(hours=asked.hours),
            request=row.id,
            reason=row.reason,
        )
        return {"membership": tx.add_membership(taken, actor=by.id).id}

    async def done(self, row: RequestRow) -> None:
        """In force in this process at once."""
        await self._tenancy.refresh()


class BreakingGlass:
    """For those whom the configuration names: a role at once, loud, bounded, and looked at by somebody else after."""

    def __init__(self, context: Context, tenancy: Tenancy, live: Live) -> None:
        self._context = context
        self._tenancy = tenancy
        self._live = live

    async def take(self, who: Principal, asked: BreakGlass) -> MemberView:
        """Take a role now. A person who is signed in on the hub's page and in one of the groups that may."""
        settings = self._context.settings
        if not who.groups & settings.breakglass_groups:
            raise Refused("You are not among those who may break the glass.", code="breakglass.group")
        if not who.interactive:
            raise Refused("A person does this, signed in on the hub's page.", code="breakglass.interactive")
        _fits(self._context, asked.role, asked.project, asked.hours, settings.breakglass_s)

        def write(tx: Tx) -> MembershipRow:
            taken = MembershipRow(
                id=new_id("mem"),
                principal=who.id,
                name=who.name,
                role=asked.role,
                kind="breakglass",
                start=tx.now,
                granted_by=who.id,
                project=asked.project,
                end=tx.now + timedelta(hours=asked.hours),
                reason=asked.reason,
            )
            return tx.add_membership(taken, actor=who.id)

        row = await self._context.store.write(write)
        where = asked.project or "the whole hub"
        log.warning("Glass broken: %s is %s of %s until %s (%s)", row.name, row.role, where, row.end, row.id)
        await self._tenancy.refresh()
        self._live.committed()
        return member_view(row, self._context.clock())

    async def review(self, who: Principal, membership_id: str, said: Review) -> MemberView:
        """Note what somebody else found: a lead of the project, an auditor or an administrator, who are so for good.

        Otherwise two who may break the glass could look at each other's.
        """
        row = await self._context.store.read(lambda view: view.membership(membership_id))
        people = self._context.people
        staff, leads = people.staff(who, standing=True), people.leads(who, standing=True)
        reviews = bool(staff & {"admin", "auditor"}) or row.project in leads
        if row.kind != "breakglass" or not (reviews or row.principal == who.id):
            raise absent("membership")
        if row.principal == who.id or row.name == who.name:
            raise Refused("You broke this glass, so somebody else looks at it.", code="breakglass.own")
        if not who.interactive:
            raise Refused("A person does this, signed in on the hub's page.", code="breakglass.interactive")
        after = await self._context.store.write(
            lambda tx: tx.review_membership(row.id, actor=who.id, review=said.note.strip())
        )
        self._live.committed()
        return member_view(after, self._context.clock())

    async def remind(self) -> None:
        """Say again what nobody has looked at since the last time."""
        now = self._context.clock()
        before = now - timedelta(seconds=self._context.settings.review_reminder_s)
        rows = await self._context.store.read(lambda view: view.memberships(unreviewed=True))
        due = [row.id for row in rows if (row.reminded or row.start) <= before]
        for membership_id in due:
            await self._context.store.write(
                lambda tx, key=membership_id: tx.remind_membership(key, actor=_SERVICE)  # type: ignore[misc]
            )
            log.warning("A broken glass has not been reviewed: %s", membership_id)
        if due:
            self._live.committed()
