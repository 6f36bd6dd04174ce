"""Organisations and projects from Python: ``hub.tenancy``. For administrators."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, Literal

from jupyter_quantum.client import html
from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.tenants_file import read_tenants
from jupyter_quantum.wire.tenancy import ApplyTenants, Tenants, TenantsPlan, TenantsView

__all__ = ["PlanCard", "Tenancy", "TenantsCard"]

_SIGNS: Final = {"add": "+", "change": "~", "remove": "−"}
_DONE: Final[tuple[tuple[Literal["add", "change", "remove"], str], ...]] = (
    ("add", "to add"),
    ("change", "to change"),
    ("remove", "to remove"),
)

Source = str | os.PathLike[str] | Mapping[str, Any] | Tenants


class PlanCard(TenantsPlan):
    """A plan, shown as one reads it: + what comes, ~ what changes, − what goes."""

    def __repr__(self) -> str:
        if not self.changes and not self.problems:
            return "Nothing to change: what is declared is in force."
        lines = []
        for change in self.changes:
            lines.append(f"{_SIGNS[change.action]} {change.kind} {html.clean(change.name)}")
            if change.action != "remove":
                for field in change.fields:
                    lines += _told(field.field, field.before, field.after)
        counts = Counter(change.action for change in self.changes)
        said = ", ".join(f"{counts[action]} {words}" for action, words in _DONE)
        lines.append(f"Plan: {said}.")
        lines += [
            f"✕ {html.clean(one.key)}: {html.clean(one.message)} {one.hint or ''}".rstrip() for one in self.problems
        ]
        return "\n".join(lines)


class TenantsCard(TenantsView):
    """What is in force, as a tree of projects."""

    def _rows(self) -> list[tuple[str, ...]]:
        rows = []
        for origin, file in (("configuration", self.configured), ("applied", self.tenants)):
            for name, told in sorted(file.projects.items()):
                parts = (name, told.organisation, told.parent or "–", told.tier.value, told.owner or "–", origin)
                rows.append(tuple(map(html.clean, parts)))
        return rows

    def __repr__(self) -> str:
        head = ("project", "organisation", "part of", "tier", "owner", "declared by")
        return html.columns([head, *self._rows()]) + f"\nVersion {self.version}."


class Tenancy:
    """Reads, plans and applies. Needs a token with ``custom:quantum:admin`` of somebody who is an administrator."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self) -> TenantsCard:
        """What is in force."""
        return self._connection.get("tenants", TenantsCard)

    def plan(self, source: Source) -> PlanCard:
        """What applying a file (or what it says) would change; ``problems`` say why it cannot be applied."""
        return self._connection.post("tenants/plan", PlanCard, tenants_of(source))

    def apply(self, source: Source, *, version: int | None = None) -> PlanCard:
        """Make it so. ``version`` is that of the plan that was agreed to; the one in force where omitted.

        Raises Conflict: ``tenants.version`` (somebody was quicker), ``tenants.refused`` (with ``problems``).
        """
        tenants = tenants_of(source)
        expected = self.get().version if version is None else version
        return self._connection.send("PUT", "tenants", PlanCard, ApplyTenants(tenants=tenants, version=expected))


def tenants_of(source: Source) -> Tenants:
    """Tenants from a file's path, from what it says, or as they are."""
    if isinstance(source, Tenants):
        return source
    return Tenants.model_validate(source) if isinstance(source, Mapping) else read_tenants(source).tenants


def _told(field: str, before: Any, after: Any) -> list[str]:
    """A field in one line; what comes as a list of parts, a line for each, as in the file."""
    if before is None and isinstance(after, list) and any(isinstance(one, Mapping) for one in after):
        return [f"    {field}:", *(f"      - {_short(one)}" for one in after)]
    return [f"    {field}: {_arrow(before, after)}"]


def _arrow(before: Any, after: Any) -> str:
    if before is None:
        return _short(after)
    return f"{_short(before)} → {_short(after)}"


def _short(value: Any) -> str:
    """A value as the file says it, in one line: ``{ id: winter, credits: 200 }``."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    if isinstance(value, Mapping):
        said = ", ".join(f"{_short(key)}: {_short(one)}" for key, one in value.items() if one is not None)
        return f"{{ {said} }}" if said else "{}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return html.clean(f"{value:g}" if isinstance(value, float) else str(value).removesuffix("T00:00:00Z"))
