"""The adapter of the vendor in :mod:`.server`: a machine behind HTTP that loses, delays and repeats as a test wishes.

::

    {"name": "m1", "adapter": "memory", "url": "http://127.0.0.1:9000", "secret": "memory", "recovery": "searchable"}

The secret is ``{"key": "…"}``. ``recovery`` says how its vendor tells submissions apart: *idempotent* (a token makes
the second submission the first one), *searchable* (they are listed by tag), *opaque* (neither). It has batches, and
dedicated sessions where ``sessions`` says so; an idempotent one gives the same session under the same name.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field
from qiskit import QuantumCircuit, qpy

from jupyter_quantum.fabric.adapters.base import Order
from jupyter_quantum.fabric.adapters.remote import Counted, RemoteDevice
from jupyter_quantum.fabric.adapters.vendor import (
    Answer,
    Calibration,
    SessionStatus,
    Status,
    Submission,
    Vendor,
    VendorRefused,
    VendorUnavailable,
    VendorUnsure,
)
from jupyter_quantum.fabric.settings import DeviceSpec, OwnSettings
from jupyter_quantum.wire.sessions import SessionMode

__all__ = ["MemoryDevice", "MemoryVendor"]


class _Settings(OwnSettings):
    url: str
    recovery: Literal["idempotent", "searchable", "opaque"] = "idempotent"
    submit_s: float = Field(default=10.0, gt=0)
    indexing_s: float = Field(default=0.0, ge=0)
    max_batch: int = Field(default=20, ge=1)


class MemoryDevice(RemoteDevice):
    """The machine in :mod:`.server`."""

    vendor: ClassVar[str] = "memory"

    def __init__(self, spec: DeviceSpec, threads: int, found: Calibration) -> None:
        own = spec.own(_Settings)
        self.recovery = own.recovery
        self.max_batch = own.max_batch
        super().__init__(spec, threads, found)

    def session_modes(self) -> tuple[SessionMode, ...]:
        """Both."""
        return ("batch", "dedicated")

    @classmethod
    def connect(cls, spec: DeviceSpec, secret: Mapping[str, str]) -> Vendor:
        """The way to the server."""
        return MemoryVendor(spec.own(_Settings), secret.get("key", ""))

    def payload(self, circuits: Sequence[QuantumCircuit], shots: Sequence[int], order: Order) -> bytes:
        """Circuits as QPY, and one number of shots."""
        buffer = io.BytesIO()
        qpy.dump(list(circuits), buffer, version=13)
        return json.dumps({"shots": shots[0], "circuits": base64.b64encode(buffer.getvalue()).decode()}).encode()

    def counted(self, circuits: Sequence[QuantumCircuit], answer: bytes) -> Sequence[Counted]:
        """The counts of each circuit; None where it failed."""
        return [Counted(counts=one["counts"], why=one.get("error", "")) for one in json.loads(answer)]


class MemoryVendor(Vendor):
    """Speaks the API of :mod:`.server`."""

    def __init__(self, own: _Settings, key: str) -> None:
        self.submit_s = own.submit_s
        self.indexing_s = own.indexing_s
        self.same_session = own.recovery == "idempotent"
        self._own = own
        self._key = key

    def calibration(self) -> Calibration:
        """The machine as it is now."""
        found = self._ask("GET", "/v1/device")
        return Calibration(found["target"], datetime.fromisoformat(found["at"]))

    def submit(self, tag: str, payload: bytes) -> str:
        """A job with the tag, as token too where the vendor is idempotent."""
        return self._post(tag, payload, {})

    def submit_in_session(self, session: str, tag: str, payload: bytes) -> str:
        """The same, in a session."""
        return self._post(tag, payload, {"session": session})

    def _post(self, tag: str, payload: bytes, more: dict[str, str]) -> str:
        try:
            said = json.loads(payload)
            body = {"tag": tag, "shots": int(said["shots"]), "circuits": str(said["circuits"])}
        except (ValueError, TypeError, KeyError):
            raise VendorRefused("the payload is none of ours") from None
        if self._own.recovery == "idempotent":
            body["token"] = tag
        return str(self._ask("POST", "/v1/jobs", body | more)["id"])

    def open_session(self, name: str, mode: str, most_s: float) -> str:
        """One with this name; the same one where the vendor is idempotent."""
        body: dict[str, Any] = {"name": name, "mode": mode, "most_s": most_s}
        if self.same_session:
            body["token"] = name
        return str(self._ask("POST", "/v1/sessions", body)["id"])

    def session(self, handle: str) -> SessionStatus:
        """As the vendor says."""
        found = self._ask("GET", f"/v1/sessions/{handle}")
        return SessionStatus(found["open"], found["usage_s"])

    def end_session(self, handle: str) -> SessionStatus:
        """It takes no more jobs."""
        found = self._ask("POST", f"/v1/sessions/{handle}/end", {})
        return SessionStatus(found["open"], found["usage_s"])

    def find(self, tag: str) -> str | None:
        """By its tag, where jobs can be listed."""
        if self._own.recovery == "opaque":
            raise VendorUnsure("this vendor lists no jobs")
        found = self._ask("GET", f"/v1/jobs?tag={quote(tag)}")["jobs"]
        return str(found[0]["id"]) if found else None

    def status(self, handle: str) -> Status:
        """As the vendor says."""
        found = self._ask("GET", f"/v1/jobs/{handle}")
        return Status(Submission(found["state"]), found["error"], found["position"], found["retry"], found["usage_s"])

    def result(self, handle: str) -> Answer:
        """Counts of each circuit."""
        found = self._ask("GET", f"/v1/jobs/{handle}/result")
        return Answer(json.dumps(found["results"]).encode(), found["usage_s"], {"id": handle, "api": found["api"]})

    def cancel(self, handle: str) -> bool:
        """Take it back."""
        return bool(self._ask("POST", f"/v1/jobs/{handle}/cancel", {})["cancelled"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self._own.url).netloc, timeout=self.submit_s)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        sent = False
        try:
            connection.connect()
            sent = True
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            status, said = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            kind = VendorUnsure if sent and path in ("/v1/jobs", "/v1/sessions") else VendorUnavailable
            raise kind(f"{method} {path.partition('?')[0]}: {type(error).__name__}") from error
        finally:
            connection.close()
        if status >= 400:
            refused = VendorUnavailable if status >= 500 or status == 429 else VendorRefused
            raise refused(f"the vendor says {status}: {said.decode(errors='replace')[:200]}")
        return json.loads(said)
