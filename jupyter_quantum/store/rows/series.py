"""Rows of benchmark series, their runs, and how estimates turned out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from jupyter_quantum.store.rows.base import Json

__all__ = ["ScoreRow", "SeriesRow", "SeriesRunRow", "SeriesRunState"]

SeriesRunState = Literal["open", "done", "failed"]


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """Runs of the same circuits under the same conditions; other conditions are another series."""

    id: str
    key: str
    """Digest of everything below but the times: ``core.series.Conditions.key``."""
    device: str
    name: str
    """Name of the set of circuits."""
    circuits: str
    """Digest of the set."""
    options: Json
    """What the runs were asked with, shots and the transpiler's level and seed among them."""
    calibration: str
    """Digest of the calibration."""
    calibrated: datetime | None
    """When the device says that it was calibrated; None where it does not say."""
    compiler: Json
    """Name, version, level and seed."""
    created: datetime


@dataclass(frozen=True, slots=True)
class SeriesRunRow:
    """One run of a set on a device. Its job carries ``id`` as idempotency key, so it is submitted once."""

    id: str
    device: str
    circuits: str
    """Digest of the set."""
    options: Json
    created: datetime
    state: SeriesRunState = "open"
    job: str | None = None
    """None until the job is submitted."""
    series: str | None = None
    """Known once the job has run."""
    ended: datetime | None = None
    figures: Json = "[]"
    """List of ``wire.series.Figure``."""
    score: float | None = None
    """Mean of the figures; None where there are none."""
    code: str | None = None
    """Why there are none."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """What was estimated of a job that completed, and what came of it. None: not estimated, or not measured."""

    job: str
    device: str
    created: datetime
    success: float | None = None
    """Chance of success of the circuit with the least."""
    success_low: float | None = None
    success_high: float | None = None
    agreement: float | None = None
    """Hellinger fidelity (0…1) of that circuit's counts and ideal ones."""
    known: bool | None = None
    """Whether one bit string was the right answer, so that the agreement is how often it came."""
    seconds: float | None = None
    seconds_low: float | None = None
    seconds_high: float | None = None
    took: float | None = None
    """Seconds on the device."""
    price: int | None = None
    """Micro-credits, as the two below."""
    price_at_most: int | None = None
    cost: int | None = None
    wait: float | None = None
    """Seconds from the first forecast of its start to that start, median; as the two below."""
    wait_high: float | None = None
    """Ninth decile."""
    waited: float | None = None
