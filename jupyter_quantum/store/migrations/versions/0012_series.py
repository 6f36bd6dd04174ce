"""Benchmark series, and how estimators have done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this version."""
    op.add_column("jobs", sa.Column("priority", sa.Text(), nullable=False, server_default="interactive"))
    op.create_table(
        "series",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("circuits", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("calibration", sa.Text(), nullable=False),
        sa.Column("calibrated", sa.BigInteger(), nullable=True),
        sa.Column("compiler", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("key", name="uq_series_key"),
    )
    op.create_index("ix_series_device_id", "series", ["device", "id"])
    _runs()
    _scores()


def _runs() -> None:
    op.create_table(
        "series_runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("circuits", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=True),
        sa.Column("series", sa.Text(), nullable=True),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("figures", sa.Text(), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_series_runs"),
        sa.ForeignKeyConstraint(["series"], ["series.id"], name="fk_series_runs_series"),
    )
    op.create_index("ix_series_runs_device_id", "series_runs", ["device", "id"])
    op.create_index("ix_series_runs_series_id", "series_runs", ["series", "id"])
    op.create_index("ix_series_runs_state", "series_runs", ["state"])


def _scores() -> None:
    numbers = ("success", "success_low", "success_high", "agreement", "seconds", "seconds_low", "seconds_high", "took")
    op.create_table(
        "scores",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("known", sa.Boolean(), nullable=True),
        *(sa.Column(name, sa.Float(), nullable=True) for name in numbers),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("price", "price_at_most", "cost")),
        sa.PrimaryKeyConstraint("job", name="pk_scores"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_scores_job"),
    )
    op.create_index("ix_scores_device_created", "scores", ["device", "created"])
