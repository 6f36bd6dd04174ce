"""One task, or one user's session: the only place where a circuit is parsed, transpiled and simulated.

A worker locks itself, then warms itself by running a Bell circuit the whole way, then says that it is ready. What it
answers is not trusted (see :mod:`.frames`); what it does is bounded by :mod:`.sandbox` and by the pool, which kills it.
"""

from __future__ import annotations

import io
import random
import resource
import signal
import warnings
from collections import OrderedDict
from contextlib import suppress
from typing import Final

import numpy as np
from qiskit import QuantumCircuit, qpy

from jupyter_quantum.core.jobs import DeviceKind, JobKind
from jupyter_quantum.exceptions import InputError, JobFailed, QuantumError
from jupyter_quantum.fabric.adapters import Device
from jupyter_quantum.fabric.adapters.base import Order as DeviceOrder
from jupyter_quantum.fabric.agreement import agreed
from jupyter_quantum.fabric.dryrun import draw, dry_run
from jupyter_quantum.fabric.execute import execute
from jupyter_quantum.fabric.frames import Order, Outcome, read_frame, write_frame
from jupyter_quantum.fabric.limits import PARSE_CPU_S, PARSE_MEMORY, Limits
from jupyter_quantum.fabric.memory import SLACK, address_space
from jupyter_quantum.fabric.parse import parse
from jupyter_quantum.fabric.prepare import Executable, prepare
from jupyter_quantum.fabric.refusals import error_body
from jupyter_quantum.fabric.resources import resources
from jupyter_quantum.fabric.room import no_room
from jupyter_quantum.fabric.sandbox import lock
from jupyter_quantum.fabric.shapes import Shapes, Source
from jupyter_quantum.wire.base import CircuitBundle, digest_of
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.reports import DryRun, Resources
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import (
    EndSessionTask,
    ExecuteTask,
    Prepared,
    PrepareTask,
    ReportTask,
    Work,
    order_digest,
)

__all__ = ["READY", "Worker"]

READY: Final = b"ready"
_KEPT: Final = 4
_WARM_MB: Final = 256


class Worker:
    """Serves the tasks that come over one socket, until it is closed."""

    def __init__(self, channel: int, devices: dict[str, Device]) -> None:
        self._channel = channel
        self._devices = devices
        self._baseline = address_space()
        self._kept: OrderedDict[str, Executable] = OrderedDict()
        self._shapes = Shapes()

    def live(self) -> int:
        """Lock, warm, serve; returns the exit status."""
        warnings.simplefilter("ignore")
        random.seed()
        np.random.seed()
        try:
            lock(self._channel)
            self._warm()
        except Exception as error:
            write_frame(self._channel, f"{type(error).__name__}: {error}".encode())
            return 70
        write_frame(self._channel, READY)
        while (message := read_frame(self._channel)) is not None:
            order = Order.model_validate_json(message)
            write_frame(self._channel, self._answer(order).model_dump_json().encode())
        return 0

    def _warm(self) -> None:
        circuit = QuantumCircuit(2)
        circuit.h(0)
        circuit.cx(0, 1)
        circuit.measure_all()
        buffer = io.BytesIO()
        qpy.dump(circuit, buffer, version=13)
        bundle = CircuitBundle(format="qpy", data=buffer.getvalue())
        here = [device for device in self._devices.values() if not device.remote]
        simple = next((device for device in here if device.noise([circuit]) is None), None)
        for kind in (JobKind.RUN, JobKind.SAMPLER) if simple else ():
            pubs = [] if kind is JobKind.RUN else [Pub(circuit=0)]
            work = Work(kind=kind, circuits=bundle, pubs=pubs, options={}, transpile="auto", limits={})
            task = PrepareTask(work=work, device=simple.name if simple else "", keep=False)
            (prepared,) = self._prepare(task, _WARM_MB).prepared
            if simple and prepared.executable:
                circuits = parse(CircuitBundle(format="qpy", data=prepared.executable), Limits())
                with suppress(JobFailed):  # a device that cannot do it will say so of each job
                    execute(simple, kind, circuits, prepared.pubs, prepared.options, _WARM_MB).model_dump_json()

    def _answer(self, order: Order) -> Outcome:
        task = order.task
        do = task.do
        assert not isinstance(do, EndSessionTask), "it has no circuit"
        try:
            if isinstance(do, ExecuteTask):
                act = {"whole": self._execute, "encode": self._encode, "decode": self._decode}[order.step]
                return act(do, order)
            return self._report(do, task.memory_mb) if isinstance(do, ReportTask) else self._prepare(do, task.memory_mb)
        except QuantumError as error:
            return self._failed(do, error)
        except MemoryError:
            self._shapes.forget()
            return self._failed(do, _out_of_memory(do))
        except Exception as error:
            return self._failed(do, _defect(do, error))

    def _failed(self, do: ReportTask | PrepareTask | ExecuteTask, error: QuantumError) -> Outcome:
        body = error_body(error)
        if isinstance(do, ExecuteTask):
            return Outcome(error=body)
        names = do.devices if isinstance(do, ReportTask) else [do.device]
        return Outcome(prepared=[Prepared(device=name, error=body) for name in names])

    def _parsed(self, work: Work, limits: Limits) -> list[QuantumCircuit]:
        """Parse under a clock and a memory limit of its own; what outlives the clock is killed by the kernel."""
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, PARSE_CPU_S)
        before = resource.getrlimit(resource.RLIMIT_AS)
        budget = self._baseline + SLACK + PARSE_MEMORY
        most = budget if before[1] == resource.RLIM_INFINITY else min(budget, before[1])
        resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
        try:
            return parse(work.circuits, limits)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
            signal.setitimer(signal.ITIMER_PROF, 0)

    def _source(self, work: Work, limits: Limits) -> Source:
        return self._shapes.source(work.circuits, limits, lambda: self._parsed(work, limits))

    def _device(self, name: str) -> Device:
        if name not in self._devices:
            raise InputError(f"This runner does not serve {name}.", code="device.absent")
        return self._devices[name]

    def _prepare(self, task: PrepareTask, memory_mb: int) -> Outcome:
        device = self._device(task.device)
        limits = Limits.of(task.work.limits)
        source = self._source(task.work, limits)
        prepared, executable = prepare(device, source, task.work, limits, self._devices, self._shapes)
        prepared = self._with_room(prepared, executable, memory_mb)
        if prepared.error is None and executable is not None and task.keep:
            self._kept[executable.digest] = executable
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return Outcome(prepared=[prepared])

    def _report(self, task: ReportTask, memory_mb: int) -> Outcome:
        """A part for each device as soon as it is done, quick ones first; the dry run and the drawing come last."""
        limits = Limits.of(task.work.limits)
        source = self._source(task.work, limits)
        tried: tuple[Prepared, Executable] | None = None
        for name in sorted(task.devices, key=self._effort):
            whole = name == task.dry_run
            prepared, executable = self._prepared(name, source, task.work, limits, whole)
            if whole and executable is not None:
                tried = prepared, executable
            row = self._with_room(prepared, executable, memory_mb).model_copy(update={"executable": None, "pubs": []})
            write_frame(self._channel, Outcome(prepared=[row], more=True).model_dump_json().encode())
        drawn = source.circuits[0] if task.draw and source.circuits else None
        counted = source.circuits[0] if task.resources and source.circuits else None
        return Outcome(
            dry_run=self._tried(*tried, memory_mb) if tried else None,
            resources=None if counted is None else self._counted(counted),
            drawing="" if drawn is None else self._shapes.once([drawn], "drawing", lambda: draw(drawn)),
        )

    def _with_room(self, prepared: Prepared, executable: Executable | None, memory_mb: int) -> Prepared:
        """What was prepared, or that it cannot run; a dry run, which keeps no such state, may still be had of it."""
        if executable is None:
            return prepared
        device = self._device(prepared.device)
        wide = no_room(device, executable.circuits, prepared.options, prepared.shots, memory_mb)
        return prepared if wide is None else Prepared(device=device.name, error=error_body(wide))

    def _tried(self, prepared: Prepared, executable: Executable, memory_mb: int) -> DryRun:
        """The dry run, or why there is none; the rows have been sent, and it costs none of them."""
        try:
            return dry_run(self._device(prepared.device), prepared, executable, memory_mb)
        except MemoryError:
            note = "The dry run took more memory than it may."
        except Exception as error:
            note = f"The dry run broke off ({type(error).__name__})."
        return DryRun(device=prepared.device, shots=0, note=note)

    def _counted(self, circuit: QuantumCircuit) -> Resources | None:
        """What it would take on a fault-tolerant computer; None where that cannot be said."""
        try:
            return self._shapes.once([circuit], "resources", lambda: resources(circuit))
        except Exception:
            return None  # rows have been sent; the client says that there is none

    def _effort(self, name: str) -> tuple[bool, int]:
        """Simulators first, since nothing is laid out for them; then smaller devices before larger ones."""
        device = self._devices.get(name)
        return (False, 0) if device is None else (device.device_kind is not DeviceKind.SIMULATOR, device.num_qubits)

    def _prepared(
        self, name: str, source: Source, work: Work, limits: Limits, whole: bool
    ) -> tuple[Prepared, Executable | None]:
        """One row of a report: whatever goes wrong on one device costs the others nothing."""
        try:
            return prepare(self._device(name), source, work, limits, self._devices, self._shapes, whole=whole)
        except QuantumError as error:
            return Prepared(device=name, error=error_body(error)), None
        except MemoryError:
            self._shapes.forget()
            return Prepared(device=name, error=error_body(_out_of_memory(work))), None
        except Exception as error:
            return Prepared(device=name, error=error_body(_defect(work, error))), None

    def _execute(self, task: ExecuteTask, order: Order) -> Outcome:
        device = self._device(task.device)
        executable = self._executable(task)
        self._check_calibration(device, task)
        memory_mb = order.task.memory_mb
        result = execute(device, task.kind, executable.circuits, task.pubs, task.options, memory_mb)
        return self._compared(device, executable, task, result)

    def _encode(self, task: ExecuteTask, order: Order) -> Outcome:
        """What the vendor is handed. A lost attempt was laid out for a calibration that may be past by now."""
        device = self._device(task.device)
        executable = self._executable(task)
        if not task.recover:
            self._check_calibration(device, task)
        asked = DeviceOrder(task.kind, executable.circuits, task.pubs, task.options)
        payloads = device.encode(asked)
        everything = [list(range(len(task.pubs or executable.circuits)))]
        return Outcome(
            payloads=payloads,
            carried=everything if len(payloads) == 1 else device.carried(asked),
            executable=executable.data if task.executable is None else None,
        )

    def _decode(self, task: ExecuteTask, order: Order) -> Outcome:
        """What the vendor's answers say."""
        executable = self._executable(task)
        device = self._device(task.device)
        asked = DeviceOrder(task.kind, executable.circuits, task.pubs, task.options)
        return self._compared(device, executable, task, device.decode(asked, order.answers))

    @staticmethod
    def _compared(device: Device, executable: Executable, task: ExecuteTask, result: ResultView) -> Outcome:
        found = agreed(device, executable.circuits, task.pubs, result)
        return Outcome(result=result.model_copy(update={"agreement": found}))

    @staticmethod
    def _check_calibration(device: Device, task: ExecuteTask) -> None:
        if task.calibration != device.calibration.digest:
            raise JobFailed(
                f"{device.name} was calibrated anew after this job was validated.",
                code="calibration.changed",
                hint="Validate it again.",
            )

    def _executable(self, task: ExecuteTask) -> Executable:
        """What the task names, its digest taken again from the bytes."""
        kept = self._kept.get(task.digest)
        data = task.executable if task.executable is not None else kept.data if kept else None
        if data is None:
            raise JobFailed("The executable is not in this worker any more.", code="executable.absent")
        if digest_of(data) != task.digest:
            raise JobFailed("The executable is not the one that was validated.", code="executable.digest")
        if task.order != order_digest(task.device, task.kind, task.digest, task.pubs, task.options, task.calibration):
            raise JobFailed(
                "Device, PUBs, options or calibration are not those that were validated.", code="executable.order"
            )
        if kept is not None and kept.data == data:
            return kept
        work = Work(
            kind=task.kind,
            circuits=CircuitBundle(format="qpy", data=data),
            pubs=[],
            options={},
            transpile="never",
            limits={},
        )
        return Executable(self._parsed(work, Limits(bytes=64 * 1024 * 1024, operations=10**7)), data, task.digest)


def _out_of_memory(do: object) -> QuantumError:
    if isinstance(do, ExecuteTask):
        return JobFailed("The run took more memory than it may.", code="job.memory", hint="Use fewer qubits.")
    return InputError("Checking the circuit took more memory than it may.", code="circuit.memory")


def _defect(do: object, error: Exception) -> QuantumError:
    kind = type(error).__name__
    if isinstance(do, ExecuteTask):
        return JobFailed(f"The run broke off ({kind}).", code="job.broken")
    return InputError(f"The circuit could not be checked ({kind}).", code="circuit.broken")
