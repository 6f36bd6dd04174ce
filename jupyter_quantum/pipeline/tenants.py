"""Organisations and projects as they are in force, and who has which role in them."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_quantum.core.tenancy import OrganisationSpec, Principal, ProjectSpec, Role
from jupyter_quantum.pipeline.settings import Settings

__all__ = ["Tenants"]


class Tenants:
    """What is declared, as of now: every stage asks here, and nothing else reads ``Settings.projects``."""

    def __init__(self, settings: Settings) -> None:
        self._projects = settings.projects
        self._organisations = settings.organisations

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

    def line(self, project: ProjectSpec) -> tuple[ProjectSpec, ...]:
        """The project, and the ones that it is a part of, up to the one below the organisation."""
        found = [project]
        while (above := self._projects.get(found[-1].parent or "")) is not None and above not in found:
            found.append(above)
        return tuple(found)

    def role(self, who: Principal, project: str) -> Role | None:
        """The role of ``who`` in a project; None for a stranger, and for a project that does not exist."""
        spec = self._projects.get(project)
        return None if spec is None else spec.role_of(who)
