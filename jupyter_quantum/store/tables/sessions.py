"""Users' sessions."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Table

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["sessions"]

sessions = Table(
    "sessions",
    metadata,
    text("id", primary_key=True),
    text("name"),
    text("principal"),
    text("project"),
    text("device"),
    text("kind"),
    integer("created"),
    integer("used"),
    Column("max_s", Float, nullable=True),
    integer("closed", null=True),
    text("state"),
    text("mode", null=True),
    text("handle", null=True),
    integer("opened", null=True),
    integer("ended", null=True),
    text("why", null=True),
    Column("usage_s", Float, nullable=True),
    Index(None, "principal", "name"),
    Index(None, "state"),
)
