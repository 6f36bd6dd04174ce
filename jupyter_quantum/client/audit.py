"""The record, for auditors: ``hub.audit``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from jupyter_quantum.client import html
from jupyter_quantum.client.http import Connection
from jupyter_quantum.wire.audit import (
    AuditCheck,
    AuditEvent,
    AuditEvents,
    AuditKey,
    CheckpointView,
    ConsistencyProof,
    Forget,
    Forgotten,
    InclusionProof,
)

__all__ = ["AuditTable", "Audits", "CheckCard", "CheckpointCard", "ForgottenCard", "KeyCard", "ProofCard"]

_HEAD = ("nr", "time (UTC)", "type", "by", "project", "job", "what")


class AuditTable(AuditEvents):
    """Entries as a table, newest first; people by name where they were not forgotten."""

    def _named(self, pseudonym: str) -> str:
        return self.people.get(pseudonym, pseudonym)

    def _row(self, event: AuditEvent) -> tuple[str, ...]:
        said = {name: value for name, value in event.data.items() if isinstance(value, str | int) and value != ""}
        words = " ".join(f"{name}={value}" for name, value in sorted(said.items()))
        when = f"{event.time:%Y-%m-%dT%H:%M:%S}Z"
        return (
            str(event.seq),
            when,
            event.type,
            self._named(event.actor),
            event.project or "–",
            event.job or "–",
            words,
        )

    def __repr__(self) -> str:
        if not self.events:
            return "No entries match."
        rows = [tuple(map(html.clean, self._row(event))) for event in self.events]
        more = [] if self.next is None else [f"Older ones: before={self.next}"]
        return "\n".join([html.columns([_HEAD, *rows]), *more])

    def _repr_html_(self) -> str:
        return html.table(_HEAD, [self._row(event) for event in self.events])


class CheckpointCard(CheckpointView):
    """A checkpoint, shown as it is signed."""

    def __repr__(self) -> str:
        return self.note.rstrip("\n")


class CheckCard(AuditCheck):
    """What reading the whole record found."""

    def __repr__(self) -> str:
        if not self.problems:
            return f"Whole: {self.size} entries, as they were signed."
        return "\n".join(html.clean(problem) for problem in self.problems)


class KeyCard(AuditKey):
    """Public keys, one a line: what the verifier takes with ``--key``."""

    def __repr__(self) -> str:
        return "\n".join(self.keys)


class ProofCard(InclusionProof):
    """A proof that an entry is in the record, as a C2SP tlog-proof."""

    def __repr__(self) -> str:
        return self.proof.rstrip("\n")


class ForgottenCard(Forgotten):
    """What is left of a person."""

    def __repr__(self) -> str:
        return f"Forgotten. {self.changed} rows now say {self.pseudonym}; nobody can tell any more who that was."


class Audits:
    """Searches and exports the record, and brings proofs of it. Reading is recorded."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def search(
        self,
        *,
        who: str | None = None,
        project: str | None = None,
        job: str | None = None,
        device: str | None = None,
        type: str | None = None,  # noqa: A002 (the event's own word)
        effect: str | None = None,
        policy: str | None = None,
        code: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> AuditTable:
        """Entries that match all that is given, newest first; ``before`` is ``next`` of the page before."""
        wanted: dict[str, Any] = {"who": who, "project": project, "job": job, "device": device, "type": type}
        wanted |= {"effect": effect, "policy": policy, "code": code, "before": before, "limit": limit}
        wanted |= {"since": since and since.isoformat(), "until": until and until.isoformat()}
        return self._connection.get("audit/events", AuditTable, **wanted)

    def export(self) -> Iterator[bytes]:
        """The whole record up to a checkpoint made now, piece by piece: JSON Lines for the verifier."""
        yield from self._connection.pieces("audit/export")

    def checkpoint(self) -> CheckpointCard:
        """The newest signed checkpoint. Raises NotFound before the first."""
        return self._connection.get("audit/checkpoint", CheckpointCard)

    def key(self) -> KeyCard:
        """The public keys that checkpoints are verified with; the current one first."""
        return self._connection.get("audit/key", KeyCard)

    def check(self) -> CheckCard:
        """Have the service read its whole record and compare it with tree, keys and the second place's checkpoints.

        It trusts the service. :mod:`jupyter_quantum.audit_verify` trusts nobody.
        """
        return self._connection.get("audit/check", CheckCard, wait_s=600.0)

    def rotate(self) -> KeyCard:
        """Sign with a new key from now on, for administrators. Keep the old public key: older checkpoints need it."""
        return self._connection.post("audit/key/rotate", KeyCard)

    def prove(self, event: str | int) -> ProofCard:
        """That an entry (its id or number) is in the record that a checkpoint signed."""
        return self._connection.get("audit/proof/inclusion", ProofCard, event=event)

    def consistency(self, first: int, second: int) -> ConsistencyProof:
        """That the record at size ``first`` is how it began at size ``second``."""
        return self._connection.get("audit/proof/consistency", ConsistencyProof, first=first, second=second)

    def forget(self, user: str) -> ForgottenCard:
        """Forget a person, for administrators: their pseudonym stays in the record, and whose it was is gone."""
        return self._connection.post("admin/forget", ForgottenCard, Forget(user=user))
