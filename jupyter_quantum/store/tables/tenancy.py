"""What is declared, who is a member for how long, tokens of workloads and the ids of those that were exchanged."""

from __future__ import annotations

from sqlalchemy import Index, Table

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["declared", "memberships", "revisions", "seen_tokens", "workloads"]

revisions = Table(
    "revisions",
    metadata,
    text("name", primary_key=True),
    integer("version"),
    integer("changed", null=True),
    text("changed_by", null=True),
    text("digest"),
)

declared = Table("declared", metadata, text("id", primary_key=True), text("kind"), text("name"), text("body"))

memberships = Table(
    "memberships",
    metadata,
    text("id", primary_key=True),
    text("principal"),
    text("name"),
    text("role"),
    text("kind"),
    integer("start"),
    text("granted_by"),
    text("project", null=True),
    integer("end", null=True),
    text("request", null=True),
    text("reason"),
    integer("ended", null=True),
    text("ended_by", null=True),
    integer("reviewed", null=True),
    text("reviewed_by", null=True),
    text("review", null=True),
    integer("reminded", null=True),
    Index("ix_memberships_principal_id", "principal", "id"),
    Index("ix_memberships_project_id", "project", "id"),
)

workloads = Table(
    "workloads",
    metadata,
    text("hash", primary_key=True),
    text("id", unique=True),
    text("principal"),
    text("project"),
    text("issuer"),
    integer("created"),
    integer("expires"),
    integer("revoked", null=True),
    text("revoked_by", null=True),
    Index("ix_workloads_project_id", "project", "id"),
)

seen_tokens = Table("seen_tokens", metadata, text("hash", primary_key=True), integer("expires"))
