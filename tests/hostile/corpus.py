"""Circuits that want to do harm, made by code: each must end in a clear refusal within seconds and a gigabyte.

``cases()`` is used by the fabric's own tests and by proofs against the whole service.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import (
    AnnotatedOperation,
    ControlModifier,
    Gate,
    Instruction,
    InverseModifier,
    Parameter,
    PowerModifier,
)
from qiskit.circuit.classical import expr, types
from qiskit.circuit.library import DiagonalGate, UnitaryGate, XGate

__all__ = ["Case", "cases"]

_QASM2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'
_QASM3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile file; a refusal's code must begin with ``expected_code_prefix``."""

    name: str
    format: Literal["qpy", "qasm2", "qasm3"]
    data: bytes
    expected_code_prefix: str


def _qpy(circuit: QuantumCircuit | list[QuantumCircuit], version: int = 13) -> bytes:
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer, version=version)
    return buffer.getvalue()


def _bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def _measured(circuit: QuantumCircuit) -> QuantumCircuit:
    circuit.measure_all()
    return circuit


def _with(operation: Any, version: int = 13) -> bytes:
    circuit = QuantumCircuit(operation.num_qubits, operation.num_clbits)
    circuit.append(operation, range(operation.num_qubits), range(operation.num_clbits))
    return _qpy(_measured(circuit), version)


def _doubling_text(levels: int, template: str, start: str) -> str:
    lines = [start]
    lines += [template.format(this=level, before=level - 1) for level in range(1, levels + 1)]
    return "\n".join(lines)


def _nested_definitions(levels: int) -> QuantumCircuit:
    gate: Any = None
    for level in range(levels):
        body = QuantumCircuit(1, name=f"n{level}")
        body.append(gate, [0]) if gate is not None else body.x(0)
        gate = body.to_gate()
    circuit = QuantumCircuit(1)
    circuit.append(gate, [0])
    return _measured(circuit)


def _defined(name: str, qubits: int = 1) -> Gate:
    gate = Gate(name, qubits, [])
    body = QuantumCircuit(qubits)
    body.x(0)
    body.z(0)
    gate.definition = body
    return gate


def _defined_instruction(name: str) -> Instruction:
    instruction = Instruction(name, 1, 0, [])
    body = QuantumCircuit(1)
    body.x(0)
    instruction.definition = body
    return instruction


def _inside(gate: Gate) -> bytes:
    body = QuantumCircuit(1, name="innocent")
    body.append(gate, [0])
    return _with(body.to_gate())


def _loop_circuit(times: int, levels: int) -> QuantumCircuit:
    def fill(circuit: QuantumCircuit, left: int) -> None:
        if left == 0:
            circuit.x(0)
            return
        with circuit.for_loop(range(times)):
            fill(circuit, left - 1)

    circuit = QuantumCircuit(1, 1)
    fill(circuit, levels)
    circuit.measure(0, 0)
    return circuit


def _patched_header(data: bytes, offset: int, form: str, value: int) -> bytes:
    patched = bytearray(data)
    struct.pack_into(form, patched, offset, value)
    return bytes(patched)


def _texts() -> list[Case]:
    deep = 100_000
    two: list[tuple[str, str, str]] = [
        ("include a file", 'OPENQASM 2.0;\ninclude "/etc/passwd";\nqreg q[1];', "circuit.include"),
        ("include up the tree", 'OPENQASM 2.0;\ninclude "../../secrets.inc";\nqreg q[1];', "circuit.include"),
        ("huge register", _QASM2 + "qreg q[1000000000];\nh q[0];", "circuit.too_large"),
        ("huge classical register", _QASM2 + "qreg q[1];\ncreg c[2000000000];", "circuit.too_large"),
        ("many registers", _QASM2 + "".join(f"qreg q{at}[500];\n" for at in range(50)), "circuit.too_large"),
        (
            "nested parentheses",
            _QASM2 + "qreg q[1];\nrx(" + "(" * deep + "1" + ")" * deep + ") q[0];",
            "circuit.nesting",
        ),
        ("minus upon minus", _QASM2 + "qreg q[1];\nrx(" + "-" * deep + "1) q[0];", "circuit.nesting"),
        (
            "functions in functions",
            _QASM2 + "qreg q[1];\nrx(" + "sin(" * 500 + "1" + ")" * 500 + ") q[0];",
            "circuit.nesting",
        ),
        (
            "endless sum",
            _QASM2 + "qreg q[1];\nrx(" + "+".join("1" * 1 for _ in range(deep)) + ") q[0];",
            "circuit.too_large",
        ),
        ("endless number", _QASM2 + "qreg q[1];\nrx(" + "9" * deep + ") q[0];", "circuit.too_large"),
        (
            "gates that double",
            _QASM2
            + _doubling_text(60, "gate d{this} a {{d{before} a; d{before} a;}}", "gate d0 a {x a;}")
            + "\nqreg q[1];\ncreg c[1];\nd60 q[0];\nmeasure q -> c;",
            "circuit.too_large",
        ),
        (
            "deep definitions",
            _QASM2
            + _doubling_text(3000, "gate d{this} a {{d{before} a;}}", "gate d0 a {x a;}")
            + "\nqreg q[1];\ncreg c[1];\nd3000 q[0];\nmeasure q -> c;",
            "circuit.nesting",
        ),
        (
            "h that is not h",
            "OPENQASM 2.0;\nqreg q[1];\ncreg c[1];\n\n\n\ngate h a {U(0,0,0) a;}\nh q[0];\nmeasure q -> c;",
            "circuit.reserved_name",
        ),
        (
            "id that is not id",
            "OPENQASM 2.0;\nqreg q[1];\ncreg c[1];\ngate id a {U(3.1,0,0) a;}\nid q[0];\nmeasure q -> c;",
            "circuit.reserved_name",
        ),
        (
            "initialize as a gate",
            "OPENQASM 2.0;\nqreg q[1];\ncreg c[1];\ngate initialize a {U(3.1,0,0) a;}\n"
            "initialize q[0];\nmeasure q -> c;",
            "circuit.reserved_name",
        ),
        (
            "opaque gate",
            "OPENQASM 2.0;\nopaque thing a;\nqreg q[1];\ncreg c[1];\nthing q[0];\nmeasure q -> c;",
            "circuit.gate",
        ),
        ("not a program", "<script>alert(1)</script>\x00\x1b[31m", "circuit.syntax"),
        ("empty", "", "circuit."),
        ("over a mebibyte", _QASM2 + "qreg q[1];\n" + "x q[0];\n" * 200_000, "circuit.too_large"),
        ("an infinite angle", _QASM2 + "qreg q[1];\ncreg c[1];\nrx(1e400) q[0];\nmeasure q -> c;", "circuit."),
        ("division by nothing", _QASM2 + "qreg q[1];\ncreg c[1];\nrx(1/0) q[0];\nmeasure q -> c;", "circuit."),
        (
            "a root of less than nothing",
            _QASM2 + "qreg q[1];\ncreg c[1];\nrx(sqrt(-1)) q[0];\nmeasure q -> c;",
            "circuit.",
        ),
        ("the same register twice", _QASM2 + "qreg q[1];\nqreg q[2];\nh q[0];", "circuit.syntax"),
        ("a name that reads backwards", _QASM2 + "qreg \u202eq[1];\nh q[0];", "circuit.syntax"),
        ("an unfinished comment", _QASM2 + "qreg q[1]; /* " + "x q[0]; " * 10_000, "circuit."),
    ]
    three: list[tuple[str, str, str]] = [
        ("include a file", 'OPENQASM 3.0;\ninclude "/etc/passwd";\nqubit q;', "circuit.include"),
        ("huge register", _QASM3 + "qubit[1000000000] q;\nh q[0];", "circuit.too_large"),
        ("huge register by a constant", _QASM3 + "const int n = 1000000000;\nqubit[n] q;\nh q[0];", "circuit."),
        ("huge bit register", _QASM3 + "bit[1_000_000_000] c;\nqubit q;", "circuit.too_large"),
        ("nested parentheses", _QASM3 + "qubit q;\nrx(" + "(" * deep + "1" + ")" * deep + ") q;", "circuit.nesting"),
        ("nested blocks", _QASM3 + "bit c;\nqubit q;\n" + "if (c) {" * 3000 + "x q;" + "}" * 3000, "circuit.nesting"),
        ("not upon not", _QASM3 + "bit c;\nqubit q;\nif (" + "!" * 5000 + "c) {x q;}", "circuit.nesting"),
        (
            "long range",
            _QASM3 + "qubit q;\nbit c;\nfor int i in [0:10000000000] {x q;}\nc = measure q;",
            "circuit.too_large",
        ),
        (
            "loops in loops",
            _QASM3 + "qubit q;\nbit c;\n" + "for int i in [0:999] {" * 5 + "x q;" + "}" * 5 + "\nc = measure q;",
            "circuit.too_large",
        ),
        ("power of a power", _QASM3 + "const int n = 9**9**9**9;\nqubit q;\nrx(n) q;", "circuit."),
        ("modifiers upon modifiers", _QASM3 + "qubit q;\n" + "inv @ " * 5000 + "x q;", "circuit."),
        (
            "power of a wide gate",
            _QASM3
            + "gate wide a,b,c,d,e,f,g,h1,i,j,k,l,m,n {h a; h b; cx a,n; cx b,m; cx c,l; cx d,k; "
            + "cx e,j; cx f,i; cx g,h1;}\n"
            + "qubit[14] q;\npow(3) @ wide q[0],q[1],q[2],q[3],q[4],q[5],q[6],q[7],q[8],q[9],q[10],q[11],q[12],q[13];",
            "circuit.",
        ),
        ("huge power", _QASM3 + "qubit q;\npow(1000000000) @ x q;", "circuit.too_large"),
        (
            "gates that double",
            _QASM3
            + _doubling_text(50, "gate d{this} a {{d{before} a; d{before} a;}}", "gate d0 a {x a;}")
            + "\nqubit q;\nbit c;\nd50 q;\nc = measure q;",
            "circuit.too_large",
        ),
        (
            "h that is not h",
            "OPENQASM 3.0;\nqubit q;\nbit c;\n\n\n\ngate h a {U(0,0,0) a;}\nh q;\nc = measure q;",
            "circuit.reserved_name",
        ),
        (
            "x that is not x, inside a gate",
            "OPENQASM 3.0;\nqubit q;\nbit c;\ngate x a {U(0,0,0) a;}\ngate mine a {x a;}\nmine q;\nc = measure q;",
            "circuit.reserved_name",
        ),
        ("pulse program", _QASM3 + 'defcalgrammar "openpulse";\nqubit q;\ncal {frame f;}', "circuit."),
        ("extern", _QASM3 + "extern steal(int) -> int;\nqubit q;", "circuit."),
        ("not a program", "qubit qubit qubit ]]]", "circuit.syntax"),
        ("a gate of its own name", _QASM3 + "gate mine a {mine a;}\nqubit q;\nmine q;", "circuit."),
        ("an infinite angle", _QASM3 + "qubit q;\nbit c;\nrx(1e400) q;\nc = measure q;", "circuit."),
        ("a while without end", _QASM3 + "qubit q;\n" + "while (true) {" * 100 + "x q;" + "}" * 100, "circuit.nesting"),
        (
            "a switch of switches",
            _QASM3 + "qubit q;\nint i = 1;\n" + "switch (i) {case 1 {" * 40 + "x q;" + "}}" * 40,
            "circuit.",
        ),
        ("the same register twice", _QASM3 + "qubit[1] q;\nqubit[2] q;\nh q;", "circuit."),
        ("a file by pragma", _QASM3 + "#pragma include /etc/passwd\nqubit q;\nh q;", "circuit."),
        (
            "an input that nobody gives",
            _QASM3 + "input float a;\nqubit q;\nbit c;\nrx(a) q;\nc = measure q;",
            "circuit.",
        ),
    ]
    return [Case(f"qasm2: {name}", "qasm2", text.encode(), code) for name, text, code in two] + [
        Case(f"qasm3: {name}", "qasm3", text.encode(), code) for name, text, code in three
    ]


def _files() -> list[Case]:
    good = _qpy(_bell())
    made: list[tuple[str, Callable[[], bytes], str]] = [
        ("empty", lambda: b"", "circuit.syntax"),
        ("not QPY", lambda: b"PK\x03\x04" + b"\x00" * 200, "circuit.syntax"),
        ("pickle", lambda: b"\x80\x04cos\nsystem\n(S'true'\ntR." + b" " * 40, "circuit.syntax"),
        ("version 12", lambda: good[:6] + b"\x0c" + good[7:], "circuit.qpy_version"),
        ("version 3", lambda: good[:6] + b"\x03" + good[7:], "circuit.qpy_version"),
        ("version 255", lambda: good[:6] + b"\xff" + good[7:], "circuit.qpy_version"),
        ("a pulse schedule", lambda: good[:19] + b"s" + good[20:], "circuit.syntax"),
        ("cut short", lambda: good[: len(good) // 2], "circuit."),
        ("header only", lambda: good[:20], "circuit."),
        ("a million programs", lambda: _patched_header(good, 10, "!Q", 1_000_000), "circuit.too_large"),
        ("no program", lambda: _patched_header(good, 10, "!Q", 0), "circuit.too_large"),
        ("a billion qubits", lambda: _patched_header(good, 20 + 5, "!I", 1_000_000_000), "circuit.too_large"),
        ("a billion bits", lambda: _patched_header(good, 20 + 9, "!I", 1_000_000_000), "circuit.too_large"),
        ("huge metadata", lambda: _patched_header(good, 20 + 13, "!Q", 2**62), "circuit."),
        ("too many registers", lambda: _patched_header(good, 20 + 21, "!I", 2**31), "circuit."),
        ("endless instructions", lambda: _patched_header(good, 20 + 25, "!Q", 2**60), "circuit."),
        ("h that is not h", lambda: _with(_defined("h")), "circuit.reserved_name"),
        ("id that is not id", lambda: _with(_defined("id")), "circuit.reserved_name"),
        ("barrier that acts", lambda: _with(_defined("barrier")), "circuit.reserved_name"),
        ("reset that flips", lambda: _with(_defined_instruction("reset")), "circuit.reserved_name"),
        ("delay that flips", lambda: _with(_defined("delay")), "circuit.reserved_name"),
        ("h that is not h, inside a gate", lambda: _inside(_defined("h")), "circuit.reserved_name"),
        ("gate without a definition", lambda: _with(Gate("nothing", 1, [])), "circuit.gate"),
        ("simulator's own instruction", lambda: _with(Instruction("save_statevector", 1, 0, [])), "circuit.gate"),
        ("noise as an instruction", lambda: _with(Instruction("kraus", 1, 0, [np.eye(2)])), "circuit."),
        ("deep definitions", lambda: _qpy(_nested_definitions(150)), "circuit.nesting"),
        ("long loop", lambda: _qpy(_loop_circuit(10**12, 1)), "circuit.too_large"),
        ("loops in loops", lambda: _qpy(_loop_circuit(1000, 5)), "circuit.too_large"),
        ("wide matrix", lambda: _with(UnitaryGate(np.eye(2**7))), "circuit.too_large"),
        ("wide diagonal", lambda: _with(DiagonalGate([1.0] * 2**10)), "circuit.too_large"),
        ("over a mebibyte", lambda: _with(UnitaryGate(np.eye(2**9))), "circuit.too_large"),
        ("too many qubits", lambda: _qpy(_measured(QuantumCircuit(2000))), "circuit.too_large"),
        ("too many circuits", lambda: _qpy([_bell()] * 301), "circuit.too_large"),
        ("measures nothing", lambda: _qpy(QuantumCircuit(2)), "circuit.no_measurement"),
        ("free parameter", lambda: _qpy(_free()), "circuit.unbound"),
        ("an angle that is no number", lambda: _qpy(_turned(math.nan)), "circuit.number"),
        ("an infinite angle", lambda: _qpy(_turned(math.inf)), "circuit.number"),
        ("an angle of 10³⁰⁰", lambda: _qpy(_turned(1e300)), "circuit.number"),
        (
            "a phase that is no number",
            lambda: _qpy(_measured(QuantumCircuit(1, global_phase=math.nan))),
            "circuit.number",
        ),
        (
            "a matrix of no numbers",
            lambda: _with(UnitaryGate(np.full((2, 2), np.nan), check_input=False)),
            "circuit.number",
        ),
        ("an endless delay", lambda: _qpy(_delayed(1e300)), "circuit.number"),
        ("a power without end", lambda: _annotated(PowerModifier(1e18)), "circuit.too_large"),
        ("a power that is no number", lambda: _annotated(PowerModifier(math.nan)), "circuit."),
        ("controls that double", lambda: _controlled(29), "circuit.too_large"),
        ("modifiers upon modifiers", lambda: _annotated(*[InverseModifier()] * 5000), "circuit.nesting"),
        ("an input that nobody gives", lambda: _qpy(_waiting(), 17), "circuit."),
        ("a variable of a million bits", lambda: _qpy(_remembering(2**20), 17), "circuit."),
        ("a real variable", lambda: _qpy(_real(), 17), "circuit.variables"),
        ("a stretch", lambda: _qpy(_stretched(), 17), "circuit.variables"),
        ("an expression upon expressions", lambda: _qpy(_negated(200)), "circuit.nesting"),
        ("a measurement that is a gate", lambda: _with(_defined("measure")), "circuit.reserved_name"),
        ("a saved state that is a gate", lambda: _with(_defined("save_statevector")), "circuit.reserved_name"),
        ("a set state that is a gate", lambda: _with(_defined("set_statevector")), "circuit.reserved_name"),
        ("an if that is a gate", lambda: _with(_defined("if_else")), "circuit.reserved_name"),
        (
            "a name that reads backwards",
            lambda: _with(Gate("\u202ex\x1b[31m<img onerror=alert(1)>\n", 1, [])),
            "circuit.gate",
        ),
        ("a long name", lambda: _patched_header(good, 20, "!H", 0xFFFF), "circuit."),
        ("no name", lambda: _patched_header(good, 20, "!H", 0), "circuit."),
        ("no qubits", lambda: _patched_header(good, 20 + 5, "!I", 0), "circuit."),
        (
            "symengine's own bytes",
            lambda: good[:18] + b"e" + good[19:20] + b"\x80\x04cos\nsystem\n." + good[20:],
            "circuit.",
        ),
        ("zeros without end", lambda: good[:60] + b"\x00" * 1_000_000, "circuit."),
    ]
    for version in range(14, qpy.common.QPY_VERSION + 1):
        new = _qpy(_bell(), version)
        made += [
            (f"version {version}, cut", lambda new=new: new[: 2 * len(new) // 3], "circuit."),
            (f"version {version}, h that is not h", lambda v=version: _with(_defined("h"), v), "circuit.reserved_name"),
            (f"version {version}, long loop", lambda v=version: _qpy(_loop_circuit(10**12, 1), v), "circuit.too_large"),
        ]
        if version > 14:  # files of 13 and 14 differ in expressions only
            made.append((f"version {version} said of 13", lambda new=new: new[:6] + b"\x0d" + new[7:], "circuit."))
            made.append(
                (f"13 said of version {version}", lambda v=version: good[:6] + bytes([v]) + good[7:], "circuit.")
            )
    found = [Case(f"qpy: {name}", "qpy", make(), code) for name, make, code in made]
    return found + [
        Case(f"qpy: byte {at} flipped", "qpy", good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :], "circuit.")
        for at in (6, 19, 21, 23, 27, 31, 41, 43, 45)
    ]


def _turned(angle: float) -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.rx(angle, 0)
    return _measured(circuit)


def _delayed(seconds: float) -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.delay(seconds, 0, "s")
    return _measured(circuit)


def _empty_matrix() -> Gate:
    return UnitaryGate(np.full((2, 2), np.nan), check_input=False)


def _annotated(*modifiers: Any) -> bytes:
    return _with(AnnotatedOperation(XGate(), list(modifiers)))


def _controlled(times: int) -> bytes:
    return _with(AnnotatedOperation(XGate(), [ControlModifier(times)]))


def _waiting() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.add_input("given", types.Uint(8))
    circuit.measure(0, 0)
    return circuit


def _remembering(bits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.add_var("wide", expr.lift(3, types.Uint(bits)))
    circuit.measure(0, 0)
    return circuit


def _real() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.add_var("real", expr.lift(0.5))
    circuit.measure(0, 0)
    return circuit


def _stretched() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.delay(circuit.add_stretch("long"), 0)
    circuit.measure(0, 0)
    return circuit


def _negated(times: int) -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    found: expr.Expr = expr.lift(circuit.clbits[0])
    for _ in range(times):
        found = expr.bit_not(found)
    with circuit.if_test(found):
        circuit.x(0)
    circuit.measure(0, 0)
    return circuit


def _free() -> QuantumCircuit:
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("θ<img onerror=alert(1)>\x1b[31m"), 0)
    return _measured(circuit)


def cases() -> list[Case]:
    """Every hostile file; deterministic."""
    return _texts() + _files()
