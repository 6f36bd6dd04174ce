"""What is kept, under which key, and what is due to go."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Text, and_, case, except_, func, literal, or_, select, true

from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import JOBS, micros
from jupyter_quantum.store.crypt import SERVICE
from jupyter_quantum.store.reads.artefacts import GONE, ArtefactReads
from jupyter_quantum.store.rows import ArtefactRow, JobRow, TenantData

__all__ = ["KeepingReads"]

_A, _J, _K, _R = t.artefacts.c, t.jobs.c, t.keys.c, t.reports.c
_PENDING: Final = or_(_A.key.is_(None), and_(_K.retired.is_not(None), _K.destroyed.is_(None)))
"""Artefacts that are not under their tenant's current key: unsealed ones, and those under a retired key."""
_THERE: Final = _A.digest.not_like(f"{GONE}%")
_ROWS: Final = select(_A.tenant, _A.digest, _A.file, _A.key, _A.touched)


class KeepingReads(ArtefactReads):
    """Reading about what is kept."""

    def kept(self) -> list[TenantData]:
        """Each tenant's artefacts: how many, how large, and how many wait to be sealed with the current key."""
        query = (
            select(_A.tenant, func.count(), func.coalesce(func.sum(_A.size), 0), func.sum(case((_PENDING, 1), else_=0)))
            .select_from(t.artefacts.outerjoin(t.keys, _A.key == _K.id))
            .where(_THERE)
            .group_by(_A.tenant)
            .order_by(_A.tenant)
        )
        return [TenantData(row[0], int(row[1]), int(row[2]), int(row[3])) for row in self._reading().execute(query)]

    def to_seal(self, limit: int) -> list[ArtefactRow]:
        """Artefacts that are not under their tenant's current key."""
        query = _ROWS.select_from(t.artefacts.outerjoin(t.keys, _A.key == _K.id)).where(_PENDING, _THERE).limit(limit)
        return [ArtefactRow(*row) for row in self._reading().execute(query)]

    def unused(self, before: datetime, *, tenant: str | None = None, limit: int = 500) -> list[ArtefactRow]:
        """Artefacts that nothing refers to; files only where they were kept before then.

        A file is kept ahead of the transaction that refers to it; what is in the database comes with it.
        """
        own = true() if tenant is None else _A.tenant == tenant
        alone = except_(select(_A.tenant, _A.digest).where(own, _THERE), *self._references(tenant)).subquery()
        matches = and_(_A.tenant == alone.c.tenant, _A.digest == alone.c.digest)
        settled = or_(_A.file.is_(None), _A.touched <= micros(before))
        query = _ROWS.select_from(t.artefacts.join(alone, matches)).where(settled).limit(limit)
        return [ArtefactRow(*row) for row in self._reading().execute(query)]

    def due(self, project: str, data: str, before: datetime, *, limit: int) -> list[JobRow]:
        """Final jobs of a project that ended before then, and whose data of this class is still there."""
        return self._all(JOBS, JOBS.select.where(*_due(project, data, before)).order_by(_J.id).limit(limit))

    def count_due(self, project: str, data: str, before: datetime) -> int:
        """How many they are."""
        query = select(func.count()).select_from(t.jobs).where(*_due(project, data, before))
        return int(self._reading().execute(query).scalar_one())

    def old_reports(self, project: str, before: datetime, *, limit: int) -> list[str]:
        """Reports made before then that no open job rests on."""
        open_ones = select(_J.report).where(_J.report.is_not(None), _J.state.not_in(sorted(FINAL)))
        query = select(_R.id).where(_R.project == project, _R.created < micros(before), _R.id.not_in(open_ones))
        return [row[0] for row in self._reading().execute(query.order_by(_R.id).limit(limit))]

    def projects_seen(self) -> list[str]:
        """Projects that jobs or reports belong to, also those that are declared no more."""
        query = select(_J.project).union(select(_R.project))
        return sorted(row[0] for row in self._reading().execute(query))

    def under_way(self, project: str) -> int:
        """Jobs of a project that have not ended."""
        query = select(func.count()).where(_J.project == project, _J.state.not_in(sorted(FINAL)))
        return int(self._reading().execute(query).scalar_one())

    def trash(self) -> list[str]:
        """Files that are to be removed."""
        return [row[0] for row in self._reading().execute(select(t.trash.c.file))]

    def named_files(self, names: Collection[str]) -> set[str]:
        """Which of these files an artefact or the trash names."""
        wanted = sorted(names)
        query = (
            select(_A.file).where(_A.file.in_(wanted)).union(select(t.trash.c.file).where(t.trash.c.file.in_(wanted)))
        )
        return {row[0] for row in self._reading().execute(query)}

    @staticmethod
    def _references(tenant: str | None) -> list[Select[Any]]:
        """Every place that refers to an artefact by tenant and digest."""
        jobs = true() if tenant is None else _J.project == tenant
        reports = true() if tenant is None else _R.project == tenant
        with_inputs, with_results = _there("inputs"), _there("results")
        return [
            select(_J.project, _J.source).where(jobs, with_inputs),
            select(_J.project, _J.executable).where(jobs, with_inputs, _J.executable.is_not(None)),
            select(_J.project, _J.result).where(jobs, with_results, _J.result.is_not(None)),
            select(_R.project, _R.source).where(reports),
            select(literal(SERVICE, Text), _J.snapshot).where(_J.snapshot.is_not(None)),
            select(literal(SERVICE, Text), t.devices.c.target).where(t.devices.c.target.is_not(None)),
        ]


def _there(data: str) -> ColumnElement[bool]:
    """Jobs whose data of this class was not erased."""
    return _J.erased.not_like(f"%{data}%")


def _due(project: str, data: str, before: datetime) -> list[ColumnElement[bool]]:
    return [_J.project == project, _J.state.in_(sorted(FINAL)), _J.ended < micros(before), _there(data)]
