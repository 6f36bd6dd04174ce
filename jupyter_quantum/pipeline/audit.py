"""The record for those who audit: search, export, checkpoints and proofs. Reading it is an entry of its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from jupyter_quantum.core.tenancy import Principal, Scope, name_of
from jupyter_quantum.exceptions import Conflict, NotFound, Refused
from jupyter_quantum.pipeline.checkpoints import Checkpoints
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.notes import read_checkpoint
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.recheck import problems
from jupyter_quantum.pipeline.refusals import Refusals
from jupyter_quantum.store import Store, View
from jupyter_quantum.store.rows import CheckpointRow, EventRow, Sought
from jupyter_quantum.wire.audit import (
    AuditCheck,
    AuditEvent,
    AuditEvents,
    AuditKey,
    CheckpointView,
    ConsistencyProof,
    InclusionProof,
)

__all__ = ["Asked", "Audit", "export_lines", "included", "proofs"]

log = logging.getLogger(__name__)

_PAGE: Final = 1_000
_DIGITS: Final = 18
"""Digits that a number of an entry has at most; more are too many for a database."""
_FOLLOW_S: Final = 0.25
_FOLLOW_AT_MOST_S: Final = 60.0
_PSEUDONYM: Final = "ppl_"
_PARTS: Final = frozenset({"service", "unknown"})
_NOTHING: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an auditor looks for, in words: ``who`` is a name, ``name@created`` or a pseudonym."""

    who: str | None = None
    project: str | None = None
    job: str | None = None
    device: str | None = None
    type: str | None = None
    effect: str | None = None
    policy: str | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Audit:
    """Reads the record, signs it, counts refusals."""

    def __init__(self, context: Context, live: Live) -> None:
        self._context = context
        self._live = live
        self.checkpoints = Checkpoints(context, live)
        self.refusals = Refusals(context, live.committed)

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Sign from now on."""
        self._context.background.start(self.checkpoints.run(), "sign the record")

    async def close(self) -> None:
        """Write what was counted, number it and sign it."""
        await self.refusals.flush(end=True)
        await self._live.finish()
        await self.checkpoints.close()

    def follow(self, name: str, take: Callable[[Sequence[EventRow]], None]) -> None:
        """Hand every numbered entry to ``take``, in order and at least once, for as long as this process leads.

        ``take`` runs in a thread. Where it raises, it gets the same entries again, later and later.
        """
        self._context.background.start(self._follow(name, take), f"export to {name}")

    async def _follow(self, name: str, take: Callable[[Sequence[EventRow]], None]) -> None:
        pause = _FOLLOW_S
        while True:
            await asyncio.sleep(pause)
            if self._live.fence is None:
                continue
            rows = await self._context.store.read(lambda view: view.events(view.cursor(name), limit=_PAGE))
            if not rows:
                await self._context.numbered.wait(5.0)
                continue
            try:
                await asyncio.to_thread(take, rows)
            except Exception:  # whatever an operator's handler raises
                log.exception("entries of the record could not be exported to %s", name)
                pause = min(2 * pause, _FOLLOW_AT_MOST_S)
                continue
            pause, last = _FOLLOW_S, rows[-1].seq or 0
            await self._context.store.write(lambda tx, last=last: tx.set_cursor(name, last))  # type: ignore[misc]

    @property
    def state(self) -> str:
        """``ready``, and what is wrong without keeping jobs waiting."""
        trouble = "; ".join(f"{part}: {words}" for part, words in sorted(self.checkpoints.trouble.items()))
        return f"ready; {trouble}" if trouble else "ready"

    # -- reading ---------------------------------------------------------------------------------------------------

    def _check(self, who: Principal) -> None:
        if Scope.AUDIT not in who.scopes or not self._context.people.audits(who):
            raise Refused("Auditors read the record.", code="audit.role", hint="Ask an administrator for the role.")

    async def _recorded(self, who: Principal, what: str, query: Mapping[str, Any] = _NOTHING) -> None:
        """Whoever reads is read of."""
        said = {name: value for name, value in query.items() if value is not None}
        await self._context.store.write(
            lambda tx: tx.add_event("audit.read", actor=who.id, data={"what": what, "query": said})
        )
        self._live.committed()

    async def search(self, who: Principal, asked: Asked, *, before: int | None, limit: int) -> AuditEvents:
        """A page of entries that match, newest first."""
        self._check(who)
        people = await self._pseudonyms(asked.who)
        said = asdict(asked) | {"who": people and list(people), "since": _iso(asked.since), "until": _iso(asked.until)}
        await self._recorded(who, "search", said | {"before": before})
        sought = Sought(**(asdict(asked) | {"who": people}))

        def read(view: View) -> AuditEvents:
            rows = view.search(sought, before=before, limit=limit + 1)
            shown = [_entry(row) for row in rows[:limit]]
            named = {each for row in rows[:limit] for each in (row.actor, row.principal, *_within(row.data)) if each}
            people = {key: name_of(person) for key, person in view.people(sorted(named)).items()}
            return AuditEvents(events=shown, people=people, next=shown[-1].seq if len(rows) > limit else None)

        return await self._context.store.read(read)

    async def _pseudonyms(self, who: str | None) -> tuple[str, ...] | None:
        if who is None:
            return None
        if who.startswith(_PSEUDONYM) or who in _PARTS or ("@" not in who and ":" in who):  # not a person's name
            return (who,)
        found = await self._context.store.read(lambda view: view.pseudonyms(who))
        return tuple(found)

    async def export(self, who: Principal) -> AsyncIterator[bytes]:
        """The whole record up to a checkpoint that is made now, as JSON Lines (``jupyter_quantum.audit_verify``)."""
        self._check(who)
        await self._recorded(who, "export")
        await self._live.finish()
        await self.checkpoints.make()
        last = await self._context.store.read(lambda view: view.checkpoint())
        if last is None:
            raise Conflict("Nothing is signed yet.", code="audit.unsigned", hint="Try again in a minute.")
        return export_lines(self._context.store, last.size)

    async def checkpoint(self, who: Principal) -> CheckpointView:
        """The newest checkpoint. Raises NotFound before the first."""
        self._check(who)
        row = await self._context.store.read(lambda view: view.checkpoint())
        if row is None:
            raise absent("checkpoint")
        return CheckpointView(
            size=row.size, time=row.time, note=whole_note(row), copied=row.copied, witnessed=row.witnessed
        )

    async def inclusion(self, who: Principal, event: str) -> InclusionProof:
        """That an entry (its id or number) is in the record that the newest checkpoint signed."""
        self._check(who)
        await self._recorded(who, "proof", {"event": event})

        def read(view: View) -> InclusionProof:
            number = event.isdecimal() and len(event) <= _DIGITS
            row = view.numbered(int(event)) if number else view.event(event)
            return included(view, row)

        return await self._context.store.read(read)

    async def consistency(self, who: Principal, first: int, second: int) -> ConsistencyProof:
        """That the record at size ``first`` is how it began at size ``second``."""
        self._check(who)
        hashes = await self._context.store.read(lambda view: view.consistency(first, second))
        return ConsistencyProof(first=first, second=second, hashes=[each.hex() for each in hashes])

    async def key(self, who: Principal) -> AuditKey:
        """The public keys. They are no secret, but only auditors need them."""
        self._check(who)
        return await asyncio.to_thread(self._keys)

    def _keys(self) -> AuditKey:
        keys = self.checkpoints.key.verifiers()
        return AuditKey(origin=keys[0].name, keys=[key.text for key in keys])

    async def check(self, who: Principal) -> AuditCheck:
        """Read the whole record and compare it with its tree, keys and the checkpoints of the second place."""
        self._check(who)
        await self._recorded(who, "check")
        keys = await asyncio.to_thread(self.checkpoints.key.verifiers)
        seen = await self.checkpoints.copied(None)

        def read(view: View) -> AuditCheck:
            return AuditCheck(size=view.tree().size, problems=list(problems(view, keys, seen)))

        return await self._context.store.read(read)

    async def rotate(self, who: Principal) -> AuditKey:
        """A new signing key, recorded as an event; the next checkpoint carries both signatures. For administrators."""
        if not self._context.people.administers(who):
            raise Refused("Administrators do this.", code="audit.role")
        old, fresh = await asyncio.to_thread(self.checkpoints.key.rotate)
        data = {"old": old.verifier.text, "new": fresh.verifier.text}
        await self._context.store.write(lambda tx: tx.add_event("audit.key_rotated", actor=who.id, data=data))
        await self._live.finish()
        await self.checkpoints.make()
        return await asyncio.to_thread(self._keys)


async def export_lines(store: Store, size: int) -> AsyncIterator[bytes]:
    """The record up to ``size`` with its checkpoints, as ``jupyter_quantum.audit_verify`` reads it, in pieces."""
    signed = await store.read(lambda view: view.checkpoints(up_to=size))
    notes = {row.size: whole_note(row) for row in signed}
    after = 0
    while after < size:
        rows = await store.read(
            lambda view, after=after: view.events(after, limit=min(_PAGE, size - after))  # type: ignore[misc]
        )
        if not rows:
            raise NotFound(f"Event {after + 1} of the record is missing.", code="audit.missing")
        after = rows[-1].seq or 0
        yield b"".join(_leaf_line(row) + _note_line(notes.get(row.seq or 0)) for row in rows)
    yield _line({"end": {"checkpoints": len(signed), "leaves": size}})


def proofs(view: View, rows: Sequence[EventRow]) -> dict[str, str]:
    """Event id → proof as text, of those that a checkpoint covers."""
    found = {}
    for row in rows:
        with contextlib.suppress(Conflict, NotFound):
            found[row.id] = included(view, row).proof
    return found


def included(view: View, row: EventRow) -> InclusionProof:
    """The proof of one entry, in the smallest checkpoint that covers it.

    Raises Conflict (``audit.unsigned``) where none does yet.
    """
    seq = row.seq or 0
    checkpoint = view.checkpoint(seq) if seq else None
    if checkpoint is None:
        raise Conflict("No checkpoint covers this entry yet.", code="audit.unsigned", hint="Try again in a minute.")
    hashes = view.inclusion(seq, checkpoint.size)
    head = ["c2sp.org/tlog-proof@v1", f"index {seq - 1}", *(base64.b64encode(each).decode() for each in hashes)]
    return InclusionProof(
        seq=seq,
        payload=row.payload,
        size=checkpoint.size,
        hashes=[each.hex() for each in hashes],
        proof="\n".join([*head, "", whole_note(checkpoint)]),
    )


def whole_note(row: CheckpointRow) -> str:
    """The note with the signatures of its witnesses."""
    read_checkpoint(row.note)
    return row.note + row.cosignatures


def _entry(row: EventRow) -> AuditEvent:
    return AuditEvent(
        seq=row.seq or 0,
        id=row.id,
        time=row.time,
        type=row.type,
        actor=row.actor,
        principal=row.principal,
        project=row.project,
        job=row.job,
        data=dict(row.data),
        hash=row.leaf.hex(),
    )


def _within(value: Any) -> list[str]:
    """Pseudonyms anywhere in an event's data."""
    if isinstance(value, str):
        return [value] if value.startswith(_PSEUDONYM) else []
    inner: Sequence[Any] = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [found for each in inner for found in _within(each)]


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()


def _leaf_line(row: EventRow) -> bytes:
    return _line({"hash": row.leaf.hex(), "leaf": row.seq, "payload": row.payload})


def _note_line(note: str | None) -> bytes:
    return b"" if note is None else _line({"checkpoint": note})


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
