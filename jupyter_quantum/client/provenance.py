"""How a result came to be, as a person reads it: sentences and numbers, no names of fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from jupyter_quantum.client.cards import cost
from jupyter_quantum.client.html import Html, clean, columns, details, esc, table, time_tag, when
from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.wire.devices import CalibrationRef
from jupyter_quantum.wire.jobs import Origin, Provenance

__all__ = ["ProvenanceCard"]

_HASH: Final = 16
"""Digits of a digest that are shown as HTML."""
_MOVES: Final = {
    JobState.DRAFT: "sent",
    JobState.VALIDATED: "validated",
    JobState.AWAITING_APPROVAL: "waits for approval",
    JobState.QUEUED: "queued",
    JobState.SCHEDULED: "given to the device",
}
_APPROVALS: Final = {
    "open": "approval asked for",
    "approved": "approved",
    "rejected": "rejected",
    "expired": "request for approval expired",
    "withdrawn": "request for approval withdrawn",
}
_ENTRIES: Final = {"ledger.changed": "paid", "job.changed": "changed"}


class ProvenanceCard(Provenance):
    """How a result came to be. Unknown is ``–``."""

    def rows(self) -> list[tuple[str, str]]:
        """The record as pairs of words, complete."""
        return [(name, ", ".join(map(clean, parts)) or "–") for name, parts in self._said()]

    def _said(self) -> list[tuple[str, list[str]]]:
        """Name and parts; what there is only for some runs is left out where there is none."""
        job, here, where = self.job, self.estimate, self.times
        found: list[tuple[str, list[str]]] = [
            ("Job", [self.id]),
            ("Ran on", [f"{job.device} ({job.device_label})"]),
            ("By", [self.user, job.project]),
            ("Sent from", _origin(job.origin)),
            ("Circuits sent", [self.source]),
            ("Circuits run", [_executable(self.executable, self.source)]),
            ("Transpiled", [_transpiled(self.transpile, self.compiler, job.num_circuits)]),
            ("Software", [f"{name} {version}" for name, version in self.versions.items()]),
            ("Calibration", _calibration(self.calibration)),
            ("Policy", [self.policy.words if self.policy else "–"]),
            ("Approved by", [self.approver or ("–" if self.policy is None else "not needed")]),
            ("Submitted", [when(job.submitted)]),
            ("Waited", [words.seconds(where.get("queue_seconds"))]),
            ("Ended", [when(job.ended)]),
            ("Attempts", [words.number(len(self.attempts)) if self.attempts else "–"]),
            ("Success", [_expected(here)]),
            ("Time", [_against(here.get("seconds"), self.actual.get("seconds"))]),
            ("Cost", [cost(job)]),
            ("Mitigation", [_mitigation(self.mitigation)]),
        ]
        some = [
            ("Vendor's ids", [str(one) for done in self.attempts for one in done.get("handles") or []]),
            ("Session there", _sessions(self.attempts)),
            ("Replay of", [job.replay_of] if job.replay_of else []),
            ("Remarks", [words.MARKS.get(mark, mark) for mark in self.marks]),
        ]
        return found + [(name, parts) for name, parts in some if parts]

    def __repr__(self) -> str:
        return columns(self.rows())

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Digests are cut, since nothing may break them where a cell is narrow; the text has them whole."""
        rows = [(name, Html(", ".join(esc(_cut(part)) for part in parts) or "–")) for name, parts in self._said()]
        moves = [(_entry(one), _moment(one.get("time")), _cut(one.get("hash") or "–")) for one in self.events]
        said = f"{words.number(len(moves))} {'entry' if len(moves) == 1 else 'entries'} of the record"
        shown = table((), rows, f"Provenance of {self.job.name}")
        return shown + (details(said, table(("What", "When", "Hash"), moves)) if moves else "")


def _origin(told: Origin | None) -> list[str]:
    parts = [] if told is None else [told.notebook or "", f"cell {told.cell}" if told.cell else ""]
    return [part for part in parts if part]


def _executable(ran: str | None, source: str) -> str:
    return "–" if ran is None else "the same" if ran == source else ran


def _transpiled(told: Mapping[str, Any], compiler: Mapping[str, Any], circuits: int) -> str:
    """Whether the circuits were altered, and by what."""
    altered = told.get("altered")
    if altered is None:
        return "–"
    if not altered:
        return "no, as was asked" if told.get("mode") == "never" else "no, they fitted the device as they were sent"
    name = " ".join(str(part) for part in (compiler.get("name"), compiler.get("version")) if part)
    how = [f"by {name}"] if name else []
    how += [f"level {told['level']}"] if told.get("level") is not None else []
    how += [f"seed {told['seed']}"] if told.get("seed") is not None else []
    some = compiler.get("circuits") or []
    share = f" ({len(some)} of {words.plural(circuits, 'circuit')})" if 0 < len(some) < circuits else ""
    return f"{', '.join(how) or 'yes'}{share}"


def _calibration(told: CalibrationRef | None) -> list[str]:
    if told is None:
        return []
    return ([] if told.at is None else [f"of {when(told.at)}"]) + [told.digest]


def _sessions(attempts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The vendor's sessions that attempts ran in, each once, and what they are there."""
    found = [f"{one['session']} ({one.get('session_mode')})" for one in attempts if one.get("session")]
    return list(dict.fromkeys(found))


def _expected(estimate: Mapping[str, Any]) -> str:
    """The chance of success that was expected; ``–`` where it was not known."""
    found = estimate.get("success")
    if found is None:
        return "noise-free" if estimate.get("noise_free") else "–"
    return f"{words.with_range(found['value'], found['low'], found['high'])} expected"


def _against(expected: Mapping[str, float] | None, actual: float | None) -> str:
    said = "–" if actual is None else f"{actual:.3g} s"
    return said if expected is None else f"{said}; {expected['value']:.3g} s expected"


def _mitigation(told: Mapping[str, Any]) -> str:
    if not told.get("method"):
        return str(told.get("why") or "none")
    qubits = ", ".join(map(str, told.get("qubits", [])))
    return f"{told['method']} by {told.get('library')} {told.get('version')}, qubits {qubits}"


def _entry(event: Mapping[str, Any]) -> str:
    """What an entry of the record says happened."""
    data, kind = event.get("data") or {}, str(event.get("type", "–"))
    if kind == "approval.changed":
        return _APPROVALS.get(str(data.get("state")), kind)
    try:
        state = JobState(data["to"])
    except (KeyError, ValueError):
        return _ENTRIES.get(kind, kind)
    return _MOVES.get(state) or words.job_state(state, data.get("code"))


def _moment(text: str | None) -> Html | str:
    try:
        return time_tag(datetime.fromisoformat(text or ""))
    except ValueError:
        return text or "–"


def _cut(text: str) -> str:
    """A digest by its first digits, enough to find it; other text as it is."""
    head, colon, digits = text.rpartition(":")
    whole = len(digits) == 64 and not set(digits) - set("0123456789abcdef")
    return f"{head}{colon}{digits[:_HASH]}…" if whole else text
