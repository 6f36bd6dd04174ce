"""Devices that runners announced, and what operators made of them."""

from __future__ import annotations

from sqlalchemy import Column, Float, Table

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["admissions"]

admissions = Table(
    "admissions",
    metadata,
    text("device", primary_key=True),
    text("runner"),
    text("state"),
    text("why"),
    text("announcement"),
    integer("announced"),
    text("prices", null=True),
    text("label", null=True),
    Column("max_seconds", Float, nullable=True),
    text("note", null=True),
    text("decided_by", null=True),
    integer("decided", null=True),
)
