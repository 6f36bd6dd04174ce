"""The command line: data on stdout, words on stderr, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from qiskit import QuantumCircuit, qasm2
from typer.testing import CliRunner

from jupyter_quantum import cli
from jupyter_quantum.client import terminal
from jupyter_quantum.client.circuits import to_qpy
from jupyter_quantum.client.jobs import HubJob
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import PolicyRefused
from jupyter_quantum.wire.jobs import JobRequest
from tests.unit.client.conftest import TOKEN, Service

_ROOT = Path(__file__).parents[3]


def _declared(group: str = cli.GROUP) -> list[EntryPoint]:
    """The commands of a group as pyproject.toml declares them, installed or not."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    return [EntryPoint(name, value, group) for name, value in project["entry-points"][group].items()]


@pytest.fixture
def call(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run ``jupyter quantum <words>`` against the stand-in."""
    monkeypatch.setenv("JUPYTER_QUANTUM_URL", service.url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", TOKEN)
    monkeypatch.setattr(cli, "entry_points", _declared)
    return lambda *words, text=None: CliRunner().invoke(cli.app, list(words), input=text)


@pytest.fixture
def file(tmp_path: Path, bell: QuantumCircuit) -> Path:
    """A Bell circuit as OpenQASM text."""
    path = tmp_path / "my-bell.qasm"
    path.write_text(qasm2.dumps(bell))
    return path


def test_run_prints_the_id(call: Any, service: Service, file: Path) -> None:
    """One line: the id of the job, which is called like the file."""
    done = call("run", str(file), "--shots", "20")
    assert done.exit_code == 0
    assert done.stdout.strip() in service.jobs
    assert service.jobs[done.stdout.strip()].name == "my-bell"


def test_run_and_wait(call: Any, file: Path, bell: QuantumCircuit, tmp_path: Path) -> None:
    """Counts on stdout, a line for each state on stderr; QPY files and stdin too."""
    done = call("run", str(file), "--shots", "1000", "--seed", "1", "--wait")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] in (["00", "11"], ["11", "00"])
    assert "  done  " in done.stderr
    piped = call("run", "-", "--wait", "--json", text=file.read_text())
    assert piped.exit_code == 0
    document = json.loads(piped.stdout)
    assert document["state"] == "completed"
    assert sum(document["result"][0]["counts"].values()) == 1024
    stored = tmp_path / "bell.qpy"
    stored.write_bytes(to_qpy([bell]))
    assert json.loads(call("run", str(stored), "--json").stdout)["name"] == "bell"


def test_a_refusal_ends_with_1(call: Any, service: Service, file: Path) -> None:
    """The service's words on stderr; as JSON, one document on stdout."""
    refuse = [
        lambda handler: False,
        lambda handler: handler.refuse(PolicyRefused("No.", code="policy.x", hint="Less.")),
    ]
    service.before = list(refuse)
    done = call("run", str(file))
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "✕ No. Less. [policy.x]\n")
    service.before = list(refuse)
    done = call("run", str(file), "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["code"] == "policy.x"


def test_wrong_usage_ends_with_2(call: Any) -> None:
    """Typer's own code for usage."""
    assert call("run").exit_code == 2
    assert call("nothing").exit_code == 2


def test_without_a_service_ends_with_3(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that knows no hub."""
    monkeypatch.delenv("JUPYTER_QUANTUM_URL")
    done = call("quota")
    assert done.exit_code == 3
    assert "JUPYTER_QUANTUM_URL is not set" in done.stderr


def test_a_file_that_is_not_there(call: Any) -> None:
    """Named, with the system's reason."""
    done = call("run", "/nowhere/x.qasm")
    assert done.exit_code == 1
    assert "/nowhere/x.qasm cannot be read: No such file" in done.stderr


def test_lists(call: Any, service: Service) -> None:
    """Quota, devices, jobs as text and as JSON."""
    service.add(JobRequest(device="aer", name="bell"))
    assert "12.40 of 50 credits left" in call("quota").stdout
    assert json.loads(call("quota", "--json").stdout)["binding"] == 0
    assert "fake_torino" in call("devices").stdout
    assert len(json.loads(call("devices", "--json").stdout)["devices"]) == 3
    assert "bell" in call("jobs", "--active").stdout
    assert json.loads(call("jobs", "--json").stdout)["jobs"][0]["name"] == "bell"


def test_watch_a_failed_job_ends_with_1(call: Any, service: Service) -> None:
    """Why it failed is said."""
    job = service.add(JobRequest(device="aer"), state=JobState.FAILED, error={"message": "It stopped."})
    done = call("watch", job.id)
    assert done.exit_code == 1
    assert "It stopped." in done.stderr


def test_interrupted_watch_leaves_the_job(call: Any, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C says how to come back and cancels nothing."""

    def interrupted(_: HubJob) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(HubJob, "moves", interrupted)
    job = service.add(JobRequest(device="aer"))
    done = call("watch", job.id)
    assert done.exit_code == terminal.INTERRUPTED
    assert f"The job goes on: jupyter quantum watch {job.id}" in done.stderr
    assert service.jobs[job.id].state is JobState.QUEUED


def test_on_a_terminal_one_line_changes(
    service: Service, hub: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a terminal the progress is Rich's, and the last state stays."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    job = service.add(JobRequest(device="aer", name="[red]bell"), state=JobState.COMPLETED)
    last = terminal.show_moves(hub.job(job.id).moves(), lambda view: f"[red]{view.state.value}")
    assert last is not None
    assert "[red]completed\n" in capsys.readouterr().err


def test_help_lists_every_command(call: Any) -> None:
    """All declared commands with their summaries, whether they can be imported or not."""
    done = call("--help")
    assert done.exit_code == 0
    for entry in _declared():
        assert entry.name in done.stdout
    assert "Follow a job" in done.stdout


def test_a_command_of_two_sides_works_without_one(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """``policy``: what works on files comes from the hub's side, the rest from the client's; each alone is fine."""
    listed = call("policy", "--help")
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in ("check", "test", "explain", "replay", "show"))
    assert call("policy", "check", "--json").exit_code == 0
    group = "jupyter_quantum.commands.policy"
    absent = EntryPoint("check", "jupyter_quantum.hub.absent:check", group)
    monkeypatch.setattr(cli, "entry_points", lambda group: _declared(group) if group == cli.GROUP else [absent])
    done = call("policy", "check")
    assert done.exit_code == 3
    assert "jupyter-quantum[hub]" in done.stderr


def test_a_command_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed with what to install; the others work."""
    absent = EntryPoint("demo", "jupyter_quantum.hub.demo_absent:demo", cli.GROUP)
    monkeypatch.setattr(cli, "entry_points", lambda group: [absent])
    runner = CliRunner()
    assert "jupyter-quantum[demo]" in runner.invoke(cli.app, ["--help"], env={"COLUMNS": "200"}).stdout
    done = runner.invoke(cli.app, ["demo"])
    assert done.exit_code == 3
    assert "jupyter-quantum[demo]" in done.stderr


def test_module_and_laziness() -> None:
    """``python -m jupyter_quantum`` works, and neither it nor the commands' module imports Qiskit."""
    asked = subprocess.run(
        [sys.executable, "-m", "jupyter_quantum", "--help"], capture_output=True, text=True, cwd=_ROOT
    )
    assert asked.returncode == 0, asked.stderr
    assert "quantum sandbox" in asked.stdout
    code = "import sys, jupyter_quantum.cli, jupyter_quantum.client.commands; print('qiskit' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=_ROOT)
    assert found.stdout.strip() == "False"
