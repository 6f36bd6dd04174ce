"""A device under test, driven by the verbs that a runner uses, in one process."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from qiskit import QuantumCircuit, qpy

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.fabric.adapters import Device, adapter, build
from jupyter_quantum.fabric.adapters.base import Order
from jupyter_quantum.fabric.adapters.vendor import (
    Answer,
    Calibration,
    Status,
    Submission,
    Vendor,
    VendorRefused,
    VendorUnavailable,
)
from jupyter_quantum.fabric.execute import execute
from jupyter_quantum.fabric.limits import Limits
from jupyter_quantum.fabric.prepare import prepare
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.shapes import Shapes
from jupyter_quantum.wire.base import CircuitBundle, ErrorBody
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import Prepared, Work

__all__ = ["Bench", "LocalVendor", "Rejected", "Run"]

_MEMORY_MB: Final = 2048
_PAUSE_S: Final = 0.2


class Rejected(AssertionError):
    """The device refuses the circuit; ``error`` says why."""

    def __init__(self, error: ErrorBody) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.error = error


@dataclass(frozen=True, slots=True)
class Run:
    """A run from beginning to end."""

    prepared: Prepared
    order: Order
    tags: list[str]
    handles: list[str]
    answers: list[Answer]
    result: ResultView


class LocalVendor(Vendor):
    """A device that runs in the worker, behind the verbs of a vendor: a submission is over when it is taken."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._orders: dict[str, Order] = {}
        self._results: dict[str, bytes] = {}

    def encode(self, order: Order) -> list[bytes]:
        """A name for the order."""
        name = new_id("tsk")
        self._orders[name] = order
        return [name.encode()]

    def announce(self) -> Calibration:
        """The device."""
        found = self._device.announcement()
        return Calibration(found.target, found.calibration.at)

    def submit(self, tag: str, payload: bytes) -> str:
        """Run it."""
        order = self._orders.get(payload.decode(errors="replace"))
        if order is None:
            raise VendorRefused("nobody knows this payload")
        if tag not in self._results:
            device = self._device
            result = execute(device, order.kind, order.circuits, order.pubs, order.options, _MEMORY_MB)
            self._results[tag] = result.model_dump_json().encode()
        return tag

    def find(self, tag: str) -> str | None:
        """By its tag."""
        return tag if tag in self._results else None

    def status(self, handle: str) -> Status:
        """Done."""
        if handle not in self._results:
            raise VendorRefused("no such submission")
        return Status(Submission.DONE)

    def result(self, handle: str) -> Answer:
        """The result as JSON."""
        self.status(handle)
        return Answer(self._results[handle])

    def cancel(self, handle: str) -> bool:
        """It is too late."""
        return False

    def calibration(self) -> Calibration:
        """The device."""
        return self.announce()


class Bench:
    """One device to test.

    Args:
        spec: its settings, as an operator writes them.
        secret: what the secrets provider has for it; only for a remote device.
        shots: of each run; more make the checks of noisy devices surer and slower.
        patience_s: the longest that a run may take.
        wrong_secret: one that the vendor refuses, where that can be tried.
        unreachable: changes of ``spec`` with which nobody answers, where that can be tried.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        secret: Mapping[str, str] | None = None,
        *,
        shots: int = 400,
        patience_s: float = 300.0,
        wrong_secret: Mapping[str, str] | None = None,
        unreachable: Mapping[str, Any] | None = None,
    ) -> None:
        self.spec = DeviceSpec.model_validate(dict(spec))
        self.secret = dict(secret or {})
        self.shots = shots
        self.patience_s = patience_s
        self.wrong_secret = wrong_secret
        self.unreachable = unreachable
        self._numbers = itertools.count(1)
        self._job = new_id("job")
        self.vendor, self.device = self._made()

    def _made(self) -> tuple[Vendor, Device]:
        kind = adapter(self.spec.adapter)
        if not kind.remote:
            device = build(self.spec, 1)
            return LocalVendor(device), device
        vendor = self.connect()
        return vendor, build(self.spec, 1, vendor.announce())

    def connect(self, secret: Mapping[str, str] | None = None, **changes: Any) -> Vendor:
        """The vendor of a remote device anew, with another secret or other settings."""
        spec = DeviceSpec.model_validate(self.spec.model_dump(exclude_unset=True) | changes)
        return adapter(spec.adapter).connect(spec, self.secret if secret is None else secret)

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.vendor.close()

    # Jobs

    def tag(self) -> str:
        """A tag that nobody has used."""
        return f"{self._job}-{next(self._numbers)}"

    def prepare(
        self,
        kind: str,
        circuits: QuantumCircuit | Sequence[QuantumCircuit],
        pubs: Sequence[Pub] = (),
        **options: Any,
    ) -> tuple[Prepared, Order]:
        """Check, transpile and lay out, as a worker does. Raises :class:`Rejected`."""
        given = [circuits] if isinstance(circuits, QuantumCircuit) else circuits
        sent = [circuit.copy() for circuit in given]
        buffer = io.BytesIO()
        qpy.dump(sent, buffer, version=13)
        bundle = CircuitBundle(format="qpy", data=buffer.getvalue())
        work = Work(kind=JobKind(kind), circuits=bundle, pubs=list(pubs), options=options, transpile="auto", limits={})
        shapes, limits = Shapes(), Limits()
        source = shapes.source(bundle, limits, lambda: sent)
        prepared, executable = prepare(self.device, source, work, limits, {self.device.name: self.device}, shapes)
        if executable is None:
            assert prepared.error is not None
            raise Rejected(prepared.error)
        laid_out = list(qpy.load(io.BytesIO(executable.data)))
        return prepared, Order(JobKind(kind), laid_out, prepared.pubs, prepared.options)

    def encode(self, order: Order) -> list[bytes]:
        """Payloads of an order."""
        return self.vendor.encode(order) if isinstance(self.vendor, LocalVendor) else self.device.encode(order)

    def decode(self, order: Order, answers: Sequence[bytes | None]) -> ResultView:
        """The result of an order."""
        if not isinstance(self.vendor, LocalVendor):
            return self.device.decode(order, answers)
        (answer,) = answers
        return ResultView.model_validate_json(answer or b"")

    def run(
        self,
        kind: str,
        circuits: QuantumCircuit | Sequence[QuantumCircuit],
        pubs: Sequence[Pub] = (),
        **options: Any,
    ) -> Run:
        """Prepare, hand over, wait, read. Raises :class:`Rejected`, and ``AssertionError`` where it did not succeed."""
        if kind == "run":
            options = {"shots": self.shots} | options
        elif kind == "sampler":
            options = {"default_shots": self.shots} | options
        prepared, order = self.prepare(kind, circuits, pubs, **options)
        tag = self.tag()
        tags, handles, answers = [], [], []
        for at, payload in enumerate(self.encode(order)):
            tags.append(tag if at == 0 else f"{tag}.{at}")
            handles.append(self.submit(tags[-1], payload))
        for handle in handles:
            status = self.wait(handle)
            assert status.state is Submission.DONE, f"{status.state.value}: {status.words}"
            answers.append(self.vendor.result(handle))
        result = self.decode(order, [answer.data for answer in answers])
        return Run(prepared, order, tags, handles, answers, result)

    def submit(self, tag: str, payload: bytes) -> str:
        """Hand over; tried again where the vendor says that nothing was done."""
        until = time.monotonic() + self.patience_s
        while True:
            try:
                return self.vendor.submit(tag, payload)
            except VendorUnavailable:
                if time.monotonic() > until:
                    raise
                time.sleep(_PAUSE_S)

    def wait(self, handle: str) -> Status:
        """The status at the end."""
        until = time.monotonic() + self.patience_s
        while True:
            status = self.vendor.status(handle)
            if status.state not in (Submission.QUEUED, Submission.RUNNING):
                return status
            assert time.monotonic() < until, f"{handle} is {status.state.value} after {self.patience_s} s"
            time.sleep(_PAUSE_S)
