"""Budgets and the entries that moved them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, UniqueConstraint

from jupyter_quantum.store.tables.base import SERIAL, integer, metadata, text

__all__ = ["accounts", "entries"]

accounts = Table(
    "accounts",
    metadata,
    text("id", primary_key=True),
    text("scope"),
    text("name"),
    text("project", index=True),
    integer("limit"),
    integer("used"),
    integer("held"),
    text("period", null=True),
    integer("resets", null=True),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("used >= 0", name="used"),
)

entries = Table(
    "entries",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    text("account", ForeignKey("accounts.id"), index=True),
    text("kind"),
    integer("time"),
    text("job", ForeignKey("jobs.id"), null=True),
    integer("attempt"),
    integer("granted"),
    integer("used"),
    integer("held"),
    text("actor"),
    # Hold and release once per job, settle once per attempt; a grant has no job, and NULLs are distinct.
    UniqueConstraint("job", "kind", "attempt", "account"),
)
