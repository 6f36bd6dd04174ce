"""Every ``mqt.bench`` algorithm at 3–6 qubits, through validate → run on every emulator: the distribution is the SDK's.

Circuits are made here and travel as QPY. A real runner with locked workers validates and runs them in the vendor's own
environment; what it made of each (the executable) is then run by the vendor's SDK called directly. The two samples
of each circuit must pass a permutation test of G at a family-wise error rate of 1 % over all cases (Bonferroni). What
a device cannot take must be refused in words, and is counted.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import subprocess
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from qiskit import QuantumCircuit

from jupyter_quantum.exceptions import CircuitRejected
from jupyter_quantum.fabric.limits import Limits
from jupyter_quantum.fabric.parse import parse
from jupyter_quantum.wire.base import ErrorBody
from jupyter_quantum.wire.runner import Prepared
from tests.integration.fabric.asking import Fabric, bundle, work_of
from tests.integration.fabric.standin import running
from tests.prove.direct import DIRECT
from tests.prove.environments import ROOT, python_of
from tests.prove.two_samples import p_value

SHOTS: Final = 2000
SLOW_SHOTS: Final = 400
SLOW_OPERATIONS: Final = 10_000
FAMILY: Final = 0.01
"""Chance that a proof without a fault reports one."""
_UNCLEAR: Final = {"circuit.broken", "circuit.crash", "circuit.memory", "circuit.time"}

EMULATORS: Final[Mapping[str | None, Sequence[dict[str, Any]]]] = {
    None: [
        {"name": "aer", "adapter": "aer"},
        {"name": "fake_torino", "adapter": "ibm_fake", "fake": "FakeTorino"},
        {"name": "fake_manila", "adapter": "ibm_fake", "fake": "FakeManilaV2"},
        {
            "name": "generic",
            "adapter": "backend",
            "backend": "qiskit.providers.fake_provider:GenericBackendV2",
            "arguments": {"num_qubits": 7, "seed": 7, "control_flow": True},
        },
        {"name": "qsharp", "adapter": "qsharp", "qubits": 7},
        {"name": "braket_sv", "adapter": "braket_local", "simulator": "braket_sv"},
    ],
    "iqm": [
        {"name": fake.lower(), "adapter": "iqm", "fake": fake} for fake in ("Adonis", "Aphrodite", "Apollo", "Deneb")
    ],
    "aqt": [{"name": f"aqt_{which}", "adapter": "aqt", "simulator": which} for which in ("ideal", "noisy")],
    "alice-bob": [
        {"name": "cats", "adapter": "alice_bob", "emulator": "EMU:6Q:PHYSICAL_CATS"},
        {"name": "cats_early", "adapter": "alice_bob", "emulator": "EMU:15Q:LOGICAL_EARLY"},
        {
            "name": "cats_noiseless",
            "adapter": "alice_bob",
            "emulator": "EMU:40Q:LOGICAL_NOISELESS",
            "arguments": {"n_qubits": 7},
        },
    ],
}
"""Extra whose environment is needed (None: the main one) → devices."""


@dataclass(slots=True)
class Ran:
    """One circuit: what was run, and the counts that came back from us and from the SDK."""

    name: str
    executable: bytes
    ours: dict[int, int]
    theirs: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Emulated:
    """What came of one device."""

    spec: dict[str, Any]
    ran: list[Ran] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Code and words of a refusal → circuits."""
    faults: list[str] = field(default_factory=list)

    @property
    def slow(self) -> bool:
        """Whether it writes every rotation as hundreds of gates, and goes through all of them shot by shot."""
        return "LOGICAL" in self.spec.get("emulator", "")

    @property
    def shots(self) -> int:
        """Of one circuit."""
        return SLOW_SHOTS if self.slow else SHOTS

    @property
    def limits(self) -> dict[str, int]:
        """What an operator would send to bound a run: longer circuits are refused where they are validated."""
        return {"operations": SLOW_OPERATIONS} if self.slow else {}


def algorithms() -> dict[str, QuantumCircuit]:
    """Every benchmark circuit of 3 to 6 qubits that there is, by name and width; measured where it was not."""
    from mqt.bench import get_benchmark_alg
    from mqt.bench.benchmarks import get_available_benchmark_names

    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in get_available_benchmark_names():
            for width in range(3, 7):
                try:
                    circuit = get_benchmark_alg(name, width)
                except ValueError:
                    continue  # the algorithm does not exist at this width
                if not circuit.num_clbits:
                    circuit.measure_all()
                found[f"{name}-{width}"] = _portable(circuit)
    return found


def _portable(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit, written out by one level where Qiskit's QPY does not bring it back (adders and multipliers of its
    library as gates, permutations inside of other gates)."""
    try:
        parse(bundle(circuit), Limits())
    except CircuitRejected:
        return circuit.decompose()
    return circuit


async def through(fabric: Fabric, device: Emulated, circuits: Mapping[str, QuantumCircuit]) -> None:
    for name, circuit in circuits.items():
        work = work_of(circuit, limits=device.limits, shots=device.shots)
        about = {"affinity": device.spec["name"], "timeout_s": 600.0}
        prepared: Prepared = await fabric.prepare(device.spec["name"], work, **about)
        if prepared.error is not None:
            _refused(device, name, prepared.error)
            continue
        report = await fabric.execute(work, prepared, **about)
        if report.result is None or prepared.executable is None:
            device.faults.append(f"{device.spec['name']} {name}: {report.error}")
            continue
        (one,) = report.result.experiments
        ours = {int(bits, 16): times for bits, times in (one.counts or {}).items()}
        device.ran.append(Ran(name, prepared.executable, ours))


def _refused(device: Emulated, name: str, error: ErrorBody) -> None:
    """Count a refusal by its words, without what names the circuit; one that is not in words is a fault."""
    words = error.message.partition("(")[0].strip()[:110]
    device.refused[f"{error.code}: {words}"] += 1
    if not error.code.startswith("circuit.") or error.code in _UNCLEAR:
        device.faults.append(f"{device.spec['name']} {name}: {error.code} {error.message[:200]}")


async def _environment(extra: str | None, devices: Sequence[Emulated], circuits: Mapping[str, QuantumCircuit]) -> None:
    python = python_of(extra)
    with tempfile.TemporaryDirectory() as home:
        async with running(Path(home), [one.spec for one in devices], python=python) as (standin, runner):
            fabric = Fabric(standin, runner)
            await asyncio.gather(*(through(fabric, device, circuits) for device in devices))
    for device in devices:
        directly(python, device)


def directly(python: Path, device: Emulated) -> None:
    """Ask the SDK for the counts of what was run."""
    circuits = [base64.b64encode(one.executable).decode() for one in device.ran]
    asked = json.dumps({"device": device.spec, "shots": device.shots, "circuits": circuits})
    program = [str(python), "-m", "tests.prove.direct"]
    done = subprocess.run(program, input=asked, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        device.faults.append(f"{device.spec['name']}: the SDK called directly: {done.stderr[-300:]}")
        device.ran.clear()
        return
    for one, answer in zip(device.ran, json.loads(done.stdout), strict=True):
        one.theirs = {int(bits): times for bits, times in answer.items()}


def compared(devices: Sequence[Emulated], level: float, seed: int) -> tuple[int, list[str]]:
    """How many cases there were, and which fall below the ``level`` of one."""
    found: list[str] = []
    for device in devices:
        values = {one.name: p_value(one.ours, one.theirs, level, seed) for one in device.ran}
        found += [f"{device.spec['name']} {name}: p = {p:.1e}" for name, p in values.items() if p < level]
        found += device.faults
        _tell(device, values)
    return sum(len(device.ran) for device in devices), found


def _tell(device: Emulated, values: Mapping[str, float]) -> None:
    least = min(values.values(), default=1.0)
    compared = f"{len(values)} compared at {device.shots:,} shots, least p {least:.1e}"
    print(f"{device.spec['name']}: {compared}; {device.refused.total()} refused", flush=True)
    for reason, times in device.refused.most_common():
        print(f"    {times} × {reason}", flush=True)


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """Take ``cases`` of the circuits (all where there are fewer) to every emulator whose adapter is here."""
    circuits = algorithms()
    chosen = sorted(random.Random(seed).sample(sorted(circuits), min(cases, len(circuits))))
    here = {extra: [Emulated(spec) for spec in specs if _known(spec)] for extra, specs in EMULATORS.items()}
    level = FAMILY / (len(chosen) * sum(map(len, here.values())))
    print(f"level of one case: {level:.1e} (Bonferroni, {FAMILY:.0%} over all that there may be)", flush=True)
    total, found = 0, list[str]()
    for extra, devices in here.items():
        asyncio.run(_environment(extra, devices, {name: circuits[name] for name in chosen}))
        ran, wrong = compared(devices, level, seed)
        total += ran
        found += wrong
    return total, found


def _known(spec: Mapping[str, Any]) -> bool:
    """Whether the adapter is registered here."""
    return bool(entry_points(group="jupyter_quantum.adapters", name=spec["adapter"])) and spec["adapter"] in DIRECT
