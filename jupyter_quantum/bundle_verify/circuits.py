"""The circuits of a bundle, read with Qiskit in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

from jupyter_quantum.bundle_verify.parts import Absent, Bundle, Wrong

__all__ = ["check_circuits"]

_READ_S = 120
_SAFE_QPY = b"\x0d"
"""Version 13: no earlier one is written by the service, and reading those may execute code (CVE-2025-2000)."""

_READER = """
import io, json, sys
from qiskit import qasm3, qpy
told = json.load(sys.stdin)
for name, text in told.items():
    circuits = qpy.load(io.BytesIO(bytes.fromhex(text["qpy"])))
    for at, wanted in text["qasm"].items():
        if qasm3.dumps(circuits[int(at)]) != wanted:
            sys.exit(f"the OpenQASM of {name}, circuit {at}, is of another circuit")
    print(name, len(circuits), flush=True)
"""


def check_circuits(bundle: Bundle) -> str:
    """Qiskit reads them, and OpenQASM that lies beside them is of them."""
    told = {}
    for name in ("source", "executable"):
        if f"{name}.qpy" in bundle.files:
            start, end = f"derived/{name}-", ".qasm"
            texts = {
                one[len(start) : -len(end)]: raw.decode()
                for one, raw in bundle.files.items()
                if one.startswith(start) and one.endswith(end)
            }
            told[name] = {"qpy": bundle.files[f"{name}.qpy"].hex(), "qasm": texts}
    if not told:
        raise Absent("no QPY left with this bundle")
    for name in told:
        if bundle.files[f"{name}.qpy"][6:7] < _SAFE_QPY:
            raise Wrong(f"{name}.qpy has an old version, which an old Qiskit reads by running what it says")
    command = [sys.executable, "-I", "-c", _READER]
    try:
        ran = subprocess.run(
            command, input=json.dumps(told), capture_output=True, text=True, check=False, timeout=_READ_S
        )
    except subprocess.TimeoutExpired:
        raise Wrong(f"the circuits could not be read within {_READ_S} s") from None
    if ran.returncode:
        raise Wrong((ran.stderr.strip().splitlines() or [f"the reader ended with {ran.returncode}"])[-1])
    return ", ".join(f"{line} read" for line in ran.stdout.splitlines())
