"""From bytes of a stranger to circuits: only ever called inside a locked worker.

Caps come first (:mod:`.text`, the header of a QPY file), then Qiskit's own parsers, then :mod:`.checks`.
Whatever a parser
throws, Rust panics and exhausted memory included, becomes a :class:`CircuitRejected`; what kills the process is told
by the pool.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Callable
from typing import Final, TypeVar

from qiskit import QuantumCircuit, qasm2, qasm3, qpy
from qiskit.qpy.common import QPY_VERSION

from jupyter_quantum.exceptions import CircuitRejected
from jupyter_quantum.fabric.checks import check_circuits
from jupyter_quantum.fabric.limits import Limits
from jupyter_quantum.fabric.refusals import clean, refusal
from jupyter_quantum.fabric.text import Source, check_text
from jupyter_quantum.wire.base import CircuitBundle

__all__ = ["QPY_VERSIONS", "parse"]

Found = TypeVar("Found")

QPY_VERSIONS: Final = (13, int(QPY_VERSION))
"""Lowest and highest QPY version that is read. Below 13 a crafted file runs code."""

_HEADER: Final = struct.Struct("!6sBBBBQc")
_CIRCUIT_HEADER: Final = struct.Struct("!H1cHIIQIQI")
_CIRCUIT_HEADER_UNTIL: Final = 16
_POSITION: Final = re.compile(r"^(?:<input>:|L)?(\d+)[,:]\s*C?\d+:\s*")


def parse(bundle: CircuitBundle, limits: Limits) -> list[QuantumCircuit]:
    """Return the circuits of ``bundle``, checked against ``limits``; raises :class:`CircuitRejected`."""
    if len(bundle.data) > limits.bytes:
        raise refusal(
            "too_large",
            f"The circuits take {len(bundle.data):,} bytes; {limits.bytes:,} are the most.",
            "Send fewer circuits at a time.",
        )
    source = None if bundle.format == "qpy" else _text(bundle.data)
    if source is None:
        _check_header(bundle.data, limits)
    else:
        check_text(source, limits)
    circuits = _guarded(bundle, lambda: _load(bundle, source))
    _guarded(bundle, lambda: check_circuits(circuits, limits, source))  # parts are made when they are looked at
    return circuits


def _text(data: bytes) -> Source:
    try:
        return Source(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise refusal("syntax", f"The program is not UTF-8 text (byte {error.start}).") from None


def _check_header(data: bytes, limits: Limits) -> None:
    if len(data) < _HEADER.size + 1 or data[:6] != b"QISKIT":
        raise refusal("syntax", "This is not a QPY file: it does not begin with QISKIT.")
    _, version, _, _, _, programs, _ = _HEADER.unpack_from(data)
    low, high = QPY_VERSIONS
    if not low <= version <= high:
        raise refusal(
            "qpy_version",
            f"The QPY file has version {version}; this service reads {low} to {high}.",
            f"Write it with qpy.dump(circuits, file, version={low}).",
            version=version,
        )
    if not 1 <= programs <= limits.circuits:
        raise refusal("too_large", f"The QPY file holds {programs:,} circuits; 1 to {limits.circuits:,} are taken.")
    if data[_HEADER.size : _HEADER.size + 1] != b"q":
        raise refusal("syntax", "The QPY file holds something other than circuits.")
    _check_first_circuit(data, version, programs, limits)


def _check_first_circuit(data: bytes, version: int, programs: int, limits: Limits) -> None:
    """Sizes that the first circuit declares (the parser would allocate them before anyone can object)."""
    at = _HEADER.size + 1 + (8 * programs if version >= _CIRCUIT_HEADER_UNTIL else 0)
    if version > _CIRCUIT_HEADER_UNTIL or len(data) < at + _CIRCUIT_HEADER.size:
        return
    _, _, _, qubits, clbits, *_ = _CIRCUIT_HEADER.unpack_from(data, at)
    if qubits > limits.qubits or clbits > limits.clbits:
        raise refusal(
            "too_large",
            f"The circuit declares {qubits:,} qubits and {clbits:,} bits; {limits.qubits:,} and {limits.clbits:,} "
            "are the most.",
        )


def _guarded(bundle: CircuitBundle, act: Callable[[], Found]) -> Found:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return act()
    except CircuitRejected:
        raise
    except MemoryError:
        raise refusal("memory", "Reading the circuit took more memory than it may.") from None
    except RecursionError:
        raise refusal("nesting", "The circuit is nested too deeply to be read.") from None
    except BaseException as error:  # Rust panics are BaseExceptions; nothing of a stranger's may pass
        raise _syntax(bundle.format, error) from None


def _load(bundle: CircuitBundle, source: Source | None) -> list[QuantumCircuit]:
    if source is None:
        return list(qpy.load(io.BytesIO(bundle.data)))
    if bundle.format == "qasm2":
        return [_qasm2(source)]
    return [qasm3.loads(source.text)]


def _qasm2(source: Source) -> QuantumCircuit:
    """Read OpenQASM 2, with Qiskit's extra gates of ``qelib1.inc`` where the program needs them.

    Those replace a program's own definition of the same name without a word, so a program that has one does without.
    """
    try:
        return qasm2.loads(source.text, include_path=())
    except qasm2.QASM2ParseError:
        if any(source.line_of_gate(extra.name) for extra in qasm2.LEGACY_CUSTOM_INSTRUCTIONS):
            raise
        return qasm2.loads(
            source.text, include_path=(), custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS, strict=False
        )


def _syntax(form: str, error: BaseException) -> CircuitRejected:
    if type(error).__name__ == "PanicException":
        return refusal("crash", f"The {form.upper()} reader gave up on this circuit: {clean(error, 200)}")
    if form == "qpy":
        return refusal(
            "syntax",
            "Not readable as a QPY file: it is cut short, damaged, or holds something that Qiskit does not know here.",
            "Write it again with qpy.dump().",
        )
    language = {"qasm2": "OpenQASM 2", "qasm3": "OpenQASM 3"}[form]
    line = _line_of(error)
    said = _POSITION.sub("", clean(error, 300).strip("'\"")) or "a statement was expected here"
    if line is None:
        return refusal("syntax", f"Not readable as {language}: {said}")
    return refusal("syntax", f"Line {line}: not readable as {language}: {said}", line=line)


def _line_of(error: BaseException) -> int | None:
    """The line that a parser names, in its text or in the token that it stumbled over."""
    found = _POSITION.match(clean(error, 300).strip("'\""))
    if found:
        return int(found.group(1))
    cause = error.__cause__
    for one in (cause, *(cause.args if cause else ())):
        line = getattr(getattr(one, "offendingToken", None), "line", None)
        if isinstance(line, int):
            return line
    return None
