"""Backends of a lab that nobody knows: Aer below, each with a habit that real vendors' backends have."""

from __future__ import annotations

from typing import Any

from qiskit import QuantumCircuit
from qiskit.providers import BackendV2, Options
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData
from qiskit.transpiler import CouplingMap, Target
from qiskit_aer import AerSimulator

_BASIS = ["sx", "rz", "x", "cx", "measure", "reset", "delay", "id"]


class Done:
    """A job that was over before it was asked."""

    def __init__(self, answer: Result) -> None:
        self.answer = answer

    def result(self) -> Result:
        return self.answer


class Lab(BackendV2):
    """Five qubits in a row; keeps what it was asked. ``gives`` says what stands in its answers."""

    def __init__(self, gives: str = "counts", most: int | None = 2, fault: str = "") -> None:
        super().__init__(name="lab", description="Five qubits of our lab")
        self.gives, self.fault, self.most = gives, fault, most
        self.asked: list[tuple[int, dict[str, Any]]] = []
        row = [[at, at + 1] for at in range(4)] + [[at + 1, at] for at in range(4)]
        self._target = Target.from_configuration(basis_gates=_BASIS, num_qubits=5, coupling_map=CouplingMap(row))
        self.options.set_validator("shots", (1, 2000))

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> int | None:
        return self.most

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=100)

    def run(self, run_input: list[QuantumCircuit], **options: Any) -> Done:
        unknown = set(options) - {"shots", "memory", "seed_simulator"}
        assert not unknown, unknown
        self.asked.append((len(run_input), options))
        if self.fault == "raises":
            raise RuntimeError("the lid is open")
        if self.fault == "fails":
            return Done(Result(success=False, results=[], status="too warm"))
        seed = options.get("seed_simulator")
        found = AerSimulator().run(run_input, shots=options["shots"], memory=True, seed_simulator=seed).result()
        results = [self._said(one, options["shots"]) for one in found.results]
        return Done(Result(success=True, results=results[: -1 if self.fault == "short" else None]))

    def _said(self, found: ExperimentResult, shots: int) -> ExperimentResult:
        width = found.header["memory_slots"]
        bits = [f"{int(one, 16):0{width}b}" for one in found.data.memory]
        data: dict[str, Any] = {
            "counts": {"counts": found.data.counts},
            "bits": {"counts": {f"{int(key, 16):0{width}b}": value for key, value in found.data.counts.items()}},
            "memory": {"memory": bits},
            "both": {"counts": found.data.counts, "memory": found.data.memory},
            "neither": {},
            "zeros": {"counts": {"0x0": 0}},
            "few": {"counts": {"0x0": shots - 1}},
            "wide": {"counts": {hex(1 << width): shots}},
            "fractions": {"counts": {"0x0": shots / 3}},
            "words": {"counts": {"up": shots}},
        }[self.gives]
        return ExperimentResult(shots=shots, success=True, data=ExperimentResultData(**data))


def lab(**arguments: Any) -> Lab:
    """A factory."""
    return Lab(**arguments)


def nothing() -> None:
    """A factory of no backend."""
