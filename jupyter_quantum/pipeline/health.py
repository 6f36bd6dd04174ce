"""Rules that isolate a device by themselves, and let it come back after a new calibration.

Only what is the device's own fault counts against it: neither a circuit that its vendor refuses, nor a runner that was
lost, nor what a user cancelled. Of several failures of one job one counts: a job that is tried again counts once. And
where several people use a device, one person's failures do not take it away from the others: circuits can be written
that a device fails on.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import fmean, median
from typing import Any, Final

from jupyter_quantum.core import words
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.store import View
from jupyter_quantum.store.reads.execution import Outcome
from jupyter_quantum.store.rows import DeviceState, ScoreRow

__all__ = ["Health", "two_qubit_error"]

_LOOKED_AT: Final = 500
_MIRRORS: Final = 50
_LEAST_MIRRORS: Final = 3
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)

Set = Callable[[Device, DeviceState, str, str | None], Awaitable[None]]


def two_qubit_error(target: Mapping[str, Any]) -> float | None:
    """Median error of a Target's two-qubit gates (its JSON); dead edges left out; None where none is known."""
    errors = [
        prop[2]
        for operation in target.get("operations", ())
        if operation.get("num_qubits") == 2
        for prop in operation.get("props") or ()
        if prop[2] is not None and prop[2] < 1.0
    ]
    return median(errors) if errors else None


class Health:
    """Judges devices by how their attempts end and how they were calibrated.

    ``change`` sets a device's state: device, state, actor, reason.
    """

    def __init__(self, context: Context, change: Set) -> None:
        self._context = context
        self._change = change

    def ended(self, name: str, failed: bool) -> None:
        """An attempt has ended; a result changes something only where mirror circuits count."""
        if failed or self._context.settings.isolation.mirror:
            self._context.background.start(self.judge(name), f"judge {name}")

    async def judge(self, name: str) -> None:
        """Isolate the device where it failed too often since it was last put in order."""
        device = self._context.registry.get(name)
        if device is None or device.row.state == "isolated":
            return
        since = device.row.since or _START

        def read(view: View) -> tuple[Sequence[Outcome], Sequence[ScoreRow]]:
            scores = [one for one in view.scores(name, benchmarks=True, limit=_MIRRORS) if one.created >= since]
            return view.outcomes(name, since, limit=_LOOKED_AT), scores

        outcomes, scores = await self._context.store.read(read)
        recent = self._context.clock() - timedelta(seconds=self._context.settings.isolation.window_s)
        why = self._mirrored(scores)
        if why is None and not _one_persons(outcomes):
            why = self._in_a_row(outcomes) or self._too_often([one for one in outcomes if one.ended >= recent])
        if why is not None:
            await self._change(device, "isolated", "service", why)

    def _in_a_row(self, outcomes: Sequence[Outcome]) -> str | None:
        most = self._context.settings.isolation.in_a_row
        jobs: set[str] = set()
        for one in outcomes:
            if not one.failed:
                break
            if _is_fault(one):
                jobs.add(one.job)
        if not most or len(jobs) < most:
            return None
        return f"{words.plural(len(jobs), 'job')} failed one after the other"

    def _too_often(self, outcomes: Sequence[Outcome]) -> str | None:
        rules = self._context.settings.isolation
        failed = {one.job for one in outcomes if _is_fault(one)}
        told = {one.job for one in outcomes if not one.failed} | failed
        if not rules.rate or len(told) < rules.least or len(failed) <= rules.rate * len(told):
            return None
        return f"{len(failed)} of {words.plural(len(told), 'job')} failed within {words.seconds(rules.window_s)}"

    def _mirrored(self, scores: Sequence[ScoreRow]) -> str | None:
        """Benchmarks whose right answer is known, and how often it came, against what was predicted.

        Nobody's own runs count: whoever may send circuits could send such as are always worse than predicted.
        """
        least = self._context.settings.isolation.mirror
        known = [(one.success, one.agreement) for one in scores if one.known and one.success]
        told = [(said, came) for said, came in known if said is not None and came is not None]
        if not least or len(told) < _LEAST_MIRRORS:
            return None
        predicted, found = fmean(said for said, _ in told), fmean(came for _, came in told)
        if found >= least * predicted:
            return None
        return f"benchmarks with a known answer succeeded with {found:.2f}; {predicted:.2f} was predicted"

    async def calibrated(self, device: Device, before: float | None, now: float | None) -> None:
        """A new calibration: isolate the device where it got much worse; else let it resume where it waits for one.

        ``before``, ``now``: median two-qubit errors; None where they are unknown.
        """
        rules = self._context.settings.isolation
        passes = not rules.error or (now is not None and now <= rules.error)
        if device.row.awaits is not None:
            await self._after_waiting(device, now, passes)
        elif rules.drift and before and now is not None and now > rules.drift * before:
            why = f"the median two-qubit error is {now:.1e}; it was {before:.1e} before"
            await self._change(device, "isolated", "service", why)

    async def _after_waiting(self, device: Device, now: float | None, passes: bool) -> None:
        if device.row.awaits == device.words.calibration.digest:
            return
        if passes:
            await self._change(device, "ready", "service", None)
            return
        found = "unknown" if now is None else f"{now:.1e}"
        most = self._context.settings.isolation.error
        why = f"the new calibration does not pass: median two-qubit error {found}, at most {most:.1e} is wanted"
        await self._change(device, device.row.state, "service", why)


def _one_persons(outcomes: Sequence[Outcome]) -> bool:
    """Whether all faults are of one person's jobs, and others use the device too."""
    faults = {one.owner for one in outcomes if _is_fault(one)}
    return len(faults) < min(2, len({one.owner for one in outcomes}))


def _is_fault(one: Outcome) -> bool:
    """Whether the device, or its vendor, is to blame."""
    if not one.failed or one.error is None:
        return False
    code = str(json.loads(one.error).get("code"))
    return code == "job.device" or (code.startswith(("vendor.", "device.")) and code != "vendor.refused")
