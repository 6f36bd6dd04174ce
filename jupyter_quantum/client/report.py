"""Reports: where circuits could run, at what price, with what chance, and what policy says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from qiskit.quantum_info import Pauli, PauliList, SparseObservable, SparsePauliOp

from jupyter_quantum.charts import Series, counts_table
from jupyter_quantum.client.circuits import Work, estimator_work, run_work, sampler_work
from jupyter_quantum.client.evidence import evidence
from jupyter_quantum.client.html import Html, clean, columns, details, esc, table
from jupyter_quantum.client.http import Connection
from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import Unavailable, error_from
from jupyter_quantum.wire.jobs import JobView, SourceView
from jupyter_quantum.wire.reports import DryRun, ReportLine, ReportRequest, ReportRow, ReportView

__all__ = ["HEAD", "Report", "cells", "report_lines", "work_again", "work_of"]

HEAD: Final = ("Device", "Kind", "2q", "Depth", "Success (est.)", "Start", "Price", "Verdict")
"""Columns of the comparison."""
_KEPT = ("shots", "memory", "abelian_grouping")
_MARKS = {"allow": "✓ ready", "needs_approval": "◆ approval", "refuse": "✕ not allowed"}


class Report:
    """A report of the service; ``hub.submit(report, device)`` runs what it validated.

    ``view`` has every number; the representation is the comparison of the devices.
    """

    def __init__(self, view: ReportView) -> None:
        self.view = view

    @property
    def id(self) -> str:
        """The report's id; ``hub.report("rep_…")`` reads it again."""
        return self.view.id

    @property
    def rows(self) -> list[ReportRow]:
        """One row a device."""
        return self.view.rows

    @property
    def text(self) -> str:
        """The first circuit, drawn as text."""
        return self.view.text

    def __getitem__(self, device: str) -> ReportRow:
        for row in self.view.rows:
            if row.device == device:
                return row
        raise KeyError(device)

    def why(self, device: str) -> str:
        """Policy's verdict, or why the circuit cannot run there, in a sentence or two."""
        return _why(self[device])

    @property
    def headline(self) -> str:
        """``bell · 2 qubits · 1 000 shots``."""
        view = self.view
        shots = words.shots(view.shots)
        several = f" · {words.plural(view.num_circuits, 'circuit')}" if view.num_circuits > 1 else ""
        return f"{clean(view.name)} · {words.plural(view.num_qubits, 'qubit')} · {shots}{several}"

    def _repr_html_(self) -> str:
        rows = [cells(row) for row in self.view.rows]
        why = table(("Device", "Why"), [(row.device, _why(row)) for row in self.view.rows])
        known = self._evidence()
        beside = details("Estimates", table(("Device", "Of", "What is known"), known)) if known else ""
        return Html(table(HEAD, rows, self.headline) + details("Why?", why) + beside + _dry_html(self.view.dry_run))

    def __repr__(self) -> str:
        rows = [tuple(map(clean, cells(row))) for row in self.view.rows]
        return "\n".join([self.headline, columns([HEAD, *rows]), *self.below()])

    def below(self) -> list[str]:
        """The lines below the comparison: each device's verdict in words, and the dry run."""
        why = [f"{clean(row.device)}: {clean(_why(row))}" for row in self.view.rows]
        known = [f"{clean(device)}, {name.lower()}: {clean(said)}" for device, name, said in self._evidence()]
        return [*why, *known, *_dry_lines(self.view.dry_run)]

    def _evidence(self) -> list[tuple[str, str, str]]:
        return [(row.device, *pair) for row in self.view.rows for pair in evidence(row)]


def _dry_title(dry: DryRun) -> str:
    what = "Dry run of a Clifford stand-in" if dry.stand_in else "Dry run"
    return f"{what} on {clean(dry.device)}, {words.shots(dry.shots)}" if dry.shots else f"{what} on {clean(dry.device)}"


def _dry_table(dry: DryRun) -> tuple[list[str], list[list[str]]]:
    """The outcomes that matter most, ideal beside noisy."""
    series = [Series("ideal", dry.ideal, "ideal"), Series("noisy", dry.noisy, "noisy")]
    heads, rows = counts_table([one for one in series if one.shares])
    return list(heads), [list(row) for row in rows]


def _dry_html(dry: DryRun | None) -> str:
    if dry is None:
        return ""
    shown = table(*_dry_table(dry), _dry_title(dry)) if dry.ideal or dry.noisy else ""
    return shown + (f"<p>{esc(dry.note)}</p>" if dry.note else "")


def _dry_lines(dry: DryRun | None) -> list[str]:
    if dry is None:
        return []
    heads, rows = _dry_table(dry) if dry.ideal or dry.noisy else ([], [])
    return [_dry_title(dry), *([columns([heads, *rows])] if rows else []), *([clean(dry.note)] if dry.note else [])]


def report_lines(connection: Connection, request: ReportRequest) -> Iterator[ReportLine]:
    """A report as it is made: first a row for each device, then rows as they are there, at last the whole.

    Where the lines break off, the report is asked for once more, whole. Raises the error that took its place.
    """
    whole = False
    try:
        for line in connection.post_lines("reports", ReportLine, request):
            if line.error is not None:
                said = line.error
                raise error_from(said.error, said.message, code=said.code, hint=said.hint, details=said.details)
            whole = line.report is not None
            yield line
    except Unavailable as error:
        if error.code not in _BROKEN:
            raise
    if not whole:
        yield ReportLine(report=connection.post("reports", ReportView, request))


_BROKEN: Final = {Unavailable.default_code, "hub.broken_off"}


def work_of(given: Any, shots: int | None, kind: str | None) -> Work:
    """Work from whatever ``run`` takes: circuits, OpenQASM text, PUBs of a sampler or of an estimator.

    ``kind`` (run, sampler, estimator) decides where given; else PUBs with an observable are an estimator's, other
    tuples a sampler's.
    """
    pubs = list(given) if isinstance(given, Iterable) and not isinstance(given, str | tuple) else [given]
    found = kind or _kind_of(pubs)
    if found == "estimator":
        return estimator_work(pubs, shots**-0.5 if shots else 0.015625)
    if found == "sampler":
        return sampler_work(pubs, shots or 1024)
    return run_work(given)


def work_again(job: JobView, source: SourceView, shots: int | None) -> tuple[Work, dict[str, Any]]:
    """The work of an earlier job and the options to keep; ``shots`` in place of its own where given.

    The seed and the compiler's settings that it ran with were that device's; a new run gets its own.
    """
    change: dict[str, Any] = {}
    if shots:
        change = {"shots": shots} if job.kind is JobKind.SAMPLER else {"precision": shots**-0.5}
    pubs = [pub.model_copy(update=change) for pub in source.pubs]
    options = {name: job.options[name] for name in _KEPT if job.options.get(name) is not None}
    return Work(job.kind, source.circuits, pubs, name=job.name), options


def _kind_of(pubs: list[Any]) -> str:
    tuples = [one for one in pubs if isinstance(one, tuple)]
    if any(len(one) > 1 and _observable(one[1]) for one in tuples):
        return "estimator"
    return "sampler" if tuples else "run"


def _observable(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and _observable(value[0])
    if isinstance(value, dict):
        return all(isinstance(key, str) and set(key) <= set("IXYZ01+-rl") for key in value)
    return isinstance(value, str | Pauli | PauliList | SparsePauliOp | SparseObservable)


def cells(row: ReportRow) -> tuple[str, ...]:
    """A row in words, a cell for each of :data:`HEAD`."""
    return (
        row.device,
        row.label,
        _count(row.two_qubit_gates),
        _count(row.depth),
        _success(row),
        _start(row),
        words.price(row.price),
        _verdict(row),
    )


def _count(value: int | None) -> str:
    return "–" if value is None else words.number(value)


def _success(row: ReportRow) -> str:
    if row.noise_free:
        return "noise-free"
    return "–" if row.success is None else words.with_range(row.success.value, row.success.low, row.success.high)


def _start(row: ReportRow) -> str:
    if row.wait is None or row.wait.p50 is None or row.state != "ready":
        return "–"
    return "now" if row.wait.p50 < 1 else f"about {words.seconds(row.wait.p50)}"


def _verdict(row: ReportRow) -> str:
    if row.pending:
        return "◷ checking"
    if row.problem and row.state not in ("offline", "drained"):
        return "✕ cannot run"
    if row.state != "ready":
        return f"■ {row.state}"
    return _MARKS[row.decision.effect] if row.decision else "–"


def _why(row: ReportRow) -> str:
    return row.problem or (row.decision.words if row.decision else "") or row.state
