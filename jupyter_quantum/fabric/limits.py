"""Caps on what a sandboxed worker accepts: before the parse, after it, and before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

__all__ = ["PARSE_CPU_S", "PARSE_MEMORY", "Limits"]

PARSE_CPU_S: Final = 2.0
"""Seconds of processor time that parsing and checking may take."""

PARSE_MEMORY: Final = 512 * 1024 * 1024
"""Bytes of address space that parsing may take above the worker's own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers are inclusive. The service may send smaller or larger ones with a task (same names)."""

    bytes: int = 1024 * 1024
    """Of the file."""
    nesting: int = 64
    """Depth of brackets, blocks, operators and gate definitions."""
    digits: int = 40
    """Of one number in a text."""
    qubits: int = 512
    clbits: int = 4096
    circuits: int = 300
    """In one file."""
    operations: int = 200_000
    """Gates of all circuits after definitions are expanded and loops multiplied out."""
    bindings: int = 10_000
    """Circuits to run after parameters are bound and observables grouped."""
    shots: int = 100_000
    """Of one circuit."""
    executions: int = 100_000_000
    """Shots over all circuits and bindings."""
    work: int = 100_000_000_000
    """Gates times shots."""
    unitary_qubits: int = 6
    """Width of a gate that is given as a matrix."""
    state_qubits: int = 12
    """Width of a state that is given by its amplitudes."""

    @classmethod
    def of(cls, sent: Mapping[str, int]) -> Limits:
        """The limits of a task: the defaults where it names none; names that are not known are for others."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: int(value) for name, value in sent.items() if name in known})
