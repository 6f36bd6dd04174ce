"""Organisations and projects as they are in force, and who has which role in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from jupyter_quantum.core.tenancy import OrganisationSpec, Principal, ProjectSpec, Role
from jupyter_quantum.exceptions import Refused
from jupyter_quantum.pipeline.settings import Settings
from jupyter_quantum.store.rows import MembershipRow

__all__ = ["Tenants"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Tenants:
    """What is declared, as of now: every stage asks here, and nothing else reads ``Settings.projects``.

    Projects of the service's configuration are always there; those that were applied come beside them, and never in
    their place. Roles come from the hub's groups, as they are declared, and from timed grants of our own.
    """

    def __init__(self, settings: Settings) -> None:
        self._seed = settings.projects
        self._houses = settings.organisations
        self._breakglass = settings.breakglass_groups
        self._projects: Mapping[str, ProjectSpec] = settings.projects
        self._organisations: Mapping[str, OrganisationSpec] = settings.organisations
        self._granted: Mapping[str, tuple[MembershipRow, ...]] = {}
        self.clock: Callable[[], datetime] = _utc_now

    def declare(self, organisations: Mapping[str, OrganisationSpec], projects: Mapping[str, ProjectSpec]) -> None:
        """What was applied is in force from now on."""
        self._organisations = {**self._houses, **organisations}
        self._projects = {**projects, **self._seed}

    def grant(self, rows: Iterable[MembershipRow]) -> None:
        """These timed grants are in force, each between its moments."""
        granted: dict[str, list[MembershipRow]] = defaultdict(list)
        for row in rows:
            granted[row.principal].append(row)
        self._granted = {principal: tuple(found) for principal, found in granted.items()}

    @property
    def projects(self) -> Mapping[str, ProjectSpec]:
        """Every project by name."""
        return self._projects

    @property
    def organisations(self) -> Mapping[str, OrganisationSpec]:
        """Organisations that something is declared of, by name."""
        return self._organisations

    def organisation(self, name: str) -> OrganisationSpec:
        """An organisation; one that nothing is declared of has neither grants nor quotas."""
        return self._organisations.get(name) or OrganisationSpec(name)

    def project(self, name: str) -> ProjectSpec:
        """The project of something that was made in it. Raises Refused ``project.gone`` where it was removed since."""
        spec = self._projects.get(name)
        if spec is None:
            raise Refused(f"The project {name} is no longer there.", code="project.gone")
        return spec

    def configured(self, project: str) -> bool:
        """Whether the service's configuration declares this project."""
        return project in self._seed

    def line(self, project: ProjectSpec) -> tuple[ProjectSpec, ...]:
        """The project, and the ones that it is a part of, up to the one below the organisation."""
        found = [project]
        while (above := self._projects.get(found[-1].parent or "")) is not None and above not in found:
            found.append(above)
        return tuple(found)

    # Who has which role

    def role(self, who: Principal, project: str, *, standing: bool = False) -> Role | None:
        """The role of ``who`` in a project; None for a stranger, and for a project that does not exist.

        Leads of a project lead its parts. ``standing``: without what was taken for a while on top of it.
        """
        own = self._base if standing else self._own
        spec = self._projects.get(project)
        if spec is None or (who.project is not None and who.project != project):
            return None
        if any(own(who, above) is Role.LEAD for above in self.line(spec)):
            return Role.LEAD
        return own(who, spec)

    def _own(self, who: Principal, spec: ProjectSpec) -> Role | None:
        """The role that ``who`` has in this very project: by group, by account, or by a grant for a while."""
        base = self._base(who, spec)
        if base is Role.LEAD:
            return base
        rows = [row for row in self.granted(who.id) if row.project == spec.name]
        counts = {row.role for row in rows if self._may(who, row, base is not None)}
        if Role.LEAD in counts:
            return Role.LEAD
        return Role.USER if Role.USER in counts else base

    def _base(self, who: Principal, spec: ProjectSpec) -> Role | None:
        """The role without what was taken for a while on top of it."""
        declared = spec.role_of(who)
        if declared is Role.LEAD:
            return declared
        joined = {row.role for row in self.granted(who.id) if row.project == spec.name and row.kind == "member"}
        if Role.LEAD in joined:
            return Role.LEAD
        return Role.USER if Role.USER in joined else declared

    def _may(self, who: Principal, row: MembershipRow, member: bool) -> bool:
        """Whether a grant counts: an elevation for those who are members still, a broken glass for those who may."""
        if row.kind == "breakglass":
            return bool(who.groups & self._breakglass)
        return member

    def granted(self, principal: str) -> tuple[MembershipRow, ...]:
        """Grants of a principal that are in force at this moment."""
        known = self._granted.get(principal)
        if known is None:
            return ()
        now = self.clock()
        return tuple(row for row in known if row.in_force(now))

    def staff(self, who: Principal, *, staff: bool = False) -> frozenset[str]:
        """Roles on the whole hub that ``who`` has for a while; ``staff``: whether they have one by group."""
        rows = [row for row in self.granted(who.id) if row.project is None]
        if not rows:
            return frozenset()
        member = staff or any(self._base(who, spec) is not None for spec in self._projects.values())
        return frozenset(row.role for row in rows if self._may(who, row, member))

    def granted_leads(self, who: Principal) -> bool:
        """Whether ``who`` leads a project by a grant of ours, or one that was applied: the hub has no scope for it."""
        granted = {row.project for row in self.granted(who.id)}
        names = (name for name in self._projects if name in granted or name not in self._seed)
        return any(self.role(who, name) is Role.LEAD for name in names)
