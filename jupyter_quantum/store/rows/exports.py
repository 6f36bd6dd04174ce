"""Rows of exports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from jupyter_quantum.store.rows.base import Json

__all__ = ["ExportRow", "ExportState"]

ExportState = Literal["review", "approved", "written", "ready", "taken", "rejected", "expired", "failed"]


@dataclass(frozen=True, slots=True)
class ExportRow:
    """Data of a job that leaves its project, or is to."""

    id: str
    job: str
    project: str
    principal: str
    """``Principal.id`` of who asked."""
    asked_by: str
    target: str
    classes: Json
    """JSON list: ``inputs``, ``results``."""
    reason: str
    created: datetime
    changed: datetime
    state: ExportState
    """``review``: a person decides; ``approved``: to be written to its target; ``ready``: to be downloaded, once."""
    decision: str
    """Policy's words."""
    request: str | None = None
    """Id of the request for review."""
    expires: datetime | None = None
    """Until when it may be downloaded."""
    place: str | None = None
    """Where it was written, below the target."""
    digest: str | None = None
    """Of the bundle."""
    size: int | None = None
    error: str | None = None
