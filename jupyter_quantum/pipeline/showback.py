"""Showback and chargeback: what was used and what it cost, by whom, where and when; each figure from its entries."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.core.tenancy import Principal, name_of
from jupyter_quantum.exceptions import InputError
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.store import View
from jupyter_quantum.store.reads.ledger import Charge, Run, Whose
from jupyter_quantum.store.rows import EntryRow
from jupyter_quantum.wire.ledger import EntryList, EntryView, UsageRow, UsageView

__all__ = ["DIMENSIONS", "Asked", "Showback", "as_csv", "entry_view"]

DIMENSIONS: Final = ("organisation", "project", "user", "token", "device_kind", "device", "day", "week", "month")
"""What figures may be grouped by."""
_TIMES: Final = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which jobs are meant; None: whatever there is."""

    organisation: str | None = None
    project: str | None = None
    user: str | None = None
    token: str | None = None
    device_kind: str | None = None
    device: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def means(self, run: Run) -> bool:
        """Whether a job is meant, its time aside."""
        return all(
            wanted is None or wanted == found
            for wanted, found in (
                (self.organisation, run.organisation),
                (self.project, run.project),
                (self.user, name_of(run.principal)),
                (self.token, run.token),
                (self.device_kind, run.device_kind),
                (self.device, run.device),
            )
        )


@dataclass(slots=True)
class _Sum:
    """Figures as they grow."""

    cost: int = 0
    entries: int = 0
    jobs: int = 0
    completed: int = 0
    validated: int = 0
    shots: int = 0
    seconds: float = 0.0
    queue: float = field(default=0.0)

    def charge(self, charge: Charge) -> None:
        self.cost += charge.amount
        self.entries += 1

    def run(self, run: Run) -> None:
        self.jobs += 1
        self.seconds += run.seconds or 0.0
        if run.state in ("completed", "archived"):
            self.completed += 1
            self.validated += run.report is not None
            self.shots += run.executions or 0
        if run.queued is not None and run.started is not None:
            since = run.queued if run.not_before is None else max(run.queued, run.not_before)
            self.queue += max(0.0, (run.started - since).total_seconds() / 60)

    def row(self, group: dict[str, str]) -> UsageRow:
        return UsageRow(
            group=group,
            cost=self.cost,
            entries=self.entries,
            jobs=self.jobs,
            completed=self.completed,
            validated=self.validated,
            shots=self.shots,
            seconds=round(self.seconds, 3),
            queue_minutes=round(self.queue, 3),
            cost_per_queue_minute=round(self.cost / self.queue) if self.queue >= 1e-3 else None,
            cost_per_completed=round(self.cost / self.completed) if self.completed else None,
            cost_per_validated=round(self.cost / self.validated) if self.validated else None,
        )


class Showback:
    """Figures for those who may see them: admins everything, leads their projects, everybody their own."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def usage(self, who: Principal, asked: Asked, by: Sequence[str]) -> UsageView:
        """Figures by these dimensions. Raises InputError for an unknown one, NotFound for a project of others."""
        unknown = [name for name in by if name not in DIMENSIONS]
        if unknown:
            raise InputError(
                f"Figures are not kept by {unknown[0]!r}.", code="usage.by", hint=f"Use {', '.join(DIMENSIONS)}."
            )
        whose = self._sees(who, asked)
        sums, total = await self._context.store.read(lambda view: self._sum(view, whose, asked, by))
        rows = [figures.row(dict(zip(by, key, strict=True))) for key, figures in sorted(sums.items())]
        return UsageView(by=list(by), since=asked.since, until=asked.until, rows=rows, total=total.row({}))

    async def entries(self, who: Principal, asked: Asked, *, after: int, limit: int) -> EntryList:
        """The very entries that the cost of these jobs is made of; their sum is that cost."""
        whose = self._sees(who, asked)

        def read(view: View) -> EntryList:
            meant = [
                charge
                for charge, run in view.charges(since=asked.since, until=asked.until, whose=whose)
                if asked.means(run)
            ]
            page = [charge for charge in meant if charge.entry > after][: limit + 1]
            found = [entry_view(row) for row in view.entries_with([charge.entry for charge in page[:limit]])]
            following = page[limit - 1].entry if len(page) > limit else None
            amount = sum(charge.amount for charge in meant)
            return EntryList(entries=found, amount=amount, count=len(meant), next=following)

        return await self._context.store.read(read)

    def _sees(self, who: Principal, asked: Asked) -> Whose | None:
        """Whose jobs ``who`` may see; None: everybody's."""
        people = self._context.people
        if "admin" in people.staff(who):
            return None
        leads = people.leads(who)
        if asked.project is not None and asked.project not in people.roles(who):
            raise absent("project")
        return who.id, leads

    def _sum(
        self, view: View, whose: Whose | None, asked: Asked, by: Sequence[str]
    ) -> tuple[dict[tuple[str, ...], _Sum], _Sum]:
        sums: dict[tuple[str, ...], _Sum] = {}
        total = _Sum()

        def groups(run: Run, when: datetime) -> Iterable[_Sum]:
            if asked.means(run):
                yield sums.setdefault(tuple(self._value(run, when, name) for name in by), _Sum())
                yield total

        for charge, run in view.charges(since=asked.since, until=asked.until, whose=whose):
            for figures in groups(run, charge.time):
                figures.charge(charge)
        for run in view.runs(since=asked.since, until=asked.until, whose=whose):
            for figures in groups(run, run.ended) if run.ended is not None else ():
                figures.run(run)
        return sums, total

    def _value(self, run: Run, when: datetime, name: str) -> str:
        if name in _TIMES:
            return f"{when.astimezone(self._context.settings.time_zone):{_TIMES[name]}}"
        return name_of(run.principal) if name == "user" else str(getattr(run, name) or "")


def entry_view(row: EntryRow) -> EntryView:
    """An entry as it is sent."""
    return EntryView(
        **{name: getattr(row, name) for name in ("id", "time", "amount", "account", "to_account", "job", "attempt")},
        kind=str(row.kind),
        part=str(row.part),
        to_part=str(row.to_part),
        actor=row.actor,
        ref=row.ref,
    )


def as_csv(found: UsageView) -> bytes:
    """The rows as a table for a spreadsheet: credits as decimal numbers, times in UTC."""
    plain = [name for name in UsageRow.model_fields if name != "group"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*found.by, *plain])
    for row in found.rows:
        cells = [getattr(row, name) for name in plain]
        named = zip(plain, cells, strict=True)
        shown = [_credits(cell) if name.startswith("cost") else cell for name, cell in named]
        writer.writerow([*(_safe(row.group[name]) for name in found.by), *shown])
    return out.getvalue().encode()


def _credits(micro: int | None) -> str:
    return "" if micro is None else f"{micro // CREDIT}.{micro % CREDIT:06d}"


def _safe(text: str) -> str:
    """A name that a spreadsheet will not take for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
