"""What stands beside an estimate, in words: what it rests on, what may go wrong, mirror circuits, how good such
estimates have been, and what the device offers against errors."""

from __future__ import annotations

from jupyter_quantum.core import words
from jupyter_quantum.wire.reports import Mitigation, ReportRow

__all__ = ["SCORED", "evidence"]

SCORED = {"success": "Chance of success", "seconds": "Time", "price": "Price", "wait": "Start"}
"""What estimates are of, in words."""


def evidence(row: ReportRow) -> list[tuple[str, str]]:
    """Name and sentence of each; nothing where nothing is known."""
    told = (("Warning", row.warning), ("Estimate from", row.rests_on), ("Time from", row.seconds_rest_on))
    found = [(name, said) for name, said in told if said]
    if row.mirror is not None:
        one = row.mirror
        size = f"{words.plural(one.qubits, 'qubit')}, depth {words.number(one.depth)}"
        found.append(("Mirror circuits", f"{words.with_range(one.value, one.low, one.high)} came back ({size})"))
    found += [(SCORED[one.what], one.words) for one in row.scores if one.words]
    return found + [("Mitigation", _offer(one)) for one in row.mitigation if one.name != "none"]


def _offer(one: Mitigation) -> str:
    """A way to mitigate errors: what it does, and what it takes."""
    cost = "" if one.overhead is None else f"; about {one.overhead:.1f} times the shots for the same precision"
    return f"{one.name}: {one.words}{cost}"
