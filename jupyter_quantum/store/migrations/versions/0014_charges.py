"""What an attempt was charged for: how it ended, what of it came, what its submissions used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.add_column("attempts", sa.Column("charge", sa.Text(), nullable=False, server_default="{}"))
