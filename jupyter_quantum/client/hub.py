"""The hub as a notebook sees it: ``hub = Hub()`` finds the service and the token by itself."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urljoin

from jupyter_quantum.client import cards
from jupyter_quantum.client.backend import BackendList, HubBackend
from jupyter_quantum.client.events import Subscription, follow, stream
from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.jobs import HubJob, PrimitiveJob, RunJob, job_of
from jupyter_quantum.client.options import EstimatorOptions, SamplerOptions
from jupyter_quantum.client.primitives import EstimatorV2, SamplerV2
from jupyter_quantum.client.report import Report, report_lines, work_again, work_of
from jupyter_quantum.client.resources import ResourcesCard, estimated
from jupyter_quantum.client.submit import Terms, names_of, send
from jupyter_quantum.core.ids import is_id
from jupyter_quantum.core.jobs import JobKind, JobState
from jupyter_quantum.exceptions import NotFound, Unauthenticated, Unavailable
from jupyter_quantum.wire.devices import Devices, DeviceView
from jupyter_quantum.wire.jobs import EventView, Jobs, JobView, SourceView
from jupyter_quantum.wire.reports import ReportLine, ReportRequest, ReportRow, ReportView

if TYPE_CHECKING:
    from jupyter_quantum.client.audit import Audits
    from jupyter_quantum.client.data import Data
    from jupyter_quantum.client.devices import AdmissionTools
    from jupyter_quantum.client.ledger import LedgerTools
    from jupyter_quantum.client.members import Members
    from jupyter_quantum.client.operate import Operations
    from jupyter_quantum.client.policy import ApprovalTable, Policy
    from jupyter_quantum.client.requests import Requests
    from jupyter_quantum.client.series import SeriesTools
    from jupyter_quantum.client.tenancy import Tenancy
    from jupyter_quantum.client.webhooks import WebhookTools

__all__ = ["Hub", "JobList"]

URL = "JUPYTER_QUANTUM_URL"
TOKEN = "JUPYTERHUB_API_TOKEN"  # noqa: S105 (the variable's name)
PROJECT = "JUPYTER_QUANTUM_PROJECT"


class JobList(list[RunJob | PrimitiveJob]):
    """Jobs that show as a table, newest first."""

    def _repr_html_(self) -> str:
        return cards.jobs_html([one.view for one in self])

    def __repr__(self) -> str:
        return cards.jobs_text([one.view for one in self])


class Hub:
    """The door to the devices. Safe to share between threads.

    Args:
        url: address of the service; from ``JUPYTER_QUANTUM_URL`` where omitted.
        token: a token of the hub; from ``JUPYTERHUB_API_TOKEN`` where omitted and the address is the hub's own.
        project: who pays; from ``JUPYTER_QUANTUM_PROJECT``, or your only project, where omitted.

    Raises:
        Unavailable: no address is known here.
        Unauthenticated: no token is known here.
    """

    def __init__(self, url: str | None = None, token: str | None = None, project: str | None = None) -> None:
        address = url or os.environ.get(URL)
        if not address:
            raise Unavailable(
                f"No quantum service is known here: {URL} is not set.",
                code="hub.unknown",
                hint=f"Work on a JupyterHub that offers one, or set {URL} and {TOKEN}; in Python, Hub(url=…, token=…).",
            )
        self.project = project or os.environ.get(PROJECT)
        self._connection = Connection(address, token or _own_token(address))
        self._backends: dict[str, HubBackend] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        payer = f", project {self.project}" if self.project else ""
        return f"<Hub at {self._connection.url}{payer}>"

    @property
    def page(self) -> str:
        """Address of the hub's quantum page; below the hub's own address where that is not known here."""
        page = os.environ.get("JUPYTER_QUANTUM_PUBLIC_URL") or f"{self._connection.url}/"
        return urljoin(os.environ.get("JUPYTERHUB_PUBLIC_URL", ""), page)

    # Devices

    def backend(self, name: str) -> HubBackend:
        """The device of this name as a Qiskit backend; the same object each time."""
        with self._lock:
            held = self._backends.get(name)
        if held is not None:
            return held
        return self._held(self._connection.get(f"devices/{_segment(name)}", DeviceView))

    def backends(self) -> BackendList:
        """The devices that you may use, as they are now."""
        views = self._connection.get("devices", Devices).devices
        return BackendList(self._held(view) for view in views)

    def least_busy(self, min_num_qubits: int = 0, *, simulators: bool = False) -> HubBackend:
        """The ready device with the shortest expected wait (ties: the cheaper, then by name).

        ``simulators=False`` leaves simulators out, as IBM's ``least_busy(simulator=False)`` does in most notebooks.
        """
        fit = [
            one
            for one in self.backends()
            if one.view.state == "ready"
            and one.view.num_qubits >= min_num_qubits
            and (simulators or one.view.kind.value != "simulator")
        ]
        if not fit:
            raise NotFound(
                "No device that fits is ready now.", code="device.none", hint="Look at hub.backends() for their states."
            )
        return min(fit, key=_busy)

    def sampler(
        self,
        name: str,
        options: Mapping[str, Any] | SamplerOptions | None = None,
        *,
        fallback: str | Iterable[str] = (),
    ) -> SamplerV2:
        """``SamplerV2(mode=hub.backend(name), options=options, fallback=fallback)``."""
        return SamplerV2(self.backend(name), options, fallback=fallback)

    def estimator(
        self,
        name: str,
        options: Mapping[str, Any] | EstimatorOptions | None = None,
        *,
        fallback: str | Iterable[str] = (),
    ) -> EstimatorV2:
        """``EstimatorV2(mode=hub.backend(name), options=options, fallback=fallback)``."""
        return EstimatorV2(self.backend(name), options, fallback=fallback)

    # Jobs

    def job(self, id: str) -> RunJob | PrimitiveJob:  # noqa: A002 (Qiskit's and IBM's word)
        """A job of yours by its id, also from an earlier workspace."""
        if not is_id(id, "job"):
            raise _no_job()
        return self._job(self._connection.get(f"jobs/{id}", JobView))

    def jobs(
        self,
        *,
        state: JobState | str | None = None,
        active: bool = False,
        limit: int = 20,
        project: str | None = None,
    ) -> JobList:
        """Your jobs, newest first; a lead sees a project's jobs with ``project=``."""
        found = self._connection.get(
            "jobs",
            Jobs,
            state=state and JobState(state).value,
            active=1 if active else None,
            limit=limit,
            project=project,
        )
        return JobList(self._job(view) for view in found.jobs)

    def report(
        self,
        circuits: Any,
        *,
        shots: int | None = None,
        devices: Iterable[str] | None = None,
        dry_run: str | None = None,
        kind: Literal["run", "sampler", "estimator"] | None = None,
        options: Mapping[str, Any] | None = None,
        name: str | None = None,
        transpile: Literal["auto", "never"] = "auto",
        on_rows: Callable[[list[ReportRow]], object] | None = None,
    ) -> Report:
        """Where these circuits could run, at what price; runs nothing on a device.

        Args:
            circuits: what ``run`` takes (circuits, PUBs, OpenQASM text), a job, or the id of a report to read again.
            shots: of each circuit that names none; 1024 where omitted.
            devices: only these; all that you may use where omitted.
            dry_run: a device to simulate on, ideal and noisy, for comparison.
            kind: what to make of the circuits; guessed from the PUBs where omitted.
            options: as the devices' schemas name them (``seed_simulator`` …).
            name: what the job to come is called.
            transpile: "never" refuses circuits that do not fit instead of transpiling them.
            on_rows: called with rows while the report is made: first one for each device, those that are being
                checked marked *pending*, then some again as soon as they are known, at last all.
        """
        if isinstance(circuits, str) and is_id(circuits, "rep"):
            return Report(self._connection.get(f"reports/{circuits}", ReportView))
        request = self._report_request(circuits, shots, kind, dict(options or {}), name, transpile)
        request = request.model_copy(update={"devices": None if devices is None else list(devices), "dry_run": dry_run})
        *_, last = (self._told(line, on_rows) for line in report_lines(self._connection, request))
        assert last.report is not None  # the last line has it
        return Report(last.report)

    def resources(self, circuit: Any, *, name: str | None = None) -> ResourcesCard:
        """What a fault-tolerant computer would take for a circuit: logical and physical qubits, T gates, run time.

        Args:
            circuit: one circuit, or OpenQASM text; its width is not bounded by the devices here.
            name: what it is called.

        Raises:
            NotFound: ``resources.none``, where no runner can say.
        """
        request = self._report_request(circuit, None, "run", {}, name, "auto")
        return estimated(self._connection, request)

    def submit(
        self,
        report: Report | str,
        device: str,
        *,
        max_price: float | None = None,
        reason: str | None = None,
        fallback: str | Iterable[str] = (),
        fallback_after: float | None = None,
    ) -> RunJob | PrimitiveJob:
        """Run what a report validated on ``device``.

        ``max_price`` (credits) refuses where it may cost more; ``reason`` is shown to who must approve it;
        ``fallback`` and ``fallback_after`` as in :meth:`HubBackend.run`.
        """
        rep = report.id if isinstance(report, Report) else report
        allowed = names_of(fallback)
        terms = Terms(None, max_price=max_price, reason=reason, fallback=allowed, fallback_after=fallback_after)
        return self._job(send(self._connection, device, self.project, None, {}, terms, report=rep))

    def follow(self, job: HubJob | str, callback: Callable[[JobView], object]) -> Subscription:
        """Call ``callback(view)`` from a daemon thread: at once, after each move, last in a final state.

        ``stop()`` of what it returns ends the following, never the job.
        """
        return follow(self._connection, job if isinstance(job, str) else job.view.id, callback)

    def events(self, after: int | None = None) -> Iterator[EventView]:
        """What happens to your jobs, quota and devices, as it happens; endless, connects again by itself."""
        return stream(self._connection, after)

    def subscribe(self, callback: Callable[[EventView], object]) -> Subscription:
        """Call ``callback(event)`` for each event, from a daemon thread."""

        def run(stopped: threading.Event) -> None:
            for event in stream(self._connection):
                if stopped.is_set():
                    return
                callback(event)

        return Subscription(run, "quantum-events")

    # Me

    def quota(self, project: str | None = None) -> cards.QuotaCard:
        """What is left for you to spend, and until when."""
        return self._connection.get("quota", cards.QuotaCard, project=project or self.project)

    def usage(self, *, limit: int = 200) -> cards.UsageCard:
        """What your latest ``limit`` jobs cost, by device."""
        return cards.UsageCard([job.view for job in self.jobs(limit=limit)])

    def me(self) -> cards.MeCard:
        """Who the service takes you for: name, projects, roles."""
        return self._connection.get("me", cards.MeCard)

    # Areas, imported when they are first used

    def approvals(self, state: str = "open") -> ApprovalTable:
        """Requests for a job's approval that you made or may see; ``state="all"`` shows decided ones, too.

        They are decided on :attr:`page`, by a person who is signed in there.
        """
        from jupyter_quantum.client.policy import ApprovalTable

        return self._connection.get("approvals", ApprovalTable, state=state)

    @cached_property
    def policy(self) -> Policy:
        """The rules in force, decisions explained, what was approved ahead."""
        from jupyter_quantum.client.policy import Policy

        return Policy(self._connection)

    @cached_property
    def audit(self) -> Audits:
        """The record, for auditors."""
        from jupyter_quantum.client.audit import Audits

        return Audits(self._connection)

    @cached_property
    def requests(self) -> Requests:
        """What you asked a person for, and what waits for your decision."""
        from jupyter_quantum.client.requests import Requests

        return Requests(self._connection)

    @cached_property
    def webhooks(self) -> WebhookTools:
        """Addresses that are told of events."""
        from jupyter_quantum.client.webhooks import WebhookTools

        return WebhookTools(self._connection)

    @cached_property
    def data(self) -> Data:
        """Exports of your data; keys and retention, for administrators."""
        from jupyter_quantum.client.data import Data

        return Data(self._connection)

    @cached_property
    def members(self) -> Members:
        """Who is in which project for how long; joining, and roles for a while."""
        from jupyter_quantum.client.members import Members

        return Members(self._connection)

    @cached_property
    def tenancy(self) -> Tenancy:
        """Organisations and projects, for administrators."""
        from jupyter_quantum.client.tenancy import Tenancy

        return Tenancy(self._connection)

    @cached_property
    def series(self) -> SeriesTools:
        """Benchmark series: ``hub.series()`` lists them; ``of``, ``leaderboards``, ``csv``, ``run`` (operators)."""
        from jupyter_quantum.client.series import SeriesTools

        return SeriesTools(self._connection)

    @cached_property
    def admissions(self) -> AdmissionTools:
        """Devices that runners announced; for operators."""
        from jupyter_quantum.client.devices import AdmissionTools

        return AdmissionTools(self._connection)

    @cached_property
    def operations(self) -> Operations:
        """Devices in and out of order, attempts to look into; for operators."""
        from jupyter_quantum.client.operate import Operations

        return Operations(self._connection)

    @cached_property
    def ledger(self) -> LedgerTools:
        """What was used and what it cost; grants, loans, price lists."""
        from jupyter_quantum.client.ledger import LedgerTools

        return LedgerTools(self._connection)

    def _held(self, view: DeviceView) -> HubBackend:
        with self._lock:
            held = self._backends.get(view.name)
            if held is None:
                held = self._backends[view.name] = HubBackend(self._connection, view, self.project)
            else:
                held.see(view)
            return held

    def _job(self, view: JobView) -> RunJob | PrimitiveJob:
        return job_of(self._connection, view, None, lambda: self.backend(view.device))

    def _told(self, line: ReportLine, on_rows: Callable[[list[ReportRow]], object] | None) -> ReportLine:
        if on_rows is not None:
            on_rows(line.rows if line.report is None else line.report.rows)
        return line

    def _report_request(
        self, given: Any, shots: int | None, kind: str | None, options: dict[str, Any], name: str | None, transpile: Any
    ) -> ReportRequest:
        common = {"options": options, "name": name, "project": self.project, "transpile": transpile}
        kept: dict[str, Any] = {}
        if isinstance(given, HubJob):
            source = self._connection.get(f"jobs/{given.view.id}/source", SourceView)
            work, kept = work_again(given.view, source, shots)
        else:
            work = work_of(given, shots, kind)
        if work.kind is JobKind.RUN and shots:
            kept["shots"] = shots
        common |= {"options": kept | options, "name": name or work.name}
        return ReportRequest(kind=work.kind, circuits=work.circuits, pubs=work.pubs, **common)


def _own_token(address: str) -> str:
    """The server's token, for the hub's own address only: it is not sent anywhere else."""
    token = os.environ.get(TOKEN)
    own = os.environ.get(URL, "")
    if not token or address.rstrip("/") != own.rstrip("/"):
        raise Unauthenticated(
            f"There is no token for {address}.",
            hint=f"Set {TOKEN}, or Hub(token=…): the page /hub/token makes one. A server of the hub has its own.",
        )
    return token


def _segment(name: str) -> str:
    return quote(name, safe="")


def _busy(backend: HubBackend) -> tuple[float, int, str]:
    view = backend.view
    wait = math.inf if view.wait.p50 is None else view.wait.p50
    return wait, view.price.per_task + 1000 * view.price.per_shot, view.name


def _no_job() -> NotFound:
    return NotFound("No such job, or it is not visible to you.")
