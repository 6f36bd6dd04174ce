"""Parsing and checking in one process: what honest programs get through, what options and PUBs must look like."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qasm2, qasm3, qpy
from qiskit.circuit import Parameter
from qiskit.circuit.classical import expr, types
from qiskit.circuit.library import CXGate, QFTGate, UnitaryGate, XGate
from qiskit.transpiler import InstructionProperties, Target
from qiskit_aer import AerSimulator

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import CircuitRejected, InputError, OptionRejected
from jupyter_quantum.fabric.checks import RESERVED, check_circuits
from jupyter_quantum.fabric.estimates import device_seconds, success, survey
from jupyter_quantum.fabric.isa import active_qubits, first_misfit, without_dead_parts
from jupyter_quantum.fabric.limits import Limits
from jupyter_quantum.fabric.options import fill, schemas
from jupyter_quantum.fabric.parse import QPY_VERSIONS, parse
from jupyter_quantum.fabric.pubs import check_pubs, units
from jupyter_quantum.fabric.refusals import clean
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.jobs import Pub


def many_gates() -> QuantumCircuit:
    """Gates that exports to OpenQASM define anew under their built-in names."""
    circuit = QuantumCircuit(5)
    circuit.h(0)
    circuit.ecr(0, 1)
    circuit.rzx(0.3, 0, 1)
    circuit.sxdg(2)
    circuit.iswap(1, 2)
    circuit.dcx(0, 1)
    circuit.ccz(0, 1, 2)
    circuit.mcx([0, 1, 2], 3)
    circuit.mcp(0.4, [0, 1, 2], 3)
    circuit.rzz(0.2, 0, 1)
    circuit.cu(0.1, 0.2, 0.3, 0.4, 0, 1)
    circuit.measure_all()
    return circuit


def as_qpy(*circuits: QuantumCircuit, version: int = 13) -> CircuitBundle:
    buffer = io.BytesIO()
    qpy.dump(list(circuits), buffer, version=version)
    return CircuitBundle(format="qpy", data=buffer.getvalue())


def small_target() -> Target:
    """Three qubits in a line; the edge 1–2 is dead, one error is unknown."""
    target = Target(num_qubits=3, dt=1e-9)
    target.add_instruction(XGate(), {(at,): InstructionProperties(1e-7, 0.01 if at else None) for at in range(3)})
    target.add_instruction(
        CXGate(), {(0, 1): InstructionProperties(3e-7, 0.1), (1, 2): InstructionProperties(3e-7, 1.0)}
    )
    return target


@pytest.mark.parametrize("form", ["qasm2", "qasm3"])
def test_exports_of_qiskit_are_read(form: Any) -> None:
    """What Qiskit writes is read again, though it defines built-in gates anew: their meaning is compared."""
    text = {"qasm2": qasm2.dumps, "qasm3": qasm3.dumps}[form](many_gates())
    (found,) = parse(CircuitBundle(format=form, data=text.encode()), Limits())
    assert found.num_qubits == 5


@pytest.mark.parametrize("version", range(QPY_VERSIONS[0], QPY_VERSIONS[1] + 1))
def test_every_announced_qpy_version_is_read(version: int) -> None:
    """Each version between the announced bounds can be read."""
    (found,) = parse(as_qpy(many_gates(), version=version), Limits())
    assert found.count_ops()["mcx"] == 1


def test_library_gates_and_small_matrices_pass() -> None:
    """A Fourier transform and a matrix on two qubits are on the allow-list."""
    circuit = QuantumCircuit(3)
    circuit.append(QFTGate(3), range(3))
    circuit.append(UnitaryGate(np.eye(4)), [0, 1])
    circuit.measure_all()
    assert len(parse(as_qpy(circuit), Limits())) == 1


def test_errors_name_the_line() -> None:
    """A syntax error in either language names its line."""
    for form, text in ("qasm2", "OPENQASM 2.0;\nqreg q[1];\nfoo q[0];"), ("qasm3", "OPENQASM 3.0;\nqubit q;\nfoo q;"):
        with pytest.raises(CircuitRejected, match="Line 3: not readable as OpenQASM") as caught:
            parse(CircuitBundle(format=form, data=text.encode()), Limits())
        assert caught.value.code == "circuit.syntax"


def test_comments_and_strings_are_not_counted() -> None:
    """Caps look at the program, not at what is said about it."""
    text = 'OPENQASM 2.0;\n// gate h a {} qreg q[9999999999]; ((((\n// include "/etc/passwd";\nqreg q[1];\n'
    assert parse(CircuitBundle(format="qasm2", data=text.encode()), Limits())[0].num_qubits == 1


def refused(bundle: CircuitBundle) -> CircuitRejected | None:
    """The refusal of a bundle; any other exception is a defect."""
    try:
        parse(bundle, Limits())
    except CircuitRejected as error:
        return error
    return None


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_text_is_parsed_or_refused(data: bytes) -> None:
    """Whatever bytes come as OpenQASM 2, the answer is circuits or a CircuitRejected in printable words."""
    error = refused(CircuitBundle(format="qasm2", data=b"OPENQASM 2.0;\n" + data))
    assert error is None or (error.code.startswith("circuit.") and error.message.isprintable())


@given(st.text(max_size=300))
def test_cleaned_text_is_one_printable_line(text: str) -> None:
    """Names of strangers lose control and direction characters, and are cut."""
    found = clean(text, 50)
    assert len(found) <= 50
    assert not any(ord(one) < 32 or one in "\u202e\u2028\x7f" for one in found)


def test_options_are_filled_and_refused() -> None:
    """Defaults and a seed are filled in; unknown names and values out of bounds raise."""
    schema = schemas(1000, 2)["run"]
    filled = fill("aer", schema, {"shots": 7, "memory": None})
    assert (filled["shots"], filled["memory"], filled["optimization_level"]) == (7, False, 2)
    assert 0 <= filled["seed_simulator"] < 2**31
    with pytest.raises(OptionRejected, match="aer has no option `resilience_level`") as caught:
        fill("aer", schema, {"resilience_level": 1})
    assert caught.value.details["options"] == ["resilience_level"]
    for bad in ({"shots": 0}, {"shots": 1001}, {"shots": 1.5}, {"shots": True}, {"method": "magic"}, {"memory": 1}):
        with pytest.raises(OptionRejected) as caught:
            fill("aer", schema, bad)
        assert caught.value.code == "option.value"


@pytest.mark.parametrize(
    ("pub", "code"),
    [
        (Pub(circuit=1, parameters=[1]), "pub.circuit"),
        (Pub(circuit=0), "pub.parameters"),
        (Pub(circuit=0, parameters=[1, 2]), "pub.parameters"),
        (Pub(circuit=0, parameters=[[1], [1, 2]]), "pub.parameters"),
        (Pub(circuit=0, parameters=["x"]), "pub.parameters"),
        (Pub(circuit=0, parameters=[float("nan")]), "pub.parameters"),
        (Pub(circuit=0, parameters=[1.0], observables={"ZZZ": 1}), "pub.observables"),
        (Pub(circuit=0, parameters=[1.0], observables={"Q": 1}), "pub.observables"),
        (Pub(circuit=0, parameters=[1.0], observables=[[{"Z": 1}], {"Z": 1}]), "pub.observables"),
        (Pub(circuit=0, parameters=[1.0], observables={"Z": float("inf")}), "pub.observables"),
        (Pub(circuit=0, parameters=[[1.0]] * 3, observables=[{"Z": 1}, {"X": 1}]), "pub.shape"),
    ],
)
def test_pubs_that_do_not_fit_are_refused(pub: Pub, code: str) -> None:
    """Each misfit between a PUB and its circuit has its code."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("a"), 0)
    with pytest.raises(InputError) as caught:
        check_pubs(JobKind.ESTIMATOR, [circuit], [pub])
    assert caught.value.code == code


def test_executions_are_counted_before_they_run() -> None:
    """Bindings times groups of commuting observables times shots; more than the limit is refused."""
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("a"), 0)
    pub = Pub(circuit=0, parameters=[[0.1], [0.2], [0.3]], observables={"ZZ": 1, "ZI": 1, "XX": 1}, precision=0.1)
    options = {"precision": None, "default_precision": 0.01, "abelian_grouping": True}
    assert units(JobKind.ESTIMATOR, [circuit], [pub], options, Limits(), 1000) == [(0, 6, 100)]
    single = options | {"abelian_grouping": False}
    assert units(JobKind.ESTIMATOR, [circuit], [pub], single, Limits(), 1000) == [(0, 9, 100)]
    with pytest.raises(CircuitRejected) as caught:
        units(JobKind.ESTIMATOR, [circuit], [pub], options, Limits(executions=599), 1000)
    assert caught.value.code == "circuit.too_large"
    with pytest.raises(OptionRejected) as refused:
        units(JobKind.ESTIMATOR, [circuit], [pub], options, Limits(), 99)
    assert refused.value.code == "option.shots"


def test_success_is_the_product_and_unknown_stays_unknown() -> None:
    """Known errors multiply, their range brackets the value; one unknown error makes it unknown; loops count."""
    circuit = QuantumCircuit(3)
    circuit.x(1)
    circuit.cx(0, 1)
    found = success(circuit, small_target())
    assert found is not None
    assert found.value == pytest.approx(0.99 * 0.9)
    assert found.low == pytest.approx((1 - 0.013) * (1 - 0.13))
    assert found.high == pytest.approx((1 - 0.007) * (1 - 0.07))
    circuit.x(0)
    assert success(circuit, small_target()) is None
    repeated = QuantumCircuit(3)
    with repeated.for_loop(range(3)):
        repeated.cx(0, 1)
    found = success(repeated, small_target())
    assert found is not None
    assert found.value == pytest.approx(0.9**3)
    assert survey(repeated, small_target()).two_qubit_gates == 3


def test_time_grows_with_shots_and_depth() -> None:
    """Seconds follow durations and shots on a device."""
    circuit = QuantumCircuit(2)
    circuit.x(1)
    circuit.cx(0, 1)
    one = device_seconds([(circuit, 1000)], small_target())
    two = device_seconds([(circuit, 2000)], small_target())
    assert one.low < one.value < one.high
    assert two.value - one.value == pytest.approx(1000 * (4e-7 + 250e-6))


def test_misfits_name_the_edge_and_dead_parts_are_left_out() -> None:
    """The first operation that does not fit is named; a dead edge counts as one, and transpiling avoids it."""
    target = small_target()
    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)
    assert first_misfit(circuit, target) is None
    circuit.cx(1, 2)
    dead = first_misfit(circuit, target)
    assert dead is not None
    assert dead.words() == "the connection 1–2 out of order (`cx` always fails there)"
    absent = QuantumCircuit(3)
    absent.cx(0, 2)
    misfit = first_misfit(absent, target)
    assert misfit is not None
    assert misfit.words() == "no `cx` between 0 and 2"
    assert (1, 2) not in without_dead_parts(target)["cx"]
    assert active_qubits([circuit]) == {0, 1, 2}


@pytest.mark.parametrize("inside", [False, True], ids=["circuit", "block"])
def test_variables_that_qpy_13_cannot_hold_are_refused(inside: bool) -> None:
    """A stretch or a real variable is refused by name, also inside a block; bits and whole numbers pass."""
    real, stretched, whole = QuantumCircuit(1, 1), QuantumCircuit(1, 1), QuantumCircuit(1, 1)
    real.add_var("angle", 0.5)
    stretched.add_stretch("wait")
    whole.add_var("count", expr.lift(3, types.Uint(4)))
    for circuit, name in ((real, "angle"), (stretched, "wait"), (whole, None)):
        outer = circuit
        if inside:
            outer = QuantumCircuit(1, 1)
            outer.for_loop(range(2), None, circuit, [0], [0])
        if name is None:
            check_circuits([outer], Limits())
            continue
        with pytest.raises(CircuitRejected, match=f"`{name}`") as caught:
            check_circuits([outer], Limits())
        assert caught.value.code == "circuit.variables"


def test_what_aer_takes_by_name_is_reserved() -> None:
    """Every name by which Aer would run something of its own in the place of a gate's definition."""
    known = {name for method in ("statevector", "stabilizer", "unitary", "superop") for name in _aer(method)}
    assert known <= RESERVED


def _aer(method: str) -> set[str]:
    backend = AerSimulator(method=method)
    return {*backend.operation_names, *(backend.configuration().custom_instructions or ())}
