"""Budgets, the entries that moved them, loans, raises, price lists."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, UniqueConstraint

from jupyter_quantum.store.tables.base import SERIAL, integer, metadata, text

__all__ = ["accounts", "entries", "loans", "prices", "raises"]

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
    text("organisation"),
    text("unit"),
    text("device_kind", null=True),
    text("purpose"),
    integer("soft", null=True),
    integer("starts", null=True),
    integer("declared"),
    integer("closed", null=True),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("used >= 0", name="used"),
    Index(None, "purpose", "resets"),
)

entries = Table(
    "entries",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    text("kind"),
    integer("time", index=True),
    integer("amount"),
    text("account", ForeignKey("accounts.id"), index=True),
    text("part"),
    text("to_account", ForeignKey("accounts.id"), index=True),
    text("to_part"),
    text("job", ForeignKey("jobs.id"), null=True),
    integer("attempt"),
    text("actor"),
    text("ref", null=True),
    CheckConstraint("amount > 0", name="amount"),
    # Hold and release once per job and account, settle once per attempt; others have no job, and NULLs are distinct.
    UniqueConstraint("job", "kind", "attempt", "account"),
)

loans = Table(
    "loans",
    metadata,
    text("id", primary_key=True),
    text("lender", ForeignKey("accounts.id"), index=True),
    text("borrower", ForeignKey("accounts.id")),
    text("from_project"),
    text("to_project", index=True),
    integer("amount"),
    integer("recalled"),
    integer("created"),
    text("by"),
    integer("ends", null=True),
    integer("closed", null=True),
    CheckConstraint("recalled <= amount", name="recalled"),
)

raises = Table(
    "raises",
    metadata,
    text("id", primary_key=True),
    text("quota", index=True),
    integer("amount"),
    integer("starts"),
    integer("until"),
    text("request"),
    text("project"),
    CheckConstraint("amount > 0", name="amount"),
)

prices = Table(
    "prices",
    metadata,
    text("id", primary_key=True),
    text("device"),
    integer("since"),
    text("prices"),
    integer("created"),
    text("by"),
    UniqueConstraint("device", "since"),
)
