"""Results with their sampling error: 95 % confidence intervals, raw values beside mitigated ones.

Of counts: Wilson's interval of each outcome's share (E. B. Wilson, J. Am. Stat. Assoc. 22, 209, 1927). Of expectation
values, and of quasi-probabilities: the value ± 1.96 standard errors, which mitigation makes larger.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from jupyter_quantum.charts import wilson
from jupyter_quantum.client.html import clean, columns, table
from jupyter_quantum.client.results import array_of, primitive_result, run_result
from jupyter_quantum.core import words
from jupyter_quantum.wire.devices import Interval
from jupyter_quantum.wire.results import Array, Mitigated, PubResult, ResultView

__all__ = ["IntervalTable", "Part", "intervals"]

_Z: Final = 1.959964
_SHOWN: Final = 16


@dataclass(frozen=True, slots=True)
class Part:
    """One circuit, or one register of a PUB's binding, or one PUB's expectation values.

    ``values`` has an interval for each outcome (bit string → share of the shots, at 0…1) or value (index → ⟨O⟩);
    ``mitigated`` the same after mitigation, where there is any. ``counts`` are whole numbers of shots.
    """

    name: str
    values: Mapping[str, Interval]
    counts: Mapping[str, int] = field(default_factory=dict)
    mitigated: Mapping[str, Interval] = field(default_factory=dict)
    missing: bool = False


class IntervalTable(list[Part]):
    """Parts in the order of the circuits or PUBs; shown as a table, the most frequent outcomes first."""

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for part in self:
            if part.missing:
                yield part.name, "missing", "", "", ""
            keys = list(part.values or part.mitigated)
            for key in keys[:_SHOWN]:
                shots = words.number(part.counts[key]) if key in part.counts else ""
                yield part.name, key, shots, _text(part.values.get(key)), _text(part.mitigated.get(key))
            if len(keys) > _SHOWN:
                yield part.name, f"{words.number(len(keys) - _SHOWN)} others", "", "", ""

    def _shown(self) -> list[tuple[str, ...]]:
        """Rows without a column that is empty throughout."""
        rows = [_HEAD, *self._rows()]
        kept = [at for at in range(len(_HEAD)) if any(row[at] for row in rows[1:])]
        return [tuple(row[at] for at in kept) for row in rows]

    def __repr__(self) -> str:
        return columns([tuple(map(clean, row)) for row in self._shown()]) if self else "No results."

    def _repr_html_(self) -> str:
        head, *rows = self._shown()
        return table(head, rows, "95 % confidence")


_HEAD: Final = ("Part", "Outcome", "Shots", "Share or value (95 %)", "Mitigated (95 %)")


def _text(found: Interval | None) -> str:
    return "" if found is None else words.with_range(found.value, found.low, found.high, 3)


def intervals(view: ResultView) -> IntervalTable:
    """Every share and value of a result with its 95 % confidence interval."""
    if view.experiments:
        return IntervalTable(_experiments(view))
    found = primitive_result(view)
    parts = IntervalTable()
    for at, (pub, made) in enumerate(zip(view.pubs, found, strict=True)):
        name = f"PUB {at}"
        if pub.missing:
            parts.append(Part(name, {}, missing=True))
        elif pub.evs is not None and pub.stds is not None:
            parts.append(_values(name, pub))
        else:
            parts += [
                _shares(f"{name} {register}{_at(index)}", made.data[register].get_counts(index or None))
                for register in made.data
                for index in np.ndindex(*pub.shape)
            ]
            parts += _quasi(name, pub)
    return parts


def _experiments(view: ResultView) -> Iterator[Part]:
    result = run_result(view, "")
    for at, one in enumerate(view.experiments):
        if one.missing or one.counts is None:
            yield Part(f"circuit {at}", {}, missing=one.missing)
        else:
            yield _shares(f"circuit {at}", result.get_counts(at))


def _at(index: tuple[int, ...]) -> str:
    return f" {list(index)}" if index else ""


def _shares(name: str, counts: Mapping[str, int]) -> Part:
    shots = sum(counts.values())
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    values = {}
    for key, seen in order:
        low, high = wilson(seen / shots, shots)
        values[key] = Interval(value=seen / shots, low=low, high=high)
    return Part(name, values, dict(order))


def _values(name: str, pub: PubResult) -> Part:
    mitigated = pub.mitigated
    return Part(name, _spread(pub.evs, pub.stds), mitigated=_spread(mitigated.evs, mitigated.stds) if mitigated else {})


def _spread(evs: Array | None, stds: Array | None) -> dict[str, Interval]:
    if evs is None or stds is None:
        return {}
    value, error = array_of(evs), array_of(stds)
    return {_key(index): _around(float(value[index]), float(error[index])) for index in np.ndindex(*value.shape)}


def _key(index: tuple[int, ...]) -> str:
    return str(list(index)) if index else "⟨O⟩"


def _around(value: float, error: float) -> Interval:
    return Interval(value=value, low=value - _Z * error, high=value + _Z * error)


def _quasi(name: str, pub: PubResult) -> Iterator[Part]:
    """Quasi-probabilities of all bits; of each, the standard error that mthree bounds by √(overhead / shots)."""
    found: Mitigated | None = pub.mitigated
    if found is None:
        return
    width = sum(bits.num_bits for bits in pub.registers.values())
    shots = int(pub.metadata.get("shots") or 0)
    for index, quasi, overhead in zip(np.ndindex(*pub.shape), found.quasi, found.overhead, strict=True):
        error = math.sqrt(overhead / shots) if shots else math.inf
        order = sorted(quasi.items(), key=lambda item: (-item[1], item[0]))
        values = {f"{int(key, 16):0{width}b}": _around(value, error) for key, value in order}
        yield Part(f"{name} mitigated{_at(index)}", {}, mitigated=values)
