"""Caps on OpenQASM text before any parser sees it: cheap, linear, and independent of the grammar's details.

Parsers recurse on brackets, operators and blocks, and allocate what a register's size says; a few hundred bytes are
enough to exhaust them. What looks larger than any honest program is refused here, with its line.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from jupyter_quantum.exceptions import CircuitRejected
from jupyter_quantum.fabric.limits import Limits
from jupyter_quantum.fabric.refusals import clean, refusal

__all__ = ["Source", "check_text"]

_STANDARD_INCLUDES: Final = frozenset({"qelib1.inc", "stdgates.inc", "stdgates.qasm"})
_HIDDEN: Final = re.compile(r'//[^\n]*|/\*.*?(?:\*/|\Z)|"[^"\n]*"|\'[^\'\n]*\'', re.DOTALL)
_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_INCLUDE: Final = re.compile(r"\binclude\b\s*[\"']?([^\"';\n]*)")
_LONG_NUMBER: Final = re.compile(r"[0-9a-fA-F_]*[0-9][0-9a-fA-F_]{39,}")
_REGISTER: Final = re.compile(r"\b(qreg|creg)\s+\w+\s*\[\s*([0-9_]+)\s*\]|\b(qubit|bit)\s*\[\s*([0-9_]+)\s*\]")
_TYPE_WIDTH: Final = re.compile(r"\b(?:int|uint|float|angle|complex|duration)\s*\[\s*([0-9_]+)\s*\]")
_IN_BRACKETS: Final = re.compile(r"\[[^\[\]]*\]")
_INTEGER: Final = re.compile(r"(?<![\w.])[0-9][0-9_]*(?![\w.])")
_MODIFIER: Final = re.compile(r"\b(pow|ctrl|negctrl)\s*\(\s*-?\s*([0-9_]+)")
_UNARY_RUN: Final = re.compile(r"(?:[-+!~]\s*){65}")
_MODIFIER_RUN: Final = re.compile(r"(?:@[^;@{}]*){65}")
_ELSE_RUN: Final = re.compile(r"\belse\s+if\b")
_OPERATOR: Final = re.compile(r"[-+*/%^|&<>]+")
_STATEMENT_END: Final = re.compile(r"[;{}]")
_GATE: Final = re.compile(r"\bgate\s+([^\s({]+)")
_GATE_BODY: Final = re.compile(r"\bgate\s+([^\s({]+)[^{;]*\{([^{}]*)\}")
_CALLED: Final = re.compile(r"(?:^|[;@])\s*(?:\([^()]*\)\s*)?([^\W\d]\w*)")
_BIG: Final = 1_000_000
_OPERATORS_A_STATEMENT: Final = 500
_OPEN, _CLOSE = "([{", ")]}"


class Source:
    """A program's text with comments and strings blanked out, and the line of each offset."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.code = _HIDDEN.sub(_blank, text)
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def line(self, offset: int) -> int:
        """The line of an offset; the first is 1."""
        return bisect_right(self._starts, offset)

    def line_of_gate(self, name: str) -> int | None:
        """The line that defines a gate of this name, if one does."""
        for found in _GATE.finditer(self.code):
            if found.group(1) == name:
                return self.line(found.start())
        return None


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found.group())


def check_text(source: Source, limits: Limits) -> None:
    """Raise :class:`CircuitRejected` (``circuit.nesting``, ``circuit.too_large``, ``circuit.include``) for a program
    that a parser should not even see."""
    for problem in (_includes, _nesting, _chains, _numbers, _registers, _ranges, _modifiers, _statements, _definitions):
        for error in problem(source, limits):
            raise error


def _includes(source: Source, limits: Limits) -> Iterator[CircuitRejected]:
    visible = _COMMENT.sub(_blank, source.text)
    for found in _INCLUDE.finditer(visible):
        if found.group(1).strip() not in _STANDARD_INCLUDES:
            yield refusal(
                "include",
                f"Line {source.line(found.start())} includes “{clean(found.group(1), 60)}”; only the standard gates "
                "(qelib1.inc, stdgates.inc) can be included.",
                "Put the definitions into the program itself.",
                line=source.line(found.start()),
            )


def _nesting(source: Source, limits: Limits) -> Iterator[CircuitRejected]:
    depth = 0
    for found in re.finditer(r"[()\[\]{}]", source.code):
        depth += 1 if found.group() in _OPEN else -1
        if depth > limits.nesting:
            yield _too_deep(source, found.start(), limits)
            return


def _too_deep(source: Source, offset: int, limits: Limits) -> CircuitRejected:
    line = source.line(offset)
    return refusal(
        "nesting", f"Line {line} nests more than {limits.nesting} levels deep.", "Write it in several steps.", line=line
    )


def _chains(source: Source, limits: Limits) -> Iterator[CircuitRejected]:
    for pattern in (_UNARY_RUN, _MODIFIER_RUN):
        found = pattern.search(source.code)
        if found:
            yield _too_deep(source, found.start(), limits)
    elses = list(_ELSE_RUN.finditer(source.code))
    if len(elses) > limits.nesting:
        yield _too_deep(source, elses[limits.nesting].start(), limits)


def _too_large(source: Source, offset: int, what: str, most: int) -> CircuitRejected:
    line = source.line(offset)
    return refusal("too_large", f"Line {line}: {what}; at most {most:,} are taken here.", line=line)


def _value(digits: str) -> int:
    plain = digits.replace("_", "")
    return int(plain) if len(plain) <= 18 else 10**18


def _numbers(source: Source, limits: Limits) -> Iterator[CircuitRejected]:
    found = _LONG_NUMBER.search(source.code)
    if found:
        yield _too_large(source, found.start(), f"a number of {len(found.group()):,} digits", limits.digits)


def _registers(source: Source, limits: Limits) -> Iterator[CircuitRejected]:
    total = {"qubits": 0, "bits": 0}
    for found in _REGISTER.finditer(source.code):
        word = found.group(1) or found.group(3)
        kind = "qubits" if word in {"qreg", "qubit"} else "bits"
        most = limits.qubits if kind == "qubits" else limits.clbits
        total[kind] += _value(found.group(2) or found.group(4))
        if total[kind] > most:
            yield _too_large(source, found.start(), f"{total[kind]:,} {kind} are declared", most)
    for found in _TYPE_WIDTH.finditer(source.code):
        if _value(found.group(1)) > 64:
            yield _too_large(source, found.start(), f"a number type of {_value(found.group(1)):,} bits", 64)


def _ranges(source: Source, limits: Limits) -> Iterator[CircuitRejected]:
    for brackets in _IN_BRACKETS.finditer(source.code):
        for found in _INTEGER.finditer(brackets.group()):
            if _value(found.group()) > _BIG:
                offset = brackets.start() + found.start()
                yield _too_large(source, offset, f"an index or a loop reaches {_value(found.group()):,}", _BIG)


def _modifiers(source: Source, limits: Limits) -> Iterator[CircuitRejected]:
    for found in _MODIFIER.finditer(source.code):
        if _value(found.group(2)) > limits.nesting:
            yield _too_large(source, found.start(), f"{found.group(1)}({found.group(2)[:20]})", limits.nesting)


def _statements(source: Source, limits: Limits) -> Iterator[CircuitRejected]:
    start = 0
    for end in (*(found.start() for found in _STATEMENT_END.finditer(source.code)), len(source.code)):
        if end - start > _OPERATORS_A_STATEMENT:
            count = sum(1 for _ in _OPERATOR.finditer(source.code, start, end))
            if count > _OPERATORS_A_STATEMENT:
                yield _too_large(source, start, f"{count:,} operators in one statement", _OPERATORS_A_STATEMENT)
        start = end + 1


def _definitions(source: Source, limits: Limits) -> Iterator[CircuitRejected]:
    """Gates that call gates: their size once written out, and how deep they go (parsers expand them eagerly)."""
    sizes: dict[str, tuple[int, int]] = {}
    for found in _GATE_BODY.finditer(source.code):
        calls = [sizes.get(call.group(1), (1, 0)) for call in _CALLED.finditer(found.group(2))]
        size, depth = sum(size for size, _ in calls), 1 + max((depth for _, depth in calls), default=0)
        sizes[found.group(1)] = (size, depth)
        if size > limits.operations:
            yield _too_large(source, found.start(), "a gate of more gates than can be run", limits.operations)
        if depth > limits.nesting:
            yield _too_deep(source, found.start(), limits)
