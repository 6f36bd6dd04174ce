"""Answers of foreign backends in one shape: header, counts and shots as Aer gives them.

Backends differ in what they return. Some have each shot (*memory*), some only counts, some name outcomes as bits
instead of hexadecimal numbers, some leave headers out. Where only counts are there, shots are made from them; their
order is not known then, and the experiment says so (``shots_from`` is ``counts``). Where neither is there, or where
they are not as many as were asked for, that is an error and never a row of zeros.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from qiskit import QuantumCircuit
from qiskit.result.models import ExperimentResult, ExperimentResultData

from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.fabric.refusals import clean

__all__ = ["experiment", "header_of", "mixed", "rounded", "shots_of"]


def experiment(
    device: str, circuit: QuantumCircuit, found: Any, shots: int, *, memory: bool, seed: int | None = None
) -> ExperimentResult:
    """What ``found`` (a backend's ``ExperimentResult``) says of ``circuit``, for ``shots`` shots on ``device``.

    ``memory`` asks for each shot. Raises :class:`JobFailed`, code ``job.no_shots``.
    """
    data = found.data if isinstance(found.data, Mapping) else found.data.to_dict()
    said = _known(data.get("memory"))
    counts = _counts(device, data.get("counts") or Counter(said), circuit.num_clbits, shots)
    more: dict[str, Any] = {"seed_simulator": seed}
    if memory and not said:
        more["shots_from"] = "counts"
    listed = [_hex(device, one, circuit.num_clbits) for one in said] if said else shots_of(counts)
    rest = {name: value for name, value in data.items() if name not in {"counts", "memory"}}
    kept = {"counts": counts, **({"memory": listed} if memory else {}), **rest}
    metadata = getattr(found, "metadata", None)
    return ExperimentResult(
        shots=shots,
        success=True,
        data=ExperimentResultData(**kept),
        status="DONE",
        header={**_header(found), **header_of(circuit)},
        metadata=dict(metadata) if isinstance(metadata, Mapping) else {},
        **more,
    )


def mixed(result: Any) -> bool:
    """Whether Aer simulated the noise of one batch in more than one way: then each circuit has to run alone.

    A circuit that Aer takes as superoperators comes out as nonsense (a GHZ state is all zeros) when one before it in
    the batch was taken as Kraus trajectories, as those with control flow are. So do 0.17.2 and 0.18.2.
    """
    return len({(getattr(one, "metadata", None) or {}).get("noise") for one in result.results}) > 1


def header_of(circuit: QuantumCircuit) -> dict[str, Any]:
    """Qiskit's experiment header of a circuit."""
    return {
        "name": circuit.name,
        "n_qubits": circuit.num_qubits,
        "memory_slots": circuit.num_clbits,
        "qreg_sizes": [[register.name, register.size] for register in circuit.qregs],
        "creg_sizes": [[register.name, register.size] for register in circuit.cregs],
        "metadata": circuit.metadata or {},
    }


def shots_of(counts: Mapping[str, int]) -> list[str]:
    """Each shot of counts, one outcome after the other: the order in which they fell is not in them."""
    return [outcome for outcome, times in sorted(counts.items()) for _ in range(times)]


def rounded(outcomes: Mapping[str, float], shots: int) -> dict[str, int]:
    """Whole shots that sum to ``shots``, each as near to its share as can be."""
    total = sum(outcomes.values())
    shares = {name: chance / total * shots for name, chance in outcomes.items()}
    counts = {name: math.floor(share + 1e-9) for name, share in shares.items()}
    left = shots - sum(counts.values())
    for name in sorted(shares, key=lambda one: (counts[one] - shares[one], one))[:left]:
        counts[name] += 1
    return {name: times for name, times in counts.items() if times}


def _known(memory: Any) -> list[Any]:
    return list(memory) if isinstance(memory, Iterable) and not isinstance(memory, str) else []


def _header(found: Any) -> dict[str, Any]:
    header = getattr(found, "header", None)
    if header is None or isinstance(header, Mapping):
        return dict(header or {})
    return dict(header.to_dict())


def _counts(device: str, said: Mapping[Any, Any], width: int, shots: int) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for outcome, times in said.items():
        if times != int(times) or times < 0:
            raise _missing(f"{device} returned {clean(times, 40)} for an outcome, which is no number of shots.")
        if times:
            counts[_hex(device, outcome, width)] += int(times)
    total = counts.total()
    if not total:
        raise _missing(f"{device} returned no shots for a circuit that measures.")
    if total != shots:
        raise _missing(f"{device} returned {total:,} shots where {shots:,} were asked for.")
    return dict(counts)


def _hex(device: str, outcome: Any, width: int) -> str:
    """An outcome as Aer writes it, from a number, from ``0x3`` or from bits with or without spaces."""
    try:
        text = outcome.replace(" ", "") if isinstance(outcome, str) else hex(outcome)
        value = int(text, 16 if text.startswith("0x") else 2)
    except (TypeError, ValueError, AttributeError):
        raise _missing(f"{device} returned an outcome that is no row of bits: {clean(outcome, 40)}") from None
    if value >> width:
        raise _missing(f"{device} returned an outcome of more bits than the circuit has: {clean(outcome, 40)}")
    return hex(value)


def _missing(message: str) -> JobFailed:
    return JobFailed(message, code="job.no_shots")
