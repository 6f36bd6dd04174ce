"""``jupyter quantum devices …``: what operators do to devices and say about attempts (scope custom:quantum:operate)."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

__all__ = ["differences", "drain", "isolate", "pause", "recalibrate", "resolve", "resume", "unknown"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Device = Annotated[str, typer.Argument(help="Name of the device.")]
Reason = Annotated[str, typer.Option(help="Shown to those whose jobs wait.")]
Attempt = Annotated[str, typer.Argument(help="Tag of the attempt, job_…-1.")]
Note = Annotated[str, typer.Option(help="Kept in the record.")]
Action = Literal["pause", "isolate", "drain", "recalibrate", "resume"]


def _act(device: str, action: Action, reason: str, as_json: bool) -> None:
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().operations.set_state(device, action, reason=reason), as_json)


def pause(device: Device, reason: Reason = "", as_json: Json = False) -> None:
    """Start nothing; take jobs."""
    _act(device, "pause", reason, as_json)


def isolate(device: Device, reason: Reason = "", as_json: Json = False) -> None:
    """Start nothing, since something is wrong with it; what runs finishes."""
    _act(device, "isolate", reason, as_json)


def drain(device: Device, reason: Reason = "", as_json: Json = False) -> None:
    """Take no more jobs; the queue finishes."""
    _act(device, "drain", reason, as_json)


def recalibrate(device: Device, reason: Reason = "", as_json: Json = False) -> None:
    """Start nothing until it has a new calibration, then resume by itself."""
    _act(device, "recalibrate", reason, as_json)


def resume(device: Device, as_json: Json = False) -> None:
    """Take and start jobs again."""
    _act(device, "resume", "", as_json)


def unknown(as_json: Json = False) -> None:
    """List attempts of which nobody can tell whether the device ran them."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().operations.unknown(), as_json)


def resolve(
    attempt: Attempt,
    ran: Annotated[float | None, typer.Option(help="It ran and its result is lost: the credits that it cost.")] = None,
    not_run: Annotated[bool, typer.Option("--not-run", help="It did not run: its job waits again.")] = False,
    look: Annotated[bool, typer.Option("--look", help="Have the device asked for it.")] = False,
    note: Note = "",
    as_json: Json = False,
) -> None:
    """Say what became of an unknown attempt: one of --ran, --not-run, --look."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    if (ran is not None) + not_run + look != 1:
        raise typer.BadParameter("say one of --ran, --not-run and --look")
    verdict: Literal["ran", "not_run", "look"] = "ran" if ran is not None else "not_run" if not_run else "look"
    with guarded(as_json):
        tell(Hub().operations.resolve(attempt, verdict, charge=ran, note=note), as_json)


def differences(as_json: Json = False) -> None:
    """List attempts whose seconds the vendor counts otherwise than we do."""
    from jupyter_quantum.client.hub import Hub
    from jupyter_quantum.client.terminal import guarded, tell

    with guarded(as_json):
        tell(Hub().operations.differences(), as_json)
