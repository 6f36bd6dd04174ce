"""The record names people by pseudonyms.

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
    sa.column("chain", sa.LargeBinary),
)
_people = sa.table(
    "people", sa.column("pseudonym", sa.Text), sa.column("principal", sa.Text), sa.column("created", sa.BigInteger)
)


def upgrade() -> None:
    """To this version."""
    conn = op.get_bind()
    names = _Names(conn)
    _each(conn, _events.c.pos, lambda row: _pseudonymous(row, names))
    chain = bytes(32)

    def linked(row: Any) -> dict[str, Any]:
        nonlocal chain
        chain = hashlib.sha256(chain + row.leaf).digest()
        return {"chain": chain}

    _each(conn, _events.c.seq, linked)


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
            self._known[actor] = f"ppl_{uuid.uuid4()}"
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
