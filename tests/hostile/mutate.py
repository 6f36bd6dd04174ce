"""Circuits that were good once: QPY with its bytes, lengths and headers changed, OpenQASM with its tokens changed.

Everything follows from the random generator that is passed in: the same seed makes the same files.
"""

from __future__ import annotations

import functools
import io
import random
import re
import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import AnnotatedOperation, ControlModifier, InverseModifier, Parameter
from qiskit.circuit import library as lib
from qiskit.circuit.classical import expr, types

from jupyter_quantum.wire.base import CircuitBundle

__all__ = ["CANARY", "mutant"]

CANARY: Final = "canary-7f3a"
"""Stands in every file: in names of circuits and gates, in comments, in metadata."""

_EXTREMES: Final = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)
_TOKEN: Final = re.compile(
    r"//[^\n]*\n|\"[^\"\n]*\"|[A-Za-z_πτ][\w]*|[0-9][0-9_.]*(?:[eE][+-]?[0-9]+)?|->|==|\*\*|\s+|."
)
_VOCABULARY: Final = (
    """
OPENQASM include qreg creg qubit bit int uint float angle bool duration stretch const let gate opaque def extern cal
defcal defcalgrammar box barrier reset measure delay if else for while in switch case default break continue return
end inv pow ctrl negctrl gphase U CX h x cx ccx rz id u3 pi sin ln sqrt true false input output array mutable pragma
( ) [ ] { } ; , : + - * / ** % << >> == != < <= && || ! ~ @ -> = # $0 0 1 2 1e400 9999999999 1_000_000_000 -1 0.5 nan
"../../etc/passwd" "stdgates.inc" "qelib1.inc" """
    + '\u202e \x00 \x1b[31m <script> 10ns 0x1f "0101"'
)
_AROUND: Final = (("(", ")"), ("[", "]"), ("{", "}"), ("if (c[0]) {", "}"), ("-", ""), ("inv @ ", ""))
_WORDS: Final = _VOCABULARY.split()


_QASM2: Final = f"""OPENQASM 2.0;
include "qelib1.inc";
// {CANARY}
gate mine(a, b) p, q {{ rx(a / 2) p; cx p, q; rz(-b * sin(a)) q; }}
qreg q[3];
creg c[3];
h q[0];
mine(pi / 4, 0.5) q[0], q[1];
barrier q;
if (c == 1) x q[2];
reset q[1];
u3(0.1, 0.2, 0.3) q;
measure q -> c;
"""
_QASM3: Final = f"""OPENQASM 3.0;
include "stdgates.inc";
// {CANARY}
const int n = 3;
gate mine(a) p, q {{ rx(a / 2) p; ctrl @ x p, q; inv @ s q; }}
qubit[3] q;
bit[3] c;
h q[0];
mine(pi / 4) q[0], q[1];
for int i in [0:2] {{ x q[1]; }}
c[0] = measure q[0];
if (c[0]) {{ x q[2]; }} else {{ z q[2]; }}
while (c[1]) {{ c[1] = measure q[1]; }}
switch (1) {{ case 1 {{ y q[0]; }} default {{ x q[0]; }} }}
pow(2) @ rz(0.25) q[1];
c = measure q;
"""


def mutant(rng: random.Random) -> CircuitBundle:
    """One file."""
    form = rng.choices(("qpy", "qasm2", "qasm3"), (6, 2, 2))[0]
    if form == "qpy":
        return CircuitBundle(format="qpy", data=_bytes(rng))
    text = _tokens(rng, _QASM2 if form == "qasm2" else _QASM3)
    return CircuitBundle(format="qasm2" if form == "qasm2" else "qasm3", data=text.encode("utf8", "surrogatepass"))


# QPY


@functools.cache
def _files() -> tuple[bytes, ...]:
    """Good files of every version that holds them."""
    found = []
    for make in (_plain, _parametric, _flow, _own, _wide, _classical, _annotated, _evolved):
        for version in range(13, qpy.common.QPY_VERSION + 1):
            buffer = io.BytesIO()
            try:
                qpy.dump(make(), buffer, version=version)
            except Exception:
                continue
            found.append(buffer.getvalue())
    return tuple(found)


def _new(qubits: int) -> QuantumCircuit:
    return QuantumCircuit(qubits, qubits, name=CANARY, metadata={"why": CANARY})


def _measured(circuit: QuantumCircuit) -> QuantumCircuit:
    circuit.measure(range(circuit.num_qubits), range(circuit.num_qubits))
    return circuit


def _plain() -> QuantumCircuit:
    circuit = _new(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.barrier()
    circuit.ccx(0, 1, 2)
    circuit.delay(100, 1)
    circuit.mcx([0, 1], 2)
    return _measured(circuit)


def _parametric() -> QuantumCircuit:
    circuit, theta, phi = _new(2), Parameter("θ"), Parameter("φ")
    circuit.rx(theta * 2 + phi.sin(), 0)
    circuit.rzz(theta / 3, 0, 1)
    return _measured(circuit)


def _flow() -> QuantumCircuit:
    circuit = _new(2)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(1)
    with otherwise:
        circuit.z(1)
    with circuit.for_loop(range(3)):
        circuit.sx(0)
    with circuit.while_loop((circuit.clbits[1], 1)):
        circuit.measure(1, 1)
    with circuit.switch(circuit.cregs[0]) as case, case(1):
        circuit.y(0)
    return _measured(circuit)


def _own() -> QuantumCircuit:
    inner = QuantumCircuit(2, name=f"{CANARY}-gate")
    inner.cp(0.3, 0, 1)
    inner.swap(0, 1)
    circuit = _new(3)
    circuit.append(inner.to_gate(), [0, 1])
    circuit.append(inner.to_gate().control(1), [0, 1, 2])
    circuit.append(inner.to_instruction(), [1, 2])
    return _measured(circuit)


def _wide() -> QuantumCircuit:
    circuit = _new(3)
    circuit.initialize([0.6, 0, 0, 0.8], [0, 1])
    circuit.unitary(np.eye(4), [1, 2])
    circuit.append(lib.DiagonalGate([1, -1, 1j, 1]), [0, 1])
    circuit.append(lib.PermutationGate([2, 0, 1]), [0, 1, 2])
    return _measured(circuit)


def _classical() -> QuantumCircuit:
    circuit = _new(2)
    count = circuit.add_var("count", expr.lift(3, types.Uint(8)))
    circuit.store(count, expr.bit_xor(count, 5))
    with circuit.if_test(expr.less(count, 4)):
        circuit.x(0)
    return _measured(circuit)


def _annotated() -> QuantumCircuit:
    circuit = _new(3)
    circuit.append(AnnotatedOperation(lib.SGate(), [InverseModifier(), ControlModifier(2)]), [0, 1, 2])
    return _measured(circuit)


def _evolved() -> QuantumCircuit:
    from qiskit.quantum_info import SparsePauliOp

    circuit = _new(2)
    circuit.append(lib.PauliEvolutionGate(SparsePauliOp(["ZZ", "XI"], [1.0, 0.5]), 0.2), [0, 1])
    circuit.append(lib.QFTGate(2), [0, 1])
    return _measured(circuit)


def _bytes(rng: random.Random) -> bytes:
    files = _files()
    data = bytearray(rng.choice(files))
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        rng.choice(_CHANGES)(rng, data)
        if not data:
            break
    return bytes(data)


def _flip(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    data[at] ^= 1 << rng.randrange(8)


def _overwrite(rng: random.Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] = rng.randrange(256)


def _length(rng: random.Random, data: bytearray) -> None:
    """A field of 2, 4 or 8 bytes becomes an extreme."""
    form = rng.choice(("!H", "!I", "!Q"))
    size = struct.calcsize(form)
    if len(data) > size:
        value = rng.choice(_EXTREMES) & ((1 << 8 * size) - 1)
        struct.pack_into(form, data, rng.randrange(len(data) - size), value)


def _header(rng: random.Random, data: bytearray) -> None:
    """The first sixty bytes: version, number of programs, sizes of the first circuit."""
    if len(data) > 60:
        data[rng.randrange(6, 60)] = rng.choice((0, 1, 13, 14, 15, 16, 17, 0x7F, 0xFF, ord("q"), ord("s")))


def _splice(rng: random.Random, data: bytearray) -> None:
    other = rng.choice(_files())
    start = rng.randrange(len(other))
    at = rng.randrange(len(data))
    data[at : at + rng.choice((0, 8, 64))] = other[start : start + rng.randrange(1, 200)]


def _cut(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 4, 8, 64, len(data)))]


def _repeat(rng: random.Random, data: bytearray) -> None:
    start = rng.randrange(len(data))
    piece = bytes(data[start : start + rng.randrange(1, 128)])
    data[start:start] = piece * rng.choice((1, 2, 50))


_CHANGES: Final[tuple[Callable[[random.Random, bytearray], None], ...]] = (
    _flip,
    _flip,
    _overwrite,
    _length,
    _length,
    _header,
    _splice,
    _cut,
    _repeat,
)


# OpenQASM


def _tokens(rng: random.Random, text: str) -> str:
    tokens = _TOKEN.findall(text)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(tokens))
        change: Any = rng.choice(("drop", "word", "word", "insert", "swap", "number", "many", "nest", "statement"))
        if change == "drop":
            del tokens[at : at + rng.choice((1, 1, 5))]
        elif change == "word":
            tokens[at] = rng.choice(_WORDS)
        elif change == "insert":
            tokens.insert(at, f" {rng.choice(_WORDS)} ")
        elif change == "swap":
            other = rng.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif change == "number":
            numbers = [k for k, token in enumerate(tokens) if token[:1].isdigit()]
            if numbers:
                tokens[rng.choice(numbers)] = str(rng.choice(_EXTREMES))
        elif change == "many":
            tokens[at:at] = tokens[at : at + rng.randrange(1, 8)] * rng.choice((2, 20, 300))
        elif change == "nest":
            depth = rng.choice((3, 60, 500))
            left, right = rng.choice(
                (("(", ")"), ("[", "]"), ("{", "}"), ("if (c[0]) {", "}"), ("-", ""), ("inv @ ", ""))
            )
            tokens[at:at] = [left] * depth
            tokens.insert(min(len(tokens), at + depth + 1), right * depth)
        else:
            tokens[at:at] = ["\n", *_TOKEN.findall(rng.choice(text.splitlines())), "\n"]
        if not tokens:
            return ""
    return "".join(tokens)
