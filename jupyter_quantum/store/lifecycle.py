"""Jobs and their attempts: the only code that writes a job's state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, func, update

from jupyter_quantum.core.jobs import FINAL, HOLDING, JobState, check_move
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.lending import Lending
from jupyter_quantum.store.rows import AttemptRow, AttemptState, JobRow, Json
from jupyter_quantum.store.standing import Standing
from jupyter_quantum.store.stating import expected_digest
from jupyter_quantum.wire.base import digest_of

__all__ = ["Lifecycle"]

_ENDED: Final = frozenset({AttemptState.COMPLETED, AttemptState.FAILED, AttemptState.CANCELLED})

_FIXED: Final = frozenset(
    {"id", "principal", "owner", "organisation", "project", "kind", "created", "source", "state", "version", "changed"}
    | {"envelope", "held", "on_hold", "accounts", "cost", "attempts", "idempotency", "body", "token", "priority"}
    | {"replay_of", "origin", "session"}
)
"""Columns that a caller never changes: who and what, and what the store itself keeps."""

_WAIT: Final = (
    update(t.jobs)
    .where(t.jobs.c.id == bindparam("key"), t.jobs.c.state == JobState.QUEUED)
    .values(wait=bindparam("text"), forecast=func.coalesce(t.jobs.c.forecast, bindparam("first")))
)
_NOTHING: Final[Mapping[str, Any]] = {}


class Lifecycle(Standing, Lending):
    """The lifecycle's part of a writing request."""

    def add_job(self, job: JobRow, *, actor: str, event: Mapping[str, Any] = _NOTHING) -> JobRow:
        """Store a new draft, with its first event (``job.moved``)."""
        if job.state is not JobState.DRAFT or job.version != 0 or job.held is not None:
            raise ValueError("a new job is a draft of version 0 without a hold")
        self._jobs.add(job)
        sent = {"source": job.source, "format": job.source_format, "pubs": digest_of(job.pubs.encode())}
        self._tell_job(
            "job.moved", job, actor, {**event, **sent, "replay_of": job.replay_of, "from": None, "to": job.state.value}
        )
        return job

    def move(
        self,
        job_id: str,
        to: JobState,
        *,
        actor: str,
        event: Mapping[str, Any] = _NOTHING,
        expect_version: int | None = None,
        **changes: Any,
    ) -> JobRow:
        """Move a job: state, version, ledger entries and ONE event row (``job.moved``) in this transaction.

        ``changes`` are other columns of :class:`JobRow`. Filled in where not given: ``submitted``, ``started``,
        ``ended``. Moving to a final state releases what is still on hold; a state in which credits are on hold needs
        :meth:`hold` before (of 0 on a free device).

        Raises Conflict: ``job.move`` (not in the table of moves), ``job.version`` (not the version expected),
        ``ledger.no_hold``.
        """
        before = self.job(job_id)
        if expect_version is not None and before.version != expect_version:
            raise Conflict("The job has changed meanwhile.", code="job.version", hint="Look again, then decide.")
        check_move(before.state, to)
        if to in HOLDING and before.held is None:
            raise Conflict("Nothing is on hold for this job.", code="ledger.no_hold")
        if to in FINAL:
            before = self.release(job_id)
            self.close_use(before)
        job = self._change(before, self._times(before, to) | changes, state=to)
        told = {**event, **_bound(changes), **_decided(changes), "from": before.state.value, "to": to.value}
        self._tell_job("job.moved", job, actor, told)
        return job

    def amend(
        self,
        job_id: str,
        *,
        actor: str,
        type: str = "job.changed",  # noqa: A002 - the event's own word
        event: Mapping[str, Any] = _NOTHING,
        **changes: Any,
    ) -> JobRow:
        """Change columns but not the state, e.g. ``cancel_asked``; grows the version and writes one event."""
        job = self._change(self.job(job_id), changes)
        self._tell_job(type, job, actor, {**event, **_bound(changes), **_decided(changes)})
        return job

    def set_waits(self, waits: Mapping[str, Json | None]) -> None:
        """Write the scheduler's place, estimate and reason of queued jobs; neither event nor version.

        The first estimate of a job is kept: it is scored once the job has run.
        """
        told = [{"key": key, "text": text, "first": self._forecast(text)} for key, text in waits.items()]
        if told:
            self._reading().execute(_WAIT, told)

    def _forecast(self, wait: Json | None) -> Json | None:
        told = {} if wait is None else json.loads(wait)
        if told.get("p50") is None or told.get("p90") is None:
            return None
        return json.dumps({"at": self.now.isoformat(), "p50": told["p50"], "p90": told["p90"]})

    def _change(self, before: JobRow, changes: Mapping[str, Any], **own: Any) -> JobRow:
        if forbidden := _FIXED & changes.keys():
            raise TypeError(f"only the store writes {sorted(forbidden)}")
        return self._jobs.change(before, **changes, **own, version=before.version + 1, changed=self.now)

    def _times(self, before: JobRow, to: JobState) -> dict[str, Any]:
        filled: dict[str, Any] = {}
        if to in HOLDING and before.submitted is None:
            filled["submitted"] = self.now
        if to is JobState.QUEUED:
            filled["queued"] = self.now
        if to is JobState.RUNNING:
            filled["started"] = self.now
        if to in FINAL and to is not JobState.ARCHIVED:
            filled["ended"] = self.now
        if before.wait is not None and to is not JobState.QUEUED:
            filled["wait"] = None
        return filled

    # -- attempts --------------------------------------------------------------------------------------------------

    def add_attempt(self, attempt: AttemptRow) -> AttemptRow:
        """Write an attempt's tag, before anything is asked of the device.

        Its number follows the job's last one, its tag is ``<job>-<number>``. Raises Conflict ``attempt.open`` while an
        earlier attempt has not ended: nothing is run twice silently.
        """
        job = self.job(attempt.job)
        numbered = attempt.number == job.attempts + 1 and attempt.tag == f"{job.id}-{attempt.number}"
        if job.state in FINAL or not numbered:
            raise Conflict("This is not the job's next attempt.", code="attempt.number")
        if job.attempts and self.attempt(f"{job.id}-{job.attempts}").state not in _ENDED:
            raise Conflict("The attempt before has not ended.", code="attempt.open")
        self._jobs.change(job, attempts=attempt.number)
        return self._shelf(c.ATTEMPTS).add(attempt)

    def update_attempt(self, tag: str, *, fence: int, **changes: Any) -> AttemptRow:
        """Start an attempt (``state``, ``started``) or renew its lease (``lease_until``).

        Raises Conflict ``fence`` where the caller's fence is not the attempt's, or the attempt has ended.
        """
        return self._shelf(c.ATTEMPTS).change(self._fenced(tag, fence), **changes)

    def finish_attempt(self, tag: str, state: AttemptState, *, fence: int | None, **changes: Any) -> AttemptRow:
        """End an attempt, or make it *unknown*. ``fence=None``: the service does it (a lease ran out, an operator).

        Raises Conflict ``fence`` as :meth:`update_attempt`.
        """
        changes = {"ended": None if state is AttemptState.UNKNOWN else self.now} | changes
        return self._shelf(c.ATTEMPTS).change(self._fenced(tag, fence), state=state, **changes)

    def take_over(self, tag: str, *, fence: int, until: datetime, absent_after: datetime) -> AttemptRow:
        """Have somebody look for an attempt whose runner is gone: the same attempt goes on, under a new fence.

        ``until``: end of its lease; ``absent_after``: from when on it is believed to be absent, unless that is known
        from an earlier loss. An *unknown* attempt is looked for again. Raises Conflict ``fence`` where it has ended.
        """
        before = self._fenced(tag, None)
        state = AttemptState.SCHEDULED if before.started is None else AttemptState.RUNNING
        return self._shelf(c.ATTEMPTS).change(
            before,
            fence=fence,
            state=state,
            lease_until=until,
            absent_after=before.absent_after or absent_after,
            recoveries=before.recoveries + 1,
            error=None,
        )

    def _fenced(self, tag: str, fence: int | None) -> AttemptRow:
        attempt = self.attempt(tag)
        stale = fence is not None and (fence != attempt.fence or attempt.state is AttemptState.UNKNOWN)
        if stale or attempt.state in _ENDED:
            raise Conflict("This attempt is no longer the caller's.", code="fence")
        return attempt


def _decided(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Of policy's answer, where there is a new one: what the record keeps. The job has the facts and the words."""
    if changes.get("decision") is None:
        return {}
    whole = json.loads(changes["decision"])
    kept = {name: whole.get(name) for name in ("effect", "role", "policies", "version")}
    return {"decision": kept | {"digest": digest_of(changes["decision"].encode())}}


def _bound(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Digests of what the move settles, so that whoever holds the bytes can prove that they are what ran."""
    kept = {name: changes[name] for name in ("executable", "snapshot") if changes.get(name) is not None}
    texts = {name: changes[name] for name in ("options", "prepared") if changes.get(name) is not None}
    bound = kept | {name: digest_of(text.encode()) for name, text in texts.items()}
    return bound | ({"expected": expected_digest(texts["prepared"])} if "prepared" in texts else {})
