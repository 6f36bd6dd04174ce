"""What a job's record rests on: the job that it runs once more, the document of its calibration."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.add_column("jobs", sa.Column("replay_of", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("snapshot", sa.Text(), nullable=True))
    op.create_index("ix_jobs_replay_of", "jobs", ["replay_of"])
