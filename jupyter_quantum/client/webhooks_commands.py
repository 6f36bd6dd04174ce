"""``jupyter quantum admin webhooks …``: addresses that are told of events."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["app"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Webhook = Annotated[str, typer.Argument(help="Its id; `list` shows it.")]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Addresses that are told of events, with signed messages."
)


@app.command("list")
def list_(
    project: Annotated[str | None, typer.Option(help="Only webhooks of this project.")] = None, as_json: Json = False
) -> None:
    """Your own, and those of projects that you lead."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().webhooks.list(project), as_json)


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="https, and on the public internet unless an operator lists it.")],
    project: Annotated[str | None, typer.Option(help="A project that you lead; your own jobs where omitted.")] = None,
    event: Annotated[list[str] | None, typer.Option(help="job.moved, job.* …; all where omitted.")] = None,
    label: Annotated[str, typer.Option(help="For people.")] = "",
    as_json: Json = False,
) -> None:
    """Register an address. Prints the secret, this once."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().webhooks.add(url, events=event or [], project=project, label=label), as_json)


@app.command()
def remove(webhook: Webhook, as_json: Json = False) -> None:
    """Remove it, with what it could not deliver."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, write_json

    with guarded(as_json):
        Hub().webhooks.remove(webhook)
        if as_json:
            write_json({"removed": webhook})


@app.command()
def enable(webhook: Webhook, as_json: Json = False) -> None:
    """Go on with one that is disabled, after the last message that was delivered."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().webhooks.change(webhook, state="active"), as_json)


@app.command()
def rotate(webhook: Webhook, as_json: Json = False) -> None:
    """A new secret, printed this once; for 24 hours messages carry signatures of both."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().webhooks.rotate(webhook), as_json)


@app.command("test")
def send_test(webhook: Webhook, as_json: Json = False) -> None:
    """Send a test message. Exit code 1 where it is not taken."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import FAILED, guarded, tell

    with guarded(as_json):
        tried = Hub().webhooks.test(webhook)
        tell(tried, as_json)
        if not tried.ok:
            raise typer.Exit(FAILED)


@app.command()
def dead(webhook: Webhook, as_json: Json = False) -> None:
    """Messages that were given up after a day of tries."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().webhooks.dead(webhook), as_json)


@app.command()
def redeliver(
    webhook: Webhook, message: Annotated[str, typer.Argument(help="Its id; `dead` shows it.")], as_json: Json = False
) -> None:
    """Send a message again that was given up. Exit code 1 where it is not taken."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import FAILED, guarded, tell

    with guarded(as_json):
        tried = Hub().webhooks.redeliver(webhook, message)
        tell(tried, as_json)
        if not tried.ok:
            raise typer.Exit(FAILED)
