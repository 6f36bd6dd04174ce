"""Replays from Python: a job's work once more, and how the two compare."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from jupyter_quantum.client.compare import Verdict, compare
from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.origin import origin
from jupyter_quantum.client.submit import FIRST_WAIT_S, decided
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.core.money import credits_to_micro
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.wire.jobs import JobView, Provenance, ReplayRequest, SourceView
from jupyter_quantum.wire.results import ResultView

__all__ = ["compared", "norms_of", "original", "replay"]

_IDENTITY: Final = frozenset("I")


def replay(
    connection: Connection, job: str, device: str | None, *, max_price: float | None = None, reason: str | None = None
) -> JobView:
    """Run a job once more; raises the refusal if there is one. ``max_price`` in credits."""
    most = None if max_price is None else credits_to_micro(max_price)
    asked = ReplayRequest(device=device, max_price=most, reason=reason, origin=origin())
    view = connection.post(f"jobs/{job}/replay", JobView, asked, wait_s=FIRST_WAIT_S)
    return decided(connection, view)


def original(view: JobView) -> str:
    """The job that this one is a replay of. Raises Conflict ``replay.none``."""
    if view.replay_of is None:
        raise Conflict(
            f"{view.id} is not the replay of another job.",
            code="replay.none",
            hint="Say which to compare with: job.compare(other).",
        )
    return view.replay_of


def compared(connection: Connection, first: str, second: str, results: tuple[ResultView, ResultView]) -> Verdict:
    """How two jobs with these results compare, with what the calibration of each promised."""
    records = [connection.get(f"jobs/{job}/provenance", Provenance) for job in (first, second)]
    norms: list[NDArray[np.float64]] = []
    if results[0].kind is JobKind.ESTIMATOR:
        norms = norms_of(connection.get(f"jobs/{first}/source", SourceView))
    return compare(
        *results,
        success=(_success(records[0]), _success(records[1])),
        norms=norms,
        same_work=records[0].source == records[1].source,
    )


def _success(record: Provenance) -> float | None:
    """The low end of the chance that no modelled error occurs; 1 without noise."""
    if record.estimate.get("noise_free"):
        return 1.0
    found = record.estimate.get("success")
    return None if found is None else float(found["low"])


def norms_of(source: SourceView) -> list[NDArray[np.float64]]:
    """For each PUB the sum of the sizes of each observable's coefficients, the identity's left out."""
    return [_sizes(pub.observables) for pub in source.pubs]


def _sizes(observables: Any) -> NDArray[np.float64]:
    if isinstance(observables, list):
        return np.array([_sizes(one) for one in observables], dtype=np.float64)
    return np.asarray(sum(abs(factor) for label, factor in observables.items() if not _IDENTITY.issuperset(label)))


def waited(started: float, timeout: float | None) -> float | None:
    """What is left of a time-out that began then."""
    return None if timeout is None else max(0.0, timeout - (time.monotonic() - started))
