"""``jupyter quantum exports …``: let data of a job leave its project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from jupyter_quantum.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Let data of a job leave its project for a named target."
)


@app.command()
def ask(
    job: Annotated[str, typer.Argument(help="Id of the job, job_….")],
    to: Annotated[str, typer.Option(help="Target: one of those that the project declares.")],
    data: Annotated[list[str] | None, typer.Option(help="inputs or results; may be repeated.")] = None,
    reason: Annotated[str, typer.Option(help="Shown to who decides.")] = "",
    as_json: Json = False,
) -> None:
    """Ask for an export. It goes at once where policy lets it, otherwise after a review by somebody else."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        classes = data or ["results"]
        if unknown := sorted(set(classes) - {"inputs", "results"}):
            raise InputError(f"There is no data {unknown[0]!r}.", code="usage", hint="Say inputs or results.")
        known = cast("Sequence[Literal['inputs', 'results']]", classes)
        tell(Hub().data.export(job, to, classes=known, reason=reason), as_json)


@app.command("list")
def list_(
    job: Annotated[str | None, typer.Option(help="Only exports of this job.")] = None, as_json: Json = False
) -> None:
    """List your exports, and those of projects that you lead."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().data.exports(job=job), as_json)


@app.command()
def get(
    export: Annotated[str, typer.Argument(help="Id of the export, exp_….")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Download the bundle into this file.")] = None,
    as_json: Json = False,
) -> None:
    """Show an export; with --output, download its bundle, which can be done once."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, say, tell, writing

    with guarded(as_json):
        hub = Hub()
        if output is not None:
            if output.exists():
                raise InputError(f"{output} is there already.", code="usage", hint="Name another file.")
            with writing(output) as file:
                file.write(hub.data.take_export(export))
            say(f"✓ {output}")
        tell(hub.data.get_export(export), as_json)
