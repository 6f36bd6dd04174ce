"""Commands about circuits that are not run: ``report`` and ``resources``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_quantum.client.commands import Json, Project, called, hub_of, work_in

if TYPE_CHECKING:
    from jupyter_quantum.wire.reports import ReportRow

__all__ = ["report", "resources"]

File = Annotated[str, typer.Argument(help="OpenQASM 2 or 3 text, or a QPY file; - reads stdin.")]
_WIDTHS = (16, 14, 6, 7, 18, 14, 8)
"""Characters of the columns before the last: rows are printed before the next one is known."""


def report(
    file: File,
    device: Annotated[list[str] | None, typer.Option("--device", "-d", help="Only this one; may be repeated.")] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="Shots of each circuit; 1024 where omitted.")] = None,
    dry_run: Annotated[str | None, typer.Option(help="Device to compare ideal and noisy counts on.")] = None,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Show where a circuit could run, at what price and success; rows are printed as they come. Runs nothing."""
    from jupyter_quantum.client.report import HEAD, Report, report_lines
    from jupyter_quantum.client.terminal import guarded, write_json
    from jupyter_quantum.wire.reports import ReportRequest

    with guarded(as_json):
        work, hub = work_in(file), hub_of(project)
        request = ReportRequest(
            kind=work.kind,
            circuits=work.circuits,
            options={"shots": shots} if shots else {},
            name=called(file),
            project=hub.project,
            devices=device,
            dry_run=dry_run,
        )
        if not as_json:
            typer.echo(_line(HEAD))
        said: set[str] = set()
        for line in report_lines(hub._connection, request):
            for row in line.rows if line.report is None else line.report.rows:
                if not as_json and not row.pending and row.device not in said:
                    typer.echo(_row(row))
                    said.add(row.device)
            if line.report is None:
                continue
            if as_json:
                write_json(line.report.model_dump(mode="json"))
            else:
                typer.echo("\n".join(["", Report(line.report).headline, *Report(line.report).below()]))


def _row(row: ReportRow) -> str:
    from jupyter_quantum.client.html import clean
    from jupyter_quantum.client.report import cells

    return _line(tuple(map(clean, cells(row))))


def _line(found: tuple[Any, ...]) -> str:
    first = [str(cell).ljust(width) for cell, width in zip(found, _WIDTHS, strict=False)]
    return "  ".join([*first, str(found[-1])]).rstrip()


def resources(file: File, project: Project = None, as_json: Json = False) -> None:
    """Estimate what a fault-tolerant computer would take for a circuit: qubits, T gates, run time."""
    from jupyter_quantum.client.resources import estimated
    from jupyter_quantum.client.terminal import guarded, write_json
    from jupyter_quantum.wire.reports import ReportRequest

    with guarded(as_json):
        work, hub = work_in(file), hub_of(project)
        request = ReportRequest(kind=work.kind, circuits=work.circuits, name=called(file), project=hub.project)
        found = estimated(hub._connection, request)
        if as_json:
            write_json(found.model_dump(mode="json"))
        else:
            typer.echo(repr(found))
