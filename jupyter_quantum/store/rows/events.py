"""Rows of the record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jupyter_quantum.store.rows.base import Json

__all__ = ["EventRow"]


@dataclass(frozen=True, slots=True)
class EventRow:
    """One fact: audit leaf and outgoing event in one. ``seq`` is None until the leader numbers it."""

    id: str
    time: datetime
    type: str
    """``job.moved``, ``quota.changed``, ``device.changed``, ``approval.changed``, ``request.refused``, …"""
    actor: str
    """Pseudonym of who did it, or the part of the service that did it."""
    payload: Json
    """Canonical JSON (sorted keys, no spaces) of the whole leaf."""
    leaf: bytes
    """SHA-256 of 0x00 and the payload (RFC 6962, section 2.1)."""
    principal: str | None = None
    """Pseudonym of whose it is: decides who may see it."""
    project: str | None = None
    job: str | None = None
    seq: int | None = None
    """1, 2, 3 … without gaps, in the order that readers see; leaf ``seq - 1`` of the record's tree."""

    @property
    def data(self) -> Mapping[str, Any]:
        """What the writer passed as ``event=``; for a job also ``version``, ``from``, ``to`` and ledger ``entries``."""
        found: Mapping[str, Any] = json.loads(self.payload)["data"]
        return found
