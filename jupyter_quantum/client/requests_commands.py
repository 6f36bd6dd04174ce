"""``jupyter quantum requests …``: what you asked for, and what waits for your decision."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from jupyter_quantum.exceptions import InputError

__all__ = ["app"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Id = Annotated[str, typer.Argument(help="Id of the request, req_….")]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="What you asked a person for, and what waits for your decision."
)


@app.command("list")
def list_(
    state: Annotated[str, typer.Option(help="open, approved, rejected, expired, withdrawn or all.")] = "open",
    kind: Annotated[str | None, typer.Option(help="Only requests of this kind.")] = None,
    project: Annotated[str | None, typer.Option(help="Only requests about this project.")] = None,
    as_json: Json = False,
) -> None:
    """List your requests, and those that you may decide."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().requests.list(state, kind=kind, project=project), as_json)


@app.command()
def show(request: Id, as_json: Json = False) -> None:
    """Show one request."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().requests.get(request), as_json)


@app.command()
def ask(
    kind: Annotated[str, typer.Argument(help="onboarding, elevation, quota, export …")],
    project: Annotated[str | None, typer.Option(help="The project that it is about.")] = None,
    reason: Annotated[str, typer.Option(help="Shown to who decides.")] = "",
    values: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE that the kind wants to know.")] = None,
    as_json: Json = False,
) -> None:
    """Ask for something that a person decides, such as `ask onboarding --project vqe --reason "course"`."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        body = dict(_pair(text) for text in values or ())
        tell(Hub().requests.ask(kind, project=project, reason=reason, **body), as_json)


@app.command()
def withdraw(request: Id, as_json: Json = False) -> None:
    """Take your own request back."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().requests.withdraw(request), as_json)


@app.command()
def projects(as_json: Json = False) -> None:
    """List projects that take people in."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().members.open_projects(), as_json)


@app.command()
def join(
    project: Annotated[str, typer.Argument(help="A project that takes people in.")],
    reason: Annotated[str, typer.Option(help="Shown to who decides.")] = "",
    days: Annotated[int | None, typer.Option(min=1, help="For so many days; endless where omitted.")] = None,
    as_json: Json = False,
) -> None:
    """Ask to be let into a project."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().members.join(project, reason=reason, days=days), as_json)


@app.command()
def elevate(
    role: Annotated[str, typer.Argument(help="lead (of a project), operator, auditor or admin (on the whole hub).")],
    reason: Annotated[str, typer.Option(help="What for; shown to who decides.")],
    project: Annotated[str | None, typer.Option(help="The project, for lead.")] = None,
    hours: Annotated[float, typer.Option(min=0.1, help="For so many hours from the approval.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Ask for a role for a while."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().members.elevate(role, reason, project=project, hours=hours), as_json)


@app.command()
def quota(
    amount: Annotated[str, typer.Argument(help="How much more: credits, or what --unit says.")],
    project: Annotated[str, typer.Option(help="The project that it is about.")],
    unit: Annotated[str, typer.Option(help="credits, shots, jobs, qpu_seconds, simulator_seconds.")] = "credits",
    scope: Annotated[str, typer.Option(help="user: your own quota; project: everybody's together.")] = "user",
    window: Annotated[str, typer.Option(help="The quota's: day, week, month, term, ever.")] = "month",
    days: Annotated[int, typer.Option(min=1, max=366, help="For so many days.")] = 30,
    reason: Annotated[str, typer.Option(help="Shown to who decides.")] = "",
    as_json: Json = False,
) -> None:
    """Ask for more of a quota for a while."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        more = {"scope": scope, "window": window, "days": days}
        tell(Hub().requests.ask_quota(amount, project=project, unit=unit, reason=reason, **more), as_json)


@app.command()
def welcome(
    project: Annotated[str | None, typer.Option(help="Your only project where omitted.")] = None, as_json: Json = False
) -> None:
    """Show what you have in a project, and the first steps."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().members.welcome(project), as_json)


def _pair(text: str) -> tuple[str, Any]:
    """``days=30`` as ("days", 30): a value is JSON where it reads as such, text otherwise."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InputError(f"{text!r} is not NAME=VALUE.", code="usage", hint="Such as --set days=30.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
