"""What is declared, who is a member for how long, tokens of workloads."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, or_, select

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import DECLARED, MEMBERSHIPS, REVISIONS, WORKLOADS, micros
from jupyter_quantum.store.reading import Reading, where
from jupyter_quantum.store.rows import DeclaredRow, MembershipRow, RevisionRow, WorkloadRow

__all__ = ["TenancyReads"]


class TenancyReads(Reading):
    """The tenancy's part of a view."""

    def revision(self, name: str) -> RevisionRow:
        """How often ``tenants`` or ``members`` changed."""
        return self._get(REVISIONS, name) or RevisionRow(name, 0)

    def declared(self) -> list[DeclaredRow]:
        """Every organisation and project that was applied, by id."""
        return self._all(DECLARED, DECLARED.select.order_by(t.declared.c.id))

    def membership(self, membership_id: str) -> MembershipRow:
        """The membership."""
        return self._need(MEMBERSHIPS, membership_id, "membership")

    def memberships(
        self,
        *,
        principal: str | None = None,
        project: str | None = None,
        projects: Collection[str] | None = None,
        kind: str | None = None,
        alive_at: datetime | None = None,
        unreviewed: bool = False,
        limit: int | None = 500,
    ) -> list[MembershipRow]:
        """Memberships that match all that is given, oldest first; ``alive_at``: not ended then, begun or not."""
        m = t.memberships.c
        query = where(MEMBERSHIPS.select, m, principal=principal, project=project, kind=kind)
        if projects is not None:
            query = query.where(m.project.in_(sorted(projects)))
        if alive_at is not None:
            query = query.where(m.ended.is_(None), or_(m.end.is_(None), m.end > micros(alive_at)))
        if unreviewed:
            query = query.where(m.kind == "breakglass", m.reviewed.is_(None))
        return self._all(MEMBERSHIPS, query.order_by(m.id).limit(limit))

    def workload(self, token_hash: str) -> WorkloadRow | None:
        """The token with this hash."""
        return self._get(WORKLOADS, token_hash)

    def workload_of(self, token_id: str) -> WorkloadRow | None:
        """The token with this id (``wlt_…``)."""
        rows = self._all(WORKLOADS, WORKLOADS.select.where(t.workloads.c.id == token_id))
        return rows[0] if rows else None

    def workloads(self, project: str, *, alive_at: datetime) -> list[WorkloadRow]:
        """Tokens of a project that are valid at this moment, oldest first."""
        w = t.workloads.c
        query = WORKLOADS.select.where(w.project == project, w.revoked.is_(None), w.expires > micros(alive_at))
        return self._all(WORKLOADS, query.order_by(w.id))

    def at_work(self, states: Collection[JobState]) -> list[tuple[str, str]]:
        """(principal, project) of every job in these states, each pair once."""
        j = t.jobs.c
        query = select(j.principal, j.project).where(j.state.in_(sorted(states))).distinct()
        return [(row[0], row[1]) for row in self._reading().execute(query.order_by(j.principal, j.project))]

    def open_jobs(self, project: str, states: Collection[JobState]) -> tuple[int, int]:
        """How many jobs of a project are in these states, and how many micro-credits are on hold for them."""
        j = t.jobs.c
        query = select(func.count(), func.coalesce(func.sum(j.on_hold), 0)).where(
            j.project == project, j.state.in_(sorted(states))
        )
        found = self._reading().execute(query).one()
        return int(found[0]), int(found[1])
