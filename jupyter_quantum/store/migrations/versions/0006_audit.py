"""The record names people by pseudonyms, and a Merkle tree over it takes the place of the chain.

What older databases recorded with names is written anew with pseudonyms, and hashed again: nothing of it was ever
signed or seen by a witness, and a name in a payload could never be forgotten.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PAGE = 1_000
_events = sa.table(
    "events",
    sa.column("pos", sa.BigInteger),
    sa.column("actor", sa.Text),
    sa.column("principal", sa.Text),
    sa.column("payload", sa.Text),
    sa.column("leaf", sa.LargeBinary),
    sa.column("seq", sa.BigInteger),
)
_people = sa.table(
    "people", sa.column("pseudonym", sa.Text), sa.column("principal", sa.Text), sa.column("created", sa.BigInteger)
)

_nodes = sa.table(
    "nodes", sa.column("level", sa.BigInteger), sa.column("place", sa.BigInteger), sa.column("hash", sa.LargeBinary)
)
_tree = sa.table(
    "tree", sa.column("name", sa.Text), sa.column("size", sa.BigInteger), sa.column("edge", sa.LargeBinary)
)


def upgrade() -> None:
    """To this version."""
    conn = op.get_bind()
    names = _Names(conn)
    _each(conn, _events.c.pos, lambda row: _pseudonymous(row, names))
    _tables()
    _plant(conn)
    op.execute("ALTER TABLE events DROP COLUMN chain")


def _tables() -> None:
    op.create_table(
        "tree",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("edge", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_tree"),
    )
    op.create_table(
        "nodes",
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "place", name="pk_nodes"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("cosignatures", sa.Text(), nullable=False),
        sa.Column("copied", sa.BigInteger(), nullable=True),
        sa.Column("witnessed", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("size", name="pk_checkpoints"),
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_cursors"),
    )


def _plant(conn: Any) -> None:
    """The tree over the events that have numbers: each perfect subtree of level 4 and above, and the right edge."""
    edge: list[bytes] = []
    size = 0
    for (leaf,) in conn.execute(sa.select(_events.c.leaf).where(_events.c.seq.is_not(None)).order_by(_events.c.seq)):
        found, place, level = leaf, size, 0
        while place & 1:
            found = hashlib.sha256(b"\x01" + edge.pop() + found).digest()
            place, level = place >> 1, level + 1
            if level >= 4:
                conn.execute(sa.insert(_nodes).values(level=level, place=place, hash=found))
        edge.append(found)
        size += 1
    if size:
        conn.execute(sa.insert(_tree).values(name="record", size=size, edge=b"".join(edge)))


def _each(conn: Any, key: Any, change: Any) -> None:
    """Change every event, in the order of this column, a page at a time."""
    last = -1
    while page := conn.execute(sa.select(_events).where(key > last).order_by(key).limit(_PAGE)).all():
        for row in page:
            conn.execute(sa.update(_events).where(_events.c.pos == row.pos).values(**change(row)))
        last = getattr(page[-1], key.name)


class _Names:
    """Pseudonyms of principals, made where there is none yet."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self._known: dict[str, str] = {
            row.principal: row.pseudonym for row in conn.execute(sa.select(_people.c.principal, _people.c.pseudonym))
        }

    def of(self, actor: str) -> str:
        """As ``Tx.named``."""
        if "@" not in actor:
            return actor
        if actor not in self._known:
            self._known[actor] = f"ppl_{uuid.uuid4().hex}"
            values = {"pseudonym": self._known[actor], "principal": actor, "created": time.time_ns() // 1_000}
            self._conn.execute(sa.insert(_people).values(**values))
        return self._known[actor]

    def within(self, value: Any, known: dict[str, str]) -> Any:
        """A value of JSON, with these principals replaced wherever they stand (ids of accounts hold them)."""
        if isinstance(value, str):
            for principal, pseudonym in known.items():
                value = value.replace(principal, pseudonym)
            return value
        if isinstance(value, dict):
            return {key: self.within(each, known) for key, each in value.items()}
        return [self.within(each, known) for each in value] if isinstance(value, list) else value


def _pseudonymous(row: Any, names: _Names) -> dict[str, Any]:
    whole = json.loads(row.payload)
    known = {each: names.of(each) for each in (row.actor, row.principal) if each and "@" in each}
    whole = names.within(whole, known)
    # It repeated the actor's name.
    whole["data"].pop("by", None)
    payload = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return {
        "actor": known.get(row.actor, row.actor),
        "principal": known.get(row.principal, row.principal),
        "payload": payload,
        "leaf": hashlib.sha256(b"\x00" + payload.encode()).digest(),
    }
