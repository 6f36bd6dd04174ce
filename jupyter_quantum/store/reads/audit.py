"""The record as an auditor reads it: search, the tree's hashes, proofs, checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select
from sqlalchemy.dialects import postgresql

from jupyter_quantum.core import merkle
from jupyter_quantum.core.merkle import Frontier, Node
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import CHECKPOINTS, EVENTS, Statement, micros
from jupyter_quantum.store.reading import Reading, absent
from jupyter_quantum.store.rows import CheckpointRow, EventRow, Sought, TreeState

__all__ = ["LOWEST", "RECORD", "AuditReads"]

RECORD: Final = "record"
"""Name of the tree's row."""
LOWEST: Final = 4
"""Perfect subtrees of this level and above are stored; a lower one is computed from 16 leaves at most."""

_E = t.events.c
_EDGE: Final = Statement(select(t.tree.c.size, t.tree.c.edge).where(t.tree.c.name == bindparam("key")))
_NODE: Final = Statement(
    select(t.nodes.c.hash).where(t.nodes.c.level == bindparam("at_level"), t.nodes.c.place == bindparam("at_place"))
)
_LEAVES: Final = Statement(
    select(_E.leaf).where(_E.seq > bindparam("after"), _E.seq <= bindparam("last")).order_by(_E.seq)
)
_NUMBERED: Final = EVENTS.select.where(_E.seq.is_not(None))


class AuditReads(Reading):
    """The audit's part of a view."""

    # -- the tree --------------------------------------------------------------------------------------------------

    def edge(self) -> Frontier:
        """The tree's right edge."""
        found = _EDGE.run(self._reading(), {"key": RECORD}).first()
        return Frontier() if found is None else Frontier.read(found.size, bytes(found.edge))

    def tree(self) -> TreeState:
        """Size and root of the tree now."""
        edge = self.edge()
        return TreeState(edge.size, edge.root)

    def root_at(self, size: int) -> bytes:
        """The root that the tree had at this size. Raises NotFound where it was never as large."""
        self._check_size(size)
        return self._folded(merkle.cover(0, size))

    def inclusion(self, seq: int, size: int) -> list[bytes]:
        """The hashes that prove event ``seq`` to be in the tree at this size (RFC 6962, section 2.1.1)."""
        self._check_size(size)
        if not 1 <= seq <= size:
            raise absent("event in a tree of this size")
        return [self._folded(nodes) for nodes in merkle.inclusion(seq - 1, size)]

    def consistency(self, first: int, second: int) -> list[bytes]:
        """The hashes that prove the tree at ``first`` to be the beginning of that at ``second`` (section 2.1.2)."""
        self._check_size(second)
        if not 0 <= first <= second:
            raise absent("tree of this size")
        return [self._folded(nodes) for nodes in merkle.consistency(first, second)]

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= self.edge().size:
            raise absent("tree of this size")

    def _folded(self, nodes: Iterable[Node]) -> bytes:
        return merkle.fold([self._hash(level, place) for level, place in nodes])

    def _hash(self, level: int, place: int) -> bytes:
        if level >= LOWEST:
            found = _NODE.run(self._reading(), {"at_level": level, "at_place": place}).first()
            if found is None:
                raise absent("part of the tree")
            return bytes(found.hash)
        first, count = place << level, 1 << level
        rows = _LEAVES.run(self._reading(), {"after": first, "last": first + count}).all()
        if len(rows) != count:
            raise absent("part of the tree")
        return merkle.perfect([bytes(row.leaf) for row in rows])

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def checkpoint(self, size: int | None = None) -> CheckpointRow | None:
        """The newest checkpoint (of at least this size); None where there is none."""
        query = CHECKPOINTS.select.order_by(t.checkpoints.c.size.desc()).limit(1)
        if size is not None:
            query = CHECKPOINTS.select.where(t.checkpoints.c.size >= size).order_by(t.checkpoints.c.size).limit(1)
        return next(iter(self._all(CHECKPOINTS, query)), None)

    def checkpoints(
        self, *, uncopied: bool = False, unwitnessed: bool = False, up_to: int | None = None, limit: int | None = None
    ) -> list[CheckpointRow]:
        """Checkpoints (that are not in the second place yet; that no witness has taken), smallest first."""
        c = t.checkpoints.c
        query = CHECKPOINTS.select.order_by(c.size).limit(limit)
        if uncopied:
            query = query.where(c.copied.is_(None))
        if unwitnessed:
            query = query.where(c.witnessed.is_(None))
        if up_to is not None:
            query = query.where(c.size <= up_to)
        return self._all(CHECKPOINTS, query)

    def last_witnessed(self) -> int:
        """The size of the largest checkpoint that a witness took; 0 where there is none."""
        c = t.checkpoints.c
        query = select(func.coalesce(func.max(c.size), 0)).where(c.witnessed.is_not(None))
        return int(self._reading().execute(query).scalar_one())

    def cursor(self, name: str) -> int:
        """How far this export has got; 0 at its beginning."""
        found = self._reading().execute(select(t.cursors.c.seq).where(t.cursors.c.name == name)).scalar()
        return 0 if found is None else int(found)

    # -- search ----------------------------------------------------------------------------------------------------

    def event(self, event_id: str) -> EventRow:
        """The event with this id; one that has no number yet counts as absent."""
        found = self._all(EVENTS, _NUMBERED.where(_E.id == event_id))
        if not found:
            raise absent("event")
        return found[0]

    def numbered(self, seq: int) -> EventRow:
        """The event with this number."""
        found = self._all(EVENTS, EVENTS.select.where(_E.seq == seq))
        if not found:
            raise absent("event")
        return found[0]

    def search(
        self, sought: Sought, *, before: int | None = None, after: int | None = None, limit: int = 100
    ) -> list[EventRow]:
        """Numbered events that match, newest first below number ``before``; or oldest first above ``after``."""
        query = self._matching(_NUMBERED, sought)
        if before is not None:
            query = query.where(_E.seq < before)
        if after is not None:
            query = query.where(_E.seq > after)
        order = _E.seq if after is not None else _E.seq.desc()
        return self._all(EVENTS, query.order_by(order).limit(limit))

    def _matching(self, query: Select[Any], sought: Sought) -> Select[Any]:
        if sought.who is not None:
            query = query.where(or_(_E.actor.in_(sought.who), _E.principal.in_(sought.who)))
        for column, wanted in ((_E.project, sought.project), (_E.job, sought.job)):
            if wanted is not None:
                query = query.where(column == wanted)
        if sought.type is not None:
            beginning = sought.type.removesuffix("*")
            query = query.where(
                _E.type.startswith(beginning, autoescape=True) if beginning != sought.type else _E.type == beginning
            )
        if sought.since is not None:
            query = query.where(_E.time >= micros(sought.since))
        if sought.until is not None:
            query = query.where(_E.time < micros(sought.until))
        for path, wanted in (
            (("device",), sought.device),
            (("code",), sought.code),
            (("decision", "effect"), sought.effect),
        ):
            if wanted is not None:
                query = query.where(self._said(*path) == wanted)
        if sought.policy is not None:
            # A list of ids; the quotes keep one id from matching the beginning of another.
            query = query.where(self._said("decision", "policies").contains(f'"{sought.policy}"', autoescape=True))
        return query

    def _said(self, *path: str) -> ColumnElement[str]:
        """What an event's data say at this path, as text."""
        if self._conn.dialect.name == "postgresql":
            return func.jsonb_extract_path_text(_E.payload.cast(postgresql.JSONB), "data", *path)
        return func.json_extract(_E.payload, ".".join(("$", "data", *path)))

    def people(self, pseudonyms: Sequence[str]) -> dict[str, str]:
        """Pseudonym → ``Principal.id``, of those who were not forgotten."""
        p = t.people.c
        wanted = sorted(set(pseudonyms))
        rows = self._reading().execute(select(p.pseudonym, p.principal).where(p.pseudonym.in_(wanted)))
        return {row.pseudonym: row.principal for row in rows}

    def pseudonyms(self, name: str) -> list[str]:
        """Pseudonyms of everybody who has, or had before it was used again, this name; or of this principal."""
        p = t.people.c
        given = or_(p.principal == name, p.principal.startswith(f"{name}@", autoescape=True))
        rows = self._reading().execute(select(p.pseudonym, p.principal).where(given).order_by(p.created.desc()))
        return [row.pseudonym for row in rows if row.principal == name or row.principal.rpartition("@")[0] == name]
