"""One run on a vendor's machine, from a leased task to its report.

::

    worker: encode → payloads → submit(tag, tag.1, …) → report *started* with handles
                     → status, status … → result → worker: decode → report *done*

No worker is kept while the vendor has the job. A payload is handed over only with more lease left than that may take,
so that whoever recovers the attempt later knows by when it was sent. What was sent and not answered is looked for by
its tag; where the vendor cannot tell, the report is *unknown* and nobody runs it again.

A task to *recover* hands over nothing anew: it finds the attempt's submissions by handle or tag, and goes on from
there. Only an *idempotent* vendor gets the payload under the same tag again, which by its contract is the same
submission.

A run that belongs into a vendor's session (:mod:`.remote_session`) is handed over in it, and outside of it where the
vendor takes it there no more: only what was refused for certain is handed over a second time.

When the runner drains, or has lost the lease, a run is left alone where it is, and nothing is reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from jupyter_quantum.exceptions import JobCancelled, JobFailed, QuantumError
from jupyter_quantum.fabric.adapters.vendor import (
    Submission,
    VendorError,
    VendorRefused,
    VendorUnavailable,
    VendorUnsure,
)
from jupyter_quantum.fabric.frames import Order
from jupyter_quantum.fabric.refusals import error_body
from jupyter_quantum.fabric.remote_parts import Cancelled, Hands, Left, Over, Part
from jupyter_quantum.fabric.remote_session import Seat
from jupyter_quantum.fabric.vendors.process import VendorProcess
from jupyter_quantum.wire.base import ErrorBody, digest_of
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import ExecuteTask, SessionReport, Task, TaskReport

__all__ = ["RemoteRun"]

T = TypeVar("T")

_TRIES: Final = 5
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_GROWTH: Final = 1.5
_MOST_PARTS: Final = 300
_MOST_OWNERS: Final = 10_000
_LIMITS: Final = ("job.time", "job.memory", "job.crash", "task.stopped")
_METADATA_MOST: Final = 64 * 1024


@dataclass(slots=True)
class RemoteRun:
    """One attempt.

    Args:
        task: an ``execute`` task.
        vendor: of its device.
        hands: what the runner does for it.
    """

    task: Task
    vendor: VendorProcess
    hands: Hands
    _parts: list[Part] = field(default_factory=list)
    _seat: Seat = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is opened yet."""
        self._seat = Seat(self._do.session, self.vendor, self.hands)

    async def run(self) -> TaskReport | None:
        """The report that ends the task; None: say nothing."""
        try:
            return await self._run()
        except Over as over:
            return over.report
        except Left:
            return None

    @property
    def _do(self) -> ExecuteTask:
        assert isinstance(self.task.do, ExecuteTask)
        return self.task.do

    async def _run(self) -> TaskReport:
        await self._encode()
        try:
            self._check()
            await (self._recover() if self._do.recover else self._submit())
            if self._do.cancel:
                raise Cancelled
            await self._follow()
            await self._collect()
        except Cancelled:
            await self._look_for_unsure()
            return await self._take_back()
        return await self._decode()

    def _check(self) -> None:
        """Look up whether to go on."""
        if self.hands.cancelled():
            raise Cancelled
        if self.hands.leave():
            raise Left

    async def _pause(self, seconds: float) -> None:
        await self.hands.pause(seconds * random.uniform(0.8, 1.2))  # noqa: S311  not a secret
        self._check()

    # In a worker

    async def _encode(self) -> None:
        outcome = await self.hands.work(Order(task=self.task, step="encode"))
        state = "unknown" if self._do.recover else "failed"  # a lost attempt may be there, whatever goes wrong here
        if outcome.error is not None:
            self._over(state, outcome.error)
        if outcome.executable is not None:
            if digest_of(outcome.executable) != self._do.digest:
                self._over(state, _body(JobFailed("The executable is another one.", code="executable.digest")))
            do = self._do.model_copy(update={"executable": outcome.executable})
            self.task = self.task.model_copy(update={"do": do})
        if not 0 < len(outcome.payloads) <= _MOST_PARTS:
            said = f"The job comes to {len(outcome.payloads):,} submissions; 1 to {_MOST_PARTS} can be handed over."
            self._over(state, _body(JobFailed(said, code="job.submissions")))
        self._parts = [
            Part(self._do.tag if at == 0 else f"{self._do.tag}.{at}", payload)
            for at, payload in enumerate(outcome.payloads)
        ]
        for part, owners in zip(self._parts, outcome.carried, strict=False):
            part.owners = owners if all(0 <= at < _MOST_OWNERS for at in owners) and len(owners) <= _MOST_OWNERS else []
        for part, handle in zip(self._parts, self._do.handles, strict=False):
            part.handle = handle

    async def _decode(self) -> TaskReport:
        answers = [part.answer.data if part.answer is not None else None for part in self._parts]
        if not any(answer is not None for answer in answers):
            gone = await self._seat.took_along(self._parts)
            return self._failed() if gone is None else self._gone(gone)
        outcome = await self.hands.work(Order(task=self.task, step="decode", answers=answers))
        if outcome.error is not None or outcome.result is None:
            return self._ended("failed", error=self._unread(outcome.error), charged=True)
        if outcome.result.backend != self._do.device or outcome.result.kind is not self._do.kind:
            return self._ended("failed", error=_body(JobFailed("It is another job's.", code="runner.garbage")))
        result = self._described(outcome.result)
        return self._ended("done", result=result, marks=await self._marks(result))

    def _unread(self, error: ErrorBody | None) -> ErrorBody:
        """The device answered, and our worker made nothing of it: its own limits are not the run's."""
        if error is not None and error.code not in _LIMITS:
            return error
        why = "it took too much memory" if error is not None and error.code == "job.memory" else "the reader gave up"
        said = f"{self._do.device} ran this, but its answer could not be read: {why}."
        return _body(JobFailed(said, code="job.unread"))

    def _described(self, result: ResultView) -> ResultView:
        """With what the vendor says of its part; its own seconds, where it tells."""
        said = [part.answer.metadata if part.answer is not None else {"why": part.why} for part in self._parts]
        kept = said if len(repr(said)) <= _METADATA_MOST else []
        told = self._usage_s
        seconds = result.seconds if told is None else told
        return result.model_copy(update={"metadata": result.metadata | {"vendor": kept}, "seconds": seconds})

    async def _marks(self, result: ResultView) -> list[str]:
        marks = []
        if result.missing:
            marks.append("partial")
        with contextlib.suppress(VendorError):
            if await self.hands.drifted():
                marks.append("drift")
        return marks

    # Handing over

    async def _submit(self) -> None:
        await self._seat.take()
        for part in self._parts:
            await self._hand_over(part)
            if part.handle is not None:
                await self.hands.started(self._handles)

    async def _hand_over(self, part: Part) -> None:
        """Submit one part; after this it has a handle, or a reason why not."""
        pause = _FIRST_PAUSE_S
        for left in reversed(range(_TRIES)):
            try:
                most_s = await self._leased()
                part.handle = await self._given(part, most_s)
                return
            except VendorError as error:
                part.unsure = part.unsure or isinstance(error, VendorUnsure)
                blind = isinstance(error, VendorUnsure) and self.hands.recovery != "idempotent"
                if blind or not left or isinstance(error, VendorRefused):
                    await self._not_taken(part, error)
                    return
            await self._pause(pause)
            pause = min(pause * 2 * _GROWTH, _LONGEST_PAUSE_S)

    async def _given(self, part: Part, most_s: float) -> str:
        """The handle. What the vendor refuses to take in its session, it gets outside of it: it is not there yet."""
        sure = not part.unsure or self.hands.recovery == "idempotent"
        try:
            return await self.vendor.submit(part.tag, part.payload, most_s, self._seat.handle)
        except VendorRefused as error:
            if self._seat.handle is None or not sure:
                raise
            await self._seat.leave(str(error))
        return await self.vendor.submit(part.tag, part.payload, await self._leased())

    async def _not_taken(self, part: Part, error: VendorError) -> None:
        """The vendor's last word on a part. What it did not answer before may be there, whatever it says now."""
        if isinstance(error, VendorUnsure) or (part.unsure and not self._do.recover):
            await self._unsure(part, error)
        elif isinstance(error, VendorRefused):
            self._without(part, "failed", _vendor(error, "refused"))
        else:
            self._without(part, "failed", _vendor(error, "unavailable"), retry=True)

    async def _leased(self) -> float:
        """Wait until the lease outlasts a submission; returns how long that may take."""
        while True:
            self._check()
            left = self.hands.lease_left()
            if left > min(self.vendor.submit_s, 0.6 * self.hands.lease_s()):
                return min(self.vendor.submit_s, left)
            await self.hands.pause(0.2)

    async def _unsure(self, part: Part, error: VendorError) -> None:
        """It was sent and not answered."""
        if self.hands.recovery != "searchable":
            self._unknown(error)
        await self._find(part)
        if part.handle is None:
            self._without(part, "absent", _vendor(error, "unsure"))

    def _without(self, part: Part, state: str, error: ErrorBody, *, retry: bool = False) -> None:
        """This part is not at the vendor: the attempt ends here, unless others are there already."""
        part.why = error.message
        if not any(one.handle for one in self._parts):
            self._over(state, error, retry=retry)

    def _unknown(self, error: VendorError) -> None:
        body = ErrorBody(
            error="JobFailed",
            code="attempt.unknown",
            message=f"Nobody can tell whether {self._do.device} has this run: {error}.",
        )
        self._over("unknown", body)

    # Finding again

    async def _recover(self) -> None:
        until = self._indexed()
        self._seat.keep()
        for part in self._parts:
            part.unsure = part.handle is None
        for part in self._parts:
            if part.handle is None:
                await self._recover_part(part, until)
        if not any(part.handle for part in self._parts):
            self._over("absent", _body(JobFailed(f"{self._do.device} does not have this run.", code="attempt.absent")))
        await self.hands.started(self._handles)

    async def _recover_part(self, part: Part, until: float) -> None:
        if self.hands.recovery == "opaque":
            self._unknown(VendorUnsure("it cannot be asked for what it was sent"))
        if self.hands.recovery == "idempotent" and not self._do.cancel and not self.hands.cancelled():
            await self._same_again(part)
            return
        await self._find(part, until)
        part.why = part.why or "the vendor does not have this part"

    async def _same_again(self, part: Part) -> None:
        """What is found need not be sent; a vendor that refuses the same tag may well have what was sent before.

        An outage is no answer: the vendor may know a tag for a shorter time than it keeps what was sent under it.
        """
        with contextlib.suppress(VendorError):
            part.handle = await self._patiently(part.tag, self.vendor.find)
        if part.handle is not None:
            return
        try:
            await self._hand_over(part)
        except Over as over:
            raise Over(over.report.model_copy(update={"state": "unknown"})) from None

    def _indexed(self) -> float:
        """From when on the vendor knows whatever was sent until now, monotonic seconds."""
        return time.monotonic() + min(self.vendor.submit_s, self.hands.lease_s()) + self.vendor.indexing_s

    async def _find(self, part: Part, until: float | None = None) -> None:
        """Look for the part by its tag until it would have to be there."""
        until = self._indexed() if until is None else until
        pause = _FIRST_PAUSE_S
        while True:
            last = time.monotonic() >= until
            try:
                part.handle = await self.vendor.find(part.tag)
            except VendorUnavailable:
                last = False  # an outage is no answer
            except VendorError as error:
                self._unknown(error)
            if part.handle is not None or last:
                part.unsure = False
                return
            await self._rest(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE_S)

    async def _rest(self, seconds: float) -> None:
        """Wait. A search is not broken off by who takes the job back: what it would find must be taken back too."""
        if self.hands.cancelled():
            await asyncio.sleep(seconds)
        else:
            await self.hands.pause(seconds)
        if self.hands.leave():
            raise Left

    async def _look_for_unsure(self) -> None:
        """Find what may be at the vendor, before it is said that all of it was taken back."""
        for part in [one for one in self._parts if one.unsure and one.handle is None]:
            if self.hands.recovery == "opaque":
                self._unknown(VendorUnsure("it cannot be asked for what it was sent"))
            await self._find(part)
            if part.handle is None:
                why = JobFailed(f"{self._do.device} does not have this run.", code="attempt.absent")
                self._without(part, "absent", _body(why))

    # Following

    async def _follow(self) -> None:
        """Ask until every part has ended, less and less often."""
        pause = _FIRST_PAUSE_S
        while True:
            moved = False
            for part in [one for one in self._parts if one.open]:
                moved = await self._look(part) or moved
                await self._limit(part)
            if not any(part.open for part in self._parts):
                return
            pause = _FIRST_PAUSE_S if moved else min(pause * _GROWTH, self.hands.poll_s)
            await self._pause(pause)

    async def _look(self, part: Part) -> bool:
        """Ask for one part; returns whether it has moved."""
        assert part.handle is not None
        before = part.status.state if part.status else None
        try:
            part.status = await self.vendor.status(part.handle)
        except VendorUnavailable:
            return False
        except VendorError as error:
            self._unknown(error)
            raise
        if part.status.state is Submission.RUNNING and part.running_since is None:
            part.running_since = time.monotonic()
        if not part.open and part.running_since is not None and part.ran_s is None:
            part.ran_s = time.monotonic() - part.running_since
        return part.status.state is not before

    async def _limit(self, part: Part) -> None:
        """Take back what runs longer than the job may."""
        since = part.running_since
        if part.open and since is not None and 0 < self._do.device_s < time.monotonic() - since:
            report = await self._take_back()
            error = JobFailed(
                f"The run reached its limit of {self._do.device_s:.0f} s on {self._do.device} and was taken back.",
                code="job.time",
            )
            raise Over(report.model_copy(update={"error": _body(error)}))

    async def _collect(self) -> None:
        for part in self._parts:
            if part.handle is None or part.status is None:
                continue
            if part.status.state is not Submission.DONE:
                part.why = part.status.words or f"the vendor says {part.status.state.value}"
                continue
            try:
                part.answer = await self._patiently(part.handle, self.vendor.result)
            except VendorError as error:
                part.why = str(error)

    async def _patiently(self, name: str, ask: Callable[[str], Awaitable[T]]) -> T:
        """The vendor's answer, however long it is away."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return await ask(name)
            except VendorUnavailable:
                await self._pause(pause)
                pause = min(pause * _GROWTH, self.hands.poll_s)

    # Taking back

    async def _take_back(self) -> TaskReport:
        """Cancel what is at the vendor, and follow it to its end: only then it is known what it used."""
        asked: set[str] = set()
        pause = _FIRST_PAUSE_S
        while True:
            for part in [one for one in self._parts if one.open]:
                await self._cancel(part, asked)
            if not any(part.open for part in self._parts):
                break
            await asyncio.sleep(pause)
            pause = min(pause * _GROWTH, self.hands.poll_s)
            if self.hands.leave():
                raise Left
        error = JobCancelled("Taken back by its owner.", code="task.stopped")
        return self._ended("failed", error=_body(error), charged=bool(self._usage_s))

    async def _cancel(self, part: Part, asked: set[str]) -> None:
        assert part.handle is not None
        if part.handle not in asked:
            with contextlib.suppress(VendorUnsure, VendorRefused):  # it may have ended, or cannot be taken back
                try:
                    await self.vendor.cancel(part.handle)
                except VendorUnavailable:
                    return
            asked.add(part.handle)
        await self._look(part)

    # Reports

    @property
    def _handles(self) -> list[str]:
        """Those of the first parts: a list without gaps, since it is read by position."""
        found = []
        for part in self._parts:
            if part.handle is None:
                break
            found.append(part.handle)
        return found[:1000]

    @property
    def _usage_s(self) -> float | None:
        """Seconds that the vendor counts; None where it does not tell of any part."""
        told = [part.usage_s for part in self._parts if part.usage_s is not None]
        return sum(told) if told else None

    def _gone(self, told: SessionReport) -> TaskReport:
        """It has not run, and may run outside of the session."""
        why = JobFailed(f"{self._do.device} ended the session before it ran this: {told.words}.", code="vendor.session")
        return self._ended("failed", error=_body(why), retry=True).model_copy(update={"session": told})

    def _failed(self) -> TaskReport:
        """No part has a result."""
        words = next((part.why for part in self._parts if part.why), "no reason is known")
        retry = any(part.status is not None and part.status.retry for part in self._parts)
        error = JobFailed(f"{self._do.device} did not run it: {words}.", code="job.device")
        return self._ended("failed", error=_body(error), retry=retry, charged=bool(self._usage_s))

    def _over(self, state: str, error: ErrorBody, *, retry: bool = False) -> None:
        raise Over(self._ended(state, error=error, retry=retry))

    def _ended(
        self,
        state: str,
        *,
        error: ErrorBody | None = None,
        result: ResultView | None = None,
        retry: bool = False,
        charged: bool = False,
        marks: Sequence[str] = (),
    ) -> TaskReport:
        counted = self._usage_s
        seen = [part.ran_s for part in self._parts if part.handle is not None]
        if seen and None not in seen:
            seconds = sum(one or 0.0 for one in seen)
        else:
            seconds = counted if counted is not None else result.seconds if result is not None else 0.0
        return TaskReport(
            runner="",
            fence=0,
            state=state,
            handles=self._handles,
            error=error,
            result=result,
            retry=retry,
            charged=charged,
            marks=list(marks),
            usage_s=seconds,
            vendor_s=counted,
            parts=[part.report() for part in self._parts],
        )


def _body(error: QuantumError) -> ErrorBody:
    return error_body(error)


def _vendor(error: VendorError, kind: str) -> ErrorBody:
    return error_body(JobFailed(f"The vendor could not be given the job: {error}.", code=f"vendor.{kind}"))
