"""What policy decided and on which facts; envelopes within which nobody is asked again."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Float, ForeignKey, Index, Table

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["decisions", "envelope_uses", "envelopes"]

decisions = Table(
    "decisions",
    metadata,
    text("id", primary_key=True),
    integer("time", index=True),
    text("action"),
    text("person"),
    text("project"),
    text("job", null=True, index=True),
    text("request", null=True),
    text("context"),
    text("effect"),
    text("policies"),
    text("roles"),
    text("version"),
    text("code", null=True),
    text("words"),
)

envelopes = Table(
    "envelopes",
    metadata,
    text("id", primary_key=True),
    text("kind"),
    text("project"),
    text("device"),
    text("roles"),
    text("principal"),
    text("asked_by"),
    text("decided_by"),
    text("origin"),
    text("reason"),
    text("terms"),
    integer("price_cap", null=True),
    Column("success_floor", Float, nullable=True),
    integer("amount", null=True),
    integer("held"),
    integer("used"),
    integer("until"),
    integer("created"),
    text("state"),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("used >= 0", name="used"),
    Index(None, "project", "device", "state"),
)

envelope_uses = Table(
    "envelope_uses",
    metadata,
    text("job", ForeignKey("jobs.id"), primary_key=True),
    text("envelope", ForeignKey("envelopes.id"), index=True),
    integer("time"),
    integer("held"),
    integer("cost", null=True),
)
