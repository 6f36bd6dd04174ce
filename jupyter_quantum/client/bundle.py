"""The bundle of a run: an export of everything, for a reviewer who verifies it offline (``bundle_verify``).

It leaves its project as that allows: at once, after a review, or not at all. What the service made is kept byte for
byte; OpenQASM 3 of its circuits is written beside it here, under ``derived/``.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from typing import Any, Final

from qiskit import qasm3

from jupyter_quantum.client.circuits import load_circuits
from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.terminal import writing
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.data import AskExport, ExportList, ExportView

__all__ = ["DOWNLOAD", "bundle_name", "save_bundle", "with_openqasm"]

DOWNLOAD: Final = "download"
"""The target of downloads, as deployments name it."""

_FIRST: Final = (1980, 1, 1, 0, 0, 0)
_ALL: Final = {"inputs", "results"}


def bundle_name(name: str, job: str) -> str:
    """A file name for the bundle of a job."""
    plain = "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "_" for one in name)[:60]
    return f"{plain or 'run'}-{job}.zip"


def save_bundle(connection: Connection, job: str, path: str | os.PathLike[str], target: str, reason: str) -> ExportView:
    """Ask for the bundle of a job, or take the one that was approved, and write it to ``path``.

    Raises Refused (``export.target`` …), PolicyRefused, Conflict ``export.review`` where a person decides first.
    """
    export = _ready(connection, job, target) or connection.post("exports", ExportView, _asked(job, target, reason))
    if export.state != "ready":
        raise Conflict(
            f"{export.words} The bundle leaves {export.project} once somebody has agreed.",
            code="export.review",
            hint=f"Call bundle() again then; {export.id} shows how it stands.",
            details={"export": export.id},
        )
    with writing(path) as file:
        file.write(with_openqasm(connection.file(f"exports/{export.id}/bundle")))
    return export


def _asked(job: str, target: str, reason: str) -> AskExport:
    return AskExport(job=job, target=target, classes=["inputs", "results"], reason=reason)


def _ready(connection: Connection, job: str, target: str) -> ExportView | None:
    """One's own export of all of this job that was agreed to, or is being decided."""
    found = connection.get("exports", ExportList, job=job).exports
    mine = [one for one in found if one.target == target and set(one.classes) == _ALL]
    open_ = [one for one in mine if one.state == "review" or (one.state == "ready" and one.link is not None)]
    return min(open_, key=lambda one: one.state != "ready", default=None)


def with_openqasm(raw: bytes) -> bytes:
    """The bundle with OpenQASM 3 of those of its circuits that OpenQASM can say."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    derived = _derived(files)
    if not derived:
        return raw
    listed = "".join(f"{hashlib.sha256(text).hexdigest()}  {name}\n" for name, text in sorted(derived.items()))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, **derived, "derived/SHA256SUMS": listed.encode()}.items():
            archive.writestr(zipfile.ZipInfo(name, _FIRST), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _derived(files: dict[str, bytes]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in ("source", "executable"):
        data = files.get(f"{name}.qpy")
        if data is None:
            continue
        for at, circuit in enumerate(load_circuits(CircuitBundle.model_construct(format="qpy", data=data))):
            text = _openqasm(circuit)
            if text is not None:
                found[f"derived/{name}-{at}.qasm"] = text
    return found


def _openqasm(circuit: Any) -> bytes | None:
    try:
        return str(qasm3.dumps(circuit)).encode()
    except Exception:  # whatever the exporter cannot say; the QPY is there
        return None
