"""``jupyter quantum admin keys …`` and ``admin retention …``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_quantum.exceptions import InputError

if TYPE_CHECKING:
    from jupyter_quantum.client.data import KeysCard
    from jupyter_quantum.client.hub import Hub

__all__ = ["keys", "retention"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

keys = typer.Typer(add_completion=False, no_args_is_help=True, help="Keys that data is sealed with.")
retention = typer.Typer(add_completion=False, no_args_is_help=True, help="What is due to be deleted.")


@keys.command("list")
def list_(as_json: Json = False) -> None:
    """List each tenant's keys, and how many artefacts wait to be sealed with the current one."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().data.keys(), as_json)


@keys.command()
def rotate(
    tenant: Annotated[str | None, typer.Option(help="Only this project's, or `service`.")] = None,
    master: Annotated[bool, typer.Option("--master", help="The master key, instead of data keys.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until everything is sealed with the new key.")] = False,
    as_json: Json = False,
) -> None:
    """Start new keys. Artefacts are sealed again in the background, also over a restart of the service."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        if tenant is not None and master:
            raise InputError("Say --tenant or --master, not both.", code="usage")
        hub = Hub()
        view = hub.data.rotate(tenant, master=master)
        tell(_waited(hub, view) if wait else view, as_json)


def _waited(hub: Hub, view: KeysCard) -> KeysCard:
    from jupyter_quantum.client.terminal import say

    last = -1
    while left := sum(tenant.pending for tenant in view.tenants):
        if left != last:
            say(f"{left:,} artefacts to seal again")
        last = left
        time.sleep(1.0)
        view = hub.data.keys()
    return view


@keys.command()
def shred(
    tenant: Annotated[str, typer.Option(help="The project whose data nobody is to read again.")],
    confirm: Annotated[str | None, typer.Option(help="Its name again; asked for where omitted.")] = None,
    reason: Annotated[str, typer.Option(help="For the record.")] = "",
    as_json: Json = False,
) -> None:
    """Destroy a project's keys: its circuits and results are gone for good. Provenance and ledger stay."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        if confirm is None:
            if as_json or not sys.stdin.isatty():
                raise InputError("Nobody is here to confirm.", code="data.confirm", hint="Say --confirm NAME.")
            confirm = typer.prompt(f"This cannot be undone. The name of the project ({tenant})")
        tell(Hub().data.shred(tenant, confirm=confirm, reason=reason), as_json)


@retention.command()
def plan(as_json: Json = False) -> None:
    """Show what is due now; deletes nothing."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().data.retention(), as_json)


@retention.command()
def run(as_json: Json = False) -> None:
    """Delete what is due now; the service does so by itself every hour."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().data.run_retention(), as_json)
