"""Mitigation: values with an error taken out, beside the raw ones, which stay as the device gave them.

A method (:class:`Method`) adds circuits of its own to each batch of a job, at its end, so that no other circuit's seed
changes, and makes quasi-probabilities of what was counted. Its circuits are executions like any other: counted, priced
and named in the result. Expectation values come from the quasi-probabilities as Qiskit's estimator makes them from
counts; their standard errors are the upper bound √(overhead / shots) for a Pauli operator.

``readout`` is ours (:mod:`.readout`). Others are found by entry points (group ``jupyter_quantum.mitigation``):
zero-noise extrapolation, say, whose library has another licence than this one and is used only where somebody installed
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.result import Result

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.fabric.adapters.base import Device, Order, RunOptions
from jupyter_quantum.fabric.counts import header_of
from jupyter_quantum.fabric.methods import loaded
from jupyter_quantum.fabric.plan import Piece, replayed
from jupyter_quantum.fabric.refusals import clean
from jupyter_quantum.fabric.shape import array, by_value
from jupyter_quantum.wire.results import Mitigated, ResultView

__all__ = [
    "Corrected",
    "Counts",
    "Method",
    "beside",
    "counts_in",
    "method_of",
    "mitigated",
    "more",
    "own_pieces",
    "tried",
    "without",
]

Counts = Mapping[str, int]
"""Hexadecimal outcome of all bits → how often it was seen."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """What a method makes of one circuit: quasi-probabilities by hexadecimal outcome, and the variance's growth."""

    quasi: Mapping[str, float]
    overhead: float = 1.0


class Method(Protocol):
    """A way to mitigate. An entry point names an object of this kind; it is used in the locked worker."""

    def check(self, circuit: QuantumCircuit) -> None:
        """Raise :class:`~jupyter_quantum.exceptions.CircuitRejected` where a circuit is not for it; before pricing."""

    def more(self, circuits: int) -> int:
        """How many circuits it adds to a batch of so many."""

    def circuits(self, device: Device, batch: Sequence[QuantumCircuit]) -> list[QuantumCircuit]:
        """These circuits, in the device's own gates, for a batch of bound circuits that measure."""

    def corrected(
        self, batch: Sequence[QuantumCircuit], counts: Sequence[Counts], own: Sequence[tuple[QuantumCircuit, Counts]]
    ) -> list[Corrected]:
        """What it makes of each circuit of the batch, from its counts and those of its own circuits."""

    def told(self, own: Sequence[tuple[QuantumCircuit, Counts]]) -> dict[str, Any]:
        """For the record: library, version, method, qubits, what its circuits found."""


def method_of(options: Mapping[str, Any]) -> Method | None:
    """The method that a job asks for; None where it asks for none. Raises :class:`JobFailed` where it is not here."""
    name = options.get("mitigation") or "none"
    if name == "none":
        return None
    found: Method = loaded(name)
    return found


def more(method: Method, planned: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The units (a circuit's index, how many circuits, shots of each) that a method adds to those that are planned."""
    groups = by_value([shots for _, _, shots in planned])
    return [
        (planned[places[0]][0], method.more(sum(planned[at][1] for at in places)), shots)
        for shots, places in groups.items()
    ]


def tried(
    method: Method,
    batch: Sequence[QuantumCircuit],
    counts: Sequence[Counts],
    own: Sequence[tuple[QuantumCircuit, Counts]],
) -> list[Corrected] | str:
    """What the method makes of a batch; why it makes nothing, in words, where it fails: the raw values are there."""
    try:
        found = method.corrected(batch, counts, own)
    except Exception as error:
        return f"the method failed: {clean(type(error).__name__, 60)}"
    finite = all(math.isfinite(one.overhead) and all(map(math.isfinite, one.quasi.values())) for one in found)
    return found if finite else "the method found no finite values: too many readings are wrong"


def without(view: ResultView, why: str) -> ResultView:
    """The result with raw values alone, and why."""
    return view.model_copy(update={"mitigation": {"why": why}})


def counts_in(found: Any) -> Counts:
    """The counts of Qiskit's ``ExperimentResult``, from its shots where it has only these."""
    counts = getattr(found.data, "counts", None)
    if counts is not None:
        return dict(counts)
    seen: dict[str, int] = {}
    for outcome in found.data.memory:
        seen[outcome] = seen.get(outcome, 0) + 1
    return seen


def own_pieces(device: Device, order: Order, found: Sequence[Piece]) -> list[Piece]:
    """The method's circuits for the pieces of an order: those of each number of shots are a batch. Owner is -1."""
    method = None if order.kind is JobKind.RUN else method_of(order.options)
    if method is None:
        return []
    groups = by_value([piece.shots for piece in found])
    return [
        Piece(-1, circuit, shots)
        for shots, places in groups.items()
        for circuit in method.circuits(device, [found[at].circuit for at in places])
    ]


def mitigated(
    device: Device,
    order: Order,
    view: ResultView,
    found: Sequence[Piece],
    own: Sequence[Piece],
    counts: Sequence[Counts | None],
) -> ResultView:
    """The result of pieces with mitigated values beside the raw ones; ``counts``: of ``found``, then of ``own``.

    Where a circuit of the method has no counts, nothing is mitigated, and the result says so.
    """
    method = method_of(order.options)
    ran = [(piece.circuit, seen) for piece, seen in zip(own, counts[len(found) :], strict=True) if seen is not None]
    if method is None or len(ran) < len(own):
        return without(view, "a circuit of the calibration has no counts")
    by_pub: list[list[Corrected]] = [[] for _ in order.pubs]
    start = 0
    for shots, places in by_value([piece.shots for piece in found]).items():
        mine = [piece for piece in own if piece.shots == shots]
        there = [at for at in places if counts[at] is not None]
        batch = ran[start : start + len(mine)]
        start += len(mine)
        made = tried(method, [found[at].circuit for at in there], [counts[at] or {} for at in there], batch)
        if isinstance(made, str):
            return without(view, made)
        for at, one in zip(there, made, strict=True):
            by_pub[found[at].owner].append(one)
    return beside(device, order, view, by_pub, method.told(ran))


def beside(
    device: Device, order: Order, view: ResultView, corrected: Sequence[Sequence[Corrected]], told: Mapping[str, Any]
) -> ResultView:
    """The result with mitigated values beside the raw ones; ``corrected``: for each PUB its bound circuits."""
    make = _sampled if order.kind is JobKind.SAMPLER else _estimated
    pubs = [
        pub if pub.missing else pub.model_copy(update={"mitigated": make(device, order, at, found)})
        for at, (pub, found) in enumerate(zip(view.pubs, corrected, strict=True))
    ]
    return view.model_copy(update={"pubs": pubs, "mitigation": dict(told)})


def _sampled(device: Device, order: Order, at: int, found: Sequence[Corrected]) -> Mitigated:
    return Mitigated(
        method=order.options["mitigation"],
        quasi=[dict(one.quasi) for one in found],
        overhead=[one.overhead for one in found],
    )


def _estimated(device: Device, order: Order, at: int, found: Sequence[Corrected]) -> Mitigated:
    """Qiskit's own estimator, given quasi-probabilities in the place of counts."""
    left = iter(found)

    def answer(batch: Sequence[QuantumCircuit], chosen: RunOptions) -> Result:
        results = [
            {"shots": 1, "success": True, "data": {"counts": dict(next(left).quasi)}, "header": header_of(circuit)}
            for circuit in batch
        ]
        return Result.from_dict({"backend_name": "", "job_id": "", "success": True, "results": results})

    with np.errstate(invalid="ignore"):  # a value beyond ±1 has no variance of its own
        (answered,) = replayed(device, order, at, answer)
    overhead = max((one.overhead for one in found), default=1.0)
    sizes = np.broadcast_to(_sizes(order.pubs[at].observables), answered.data.shape)
    return Mitigated(
        method=order.options["mitigation"],
        evs=array(answered.data.evs),
        stds=array(sizes * math.sqrt(overhead / int(answered.metadata["shots"]))),
        overhead=[overhead],
    )


def _sizes(observables: Any) -> NDArray[np.float64]:
    """The sum of the sizes of each observable's coefficients, the identity's left out: it has no error."""
    if isinstance(observables, list):
        return np.array([_sizes(one) for one in observables], dtype=np.float64)
    return np.asarray(float(sum(abs(factor) for label, factor in observables.items() if set(label) != {"I"})))
