"""A fake of Amazon Braket and of the S3 bucket with its results; Braket's local simulator runs the tasks.

Every request and every answer of Braket is checked against botocore's own model of the service
(``botocore/data/braket/*/service-2.json``, which https://docs.aws.amazon.com/braket/latest/APIReference is made from):
paths, members, types, lengths. Capabilities have the shape of ``braket.device_schema``.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from braket.device_schema.iqm import IqmDeviceCapabilities
from braket.devices import LocalSimulator
from braket.ir.openqasm import Program

from tests.vendors.server import Fake, Reply, Request

__all__ = ["KEYS", "QPU", "SV1", "Braket"]

KEYS = {"aws_access_key_id": "AKIAPLANTEDKEY000001", "aws_secret_access_key": "planted-aws-secret-9c41d7"}
SV1 = "arn:aws:braket:::device/quantum-simulator/amazon/sv1"
QPU = "arn:aws:braket:eu-north-1::device/qpu/iqm/Garnet"
_REGION = "eu-north-1"
_BUCKET = "amazon-braket-lab"
_MODEL = ServiceModel(Loader().load_service_model("braket", "service-2"))
_LABELS = (1, 2, 4, 5)
_EDGES = ((1, 2), (2, 4), (4, 5))


@dataclass
class _Task:
    arn: str
    asked: dict[str, Any]
    status: str = "QUEUED"
    reason: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    result: bytes = b""


class Braket(Fake):
    """Two devices of one account: SV1 and a QPU of four qubits. ``held``: tasks stay queued until :meth:`run_all`."""

    def __init__(self, *, held: bool = False) -> None:
        super().__init__()
        self.tasks: dict[str, _Task] = {}
        self.tokens: dict[str, str] = {}
        self.held = held
        self.fails = ""
        self.fidelity = 0.99
        self._simulator = LocalSimulator("braket_sv")

    def settings(self, arn: str = SV1) -> dict[str, Any]:
        """What a device is told to reach this fake."""
        here = {"endpoint": self.url, "s3_endpoint": self.url}
        return {"arn": arn, "aws_region": _REGION, "bucket": _BUCKET} | here

    def breaks(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/quantum-task"

    def failure(self, status: int) -> Reply:
        names = {400: "ValidationException", 403: "AccessDeniedException", 404: "ResourceNotFoundException"}
        names |= {402: "ServiceQuotaExceededException", 409: "ConflictException", 429: "ThrottlingException"}
        name = names.get(status, "InternalServiceException")
        return Reply(status, {"message": f"planned {status}"}, {"x-amzn-ErrorType": name})

    def answer(self, request: Request) -> Reply:
        if f"Credential={KEYS['aws_access_key_id']}/" not in request.headers.get("authorization", ""):
            return self.failure(403)
        return super().answer(request)

    def _routed(self, request: Request) -> Reply:
        if request.path.startswith(f"/{_BUCKET}/"):
            return self._object(request)
        for name in ("CreateQuantumTask", "GetQuantumTask", "SearchQuantumTasks", "CancelQuantumTask", "GetDevice"):
            operation = _MODEL.operation_model(name)
            http = operation.http
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(http["requestUri"]))
            found = re.fullmatch(pattern, request.path)
            if found is None or http["method"] != request.method:
                continue
            asked = {one: unquote(value) for one, value in found.groupdict().items()}
            asked |= request.json() if request.body else {}
            _check(asked, operation.input_shape)
            with self.lock:
                reply = getattr(self, "_" + name)(asked)
            if reply.status < 400:
                _check(reply.body, operation.output_shape)
                reply.status = http["responseCode"]
            return reply
        return self.failure(404)

    def _CreateQuantumTask(self, asked: dict[str, Any]) -> Reply:  # noqa: N802  the operation's name
        token = asked["clientToken"]
        if token in self.tokens:
            first = self.tasks[self.tokens[token]]
            return Reply(body={"quantumTaskArn": first.arn}) if first.asked == asked else self.failure(400)
        arn = f"arn:aws:braket:{_REGION}:123456789012:quantum-task/{uuid.uuid4()}"
        self.tokens[token] = arn
        self.tasks[arn] = task = _Task(arn, asked)
        if not self.held:
            self._run(task)
        return Reply(body={"quantumTaskArn": arn})

    def _described(self, task: _Task) -> dict[str, Any]:
        return {
            "quantumTaskArn": task.arn,
            "status": task.status,
            "deviceArn": task.asked["deviceArn"],
            "shots": task.asked["shots"],
            "outputS3Bucket": _BUCKET,
            "outputS3Directory": f"{task.asked['outputS3KeyPrefix']}/{task.arn.rpartition('/')[2]}",
            "createdAt": task.created.isoformat(),
            "tags": task.asked.get("tags", {}),
        }

    def _GetQuantumTask(self, asked: dict[str, Any]) -> Reply:  # noqa: N802
        task = self.tasks.get(asked["quantumTaskArn"])
        if task is None:
            return self.failure(404)
        more: dict[str, Any] = {"deviceParameters": "{}"}
        if task.status == "QUEUED":
            more["queueInfo"] = {"queue": "QUANTUM_TASKS_QUEUE", "position": "3"}
        if task.reason:
            more["failureReason"] = task.reason
        return Reply(body=self._described(task) | more)

    def _SearchQuantumTasks(self, asked: dict[str, Any]) -> Reply:  # noqa: N802
        wanted = {one["name"]: one["values"][0] for one in asked["filters"]}
        found = [self._described(one) for one in self.tasks.values() if one.asked["deviceArn"] == wanted["deviceArn"]]
        start = int(asked.get("nextToken", "0"))
        more = {"nextToken": str(start + 2)} if start + 2 < len(found) else {}
        return Reply(body={"quantumTasks": found[start : start + 2]} | more)

    def _CancelQuantumTask(self, asked: dict[str, Any]) -> Reply:  # noqa: N802
        task = self.tasks[asked["quantumTaskArn"]]
        if task.status not in {"QUEUED", "RUNNING"}:
            return self.failure(409)
        task.status = "CANCELLED"
        return Reply(body={"quantumTaskArn": task.arn, "cancellationStatus": "CANCELLED"})

    def _GetDevice(self, asked: dict[str, Any]) -> Reply:  # noqa: N802
        arn = asked["deviceArn"]
        if arn not in {SV1, QPU}:
            return self.failure(404)
        about = self._sv1() if arn == SV1 else self._garnet()
        return Reply(
            body={
                "deviceArn": arn,
                "deviceName": arn.rpartition("/")[2].title(),
                "providerName": arn.split("/")[-2],
                "deviceType": "SIMULATOR" if arn == SV1 else "QPU",
                "deviceStatus": "ONLINE",
                "deviceCapabilities": json.dumps(about),
            }
        )

    def _sv1(self) -> dict[str, Any]:
        about = json.loads(self._simulator.properties.json())
        return about | {"service": about["service"] | {"shotsRange": [0, 100_000]}, "paradigm": _wide(about, 34)}

    def _garnet(self) -> dict[str, Any]:
        about = json.loads(self._simulator.properties.json())
        action = about["action"]["braket.ir.openqasm.program"] | {"supportedOperations": ["prx", "cz", "h", "cnot"]}
        about |= {
            "braketSchemaHeader": {"name": "braket.device_schema.iqm.iqm_device_capabilities", "version": "1"},
            "service": about["service"] | {"shotsRange": [1, 20_000], "updatedAt": "2026-11-20T08:00:00"},
            "action": {"braket.ir.openqasm.program": action},
            "paradigm": {
                "braketSchemaHeader": {
                    "name": "braket.device_schema.gate_model_qpu_paradigm_properties",
                    "version": "1",
                },
                "qubitCount": len(_LABELS),
                "nativeGateSet": ["cz", "prx"],
                "connectivity": {"fullyConnected": False, "connectivityGraph": _graph()},
            },
            "standardized": self._standardized(),
            "provider": None,
            "deviceParameters": {},
        }
        return json.loads(IqmDeviceCapabilities.parse_obj(about).json())

    def _standardized(self) -> dict[str, Any]:
        def fidelity(name: str, value: float) -> dict[str, Any]:
            return {"fidelityType": {"name": name}, "fidelity": value}

        time = {"value": 4e-5, "standardError": None, "unit": "S"}
        single = {
            "T1": time,
            "T2": time,
            "oneQubitFidelity": [fidelity("SIMULTANEOUS_RANDOMIZED_BENCHMARKING", 0.999), fidelity("READOUT", 0.97)],
        }
        pair = {"gateName": "CZ", "fidelityType": {"name": "INTERLEAVED_RANDOMIZED_BENCHMARKING"}}
        return {
            "braketSchemaHeader": {
                "name": "braket.device_schema.standardized_gate_model_qpu_device_properties",
                "version": "1",
            },
            "oneQubitProperties": {str(one): single for one in _LABELS},
            "twoQubitProperties": {
                f"{a}-{b}": {"twoQubitGateFidelity": [pair | {"fidelity": self.fidelity}]} for a, b in _EDGES
            },
        }

    def _object(self, request: Request) -> Reply:
        name = request.path.split("/")[-2]
        task = next((one for one in self.tasks.values() if one.arn.endswith(name)), None)
        if task is None or not task.result or not request.path.endswith("/results.json"):
            xml = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
            return Reply(404, xml, {"Content-Type": "application/xml"})
        return Reply(200, task.result, {"ETag": '"0"', "Content-Type": "application/json"})

    def run_all(self) -> None:
        """Run what waits."""
        for task in self.tasks.values():
            if task.status == "QUEUED":
                self._run(task)

    def _run(self, task: _Task) -> None:
        if self.fails:
            task.status, task.reason = "FAILED", self.fails
            return
        program = Program.parse_raw(task.asked["action"])
        if task.asked["deviceArn"] == QPU:
            gates = set(re.findall(r"^(\w+)[ (][^=\n]*\$", program.source, re.MULTILINE))
            if not gates <= {"prx", "cz"} or (gates and "#pragma braket verbatim" not in program.source):
                task.status, task.reason = "FAILED", f"the program uses {', '.join(sorted(gates))}, not as they are"
                return
        found = self._simulator._delegate.run(_runnable(program), shots=task.asked["shots"])
        task.result = found.json().encode()
        task.status = "COMPLETED"


def _runnable(program: Program) -> Program:
    return Program(source=program.source.replace("#pragma braket verbatim\nbox{\n", "").replace("\n}\n", "\n"))


def _wide(about: dict[str, Any], qubits: int) -> dict[str, Any]:
    return about["paradigm"] | {"qubitCount": qubits}


def _graph() -> dict[str, list[str]]:
    graph: dict[str, list[str]] = {str(one): [] for one in _LABELS}
    for a, b in _EDGES:
        graph[str(a)].append(str(b))
    return graph


def _check(value: dict[str, Any], shape: Any) -> None:
    report = ParamValidator().validate(value, shape)
    assert not report.has_errors(), report.generate_report()
