"""Encrypted artefacts, wrapped keys, exports."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


_REFERENCES = """
    SELECT project AS tenant, source AS digest FROM jobs
    UNION SELECT project, executable FROM jobs
    UNION SELECT project, result FROM jobs
    UNION SELECT project, source FROM reports
    UNION SELECT 'service', target FROM devices
"""


def upgrade() -> None:
    """To this version."""
    op.create_table(
        "keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("master", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("retired", sa.BigInteger(), nullable=True),
        sa.Column("destroyed", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("tenant", "version", name="uq_keys_tenant_version"),
    )
    op.create_table(
        "artefacts",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("file", sa.Text(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("touched", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("raw IS NOT NULL OR file IS NOT NULL", name=op.f("ck_artefacts_kept")),
        sa.PrimaryKeyConstraint("tenant", "digest", name="pk_artefacts"),
    )
    op.create_table(
        "trash",
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("file", name="pk_trash"),
    )
    op.create_table(
        "exports",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("classes", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_exports_job"),
        sa.PrimaryKeyConstraint("id", name="pk_exports"),
        sa.UniqueConstraint("request", name="uq_exports_request"),
    )
    op.create_index("ix_exports_principal_id", "exports", ["principal", "id"], unique=False)
    op.create_index("ix_exports_project_id", "exports", ["project", "id"], unique=False)
    op.create_index("ix_exports_state", "exports", ["state"], unique=False)
    with op.batch_alter_table("jobs") as batch:
        batch.add_column(sa.Column("erased", sa.Text(), server_default="", nullable=False))
    _move_artefacts()


def _move_artefacts() -> None:
    """Each tenant gets rows of its own for what it refers to, unsealed as yet; `keys rotate` seals them.

    What is not in the database was in a file named by its digest, or was never kept.
    """
    now = sa.literal(time.time_ns() // 1000).compile(compile_kwargs={"literal_binds": True})
    path = "substr(r.digest, 8, 2) || '/' || substr(r.digest, 10, 2) || '/' || substr(r.digest, 8)"
    columns = "artefacts (tenant, digest, raw, file, key, size, touched)"
    op.execute(
        f"INSERT INTO {columns} SELECT r.tenant, r.digest, b.raw, NULL, NULL, length(b.raw), {now} "  # noqa: S608 - ours
        f"FROM ({_REFERENCES}) AS r JOIN blobs AS b ON b.digest = r.digest"
    )
    op.execute(
        f"INSERT INTO {columns} SELECT r.tenant, r.digest, NULL, {path}, NULL, 0, {now} "  # noqa: S608 - ours
        f"FROM ({_REFERENCES}) AS r LEFT JOIN blobs AS b ON b.digest = r.digest "
        "WHERE b.digest IS NULL AND r.digest IS NOT NULL"
    )
    op.drop_table("blobs")
