"""Data that leaves a project."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, Table

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["exports"]

exports = Table(
    "exports",
    metadata,
    text("id", primary_key=True),
    text("job", ForeignKey("jobs.id")),
    text("project"),
    text("principal"),
    text("asked_by"),
    text("target"),
    text("classes"),
    text("reason"),
    integer("created"),
    integer("changed"),
    text("state"),
    text("decision"),
    text("request", null=True, unique=True),
    integer("expires", null=True),
    text("place", null=True),
    text("digest", null=True),
    integer("size", null=True),
    text("error", null=True),
    Index("ix_exports_principal_id", "principal", "id"),
    Index("ix_exports_project_id", "project", "id"),
    Index("ix_exports_state", "state"),
)
