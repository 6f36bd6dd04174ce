"""One request's unit of work: rows as the request sees them, written together at its end.

A request that makes a job, holds credits and moves it three times costs one INSERT of the job, one of its events and
one of its entries, not ten statements.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection, CursorResult, insert
from sqlalchemy.dialects import postgresql, sqlite

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.core.merkle import leaf_hash
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import codec as c
from jupyter_quantum.store.codec import Codec
from jupyter_quantum.store.crypt import DataKey
from jupyter_quantum.store.names import Names
from jupyter_quantum.store.rows import EventRow, JobRow, PersonRow
from jupyter_quantum.store.safe import Safe
from jupyter_quantum.store.stating import facts_digest
from jupyter_quantum.store.tables import entries, people
from jupyter_quantum.store.view import BY_PRINCIPAL, View

__all__ = ["Shelf", "Stale", "Unit", "canonical"]

R = TypeVar("R")

_ENTER: Final = c.Statement(insert(entries), [name for name in c.ENTRIES.names if name != "id"])
_NAME: Final = {
    dialect.dialect.name: c.Statement(dialect.insert(people).on_conflict_do_nothing(), c.PEOPLE.names)
    for dialect in (sqlite, postgresql)
}
"""Another process may name the same person at this moment; then its name stands."""


def canonical(value: Any) -> str:
    """JSON text that is the same for the same value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Stale(Conflict):
    """A row that a request has read was changed by another process before it was written; the writer tries again."""

    def __init__(self) -> None:
        super().__init__("Something else changed this at the same moment.", hint="Try again.")


_PLAIN: Final = (None, "", "[]", "{}")
"""Texts that say nothing, and are not sealed."""


class Shelf(Generic[R]):
    """Rows of one table that a request has touched; new and changed ones wait here until :meth:`flush`."""

    def __init__(
        self,
        codec: Codec[R],
        conn: Connection,
        decode: Callable[[Codec[R], Any], R],
        encode: Callable[[Codec[R], R, Iterable[str] | None], dict[str, Any]],
    ) -> None:
        self._codec = codec
        self._conn = conn
        self._decode = decode
        self._encode = encode
        self._rows: dict[str, R] = {}
        self._new: dict[str, None] = {}
        self._changed: dict[str, tuple[Any, set[str]]] = {}

    def get(self, key: str) -> R | None:
        """The row as this request sees it."""
        if key not in self._rows:
            found = self._codec.one.run(self._conn, {"key": key}).first()
            if found is None:
                return None
            self._rows[key] = self._decode(self._codec, found)
        return self._rows[key]

    def add(self, row: R) -> R:
        """A new row."""
        key: str = getattr(row, self._codec.key)
        self._rows[key] = row
        self._new[key] = None
        return row

    def change(self, row: R, **values: Any) -> R:
        """The row with these values; it must have come from here."""
        after = self._codec.replace(row, values)
        key: str = getattr(row, self._codec.key)
        self._rows[key] = after
        if key not in self._new:
            guard = getattr(row, self._codec.guard) if self._codec.guard else None
            self._changed.setdefault(key, (guard, set()))[1].update(values)
        return after

    def flush(self) -> None:
        """Write what waits. Raises Stale where a row has changed meanwhile (another process on the database)."""
        if self._new:
            self._codec.insert.run_each(
                self._conn, [self._encode(self._codec, self._rows[key], None) for key in self._new]
            )
            self._new.clear()
        for key, (guard, names) in self._changed.items():
            values = self._encode(self._codec, self._rows[key], names) | {"old_key": key}
            if self._codec.guard:
                values["old_guard"] = guard
            if self._codec.update(frozenset(names)).run(self._conn, values).rowcount != 1:
                raise Stale
        self._changed.clear()


class Unit(View):
    """The part of a writing request that the others share: shelves, events, entries, flush."""

    def __init__(self, conn: Connection, safe: Safe, now: datetime | None = None, names: Names | None = None) -> None:
        super().__init__(conn, safe)
        self.now = now or datetime.now(UTC)
        """The moment that everything written here carries."""
        self._jobs = Shelf(c.JOBS, conn, self._decoded, self._encoded)
        self._shelves: dict[Codec[Any], Shelf[Any]] = {c.JOBS: self._jobs}
        self._entries: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._unsaid: dict[str, list[dict[str, Any]]] = {}
        """Ledger entries of a job that no event carries yet."""
        self._names = names or Names()
        self._generation = self._names.generation
        self._named: dict[str, str] = {}
        """Pseudonyms that this request has looked up or made."""
        self._forgotten: list[str] = []
        """Principals whose pseudonym this request has deleted."""
        self._sealing: dict[str, DataKey] = {}
        """The keys that this request seals with, by tenant."""
        self.booked = False
        """Whether this request may have changed an account."""
        self._blobs: set[tuple[str, str]] = set()
        """Tenant and digest of what this request has kept already."""

    def _encoded(self, codec: Codec[R], row: R, names: Iterable[str] | None) -> dict[str, Any]:
        values = codec.encode(row, names)
        for name in codec.veiled:
            if values.get(name) not in _PLAIN:
                values[name] = self._veil(codec, row, name, values[name])
        return values

    def _veil(self, codec: Codec[R], row: R, name: str, text: str) -> str:
        """The text sealed for its place; the mixin that has the keys does it."""
        raise NotImplementedError

    def _shelf(self, codec: Codec[R]) -> Shelf[R]:
        if codec not in self._shelves:
            self._shelves[codec] = Shelf(codec, self._conn, self._decoded, self._encoded)
        return self._shelves[codec]

    def _get(self, codec: Codec[R], key: str) -> R | None:
        # Balances change by conditional updates, past the shelves.
        return super()._get(codec, key) if codec in (c.ACCOUNTS, c.ENVELOPES) else self._shelf(codec).get(key)

    def _dialect(self) -> Any:
        """The database's own INSERT, which knows what to do where a row is there."""
        return postgresql if self._conn.dialect.name == "postgresql" else sqlite

    def _reading(self) -> Connection:
        self.flush()
        return self._conn

    def flush(self) -> None:
        """Write everything that waits; jobs first, since the other rows refer to them."""
        for shelf in self._shelves.values():
            shelf.flush()
        if self._entries:
            _ENTER.run_each(self._conn, self._entries)
            self._entries = []
        if self._events:
            c.EVENTS.insert.run_each(self._conn, self._events)
            self._events = []

    def _book(self, statement: c.Statement, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Run a statement that changes accounts; the only way to do so."""
        self.booked = True
        return statement.run(self._conn, values)

    def finish(self) -> None:
        """End of the request: entries that no move carried get an event of their own, then everything is written."""
        for job_id in list(self._unsaid):
            self._tell_job("ledger.changed", self.job(job_id), "service", {})
        self.flush()

    def committed(self) -> None:
        """After the commit: what it looked up or made may be remembered, whom it forgot may not."""
        if self._named or self._forgotten:
            self._names.learn(self._named, self._generation, self._forgotten)

    def named(self, actor: str) -> str:
        """The pseudonym of a principal, made where there is none yet; the service's own parts as they are."""
        if "@" not in actor:
            return actor
        known = self._named.get(actor) or self._names.get(actor)
        if known is None:
            known = self._named[actor] = self._lookup(actor) or self._new_name(actor)
        return known

    def _lookup(self, principal: str) -> str | None:
        found = BY_PRINCIPAL.run(self._conn, {"wanted": principal}).first()
        return None if found is None else str(found[0])

    def _new_name(self, principal: str) -> str:
        row = PersonRow(new_id("ppl"), principal, self.now)
        if _NAME[self._conn.dialect.name].run(self._conn, c.PEOPLE.encode(row)).rowcount == 1:
            return row.pseudonym
        there = self._lookup(principal)
        assert there is not None, "a principal is named, or another has named it"
        return there

    # -- events ----------------------------------------------------------------------------------------------------

    def _tell(
        self,
        type_: str,
        *,
        actor: str,
        data: Mapping[str, Any],
        principal: str | None = None,
        project: str | None = None,
        job: str | None = None,
    ) -> EventRow:
        """Add one event row; people appear in it by their pseudonyms only, and ``data`` must hold no name either."""
        event_id = new_id("evt")
        actor = self.named(actor)
        principal = None if principal is None else self.named(principal)
        whole = {
            "id": event_id,
            "time": self.now.isoformat(),
            "type": type_,
            "actor": actor,
            "principal": principal,
            "project": project,
            "job": job,
            "data": data,
        }
        payload = canonical(whole)
        event = EventRow(
            event_id, self.now, type_, actor, payload, leaf_hash(payload.encode()), principal, project, job
        )
        self._events.append(c.EVENTS.encode(event))
        return event

    def _tell_job(self, type_: str, job: JobRow, actor: str, data: Mapping[str, Any]) -> EventRow:
        """One event of a job, with the ledger entries made since the last; at its end, with the digest of its facts."""
        whole = {
            **data,
            "version": job.version,
            "state": job.state.value,
            "device": job.device,
            "entries": self._unsaid.pop(job.id, []),
        }
        if job.state in FINAL:
            whole["facts"] = facts_digest(job)
        return self._tell(type_, actor=actor, data=whole, principal=job.principal, project=job.project, job=job.id)
