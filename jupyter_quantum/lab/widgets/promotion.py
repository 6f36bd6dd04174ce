"""A promotion: report, choice, submission, job. Complete without a browser; the widget only shows it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, get_args

from jupyter_quantum.client.report import Report
from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.core.words import moment
from jupyter_quantum.exceptions import Conflict, InputError, QuantumError
from jupyter_quantum.lab.widgets import fallback, jobcard, plots, rows
from jupyter_quantum.lab.widgets.door import Door
from jupyter_quantum.lab.widgets.rows import Prefer
from jupyter_quantum.lab.widgets.watch import Watch
from jupyter_quantum.wire.jobs import JobView
from jupyter_quantum.wire.reports import DryRun, ReportLine, ReportRow, ReportView

if TYPE_CHECKING:
    from jupyter_quantum.lab.widgets.widget import PromotionWidget

__all__ = ["Promotion", "promote"]


_SOON_S: Final = 0.5
"""For how long a promotion waits for the whole report, in seconds; rows that take longer appear by themselves."""
_PATIENCE_S: Final = 2.0
"""For how long a display waits for the first dry run, in seconds; a later one appears by itself."""


def _now() -> datetime:
    return datetime.now().astimezone()


class Promotion:
    """What :func:`promote` returns: ``.report``, ``.submit(device)``, ``.job``. Displayed, it is the widget.

    Safe to use from several threads: the widget's acts and the watch run beside the notebook.
    """

    def __init__(self, door: Door, work: object, *, shots: int | None = None, prefer: Prefer = "fidelity") -> None:
        self._door, self._work, self._shots = door, work, shots
        self._lock = threading.RLock()
        self._listeners: list[Callable[[], None]] = []
        self._watch: Watch | None = None
        self._widget: PromotionWidget | None = None
        self._expires: datetime | None = None
        self._result: dict[str, Any] | None = None
        self._estimates: list[str] = []
        self._dry_runs: dict[str, DryRun | None] = {}
        self._dry_reports: dict[str, ReportView] = {}
        self._view: JobView | None = None
        self._selected: str | None = None
        self._report: ReportView = None  # type: ignore[assignment]  # the first line sets it
        self.prefer: Prefer = prefer
        self.note: dict[str, Any] | None = None
        self.offline: str = ""
        self._settled: Prefer | None = None
        self._failure: QuantumError | None = None
        self._complete = threading.Event()
        lines = door.lines(work, shots=shots)
        self._come(next(lines))
        self._early = threading.Thread(target=self._follow, args=(lines,), name="promotion-report", daemon=True)
        self._early.start()
        if self._complete.wait(_SOON_S) and self._failure is not None:
            raise self._failure
        if not self._complete.is_set():
            self._settled = prefer  # it is shown as it stands, and stays so

    @property
    def report(self) -> Report:
        """The answer of validation: ``.rows`` with a row for each device, ``.view`` with every number.

        Waits for rows that are still to come; raises what took their place.
        """
        self._complete.wait()
        if self._failure is not None:
            raise self._failure
        return Report(self._report)

    @property
    def selected(self) -> str | None:
        """The device that ``submit()`` takes where none is named; None while rows are still to come."""
        return self._selected

    @property
    def job(self) -> Any:
        """The job as ``hub.job(id)`` gives it; None before a submission."""
        return None if self._view is None else self._door.handle(self._view)

    @property
    def view(self) -> JobView | None:
        """The job as last seen; asks nothing."""
        return self._view

    def row(self, device: str) -> ReportRow:
        """The report's row for a device; :class:`InputError` (``device.unknown``) where there is none."""
        self._complete.wait()
        for row in self._report.rows:
            if row.device == device:
                return row
        known = ", ".join(row.device for row in self._report.rows)
        raise InputError(f"The report has no device {device!r}.", code="device.unknown", hint=f"It has {known}.")

    def select(self, device: str) -> None:
        """Choose the device that is submitted to next."""
        known = {row.device for row in self._report.rows}
        self._selected = device if device in known else self.row(device).device

    def submit(self, device: str | None = None, *, reason: str | None = None) -> Any:
        """Submit to ``device`` (the selected one where omitted) at no more than the report's highest price.

        Args:
            reason: for the person who approves, where policy asks for one.

        Returns:
            the job, as ``hub.job(id)`` gives it.

        Raises:
            Refused: policy or quota said no.
            Conflict: a job of this promotion is still under way (``promotion.active``).
        """
        self._complete.wait()
        row = self.row(device or self._selected or "")
        with self._lock:
            if self._view is not None and self._view.state not in FINAL:
                raise Conflict(
                    f"{self._view.name} is {jobcard.state_words(self._view)} on {self._view.device}.",
                    code="promotion.active",
                    hint="Cancel it first, or promote the circuit again for a second job.",
                )
            self._selected = row.device
            # With its dry run where there is one: whoever approves sees it.
            report = self._dry_reports.get(row.device, self._report)
            view = self._door.submit(report, row.device, reason=reason, max_price=row.price_at_most)
            self._start(view)
        return self.job

    def cancel(self) -> None:
        """Cancel the job; :class:`Conflict` where it has ended or there is none."""
        if self._view is None:
            raise Conflict("Nothing was submitted yet.", code="promotion.empty")
        self._moved(self._door.cancel(self._view))

    def replay(self) -> Any:
        """Run the completed job's work once more, with its options and seeds; its card then says how both compare.

        Raises:
            Conflict: there is no job that has completed (``promotion.empty``).
            Refused: policy or quota said no.
        """
        with self._lock:
            self._start(self._door.replay(self._completed()))
        return self.job

    def bundle(self) -> str:
        """Save the completed job's bundle, which a reviewer verifies offline; the name of the file.

        Raises:
            Conflict: there is no job that has completed (``promotion.empty``), or somebody has to agree first.
            Refused: the project's data may not leave it.
        """
        file = self._door.bundle(self._completed())
        self.note = None
        self._estimates = [*self._estimates, f"Saved as {file}. A reviewer runs: jupyter quantum bundle verify {file}"]
        self._tell()
        return file

    def _completed(self) -> JobView:
        if self._view is None or self._view.state is not JobState.COMPLETED:
            raise Conflict("No job of this promotion has completed yet.", code="promotion.empty")
        return self._view

    def validate(self, *, shots: int | None = None) -> Report:
        """Ask for a fresh report, with other ``shots`` if given; the job, if any, is left alone."""
        self._shots = shots or self._shots
        self._settled = None
        selected = self._selected
        self._take(self._door.report(self._work, shots=self._shots))
        if selected in {row.device for row in self._report.rows if rows.verdict(row)[0] != "refused"}:
            self._selected = selected
        self.note = None
        self._tell()
        return self.report

    def again(self) -> None:
        """Put the finished job aside and show the devices once more, with fresh numbers."""
        if self._view is not None and self._view.state in FINAL:
            self._view, self._result, self._estimates = None, None, []
        self.validate()

    def dry_run(self, device: str) -> DryRun | None:
        """The dry run on ``device``, made where it is not there yet; None where the device has none."""
        if device not in self._dry_runs:
            if not rows.plottable(self.row(device)):
                return None
            report = self._door.report(self._work, shots=self._shots, devices=[device], dry_run=device)
            self._dry_runs[device], self._dry_reports[device] = report.dry_run, report
            self._tell()
        return self._dry_runs[device]

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` (without arguments, from any thread) whenever something changed."""
        self._listeners.append(listener)

    def table(self) -> dict[str, Any]:
        """The table of devices, in words."""
        return rows.table(self._report, _now(), settled=self._settled)

    def plots(self) -> dict[str, Any]:
        """Device → chart of its dry run, for the dry runs that are there."""
        return {device: plots.dry_run_plot(dry) for device, dry in self._dry_runs.items()}

    def card(self) -> dict[str, Any] | None:
        """The job's card, in words; None before a submission."""
        if self._view is None:
            return None
        view = self._view
        card = jobcard.card(view, _now(), expires=self._expires, other=self._other(view), extra=self._estimates)
        return card | self._plot(view)

    def tell_error(self, error: QuantumError) -> None:
        """Show an error below the table, in the service's words."""
        self.note = {"text": error.message, "hint": error.hint or "", "code": error.code}
        self._tell()

    def _other(self, view: JobView) -> str | None:
        """Another device that is ready, for a job that did not end well: one with noise before a plain simulator."""
        ready = [row for row in self._report.rows if rows.verdict(row)[0] == "ok" and row.device != view.device]
        return rows.pick(ready, self.prefer)

    def _plot(self, view: JobView) -> dict[str, Any]:
        """The result, or until it is there what was predicted."""
        if self._result is not None or view.state in FINAL:
            return {"plot": self._result, "plot_title": f"Result of {view.device}"}
        return {"plot": plots.dry_run_plot(self._dry_runs.get(view.device)), "plot_title": f"Dry run on {view.device}"}

    def _come(self, line: ReportLine) -> None:
        """Take what a line of the report brings: rows in their places, or the whole."""
        if line.report is not None:
            chosen = self._selected
            self._take(line.report)
            self._selected = chosen or self._selected
            self._complete.set()
            return
        known = {row.device: row for row in line.rows}
        if self._report is None:
            self._report = _unfinished(line)
        else:
            kept = [known.get(row.device, row) for row in self._report.rows]
            self._report = self._report.model_copy(update={"rows": kept})

    def _follow(self, lines: Iterator[ReportLine]) -> None:
        """The rows that are still to come, then the dry run of the device that is selected at first."""
        try:
            for line in lines:
                self._come(line)
                self._tell()
        except QuantumError as error:
            self._failure = error
            self.tell_error(error)
        finally:
            self._complete.set()
        self._prefetch()

    def _take(self, report: ReportView) -> None:
        self._report = report
        self._selected = rows.pick(report.rows, self.prefer)
        self._dry_runs = {} if report.dry_run is None else {report.dry_run.device: report.dry_run}
        self._dry_reports = {}

    def _prefetch(self) -> None:
        """Without a dry run made ahead, the widget shows the reason on demand."""
        if self._selected is not None and self._failure is None:
            with contextlib.suppress(QuantumError):
                self.dry_run(self._selected)

    def _start(self, view: JobView) -> None:
        self.note, self._result, self._expires, self._estimates = None, None, None, []
        if self._watch is not None:
            self._watch.stop()
        self._view = None
        self._moved(view)
        if view.state not in FINAL:
            self._watch = Watch(self._door, view, moved=self._moved, offline=self._lost_touch, lost=self.tell_error)
            self._watch.start()

    def _moved(self, view: JobView) -> None:
        with self._lock:
            if self._view is not None and (view.id != self._view.id or view.version < self._view.version):
                return
            if view.state is JobState.AWAITING_APPROVAL and self._expires is None:
                self._expires = self._ask_expiry(view)
            if view.state is JobState.COMPLETED and self._result is None:
                self._fetch(view)
            self._view = view
        self._tell()

    def _ask_expiry(self, view: JobView) -> datetime | None:
        try:
            found: datetime | None = self._door.expires(view)
        except QuantumError:
            return None
        return found

    def _fetch(self, view: JobView) -> None:
        try:
            result = self._door.result(view)
        except QuantumError as error:
            self.note = {"text": error.message, "hint": error.hint or "", "code": error.code}
            return
        self._result = plots.result_plot(result, self._dry_runs.get(view.device))
        self._estimates = plots.estimates(result)
        if view.replay_of is not None:
            self._compare(view)

    def _compare(self, view: JobView) -> None:
        """Of a replay: how it compares with its first job."""
        try:
            self._estimates = [self._door.verdict(view), *self._estimates]
        except QuantumError as error:
            self._estimates = [f"Not compared with {view.replay_of}: {error.message}", *self._estimates]

    def _lost_touch(self, since: datetime | None) -> None:
        self.offline = (
            ""
            if since is None
            else (
                f"Quantum service unreachable since {moment(since, _now())}. "
                "Jobs continue there; this view catches up by itself."
            )
        )
        self._tell()

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()

    def __repr__(self) -> str:
        self._complete.wait()
        return fallback.text(self)

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        """Widget, plain HTML and text: each complete, for whatever the front end can show.

        The metadata tells our Lab extension that the HTML is to be shown where the widget's kernel is gone.
        """
        from jupyter_quantum.lab.widgets.widget import PromotionWidget, show  # late: only a display needs it

        if self._widget is None:  # one, however often it is displayed
            self._widget = PromotionWidget(self)
        if self._complete.is_set():
            self._early.join(_PATIENCE_S)
        data = {"text/plain": fallback.text(self), "text/html": fallback.html(self)} | show(self._widget)
        return data, {"jupyter_quantum": {"saved": "text/html"}}


def _unfinished(line: ReportLine) -> ReportView:
    """A report of which only the devices are known; it has no id, and cannot be submitted."""
    unknown: dict[str, Any] = {"id": "", "project": "", "text": "", "dry_run": None}
    unknown |= dict.fromkeys(("num_circuits", "num_qubits", "executions", "shots"), 0)
    return ReportView.model_construct(name=line.name, rows=line.rows, **unknown)


def promote(x: object, hub: Any = None, *, shots: int | None = None, prefer: Prefer = "fidelity") -> Promotion:
    """See where a circuit could run, at what price and success, and submit it with one click or ``.submit(device)``.

    Args:
        x: what ``backend.run`` takes (a circuit, a list of them, OpenQASM text), or a finished job.
        hub: the hub to ask; ``Hub()`` where omitted.
        shots: shots of each circuit; the device's default where omitted.
        prefer: which device is selected at first: ``"fidelity"``, ``"speed"`` or ``"cost"``.

    Raises:
        CircuitRejected: the circuit cannot be used anywhere.
        Unavailable: the service does not answer.
    """
    if prefer not in get_args(Prefer):
        raise InputError(
            f"prefer={prefer!r} is not known.", code="option.unknown", hint="It is fidelity, speed or cost."
        )
    from jupyter_quantum.lab.widgets.hubdoor import HubDoor

    return Promotion(HubDoor(hub), x, shots=shots, prefer=prefer)
