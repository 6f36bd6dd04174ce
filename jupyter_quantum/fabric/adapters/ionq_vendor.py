"""IonQ's API v0.4 through the client of its real SDK.

*Opaque*: IonQ has no id of the caller's choice and nothing to search by. The SDK posts again by itself on 429 and 5xx;
here a job is posted once, and one that was not answered is *unsure*: nobody runs it again, an operator looks for the
tag among the jobs' metadata in IonQ's console.

IonQ's sessions (``/sessions``; for accounts that have them) keep a machine, so that they are opened only where the
operator says ``sessions = "dedicated"``. They have no name: one whose answer was lost is not opened again, and ends by
its own limit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import permutations
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, Target
from qiskit_ionq.exceptions import IonQAPIError
from qiskit_ionq.ionq_client import Characterization, IonQClient

from jupyter_quantum.fabric.adapters.faults import judged, told
from jupyter_quantum.fabric.adapters.vendor import (
    Answer,
    Calibration,
    SessionStatus,
    Status,
    Submission,
    Vendor,
    VendorRefused,
    VendorUnsure,
)
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.targets import target_to_json

__all__ = ["IonqSettings", "IonqVendor"]

_STATES: Final = {
    "submitted": Submission.QUEUED,
    "ready": Submission.QUEUED,
    "started": Submission.RUNNING,
    "running": Submission.RUNNING,
    "completed": Submission.DONE,
    "failed": Submission.FAILED,
    "canceled": Submission.CANCELLED,
}
_RETRY: Final = frozenset({"InternalError", "SimulationTimeout", "SystemCancel"})
"""Codes of a failed job of which IonQ's documentation does not blame the circuit."""
_MINUTE_S: Final = 60
_ONE: Final = ("x", "y", "z", "h", "s", "sdg", "sx", "sxdg", "t", "tdg", "rx", "ry", "rz", "p", "id")
_TWO: Final = ("cx", "rxx", "ryy", "rzz", "swap")
_ERRORS_OF: Final = {"cx": 1, "rxx": 1, "ryy": 1, "rzz": 1, "swap": 3}
"""Entangling gates of the machine that each comes to."""


class IonqSettings(OwnSettings):
    """What an IonQ device is told beside the settings of every device; its secret holds ``token``."""

    backend: str = "simulator"
    """``simulator`` or, as IonQ names it, ``qpu.forte-1``."""
    gateset: str = "qis"
    """``qis``: IonQ compiles; ``native``: a worker writes GPi, GPi2, MS or ZZ, and IonQ runs them as they are."""
    url: str = "https://api.ionq.co/v0.4"


class IonqVendor(Vendor):
    """One backend of IonQ's cloud."""

    submit_s = 45.0

    def __init__(self, spec: DeviceSpec, secret: Mapping[str, str]) -> None:
        self._own = spec.own(IonqSettings)
        if self._own.gateset not in {"qis", "native"}:
            raise ValueError(f"device {spec.name}: gateset: it is qis or native")
        self._token = secret.get("token", "")
        if not self._token:
            raise ValueError(f"device {spec.name}: its secret has no token")
        self._client = IonQClient(self._token, self._own.url)

    def _judged(self, *, submitting: bool = False) -> Any:
        return judged("IonQ", (self._token,), submitting=submitting)

    def _get(self, *parts: str, **params: Any) -> Any:
        answer: requests.Response = self._client.get_with_retry(  # type: ignore[no-untyped-call]
            self._client.make_path(*parts), params=params or None, headers=self._client.api_headers
        )
        IonQAPIError.raise_for_status(answer)
        return answer.json()

    def announce(self) -> Calibration:
        """Connect, and describe the backend."""
        return self.calibration()

    def calibration(self) -> Calibration:
        """Target with the median errors of IonQ's last characterization; a simulator has none."""
        with self._judged():
            backend = self._get("backends", self._own.backend)
            found: list[dict[str, Any]] = []
            if self._own.backend != "simulator":
                said = self._get("backends", self._own.backend, "characterizations", limit=1)
                found = said.get("characterizations") or []
            known = Characterization(found[0]) if found else None
            target = _target(self._own.backend, int(backend["qubits"]), known)
            return Calibration(target_to_json(target), known.date.astimezone(UTC) if known else None)

    def submit(self, tag: str, payload: bytes) -> str:
        """Post the job, once; the tag is in its metadata, for people."""
        return self._post("jobs", self._body(tag, payload))

    def submit_in_session(self, session: str, tag: str, payload: bytes) -> str:
        """The same, in a session of IonQ's."""
        return self._post("jobs", self._body(tag, payload) | {"session_id": session})

    def _post(self, where: str, body: Mapping[str, Any]) -> str:
        """Make something, once; its id."""
        with self._judged(submitting=True):
            answer = requests.post(
                self._client.make_path(where),
                data=json.dumps(body),
                headers=self._client.api_headers,
                timeout=(5, self.submit_s - 10),
                allow_redirects=False,
            )
            IonQAPIError.raise_for_status(answer)
            return str(answer.json()["id"])

    def open_session(self, name: str, mode: str, most_s: float) -> str:
        """A session with a limit in whole minutes, never a longer one; IonQ ends it by itself then."""
        if mode != "dedicated" or most_s < _MINUTE_S:
            raise VendorRefused("IonQ has dedicated sessions only, of a minute or longer")
        settings = {"duration_limit_min": int(most_s // _MINUTE_S)}
        return self._post("sessions", {"backend": self._own.backend, "settings": settings})

    def session(self, handle: str) -> SessionStatus:
        """Whether it takes jobs, and how long it was open."""
        with self._judged():
            return _session(self._get("sessions", handle))

    def end_session(self, handle: str) -> SessionStatus:
        """End it; jobs that it has are not cancelled."""
        with self._judged():
            answer = requests.post(
                self._client.make_path("sessions", handle, "end"), headers=self._client.api_headers, timeout=30
            )
            IonQAPIError.raise_for_status(answer)
        return self.session(handle)

    def _body(self, tag: str, payload: bytes) -> dict[str, Any]:
        """The job as a worker wrote it, as far as it may say: not for another backend, nor in a session."""
        try:
            said = json.loads(payload)
            body = {name: said[name] for name in ("type", "shots", "input", "metadata")}
        except (ValueError, KeyError, TypeError):
            raise VendorRefused("the payload is not one of this adapter") from None
        if body["type"] != "ionq.circuit.v1" or not isinstance(body["metadata"], dict):
            raise VendorRefused("the payload is no circuit")
        more = {name: said[name] for name in ("noise", "settings") if name in said}
        named = {"backend": self._own.backend, "name": tag, "metadata": body["metadata"] | {"jupyter_quantum": tag}}
        return body | more | named

    def find(self, tag: str) -> str | None:
        """IonQ cannot tell."""
        raise VendorUnsure("IonQ has nothing to search jobs by")

    def _job(self, handle: str) -> dict[str, Any]:
        found: dict[str, Any] = self._get("jobs", handle)
        return found

    def status(self, handle: str) -> Status:
        """State, and of a failure IonQ's code and words."""
        with self._judged():
            job = self._job(handle)
        state = _STATES.get(str(job.get("status")), Submission.RUNNING)
        failure = job.get("failure") or {}
        words = f"{failure.get('code', '')}: {failure.get('message') or failure.get('error') or ''}".strip(": ")
        return Status(
            state=state,
            words=told(ValueError(words), (self._token,)) if state is Submission.FAILED else "",
            retry=failure.get("code") in _RETRY,
            usage_s=_seconds(job),
        )

    def result(self, handle: str) -> Answer:
        """Shots where IonQ offers them, probabilities otherwise, and what a worker needs to read them."""
        with self._judged():
            job = self._job(handle)
            offered = job.get("results") or {}
            found = {name: self._fetched(offered, name) for name in ("shots", "probabilities")}
        data = found | {"metadata": job.get("metadata") or {}}
        return Answer(json.dumps(data).encode(), _seconds(job), {"job": handle, "backend": job.get("backend")})

    def _fetched(self, offered: Mapping[str, Any], name: str) -> Any:
        url = (offered.get(name) or {}).get("url")
        if not isinstance(url, str):
            return None
        path = urlsplit(url).path  # the host stays ours: the key goes nowhere else
        version = urlsplit(self._own.url).path.rstrip("/")
        return self._get(*path.removeprefix(version).strip("/").split("/"))

    def cancel(self, handle: str) -> bool:
        """Cancel the job; False where it had ended (IonQ says nothing then)."""
        with self._judged():
            state = _STATES.get(str(self._job(handle).get("status")))
            if state in {Submission.DONE, Submission.FAILED, Submission.CANCELLED}:
                return False
            answer = requests.put(
                self._client.make_path("jobs", handle, "status", "cancel"),
                headers=self._client.api_headers,
                timeout=30,
            )
            IonQAPIError.raise_for_status(answer)
            return True


def _session(found: Mapping[str, Any]) -> SessionStatus:
    """Open unless it has ended; IonQ tells no usage but when it began and ended."""
    began, ended = found.get("started_at"), found.get("ended_at")
    counted = None
    if isinstance(began, str) and isinstance(ended, str):
        counted = max(0.0, (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds())
    return SessionStatus(open=found.get("status") != "ended" and bool(found.get("active", True)), usage_s=counted)


def _seconds(job: Mapping[str, Any]) -> float | None:
    spent = job.get("execution_duration_ms")
    return float(spent) / 1000 if isinstance(spent, int | float) else None


def _target(name: str, qubits: int, known: Characterization | None) -> Target:
    """Every gate on all qubits and pairs, since trapped ions are moved to each other."""
    target = Target(description=f"IonQ {name}", num_qubits=qubits)
    standard = get_standard_gate_name_mapping()
    for gate in (*_ONE, *_TWO):
        target.add_instruction(standard[gate], _properties(gate, qubits, known), name=gate)
    target.add_instruction(standard["measure"], _properties("measure", qubits, known), name="measure")
    return target


def _properties(gate: str, qubits: int, known: Characterization | None) -> Any:
    if known is None:
        return None
    pairs = gate in _TWO
    what = "2q" if pairs else "spam" if gate == "measure" else "1q"
    fidelity = (known.fidelity.get(what) or {}).get("median")
    error = None if fidelity is None else 1 - float(fidelity) ** _ERRORS_OF.get(gate, 1)
    spent = known.timing.get("readout" if gate == "measure" else what)
    one = InstructionProperties(None if spent is None else float(spent), error)
    places = permutations(range(qubits), 2) if pairs else ((at,) for at in range(qubits))
    return dict.fromkeys(places, one)
