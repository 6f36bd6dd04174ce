"""The record's numbers and tree, its checkpoints, and forgetting a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from jupyter_quantum.core.merkle import Frontier
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.reads.audit import LOWEST, RECORD
from jupyter_quantum.store.rows import CheckpointRow, EventRow
from jupyter_quantum.store.unit import Unit

__all__ = ["LEAD", "AuditWrites"]

LEAD: Final = "leader"
"""Name of the lease that the leader holds."""

_UNNUMBERED: Final = c.Statement(
    select(*c.EVENTS.select.selected_columns, t.events.c.pos)
    .where(t.events.c.seq.is_(None))
    .order_by(t.events.c.pos)
    .limit(bindparam("most"))
)
_NUMBER: Final = c.Statement(update(t.events).where(t.events.c.pos == bindparam("key")).values(seq=bindparam("number")))
_FENCED: Final = c.Statement(
    update(t.leases)
    .where(t.leases.c.name == bindparam("key"), t.leases.c.fence == bindparam("mine"))
    .values(fence=bindparam("same"))
)
_NODES: Final = c.Statement(t.nodes.insert(), ["level", "place", "hash"])


def _upsert(dialect: Any) -> c.Statement:
    insert = dialect.insert(t.tree)
    changed = {"size": insert.excluded.size, "edge": insert.excluded.edge}
    return c.Statement(insert.on_conflict_do_update(index_elements=["name"], set_=changed), ["name", "size", "edge"])


_EDGE: Final = {dialect.dialect.name: _upsert(dialect) for dialect in (sqlite, postgresql)}


class AuditWrites(Unit):
    """The audit's part of a writing request."""

    def number_events(self, fence: int, *, limit: int = 1000) -> list[EventRow]:
        """Number committed events, in the order in which they were written, and add their leaves to the tree.

        Raises Conflict ``fence`` where another leads now.
        """
        if _FENCED.run(self._conn, {"key": LEAD, "mine": fence, "same": fence}).rowcount != 1:
            raise Conflict("Another process leads now.", code="fence")
        found = _UNNUMBERED.run(self._reading(), {"most": limit}).all()
        if not found:
            return []
        edge = self.edge()
        numbered = [replace(c.EVENTS.decode(row[:-1]), seq=edge.size + at) for at, row in enumerate(found, 1)]
        self._extend(edge, numbered)
        _NUMBER.run_each(
            self._conn, [{"key": row.pos, "number": event.seq} for row, event in zip(found, numbered, strict=True)]
        )
        return numbered

    def _extend(self, edge: Frontier, events: list[EventRow]) -> None:
        done = [node for event in events for node in edge.append(event.leaf)]
        kept = [{"level": at[0], "place": at[1], "hash": found} for at, found in done if at[0] >= LOWEST]
        if kept:
            _NODES.run_each(self._conn, kept)
        row = {"name": RECORD, "size": edge.size, "edge": edge.raw}
        _EDGE[self._conn.dialect.name].run(self._conn, row)

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def add_checkpoint(self, row: CheckpointRow, fence: int) -> None:
        """Keep a checkpoint. Raises Conflict ``fence`` where another leads now."""
        if _FENCED.run(self._conn, {"key": LEAD, "mine": fence, "same": fence}).rowcount != 1:
            raise Conflict("Another process leads now.", code="fence")
        c.CHECKPOINTS.insert.run(self._conn, c.CHECKPOINTS.encode(row))

    def checkpoint_copied(self, size: int, when: datetime) -> None:
        """It is in the second place."""
        self._mark(size, copied=c.micros(when))

    def checkpoint_witnessed(self, size: int, when: datetime, cosignatures: str) -> None:
        """The witness took it, and answered with these lines."""
        self._mark(size, witnessed=c.micros(when), cosignatures=cosignatures)

    def _mark(self, size: int, **values: Any) -> None:
        self._reading().execute(update(t.checkpoints).where(t.checkpoints.c.size == size).values(**values))

    def set_cursor(self, name: str, seq: int) -> None:
        """This export has taken every event up to this number."""
        insert = {"sqlite": sqlite, "postgresql": postgresql}[self._conn.dialect.name].insert(t.cursors)
        statement = insert.values(name=name, seq=seq)
        self._reading().execute(statement.on_conflict_do_update(index_elements=["name"], set_={"seq": seq}))

    # -- people ----------------------------------------------------------------------------------------------------

    def forget_name(self, principal: str) -> str | None:
        """Delete who a pseudonym is; the pseudonym, or None where the record never named this principal."""
        pseudonym = self._lookup(principal)
        if pseudonym is not None:
            self._reading().execute(delete(t.people).where(t.people.c.pseudonym == pseudonym))
        self._named.pop(principal, None)
        self._names.drop(principal)
        self._generation = self._names.generation
        self._forgotten.append(principal)
        return pseudonym
