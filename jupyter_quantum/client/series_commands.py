"""``jupyter quantum series …``: benchmark series of the devices, the leaderboard, and sets of circuits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Device = Annotated[str | None, typer.Option(help="Only of this device.")]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Benchmark series: trends, leaderboard, CSV, sets of circuits."
)


@app.command(name="list")
def list_series(device: Device = None, as_json: Json = False) -> None:
    """Series with their latest run, the newest first."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().series(device), as_json)


@app.command()
def show(series: Annotated[str, typer.Argument(help="Id of a series.")], as_json: Json = False) -> None:
    """One series: conditions, runs, figures."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().series.of(series), as_json)


@app.command()
def run(device: Annotated[str, typer.Argument(help="Name of a device.")], as_json: Json = False) -> None:
    """Run the benchmarks on a device now, for operators; needs a token with the scope custom:quantum:operate."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().series.run(device), as_json)


@app.command()
def leaderboard(as_json: Json = False) -> None:
    """Devices by their latest run; a board for each set of circuits and options."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().series.leaderboards(), as_json)


@app.command()
def csv(device: Device = None) -> None:
    """Every figure of every run, as CSV on stdout."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded

    with guarded(False):
        sys.stdout.write(Hub().series.csv(device).decode())


@app.command()
def make(
    file: Annotated[Path, typer.Argument(help="Where to write the sets; `series` of the service's settings names it.")],
) -> None:
    """Make the sets of circuits anew: mirror circuits, and algorithms of mqt.bench with their ideal shares."""
    from jupyter_quantum.client.circuit_sets import make_sets
    from jupyter_quantum.client.terminal import guarded, say, writing

    with guarded(False):
        sets = make_sets()
        with writing(file) as out:
            out.write(sets.model_dump_json(indent=1).encode() + b"\n")
        for one in sets.sets:
            say(f"{one.name}: {len(one.circuits)} circuits of up to {one.num_qubits} qubits, {one.digest}")
