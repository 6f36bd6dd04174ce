"""Rows of devices that an operator admits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from jupyter_quantum.store.rows.base import Json

__all__ = ["AdmissionRow", "AdmissionState"]

AdmissionState = Literal["pending", "admitted", "rejected"]


@dataclass(frozen=True, slots=True)
class AdmissionRow:
    """What a runner announced that no configuration admits, and an operator's word about it."""

    device: str
    runner: str
    """The service of the hub whose runner announced it; empty for the runner on the service's own machine."""
    announcement: Json
    """``wire.runner.DeviceAnnouncement`` without the target, as the operator sees it and is bound to."""
    announced: datetime
    state: AdmissionState = "pending"
    why: str = ""
    """Why it waits: new, or what has changed since it was admitted, in words."""
    prices: Json | None = None
    """The price list that it was admitted with."""
    label: str | None = None
    max_seconds: float | None = None
    note: str | None = None
    decided_by: str | None = None
    """``Principal.id`` of the operator."""
    decided: datetime | None = None
