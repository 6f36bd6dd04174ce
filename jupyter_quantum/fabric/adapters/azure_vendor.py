"""A workspace of Azure Quantum through its real SDK, with the input and the result in the workspace's blob storage.

*Idempotent*: the id of a job is the caller's to choose, and it is made from the tag; so is that of a session.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Mapping
from threading import Lock
from typing import Any, Final

from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, ResourceExistsError, ResourceNotFoundError
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.quantum import Job, Workspace
from azure.quantum.job.session import Session, SessionJobFailurePolicy
from azure.storage.blob import BlobClient, ContainerClient, ContentSettings
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import Target

from jupyter_quantum.fabric.adapters.faults import judged, told
from jupyter_quantum.fabric.adapters.vendor import (
    Answer,
    Calibration,
    SessionStatus,
    Status,
    Submission,
    Vendor,
    VendorRefused,
    VendorUnavailable,
)
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.targets import target_to_json

__all__ = ["OUTPUT", "AzureSettings", "AzureVendor"]

OUTPUT: Final = "microsoft.quantum-results.v2"
_NAMESPACE: Final = uuid.UUID("2c1f4a9d-0d1e-5a57-8a5b-7c2f62f3ad11")
_STATES: Final = {
    "Queued": Submission.QUEUED,
    "Waiting": Submission.QUEUED,
    "Executing": Submission.RUNNING,
    "Finishing": Submission.RUNNING,
    "CancellationRequested": Submission.RUNNING,
    "Cancelling": Submission.RUNNING,
    "Succeeded": Submission.DONE,
    "Completed": Submission.DONE,
    "Failed": Submission.FAILED,
    "Cancelled": Submission.CANCELLED,
}
_OPEN: Final = frozenset({"Waiting", "Executing"})
"""States of a session that takes jobs."""
_GATES: Final = "ccx cx cy cz h id rx rxx ry ryy rz rzz s sdg swap t tdg x y z"
"""Gates that QIR's base profile has a word for."""
_BLOBS: Final[dict[str, Any]] = {"retry_total": 2, "connection_timeout": 5, "read_timeout": 20}


class AzureSettings(OwnSettings):
    """What an Azure Quantum target is told beside the settings of every device.

    Its secret holds a ``connection_string`` of the workspace; or an ``api_key``; or ``tenant_id``, ``client_id`` and
    ``client_secret`` of an application. Without a secret the machine's identity is used. All but the first need
    ``resource_id`` and ``location``.
    """

    target: str
    """``ionq.simulator``, ``quantinuum.sim.h2-1e``, ``rigetti.qpu.cepheus-1-108q``, …"""
    qubits: int
    """Of the target: Azure's API does not tell."""
    resource_id: str | None = None
    location: str | None = None
    endpoint: str | None = None
    """Address of the workspace's API, where it is not the public one of its location."""


class AzureVendor(Vendor):
    """One target of a workspace."""

    submit_s = 120.0
    same_session = True

    def __init__(self, spec: DeviceSpec, secret: Mapping[str, str]) -> None:
        self._own = spec.own(AzureSettings)
        self._secret = dict(secret)
        self._secrets = (*secret.values(), *_keys(secret.get("connection_string", "")))
        if "connection_string" not in secret and not (self._own.resource_id and self._own.location):
            raise ValueError(f"device {spec.name}: resource_id and location, or a connection_string in its secret")
        self._found: Workspace | None = None
        self._lock = Lock()

    def _judged(self, *, submitting: bool = False) -> Any:
        return judged(
            "Azure Quantum", self._secrets, submitting=submitting, refusals=(ClientAuthenticationError, ValueError)
        )

    @property
    def _workspace(self) -> Workspace:
        with self._lock:
            if self._found is None:
                self._found = self._connect()
            return self._found

    def _connect(self) -> Workspace:
        if "connection_string" in self._secret:
            found = Workspace.from_connection_string(self._secret["connection_string"])
        else:
            # A workspace that is named in full is not looked up in Azure's Resource Manager.
            named = {} if self._own.endpoint is None else {"_quantum_endpoint": self._own.endpoint}
            found = Workspace(
                resource_id=self._own.resource_id,
                location=self._own.location,
                credential=self._credential(),
                _from_connection_string=self._own.endpoint is not None,
                **named,
            )
        # What the SDK sends again by itself hides that the first answer was lost: the last error would speak for all.
        retries = found._client._config.retry_policy
        retries.total_retries, retries.timeout = 0, 30
        return found

    def _credential(self) -> Any:
        if "api_key" in self._secret:
            return AzureKeyCredential(self._secret["api_key"])
        names = ("tenant_id", "client_id", "client_secret")
        if all(name in self._secret for name in names):
            return ClientSecretCredential(**{name: self._secret[name] for name in names})
        return DefaultAzureCredential()

    def announce(self) -> Calibration:
        """Connect, and describe the target."""
        return self.calibration()

    def calibration(self) -> Calibration:
        """Gates that QIR has, on all qubits: Azure publishes no errors, so that they are unknown."""
        with self._judged():
            found = self._workspace._get_target_status(name=self._own.target)
        if not found:
            raise VendorRefused(f"Azure Quantum: the workspace has no target {self._own.target}")
        provider, status = found[0]
        if status.current_availability == "Unavailable":
            raise VendorUnavailable(f"Azure Quantum: {self._own.target} is not available")
        target = Target(description=f"{self._own.target} of Azure Quantum", num_qubits=self._own.qubits)
        standard = get_standard_gate_name_mapping()
        for name in _GATES.split():
            target.add_instruction(standard[name], name=name)
        target.add_instruction(standard["measure"], name="measure")
        return Calibration(target_to_json(target) | {"vendor": {"provider": provider}}, None)

    def submit(self, tag: str, payload: bytes) -> str:
        """Upload the input and create the job under the id that the tag gives."""
        return self._create(tag, payload, None)

    def submit_in_session(self, session: str, tag: str, payload: bytes) -> str:
        """The same, in a session of the workspace."""
        return self._create(tag, payload, session)

    def _create(self, tag: str, payload: bytes, session: str | None) -> str:
        provider, shots, qir = _read(payload)
        job_id = _id_of(tag)
        with self._judged(submitting=True):
            workspace = self._workspace
            container = ContainerClient.from_container_url(workspace.get_container_uri(job_id=job_id), **_BLOBS)
            blob = container.get_blob_client("inputData")
            try:
                blob.upload_blob(qir, content_settings=ContentSettings(content_type="qir.v1"), overwrite=False)
            except ResourceExistsError:
                if (found := self._known(job_id)) is not None:
                    return found
            try:
                Job.from_storage_uri(
                    workspace=workspace,
                    job_id=job_id,
                    name=tag,
                    target=self._own.target,
                    provider_id=provider,
                    input_data_uri=blob.url.partition("?")[0],
                    container_uri=workspace.get_container_uri(job_id=job_id),
                    input_data_format="qir.v1",
                    output_data_format=OUTPUT,
                    input_params={"shots": shots, "count": shots, "entryPoint": "ENTRYPOINT__main", "arguments": []},
                    tags=[tag],
                    session_id=session,
                )
            except ResourceExistsError as error:  # every 409: the job is there, or its session takes none
                if session is not None and self._known(job_id) is None:
                    raise VendorRefused(f"Azure Quantum: {told(error, self._secrets)}") from None
            return job_id

    def _known(self, job_id: str) -> str | None:
        try:
            return str(self._workspace.get_job(job_id).id)
        except ResourceNotFoundError:
            return None

    def open_session(self, name: str, mode: str, most_s: float) -> str:
        """A session under the id that its name gives; a job that fails does not end it. Azure ends it by itself where
        no job comes for ten minutes, and knows no other limit."""
        with self._judged(submitting=True):
            provider, _ = self._workspace._get_target_status(name=self._own.target)[0]
            session = Session(
                self._workspace,
                target=self._own.target,
                provider_id=provider,
                id=_id_of(name),
                name=name,
                job_failure_policy=SessionJobFailurePolicy.CONTINUE,
            )
            with contextlib.suppress(ResourceExistsError):
                session.open()
            return str(session.id)

    def session(self, handle: str) -> SessionStatus:
        """Whether it takes jobs."""
        with self._judged():
            found = self._workspace.get_session(handle).details.status
        return SessionStatus(open=str(getattr(found, "value", found)) in _OPEN)

    def end_session(self, handle: str) -> SessionStatus:
        """Close it; jobs that it has go on."""
        with self._judged():
            self._workspace.close_session(self._workspace.get_session(handle))
        return self.session(handle)

    def find(self, tag: str) -> str | None:
        """The job under the tag's id."""
        with self._judged():
            return self._known(_id_of(tag))

    def status(self, handle: str) -> Status:
        """State, and of a failure the provider's words."""
        with self._judged():
            details = self._workspace.get_job(handle).details
        name = getattr(details.status, "value", details.status)  # the SDK knows some states as members of an enum
        state = _STATES.get(str(name), Submission.RUNNING)
        said = getattr(details.error_data, "message", None) or "no reason given"
        words = told(ValueError(said), self._secrets) if state is Submission.FAILED else ""
        return Status(state=state, words=words, usage_s=_seconds(details))

    def result(self, handle: str) -> Answer:
        """The result as it lies in the workspace's storage."""
        with self._judged():
            job = self._workspace.get_job(handle)
            link = job._get_blob_uri_with_sas_token(job.details.output_data_uri)
            found = BlobClient.from_blob_url(link, **_BLOBS).download_blob().readall()
            cost = job.details.cost_estimate
        metadata: dict[str, Any] = {"job": handle, "target": job.details.target}
        if cost is not None:
            metadata["cost"] = {"total": cost.estimated_total, "currency": cost.currency_code}
        return Answer(found, _seconds(job.details), metadata)

    def cancel(self, handle: str) -> bool:
        """Ask the provider to cancel; False where the job had ended."""
        with self._judged():
            job = self._workspace.get_job(handle)
            if job.has_completed():
                return False
            self._workspace.cancel_job(job)
            return True


def _id_of(tag: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, tag))


def _keys(connection_string: str) -> list[str]:
    return [part.partition("=")[2] for part in connection_string.split(";") if part.startswith("ApiKey=")]


def _seconds(details: Any) -> float | None:
    if details.begin_execution_time is None or details.end_execution_time is None:
        return None
    return float((details.end_execution_time - details.begin_execution_time).total_seconds())


def _read(payload: bytes) -> tuple[str, int, bytes]:
    """Provider and shots in a line of JSON, then QIR."""
    head, _, qir = payload.partition(b"\n")
    try:
        said = json.loads(head)
        provider, shots = said["provider"], said["shots"]
    except (ValueError, KeyError, TypeError):
        raise VendorRefused("the payload is not one of this adapter") from None
    if not isinstance(provider, str) or not isinstance(shots, int) or shots < 1 or not qir:
        raise VendorRefused("the payload is not one of this adapter")
    return provider, shots, qir
