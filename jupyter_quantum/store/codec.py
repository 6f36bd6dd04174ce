"""Rows to columns and back, for each row class once; and the statements that every table needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, cast, get_type_hints

from sqlalchemy import Connection, CursorResult, Executable, Select, Table, bindparam, insert, select, update

from jupyter_quantum.store import rows, tables

__all__ = [
    "ACCOUNTS",
    "ANSWERS",
    "APPROVALS",
    "ATTEMPTS",
    "CHECKPOINTS",
    "DEAD",
    "DECISIONS",
    "DECLARED",
    "DEVICES",
    "ENTRIES",
    "ENVELOPES",
    "ENVELOPE_USES",
    "EVENTS",
    "EXPORTS",
    "JOBS",
    "KEYS",
    "LOANS",
    "MEMBERSHIPS",
    "PEOPLE",
    "PRICES",
    "RAISES",
    "REPORTS",
    "REQUESTS",
    "REVISIONS",
    "SCORES",
    "SERIES",
    "SERIES_RUNS",
    "SESSIONS",
    "WEBHOOKS",
    "WORKLOADS",
    "Codec",
    "Statement",
    "micros",
    "moment",
]

R = TypeVar("R")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)


def micros(when: datetime) -> int:
    """Microseconds since 1970 in UTC; refuses times without a zone."""
    return (when - _EPOCH) // _MICRO


def moment(value: int) -> datetime:
    """The UTC time of :func:`micros`."""
    return _EPOCH + timedelta(microseconds=value)


def _reader(kind: Any) -> Callable[[Any], Any] | None:
    """What turns a column's value into a field's, where they differ; None stays None."""
    text = str(kind)
    if "datetime" in text:
        return moment
    if kind is bool or (isinstance(kind, type) and issubclass(kind, StrEnum)):
        return cast("Callable[[Any], Any]", kind)
    return None


class Statement:
    """A statement that is compiled once and run often: SQLAlchemy's way from one to its text takes longer than SQLite.

    Parameters and results are the driver's own, which for our columns (integers, floats, texts, bytes) are Python's.
    """

    def __init__(self, statement: Executable, columns: Iterable[str] | None = None) -> None:
        self._statement: Any = statement
        self._columns = None if columns is None else list(columns)
        self._compiled: dict[str, _Compiled] = {}

    def run(self, conn: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Run it with these parameters."""
        compiled = self._for(conn)
        return conn.exec_driver_sql(compiled.text, compiled.given(values))

    def run_each(self, conn: Connection, values: Sequence[Mapping[str, Any]]) -> None:
        """Run it for each of these."""
        compiled = self._for(conn)
        given = [compiled.given(one) for one in values]
        conn.exec_driver_sql(compiled.text, given[0] if len(given) == 1 else given)

    def _for(self, conn: Connection) -> _Compiled:
        dialect = conn.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            made = self._statement.compile(dialect=dialect, column_keys=self._columns)
            names = tuple(made.positiontup) if made.positional else None
            fixed = {name: value for name, value in made.params.items() if value is not None}
            found = self._compiled[dialect.name] = _Compiled(str(made), names, fixed)
        return found


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement's text for one dialect, its parameters in their order (None: by name), and those that are fixed."""

    text: str
    names: tuple[str, ...] | None
    fixed: Mapping[str, Any]

    def given(self, values: Mapping[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
        """The parameters as the driver takes them."""
        whole = {**self.fixed, **values} if self.fixed else values
        return dict(whole) if self.names is None else tuple(map(whole.__getitem__, self.names))


class Codec(Generic[R]):
    """One row class and its table."""

    def __init__(
        self, row: type[R], table: Table, key: str, guard: str | None = None, veiled: tuple[str, ...] = ()
    ) -> None:
        self.row = row
        self.table = table
        self.key = key
        self.guard = guard
        """A column that must still have the value that was read, when the row is updated."""
        self.veiled = veiled
        """Texts that are sealed with the key of the row's project."""
        kinds = get_type_hints(row)
        self.names: tuple[str, ...] = tuple(field.name for field in fields(row))  # type: ignore[arg-type]
        self._values: Callable[[R], tuple[Any, ...]] = attrgetter(*self.names)
        self._at = {name: at for at, name in enumerate(self.names)}
        self._times = tuple(name for name in self.names if _reader(kinds[name]) is moment)
        self._readers = tuple((at, r) for at, name in enumerate(self.names) if (r := _reader(kinds[name])))
        self.select: Select[Any] = select(*(table.c[name] for name in self.names))
        self.one = Statement(self.select.where(table.c[key] == bindparam("key")))
        self.insert = Statement(insert(table), self.names)
        self.update = cache(self._update)

    def encode(self, row: R, names: Iterable[str] | None = None) -> dict[str, Any]:
        """Column values of a row (of ``names`` only)."""
        values = {n: getattr(row, n) for n in names} if names else dict(zip(self.names, self._values(row), strict=True))
        for name in self._times:
            if values.get(name) is not None:
                values[name] = micros(values[name])
        return values

    def decode(self, found: Sequence[Any]) -> R:
        """The row of a tuple that :attr:`select` brought."""
        values = list(found)
        for at, read in self._readers:
            if values[at] is not None:
                values[at] = read(values[at])
        return self.row(*values)

    def replace(self, row: R, changes: Mapping[str, Any]) -> R:
        """``dataclasses.replace``, four times as fast for a row with fifty fields. Raises TypeError for an unknown."""
        values = list(self._values(row))
        for name, value in changes.items():
            if name not in self._at:
                raise TypeError(f"{self.row.__name__} has no {name!r}")
            values[self._at[name]] = value
        return self.row(*values)

    def _update(self, names: frozenset[str]) -> Statement:
        """Update of these columns; binds ``old_key`` and, where there is a guard, ``old_guard``."""
        where = self.table.c[self.key] == bindparam("old_key")
        if self.guard:
            where = where & (self.table.c[self.guard] == bindparam("old_guard"))
        values: Mapping[str, Any] = {name: bindparam(name) for name in sorted(names)}
        return Statement(update(self.table).where(where).values(values))


JOBS: Final = Codec(rows.JobRow, tables.jobs, "id", guard="version", veiled=("pubs", "prepared"))
ATTEMPTS: Final = Codec(rows.AttemptRow, tables.attempts, "tag", guard="fence")
REPORTS: Final = Codec(rows.ReportRow, tables.reports, "id", veiled=("pubs", "body"))
APPROVALS: Final = Codec(rows.ApprovalRow, tables.approvals, "id", guard="state")
ADMISSIONS: Final = Codec(rows.AdmissionRow, tables.admissions, "device", guard="state")
DEVICES: Final = Codec(rows.DeviceRow, tables.devices, "name")
ACCOUNTS: Final = Codec(rows.AccountRow, tables.accounts, "id")
ENTRIES: Final = Codec(rows.EntryRow, tables.entries, "id")
EVENTS: Final = Codec(rows.EventRow, tables.events, "id")
EXPORTS: Final = Codec(rows.ExportRow, tables.exports, "id", guard="state")
KEYS: Final = Codec(rows.KeyRow, tables.keys, "id")
CHECKPOINTS: Final = Codec(rows.CheckpointRow, tables.checkpoints, "size")
PEOPLE: Final = Codec(rows.PersonRow, tables.people, "pseudonym")
REQUESTS: Final = Codec(rows.RequestRow, tables.requests, "id", guard="state")
REVISIONS: Final = Codec(rows.RevisionRow, tables.revisions, "name")
DECLARED: Final = Codec(rows.DeclaredRow, tables.declared, "id")
MEMBERSHIPS: Final = Codec(rows.MembershipRow, tables.memberships, "id")
WORKLOADS: Final = Codec(rows.WorkloadRow, tables.workloads, "hash")
ANSWERS: Final = Codec(rows.AnswerRow, tables.answers, "key")
"""Its key is unique for a principal only: rows are found by both."""
WEBHOOKS: Final = Codec(rows.WebhookRow, tables.webhooks, "id")
DEAD: Final = Codec(rows.DeadRow, tables.dead_letters, "id")
DECISIONS: Final = Codec(rows.DecisionRow, tables.decisions, "id")
ENVELOPES: Final = Codec(rows.EnvelopeRow, tables.envelopes, "id")
ENVELOPE_USES: Final = Codec(rows.EnvelopeUseRow, tables.envelope_uses, "job")
LOANS: Final = Codec(rows.LoanRow, tables.loans, "id", guard="recalled")
RAISES: Final = Codec(rows.RaiseRow, tables.raises, "id")
SERIES: Final = Codec(rows.SeriesRow, tables.series, "id")
SERIES_RUNS: Final = Codec(rows.SeriesRunRow, tables.series_runs, "id", guard="state")
SESSIONS: Final = Codec(rows.SessionRow, tables.sessions, "id", guard="state")
SCORES: Final = Codec(rows.ScoreRow, tables.scores, "job")
PRICES: Final = Codec(rows.PriceRow, tables.prices, "id")
