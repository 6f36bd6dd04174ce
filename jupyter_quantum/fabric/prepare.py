"""From checked circuits to an executable for one device, and what a person wants to know about it.

A circuit that has a layout, or fits the Target as it stands, is never altered, only checked; where it does not fit any
more, the broken edge is named. Anything else is transpiled (level and seed are recorded), observables and
bindings with it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import qiskit
from qiskit import QuantumCircuit, qpy

from jupyter_quantum.core.jobs import DeviceKind, JobKind
from jupyter_quantum.core.qpy_labels import Label, labelled
from jupyter_quantum.exceptions import QuantumError
from jupyter_quantum.fabric.adapters.base import Device
from jupyter_quantum.fabric.checks import expanded_size
from jupyter_quantum.fabric.estimates import depth, survey
from jupyter_quantum.fabric.isa import Misfit, active_qubits
from jupyter_quantum.fabric.limits import Limits
from jupyter_quantum.fabric.mitigation import method_of, more
from jupyter_quantum.fabric.options import fill
from jupyter_quantum.fabric.parse import QPY_VERSIONS
from jupyter_quantum.fabric.pubs import Unit, check_pubs, laid_out, units
from jupyter_quantum.fabric.refusals import clean, error_body, refusal
from jupyter_quantum.fabric.registers import with_registers_of
from jupyter_quantum.fabric.shapes import Shapes, Source, kind_of
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.devices import Interval
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.runner import Prepared, Share, Work, order_digest

__all__ = ["Executable", "prepare"]


@dataclass(frozen=True, slots=True)
class Executable:
    """What will run, as circuits and as the exact bytes that its digest binds."""

    circuits: Sequence[QuantumCircuit]
    data: bytes
    digest: str


@dataclass(frozen=True, slots=True)
class _Compiled:
    """Circuits without labels, as they will run, and which of them are not as they were sent."""

    circuits: Sequence[QuantumCircuit]
    altered: Sequence[bool]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What can be said of one compiled circuit on one device, whatever is bound and however often it runs."""

    depth: int
    operations: int
    two_qubit_gates: int
    success: Interval | None
    overhead: float | None


def prepare(
    device: Device,
    source: Source,
    work: Work,
    limits: Limits,
    devices: Mapping[str, Device],
    shapes: Shapes,
    *,
    whole: bool = True,
) -> tuple[Prepared, Executable | None]:
    """Check and transpile the circuits for ``device``; a refusal is told in :attr:`Prepared.error`.

    ``whole``: for what will run; a row of a report needs no PUBs and no names.
    """
    try:
        return _prepare(device, source, work, limits, devices, shapes, whole)
    except QuantumError as error:
        return Prepared(device=device.name, error=error_body(error)), None


def _prepare(
    device: Device,
    source: Source,
    work: Work,
    limits: Limits,
    devices: Mapping[str, Device],
    shapes: Shapes,
    whole: bool,
) -> tuple[Prepared, Executable]:
    options = fill(device.name, device.options[work.kind.value], work.options)
    circuits = source.circuits
    shapes.checked(work, partial(check_pubs, work.kind, circuits, work.pubs))
    planned = units(work.kind, circuits, work.pubs, options, limits, device.spec.max_shots)
    shares = [Share(tasks=count, executions=count * shots) for _, count, shots in planned] if whole else []
    planned += _mitigating(work.kind, circuits, options, planned)
    for circuit, label in zip(circuits, source.labels, strict=True):
        _check_width(device, circuit, devices)
        if work.kind is not JobKind.ESTIMATOR:
            _check_measured(work.kind, circuit, label, shapes)
    compiled = _compile(device, circuits, work, options, shapes, devices)
    executable = _executable(compiled, source, work, shapes, whole)
    pubs = work.pubs if whole else []
    moved = [laid_out(pub, circuits[pub.circuit], compiled.circuits[pub.circuit]) for pub in pubs]
    found = _describe(device, circuits, compiled, executable, planned, options, moved, limits, shapes)
    if work.kind is JobKind.ESTIMATOR:  # what it measures is not in its circuits, so that nothing is said of readout
        found = found.model_copy(
            update={"basis": [one for one in found.basis if one != "readout"], "mitigation_overhead": None}
        )
    if not whole:
        return found, executable
    order = order_digest(device.name, work.kind, executable.digest, moved, options, device.calibration.digest)
    return found.model_copy(update={"order": order, "shares": shares}), executable


def _mitigating(
    kind: JobKind, circuits: Sequence[QuantumCircuit], options: Mapping[str, Any], planned: Sequence[Unit]
) -> list[Unit]:
    """What mitigation runs besides; refuses circuits that it is not for."""
    method = None if kind is JobKind.RUN else method_of(options)
    if method is None:
        return []
    for circuit in circuits:
        method.check(circuit)
    return more(method, planned)


def _check_width(device: Device, circuit: QuantumCircuit, devices: Mapping[str, Device]) -> None:
    width = device.width(circuit)
    if width <= device.num_qubits:
        return
    fits = [
        f"{other.name} ({other.num_qubits})" for other in devices.values() if other.width(circuit) <= other.num_qubits
    ]
    raise refusal(
        "too_wide",
        f"The circuit has {width} qubits; {device.name} has {device.num_qubits}.",
        f"Devices that fit: {', '.join(fits)}." if fits else "No device here is wide enough; use fewer qubits.",
        num_qubits=width,
        device_qubits=device.num_qubits,
    )


def _check_measured(kind: JobKind, circuit: QuantumCircuit, label: Label, shapes: Shapes) -> None:
    if not shapes.once([circuit], "measures", partial(_measures, circuit)):
        raise refusal(
            "no_measurement",
            f"The circuit “{clean(label.name, 60)}” measures nothing, so there would be nothing to count.",
            "Add circuit.measure_all(), or ask an estimator for expectation values.",
        )
    if kind is JobKind.SAMPLER and not any(register.size for register in circuit.cregs):
        raise refusal(
            "no_measurement",
            f"The circuit “{clean(label.name, 60)}” measures into no register, and a sampler returns registers.",
            "Put its bits into a ClassicalRegister, or use backend.run, which counts all bits.",
        )


def _measures(circuit: QuantumCircuit) -> bool:
    for found in circuit.data:
        if found.name == "measure":
            return True
        if found.is_control_flow() and any(map(_measures, found.operation.blocks)):
            return True
        if found.clbits and _defined_measure(found.operation):
            return True
    return False


def _defined_measure(operation: Any) -> bool:
    definition = getattr(operation, "definition", None)
    return definition is not None and _measures(definition)


def _compile(
    device: Device,
    circuits: Sequence[QuantumCircuit],
    work: Work,
    options: Mapping[str, Any],
    shapes: Shapes,
    devices: Mapping[str, Device],
) -> _Compiled:
    kind, level, seed = kind_of(device), options["optimization_level"], options["seed_transpiler"]
    compiled: list[QuantumCircuit] = []
    altered: list[bool] = []
    for circuit in circuits:
        misfit = shapes.once([circuit], ("misfit", kind), partial(device.misfit, circuit))
        if misfit is not None:
            _may_alter(device, circuit, misfit, work.transpile, devices)
            make = partial(_transpile, device, circuit, options, misfit)
            compiled.append(shapes.once([circuit], ("compiled", kind, level, seed), make))
        else:
            compiled.append(circuit)
        altered.append(misfit is not None)
    return _Compiled(compiled, altered)


def _may_alter(
    device: Device, circuit: QuantumCircuit, misfit: Misfit, transpile: str, devices: Mapping[str, Device]
) -> None:
    if circuit.layout is not None:
        theirs = [other.name for other in devices.values() if _laid_out_for(other, circuit)]
        whose = " or ".join(theirs) if theirs else "another device or an older calibration"
        raise refusal(
            "layout",
            f"The circuit is laid out for {whose}, and {device.name} has {misfit.words()}.",
            f"Promote the original, or transpile it for {device.name}.",
            qubits=list(misfit.qubits),
            gate=clean(misfit.name, 60),
        )
    if transpile == "never" or misfit.dead:
        raise refusal(
            "not_isa",
            f"The circuit is not in the instructions of {device.name}: it has {misfit.words()}.",
            f'Transpile it for {device.name} first, or let the service do it with transpile="auto".',
            qubits=list(misfit.qubits),
            gate=clean(misfit.name, 60),
        )


def _laid_out_for(device: Device, circuit: QuantumCircuit) -> bool:
    """Whether a laid-out circuit is as wide as this device, and fits it as it stands."""
    return (
        device.device_kind is not DeviceKind.SIMULATOR
        and circuit.num_qubits == device.num_qubits
        and device.misfit(circuit) is None
    )


def _transpile(device: Device, circuit: QuantumCircuit, options: Mapping[str, Any], misfit: Misfit) -> QuantumCircuit:
    try:
        (compiled,) = device.compile([circuit], options["optimization_level"], options["seed_transpiler"])
    except MemoryError:
        raise refusal("memory", "Transpiling the circuit took more memory than it may.") from None
    except Exception as error:
        raise refusal(
            "transpile",
            f"The circuit cannot be transpiled for {device.name} ({misfit.words()}): {clean(error, 200)}",
        ) from None
    left = device.misfit(compiled)
    if left is not None:
        raise refusal("gate", f"{device.name} has {left.words()}, and it cannot be built from what it has.")
    try:
        compiled = with_registers_of(circuit, compiled)
    except ValueError as error:
        raise refusal("register", f"The circuit cannot be transpiled for {device.name}: {error}.") from None
    compiled.name, compiled.metadata = "", {}  # Qiskit gives one without a name a number of its own
    return compiled


def _executable(compiled: _Compiled, source: Source, work: Work, shapes: Shapes, whole: bool) -> Executable:
    """The bytes sent where nothing was altered, otherwise a new QPY file in the lowest version that holds it."""
    circuits = compiled.circuits
    data: bytes | None = None
    if work.circuits.format == "qpy" and not any(compiled.altered):
        data = work.circuits.data
    elif len(circuits) == 1:
        plain = shapes.once(circuits, "written", partial(_dump, circuits))
        data = labelled(plain, source.labels[0])
    if whole or data is None:
        circuits = [_with(label, circuit) for circuit, label in zip(circuits, source.labels, strict=True)]
    if data is None:
        data = _dump(circuits)
    return Executable(circuits, data, digest_of(data))


def _with(label: Label, circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with its own name and metadata; what is remembered stays without."""
    copied = circuit.copy()
    copied.name, copied.metadata = label.name, dict(label.metadata)
    return copied


def _dump(circuits: Sequence[QuantumCircuit]) -> bytes:
    for version in range(QPY_VERSIONS[0], QPY_VERSIONS[1] + 1):
        buffer = io.BytesIO()
        try:
            qpy.dump(list(circuits), buffer, version=version)
        except Exception:
            if version == QPY_VERSIONS[1]:
                raise refusal("gate", "The transpiled circuit holds something that QPY cannot store.") from None
            continue
        return buffer.getvalue()
    raise AssertionError("a version was tried")


def _describe(
    device: Device,
    sources: Sequence[QuantumCircuit],
    compiled: _Compiled,
    executable: Executable,
    planned: Sequence[Unit],
    options: Mapping[str, Any],
    pubs: list[Pub],
    limits: Limits,
    shapes: Shapes,
) -> Prepared:
    used = sorted({at for at, _, _ in planned})
    kind = kind_of(device)
    facts = [
        shapes.once([circuit], ("facts", kind, limits), partial(_facts, device, circuit, limits))
        for circuit in compiled.circuits
    ]
    operations = sum(one.operations for one in facts)
    _check_work(operations, sum(count * shots for _, count, shots in planned), len(planned), limits)
    took = device.seconds([(compiled.circuits[at], count, shots) for at, count, shots in planned], options)
    return Prepared(
        device=device.name,
        num_circuits=len(sources),
        num_qubits=max(shapes.once([circuit], "qubits", partial(_qubits, circuit)) for circuit in sources),
        depth=max(one.depth for one in facts),
        source_depth=max(shapes.once([circuit], "depth", partial(depth, circuit)) for circuit in sources),
        operations=operations,
        two_qubit_gates=max(facts[at].two_qubit_gates for at in used),
        shots=max(shots for _, _, shots in planned),
        executions=sum(count * shots for _, count, shots in planned),
        tasks=sum(count for _, count, _ in planned),
        success=_worst([facts[at].success for at in used]),
        noise_free=device.device_kind is DeviceKind.SIMULATOR,
        basis=device.basis,
        mitigation_overhead=_most([facts[at].overhead for at in used]),
        seconds=took.seconds,
        simulation=took.simulation,
        calibration=device.calibration,
        digest=executable.digest,
        executable=executable.data,
        compiler=_compiler(compiled, options),
        pubs=pubs,
        options=dict(options),
    )


def _facts(device: Device, circuit: QuantumCircuit, limits: Limits) -> _Facts:
    seen = survey(circuit, device.target)
    return _Facts(
        seen.depth,
        expanded_size(circuit, limits),
        seen.two_qubit_gates,
        device.success(circuit),
        seen.overhead if len(device.mitigations()) > 1 else None,
    )


def _check_work(operations: int, executions: int, units: int, limits: Limits) -> None:
    if operations > limits.operations or operations * executions > limits.work * units:
        raise refusal(
            "too_large",
            f"{operations:,} gates times {executions:,} executions are more than may run.",
            "Use fewer shots, or a smaller circuit.",
        )


def _qubits(circuit: QuantumCircuit) -> int:
    return int(circuit.num_qubits) if circuit.layout is None else len(active_qubits([circuit]))


def _worst(found: Sequence[Interval | None]) -> Interval | None:
    """The circuit with the least chance; unknown where one is."""
    known = [one for one in found if one is not None]
    return min(known, key=lambda one: one.value) if known and len(known) == len(found) else None


def _most(found: Sequence[float | None]) -> float | None:
    """The largest; unknown where one is."""
    known = [one for one in found if one is not None]
    return max(known) if known and len(known) == len(found) else None


def _compiler(compiled: _Compiled, options: Mapping[str, Any]) -> dict[str, Any]:
    if not any(compiled.altered):
        return {"name": None, "altered": False}
    return {
        "name": "qiskit",
        "version": str(qiskit.__version__),
        "altered": True,
        "circuits": [at for at, altered in enumerate(compiled.altered) if altered],
        "level": options["optimization_level"],
        "seed": options["seed_transpiler"],
        "layout": [
            circuit.layout.final_index_layout(filter_ancillas=True) if altered and circuit.layout else None
            for circuit, altered in zip(compiled.circuits, compiled.altered, strict=True)
        ],
    }
