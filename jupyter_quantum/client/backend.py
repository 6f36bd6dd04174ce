"""A device of the hub as Qiskit's ``BackendV2``: what legacy primitives, experiments and libraries call."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target

from jupyter_quantum.client import cards
from jupyter_quantum.client.circuits import CircuitLike, Work, run_work
from jupyter_quantum.client.foreign import refuse_local_simulation
from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.jobs import PrimitiveJob, RunJob, job_of
from jupyter_quantum.client.schema import check_options, properties
from jupyter_quantum.client.submit import Terms, names_of, send
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import CircuitRejected, QuantumError
from jupyter_quantum.targets import target_from_json
from jupyter_quantum.wire.devices import CalibrationRef, Devices, DeviceView, TargetView

__all__ = ["BackendList", "HubBackend"]

_DEFAULTS: Final[dict[str, Any]] = {"shots": 1024, "memory": False, "seed_simulator": None}


@dataclass(frozen=True, slots=True)
class _Calibrated:
    digest: str
    target: Target


class HubBackend(BackendV2):  # type: ignore[misc]  # Qiskit ships no types
    """One device. Get it with ``hub.backend(name)``; ``run`` is one call, one job, one hold.

    The Target is read from the service once a calibration; :meth:`refresh` looks for a newer one.
    """

    def __init__(self, connection: Connection, view: DeviceView, project: str | None = None) -> None:
        self._connection = connection
        self._project = project
        self._view = view
        self._lock = threading.Lock()
        self._calibrated: _Calibrated | None = None
        super().__init__(
            name=view.name,
            description=view.description or f"{view.label} {view.name}",
            backend_version=view.calibration.digest.removeprefix("sha256:")[:12],
        )
        have = properties(view, JobKind.RUN)
        self._options = Options(**{name: value for name, value in _DEFAULTS.items() if name in have})

    @property  # type: ignore[misc]  # read by isinstance; see client/foreign.py
    def __class__(self) -> type:
        if "_view" in self.__dict__:
            refuse_local_simulation(self.__dict__["_view"].name, depth=2)
        return HubBackend

    def __deepcopy__(self, _: object) -> HubBackend:
        return self

    @classmethod
    def _default_options(cls) -> Options:
        return Options(**_DEFAULTS)

    @property
    def connection(self) -> Connection:
        """The way to the service."""
        return self._connection

    @property
    def view(self) -> DeviceView:
        """The device as last seen: state, price list, wait, schema of its options."""
        return self._view

    @property
    def target(self) -> Target:
        """The device's Target at its current calibration, read once and kept."""
        refuse_local_simulation(self._view.name, depth=8)
        with self._lock:
            if self._calibrated is None:
                self._calibrated = self._read_target()
            return self._calibrated.target

    @property
    def max_circuits(self) -> int:
        """The most circuits of one call."""
        return self._view.max_circuits

    @property
    def max_shots(self) -> int:
        """The most shots of one circuit."""
        return self._view.max_shots

    @property
    def calibration(self) -> CalibrationRef:
        """Which calibration the Target rests on."""
        return self._view.calibration

    def refresh(self) -> HubBackend:
        """Look at the device again; a new calibration gives a new Target."""
        self.see(self._connection.get(f"devices/{quote(self._view.name, safe='')}", DeviceView))
        return self

    def see(self, view: DeviceView) -> None:
        """Take over what the service says of the device now."""
        with self._lock:
            if self._calibrated is not None and self._calibrated.digest != view.calibration.digest:
                self._calibrated = None
                self._coupling_map = None
            self._view = view

    def run(
        self,
        run_input: CircuitLike | Iterable[CircuitLike],
        shots: int | None = None,
        *,
        name: str | None = None,
        transpile: Literal["auto", "never"] = "auto",
        max_price: float | None = None,
        reason: str | None = None,
        fallback: str | Iterable[str] = (),
        fallback_after: float | None = None,
        **options: Any,
    ) -> RunJob:
        """Run circuits (or the text of an OpenQASM program) as one job.

        Args:
            run_input: a circuit, several, or OpenQASM 2 or 3 text; order and metadata come back unchanged.
            shots: of each circuit; the backend's default (1024) where omitted.
            name: what the job is called in lists; the first circuit's name where omitted.
            transpile: "never" refuses circuits that do not fit the Target instead of transpiling them.
            max_price: in credits; refuse where the run may cost more.
            reason: shown to who must approve the run.
            fallback: devices that the run may move to, in this order, where this one fails it or starts nothing; each
                one validates, prices and decides anew, and none may cost more unless ``max_price`` allows it.
            fallback_after: seconds to wait for a device that starts nothing; an hour where omitted.
            options: what the device has besides, such as ``memory`` and ``seed_simulator``.

        Raises:
            OptionRejected: an option that the device does not have; before anything is sent.
            CircuitRejected, PolicyRefused, QuotaExceeded: the service's refusals.
        """
        chosen = dict(self._options.items()) | {"shots": shots or self._options.get("shots")} | options
        if shots == 0:
            chosen["shots"] = 0
        set_options = check_options(self._view, JobKind.RUN, chosen)
        work = run_work(run_input)
        self._check_count(work)
        job = self.submit(
            work, set_options, Terms(name, transpile, max_price, reason, names_of(fallback), fallback_after)
        )
        assert isinstance(job, RunJob)
        return job

    def others_with(self, kind: JobKind, option: str) -> list[str]:
        """Names of devices that have this option for this kind of job; nothing where the service does not answer."""
        try:
            views = self._connection.get("devices", Devices, patience_s=2.0).devices
        except QuantumError:
            return []
        return [one.name for one in views if option in properties(one, kind)]

    def submit(self, work: Work, options: dict[str, Any], terms: Terms) -> RunJob | PrimitiveJob:
        """Send prepared work of any kind; what ``run``, samplers and estimators share."""
        view = send(self._connection, self._view.name, self._project, work, options, terms)
        return job_of(self._connection, view, work.metadata, lambda: self)

    def _check_count(self, work: Work) -> None:
        if work.count > self._view.max_circuits:
            raise CircuitRejected(
                f"{work.count} circuits are more than the {self.max_circuits} that {self.name} takes at once.",
                code="circuit.count",
                hint="Send them in several calls.",
            )

    def _read_target(self) -> _Calibrated:
        answer = self._connection.get(f"devices/{quote(self._view.name, safe='')}/target", TargetView)
        target = target_from_json(answer.target)
        target.description = target.description or self.description
        return _Calibrated(answer.calibration.digest, target)

    def __repr__(self) -> str:
        return f"<{self._view.name}: {self._view.label}, {self._view.num_qubits} qubits, {self._view.state}>"

    def _repr_html_(self) -> str:
        return cards.devices_html([self._view])


class BackendList(list[HubBackend]):
    """Backends that show as a table."""

    def _repr_html_(self) -> str:
        return cards.devices_html([one.view for one in self])

    def __repr__(self) -> str:
        return cards.devices_text([one.view for one in self])
