"""What was forecast of a wait, and how it turned out; the cell that a job comes from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.add_column("jobs", sa.Column("forecast", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("origin", sa.Text(), nullable=True))
    for name in ("wait", "wait_high", "waited"):
        op.add_column("scores", sa.Column(name, sa.Float(), nullable=True))
