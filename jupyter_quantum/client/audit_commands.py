"""``jupyter quantum audit …``: search, export, prove and verify the record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from jupyter_quantum.client.moments import moment
from jupyter_quantum.exceptions import InputError

__all__ = ["app", "forget"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Search, export, prove and verify the record. Needs a token with the scope custom:quantum:audit.",
)


@app.command()
def search(
    who: Annotated[str | None, typer.Option(help="Who did it or whose it is: a name, or a pseudonym.")] = None,
    project: Annotated[str | None, typer.Option(help="Entries about this project.")] = None,
    job: Annotated[str | None, typer.Option(help="Entries about this job.")] = None,
    device: Annotated[str | None, typer.Option(help="Entries about this device.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Entries of this type; auth.* for several.")] = None,
    effect: Annotated[str | None, typer.Option(help="Decisions with this answer: allow, refuse, approval.")] = None,
    policy: Annotated[str | None, typer.Option(help="Decisions by the policy with this id.")] = None,
    code: Annotated[str | None, typer.Option(help="Refusals with this code.")] = None,
    since: Annotated[str | None, typer.Option(help="Not before: 2026-05-12, 2026-05-12T09:00Z, 7d (ago).")] = None,
    until: Annotated[str | None, typer.Option(help="Before this moment.")] = None,
    before: Annotated[int | None, typer.Option(help="Older than this number: `next` of the page before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Entries on a page.")] = 100,
    as_json: Json = False,
) -> None:
    """Find entries, newest first. The search itself becomes an entry."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        found = Hub().audit.search(
            who=who,
            project=project,
            job=job,
            device=device,
            type=type_,
            effect=effect,
            policy=policy,
            code=code,
            since=moment(since),
            until=moment(until),
            before=before,
            limit=limit,
        )
        tell(found, as_json)


@app.command()
def export(
    to: Annotated[str, typer.Argument(help="File to write, or - for stdout.")] = "-",
    as_json: Json = False,
) -> None:
    """Export the whole record as JSON Lines, with its checkpoints. The export itself becomes an entry."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, say, write_json, writing

    with guarded(as_json):
        pieces = Hub().audit.export()
        if to == "-":
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            return
        with writing(to) as file:
            size = sum(file.write(piece) for piece in pieces)
        if as_json:
            write_json({"file": to, "bytes": size})
        else:
            say(f"{size} bytes in {to}. Verify it: jupyter quantum audit verify {to} --key KEY")


@app.command()
def checkpoint(as_json: Json = False) -> None:
    """Show the newest signed checkpoint; keep it somewhere else, and a roll-back can be found."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().audit.checkpoint(), as_json)


@app.command()
def check(as_json: Json = False) -> None:
    """Have the service read its whole record: 0 it is whole, 1 something is wrong."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import FAILED, guarded, tell

    with guarded(as_json):
        found = Hub().audit.check()
        tell(found, as_json)
        if found.problems:
            raise typer.Exit(FAILED)


@app.command()
def key(
    rotate: Annotated[bool, typer.Option("--rotate", help="Sign with a new key from now on (administrators).")] = False,
    as_json: Json = False,
) -> None:
    """Print the public keys that the verifier takes: the current one, then those before it."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        audit = Hub().audit
        tell(audit.rotate() if rotate else audit.key(), as_json)


@app.command()
def prove(
    event: Annotated[str, typer.Argument(help="Id (evt_…) or number of the entry.")],
    as_json: Json = False,
) -> None:
    """Prove that an entry is in the record, in the form of c2sp.org/tlog-proof."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().audit.prove(event), as_json)


@app.command()
def verify(
    export_file: Annotated[str, typer.Argument(metavar="EXPORT", help="The export, or - for stdin.")],
    key: Annotated[list[str], typer.Option(help="Public key, or a file with keys; older keys too.")],
    checkpoints: Annotated[
        list[Path] | None, typer.Option(help="Checkpoints kept elsewhere: a file or a directory. Finds roll-back.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify an export offline: 0 it is whole, 1 something was found (and where), 2 it cannot be read.

    The same program runs alone: python -m jupyter_quantum.audit_verify.
    """
    try:
        from jupyter_quantum import audit_verify
    except ImportError as error:
        typer.echo("Needs more: pip install cryptography.", err=True)
        raise typer.Exit(3) from error
    given = [export_file, *(part for text in key for part in ("--key", text))]
    given += [part for path in checkpoints or () for part in ("--checkpoints", str(path))]
    raise typer.Exit(audit_verify.main([*given, *(["--json"] if as_json else [])]))


def forget(
    user: Annotated[str, typer.Argument(help="Name, or name@created where a name was used again.")],
    as_json: Json = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; it cannot be undone.")] = False,
) -> None:
    """Forget a person: the record keeps a pseudonym, and nobody can tell any more whose it was."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        if not yes:
            if as_json or not sys.stdin.isatty():
                raise InputError("Nobody is here to confirm.", code="forget.confirm", hint="Say --yes.")
            typer.confirm(f"Forget {user} for ever? This cannot be undone.", abort=True, err=True)
        tell(Hub().audit.forget(user), as_json)
