"""OpenQASM beside the QPY of a bundle, and names of files."""

from __future__ import annotations

import io
import zipfile

from qiskit import QuantumCircuit, qasm3

from jupyter_quantum.bundle_verify import _Bundle, _circuits, _sums
from jupyter_quantum.client.bundle import bundle_name, with_openqasm
from jupyter_quantum.client.circuits import to_qpy


def test_openqasm_of_both_circuits_stands_beside_the_qpy(bell: QuantumCircuit) -> None:
    """It is of the circuits, its checksums are right, and what the service made is not touched."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("source", "executable"):
            archive.writestr(f"{name}.qpy", to_qpy([bell]))
        archive.writestr("SHA256SUMS", b"the service's own")
    with zipfile.ZipFile(io.BytesIO(with_openqasm(out.getvalue()))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert files["derived/source-0.qasm"].decode() == qasm3.dumps(bell)
    assert (files["source.qpy"], files["SHA256SUMS"]) == (to_qpy([bell]), b"the service's own")
    assert _circuits(_Bundle(files, [])) == "source 1 read, executable 1 read"
    only = {name: raw for name, raw in files.items() if name.startswith("derived/")} | {"SHA256SUMS": b""}
    assert _sums(_Bundle(only, [])) == "2 members are as they are listed"


def test_a_bundle_without_qpy_is_left_alone() -> None:
    """OpenQASM that was sent is there already."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("source.qasm3", b"OPENQASM 3.0;")
    assert with_openqasm(out.getvalue()) == out.getvalue()


def test_names_of_files_are_plain() -> None:
    """Whatever a job is called, its file is one in the working directory."""
    assert bundle_name("bell", "job_1") == "bell-job_1.zip"
    assert bundle_name("../up ü", "job_1") == "___up__-job_1.zip"
    assert bundle_name("", "job_1") == "run-job_1.zip"
