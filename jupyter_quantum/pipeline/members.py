"""Members by a grant of our own: listed, added, ended; and what a newcomer is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.tenancy import Principal, Role, name_of
from jupyter_quantum.exceptions import NotFound, Refused
from jupyter_quantum.pipeline.budgets import Budgets
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.tenancy import Tenancy
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import MembershipRow
from jupyter_quantum.wire.members import AddMember, MemberList, MemberView, OpenProject, OpenProjects, WelcomeView

__all__ = ["Members", "member_view"]


class Members:
    """Who is in which project by a grant of ours."""

    def __init__(self, context: Context, tenancy: Tenancy, budgets: Budgets, live: Live) -> None:
        self._context = context
        self._tenancy = tenancy
        self._budgets = budgets
        self._live = live

    async def list(
        self, who: Principal, *, project: str | None = None, past: bool = False, unreviewed: bool = False
    ) -> MemberList:
        """One's own; a lead's projects'; for administrators and auditors all. Oldest first.

        ``past`` shows ended ones too, ``unreviewed`` only break-glasses that nobody has looked at.
        """
        people = self._context.people
        now = self._context.clock()
        everything = bool(people.staff(who) & {"admin", "auditor"})
        leads = people.leads(who)

        def read(view: View) -> list[MembershipRow]:
            alive = None if past or unreviewed else now
            if everything:
                return view.memberships(project=project, alive_at=alive, unreviewed=unreviewed)
            own = view.memberships(principal=who.id, project=project, alive_at=alive, unreviewed=unreviewed)
            led = view.memberships(projects=leads, project=project, alive_at=alive, unreviewed=unreviewed)
            rows = {row.id: row for row in (*own, *led)}
            return [rows[key] for key in sorted(rows)]

        return MemberList(members=[member_view(row, now) for row in await self._context.store.read(read)])

    async def add(self, who: Principal, asked: AddMember) -> MemberView:
        """Make a user of the hub a member. Raises NotFound for a project or a user that is not there."""
        if "admin" not in self._context.people.staff(who):
            raise Refused("Administrators do this.", code="admin.role", hint="Let them ask to join instead.")
        if asked.project not in self._context.tenants.projects:
            raise absent("project")
        if asked.name == who.name:
            raise Refused("Nobody makes themselves a member.", code="member.own", hint="Ask for an elevation.")
        principal = await self._context.directory.find(asked.name)
        if principal is None:
            raise NotFound(f"The hub has no user {asked.name}.", hint="They must have signed in once.")
        now = self._context.clock()
        row = MembershipRow(
            id=new_id("mem"),
            principal=principal,
            name=asked.name,
            role=asked.role.value,
            kind="member",
            start=now,
            granted_by=who.id,
            project=asked.project,
            end=None if asked.days is None else now + timedelta(days=asked.days),
            reason=asked.reason,
        )
        await self._write(lambda tx: tx.add_membership(row, actor=who.id))
        return member_view(row, now)

    async def end(self, who: Principal, membership_id: str) -> MemberView:
        """Take a membership back: leads of its project, administrators, and who has it."""
        row = await self._visible(who, membership_id)
        await self._write(lambda tx: tx.end_membership(row.id, actor=who.id))
        after = await self._context.store.read(lambda view: view.membership(membership_id))
        return member_view(after, self._context.clock())

    async def _visible(self, who: Principal, membership_id: str) -> MembershipRow:
        row = await self._context.store.read(lambda view: view.membership(membership_id))
        people = self._context.people
        if row.principal == who.id or "admin" in people.staff(who) or row.project in people.leads(who):
            return row
        raise absent("membership")

    async def _write(self, work: Callable[[Tx], MembershipRow]) -> None:
        await self._context.store.write(work)
        await self._tenancy.refresh()
        self._live.committed()

    # Newcomers

    async def open_projects(self, who: Principal) -> OpenProjects:
        """Projects that one may ask to join: name, tier and owner, nothing else."""
        roles = self._context.people.roles(who)
        specs = [spec for spec in self._context.tenants.projects.values() if spec.onboarding and spec.name not in roles]

        def read(view: View) -> dict[str | None, str]:
            asked = view.requests(state="open", kind="onboarding", principal=who.id)
            return {row.project: row.id for row in asked}

        asked = await self._context.store.read(read)
        found = [OpenProject(name=s.name, tier=s.tier, owner=s.owner, asked=asked.get(s.name)) for s in specs]
        return OpenProjects(projects=sorted(found, key=lambda one: one.name))

    async def welcome(self, who: Principal, project: str | None = None) -> WelcomeView:
        """What a member of a project has, and the first steps. Raises as ``People.project`` does."""
        spec = self._context.people.project(who, project)
        role = self._context.tenants.role(who, spec.name)
        quota = await self._budgets.quota(who, spec)
        ends = [row.end for row in self._context.tenants.granted(who.id) if row.project == spec.name and row.end]
        devices = [device.name for device in self._context.registry]
        return WelcomeView(
            project=spec.name,
            tier=spec.tier,
            owner=spec.owner,
            role=(role or Role.USER).value,
            until=max(ends) if ends and spec.role_of(who) is None else None,
            meters=quota.meters,
            devices=devices,
            steps=_steps(spec.name, devices),
        )


def _steps(project: str, devices: list[str]) -> list[str]:
    first = devices[0] if devices else "aer"
    return [
        "Start your server on the hub and open 01-first-circuit.ipynb.",
        f'In a notebook: from jupyter_quantum import Hub; hub = Hub(project="{project}").',
        f'Run something: hub.backend("{first}").run(circuit).result().get_counts().',
        "See what you may spend: hub.quota(), or jupyter quantum quota.",
        "Take a circuit to hardware: promote(circuit) shows devices, prices and what policy says.",
    ]


def member_view(row: MembershipRow, now: datetime) -> MemberView:
    """A membership for those who may see it."""
    return MemberView(
        id=row.id,
        project=row.project,
        role=row.role,
        kind=row.kind,
        start=row.start,
        end=row.end,
        name=row.name,
        granted_by=name_of(row.granted_by),
        reason=row.reason,
        request=row.request,
        ended=row.ended,
        ended_by=None if row.ended_by is None else name_of(row.ended_by),
        reviewed=row.reviewed,
        reviewed_by=None if row.reviewed_by is None else name_of(row.reviewed_by),
        review=row.review,
        in_force=row.in_force(now),
        needs_review=row.kind == "breakglass" and row.reviewed is None,
    )
