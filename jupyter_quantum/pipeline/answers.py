"""Whether a device's answer has the shape of what was asked: it was made where a user's circuit was read, or far away.

What is in it is the device's; an answer that nobody could read, or that lacks a part without saying so, is no answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.wire.results import Array, Bits, Experiment, Mitigated, PubResult, ResultView
from jupyter_quantum.wire.runner import ExecuteTask

__all__ = ["shape_problem"]

_BYTES: Final = {"<f8": 8, "<i8": 8, "|u1": 1, "<c16": 16}
_AXES: Final = 32
"""Of an array, as NumPy has it at most."""


def shape_problem(result: ResultView, do: ExecuteTask, circuits: int) -> str | None:
    """Why a result does not fit its task of so many circuits, in words; None where it does."""
    if result.kind is not do.kind:
        return f"it is of kind {result.kind.value}"
    parts: Sequence[Any] = result.experiments if do.kind is JobKind.RUN else result.pubs
    noun, asked = ("circuit", circuits) if do.kind is JobKind.RUN else ("PUB", len(do.pubs))
    if len(parts) != asked:
        return f"it has {words.plural(len(parts), noun)} instead of {asked}"
    if len(result.missing) == asked:
        return "nothing of it came"
    problems = (_LOOK[do.kind](part) for part in parts if not part.missing)
    return next((found for found in problems if found is not None), None)


def _experiment(one: Experiment) -> str | None:
    if one.counts is None and one.memory is None:
        return "a circuit has neither counts nor shots"
    if one.counts is not None and (min(one.counts.values(), default=0) < 0 or sum(one.counts.values()) != one.shots):
        return "the counts of a circuit are not as many as its shots"
    if one.memory is not None and len(one.memory) != one.shots:
        return "a circuit has more or fewer shots than it says"
    return None


def _sampled(one: PubResult) -> str | None:
    if not all(_is_bits(bits, one.shape) for bits in one.registers.values()):
        return "the bits of a register are not of the shape of their PUB"
    many = math.prod(one.shape)
    if one.mitigated is not None and not len(one.mitigated.quasi) == len(one.mitigated.overhead) == many:
        return "mitigated values are not of the shape of their PUB"
    return None


def _estimated(one: PubResult) -> str | None:
    if not all(values is not None and _is_values(values, one.shape) for values in _values(one)):
        return "expectation values are not of the shape of their PUB"
    return None


def _values(one: PubResult | Mitigated) -> Iterator[Array | None]:
    yield from (one.evs, one.stds)
    if isinstance(one, PubResult) and one.mitigated is not None:
        yield from _values(one.mitigated)


def _is_values(array: Array, shape: Sequence[int]) -> bool:
    return array.dtype == "<f8" and list(array.shape) == list(shape) and _is_whole(array)


def _is_bits(bits: Bits, shape: Sequence[int]) -> bool:
    array = bits.array
    if array.dtype != "|u1" or bits.num_bits < 0 or not _is_whole(array):
        return False
    return array.shape[:-2] == list(shape) and array.shape[-1:] == [-(-bits.num_bits // 8)]


def _is_whole(array: Array) -> bool:
    """Whether there are as many bytes as the shape says."""
    sound = len(array.shape) <= _AXES and all(size >= 0 for size in array.shape)
    return sound and len(array.data) == _BYTES[array.dtype] * math.prod(array.shape)


_LOOK: Final[Mapping[JobKind, Callable[[Any], str | None]]] = {
    JobKind.RUN: _experiment,
    JobKind.SAMPLER: _sampled,
    JobKind.ESTIMATOR: _estimated,
}
