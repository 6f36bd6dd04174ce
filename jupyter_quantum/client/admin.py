"""``jupyter quantum admin …``: the frame; each area brings its commands and is one line here.

The modules of the commands import the client only when a command runs, so that ``--help`` answers at once. Decisions
are not among them: a person makes those, signed in on the hub's page.
"""

from __future__ import annotations

import typer

from jupyter_quantum.client import (
    audit_commands,
    data_commands,
    ledger_commands,
    members_commands,
    tenancy_commands,
    webhooks_commands,
)

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Administrate tenants, members, ledger, data. Needs a token with the scope custom:quantum:admin.",
)


app.command()(tenancy_commands.apply)
app.command()(tenancy_commands.tenants)
app.add_typer(members_commands.app, name="members")
app.add_typer(members_commands.tokens, name="tokens")
app.add_typer(ledger_commands.app, name="ledger")
app.add_typer(webhooks_commands.app, name="webhooks")
app.add_typer(data_commands.keys, name="keys")
app.add_typer(data_commands.retention, name="retention")
app.command()(audit_commands.forget)


@app.callback()
def _frame() -> None:
    """Administrate tenants, members, ledger, data. Needs a token with the scope custom:quantum:admin."""
