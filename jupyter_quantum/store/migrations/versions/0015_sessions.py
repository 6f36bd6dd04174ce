"""Users' sessions, and the vendor's session that an attempt ran in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.add_column("jobs", sa.Column("session", sa.Text(), nullable=True))
    op.create_index("ix_jobs_session", "jobs", ["session"])
    op.add_column("attempts", sa.Column("session", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("session_mode", sa.Text(), nullable=True))
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("max_s", sa.Float(), nullable=True),
        sa.Column("closed", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=True),
        sa.Column("handle", sa.Text(), nullable=True),
        sa.Column("opened", sa.BigInteger(), nullable=True),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("usage_s", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_principal_name", "sessions", ["principal", "name"])
    op.create_index("ix_sessions_state", "sessions", ["state"])
