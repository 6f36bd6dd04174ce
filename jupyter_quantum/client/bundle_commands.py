"""``jupyter quantum bundle …``: the bundle of a run, and its verification offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jupyter_quantum.exceptions import InputError

__all__ = ["app"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="A run with everything that a reviewer needs, in one file."
)


@app.command()
def get(
    job: Annotated[str, typer.Argument(help="Id of a job that has completed.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; named for it where omitted.")
    ] = None,
    to: Annotated[str, typer.Option(help="Export target that is a download; your project declares it.")] = "download",
    reason: Annotated[str, typer.Option(help="Shown to who decides, where a person does.")] = "",
    as_json: Json = False,
) -> None:
    """Download the bundle of a run. It is an export: it goes at once where policy lets it, or after a review."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, say, write_json

    with guarded(as_json):
        if output is not None and output.exists():
            raise InputError(f"{output} is there already.", code="usage", hint="Name another file.")
        path = Hub().job(job).bundle(output, target=to, reason=reason)
        if as_json:
            write_json({"job": job, "file": str(path), "bytes": path.stat().st_size})
        else:
            say(f"✓ {path}. Verify it: jupyter quantum bundle verify {path} --key KEY")


@app.command()
def verify(
    file: Annotated[str, typer.Argument(help="A bundle.")],
    key: Annotated[
        list[str] | None,
        typer.Option(help="Public key of the hub's record, or a file with keys; may be repeated. Else the bundle's."),
    ] = None,
    circuits: Annotated[bool, typer.Option("--circuits", help="Read the circuits too; needs Qiskit.")] = False,
    as_json: Json = False,
) -> None:
    """Verify a bundle offline: 0 verified, 1 something was found, 2 no bundle, or not to be read."""
    from jupyter_quantum.bundle_verify.command import main

    arguments = [file, *(part for one in key or [] for part in ("--key", one))]
    arguments += ["--circuits"] * circuits + ["--json"] * as_json
    raise typer.Exit(main(arguments))
