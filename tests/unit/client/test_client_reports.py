"""Reports row by row, on the command line too; estimates for fault-tolerant computers."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from qiskit import QuantumCircuit
from typer.testing import CliRunner

from jupyter_quantum import cli
from jupyter_quantum.client.hub import Hub
from jupyter_quantum.client.report import Report
from jupyter_quantum.exceptions import NotFound
from jupyter_quantum.wire.reports import DryRun, QubitModel, ReportRow, Resources
from tests.unit.client.conftest import TOKEN, Service

BELL = 'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c; h q[0]; cx q[0], q[1]; c = measure q;'
STAND_IN = (
    "Too wide to simulate, so this dry run uses a Clifford stand-in with the same layout. Not your circuit's result."
)


def _declared(group: str = cli.GROUP) -> list[EntryPoint]:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    return [EntryPoint(name, value, group) for name, value in project["entry-points"][group].items()]


@pytest.fixture
def run(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The command line, with a file of a Bell circuit as ``FILE``."""
    monkeypatch.setenv("JUPYTER_QUANTUM_URL", service.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    monkeypatch.setattr(cli, "entry_points", _declared)
    file = tmp_path / "bell.qasm"
    file.write_text(BELL)
    return lambda *words: CliRunner().invoke(cli.app, [str(file) if word == "FILE" else word for word in words])


def test_rows_come_before_the_report(hub: Hub, bell: QuantumCircuit) -> None:
    """Each device first as pending, then as it is; the report has the same rows."""
    seen: list[list[tuple[str, bool]]] = []

    def note(rows: list[ReportRow]) -> None:
        seen.append([(row.device, row.pending) for row in rows])

    report = hub.report(bell, devices=["aer", "fake_torino"], on_rows=note)
    both = [("aer", False), ("fake_torino", False)]
    assert seen == [[("aer", True), ("fake_torino", True)], both[:1], both[1:], both]
    assert [row.device for row in report.rows] == ["aer", "fake_torino"]


def test_a_stream_that_breaks_off_is_asked_for_whole(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """Nothing is lost where lines do not arrive: the report is asked for once more, once."""
    service.before = [lambda handler: handler.drop()]
    assert hub.report(bell).rows[0].device == "aer"
    kinds = [headers.get("Accept") for method, path, headers in service.seen if path.endswith("/reports")]
    assert kinds == ["application/x-ndjson", "application/json"]


def test_the_command_prints_rows_and_verdicts(run: Any) -> None:
    """A line for each device under the heads, then the verdicts in words; --json is the stored report."""
    done = run("report", "FILE", "-d", "aer", "-d", "fake_torino", "--shots", "500")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].split()[0] == "Device"
    assert [line.split()[0] for line in lines[1:3]] == ["aer", "fake_torino"]
    assert "bell · 2 qubits · 500 shots" in done.output
    assert json.loads(run("report", "FILE", "--json").stdout)["rows"][0]["device"] == "aer"


def test_a_stand_in_says_so(hub: Hub, bell: QuantumCircuit) -> None:
    """Text and HTML name the stand-in in the words of the guide."""
    report = hub.report(bell)
    dry = DryRun(device="aer", shots=100, ideal={"00": 1.0}, noisy={"00": 0.9, "01": 0.1}, stand_in=True, note=STAND_IN)
    shown = Report(report.view.model_copy(update={"dry_run": dry}))
    assert "Dry run of a Clifford stand-in on aer, 100 shots" in repr(shown)
    assert STAND_IN in repr(shown)
    assert STAND_IN.replace("'", "&#x27;") in shown._repr_html_() or STAND_IN in shown._repr_html_()


def test_resources_are_shown_with_what_they_rest_on(service: Service, hub: Hub, bell: QuantumCircuit, run: Any) -> None:
    """Numbers as fields, words as a table; where no runner can say, that is said."""
    with pytest.raises(NotFound, match="could not be estimated") as caught:
        hub.resources(bell)
    assert caught.value.code == "resources.none"
    model = QubitModel(name="m", words="trapped ions", physical_qubits=734_812, seconds=1.794, code_distance=13)
    service.resources = Resources(
        method="qdk", logical_qubits=54, t_count=0, rotations=120, t_states=1920, error_budget=1e-3, models=[model]
    )
    card = hub.resources(bell)
    assert card.models[0].physical_qubits == 734_812
    assert "54 logical qubits · 0 T gates · 120 rotations · 1\u202f920 T states in all" in repr(card)
    assert "trapped ions" in card._repr_html_()
    assert "734\u202f812" in run("resources", "FILE").output
    assert json.loads(run("resources", "FILE", "--json").stdout)["models"][0]["code_distance"] == 13
    service.resources = service.resources.model_copy(update={"models": [], "method": "count", "note": "Counted only."})
    assert repr(hub.resources(bell)).endswith("Counted only.")
