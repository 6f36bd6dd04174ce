"""The tables. Portable between SQLite and PostgreSQL: integers, texts, bytes; times are microseconds since 1970 in UTC.

Column names are the fields of the rows (:mod:`jupyter_quantum.store.rows`). ``migrations/`` brings a database here; a
test compares the two.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "accounts",
    "approvals",
    "attempts",
    "blobs",
    "devices",
    "entries",
    "events",
    "jobs",
    "leases",
    "metadata",
    "reports",
]

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite numbers rows by itself only for INTEGER keys.
_SERIAL = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str, *more: Any, null: bool = False, **options: Any) -> Column[str]:
    return Column(name, Text, *more, nullable=null, **options)


def _int(name: str, *, null: bool = False, **options: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=null, **options)


jobs = Table(
    "jobs",
    metadata,
    _text("id", primary_key=True),
    _text("principal"),
    _text("owner"),
    _text("organisation"),
    _text("project"),
    _text("device"),
    _text("device_kind"),
    _text("device_label"),
    _text("kind"),
    _text("name"),
    _int("created"),
    _int("changed"),
    _text("source"),
    _text("source_format"),
    _int("num_circuits"),
    _text("state"),
    _text("transpile"),
    _text("pubs"),
    _text("options"),
    _text("reason", null=True),
    _int("max_price", null=True),
    _text("report", null=True),
    _int("num_qubits", null=True),
    _int("shots", null=True),
    _int("executions", null=True),
    _text("executable", null=True),
    _text("prepared", null=True),
    _text("calibration", null=True),
    _text("decision", null=True),
    _text("approval", null=True),
    _text("error", null=True),
    _int("price", null=True),
    _int("price_at_most", null=True),
    _int("held", null=True),
    _text("accounts"),
    _int("on_hold"),
    _int("cost", null=True),
    _int("attempts"),
    _int("version"),
    _int("submitted", null=True),
    _int("started", null=True),
    _int("ended", null=True),
    Column("seconds", Float, nullable=True),
    _text("wait", null=True),
    _int("cancel_asked", null=True),
    _text("result", null=True),
    _text("versions", null=True),
    _text("idempotency", null=True),
    _text("body", null=True),
    UniqueConstraint("principal", "idempotency"),
    CheckConstraint("on_hold >= 0", name="hold"),
    # Ids sort by time, so these also answer "newest first".
    Index(None, "principal", "id"),
    Index(None, "project", "id"),
    Index(None, "state", "device"),
)

attempts = Table(
    "attempts",
    metadata,
    _text("tag", primary_key=True),
    _text("job", ForeignKey("jobs.id")),
    _int("number"),
    _text("state"),
    _text("runner"),
    _int("fence"),
    _int("created"),
    _int("lease_until"),
    _int("started", null=True),
    _int("ended", null=True),
    Column("charged", Boolean, nullable=False),
    Column("usage", Float, nullable=False),
    _int("cost", null=True),
    _text("error", null=True),
    UniqueConstraint("job", "number"),
    Index(None, "state", "lease_until"),
)

reports = Table(
    "reports",
    metadata,
    _text("id", primary_key=True),
    _text("principal"),
    _text("owner"),
    _text("project"),
    _int("created"),
    _text("kind"),
    _text("name"),
    _text("source"),
    _text("source_format"),
    _int("num_circuits"),
    _text("transpile"),
    _text("pubs"),
    _text("options"),
    _text("policy", null=True),
    _text("body", null=True),
)

approvals = Table(
    "approvals",
    metadata,
    _text("id", primary_key=True),
    _text("job", ForeignKey("jobs.id"), index=True),
    _text("project"),
    _text("role"),
    _text("principal"),
    _text("asked_by"),
    _text("words"),
    _int("created"),
    _int("expires"),
    _text("reason", null=True),
    _text("envelope"),
    _text("state"),
    _text("decided_by", null=True),
    _int("decided", null=True),
    _text("note", null=True),
    Index(None, "state", "expires"),
)

devices = Table(
    "devices",
    metadata,
    _text("name", primary_key=True),
    _text("announcement"),
    _text("runner"),
    _int("seen"),
    Column("admitted", Boolean, nullable=False),
    _text("state"),
    _text("reason", null=True),
    _int("until", null=True),
    _text("target", null=True),
)

accounts = Table(
    "accounts",
    metadata,
    _text("id", primary_key=True),
    _text("scope"),
    _text("name"),
    _text("project", index=True),
    _int("limit"),
    _int("used"),
    _int("held"),
    _text("period", null=True),
    _int("resets", null=True),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("used >= 0", name="used"),
)

entries = Table(
    "entries",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    _text("account", ForeignKey("accounts.id"), index=True),
    _text("kind"),
    _int("time"),
    _text("job", ForeignKey("jobs.id"), null=True),
    _int("attempt"),
    _int("granted"),
    _int("used"),
    _int("held"),
    _text("actor"),
    # Hold and release once per job, settle once per attempt; a grant has no job, and NULLs are distinct.
    UniqueConstraint("job", "kind", "attempt", "account"),
)

events = Table(
    "events",
    metadata,
    Column("pos", _SERIAL, primary_key=True, autoincrement=True),
    _text("id"),
    _int("time"),
    _text("type"),
    _text("actor"),
    _text("payload"),
    Column("leaf", LargeBinary, nullable=False),
    _text("principal", null=True),
    _text("project", null=True),
    _text("job", null=True, index=True),
    _int("seq", null=True),
    Column("chain", LargeBinary, nullable=True),
)
# An event is in one of the two, so that writing one touches few pages.
_OPEN, _NUMBERED = events.c.seq.is_(None), events.c.seq.is_not(None)
Index("ix_events_open", events.c.pos, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("uq_events_seq", events.c.seq, unique=True, sqlite_where=_NUMBERED, postgresql_where=_NUMBERED)

blobs = Table(
    "blobs",
    metadata,
    _text("digest", primary_key=True),
    Column("raw", LargeBinary, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    _text("name", primary_key=True),
    _text("holder"),
    _int("fence"),
    _int("until"),
)
