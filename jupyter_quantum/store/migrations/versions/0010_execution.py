"""Attempts at a vendor, what was found out about devices, what a job may fall back to."""

from __future__ import annotations

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
