"""Replay, bundle, intervals and mitigation on the real service, as a notebook and a shell have them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from qiskit import QuantumCircuit, qasm3
from qiskit.quantum_info import SparsePauliOp

from jupyter_quantum import Hub
from jupyter_quantum.bundle_verify import verify
from jupyter_quantum.client.jobs import RunJob
from jupyter_quantum.exceptions import Refused
from jupyter_quantum.lab.widgets import Promotion, promote
from jupyter_quantum.testing.demo import DemoHub

_ROOT = Path(__file__).parents[3]


@pytest.fixture
def bell() -> QuantumCircuit:
    """Two entangled qubits, measured."""
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


@pytest.fixture
def job(hub: Hub, bell: QuantumCircuit) -> RunJob:
    """A run on an emulator."""
    ran = hub.backend("fake_torino").run(bell, shots=800, seed_simulator=4)
    ran.result(60)
    return ran


def shell(demo: DemoHub, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as a script calls it."""
    env = os.environ | {"JUPYTER_QUANTUM_URL": demo.service, "JUPYTERHUB_API_TOKEN": demo.token("ben")}
    command = [sys.executable, "-m", "jupyter_quantum", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, cwd=_ROOT)


def test_a_replay_is_identical_here_and_of_other_noise_elsewhere(demo: DemoHub, hub: Hub, job: RunJob) -> None:
    """The same bits on the same emulator; on another one within what both calibrations explain; by the command, too."""
    verdict = job.replay().verdict(60)
    assert verdict.identical
    there = job.replay("fake_fez", max_price=1)
    assert there.view.replay_of == job.view.id
    assert there.verdict(60).verdict in ("same", "drifted")
    assert (job.target.num_qubits, there.target.num_qubits) == (133, 156)
    ran = shell(demo, "replay", job.view.id, "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert (told["replay_of"], told["verdict"]["identical"]) == (job.view.id, True)
    with pytest.raises(Refused, match="you allowed"):
        job.replay(max_price=0.001)


def test_the_bundle_is_verified_without_the_hub(
    demo: DemoHub, job: RunJob, bell: QuantumCircuit, tmp_path: Path
) -> None:
    """Saved by the client, verified by the command offline, circuits too; a changed byte is found."""
    file = job.bundle(tmp_path / "run.zip")
    checked = subprocess.run(
        [sys.executable, "-m", "jupyter_quantum", "bundle", "verify", str(file), "--circuits", "--json"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(_ROOT)},
    )
    told = json.loads(checked.stdout)
    assert (checked.returncode, told["verified"], told["job"]) == (0, True, job.view.id), checked.stdout
    assert {one["name"] for one in told["checks"] if one["holds"]} >= {"proofs", "result", "calibration", "circuits"}
    with zipfile.ZipFile(file) as archive:
        assert archive.read("derived/source-0.qasm").decode() == qasm3.dumps(bell)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    assert shell(demo, "bundle", "verify", str(file)).returncode == 1
    ran = shell(demo, "bundle", "get", job.view.id, "-o", str(tmp_path / "again.zip"))
    assert ran.returncode == 0, ran.stderr


def test_intervals_and_mitigated_values_stand_beside_the_raw_ones(hub: Hub, job: RunJob, bell: QuantumCircuit) -> None:
    """Wilson's intervals of counts; mitigated values of sampler and estimator, in the record with their method."""
    (part,) = job.intervals()
    assert sum(part.counts.values()) == 800
    assert part.values["00"].low < part.counts["00"] / 800 < part.values["00"].high
    sampler = hub.sampler("fake_torino", {"mitigation": "readout", "simulator": {"seed_simulator": 1}})
    sampled = sampler.run([bell], shots=500)
    found = sampled.result(60)
    assert found[0].data.meas.num_shots == 500
    assert sum(found[0].metadata["mitigated"]["quasi"][0].values()) == pytest.approx(1, abs=0.01)
    record = sampled.provenance
    assert (record.mitigation["library"], record.job.executions) == ("mthree", 1500)
    assert "M3 by mthree" in repr(record)
    bare = bell.remove_final_measurements(inplace=False)
    options = {"resilience": {"measure_mitigation": True}, "simulator": {"seed_simulator": 1}}
    estimated = hub.estimator("fake_torino", options).run([(bare, SparsePauliOp("ZZ"))], precision=0.03)
    data = estimated.result(60)[0].data
    assert abs(data.evs_mitigated - 1) < abs(data.evs - 1)
    assert estimated.replay().verdict(60).identical


def test_the_cards_buttons_do_it_on_the_real_service(
    hub: Hub, bell: QuantumCircuit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[Replay] shows the new job with its verdict, [Bundle] leaves a file in the workspace that verifies."""
    monkeypatch.chdir(tmp_path)
    promotion = promote(bell, hub, shots=200)
    promotion.submit("aer").result(60)
    wait_for(promotion, None)
    first = promotion.view
    assert first is not None
    promotion.replay()
    wait_for(promotion, first.id)
    assert "Same: identical, bit for bit." in (promotion.card() or {})["more"]
    file = promotion.bundle()
    with (tmp_path / file).open("rb") as raw:
        assert verify(raw).verified


def wait_for(promotion: Promotion, replay_of: str | None) -> None:
    """Until the promotion's job, a replay of that one, is done and its result is shown."""
    ends = time.monotonic() + 60
    while (view := promotion.view) is None or view.state.value != "completed" or view.replay_of != replay_of:
        assert time.monotonic() < ends
        time.sleep(0.05)
