"""OpenQASM beside the QPY of a bundle, names of files, and what waits for a review."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from qiskit import QuantumCircuit, qasm3

from jupyter_quantum.bundle_verify.circuits import check_circuits
from jupyter_quantum.bundle_verify.parts import Bundle, Wrong
from jupyter_quantum.bundle_verify.record import check_sums
from jupyter_quantum.client.bundle import bundle_name, save_bundle, with_openqasm
from jupyter_quantum.client.circuits import to_qpy
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.wire.data import AskExport, ExportList, ExportView


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
    assert check_circuits(Bundle(files, [])) == "source 1 read, executable 1 read"
    only = {name: raw for name, raw in files.items() if name.startswith("derived/")} | {"SHA256SUMS": b""}
    assert check_sums(Bundle(only, [])) == "2 members are as they are listed"


def test_circuits_of_an_old_version_are_not_read(bell: QuantumCircuit) -> None:
    """An old Qiskit runs what such a file says; the service writes none."""
    raw = to_qpy([bell])
    with pytest.raises(Wrong, match="old version"):
        check_circuits(Bundle({"source.qpy": raw[:6] + b"\x0c" + raw[7:]}, []))


def test_circuits_that_take_for_ever_are_given_up(bell: QuantumCircuit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever made the bundle cannot keep its reader busy."""
    monkeypatch.setattr("jupyter_quantum.bundle_verify.circuits._READ_S", 0.01)
    with pytest.raises(Wrong, match="could not be read within"):
        check_circuits(Bundle({"source.qpy": to_qpy([bell])}, []))


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


class Exports:
    """The service's exports of one job, as a connection answers for them."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.made: list[ExportView] = []
        self.taken: list[str] = []

    def get(self, path: str, shape: type, **params: object) -> ExportList:
        return ExportList(exports=self.made)

    def post(self, path: str, shape: type, asked: AskExport) -> ExportView:
        now = datetime(2026, 5, 12, tzinfo=UTC)
        fields = {"id": f"exp_{len(self.made)}", "job": asked.job, "project": "lab", "target": asked.target}
        told = {"classes": sorted(asked.classes), "reason": asked.reason, "asked_by": "ada", "state": self.state}
        view = ExportView(**fields, **told, words="Waits for a review.", created=now, changed=now, link=self._link())
        self.made.append(view)
        return view

    def _link(self) -> str | None:
        return "exports/bundle" if self.state == "ready" else None

    def file(self, path: str) -> bytes:
        self.taken.append(path)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("job.json", b"{}")
        return out.getvalue()


def test_a_bundle_that_waits_for_a_review_is_asked_for_once(tmp_path: Path) -> None:
    """Until somebody has agreed nothing is written; then the same export is taken, not another one."""
    exports, file = Exports("review"), tmp_path / "run.zip"
    for _ in range(2):
        with pytest.raises(Conflict, match="once somebody has agreed") as caught:
            save_bundle(exports, "job_1", file, "download", "thesis")  # type: ignore[arg-type]
        assert (caught.value.code, caught.value.details["export"]) == ("export.review", "exp_0")
    assert (len(exports.made), file.exists()) == (1, False)
    exports.made = [exports.made[0].model_copy(update={"state": "ready", "link": "exports/exp_0/bundle"})]
    assert save_bundle(exports, "job_1", file, "download", "").id == "exp_0"  # type: ignore[arg-type]
    assert exports.taken == ["exports/exp_0/bundle"]
    assert zipfile.is_zipfile(file)
    exports.made, exports.state = [exports.made[0].model_copy(update={"state": "taken", "link": None})], "ready"
    assert save_bundle(exports, "job_1", file, "download", "").id == "exp_1"  # type: ignore[arg-type]
