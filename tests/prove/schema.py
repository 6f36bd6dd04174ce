"""The service keeps to its own OpenAPI document: schemathesis makes requests from it, valid and broken ones.

No answer is a defect (500), has a status or a type that the document does not name, or a body of another shape.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.prove.lab import EVERY_SCOPE, ProofLab

_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
_LONGEST_S = 240


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """``cases``: requests made for each operation."""
    with ProofLab() as lab:
        report = lab.folder / "report.ndjson"
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{lab.url}/api/v1/openapi.json"]
        command += ["--header", f"Authorization: token {lab.token('zoe', *EVERY_SCOPE)}"]
        command += ["--phases", "examples,fuzzing", "--checks", _CHECKS, "--max-examples", str(cases)]
        command += ["--seed", str(seed), "--no-shrink", "--continue-on-failure", "--exclude-path", "/api/v1/events"]
        command += ["--max-time", str(_LONGEST_S), "--request-timeout", "40", "--report-ndjson-path", str(report)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=lab.folder, check=False)
        tried, found = _read(report)
        if tried == 0:
            found.append(f"nothing was tried: {(done.stdout + done.stderr)[-1000:]}")
        return tried, found


def _read(report: Path) -> tuple[int, list[str]]:
    """Requests that were made, and what was wrong with their answers, each kind of it once for an operation."""
    tried, found = 0, dict[tuple[str, str], str]()
    for line in report.read_text().splitlines() if report.exists() else []:
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        tried += len(recorder.get("cases") or {})
        for checks in (recorder.get("checks") or {}).values():
            for check in checks:
                if check["status"] != "success":
                    found.setdefault((recorder["label"], check["name"]), json.dumps(check)[:600])
    return tried, [f"{operation}: {said}" for (operation, _), said in found.items()]
