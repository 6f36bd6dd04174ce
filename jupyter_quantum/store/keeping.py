"""Keys that change, and data that goes: rotation, shredding, erasing what a job brought and gave."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.blobs import BlobWrites
from jupyter_quantum.store.crypt import Wrapped
from jupyter_quantum.store.crypt.envelope import seal
from jupyter_quantum.store.lifecycle import Lifecycle
from jupyter_quantum.store.reads.artefacts import GONE, TABLE
from jupyter_quantum.store.rows import DATA_CLASSES, ArtefactRow, JobRow, KeyRow

__all__ = ["KeepingWrites"]

_A, _J, _K = t.artefacts.c, t.jobs.c, t.keys.c
_TRASH: Final = {
    dialect.dialect.name: c.Statement(dialect.insert(t.trash).on_conflict_do_nothing(), ["file", "since"])
    for dialect in (sqlite, postgresql)
}
_SHRED: Final = (
    update(t.artefacts)
    .where(_A.tenant == bindparam("owner"), _A.digest.not_like(f"{GONE}%"))
    .values(
        digest=literal(GONE) + _A.digest, raw=b"", file=None, size=0, key=func.coalesce(_A.key, literal("shredded"))
    )
)


class KeepingWrites(BlobWrites, Lifecycle):
    """Writing about what is kept."""

    # -- keys ------------------------------------------------------------------------------------------------------

    def rotate_key(self, tenant: str, *, actor: str) -> KeyRow:
        """A new key seals for the tenant; the one before is retired, and still opens what it sealed."""
        before = self.add_key(tenant)
        self._shelf(c.KEYS).change(before, retired=self.now)
        self.flush()
        self._sealing.pop(tenant, None)
        self._key_rows.clear()
        after = self.add_key(tenant)
        self._tell("key.rotated", actor=actor, project=tenant, data={"key": after.id, "version": after.version})
        return after

    def rewrapped(self, key: KeyRow, wrapped: Wrapped) -> bool:
        """The same key under another master key; False where it has changed meanwhile."""
        where = (_K.id == key.id) & (_K.master == key.master) & _K.destroyed.is_(None)
        values = {"master": wrapped.master, "wrapped": wrapped.wrapped}
        return self._reading().execute(update(t.keys).where(where).values(**values)).rowcount == 1

    def seal_again(self, row: ArtefactRow) -> None:
        """Seal an artefact that is in the database with its tenant's current key."""
        raw, key = self.blob(row.tenant, row.digest), self._current(row.tenant)
        self._kept_as(row, raw=seal(key, TABLE, row.digest, raw), file=None, key=key.id, size=len(raw))

    def moved_file(self, row: ArtefactRow, *, file: str, key: str, size: int) -> None:
        """An artefact was sealed again, into another file."""
        self._kept_as(row, raw=None, file=file, key=key, size=size)

    def _kept_as(self, row: ArtefactRow, **values: Any) -> None:
        """Only where it is as it was: somebody else may have sealed it, or removed it, meanwhile."""
        same = (_A.key == row.key) if row.key is not None else _A.key.is_(None)
        where = (_A.tenant == row.tenant) & (_A.digest == row.digest) & same
        done = self._reading().execute(update(t.artefacts).where(where).values(**values)).rowcount == 1
        gone = row.file if done else values["file"]
        self._throw([] if gone is None else [gone])

    def shred(self, tenant: str, *, actor: str) -> list[KeyRow]:
        """Destroy every key of a tenant, with what they sealed and the inputs in its jobs' rows.

        Raises Conflict ``data.open_jobs`` while its jobs are under way.
        """
        if count := self.under_way(tenant):
            raise Conflict(
                f"{tenant} has {count} job{'s' if count > 1 else ''} under way.",
                code="data.open_jobs",
                hint="Wait for them, or cancel them.",
            )
        self._clear_inputs(tenant)
        keys = [key for key in self.keys(tenant) if key.destroyed is None]
        gone = {"wrapped": b"", "retired": c.micros(self.now), "destroyed": c.micros(self.now)}
        conn = self._reading()
        conn.execute(update(t.keys).where(_K.tenant == tenant, _K.destroyed.is_(None)).values(**gone))
        self._sealing.pop(tenant, None)
        self._key_rows.clear()
        files = conn.execute(select(_A.file).where(_A.tenant == tenant, _A.file.is_not(None))).scalars().all()
        again = select(literal(GONE) + _A.digest).where(_A.tenant == tenant)  # was shredded before, and kept again
        conn.execute(delete(t.artefacts).where(_A.tenant == tenant, _A.digest.in_(again)))
        conn.execute(_SHRED, {"owner": tenant})
        self._throw([file for file in files if file is not None])
        conn.execute(delete(t.reports).where(t.reports.c.project == tenant))
        data = {"keys": [key.id for key in keys], "artefacts": len(files)}
        self._tell("data.shredded", actor=actor, project=tenant, data=data)
        return keys

    def _clear_inputs(self, tenant: str) -> None:
        """What rows of jobs hold of their inputs beside the artefacts: PUBs with their values."""
        where = or_(_J.pubs != "[]", _J.prepared.is_not(None))
        change = update(t.jobs).where(_J.id == bindparam("key")).values(pubs="[]", prepared=bindparam("text"))
        found = self._all(c.JOBS, c.JOBS.select.where(_J.project == tenant, where))
        if found:
            self._conn.execute(change, [{"key": row.id, "text": without_pubs(row.prepared)} for row in found])

    # -- erasing ---------------------------------------------------------------------------------------------------

    def erase(self, job_id: str, classes: Collection[str], *, actor: str, why: str) -> JobRow:
        """Erase data of a final job; once inputs and results are gone, it is archived.

        ``why``: ``retention`` or ``asked``. Its artefacts go when :meth:`drop` finds that nothing refers to them.
        Raises Conflict ``job.unfinished``.
        """
        row = self.job(job_id)
        if row.state not in FINAL:
            raise Conflict("Only a job that has ended can be archived.", code="job.unfinished", hint="Cancel it first.")
        erased = {*row.erased.split(","), *classes} & DATA_CLASSES
        changes: dict[str, Any] = {"erased": ",".join(sorted(erased))}
        if "inputs" in classes:
            changes |= {"pubs": "[]", "prepared": without_pubs(row.prepared)}
        if "logs" in classes:
            self._clear_logs(row, changes)
        event = {"erased": sorted(erased), "why": why}
        if erased >= {"inputs", "results"} and row.state is not JobState.ARCHIVED:
            return self.move(job_id, JobState.ARCHIVED, actor=actor, event=event, **changes)
        return self.amend(job_id, actor=actor, type="job.erased", event=event, **changes)

    def _clear_logs(self, row: JobRow, changes: dict[str, Any]) -> None:
        """What errors said; their codes stay."""
        changes["error"] = without_words(row.error)
        for attempt in self.attempts(row.id):
            if attempt.error is not None:
                self._shelf(c.ATTEMPTS).change(attempt, error=without_words(attempt.error))

    def drop(self, rows: Sequence[ArtefactRow]) -> int:
        """Remove artefacts that nothing referred to a moment ago; those kept again since then stay."""
        count = 0
        for row in rows:
            same = (_A.tenant == row.tenant) & (_A.digest == row.digest) & (_A.touched == row.touched)
            if self._reading().execute(delete(t.artefacts).where(same)).rowcount == 1:
                count += 1
                self._throw([] if row.file is None else [row.file])
        return count

    def drop_reports(self, ids: Sequence[str]) -> None:
        """Remove reports."""
        self._reading().execute(delete(t.reports).where(t.reports.c.id.in_(list(ids))))

    def forget_trash(self, files: Sequence[str]) -> None:
        """These files are removed."""
        self._reading().execute(delete(t.trash).where(t.trash.c.file.in_(list(files))))

    def _throw(self, files: Sequence[str]) -> None:
        """Files to be removed once this is committed, unless another row names them too (artefacts of before)."""
        still = set(self._reading().execute(select(_A.file).where(_A.file.in_(list(files)))).scalars())
        for file in set(files) - still:
            _TRASH[self._conn.dialect.name].run(self._conn, {"file": file, "since": c.micros(self.now)})


def without_pubs(prepared: str | None) -> str | None:
    """``Prepared`` without the PUBs and their values."""
    return None if prepared is None else json.dumps({k: v for k, v in json.loads(prepared).items() if k != "pubs"})


def without_words(error: str | None) -> str | None:
    """``ErrorBody`` with nothing but its class, code and job."""
    if error is None:
        return None
    told = json.loads(error)
    kept = {name: told.get(name) for name in ("error", "code", "job")}
    return json.dumps(kept | {"message": "What it said was deleted, as retention says."})
