"""What the door remembers: answers of requests with a key, buckets of the rate limits, webhooks and what they lost."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, LargeBinary, PrimaryKeyConstraint, Table, UniqueConstraint

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["answers", "buckets", "dead_letters", "webhooks"]

answers = Table(
    "answers",
    metadata,
    text("principal"),
    text("key"),
    text("request"),
    text("state"),
    text("holder"),
    integer("until"),
    integer("created", index=True),
    integer("status", null=True),
    Column("body", LargeBinary, nullable=True),
    text("tenant", null=True),
    PrimaryKeyConstraint("principal", "key"),
)

buckets = Table(
    "buckets",
    metadata,
    text("name", primary_key=True),
    integer("level"),
    integer("at", index=True),
)

webhooks = Table(
    "webhooks",
    metadata,
    text("id", primary_key=True),
    text("principal", index=True),
    text("project", null=True, index=True),
    text("url"),
    text("label"),
    text("events"),
    text("state"),
    text("reason", null=True),
    Column("secret", LargeBinary, nullable=False),
    Column("previous", LargeBinary, nullable=True),
    integer("previous_until", null=True),
    integer("cursor"),
    integer("attempts"),
    integer("next_at", null=True),
    integer("head_since", null=True),
    integer("failing_since", null=True),
    integer("delivered", null=True),
    text("error", null=True),
    integer("created"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    text("id", primary_key=True),
    text("webhook", ForeignKey("webhooks.id")),
    integer("seq"),
    text("event"),
    text("type"),
    integer("attempts"),
    text("error"),
    integer("time"),
    UniqueConstraint("webhook", "seq"),
)
