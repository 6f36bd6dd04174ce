"""A vendor's client as careless as can be: it prints, raises, logs and returns its key. Shots choose how."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jupyter_quantum.fabric.adapters.vendor import Answer, Vendor, VendorRefused, VendorUnavailable
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.testing.adapters.memory import MemoryDevice, MemoryVendor, _Settings

RAISES, REFUSES, CRASHES, NAMES, RETURNS = 11, 12, 13, 14, 15


class LeakyDevice(MemoryDevice):
    """The machine of the tests behind that client."""

    @classmethod
    def connect(cls, spec: DeviceSpec, secret: Mapping[str, str]) -> Vendor:
        """Says what it should not."""
        print(f"connecting with {secret}", flush=True)
        logging.getLogger("vendor.sdk").error("key is %s", secret["key"])
        return LeakyVendor(spec.own(_Settings), secret["key"])


class LeakyVendor(MemoryVendor):
    """See the module."""

    def submit(self, tag: str, payload: bytes) -> str:
        """Goes wrong in the way that the shots choose."""
        shots = json.loads(payload)["shots"]
        if shots == RAISES:
            raise RuntimeError(f"POST /v1/jobs?key={self._key} failed")
        if shots == REFUSES:
            raise VendorRefused(f"the key {self._key} has no budget")
        if shots == CRASHES:
            self._crash()
        handle = super().submit(tag, payload)
        return f"{self._key}:{handle}" if shots == NAMES else handle

    def _crash(self) -> None:
        """A traceback that shows locals, then no process any more."""
        key = self._key
        try:
            raise ValueError(f"Authorization: Bearer {key}")
        except ValueError:
            sys.stderr.write(f"{traceback.format_exc()}\n{locals()!r}\n")
            sys.stderr.flush()
            os._exit(1)

    def status(self, handle: str) -> Any:
        """Tells of the key in passing."""
        found = super().status(handle)
        return replace(found, words=f"{found.words} (as {self._key})")

    def result(self, handle: str) -> Answer:
        """The key in data and metadata."""
        found = super().result(handle)
        body = [one | {"debug": self._key} for one in json.loads(found.data)]
        return Answer(json.dumps(body).encode(), found.usage_s, {**found.metadata, "headers": {"key": self._key}})

    def cancel(self, handle: str) -> bool:
        """Never reached in the tests."""
        raise VendorUnavailable(self._key)
