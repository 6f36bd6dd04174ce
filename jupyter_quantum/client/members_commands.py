"""``jupyter quantum admin members …``, ``admin tokens …``, ``token``; joining is among ``jupyter quantum requests``."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["app", "exchange", "tokens"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Who is in which project beside the hub's groups.")
tokens = typer.Typer(add_completion=False, no_args_is_help=True, help="Tokens that CI jobs hold.")


@app.command("list")
def list_(
    project: Annotated[str | None, typer.Option(help="Only of this project.")] = None,
    past: Annotated[bool, typer.Option("--past", help="Ended ones too.")] = False,
    unreviewed: Annotated[bool, typer.Option("--unreviewed", help="Broken glasses that nobody has looked at.")] = False,
    as_json: Json = False,
) -> None:
    """List memberships."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().members.list(project, past=past, unreviewed=unreviewed), as_json)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A user of the hub.")],
    project: Annotated[str, typer.Option(help="The project.")],
    role: Annotated[str, typer.Option(help="user or lead.")] = "user",
    days: Annotated[
        int | None, typer.Option(min=1, help="For so many days; until somebody ends it where omitted.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Kept with the membership.")] = "",
    as_json: Json = False,
) -> None:
    """Make a user of the hub a member of a project."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().members.add(name, project, role=role, days=days, reason=reason), as_json)


@app.command()
def end(membership: Annotated[str, typer.Argument(help="Id of the membership, mem_….")], as_json: Json = False) -> None:
    """Take a membership back now."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().members.end(membership), as_json)


@tokens.command("list")
def list_tokens(project: Annotated[str, typer.Option(help="The project.")], as_json: Json = False) -> None:
    """List tokens that CI jobs of a project hold now."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().members.tokens(project), as_json)


@tokens.command()
def revoke(token: Annotated[str, typer.Argument(help="Id of the token, wlt_….")], as_json: Json = False) -> None:
    """End a token now."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().members.revoke(token), as_json)


def exchange(
    project: Annotated[str, typer.Option(help="The project to act for.")],
    token: Annotated[str, typer.Option(envvar="ID_TOKEN", help="The CI job's OIDC token; from ID_TOKEN.")],
    url: Annotated[str, typer.Option(envvar="JUPYTER_QUANTUM_URL", help="Address of the service.")],
    as_json: Json = False,
) -> None:
    """Exchange a CI job's token for a short-lived one: JUPYTERHUB_API_TOKEN=$(jupyter quantum token …)."""
    from jupyter_quantum.client.members import exchange as swap
    from jupyter_quantum.client.terminal import guarded, write_json

    with guarded(as_json):
        answer = swap(url, token, project)
        if as_json:
            write_json(answer.model_dump(mode="json"))
        else:
            typer.echo(answer.access_token)
