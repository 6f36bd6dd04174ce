"""Messages between runner and workers: four bytes of length (big endian), then JSON.

A worker is not trusted once it has seen a circuit: nothing of it is unpickled, its messages are capped and go
through the models below, and it can name no task; the pool knows which one it gave.
"""

from __future__ import annotations

import os
import struct
from typing import Final, Literal

from pydantic import Field

from jupyter_quantum.fabric.adapters.vendor import Calibration
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.wire.base import Answer, Blob, ErrorBody
from jupyter_quantum.wire.reports import DryRun, Resources
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import Prepared, Task

__all__ = ["FROM_WORKER_MOST", "HEAD", "Hello", "Order", "Outcome", "Setup", "read_frame", "write_frame"]

HEAD: Final = struct.Struct("!I")
FROM_WORKER_MOST: Final = 128 * 1024 * 1024
"""Bytes of the largest message that is taken from a worker."""


class Setup(Answer):
    """What a zygote is told on its standard input."""

    threads: int
    devices: list[DeviceSpec]
    calibrations: dict[str, Calibration] = Field(default_factory=dict, description="of remote devices, by name")


class Order(Answer):
    """What a worker is told to do; with a task that a vendor's machine executes, one of the two ends of it."""

    task: Task
    step: Literal["whole", "encode", "decode"] = "whole"
    answers: list[Blob | None] = Field(
        default_factory=list, description="decode: the vendor's, None where it gave none"
    )


class Outcome(Answer):
    """What a worker answers; the pool fills in what the worker must not say.

    A report comes in parts as its devices are done: each but the last has ``more`` set.
    """

    more: bool = False
    prepared: list[Prepared] = Field(default_factory=list)
    dry_run: DryRun | None = None
    resources: Resources | None = None
    drawing: str = ""
    result: ResultView | None = None
    payloads: list[Blob] = Field(default_factory=list, description="encode: what is handed over, one a submission")
    carried: list[list[int]] = Field(
        default_factory=list, description="encode: of each payload, indices of the circuits or PUBs in it, where known"
    )
    executable: Blob | None = Field(default=None, description="encode: where the task came without it")
    error: ErrorBody | None = None
    versions: dict[str, str] = Field(default_factory=dict)


class Hello(Answer):
    """What the zygote says once it is ready: devices, versions, and how its workers are locked."""

    devices: list[dict[str, object]]
    remote: list[str] = Field(
        default_factory=list, description="all that run at a vendor's; served are those whose calibration is known"
    )
    packages: dict[str, str]
    sandbox: list[str]
    missing: list[str]
    qpy_versions: tuple[int, int]
    baseline: int = Field(description="bytes of address space that a worker takes before it does anything")


def read_frame(descriptor: int) -> bytes | None:
    """Block for the next message; None at the end."""
    head = _exactly(descriptor, HEAD.size)
    return None if head is None else _exactly(descriptor, HEAD.unpack(head)[0])


def _exactly(descriptor: int, size: int) -> bytes | None:
    parts = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def write_frame(descriptor: int, message: bytes) -> None:
    """Send one message; blocks until the other side has taken it."""
    left = memoryview(HEAD.pack(len(message)) + message)
    while left:
        left = left[os.write(descriptor, left) :]
