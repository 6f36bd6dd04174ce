"""Organisations and projects as they are in force, and who has which role in them."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_quantum.core.tenancy import Principal, ProjectSpec, Role
from jupyter_quantum.pipeline.settings import Settings

__all__ = ["Tenants"]


class Tenants:
    """What is declared, as of now: every stage asks here, and nothing else reads ``Settings.projects``."""

    def __init__(self, settings: Settings) -> None:
        self._projects = settings.projects

    @property
    def projects(self) -> Mapping[str, ProjectSpec]:
        """Every project by name."""
        return self._projects

    def role(self, who: Principal, project: str) -> Role | None:
        """The role of ``who`` in a project; None for a stranger, and for a project that does not exist."""
        spec = self._projects.get(project)
        return None if spec is None else spec.role_of(who)
