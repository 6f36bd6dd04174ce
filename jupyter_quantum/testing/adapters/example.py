"""A whole adapter: a machine in a lab that reads jobs from one directory and writes counts into another."""

import json
from pathlib import Path
from typing import Any

from qiskit import qasm3

from jupyter_quantum.fabric.adapters.remote import Counted, RemoteDevice
from jupyter_quantum.fabric.adapters.vendor import Answer, Calibration, Status, Submission, Vendor
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings


class Settings(OwnSettings):
    directory: Path


class LabDevice(RemoteDevice):
    """In a locked worker: circuits to bytes, bytes to counts."""

    vendor, recovery, max_batch = "our lab", "idempotent", 50  # the same tag is the same file

    @classmethod
    def connect(cls, spec: DeviceSpec, secret: Any) -> Vendor:
        return Lab(spec.own(Settings).directory)

    def payload(self, circuits: Any, shots: Any, order: Any) -> bytes:
        return json.dumps({"shots": shots[0], "programs": [qasm3.dumps(one) for one in circuits]}).encode()

    def counted(self, circuits: Any, answer: bytes) -> list[Counted]:
        return [Counted(counts=one) for one in json.loads(answer)]


class Lab(Vendor):
    """In a process of its own, which has secret and network: bytes to the machine and back."""

    def __init__(self, where: Path) -> None:
        self.jobs, self.counts, self.device = where / "jobs", where / "counts", where / "device.json"

    def calibration(self) -> Calibration:
        return Calibration(json.loads(self.device.read_text()), None)

    def submit(self, tag: str, payload: bytes) -> str:
        (self.jobs / f".{tag}").write_bytes(payload)  # complete before it is seen
        (self.jobs / f".{tag}").rename(self.jobs / tag)
        return tag

    def find(self, tag: str) -> str | None:
        return tag if (self.jobs / tag).exists() else None

    def status(self, handle: str) -> Status:
        (self.jobs / handle).stat()  # any other error than the contract's three: the vendor is not available
        return Status(Submission.DONE if (self.counts / handle).exists() else Submission.QUEUED)

    def result(self, handle: str) -> Answer:
        return Answer((self.counts / handle).read_bytes())

    def cancel(self, handle: str) -> bool:
        return False  # the machine does not let go of a job
