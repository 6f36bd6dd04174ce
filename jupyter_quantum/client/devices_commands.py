"""``jupyter quantum devices``: list them; for operators, admit what runners announced, and take one out of order."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from jupyter_quantum.client import commands, operate_commands

__all__ = ["app"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Name = Annotated[str, typer.Argument(help="Name of the device.")]

app = typer.Typer(add_completion=False, help="List the devices that you may use; operators admit new ones.")


@app.callback(invoke_without_command=True)
def devices(context: typer.Context, as_json: Json = False) -> None:
    """List the devices that you may use; operators admit new ones."""
    if context.invoked_subcommand is None:
        commands.devices(as_json)


@app.command()
def pending(
    every: Annotated[bool, typer.Option("--all", help="Admitted and rejected ones, too.")] = False,
    as_json: Json = False,
) -> None:
    """Show devices that runners announced and that wait for an operator."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().admissions.list(None if every else "pending"), as_json)


@app.command()
def admit(
    device: Name,
    per_task: Annotated[str, typer.Option(help="Credits.")] = "0",
    per_shot: Annotated[str, typer.Option(help="Credits.")] = "0",
    per_second: Annotated[str, typer.Option(help="Credits.")] = "0",
    per_queue_minute: Annotated[str, typer.Option(help="Credits.")] = "0",
    free: Annotated[bool, typer.Option("--free", help="It costs nothing; needed where no price is given.")] = False,
    label: Annotated[str | None, typer.Option(help="Words for people, instead of the runner's.")] = None,
    max_seconds: Annotated[float | None, typer.Option(min=0.001, help="The longest that one run may take.")] = None,
    note: Annotated[str | None, typer.Option(help="Kept with the decision.")] = None,
    as_json: Json = False,
) -> None:
    """Let a device take jobs at a price. Needs a token with the scope custom:quantum:operate."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    prices = {
        "per_task": per_task,
        "per_shot": per_shot,
        "per_second": per_second,
        "per_queue_minute": per_queue_minute,
    }
    if free == any(price not in {"0", "0.0"} for price in prices.values()):
        raise typer.BadParameter("give a price (--per-task, --per-shot …), or --free")
    with guarded(as_json):
        tools = Hub().admissions
        looked = next((one.version for one in tools.list().admissions if one.device == device), None)
        said: dict[str, Any] = prices | {"label": label, "max_seconds": max_seconds, "note": note, "version": looked}
        tell(tools.admit(device, **said), as_json)


@app.command()
def reject(
    device: Name,
    note: Annotated[str, typer.Option(help="Why; kept in the record.")],
    as_json: Json = False,
) -> None:
    """Let a device take no jobs; one that was admitted is taken back, and what waits for it is cancelled."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().admissions.reject(device, note), as_json)


for _command in (
    operate_commands.pause,
    operate_commands.isolate,
    operate_commands.drain,
    operate_commands.recalibrate,
    operate_commands.resume,
    operate_commands.unknown,
    operate_commands.resolve,
    operate_commands.differences,
):
    app.command()(_command)
