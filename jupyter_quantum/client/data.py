"""Data at rest from Python: ``hub.data``. For administrators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from jupyter_quantum.client import html
from jupyter_quantum.client.http import Connection
from jupyter_quantum.wire.data import (
    AskExport,
    ExportList,
    ExportView,
    KeysView,
    RetentionDone,
    RetentionPlan,
    RotateKeys,
    ShredKeys,
)

__all__ = ["Data", "ExportCard", "ExportsCard", "KeysCard", "RetentionCard", "RetentionDoneCard"]


class KeysCard(KeysView):
    """Tenants with their keys, and how far a rotation is."""

    def __repr__(self) -> str:
        head = ("tenant", "version", "state", "algorithm", "master key", "created", "artefacts", "to seal again")
        rows: list[tuple[str, ...]] = [head]
        for tenant in self.tenants:
            for key in tenant.keys:
                counts = (f"{tenant.artefacts:,}", f"{tenant.pending:,}") if key.state == "current" else ("", "")
                created = key.created.strftime("%Y-%m-%d")
                parts = (tenant.tenant, f"{key.version}", key.state, key.algorithm, key.master, created, *counts)
                rows.append(tuple(map(html.clean, parts)))
        return html.columns(rows) + f"\nMaster key: {self.master or 'its provider does not answer'}."


class RetentionCard(RetentionPlan):
    """What is due, by project and class."""

    def __repr__(self) -> str:
        if not self.due:
            return "Nothing is due."
        rows = [("project", "data", "kept", "due")]
        rows += [(html.clean(one.project), one.data, f"{one.days:g} days", f"{one.count:,}") for one in self.due]
        return html.columns(rows)


class RetentionDoneCard(RetentionDone):
    """What was deleted."""

    def __repr__(self) -> str:
        return (
            f"Deleted: data of {self.jobs:,} jobs ({self.archived:,} archived), {self.reports:,} reports, "
            f"{self.artefacts:,} artefacts, {self.files:,} files."
        )


class ExportCard(ExportView):
    """One export."""

    def __repr__(self) -> str:
        what = " and ".join(self.classes)
        return f"{self.id} · {what} of {self.job} → {html.clean(self.target)} · {self.state}. {html.clean(self.words)}"


class ExportsCard(ExportList):
    """Exports, newest first."""

    def __repr__(self) -> str:
        if not self.exports:
            return "No exports."
        rows: list[tuple[str, ...]] = [("export", "job", "data", "target", "state", "asked by")]
        for one in self.exports:
            parts = (one.id, one.job, "+".join(one.classes), one.target, one.state, one.asked_by)
            rows.append(tuple(map(html.clean, parts)))
        return html.columns(rows)


class Data:
    """Exports of one's own data; keys and retention, for administrators (``custom:quantum:admin``)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keys(self) -> KeysCard:
        """Every tenant's keys; ``pending`` says how many artefacts a rotation has still to seal again."""
        return self._connection.get("keys", KeysCard)

    def rotate(self, tenant: str | None = None, *, master: bool = False) -> KeysCard:
        """Start a new data key of a tenant (of all where omitted), or a new master key; the rest follows by and by."""
        return self._connection.post("keys/rotate", KeysCard, RotateKeys(tenant=tenant, master=master))

    def shred(self, tenant: str, *, confirm: str, reason: str = "") -> KeysCard:
        """Destroy a tenant's keys. Raises Conflict ``data.open_jobs``; ``confirm`` is the tenant's name again."""
        return self._connection.post("keys/shred", KeysCard, ShredKeys(tenant=tenant, confirm=confirm, reason=reason))

    def retention(self) -> RetentionCard:
        """What is due to be deleted now."""
        return self._connection.get("retention", RetentionCard)

    def run_retention(self) -> RetentionDoneCard:
        """Delete it now; the service does so by itself every hour."""
        return self._connection.post("retention/run", RetentionDoneCard)

    def export(
        self, job: str, target: str, *, classes: Sequence[Literal["inputs", "results"]] = ("results",), reason: str = ""
    ) -> ExportCard:
        """Let data of a job leave its project for a named target; it goes at once, or after a review.

        Raises Refused ``export.target`` (the hint names those that are allowed), PolicyRefused.
        """
        asked = AskExport(job=job, target=target, classes=list(classes), reason=reason)
        return self._connection.post("exports", ExportCard, asked)

    def exports(self, *, job: str | None = None) -> ExportsCard:
        """Your exports, and those of projects that you lead, newest first."""
        return self._connection.get("exports", ExportsCard, job=job)

    def get_export(self, export: str) -> ExportCard:
        """One export."""
        return self._connection.get(f"exports/{export}", ExportCard)

    def take_export(self, export: str) -> bytes:
        """The bundle (a zip) of an export that is ready; it can be downloaded once."""
        return self._connection.file(f"exports/{export}/bundle")
