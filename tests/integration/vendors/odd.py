"""Vendors' clients that misbehave; the device's setting ``way`` says how."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from qiskit.providers.fake_provider import GenericBackendV2

from jupyter_quantum.fabric.adapters.vendor import (
    Answer,
    Calibration,
    Status,
    Submission,
    Vendor,
    VendorRefused,
    VendorUnavailable,
    VendorUnsure,
)
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.targets import target_to_json
from jupyter_quantum.testing.adapters.memory import MemoryDevice


class OddDevice(MemoryDevice):
    """Reached by an odd client."""

    @classmethod
    def connect(cls, spec: DeviceSpec, secret: Mapping[str, str]) -> Vendor:
        """As the settings say."""
        way = (spec.model_extra or {})["way"]
        if way == "no-start":
            raise ValueError(f"no connection with {secret}")
        return Odd(way, secret)


class Odd(Vendor):
    """Misbehaves."""

    def __init__(self, way: str, secret: Mapping[str, str]) -> None:
        self.way, self.secret = way, secret

    def calibration(self) -> Calibration:
        """Fine."""
        return Calibration(target_to_json(GenericBackendV2(2, seed=1).target), None)

    def submit(self, tag: str, payload: bytes) -> str:
        """Hangs, dies, prints its key, or says no in a way of its own."""
        if payload == b"hang":
            time.sleep(60)
        if payload == b"print":
            print(self.secret["key"], flush=True)
        if payload == b"die":
            os._exit(3)
        if payload == b"environment":
            return json.dumps(sorted(os.environ))[:400]
        if payload == b"arguments":
            return repr(sys.argv)
        if payload == b"dumpable":
            return str(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE
        return tag

    def find(self, tag: str) -> str | None:
        """Hangs."""
        if tag == "hang":
            time.sleep(60)
        return None

    def status(self, handle: str) -> Status:
        """Nonsense of each kind."""
        nonsense: dict[str, Any] = {
            "nan": Status(Submission.DONE, usage_s=float("nan")),
            "negative": Status(Submission.DONE, usage_s=-1.0),
            "secret": Status(Submission.FAILED, words=f"key {self.secret['key']}\n\x1b[31mred"),
        }
        if handle in nonsense:
            found: Status = nonsense[handle]
            return found
        kinds: dict[str, Exception] = {
            "unavailable": VendorUnavailable("away"),
            "refused": VendorRefused("no"),
            "unsure": VendorUnsure("who knows"),
            "other": KeyError(self.secret["key"]),
        }
        raise kinds[handle]

    def result(self, handle: str) -> Answer:
        """Metadata that is no JSON, or much of everything."""
        if handle == "large":
            return Answer(b"0" * 2**20)
        return Answer(b"[]", metadata={"object": object()})

    def cancel(self, handle: str) -> bool:
        """Done."""
        return True
