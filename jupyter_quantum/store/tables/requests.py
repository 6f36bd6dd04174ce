"""Requests that a person decides."""

from __future__ import annotations

from sqlalchemy import Index, Table

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["requests"]

requests = Table(
    "requests",
    metadata,
    text("id", primary_key=True),
    text("kind"),
    text("principal"),
    text("asked_by"),
    text("role"),
    integer("created"),
    integer("expires"),
    text("project", null=True),
    text("reason"),
    text("body"),
    text("state"),
    text("decided_by", null=True),
    integer("decided", null=True),
    text("note", null=True),
    text("outcome"),
    Index("ix_requests_state_expires", "state", "expires"),
    Index("ix_requests_principal_id", "principal", "id"),
    Index("ix_requests_project_id", "project", "id"),
)
