"""``jupyter quantum policy explain|replay|show`` and ``approvals``: what the service knows. All take ``--json``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jupyter_quantum.client.moments import days

__all__ = ["approvals", "explain", "replay", "show"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def show(as_json: Json = False) -> None:
    """Show the policies in force."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().policy.show(), as_json)


def explain(
    job: Annotated[str, typer.Argument(help="Id of a job, job_….")],
    as_json: Json = False,
) -> None:
    """Explain a job's decision: which policies, on which facts, and what would have to change."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().policy.explain(job), as_json)


def replay(
    directory: Annotated[Path, typer.Argument(help="Holds schema.cedarschema and *.cedar as they shall be.")],
    since: Annotated[str, typer.Option(help="How far back: 30d, 12h, 2w.")] = "30d",
    limit: Annotated[int, typer.Option(min=1, max=50_000, help="At most so many decisions, the newest.")] = 20_000,
    as_json: Json = False,
) -> None:
    """Try changed files on the decisions that were made: who would win, who would lose. For operators."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().policy.replay(directory, days=days(since), limit=limit), as_json)


def approvals(
    state: Annotated[str, typer.Option(help="open, approved, rejected, expired, withdrawn or all.")] = "open",
    as_json: Json = False,
) -> None:
    """List requests for approval that you made or may see; they are decided on the hub's page."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, say, tell

    with guarded(as_json):
        hub = Hub()
        found = hub.approvals(state)
        tell(found, as_json)
        if any(one.may_decide or one.state == "open" for one in found.approvals):
            say(f"Decide on {hub.page}")
