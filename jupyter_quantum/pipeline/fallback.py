"""Fail-over: a job moves to another device that its owner allows, where its own one fails it or starts nothing.

The job goes through the same door anew: options, validation, region, price cap, policy, hold. What was approved was
approved for a device, so another one asks again, unless policy allows it without. Nothing is written until a device
takes the job; until then it waits where it was, or says that it looks for another one.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import Conflict, QuantumError, Refused, Unavailable
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.asking import ask_people, check_reachable, envelope, keep_decision, round_of
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.decide import Deciding
from jupyter_quantum.pipeline.envelopes import Enveloping
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.runs import Run, Verdict, policy_error
from jupyter_quantum.pipeline.schedule import SERVICE, Scheduling
from jupyter_quantum.pipeline.validate import Validating, single
from jupyter_quantum.pipeline.views import error_of
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.wire.base import ErrorBody

__all__ = ["Falling"]

RunOn = Callable[[JobRow, Device], Awaitable[Run]]


class Falling:
    """Moves jobs.

    ``run_on`` gives a job as a run on another device, its owner as the hub knows them now; it raises what forbids it.
    """

    def __init__(
        self,
        context: Context,
        deciding: Deciding,
        validating: Validating,
        enveloping: Enveloping,
        scheduling: Scheduling,
        live: Live,
        run_on: RunOn,
    ) -> None:
        self._context = context
        self._deciding = deciding
        self._validating = validating
        self._enveloping = enveloping
        self._scheduling = scheduling
        self._live = live
        self._run_on = run_on
        self._moving: set[str] = set()

    async def turn(self) -> None:
        """Look for jobs that must, or may by now, move."""
        for row in await self._context.store.read(lambda view: view.may_move()):
            if row.id not in self._moving and (row.leaving is not None or self._has_waited(row)):
                self._moving.add(row.id)
                self._context.background.start(self._move(row), f"move {row.id}")

    def _has_waited(self, row: JobRow) -> bool:
        """Whether it waits longer than its owner said for a device that starts nothing."""
        device = self._context.registry.get(row.device)
        if device is not None and self._context.registry.state(device) in ("ready", "drained"):
            return False
        return row.queued is not None and self._context.clock() >= row.queued + self._patience(row)

    def _patience(self, row: JobRow) -> timedelta:
        given = row.fallback_after
        return timedelta(seconds=self._context.settings.fallback_s if given is None else given)

    async def _move(self, row: JobRow) -> None:
        """To the first device that takes it; those that never will are crossed out."""
        try:
            refused: list[QuantumError] = []
            names: list[str] = json.loads(row.fallback)
            for at, name in enumerate(names):
                try:
                    await self._to(row, name, names[at + 1 :])
                    return
                except Unavailable:  # it may answer the next time
                    continue
                except Conflict as error:
                    if error.code in ("job.move", "job.version"):  # it went on by itself
                        return
                    refused.append(error)
                except QuantumError as error:
                    refused.append(error)
            if row.leaving is not None and (len(refused) == len(names) or self._is_over(row)):
                await self._fail(row, refused)
            elif len(refused) == len(names):
                await self._stay(row)
        finally:
            self._moving.discard(row.id)

    def _is_over(self, row: JobRow) -> bool:
        return row.queued is not None and self._context.clock() >= row.queued + self._patience(row)

    async def _to(self, row: JobRow, name: str, rest: list[str]) -> None:
        """Validate, decide and write. Raises what stands in the way."""
        device = self._context.registry.get(name)
        if device is None or self._context.registry.state(device) != "ready":
            raise Unavailable(f"{name} does not start jobs now.", code="device.offline")
        run = await self._run_on(row, device)
        device.check_options(run.parcel.kind, run.parcel.options)
        device.check_shots(run.parcel.shots(), self._context.settings.limits.shots)
        ticket = self._validating.offer(run.parcel, device, row.principal, row.id)
        try:
            ticket, report = await self._validating.found(ticket)
            prepared = single(report)
            self._validating.check_found(device, run.parcel, prepared)
        finally:
            self._validating.close(ticket)
        cost = self._deciding.budgets.cost(device, prepared)
        most = row.on_hold if row.max_price is None else row.max_price
        if cost.at_most > most:
            raise Refused(
                f"{name} may cost {words.price(cost.at_most)} credits; {words.price(most)} are allowed.",
                code="price.cap",
                hint="Give max_price to allow a dearer device.",
            )
        facts = self._deciding.facts(run.asker, run.project, device, prepared, cost)
        verdict = Verdict(prepared, cost, self._context.policies.decide(facts), facts)
        verdict = await self._enveloping.cover(run, verdict)
        if verdict.decision.effect == "refuse":
            raise policy_error(verdict.decision)
        if not verdict.goes_on:
            check_reachable(run.project, verdict.decision.roles, row.owner)
        await self._commit(row, run, verdict, rest)

    async def _commit(self, row: JobRow, run: Run, verdict: Verdict, rest: list[str]) -> None:
        await self._context.keep(row.project, verdict.prepared.executable or b"")
        self._scheduling.withdrawn(row)
        try:
            after = await self._context.store.write(lambda tx: self._write(tx, row, run, verdict, rest))
        except BaseException:
            self._scheduling.queued(row)
            raise
        self._live.moved(after)
        if after.state is JobState.QUEUED:
            self._scheduling.queued(after)

    def _write(self, tx: Tx, row: JobRow, run: Run, verdict: Verdict, rest: list[str]) -> JobRow:
        """One transaction: off the old device, the hold taken anew, onto the new one, or to who must be asked."""
        device = run.device
        event: dict[str, Any] = {"code": "job.moved", "from_device": row.device, "device": device.name}
        if row.leaving is not None:
            event["why"] = error_of(ErrorBody.model_validate_json(row.leaving)).code
        columns = verdict.columns(run) | {
            "device": device.name,
            "device_kind": device.words.kind,
            "device_label": device.label,
            "fallback": json.dumps(rest),
            "moved_from": json.dumps([*json.loads(row.moved_from), row.device]),
            "leaving": None,
            "not_before": None,
            "wait": None,
        }
        self._context.refer(tx, row.project, verdict.prepared.executable or b"", verdict.prepared.digest or "")
        now = tx.move(row.id, JobState.VALIDATED, actor=SERVICE, event=event, expect_version=row.version, **columns)
        if now.envelope is not None:
            now = tx.leave_envelope(now)
        budgets = self._deciding.budgets
        asked = (row.principal, run.project, device, verdict.prepared, verdict.cost)
        tx.retake(row.id, budgets.claims(tx, *asked))
        covered = verdict.covered
        if covered is not None and tx.use_envelope(covered.envelope, row.id, verdict.cost.at_most):
            keep_decision(tx, row.principal, covered.facts, covered.decision, job=row.id)
            return tx.move(row.id, JobState.QUEUED, actor=SERVICE, event={"envelope": covered.envelope})
        keep_decision(tx, row.principal, verdict.facts, verdict.decision, job=row.id)
        if verdict.decision.effect == "allow":
            return tx.move(row.id, JobState.QUEUED, actor=SERVICE)
        return self._ask(tx, now, run, verdict)

    def _ask(self, tx: Tx, row: JobRow, run: Run, verdict: Verdict) -> JobRow:
        """People are asked about the new device, in a round of its own."""
        before = round_of(tx, row)
        first = ask_people(
            tx,
            row,
            verdict.decision.roles,
            words=f"{sentences.moved(row.moved_from)} {verdict.decision.words}",
            bound=envelope(run, verdict.prepared, verdict.cost),
            expiry_s=self._context.settings.approval_expiry_s,
            round=before[0].round + 1 if before else 1,
        )
        event = {"approval": first, "roles": list(verdict.decision.roles)}
        return tx.move(row.id, JobState.AWAITING_APPROVAL, actor=SERVICE, event=event, approval=first)

    async def _fail(self, row: JobRow, refused: list[QuantumError]) -> None:
        """No device takes it: it failed for what its own one said, and why the others do not is added."""
        body = ErrorBody.model_validate_json(row.leaving or "{}")
        others = " ".join(dict.fromkeys(error.message for error in refused))
        said = body.model_copy(update={"message": f"{body.message} No other device takes it. {others}".strip()})
        text, event = said.model_dump_json(), {"code": body.code}

        def write(tx: Tx) -> JobRow:
            changes = {"error": text, "leaving": None, "fallback": "[]", "wait": None}
            return tx.move(row.id, JobState.FAILED, actor=SERVICE, event=event, expect_version=row.version, **changes)

        await self._settled(write)

    async def _stay(self, row: JobRow) -> None:
        """Every other device refuses it: it waits where it is, and nobody asks again."""
        event = {"code": "job.stays"}
        await self._settled(
            lambda tx: (
                tx.amend(row.id, actor=SERVICE, event=event, fallback="[]")
                if tx.job(row.id).version == row.version
                else tx.job(row.id)
            )
        )

    async def _settled(self, write: Callable[[Tx], JobRow]) -> None:
        try:
            self._live.moved(await self._context.store.write(write))
        except Conflict:  # cancelled meanwhile
            return
