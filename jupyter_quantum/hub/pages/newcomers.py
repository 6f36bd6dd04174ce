"""Devices that runners announced and that wait for an operator, as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_quantum.core import words
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.wire.devices import AdmissionView

if TYPE_CHECKING:
    from jupyter_quantum.pipeline import Pipeline

__all__ = ["Newcomer", "newcomers"]


@dataclass(frozen=True, slots=True)
class Newcomer:
    """One device that waits."""

    id: str
    """Where an error about it is shown."""
    name: str
    title: str
    facts: str
    why: str
    version: str


async def newcomers(pipeline: Pipeline, who: Principal) -> list[Newcomer]:
    """Those that wait; only operators may ask."""
    found = (await pipeline.admissions.list(who)).admissions
    return [_newcomer(view) for view in found if view.state == "pending"]


def _newcomer(view: AdmissionView) -> Newcomer:
    facts = [
        view.label,
        f"{view.kind.value} of {view.vendor or '–'}",
        words.plural(view.num_qubits, "qubit"),
        f"region {view.region}",
        f"runner {view.runner or 'on this machine'}" + ("" if view.serving else ", not there now"),
        f"jobs: {', '.join(view.jobs) or '–'}",
        f"after a crash: {view.recovery}",
    ]
    return Newcomer(
        id=f"new-{view.device}",
        name=view.device,
        title=f"{view.device} was announced",
        facts=" · ".join(facts),
        why="" if view.why == "new" else view.why,
        version=view.version,
    )
