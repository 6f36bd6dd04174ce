"""Who may see and do what: membership comes from the hub's groups, roles from the projects' specifications."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from jupyter_quantum.core.tenancy import Principal, ProjectSpec, Role, Scope
from jupyter_quantum.exceptions import InputError, NotFound, Refused
from jupyter_quantum.pipeline.settings import Settings
from jupyter_quantum.pipeline.tenants import Tenants
from jupyter_quantum.store.rows import EventRow, JobRow
from jupyter_quantum.wire.jobs import Me, Membership

__all__ = ["Directory", "People", "absent", "known_now"]


_SCOPES: Final[Mapping[str, frozenset[Scope]]] = {
    "operator": frozenset({Scope.OPERATE, Scope.APPROVE}),
    "auditor": frozenset({Scope.AUDIT}),
    "admin": frozenset(Scope),
}


class Directory(Protocol):
    """Membership, asked again when a job is about to run."""

    async def groups_of(self, principal_id: str) -> frozenset[str] | None:
        """Groups of this principal now; None where the user is gone, or another one has the name."""

    async def refreshed(self, principal_id: str) -> frozenset[str] | None:
        """The same, after the identity provider was asked anew where the hub can do that for somebody who is absent."""

    async def find(self, name: str) -> str | None:
        """``Principal.id`` of the user of this name; None where there is none."""


async def known_now(directory: Directory, principal: str, may: Callable[[Principal], bool]) -> Principal | None:
    """A principal with the groups of now; None where they are gone.

    What is remembered may be a minute old and does not know who has just joined: where it says no, the hub is asked.
    """
    groups = await directory.groups_of(principal)
    if groups is None or not may(Principal.known(principal, groups)):
        groups = await directory.refreshed(principal)
    return None if groups is None else Principal.known(principal, groups)


def absent(what: str = "job") -> NotFound:
    """The one answer to an id that does not exist or belongs to somebody else."""
    return NotFound(f"No such {what}, or it is not visible to you.")


class People:
    """Answers questions about principals from the settings and the tenants."""

    def __init__(self, settings: Settings, tenants: Tenants) -> None:
        self._settings = settings
        self._tenants = tenants

    @property
    def projects(self) -> Mapping[str, ProjectSpec]:
        """Every project by name."""
        return self._tenants.projects

    def roles(self, who: Principal) -> dict[str, Role]:
        """Project → role of ``who`` in it, for every project that they belong to."""
        found = ((name, self._tenants.role(who, name)) for name in sorted(self.projects))
        return {name: role for name, role in found if role is not None}

    def project(self, who: Principal, name: str | None) -> ProjectSpec:
        """The project that pays: the named one, or the caller's only one.

        Raises NotFound for a project that is not theirs, InputError where one of several must be named.
        """
        roles = self.roles(who)
        if name is not None:
            if name not in roles:
                raise absent("project")
            return self.projects[name]
        if not roles:
            raise Refused(
                "You are in no project, so nobody would pay for this.",
                code="project.none",
                hint="See which take people in (jupyter quantum requests projects), or ask a lead.",
            )
        if len(roles) > 1:
            names = ", ".join(roles)
            raise InputError(
                f"You are in several projects ({names}).", code="project.required", hint="Say which one pays: project=…"
            )
        return self.projects[next(iter(roles))]

    def leads(self, who: Principal, *, standing: bool = False) -> frozenset[str]:
        """Projects that ``who`` leads; ``standing``: without what they took for a while."""
        found = ((name, self._tenants.role(who, name, standing=standing)) for name in self.projects)
        return frozenset(name for name, role in found if role is Role.LEAD)

    def operates(self, who: Principal) -> bool:
        """Whether ``who`` operates devices."""
        return bool(self.staff(who) & {"operator", "admin"})

    def staff(self, who: Principal, *, standing: bool = False) -> frozenset[str]:
        """Roles that hold on the whole hub (operator, auditor, admin): by group, or for a while by a grant of ours.

        ``standing``: by group only.
        """
        held = self._by_group(who)
        if standing:
            return held
        return held | self._tenants.staff(who, staff=bool(held))

    def _by_group(self, who: Principal) -> frozenset[str]:
        named = {"operator": self._settings.operators, "auditor": self._settings.auditors}
        held = {role for role, group in named.items() if group in who.groups}
        is_admin = who.admin or self._settings.admins in who.groups
        if is_admin or (who.kind == "service" and who.name in self._settings.admin_services):
            held.add("admin")
        return frozenset(held)

    def signed_in(self, who: Principal) -> Principal:
        """A person with the scopes that their roles bring on the hub's page, for as long as they have them.

        The hub's scopes follow from its groups, and it knows nothing of a role for a while, nor of the groups of
        tenants that were applied after it started. Tokens get nothing of this: kernel code can read them.
        """
        if not who.interactive:
            return who
        by_role = {scope for role in self.staff(who) - self._by_group(who) for scope in _SCOPES[role]}
        if self._tenants.granted_leads(who):
            by_role.add(Scope.APPROVE)
        return replace(who, scopes=who.scopes | by_role) if by_role else who

    def audits(self, who: Principal) -> bool:
        """Whether ``who`` reads the record: auditors, administrators, and services that were given the scope."""
        return bool(self.staff(who) & {"auditor", "admin"}) or who.kind == "service"

    def administers(self, who: Principal) -> bool:
        """Whether ``who`` administrates."""
        return "admin" in self.staff(who)

    def sees_devices(self, who: Principal) -> bool:
        """Members of a project and operators see devices."""
        return self.operates(who) or bool(self.roles(who))

    def owns(self, who: Principal, principal: str, project: str) -> bool:
        """Whether what ``principal`` made in a project is theirs: whoever leaves it leaves that behind."""
        return principal == who.id and self._tenants.role(who, project) is not None

    def check_job(self, who: Principal, row: JobRow) -> JobRow:
        """The job, for its owner and for leads of its project. Raises NotFound for everybody else."""
        if self.owns(who, row.principal, row.project) or row.project in self.leads(who):
            return row
        raise absent()

    def sees_event(self, who: Principal, named: str, event: EventRow) -> bool:
        """Own events (``named`` is the reader's pseudonym), those of projects one leads, and devices."""
        if event.type in ("device.changed", "series.changed"):
            return self.sees_devices(who)
        if event.type in {"device.pending", "device.admitted", "device.rejected"}:
            return self.operates(who)
        if event.type == "approval.changed" and event.data.get("role") in self.staff(who):
            return True
        if event.type == "request.changed" and self.staff(who) & {"admin", str(event.data.get("role"))}:
            return True
        if event.type == "membership.changed" and event.data.get("kind") == "breakglass":
            return event.principal == named or bool(self.staff(who)) or event.project in self.leads(who)
        if event.project is not None and event.project in self.leads(who):
            return True
        left = event.job is not None and self._tenants.role(who, event.project or "") is None
        return event.principal == named and not left

    def me(self, who: Principal) -> Me:
        """Who the service takes the caller for."""
        staff = self.staff(who)
        hub_wide = {"operator": self.operates(who), "auditor": "auditor" in staff, "admin": "admin" in staff}
        roles = self.roles(who)
        return Me(
            name=who.name,
            roles=[name for name, has in hub_wide.items() if has],
            scopes=sorted(scope for scope in who.scopes if scope.startswith("custom:quantum:")),
            projects={name: role.value for name, role in roles.items()},
            tiers={name: self.projects[name].tier for name in roles},
            memberships=[
                Membership(id=row.id, project=row.project, role=row.role, kind=row.kind, start=row.start, end=row.end)
                for row in self._tenants.granted(who.id)
            ],
        )
