"""The Merkle tree over the record, and the checkpoints that were signed of it."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, PrimaryKeyConstraint, Table

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["checkpoints", "cursors", "nodes", "tree"]

# One row: the right edge, all that appending needs.
tree = Table(
    "tree",
    metadata,
    text("name", primary_key=True),
    integer("size"),
    Column("edge", LargeBinary, nullable=False),
)

# Perfect subtrees over 16 leaves and more; smaller ones are computed from the leaves.
nodes = Table(
    "nodes",
    metadata,
    integer("level"),
    integer("place"),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("level", "place"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    integer("size", primary_key=True, autoincrement=False),
    integer("time"),
    text("note"),
    text("cosignatures"),
    integer("copied", null=True),
    integer("witnessed", null=True),
)

# How far an export has got: the number of the last event that it took.
cursors = Table("cursors", metadata, text("name", primary_key=True), integer("seq"))
