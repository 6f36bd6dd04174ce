"""Devices that wait for an operator, and what was decided about others."""

from __future__ import annotations

from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import ADMISSIONS
from jupyter_quantum.store.reading import Reading
from jupyter_quantum.store.rows import AdmissionRow

__all__ = ["AdmissionReads"]


class AdmissionReads(Reading):
    """Admissions, one or all."""

    def admission(self, device: str) -> AdmissionRow | None:
        """What is known of a device's admission; None where a configuration alone decides, or nobody announced it."""
        return self._get(ADMISSIONS, device)

    def admissions(self) -> list[AdmissionRow]:
        """All, by name."""
        return self._all(ADMISSIONS, ADMISSIONS.select.order_by(t.admissions.c.device))
