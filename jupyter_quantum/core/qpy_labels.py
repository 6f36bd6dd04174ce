"""A QPY file of one circuit apart from the circuit's name and metadata, which change nothing that is computed.

A notebook that builds the same circuit again gets another name for it (``circuit-161``). Apart from their labels both
files are equal byte for byte, so that what was found out about one holds for the other.

Two fields of the file's header are cut out by their lengths; what is in the circuit is not looked at.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Label", "labelled", "split"]

_FILE: Final = struct.Struct("!6sBBBBQc")
_CIRCUIT: Final = struct.Struct("!H1cHIIQIQI")
"""Name size, type and size of the global phase, qubits, clbits, metadata size, registers, instructions, variables."""
_VERSIONS: Final = range(13, 16)
"""QPY versions of this layout (later ones have a table of offsets before the first circuit)."""


@dataclass(frozen=True, slots=True)
class Label:
    """A circuit's name, and its metadata as Qiskit reads them."""

    name: str
    metadata: dict[str, Any] = field(default_factory=dict)


def split(data: bytes) -> tuple[Label, bytes] | None:
    """The label of the one circuit of a QPY file, and the file without it; None where it is not such a file."""
    at = _FILE.size + 1
    if len(data) < at + _CIRCUIT.size or data[:6] != b"QISKIT" or data[_FILE.size : at] != b"q":
        return None
    _, version, _, _, _, programs, _ = _FILE.unpack_from(data)
    if version not in _VERSIONS or programs != 1:
        return None
    named, kind, phased, qubits, clbits, noted, *rest = _CIRCUIT.unpack_from(data, at)
    name, phase, metadata = _cut(data, at + _CIRCUIT.size, (named, phased, noted))
    try:
        label = Label(name.decode(), json.loads(metadata))
    except (ValueError, RecursionError):  # the service looks at what strangers send
        return None
    if len(metadata) != noted or not isinstance(label.metadata, dict):
        return None
    head = _CIRCUIT.pack(0, kind, phased, qubits, clbits, 2, *rest)
    tail = data[at + _CIRCUIT.size + named + phased + noted :]
    return label, data[:at] + head + phase + b"{}" + tail


def labelled(data: bytes, label: Label) -> bytes | None:
    """The QPY file of one unlabelled circuit with this label, as ``qpy.dump`` writes it; None where it is not one."""
    found = split(data)
    if found is None or found[0] != Label(""):
        return None
    at = _FILE.size + 1
    _, kind, phased, qubits, clbits, noted, *rest = _CIRCUIT.unpack_from(data, at)
    name, metadata = label.name.encode(), json.dumps(label.metadata, separators=(",", ":")).encode()
    head = _CIRCUIT.pack(len(name), kind, phased, qubits, clbits, len(metadata), *rest)
    phase, _, tail = _cut(data, at + _CIRCUIT.size, (phased, noted, len(data)))
    return data[:at] + head + name + phase + metadata + tail


def _cut(data: bytes, at: int, sizes: tuple[int, int, int]) -> list[bytes]:
    parts = []
    for size in sizes:
        parts.append(data[at : at + size])
        at += size
    return parts
