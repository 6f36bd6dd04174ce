"""Attempts at a vendor, what was found out about devices, what a job may fall back to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    for name in ("fallback", "moved_from", "marks"):
        op.add_column("jobs", sa.Column(name, sa.Text(), nullable=False, server_default="[]"))
    for name in ("fallback_after", "vendor_s"):
        op.add_column("jobs", sa.Column(name, sa.Float(), nullable=True))
    for name in ("sent", "leaving"):
        op.add_column("jobs", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("devices", sa.Column("awaits", sa.Text(), nullable=True))
    op.add_column("devices", sa.Column("since", sa.BigInteger(), nullable=True))
    _attempts()


def _attempts() -> None:
    op.add_column("attempts", sa.Column("device", sa.Text(), nullable=False, server_default=""))
    for name in ("handles", "marks"):
        op.add_column("attempts", sa.Column(name, sa.Text(), nullable=False, server_default="[]"))
    op.add_column("attempts", sa.Column("vendor_s", sa.Float(), nullable=True))
    op.add_column("attempts", sa.Column("calibration", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("absent_after", sa.BigInteger(), nullable=True))
    op.add_column("attempts", sa.Column("recoveries", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ix_attempts_device_ended", "attempts", ["device", "ended"])
    op.execute("UPDATE attempts SET device = (SELECT device FROM jobs WHERE jobs.id = attempts.job)")
