"""``jupyter quantum admin ledger …``: figures, accounts, entries, grants, loans, price lists, proofs of the sums."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from typing import Annotated, Any

import typer

__all__ = ["app"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Project = Annotated[str | None, typer.Option(help="Only of this project.")]
Since = Annotated[datetime | None, typer.Option(help="Not before; UTC where no zone is given.")]
Until = Annotated[datetime | None, typer.Option(help="Before; UTC where no zone is given.")]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="The ledger: figures, accounts, entries, grants, loans, price lists.",
)


@app.command()
def verify(
    db: Annotated[
        str | None, typer.Option(help="URL of a database to prove without a service, where the service is installed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove the sums. Exit 1 where anything is wrong."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.ledger import BooksCard
    from jupyter_quantum.client.terminal import FAILED, guarded, tell

    with guarded(as_json):
        found = Hub().ledger.verify() if db is None else BooksCard.model_validate_json(_offline(db))
        tell(found, as_json)
        if not found.ok:
            raise typer.Exit(FAILED)


def _offline(url: str) -> bytes:
    """What the service's own program says of a database."""
    from jupyter_quantum.exceptions import Unavailable

    done = subprocess.run([sys.executable, "-m", "jupyter_quantum.hub.books", url], capture_output=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise Unavailable(
            f"The database could not be read: {said[-1] if said else 'no answer'}.",
            code="store.unavailable",
            hint="The program needs jupyter-quantum[hub], and the URL of a migrated database.",
        )
    return done.stdout


@app.command()
def usage(
    by: Annotated[
        str, typer.Option(help="organisation, project, user, token, device_kind, device, day, week, month; commas.")
    ] = "project",
    project: Project = None,
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    device: Annotated[str | None, typer.Option(help="Only on this device.")] = None,
    since: Since = None,
    until: Until = None,
    csv: Annotated[bool, typer.Option("--csv", help="A table for a spreadsheet on stdout.")] = False,
    as_json: Json = False,
) -> None:
    """What was used and what it cost."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        given = {"project": project, "user": user, "device": device}
        asked: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        asked |= {"since": _zoned(since), "until": _zoned(until)}
        ledger, groups = Hub().ledger, by.split(",")
        if csv:
            sys.stdout.write(ledger.usage_csv(*groups, **asked).decode())
        else:
            tell(ledger.usage(*groups, **asked), as_json)


@app.command()
def accounts(
    project: Project = None,
    unit: Annotated[str | None, typer.Option(help="credits, shots, qpu_seconds, simulator_seconds, jobs.")] = None,
    as_json: Json = False,
) -> None:
    """Accounts with their balances."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().ledger.accounts(project, unit), as_json)


@app.command()
def entries(
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    job: Annotated[str | None, typer.Option(help="Only of this job.")] = None,
    after: Annotated[int, typer.Option(help="Only entries after this one.")] = 0,
    as_json: Json = False,
) -> None:
    """Entries, in the order in which they were made."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().ledger.entries(account, job, after=after), as_json)


@app.command()
def grants(project: Project = None, as_json: Json = False) -> None:
    """Grants and loans."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().ledger.grants(project), as_json)


@app.command()
def lend(
    grant: Annotated[str, typer.Argument(help="Id of a grant that may be lent; `grants` shows it.")],
    amount: Annotated[str, typer.Argument(help="Credits.")],
    from_project: Annotated[str, typer.Option("--from", help="Whose grant it is.")],
    to_project: Annotated[str, typer.Option("--to", help="Another project of the same organisation.")],
    as_json: Json = False,
) -> None:
    """Lend unused grant share; it comes back by itself when its owner needs it."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().ledger.lend(grant, amount, from_project=from_project, to_project=to_project), as_json)


@app.command()
def recall(loan: Annotated[str, typer.Argument(help="Id of the loan.")], as_json: Json = False) -> None:
    """Take a loan back: what is unspent and not on hold."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().ledger.recall(loan), as_json)


@app.command()
def prices(
    device: Annotated[str | None, typer.Option(help="Set a list of this device.")] = None,
    since: Annotated[datetime | None, typer.Option(help="From when on it holds; UTC where no zone is given.")] = None,
    per_task: Annotated[str, typer.Option(help="Credits.")] = "0",
    per_shot: Annotated[str, typer.Option(help="Credits.")] = "0",
    per_second: Annotated[str, typer.Option(help="Credits.")] = "0",
    per_queue_minute: Annotated[str, typer.Option(help="Credits.")] = "0",
    queue_minutes: Annotated[int, typer.Option(help="So many minutes of queue are charged at most.")] = 60,
    as_json: Json = False,
) -> None:
    """Price lists by device and date; with --device and --since, set one."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    if (device is None) != (since is None):
        raise typer.BadParameter("--device and --since go together")
    with guarded(as_json):
        ledger = Hub().ledger
        when = _zoned(since)
        if device is None or when is None:
            tell(ledger.prices(), as_json)
            return
        parts = {"per_task": per_task, "per_shot": per_shot, "per_second": per_second}
        parts["per_queue_minute"] = per_queue_minute
        tell(ledger.set_prices(device, when, queue_minutes=queue_minutes, **parts), as_json)


def _zoned(when: datetime | None) -> datetime | None:
    from datetime import UTC

    return when if when is None or when.tzinfo is not None else when.replace(tzinfo=UTC)
