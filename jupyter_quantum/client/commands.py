"""Commands of a researcher: ``run``, ``jobs``, ``watch``, ``quota``, ``devices``.

The client (and with it Qiskit) is imported when a command runs, so that ``--help`` answers at once. Every command takes
``--json``: then stdout holds one JSON document, of an error too. Exit codes are those of :mod:`jupyter_quantum.cli`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import FINAL, JobKind, JobState
from jupyter_quantum.exceptions import InputError

if TYPE_CHECKING:
    from jupyter_quantum.client.circuits import Work
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.jobs import HubJob
    from jupyter_quantum.wire.jobs import JobView

__all__ = ["Json", "Project", "called", "devices", "hub_of", "jobs", "quota", "run", "watch", "work_in"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Project = Annotated[str | None, typer.Option(help="Who pays; your only project where omitted.")]


def run(
    file: Annotated[str, typer.Argument(help="OpenQASM 2 or 3 text, or a QPY file; - reads stdin.")],
    device: Annotated[str, typer.Option("--device", "-d", help="Device to run on; `devices` lists them.")] = "aer",
    shots: Annotated[int | None, typer.Option(min=1, help="Shots of each circuit; 1024 where omitted.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, for devices that simulate.")] = None,
    name: Annotated[str | None, typer.Option(help="What the job is called.")] = None,
    max_price: Annotated[float | None, typer.Option(help="Credits; refuse where it may cost more.")] = None,
    reason: Annotated[str | None, typer.Option(help="Shown to who must approve the run.")] = None,
    fallback: Annotated[
        list[str] | None, typer.Option(help="A device that the run may move to; several in this order.")
    ] = None,
    fallback_after: Annotated[
        float | None, typer.Option(min=0, help="Seconds to wait for a device that starts nothing.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the result and print the counts.")] = False,
    project: Project = None,
    as_json: Json = False,
) -> None:
    """Run a circuit from a file. Prints the job's id, with --wait the counts."""
    from jupyter_quantum.client.schema import check_options
    from jupyter_quantum.client.submit import Terms
    from jupyter_quantum.client.terminal import guarded, say, write_json

    with guarded(as_json):
        work = work_in(file)
        backend = hub_of(project).backend(device)
        wanted = {"shots": shots or backend.options.get("shots"), "seed_simulator": seed}
        options = check_options(backend.view, JobKind.RUN, wanted)
        terms = Terms(name or called(file), "auto", max_price, reason, tuple(fallback or ()), fallback_after)
        job = backend.submit(work, options, terms)
        if wait:
            _watch(job, as_json)
        elif as_json:
            write_json(_plain(job.view))
        else:
            typer.echo(job.view.id)
            if job.view.state is JobState.AWAITING_APPROVAL:
                say(_describe(job.view))


def jobs(
    active: Annotated[bool, typer.Option("--active", help="Only jobs that have not ended.")] = False,
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many, the newest.")] = 20,
    project: Annotated[str | None, typer.Option(help="All jobs of a project that you lead.")] = None,
    as_json: Json = False,
) -> None:
    """List your jobs, newest first."""
    from jupyter_quantum.client.terminal import guarded, write_json

    with guarded(as_json):
        found = hub_of().jobs(state=state, active=active, limit=limit, project=project)
        if as_json:
            write_json({"jobs": [_plain(one.view) for one in found]})
        else:
            typer.echo(repr(found))


def watch(
    job: Annotated[str, typer.Argument(help="Id of a job; Ctrl-C stops watching, not the job.")],
    as_json: Json = False,
) -> None:
    """Follow a job to its end; prints its counts."""
    from jupyter_quantum.client.terminal import guarded

    with guarded(as_json):
        _watch(hub_of().job(job), as_json)


def quota(project: Project = None, as_json: Json = False) -> None:
    """Show what is left to spend, and until when."""
    from jupyter_quantum.client.terminal import guarded, write_json

    with guarded(as_json):
        found = hub_of(project).quota()
        if as_json:
            write_json(found.model_dump(mode="json"))
        else:
            typer.echo(repr(found))


def devices(as_json: Json = False) -> None:
    """List the devices that you may use."""
    from jupyter_quantum.client.terminal import guarded, write_json

    with guarded(as_json):
        found = hub_of().backends()
        if as_json:
            write_json({"devices": [one.view.model_dump(mode="json") for one in found]})
        else:
            typer.echo(repr(found))


def hub_of(project: str | None = None) -> Hub:
    """The hub of this environment."""
    from jupyter_quantum.client.hub import Hub

    return Hub(project=project)


def work_in(file: str) -> Work:
    """What the file holds, as bytes: it is parsed by the runner, not here."""
    from jupyter_quantum.client.circuits import Work, qasm_format
    from jupyter_quantum.wire.base import CircuitBundle

    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", code="file.unreadable") from None
    form: Literal["qpy", "qasm2", "qasm3"] = "qpy"
    if not data.startswith(b"QISKIT"):
        form = qasm_format(data.decode(errors="replace"))
    return Work(JobKind.RUN, CircuitBundle(format=form, data=data))


def called(file: str) -> str | None:
    """What a job made of this file is called."""
    return None if file == "-" else Path(file).stem[:200]


def _plain(view: JobView) -> dict[str, Any]:
    return view.model_dump(mode="json", exclude={"result"})


def _describe(view: JobView) -> str:
    from jupyter_quantum.client.cards import job_text

    lines = [line.strip() for line in job_text(view).splitlines()]
    return " · ".join((lines[0], *lines[2:])) if view.state not in FINAL else " ".join(lines)


def _watch(job: HubJob, as_json: bool) -> None:
    from jupyter_quantum.client.terminal import FAILED, INTERRUPTED, say, show_moves, write_json

    try:
        last = show_moves(job.moves(), _describe)
    except KeyboardInterrupt:
        say(f"Stopped watching. The job goes on: jupyter quantum watch {job.view.id}")
        raise typer.Exit(INTERRUPTED) from None
    done = last is not None and last.state is JobState.COMPLETED
    answer = _plain(job.view) | ({"result": _outcome(job)} if done else {})
    if as_json:
        write_json(answer)
    elif done:
        typer.echo(_table(answer["result"]))
    if not done:
        raise typer.Exit(FAILED)


def _outcome(job: HubJob) -> list[dict[str, Any]]:
    """Each circuit's counts, or each PUB's registers or values, as JSON."""
    result: Any = job.result()  # type: ignore[attr-defined]  # every job class has it
    if job.view.kind is JobKind.RUN:
        return [
            {"name": one.header.get("name"), "counts": result.get_counts(i)} for i, one in enumerate(result.results)
        ]
    if job.view.kind is JobKind.ESTIMATOR:
        return [{"evs": pub.data.evs.tolist(), "stds": pub.data.stds.tolist()} for pub in result]
    return [{register: bits.get_counts() for register, bits in pub.data.items()} for pub in result]


def _table(outcome: list[dict[str, Any]]) -> str:
    from jupyter_quantum.client.html import clean, columns

    blocks = []
    for one in outcome:
        counts = one.get("counts")
        if counts is None:
            blocks.append("\n".join(f"{clean(key)}  {value}" for key, value in one.items()))
            continue
        rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        head = [(clean(one["name"] or ""), "")] if len(outcome) > 1 else []
        blocks.append(columns([*head, *[(bits, words.number(count)) for bits, count in rows]]))
    return "\n\n".join(blocks)
