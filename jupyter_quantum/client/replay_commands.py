"""``jupyter quantum replay``: a job's work once more, and how both compare."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from jupyter_quantum.core.jobs import FINAL, JobState

__all__ = ["replay"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def replay(
    job: Annotated[str, typer.Argument(help="Id of a job that has completed.")],
    device: Annotated[str | None, typer.Option("--device", "-d", help="Another device; its own where omitted.")] = None,
    max_price: Annotated[float | None, typer.Option(help="Credits; refuse where it may cost more.")] = None,
    reason: Annotated[str | None, typer.Option(help="Shown to who must approve the run.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the result and compare.")] = True,
    as_json: Json = False,
) -> None:
    """Run a job once more, with the same circuits, options and seeds; says whether it is the same, drifted, different.

    Exit codes: 0 the same (or not waited for), 1 drifted, different, or ended without a result.
    """
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import FAILED, guarded, say, write_json

    with guarded(as_json):
        again = Hub().job(job).replay(device, max_price=max_price, reason=reason)
        last = again.wait() if wait and again.view.state is not JobState.AWAITING_APPROVAL else again.view
        verdict = again.verdict() if last.state is JobState.COMPLETED and wait else None
        if as_json:
            found = None if verdict is None else asdict(verdict) | {"words": verdict.words}
            write_json(last.model_dump(mode="json", exclude={"result"}) | {"verdict": found})
        else:
            typer.echo(last.id)
            say(repr(again) if verdict is None else "")
            typer.echo(repr(verdict) if verdict is not None else "", nl=verdict is not None)
        if (verdict is not None and verdict.verdict != "same") or (verdict is None and last.state in FINAL and wait):
            raise typer.Exit(FAILED)
