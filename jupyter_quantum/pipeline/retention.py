"""Retention: what is due is erased, job by job, and nothing of it stays on the disk; owners may delete early."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, get_args

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, Refused
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.keys import administrator
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.schedule import SERVICE
from jupyter_quantum.pipeline.views import job_view
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.wire.data import DataClass, DueView, RetentionDone, RetentionPlan
from jupyter_quantum.wire.jobs import JobView

__all__ = ["Retention", "archived"]

log = logging.getLogger(__name__)

_CLASSES: Final[tuple[DataClass, ...]] = get_args(DataClass)
_EVERY_S: Final = 3600.0
_FIRST_S: Final = 60.0
_SETTLED: Final = timedelta(minutes=15)
"""A file that is that old was kept by a transaction that has ended, one way or the other."""
_STRAY: Final = timedelta(days=1)
_BATCH: Final = 50


def archived(row: JobRow, what: str, days: float | None) -> Conflict:
    """What to answer to who asks for data that was deleted; ``what`` reads like "result of this job"."""
    why = "" if days is None else f": {row.project} keeps it for {days:g} day{'' if days == 1 else 's'}"
    return Conflict(
        f"The {what} was deleted{why}.",
        code="job.archived",
        hint="What was recorded of the job, and what it cost, is still there.",
    )


@dataclass(slots=True)
class _Count:
    jobs: int = 0
    archived: int = 0
    reports: int = 0
    artefacts: int = 0


class Retention:
    """Enforces retention, for the leader; shows and runs it for administrators; archives a job for its owner."""

    def __init__(self, context: Context, live: Live) -> None:
        self._context = context
        self._live = live
        self._lock = asyncio.Lock()

    def days(self, project: str) -> dict[str, float]:
        """Class → days that a project keeps it; a class that is absent is kept."""
        spec = self._context.tenants.projects.get(project)
        own: Mapping[str, float] = {} if spec is None else spec.retention
        return {**self._context.settings.retention, **own}

    def gone(self, row: JobRow, data: DataClass, what: str) -> Conflict | None:
        """Why this data of a job is not there; None where it was not erased."""
        if data not in row.erased.split(","):
            return None
        return archived(row, what, self.days(row.project).get(data))

    # For administrators

    async def plan(self, who: Principal) -> RetentionPlan:
        """What is due now; deletes nothing."""
        administrator(self._context, who)
        now = self._context.clock()

        def read(view: View) -> RetentionPlan:
            names = sorted({*self._context.tenants.projects, *view.projects_seen()})
            due = [one for name in names for one in self._due(view, name, now)]
            return RetentionPlan(kept={name: self.days(name) for name in names if self.days(name)}, due=due)

        return await self._context.store.read(read)

    def _due(self, view: View, project: str, now: datetime) -> list[DueView]:
        found = []
        days = self.days(project)
        for data in _CLASSES:
            if data in days:
                count = view.count_due(project, data, now - timedelta(days=days[data]))
                found.append(DueView(project=project, data=data, days=days[data], count=count))
        if "inputs" in days:
            count = len(view.old_reports(project, now - timedelta(days=days["inputs"]), limit=100_000))
            found.append(DueView(project=project, data="reports", days=days["inputs"], count=count))
        return [one for one in found if one.count]

    async def run_now(self, who: Principal) -> RetentionDone:
        """Delete what is due now."""
        administrator(self._context, who)
        return await self.enforce(actor=who.id)

    # For owners

    async def archive(self, who: Principal, job_id: str) -> JobView:
        """Delete inputs and results of one's own job that has ended. Raises Conflict ``job.unfinished``."""
        row = await self._context.store.read(lambda view: view.job(job_id))
        self._context.people.check_job(who, row)
        if row.principal != who.id:
            raise Refused("Only a job's owner deletes its data early.", code="job.foreign")
        if row.state is JobState.ARCHIVED:
            return job_view(row)
        classes = ("inputs", "results")
        row = await self._context.store.write(lambda tx: tx.erase(job_id, classes, actor=who.id, why="asked"))
        self._live.moved(row)
        await self._sweep(row.project)
        await self._context.store.scrub()
        return job_view(row)

    # Enforced

    async def run(self) -> None:
        """For ever, in the process that leads: delete what is due, every hour."""
        await asyncio.sleep(_FIRST_S)
        while True:
            await self._live.leads.wait()
            try:
                await self.enforce(actor=SERVICE)
            except Exception:
                log.exception("retention failed; it is tried again")
            await asyncio.sleep(_EVERY_S)

    async def enforce(self, *, actor: str) -> RetentionDone:
        """Delete what is due, everywhere, and what nothing refers to; can be begun again where it was cut off."""
        async with self._lock:
            count = _Count()
            for project in await self._context.store.read(lambda view: view.projects_seen()):
                await self._erase_due(project, actor, count)
                await self._drop_reports(project, actor, count)
            count.artefacts = await self._sweep(None)
            files = await self._context.store.scrub()
            files += await self._context.store.sweep_files(self._context.clock() - _STRAY)
            self._live.committed()
            return RetentionDone(
                jobs=count.jobs, archived=count.archived, reports=count.reports, artefacts=count.artefacts, files=files
            )

    async def _erase_due(self, project: str, actor: str, count: _Count) -> None:
        days, now = self.days(project), self._context.clock()
        cutoffs = {data: now - timedelta(days=days[data]) for data in _CLASSES if data in days}

        def read(view: View) -> dict[str, set[str]]:
            found: dict[str, set[str]] = defaultdict(set)
            for data, before in cutoffs.items():
                for row in view.due(project, data, before, limit=_BATCH):
                    found[row.id].add(data)
            return found

        while due := await self._context.store.read(read):
            rows = await self._context.store.apart(partial(_erase, due=due, actor=actor))
            count.jobs += len(rows)
            count.archived += sum(row.state is JobState.ARCHIVED for row in rows)
            for row in rows:
                self._live.moved(row)

    async def _drop_reports(self, project: str, actor: str, count: _Count) -> None:
        days = self.days(project).get("inputs")
        if days is None:
            return
        before = self._context.clock() - timedelta(days=days)
        while ids := await self._context.store.read(lambda view: view.old_reports(project, before, limit=500)):
            await self._context.store.apart(partial(_drop, project=project, ids=ids, actor=actor))
            count.reports += len(ids)

    async def _sweep(self, tenant: str | None) -> int:
        """Remove artefacts that nothing refers to."""
        before, count = self._context.clock() - _SETTLED, 0
        while rows := await self._context.store.read(lambda view: view.unused(before, tenant=tenant)):
            dropped = await self._context.store.apart(partial(Tx.drop, rows=rows))
            count += dropped
            if not dropped:  # all of them were kept again at this very moment
                break
        return count


def _erase(tx: Tx, due: Mapping[str, set[str]], actor: str) -> list[JobRow]:
    return [tx.erase(job, classes, actor=actor, why="retention") for job, classes in due.items()]


def _drop(tx: Tx, project: str, ids: Sequence[str], actor: str) -> None:
    tx.drop_reports(ids)
    tx.add_event("report.erased", actor=actor, project=project, data={"reports": len(ids), "why": "retention"})
