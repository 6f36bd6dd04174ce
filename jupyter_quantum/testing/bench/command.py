"""``jupyter quantum bench``: measurements that an operator can run on the campus machine."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from jupyter_quantum.client.hub import Hub
from jupyter_quantum.testing.bench import Measurement

__all__ = ["bench"]


def _end_to_end(rounds: int) -> Measurement:
    from jupyter_quantum.testing.bench.end_to_end import end_to_end

    with _hub() as hub:
        return end_to_end(hub, rounds=rounds)


def _report(rounds: int) -> Measurement:
    from jupyter_quantum.testing.bench.report import hub_of_twelve, report

    with _hub(hub_of_twelve) as hub:
        return report(hub, rounds=rounds)


def _fidelity(rounds: int) -> Measurement:
    from jupyter_quantum.testing.bench.fidelity import fidelity

    return fidelity(shots=50 * rounds)


_BENCHES: dict[str, Callable[[int], Measurement]] = {
    "end-to-end": _end_to_end,
    "fidelity": _fidelity,
    "report": _report,
}


@contextlib.contextmanager
def _demo() -> Iterator[Hub]:
    from jupyter_quantum.testing.demo import demo_hub

    with demo_hub() as demo:
        yield Hub(demo.service, demo.token("ada"))


@contextlib.contextmanager
def _hub(start: Callable[[], contextlib.AbstractContextManager[Hub]] = _demo) -> Iterator[Hub]:
    """The hub that the environment names, else one of its own for the time of the measurement."""
    if os.environ.get("JUPYTER_QUANTUM_URL"):
        yield Hub()
        return
    with start() as hub:
        yield hub


def _show(found: Measurement) -> None:
    table = Table("measured", "value", "goal", "ours", "theirs", title=found.name)
    for key, ratio in found.ratios.items():
        pair = found.pairs.get(key)
        times = (f"{pair.ours_s * 1e3:.2f} ms", f"{pair.theirs_s * 1e3:.2f} ms") if pair else ("", "")
        table.add_row(key, f"{ratio:.3f}", _goal(found, key), *times)
    console = Console(stderr=True)
    console.print(table)
    for note in found.notes:
        console.print(note)


def _goal(found: Measurement, key: str) -> str:
    if key not in found.goals:
        return "–"
    sign = "≥" if key in found.floors else "≤"
    return f"{sign} {found.goals[key]:g} {'✓' if found.met(key) else '✕ not met'}"


def bench(
    name: Annotated[str, typer.Argument(help="Which measurement: " + ", ".join(_BENCHES))],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on the last line.")] = False,
    rounds: Annotated[int, typer.Option(min=5, help="Paired runs of each comparison.")] = 40,
) -> None:
    """Measure this installation; both sides of a ratio run in turns in one process. Exit 1 where a goal is missed."""
    if name not in _BENCHES:
        typer.echo(f"No measurement is called {name}. There are: {', '.join(_BENCHES)}.", err=True)
        raise typer.Exit(2)
    found = _BENCHES[name](rounds)
    _show(found)
    if as_json:
        sys.stdout.write(json.dumps(found.document()) + "\n")
    raise typer.Exit(0 if found.passed else 1)
