"""Proofs by counting: what must be true of a whole database, whatever happened to it.

Each check returns a sentence for every violation that it finds; an empty list is the proof. They read everything once,
in one snapshot, and trust no balance, hash or number that they can compute themselves.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import select

from jupyter_quantum.core.jobs import FINAL, MOVES, JobState
from jupyter_quantum.core.merkle import Frontier, Node, leaf_hash
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.books import BOOKS
from jupyter_quantum.store.codec import micros
from jupyter_quantum.store.reads.audit import LOWEST
from jupyter_quantum.store.view import View

__all__ = ["CHECKS", "envelopes", "moves", "record", "verify"]

_LEGAL: Final = {(str(before), str(after)) for before, afters in MOVES.items() for after in afters}


def verify(view: View) -> list[str]:
    """Every violation that any check finds."""
    return [f"{name}: {found}" for name, check in CHECKS.items() for found in check(view)]


def envelopes(view: View) -> Iterator[str]:
    """Each envelope's balances are the sums of what its jobs hold and cost, and no more than its amount."""
    e, u = t.envelopes.c, t.envelope_uses.c
    held: dict[str, int] = {}
    used: dict[str, int] = {}
    for envelope, on_hold, cost in view.query(select(u.envelope, u.held, u.cost)):
        sums, value = (held, on_hold) if cost is None else (used, cost)
        sums[envelope] = sums.get(envelope, 0) + value
    for envelope, amount, *kept in view.query(select(e.id, e.amount, e.held, e.used)):
        if kept != [held.get(envelope, 0), used.get(envelope, 0)]:
            yield f"{envelope} keeps (held, used) {tuple(kept)}, its jobs say otherwise"
        if amount is not None and sum(kept) > amount:
            yield f"{envelope} is overdrawn"
    final = select(t.jobs.c.id).where(t.jobs.c.state.in_(sorted(FINAL)))
    for (job,) in view.query(select(u.job).where(u.cost.is_(None), u.job.in_(final))):
        yield f"{job} has ended and still holds a part of its envelope"


def moves(view: View) -> Iterator[str]:
    """Each job's events tell one legal life, from draft to the state it has, with a version for each."""
    j, e = t.jobs.c, t.events.c
    lives: dict[str, list[tuple[int, str]]] = {}
    for job, payload in view.query(select(e.job, e.payload).where(e.job.is_not(None)).order_by(e.pos)):
        data = _data(payload)
        if "version" in data:
            lives.setdefault(job, []).append((data["version"], data["state"]))
    for job, version, state in view.query(select(j.id, j.version, j.state)):
        life = lives.pop(job, [])
        if not life or life[0] != (0, JobState.DRAFT) or life[-1] != (version, state):
            yield f"{job} is {state} ({version}); its events say otherwise"
        yield from (f"{job} {problem}" for problem in _illegal(life))
    yield from (f"{job} has events and does not exist" for job in lives)


def _data(payload: str) -> dict[str, Any]:
    """What an event says; nothing where it cannot be read."""
    try:
        found: dict[str, Any] = json.loads(payload)["data"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found


def _illegal(life: list[tuple[int, str]]) -> Iterator[str]:
    for (version, before), (following, after) in pairwise(life):
        if following not in (version, version + 1):
            yield f"jumped from version {version} to {following}"
        if before != after and (before, after) not in _LEGAL:
            yield f"went from {before} to {after}"


def record(view: View) -> Iterator[str]:
    """Event numbers have no gaps, leaves are hashes of the texts, columns repeat the texts, and the tree holds."""
    e = t.events.c
    names = ("id", "time", "type", "actor", "principal", "project", "job")
    edge = Frontier()
    done: dict[Node, bytes] = {}
    signed = {row.size: row for row in view.checkpoints()}
    query = select(e.seq, e.leaf, e.payload, *(e[name] for name in names)).where(e.seq.is_not(None)).order_by(e.seq)
    for number, leaf, payload, *columns in view.query(query):
        if number != edge.size + 1:
            yield f"event {number} follows event {edge.size}"
        if leaf != leaf_hash(payload.encode()):
            yield f"event {number} is not what was hashed"
        if not _repeats(payload, dict(zip(names, columns, strict=True))):
            yield f"the columns of event {number} are not what it says"
        done |= {at: found for at, found in edge.append(leaf) if at[0] >= LOWEST}
        if (row := signed.pop(edge.size, None)) is not None and _root_of(row.note) != edge.root:
            yield f"the tree at {edge.size} is not what was signed"
    yield from (f"a tree of size {size} was signed and is not there" for size in signed)
    yield from _tree(view, edge, done)


def _tree(view: View, edge: Frontier, done: dict[Node, bytes]) -> Iterator[str]:
    """The stored edge and nodes are those of the leaves."""
    row = view.query(select(t.tree.c.size, t.tree.c.edge))
    kept = [(size, bytes(raw)) for size, raw in row]
    if kept != ([(edge.size, edge.raw)] if edge.size else []):
        yield "the edge of the tree is not that of the events"
    n = t.nodes.c
    for level, place, found in view.query(select(n.level, n.place, n.hash)):
        if done.pop((level, place), None) != bytes(found):
            yield f"node {place} of level {level} is not that of the events"
    yield from (f"node {place} of level {level} is missing" for level, place in done)


def _repeats(payload: str, columns: dict[str, Any]) -> bool:
    try:
        said = json.loads(payload)
        time = micros(datetime.fromisoformat(said["time"]))
        return all(value == (time if name == "time" else said[name]) for name, value in columns.items())
    except (ValueError, KeyError, TypeError):
        return False


def _root_of(note: str) -> bytes | None:
    """The root in a checkpoint; None where it cannot be read."""
    try:
        return base64.b64decode(note.split("\n")[2], validate=True)
    except (ValueError, IndexError):
        return None


CHECKS: Final[dict[str, Callable[[View], Iterable[str]]]] = {
    **BOOKS,
    "envelopes": envelopes,
    "moves": moves,
    "record": record,
}
"""Name → check."""
