"""Replay (R3): a job's work once more, as a request that goes through the door like any other.

Source, PUBs, options and seeds are those of the first job. On another device, an option that the device does not have
is left out where it was not chosen by a person: a seed of a simulator, or what the first device fills in by itself.
Any other option is sent along, and the door says which one the device lacks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.pipeline.registry import Registry
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.jobs import JobRequest, Pub, ReplayRequest

__all__ = ["check_replayable", "replay_request"]

_OWN: Final = frozenset({"method", "seed_simulator"})
"""Options that only simulators have: how they compute, not what."""


def check_replayable(row: JobRow) -> None:
    """Raise Conflict ``replay.unfinished`` unless the job has a result to compare with."""
    if row.state not in (JobState.COMPLETED, JobState.ARCHIVED):
        raise Conflict(
            f"There is nothing to compare a replay with: this job is {row.state.value}.",
            code="replay.unfinished",
            hint="A job that has completed can be replayed.",
        )


def replay_request(
    row: JobRow, circuits: CircuitBundle, pubs: list[Pub], asked: ReplayRequest, registry: Registry
) -> JobRequest:
    """The request that runs ``row`` once more."""
    device = asked.device or row.device
    mode: Literal["auto", "never"] = "never" if row.transpile == "never" else "auto"
    options = {name: value for name, value in json.loads(row.options).items() if value is not None}
    return JobRequest(
        device=device,
        kind=row.kind,
        circuits=circuits,
        pubs=pubs,
        options=options if device == row.device else _options(row, options, device, registry),
        transpile=mode,
        name=row.name,
        project=row.project,
        max_price=asked.max_price,
        reason=asked.reason,
        origin=asked.origin,
    )


def _options(row: JobRow, options: Mapping[str, Any], device: str, registry: Registry) -> dict[str, Any]:
    here, there = _schema(registry, row.device, row), _schema(registry, device, row)
    return {
        name: value
        for name, value in options.items()
        if name in there or not (name in _OWN or value == here.get(name, {}).get("default"))
    }


def _schema(registry: Registry, device: str, row: JobRow) -> Mapping[str, Any]:
    found = registry.get(device)
    schema: Mapping[str, Any] = {} if found is None else found.words.options.get(row.kind.value, {})
    properties: Mapping[str, Any] = schema.get("properties", {})
    return properties
