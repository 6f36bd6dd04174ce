"""Benchmark series: the leader runs fixed circuits on devices at intervals, through the same door as everybody.

A run is a row before it is a job: its id is the job's idempotency key, so that a service that is killed in between
submits it once. A service account of a project is its owner; that project's budgets pay, and policy decides. Its class
weighs little in the queue, so that it goes where there is room.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import FINAL, JobClass, JobKind, JobState
from jupyter_quantum.core.series import Conditions
from jupyter_quantum.core.tenancy import SERVICE, Principal, Scope
from jupyter_quantum.exceptions import Conflict, QuantumError, Refused, TooBusy, Unavailable
from jupyter_quantum.pipeline.circuitsets import figures, mean, read_sets
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.submit import Submitting
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import JobRow, SeriesRow, SeriesRunRow
from jupyter_quantum.wire.base import CircuitBundle, ErrorBody
from jupyter_quantum.wire.devices import CalibrationRef
from jupyter_quantum.wire.jobs import JobRequest
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import Prepared
from jupyter_quantum.wire.series import CircuitSet, Figure

__all__ = ["Measuring"]

log = logging.getLogger(__name__)

_AGAIN_S: Final = 900.0
"""After a run that failed, the next one comes so soon, seconds, where the interval is longer."""
_FIXED: Final[Mapping[str, Any]] = {"optimization_level": 2, "seed_transpiler": 7}
"""So that the compiler is the same each time; devices without these options are asked without them."""


class Measuring:
    """Starts runs that are due, submits them, and reads what came of them."""

    def __init__(self, context: Context, submitting: Submitting, live: Live) -> None:
        self._context = context
        self._told = context.settings.series
        self._submitting = submitting
        self._live = live
        self._busy: set[str] = set()
        """Runs that are being submitted or read."""
        self.sets = read_sets(self._told.sets) if self._told.project else []
        """Sets of circuits, the widest first."""

    # What time brings

    async def turn(self) -> None:
        """Begin what is due, go on with what is open; only the leader does."""
        if not self._told.project or not self._live.leading:
            return
        await self._begin_due()
        for run in await self._context.store.read(lambda view: view.series_runs(state="open")):
            if run.id not in self._busy:
                self._busy.add(run.id)
                self._context.background.start(self._go_on(run), f"series {run.device}")

    async def _begin_due(self) -> None:
        last = await self._context.store.read(lambda view: view.last_series_runs())
        now = self._context.clock()
        for name in sorted(self._told.devices):
            began, state = last.get(name, (None, "done"))
            every = self._told.every_s if state == "done" else min(_AGAIN_S, self._told.every_s)
            due = began is None or began + timedelta(seconds=every) <= now
            device = self._context.registry.get(name)
            if due and state != "open" and device is not None and self._may(device):
                with contextlib.suppress(Conflict):  # an operator was quicker
                    await self._begin(device, "service")

    def _may(self, device: Device) -> bool:
        return self._context.registry.state(device) == "ready" and self._set_for(device) is not None

    def _set_for(self, device: Device) -> CircuitSet | None:
        fits = (one for one in self.sets if one.num_qubits <= device.words.num_qubits)
        return next((one for one in fits if len(one.circuits) <= device.words.max_circuits), None)

    # By hand

    async def run(self, who: Principal, name: str) -> SeriesRunRow:
        """Begin a run now, for an operator.

        Raises Refused ``series.role``; Conflict ``series.off``, ``series.open``, ``series.width``.
        """
        device = self._context.registry.get(name)
        if device is None or not self._context.people.sees_devices(who):
            raise absent("device")
        if not self._context.people.operates(who):
            raise Refused("Operators do this: it spends the benchmarks' budget.", code="series.role")
        if not self._told.project:
            raise Conflict(
                "Benchmarks are not configured here.", code="series.off", hint="An administrator sets `series`."
            )
        if self._set_for(device) is None:
            raise Conflict(f"No set of circuits fits {name}.", code="series.width", hint="Make a smaller one.")
        return await self._begin(device, who.id)

    async def _begin(self, device: Device, actor: str) -> SeriesRunRow:
        circuits = self._set_for(device)
        assert circuits is not None
        row = SeriesRunRow(
            id=new_id("bmr"),
            device=device.name,
            circuits=circuits.digest,
            options=json.dumps(self._options(device), sort_keys=True),
            created=self._context.clock(),
        )
        row = await self._context.store.write(lambda tx: tx.add_series_run(row, actor=actor))
        self._live.committed()
        return row

    def _options(self, device: Device) -> dict[str, Any]:
        offered = device.words.options.get(JobKind.RUN.value, {}).get("properties", {})
        fixed = {name: value for name, value in _FIXED.items() if name in offered}
        return {"shots": min(self._told.shots, device.max_shots), **fixed}

    # Its way

    async def _go_on(self, run: SeriesRunRow) -> None:
        try:
            if run.job is None:
                await self._submit(run)
            else:
                await self._look(run, run.job)
        except (Unavailable, TooBusy):
            pass  # the next turn tries again
        except Conflict as error:
            if error.code != "series.ended":
                raise
        finally:
            self._busy.discard(run.id)

    async def _submit(self, run: SeriesRunRow) -> None:
        circuits = next((one for one in self.sets if one.digest == run.circuits), None)
        if circuits is None:  # configured anew since
            await self._fail(run, "series.set")
            return
        request = JobRequest(
            device=run.device,
            circuits=CircuitBundle(format="qpy", data=circuits.qpy),
            options=json.loads(run.options),
            name=circuits.name,
            project=self._told.project,
            max_price=self._told.max_price,
            reason="Benchmark series",
        )
        try:
            job = await self._submitting.submit(self._account(), request, run.id, 0.0, JobClass.BENCHMARK)
        except (Unavailable, TooBusy):
            raise
        except QuantumError as error:
            await self._fail(run, error.code, error.details.get("job"))
            return
        await self._context.store.write(lambda tx: tx.submitted_series_run(run.id, job.id))

    def _account(self) -> Principal:
        return Principal(self._told.account, SERVICE, scopes=frozenset({Scope.READ, Scope.SUBMIT}))

    async def _look(self, run: SeriesRunRow, job_id: str) -> None:
        """Whether its job has ended, and how."""
        row = await self._context.store.read(lambda view: view.job(job_id))
        if row.state not in FINAL:
            return
        if row.state is not JobState.COMPLETED or row.result is None:
            code = ErrorBody.model_validate_json(row.error).code if row.error else f"job.{row.state.value}"
            await self._fail(run, code)
            return
        if "drift" in json.loads(row.marks):  # of two calibrations, so of no series
            await self._fail(run, "series.drift")
            return
        try:
            raw = await self._context.store.artefacts.get(row.project, row.result)
            circuits = next(one for one in self.sets if one.digest == run.circuits)
            found = figures(circuits, ResultView.model_validate_json(raw))
        except StopIteration:
            await self._fail(run, "series.set")
        except QuantumError as error:
            await self._fail(run, error.code)
        else:
            await self._done(run, row, circuits, found)

    async def _done(self, run: SeriesRunRow, row: JobRow, circuits: CircuitSet, found: list[Figure]) -> None:
        text = "[" + ",".join(one.model_dump_json() for one in found) + "]"
        series = self._series(run, row, circuits)

        def write(tx: Tx) -> None:
            tx.end_series_run(run.id, series, figures=text, score=mean(found))

        await self._context.store.write(write)
        self._live.committed()

    def _series(self, run: SeriesRunRow, row: JobRow, circuits: CircuitSet) -> SeriesRow:
        """The series that a run belongs to, by the conditions under which its job really ran."""
        calibration = None if row.calibration is None else CalibrationRef.model_validate_json(row.calibration)
        digest = "" if calibration is None else calibration.digest
        compiler = Prepared.model_validate_json(row.prepared or "{}").compiler
        told = Conditions(run.device, run.circuits, json.loads(run.options), digest, compiler)
        return SeriesRow(
            id=new_id("ser"),
            key=told.key,
            device=run.device,
            name=circuits.name,
            circuits=run.circuits,
            options=run.options,
            calibration=digest,
            calibrated=None if calibration is None else calibration.at,
            compiler=json.dumps(told.compiled, sort_keys=True),
            created=self._context.clock(),
        )

    async def _fail(self, run: SeriesRunRow, code: str, job: str | None = None) -> None:
        log.warning("The benchmark %s of %s failed (%s): %s", run.id, run.device, code, job or run.job or "no job")

        def write(tx: Tx) -> None:
            if job is not None:
                tx.submitted_series_run(run.id, job)
            tx.end_series_run(run.id, code=code)

        await self._context.store.write(write)
        self._live.committed()
