"""The bundle that leaves: a zip with what was asked for, the record of the run, and checksums of it all."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from datetime import datetime
from typing import Final

__all__ = ["bundle"]

_FIRST: Final = (1980, 1, 1, 0, 0, 0)
"""Zip knows no time zone: every file says the same, so that equal contents are equal bytes."""


def bundle(files: Mapping[str, bytes], *, export: str, job: str, project: str, made: datetime) -> bytes:
    """A zip of these files, with ``manifest.json`` (what each is worth, by SHA-256) and ``SHA256SUMS``."""
    sums = {name: hashlib.sha256(raw).hexdigest() for name, raw in sorted(files.items())}
    manifest = {
        "format": "jupyter-quantum-bundle/1",
        "export": export,
        "job": job,
        "project": project,
        "made": made.isoformat(),
        "files": {name: {"sha256": value, "size": len(files[name])} for name, value in sums.items()},
    }
    told = json.dumps(manifest, indent=1, sort_keys=True).encode()
    sums["manifest.json"] = hashlib.sha256(told).hexdigest()
    listed = "".join(f"{value}  {name}\n" for name, value in sorted(sums.items())).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in {**files, "manifest.json": told, "SHA256SUMS": listed}.items():
            archive.writestr(zipfile.ZipInfo(name, _FIRST), raw, zipfile.ZIP_DEFLATED)
    return out.getvalue()
