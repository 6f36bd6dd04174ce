"""The record: one row a fact, audit leaf and outgoing event in one."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table

from jupyter_quantum.store.tables.base import SERIAL, integer, metadata, text

__all__ = ["events"]

events = Table(
    "events",
    metadata,
    Column("pos", SERIAL, primary_key=True, autoincrement=True),
    text("id"),
    integer("time"),
    text("type"),
    text("actor"),
    text("payload"),
    Column("leaf", LargeBinary, nullable=False),
    text("principal", null=True),
    text("project", null=True),
    text("job", null=True, index=True),
    integer("seq", null=True),
)
# An event is in one of the two, so that writing one touches few pages.
_OPEN, _NUMBERED = events.c.seq.is_(None), events.c.seq.is_not(None)
Index("ix_events_open", events.c.pos, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("uq_events_seq", events.c.seq, unique=True, sqlite_where=_NUMBERED, postgresql_where=_NUMBERED)
