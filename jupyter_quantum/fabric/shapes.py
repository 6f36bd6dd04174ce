"""What a worker remembers of its user's circuits: the same shape again costs next to nothing.

A *shape* is the circuits of one request without their names and metadata. Bindings, PUBs, shots and options of the
run are no part of it. Parsed and checked circuits are kept by the digest of their bytes and limits, compiled ones by
shape, device (its calibration included), level and seed.

A worker serves one user and ends; nothing here outlives it. What is compiled never depends on what is remembered: a
circuit is compiled without its label, by passes that have a seed.
"""

from __future__ import annotations

import dataclasses
import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, TypeVar

from qiskit import QuantumCircuit

from jupyter_quantum.core.qpy_labels import Label, split
from jupyter_quantum.fabric.adapters import Device
from jupyter_quantum.fabric.limits import Limits
from jupyter_quantum.wire.base import CircuitBundle, digest_of

__all__ = ["Shapes", "Source", "kind_of"]

_SOURCES: Final = 16
_FACTS: Final = 1024
_LARGEST: Final = 256 * 1024
"""Bytes of circuits that are remembered; larger ones take long anyway, and memory."""

Found = TypeVar("Found")


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """Circuits of a request, without labels, and the labels that they came with."""

    circuits: Sequence[QuantumCircuit]
    labels: Sequence[Label]


class Shapes:
    """Memory of one worker."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, list[QuantumCircuit]] = OrderedDict()
        self._facts: OrderedDict[Hashable, tuple[tuple[object, ...], Any]] = OrderedDict()
        self._checked: object = None

    def source(self, bundle: CircuitBundle, limits: Limits, parse: Callable[[], list[QuantumCircuit]]) -> Source:
        """The circuits of ``bundle``: what is remembered, else what ``parse`` returns (and raises)."""
        found = split(bundle.data) if bundle.format == "qpy" else None
        small = len(bundle.data) <= min(limits.bytes, _LARGEST)
        if not small or (found is None and bundle.format == "qpy"):
            return _unlabelled(parse())
        label, data = found if found is not None else (Label("circuit"), bundle.data)
        key = digest_of(json.dumps([bundle.format, *dataclasses.astuple(limits)]).encode() + data)
        circuits = self._sources.get(key)
        if circuits is None:
            circuits = list(_unlabelled(parse()).circuits)
            _keep(self._sources, key, circuits, _SOURCES)
        self._sources.move_to_end(key)
        return Source(circuits, [label] * len(circuits))

    def once(self, about: Sequence[object], key: Hashable, find: Callable[[], Found]) -> Found:
        """What ``find`` returns for these objects, found once while they are remembered."""
        whole = (key, *map(id, about))
        known = self._facts.get(whole)
        if known is None:  # what is remembered holds its objects, so that their ids stay theirs
            known = (tuple(about), find())
            _keep(self._facts, whole, known, _FACTS)
        self._facts.move_to_end(whole)
        found: Found = known[1]
        return found

    def checked(self, work: object, check: Callable[[], object]) -> None:
        """Run ``check`` (which raises) unless it has just passed for the very same request."""
        if self._checked is not work:
            check()
            self._checked = work

    def forget(self) -> None:
        """Give the memory back."""
        self._sources.clear()
        self._facts.clear()


def kind_of(device: Device) -> Hashable:
    """Devices that compile alike have this in common: adapter, Target and settings of the adapter's own."""
    own = json.dumps(device.spec.model_extra or {}, sort_keys=True, default=str)
    return type(device), device.calibration.digest, own


def _keep(memory: OrderedDict[Any, Any], key: Hashable, value: object, most: int) -> None:
    memory[key] = value
    while len(memory) > most:
        memory.popitem(last=False)


def _unlabelled(circuits: Sequence[QuantumCircuit]) -> Source:
    """Take the labels off."""
    labels = [Label(str(circuit.name), dict(circuit.metadata or {})) for circuit in circuits]
    for circuit in circuits:
        circuit.name, circuit.metadata = "", {}
    return Source(circuits, labels)
