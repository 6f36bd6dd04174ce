"""Stage *validate*: have circuits checked and described by a sandboxed worker. The service parses none itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from jupyter_quantum.core import words as say
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import CircuitRejected, InputError, QuantumError, Unavailable
from jupyter_quantum.pipeline.board import LeaseLost, Ticket
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.duration import check_time
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.views import error_of
from jupyter_quantum.store.rows import JobRow, ReportRow
from jupyter_quantum.wire.base import CircuitBundle, digest_of
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.runner import Prepared, PrepareTask, ReportTask, TaskReport, Work

__all__ = ["PUBS", "Parcel", "Validating", "bundle_of", "parcel_of", "single"]

PUBS: Final[TypeAdapter[list[Pub]]] = TypeAdapter(list[Pub])

_QPY: Final = b"QISKIT"
"""How such a file begins; its version is the next byte."""
_TRIES: Final = 3
"""A validation whose runner died may be given to another; it changes nothing anywhere."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Circuits and what to do with them, as they were sent."""

    kind: JobKind
    circuits: CircuitBundle
    pubs: Sequence[Pub]
    options: Mapping[str, Any]
    transpile: Literal["auto", "never"]
    name: str | None = None

    @property
    def source(self) -> str:
        """Digest of the circuits."""
        return digest_of(self.circuits.data)

    def shots(self) -> int | None:
        """The most shots that the request names; None where it leaves them to the device."""
        named = [pub.shots for pub in self.pubs if pub.shots is not None]
        option = self.options.get("shots")
        if isinstance(option, int):
            named.append(option)
        return max(named, default=None)


class Validating:
    """Offers validations to runners and reads what they found out."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def check_size(self, parcel: Parcel) -> None:
        """Raise InputError where the request is larger than this service takes; the worker checks what is inside."""
        limits = self._context.settings.limits
        size = len(parcel.circuits.data)
        if size > limits.bytes:
            raise CircuitRejected(
                f"The circuits are {say.number(size)} bytes; at most {say.number(limits.bytes)} are taken at once.",
                code="circuit.too_large",
                hint="Send fewer circuits in one job.",
            )
        if len(parcel.pubs) > limits.circuits:
            raise InputError(
                f"{say.number(len(parcel.pubs))} PUBs are over {say.number(limits.circuits)}, the most of one job.",
                code="pubs.limit",
                hint="Send them in several jobs.",
            )

    def check_reads(self, device: Device, parcel: Parcel) -> None:
        """Raise CircuitRejected where the device's runner has a Qiskit that cannot read this QPY file."""
        runner = self._context.board.serving(device.name)
        data = parcel.circuits.data
        if parcel.circuits.format != "qpy" or runner is None or not data.startswith(_QPY) or len(data) <= len(_QPY):
            return  # whatever else it is, the worker says so
        lowest, highest = runner.words.qpy_versions
        if data[len(_QPY)] > highest:
            raise CircuitRejected(
                f"The circuits are in QPY version {data[len(_QPY)]}; the runner of {device.name} reads {lowest} to "
                f"{highest}.",
                code="circuit.qpy_version",
                hint=f"Write them with qpy.dump(circuits, file, version={lowest}), or choose another device.",
                details={"version": data[len(_QPY)], "lowest": lowest, "highest": highest},
            )

    def check_found(self, device: Device, parcel: Parcel, prepared: Prepared) -> None:
        """Raise InputError where what the worker found is more than the device or the service takes, CircuitRejected
        where a simulation would not end in time.

        Raises QuantumError ``runner.garbage`` where it is less than was asked for: the worker parsed what a user sent,
        so that it does not name the price alone.
        """
        if (
            prepared.executions < device.executions_at_least(parcel.kind, parcel.pubs, parcel.options)
            or (prepared.tasks or prepared.num_circuits) < max(1, len(parcel.pubs))
            or not _splits(device, parcel, prepared)
        ):
            raise QuantumError("The worker gave an answer that makes no sense.", code="runner.garbage")
        limits = self._context.settings.limits
        device.check_shots(prepared.shots, limits.shots)
        check_time(device, parcel.kind, prepared)
        most = min(device.words.max_circuits, limits.circuits)
        if prepared.num_circuits > most:
            raise InputError(
                f"{device.name} takes at most {say.plural(most, 'circuit')} in a job; there are "
                f"{say.number(prepared.num_circuits)}.",
                code="circuits.limit",
                hint="Send them in several jobs.",
            )
        if prepared.executions > limits.executions:
            raise InputError(
                f"{say.number(prepared.executions)} executions are over {say.number(limits.executions)}, "
                "the most of one job.",
                code="executions.limit",
                hint="Use fewer shots, bindings or circuits.",
            )

    def offer(self, parcel: Parcel, device: Device, principal: str, job: str) -> Ticket:
        """Put the validation for one device on the board; a runner takes it at once if one waits."""
        do = PrepareTask.model_construct(task="prepare", work=self._work(parcel), device=device.name, keep=True)
        return self._put(do, principal, job)

    def offer_report(
        self,
        parcel: Parcel,
        devices: Sequence[str],
        principal: str,
        dry_run: str | None,
        part: Callable[[list[Prepared]], None],
        resources: bool = False,
    ) -> Ticket:
        """The same for a report on several devices of one runner; ``part`` is called with rows as they come."""
        do = ReportTask.model_construct(
            task="report",
            work=self._work(parcel),
            devices=list(devices),
            dry_run=dry_run,
            draw=True,
            resources=resources,
        )
        return self._put(do, principal, None, part)

    def again(self, ticket: Ticket) -> Ticket:
        """Offer a validation once more, after its runner was lost."""
        fresh = Ticket(ticket.do, ticket.affinity, ticket.timeout_s, ticket.memory_mb, ticket.job, part=ticket.part)
        self._context.board.put(fresh)
        return fresh

    async def soon(self, ticket: Ticket, within_s: float) -> bool:
        """Whether the answer is there after at most ``within_s`` seconds."""
        answer = ticket.outcome
        await asyncio.wait((answer,), timeout=within_s)
        return answer.done() and not answer.cancelled() and answer.exception() is None

    async def found(self, ticket: Ticket) -> tuple[Ticket, TaskReport]:
        """The ticket that was answered at last, and the answer.

        Raises the error that the worker reported; Unavailable where no runner answers in time. Whoever no longer waits
        takes the task back with it.
        """
        try:
            for _ in range(_TRIES):
                try:
                    report = await self._answer(ticket)
                except LeaseLost:
                    ticket = self.again(ticket)
                    continue
                if report.error is not None:
                    raise error_of(report.error)
                return ticket, report
            raise Unavailable(
                "The circuits could not be checked: the worker ended several times.",
                code="runner.lost",
                hint="Try again later; nothing was charged.",
            )
        except BaseException:
            self.close(ticket)
            raise

    async def _answer(self, ticket: Ticket) -> TaskReport:
        if ticket.outcome.done():
            return ticket.outcome.result()
        try:
            return await asyncio.wait_for(asyncio.shield(ticket.outcome), self._context.settings.intake_s)
        except TimeoutError:
            raise Unavailable(
                "No worker was free to check the circuits in time.",
                code="runner.busy",
                hint="Try again in a minute; nothing was charged.",
            ) from None

    def close(self, ticket: Ticket) -> None:
        """Nothing follows: let the runner's report be answered, or take the task back."""
        self._context.board.close(ticket)

    def _work(self, parcel: Parcel) -> Work:
        return Work(
            kind=parcel.kind,
            circuits=parcel.circuits,
            pubs=list(parcel.pubs),
            options=dict(parcel.options),
            transpile=parcel.transpile,
            limits=self._context.settings.limits.caps(),
        )

    def _put(
        self,
        do: PrepareTask | ReportTask,
        principal: str,
        job: str | None,
        part: Callable[[list[Prepared]], None] | None = None,
    ) -> Ticket:
        settings = self._context.settings
        affinity = self._context.affinity(principal)
        ticket = Ticket(do, affinity, settings.prepare_s, settings.memory_mb, job, part=part)
        self._context.board.put(ticket)
        return ticket


def _splits(device: Device, parcel: Parcel, prepared: Prepared) -> bool:
    """Whether what each circuit or PUB takes is at least what it asks for, and together no more than the whole."""
    shares = prepared.shares
    if not shares:
        return True
    if parcel.kind is JobKind.RUN:
        least = [device.executions_at_least(parcel.kind, (), parcel.options)] * prepared.num_circuits
    else:
        least = [device.executions_at_least(parcel.kind, (pub,), parcel.options) for pub in parcel.pubs]
    return (
        len(shares) == len(least)
        and all(one.tasks and one.executions >= few for one, few in zip(shares, least, strict=True))
        and sum(one.tasks for one in shares) <= (prepared.tasks or prepared.num_circuits)
        and sum(one.executions for one in shares) <= prepared.executions
    )


def bundle_of(format_: str, data: bytes) -> CircuitBundle:
    """Circuits as they are stored, as a bundle."""
    return CircuitBundle.model_validate({"format": format_, "data": data})


def parcel_of(row: JobRow | ReportRow, source: bytes) -> Parcel:
    """What was sent, from what is stored."""
    mode: Literal["auto", "never"] = "never" if row.transpile == "never" else "auto"
    bundle = bundle_of(row.source_format, source)
    return Parcel(row.kind, bundle, PUBS.validate_json(row.pubs), json.loads(row.options), mode, row.name)


def single(report: TaskReport) -> Prepared:
    """What was found out about the one device of a prepare task. Raises what makes the circuits unfit for it."""
    if len(report.prepared) != 1:
        raise QuantumError("The worker's answer cannot be used.", code="runner.answer")
    prepared = report.prepared[0]
    if prepared.error is not None:
        raise error_of(prepared.error)
    if prepared.digest is None or prepared.executable is None or digest_of(prepared.executable) != prepared.digest:
        raise QuantumError("The worker's answer does not match its digest.", code="runner.answer")
    return prepared
