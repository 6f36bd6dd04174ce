"""``jupyter quantum admin apply`` and ``admin tenants``: the file is shown as a plan first, then applied whole."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_quantum.exceptions import InputError

if TYPE_CHECKING:
    from jupyter_quantum.client.tenancy import PlanCard
    from jupyter_quantum.client.tenants_file import TenantsFile

__all__ = ["apply", "tenants"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def apply(
    file: Annotated[str, typer.Argument(help="tenants.yaml: all organisations and projects; what is not there goes.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Apply without asking.")] = False,
    plan_only: Annotated[bool, typer.Option("--plan", help="Show what would change, and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Make organisations and projects as a file declares them. Shows the plan first; can be run again."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.tenants_file import read_tenants
    from jupyter_quantum.client.terminal import guarded, say, write_json

    with guarded(as_json):
        told = read_tenants(file)
        hub = Hub()
        plan = hub.tenancy.plan(told.tenants)
        if not as_json:
            _show(plan, told)
        applied = False
        if plan.changes and not plan.problems and not plan_only:
            _agreed(yes, as_json)
            plan = hub.tenancy.apply(told.tenants, version=plan.version)
            applied = True
        if as_json:
            write_json({"applied": applied, **plan.model_dump(mode="json")})
        elif applied:
            say(f"✓ Applied: version {plan.version}.")
        if plan.problems:
            raise typer.Exit(1)


def _show(plan: PlanCard, told: TenantsFile) -> None:
    from jupyter_quantum.client.terminal import say

    typer.echo(repr(plan.model_copy(update={"problems": []})) if plan.changes or not plan.problems else "")
    for problem in plan.problems:
        say(f"✕ {told.say(problem)}")


def _agreed(yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise InputError("Nobody is here to agree to the plan.", code="apply.confirm", hint="Say --yes, or --plan.")
    if not typer.confirm("Apply this plan?"):
        raise typer.Exit(1)


def tenants(as_json: Json = False) -> None:
    """Show what is in force, and what declares it."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().tenancy.get(), as_json)
