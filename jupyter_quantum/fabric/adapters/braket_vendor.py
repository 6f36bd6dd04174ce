"""Amazon Braket through its real SDK: quantum tasks by boto3, results from S3.

*Idempotent*: ``clientToken`` is made from the tag, so that AWS takes a task once however often it is sent. The tag is
also a tag of the task, and ``find`` looks for it among the device's tasks: that outlives the token.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError
from braket.aws import AwsDevice, AwsDeviceType, AwsSession
from braket.device_schema import DeviceActionType
from pydantic import Field
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import Target
from qiskit_braket_provider.providers.adapter import aws_device_to_target, gateset_from_properties

from jupyter_quantum.fabric.adapters.faults import judged, told
from jupyter_quantum.fabric.adapters.vendor import (
    Answer,
    Calibration,
    Status,
    Submission,
    Vendor,
    VendorRefused,
    VendorUnavailable,
)
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.targets import target_from_json, target_to_json

__all__ = ["TAG", "BraketSettings", "BraketVendor"]

TAG: Final = "jupyter-quantum"
"""The key under which a task carries the tag of its attempt."""
_NAMESPACE: Final = uuid.UUID("6f0c7f5e-3a64-5d0b-9a53-6d0f3b1b7a10")
_LOOK_BACK: Final = timedelta(days=14)
_STATES: Final = {
    "CREATED": Submission.QUEUED,
    "QUEUED": Submission.QUEUED,
    "RUNNING": Submission.RUNNING,
    "COMPLETED": Submission.DONE,
    "FAILED": Submission.FAILED,
    "CANCELLING": Submission.RUNNING,
    "CANCELLED": Submission.CANCELLED,
}
_ONCE: Final[Any] = {"total_max_attempts": 1, "mode": "standard"}
"""What the SDK sends again by itself hides that the first answer was lost: the last error would speak for all."""
_ALWAYS: Final = frozenset({"measure", "barrier", "if_else", "delay"})


class BraketSettings(OwnSettings):
    """What a Braket device is told beside the settings of every device.

    Its secret holds ``aws_access_key_id``, ``aws_secret_access_key`` and perhaps ``aws_session_token``; without one,
    boto3 looks where it always does (the machine's role).
    """

    arn: str = Field(pattern=r"^arn:aws[a-z-]*:braket:[a-z0-9-]*:[0-9]*:device/(qpu|quantum-simulator)/.+$")
    aws_region: str | None = None
    """Where its tasks are created; a QPU's stands in its ARN."""
    bucket: str
    """Of S3, where AWS puts results."""
    prefix: str = "jupyter-quantum"
    endpoint: str | None = None
    """Address of Braket's API, where it is not the public one."""
    s3_endpoint: str | None = None


class BraketVendor(Vendor):
    """One device of Amazon Braket."""

    submit_s = 60.0
    indexing_s = 30.0

    def __init__(self, spec: DeviceSpec, secret: Mapping[str, str]) -> None:
        own = spec.own(BraketSettings)
        self._own = own
        self._secrets = tuple(secret.values())
        keys = {name: secret[name] for name in _KEYS if name in secret}
        config = Config(connect_timeout=5, read_timeout=self.submit_s / 2, retries=_ONCE)
        region = own.aws_region or own.arn.split(":")[3]
        if not region:
            raise ValueError(f"device {spec.name}: aws_region: a simulator of AWS is in none by itself")
        boto = boto3.Session(region_name=region, **keys)
        self._session = AwsSession(
            boto_session=boto,
            braket_client=boto.client("braket", endpoint_url=own.endpoint, config=config),
            default_bucket=own.bucket,
        )
        self._session._s3 = boto.client("s3", endpoint_url=own.s3_endpoint, config=config)
        self._lock = Lock()

    def _judged(self, *, submitting: bool = False) -> Any:
        return judged("Braket", self._secrets, submitting=submitting, refusals=(NoCredentialsError,))

    def announce(self) -> Calibration:
        """Connect, and describe the device."""
        return self.calibration()

    def calibration(self) -> Calibration:
        """Target with the fidelities that AWS published last; what the worker must know beside it is in ``vendor``."""
        with self._judged(), self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            device = AwsDevice(self._own.arn, aws_session=self._session)
            if device.status == "RETIRED":
                raise VendorRefused(f"Braket: {device.name} was retired")
            at = device.properties.service.updatedAt
            return Calibration(_document(device), at.replace(tzinfo=at.tzinfo or UTC) if at else None)

    def submit(self, tag: str, payload: bytes) -> str:
        """Create the quantum task; the same tag gives the same task."""
        action, shots = _read(payload)
        with self._judged(submitting=True):
            return str(
                self._session.create_quantum_task(
                    clientToken=str(uuid.uuid5(_NAMESPACE, tag)),
                    deviceArn=self._own.arn,
                    action=action,
                    shots=shots,
                    outputS3Bucket=self._own.bucket,
                    outputS3KeyPrefix=self._own.prefix,
                    tags={TAG: tag},
                )
            )

    def find(self, tag: str) -> str | None:
        """The task with this tag among those of the device in the last two weeks."""
        since = (datetime.now(UTC) - _LOOK_BACK).isoformat()
        filters = [
            {"name": "deviceArn", "operator": "EQUAL", "values": [self._own.arn]},
            {"name": "createdAt", "operator": "GTE", "values": [since]},
        ]
        with self._judged():
            pages = self._session.braket_client.get_paginator("search_quantum_tasks").paginate(filters=filters)
            for page in pages:
                for task in page["quantumTasks"]:
                    if task.get("tags", {}).get(TAG) == tag:
                        return str(task["quantumTaskArn"])
        return None

    def status(self, handle: str) -> Status:
        """State, place in AWS's queue, and of a failure the reason."""
        with self._judged():
            task = self._session.get_quantum_task(handle)
        state = _STATES.get(task["status"], Submission.RUNNING)
        place = str(task.get("queueInfo", {}).get("position", ""))
        words = told(ValueError(task.get("failureReason", "no reason given")), self._secrets)
        return Status(
            state=state,
            words=words if state is Submission.FAILED else "",
            position=int(place) if place.isdigit() else None,
        )

    def result(self, handle: str) -> Answer:
        """``results.json`` of the task."""
        with self._judged():
            task = self._session.get_quantum_task(handle)
            key = f"{task['outputS3Directory']}/results.json"
            found = self._session.s3_client.get_object(Bucket=task["outputS3Bucket"], Key=key)["Body"].read()
        metadata = {"task": handle, "shots": task["shots"]}
        times = {name: task[name].isoformat() for name in ("createdAt", "endedAt") if task.get(name)}
        return Answer(found, None, metadata | times)

    def cancel(self, handle: str) -> bool:
        """Ask AWS to cancel; False where the task had ended."""
        with self._judged():
            try:
                self._session.cancel_quantum_task(handle)
            except ClientError as error:
                if error.response["Error"]["Code"] == "ConflictException":
                    return False
                raise
            return True


_KEYS: Final = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def _read(payload: bytes) -> tuple[str, int]:
    """Shots, a line end, the action. AWS bills by shots, so that they are read apart from what a worker wrote."""
    head, _, action = payload.partition(b"\n")
    if not head.isdigit() or not action.startswith(b'{"braketSchemaHeader"'):
        raise VendorRefused("the payload is not one of this adapter")
    return action.decode(), int(head)


def _document(device: AwsDevice) -> dict[str, Any]:
    action = device.properties.action.get(DeviceActionType.OPENQASM)
    if action is None:
        raise VendorUnavailable(f"Braket: {device.name} takes no OpenQASM")
    target, labels = aws_device_to_target(device), None
    if device.type == AwsDeviceType.QPU:
        labels = sorted(device.topology_graph.nodes)
        if not _plain(target):
            target, labels = _compiled_there(device, gateset_from_properties(action)), None
    document = target_to_json(target_from_json(target_to_json(target)))  # Qiskit's own names of parameters
    shots = device.properties.service.shotsRange
    return document | {"vendor": {"arn": device.arn, "labels": labels, "max_shots": shots[1] if shots else None}}


def _plain(target: Target) -> bool:
    """Whether every gate is one of Qiskit's, and runs as it stands."""
    standard = set(get_standard_gate_name_mapping()) | _ALWAYS
    return standard.issuperset(target.operation_names) and not getattr(target, "_gate_substitutes", None)


def _compiled_there(device: AwsDevice, names: set[str]) -> Target:
    """A QPU whose own gates Qiskit has no words for: AWS places and translates, so that errors are unknown here."""
    description = f"{device.name}: AWS places the circuit and translates it to the machine's own gates"
    target = Target(description=description, num_qubits=device.properties.paradigm.qubitCount)
    standard = get_standard_gate_name_mapping()
    for name in sorted(names & set(standard)):
        target.add_instruction(standard[name], name=name)
    target.add_instruction(standard["measure"], name="measure")
    return target
