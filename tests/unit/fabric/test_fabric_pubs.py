"""PUBs that could be run and would give nothing are refused before anything is priced."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pydantic import ValidationError
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Clbit

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.fabric.adapters import build
from jupyter_quantum.fabric.limits import Limits
from jupyter_quantum.fabric.parse import parse
from jupyter_quantum.fabric.prepare import prepare
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.shapes import Shapes
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.runner import Prepared, Work

AER = build(DeviceSpec(name="aer", adapter="aer"), 1)


def prepared(kind: JobKind, circuit: QuantumCircuit, *pubs: Pub) -> Prepared:
    """What the worker says of one circuit."""
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer, version=13)
    bundle = CircuitBundle(format="qpy", data=buffer.getvalue())
    work = Work(kind=kind, circuits=bundle, pubs=list(pubs), options={}, transpile="auto", limits={})
    shapes, limits = Shapes(), Limits()
    source = shapes.source(bundle, limits, lambda: parse(bundle, limits))
    return prepare(AER, source, work, limits, {"aer": AER}, shapes)[0]


def loose() -> QuantumCircuit:
    """Measured into two bits without a register."""
    circuit = QuantumCircuit(2)
    circuit.add_bits([Clbit(), Clbit()])
    circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    return circuit


@pytest.mark.parametrize("precision", ["Infinity", "1e200", "NaN", "0", "-0.1"])
def test_a_precision_is_a_number_that_comes_to_a_shot(precision: str) -> None:
    """What comes to no shot at all, or to a number that cannot be worked out, is refused at the door."""
    with pytest.raises(ValidationError, match="precision"):
        Pub.model_validate_json(f'{{"circuit": 0, "precision": {precision}}}')


@pytest.mark.parametrize("observables", [{"Z": 0.0}, [{"Z": 1.0}, {"X": 0, "Z": -0.0}]])
def test_an_observable_without_terms_is_refused(observables: Any) -> None:
    """Qiskit's estimator does not take it, which would be found out only after the queue."""
    found = prepared(JobKind.ESTIMATOR, QuantumCircuit(1), Pub(circuit=0, observables=observables))
    assert found.error is not None
    assert found.error.code == "pub.observables"
    assert "coefficients of 0" in found.error.message


def test_a_sampler_wants_registers() -> None:
    """Bits of no register are in no sampler's result; a run counts them."""
    found = prepared(JobKind.SAMPLER, loose(), Pub(circuit=0))
    assert found.error is not None
    assert found.error.code == "circuit.no_measurement"
    assert "backend.run" in (found.error.hint or "")
    assert prepared(JobKind.RUN, loose()).error is None
