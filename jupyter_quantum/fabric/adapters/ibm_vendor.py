"""IBM's service (Qiskit Runtime REST API) through the real ``QiskitRuntimeService``.

*Searchable*: the tag of an attempt is the job's tag at IBM, and ``service.jobs(job_tags=…)`` finds it. The SDK by
itself repeats a POST that was answered with 5xx; here a submission is sent once, and what follows is decided above.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

from qiskit_ibm_runtime import QiskitRuntimeService, RuntimeJobV2
from qiskit_ibm_runtime.accounts.exceptions import InvalidAccountError
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.decoders.result_decoder import ResultDecoder
from qiskit_ibm_runtime.exceptions import IBMInputValueError, RuntimeInvalidStateError
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from jupyter_quantum.fabric.adapters.faults import judged, told
from jupyter_quantum.fabric.adapters.vendor import (
    Answer,
    Calibration,
    SessionStatus,
    Status,
    Submission,
    Vendor,
    VendorRefused,
)
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.targets import target_to_json

__all__ = ["PROGRAMS", "IbmSettings", "IbmVendor"]

PROGRAMS: Final = frozenset({"sampler", "estimator"})
"""The programs of IBM that a payload may name."""

_STATES: Final = {
    "INITIALIZING": Submission.QUEUED,
    "QUEUED": Submission.QUEUED,
    "RUNNING": Submission.RUNNING,
    "DONE": Submission.DONE,
    "ERROR": Submission.FAILED,
    "CANCELLED": Submission.CANCELLED,
}
_RETRY: Final = ("1000;", "1006;", "1008;", "1010;", "1011;", "9999;")
"""Codes of https://quantum.cloud.ibm.com/docs/errors that say: retry the action."""
_PUBLIC_HOST: Final = "cloud.ibm.com"
_MOST_S: Final = 10_800


class IbmSettings(OwnSettings):
    """What an IBM device is told beside the settings of every device; its secret holds ``token`` and ``instance``."""

    backend: str
    """Its name at IBM: ``ibm_torino``."""
    instance: str | None = None
    """CRN or name of the service instance, where the secret does not hold it."""
    fractional: bool = False
    """Fractional gates (``rzz``, ``rx``) instead of control flow."""
    url: str = f"https://{_PUBLIC_HOST}"
    proxy: str | None = None
    """HTTP proxy on the way to IBM."""


class _Once(HTTPAdapter):
    """Sends a POST once, and gives an answer up after a while. A GET that was answered with 5xx is repeated."""

    def __init__(self, timeout_s: float) -> None:
        # `other`: an answer that is lost on the way through a proxy is no read error to urllib3
        retries = Retry(total=3, read=0, other=0, status_forcelist=(500, 502, 503, 504), backoff_factor=0.3)
        super().__init__(max_retries=retries)
        self._timeout_s = timeout_s

    def send(self, request: PreparedRequest, *args: Any, **more: Any) -> Response:
        return super().send(request, *args, **(more | {"timeout": (5.0, self._timeout_s)}))


class _AsSent(ResultDecoder):  # type: ignore[misc]  # as above
    """Leaves the answer as it came: only a worker reads it."""

    @classmethod
    def decode(cls, data: Any) -> Any:
        return data


class IbmVendor(Vendor):
    """One backend of an instance of IBM Quantum Platform."""

    submit_s = 60.0
    indexing_s = 30.0

    def __init__(self, spec: DeviceSpec, secret: Mapping[str, str]) -> None:
        self._own = spec.own(IbmSettings)
        self._token = secret.get("token", "")
        self._instance = secret.get("instance") or self._own.instance
        if not self._token or not self._instance:
            raise ValueError(f"device {spec.name}: its secret has no token, or no instance is named there or here")
        self._service: QiskitRuntimeService | None = None
        self._lock = Lock()

    def _judged(self, *, submitting: bool = False) -> Any:
        refusals = (IBMInputValueError,)
        return judged("IBM", (self._token,), submitting=submitting, refusals=refusals)

    def _connected(self) -> QiskitRuntimeService:
        with self._lock:
            if self._service is None:
                self._service = self._connect()
            return self._service

    def _connect(self) -> QiskitRuntimeService:
        own = self._own
        parts = urlsplit(own.url)
        if parts.hostname != _PUBLIC_HOST:  # the SDK has no other word for where tokens of a private cloud come from
            os.environ["IAM_URL"] = f"{parts.scheme}://iam.{parts.hostname}"
        try:
            service = QiskitRuntimeService(
                channel="ibm_quantum_platform",
                token=self._token,
                instance=self._instance,
                url=own.url,
                proxies={"urls": dict.fromkeys(("http", "https"), own.proxy)} if own.proxy else None,
            )
        except InvalidAccountError as error:
            status = getattr(error.__cause__, "status_code", None)
            if status in {400, 401, 403}:
                raise VendorRefused(f"IBM: {told(error, (self._token,))}") from None
            raise
        session = service._active_api_client._session
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Once(self.submit_s - 10))
        return service

    def announce(self) -> Calibration:
        """Connect, and describe the backend."""
        return self.calibration()

    def calibration(self) -> Calibration:
        """Target with the errors and durations that IBM published last."""
        with self._judged():
            backend = self._connected().backend(self._own.backend, use_fractional_gates=self._own.fractional)
            properties = backend.properties()
            moment = getattr(properties, "last_update_date", None)
            at = moment.astimezone(UTC) if isinstance(moment, datetime) else None
            return Calibration(target_to_json(backend.target), at)

    def submit(self, tag: str, payload: bytes) -> str:
        """Post the job, its tag with it."""
        return self._post(tag, payload, None)

    def submit_in_session(self, session: str, tag: str, payload: bytes) -> str:
        """The same, in a session or batch of IBM's."""
        return self._post(tag, payload, session)

    def _post(self, tag: str, payload: bytes, session: str | None) -> str:
        program, params, most_s = _read(payload)
        with self._judged(submitting=True):
            client = self._connected()._active_api_client
            answer = client.program_run(
                program_id=program,
                backend_name=self._own.backend,
                params=params,
                image=None,
                log_level=None,
                session_id=session,
                job_tags=[tag],
                max_execution_time=most_s,
            )
            return str(answer["id"])

    def open_session(self, name: str, mode: str, most_s: float) -> str:
        """A session of IBM's in one of its modes. It begins, and bills, with the first job that runs in it, and ends
        by itself where none comes; it cannot be named, nor searched for."""
        with self._judged(submitting=True):
            client = self._connected()._active_api_client
            answer = client.create_session(self._own.backend, None, int(most_s) or None, mode)
            return str(answer["id"])

    def session(self, handle: str) -> SessionStatus:
        """Whether it takes jobs, and the seconds that IBM counts: by the clock, or of a batch those of its jobs."""
        with self._judged():
            try:
                found = self._connected()._active_api_client.session_details(handle)
            except RequestsApiError as error:
                if error.status_code != 404:
                    raise
                return SessionStatus(open=False)
        counted = found.get("elapsed_time")
        return SessionStatus(
            open=bool(found.get("accepting_jobs")) and found.get("state") != "closed",
            usage_s=float(counted) if isinstance(counted, int | float) else None,
        )

    def end_session(self, handle: str) -> SessionStatus:
        """It takes no more jobs; those that it has run to their end."""
        with self._judged():
            self._connected()._active_api_client.close_session(handle)
        return self.session(handle)

    def find(self, tag: str) -> str | None:
        """The first job with this tag."""
        with self._judged():
            found = self._connected().jobs(limit=1, job_tags=[tag], descending=False, include_mocks=True)
            return str(found[0].job_id()) if found else None

    def _job(self, handle: str) -> RuntimeJobV2:
        return self._connected().job(handle)

    def status(self, handle: str) -> Status:
        """State, and of a failure IBM's code and words."""
        with self._judged():
            job = self._job(handle)
            state = _STATES.get(job.status(), Submission.QUEUED)
            words = told(ValueError(job.error_message() or ""), (self._token,)) if state is Submission.FAILED else ""
            ended = state not in {Submission.QUEUED, Submission.RUNNING}
            return Status(
                state=state,
                words=words,
                retry=any(f"Error code {code}" in words for code in _RETRY),
                usage_s=_usage(job.metrics()) if ended else None,
            )

    def result(self, handle: str) -> Answer:
        """The result as IBM sent it, and what it counts for it."""
        with self._judged():
            job = self._job(handle)
            text = job.result(timeout=self.submit_s, decoder=_AsSent)
            metrics = job.metrics()
            metadata = {"job_id": handle, "timestamps": metrics.get("timestamps", {})}
            return Answer(str(text or "").encode(), _usage(metrics), metadata)

    def cancel(self, handle: str) -> bool:
        """Cancel the job; False where it had ended."""
        with self._judged():
            try:
                self._job(handle).cancel()
            except RuntimeInvalidStateError:
                return False
            return True


def _usage(metrics: Mapping[str, Any]) -> float | None:
    """Seconds that IBM charges; None while it still counts."""
    usage = metrics.get("usage") or {}
    seconds = usage.get("qpu_charge_time_seconds")
    settled = usage.get("status", "pending") != "pending"
    return float(seconds) if settled and isinstance(seconds, int | float) else None


def _read(payload: bytes) -> tuple[str, dict[str, Any], int | None]:
    """Program, inputs, time limit. A worker wrote this after it saw a circuit: only what we would write passes."""
    try:
        said = json.loads(payload)
        program, params, most_s = said["program_id"], said["params"], said["max_execution_time"]
    except (ValueError, KeyError, TypeError):
        raise VendorRefused("the payload is not one of this adapter") from None
    if program not in PROGRAMS or not isinstance(params, dict):
        raise VendorRefused("the payload names no program that may run")
    if most_s is not None and (not isinstance(most_s, int) or not 1 <= most_s <= _MOST_S):
        raise VendorRefused("the payload's time limit is out of bounds")
    return program, params, most_s
