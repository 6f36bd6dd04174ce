"""The life of a runner: what it says, whom its workers serve, how they die, how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from qiskit import QuantumCircuit

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.runner import ExecuteTask, Prepared, PrepareTask, ReportTask, order_digest
from tests.integration.fabric.asking import Fabric, execute_task, work_of
from tests.integration.fabric.standin import TOKEN, running, task_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

AER = [{"name": "aer", "adapter": "aer", "slots": 2}]


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def endless() -> QuantumCircuit:
    """A circuit whose simulation takes hours: what only a kill stops."""
    circuit = QuantumCircuit(18, 1)
    for layer in range(60):
        for qubit in range(18):
            circuit.ry(0.1 + layer + qubit, qubit)
            circuit.cx(qubit, (qubit + 1) % 18)
        circuit.measure(0, 0)
        circuit.reset(1)
    circuit.measure(0, 0)
    return circuit


def workers(fabric: Fabric) -> dict[int, float]:
    """The workers, children of the zygote: process id and seconds of processor time."""
    (zygote,) = psutil.Process(fabric.runner.pid).children()
    found = {}
    for child in zygote.children():
        with suppress(psutil.NoSuchProcess):
            found[child.pid] = child.cpu_times().user
    return found


async def busy(fabric: Fabric, known: frozenset[int] = frozenset()) -> frozenset[int]:
    """Workers that compute now, other than those known already; waits for the first (10 s at most)."""
    before = workers(fabric)
    for _ in range(50):
        await asyncio.sleep(0.2)
        found = {pid for pid, used in workers(fabric).items() if used - before.get(pid, used) > 0.03}
        if found - known:
            return frozenset(found - known)
    return frozenset()


async def until(happened: Callable[[], bool]) -> None:
    """Wait until something has happened, 20 s at most."""
    for _ in range(400):
        if happened():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen")


async def looping(fabric: Fabric, **more: object) -> tuple[asyncio.Future[object], str]:
    """A run that never ends; returns its last report to come, and its task."""
    work = work_of(endless(), shots=10_000)
    prepared = await fabric.prepare("aer", work)
    assert prepared.error is None, prepared.error
    task = task_of(execute_task(work, prepared), **more)  # type: ignore[arg-type]
    return await fabric.standin.give(task), task.id


async def test_the_announcement_says_what_is_served_and_how_it_is_locked(fabric: Fabric) -> None:
    """Protocol, versions, devices with Targets, calibration and options; which locks this kernel has and lacks."""
    said = fabric.standin.announced
    assert said is not None
    assert {one.name: one.kind.value for one in said.devices} == {
        "aer": "simulator",
        "fake_torino": "emulator",
        "fake_fez": "emulator",
        "campus_qpu": "qpu",
    }
    assert [one.label for one in said.devices] == ["simulator", "emulator", "emulator", "emulated QPU"]
    assert {"rlimits", "no_new_privs"} <= set(said.sandbox)
    locks = {"rlimits", "no_new_privs", "landlock", "seccomp", "user_namespace", "network_namespace", "private_tmp"}
    missing = {line.partition(":")[0] for line in said.missing}
    assert set(said.sandbox) | missing >= locks or "namespaces" in missing
    assert not set(said.sandbox) & missing
    assert said.qpy_versions[0] == 13
    torino = said.devices[1]
    assert torino.target["num_qubits"] == 133
    assert torino.calibration.at is not None
    assert set(torino.options) == {"run", "sampler", "estimator"}
    assert any("locked by" in line for line in fabric.runner.said)


async def test_workers_live_in_namespaces_of_their_own(fabric: Fabric) -> None:
    """Network, mounts and user of zygote and workers are not the runner's, where this machine allows it."""
    said = fabric.standin.announced
    assert said is not None
    kinds = {"network_namespace": "net", "private_tmp": "mnt", "user_namespace": "user"}
    (zygote,) = psutil.Process(fabric.runner.pid).children()
    for process in (zygote, *zygote.children()):
        for name, kind in kinds.items():
            theirs, ours = (os.readlink(f"/proc/{pid}/ns/{kind}") for pid in (process.pid, fabric.runner.pid))
            assert (theirs != ours) is (name in said.sandbox)


async def test_secrets_stay_in_the_runner(fabric: Fabric) -> None:
    """Neither the token nor the service's environment reaches the zygote or a worker."""
    (zygote,) = psutil.Process(fabric.runner.pid).children()
    for process in (zygote, *zygote.children()):
        known = f"{process.environ()} {process.cmdline()}"
        assert "do-not-inherit" not in known
        assert TOKEN not in known


async def test_prepare_then_execute_in_the_same_worker(fabric: Fabric) -> None:
    """An execute task that follows its prepare task carries no bytes; the worker still holds them."""
    work = work_of(bell(), shots=100, seed_simulator=1)
    first = task_of(PrepareTask(work=work, device="aer"))
    prepared = await fabric.prepare("aer", work)
    follow = execute_task(work, prepared).model_copy(update={"executable": None})
    then = task_of(follow)
    fabric.standin._then[first.id] = then
    ends = [asyncio.get_running_loop().create_future()]
    fabric.standin._ends[then.id] = ends[0]
    await (await fabric.standin.give(first))
    report = await ends[0]
    assert report.result is not None
    assert report.usage_s > 0
    assert report.versions["qiskit-aer"]


async def test_only_what_was_validated_runs(fabric: Fabric) -> None:
    """Other bytes, options, PUBs, kind or device, or another calibration, are refused before the device is used."""
    pub = Pub(circuit=0, shots=10)
    work = work_of(bell(), kind="sampler", pubs=[pub])
    prepared = await fabric.prepare("aer", work)
    task = execute_task(work, prepared)
    other = "sha256:" + "0" * 64
    late = order_digest("aer", task.kind, task.digest, task.pubs, task.options, other)
    assert (await fabric.standin.do(task)).error is None
    for change, code in (
        ({"digest": other}, "executable.digest"),
        ({"options": task.options | {"default_shots": 11}}, "executable.order"),
        ({"pubs": [pub.model_copy(update={"shots": 1000})]}, "executable.order"),
        ({"pubs": [*task.pubs, pub]}, "executable.order"),
        ({"kind": JobKind.RUN}, "executable.order"),
        ({"device": "campus_qpu"}, "executable.order"),
        ({"calibration": other}, "executable.order"),
        ({"order": None}, "executable.order"),
        ({"calibration": other, "order": late}, "calibration.changed"),
    ):
        report = await fabric.standin.do(task.model_copy(update=change))
        assert report.error is not None
        assert report.error.code == code
        assert report.usage_s == 0


async def test_users_never_share_a_worker(fabric: Fabric) -> None:
    """One user's tasks meet the same worker; another user's never do, and tasks without affinity leave none behind."""
    served: dict[str, frozenset[int]] = {"ada": frozenset(), "ben": frozenset()}
    for _ in range(2):
        for user in served:
            work = work_of(endless(), shots=10_000)
            prepared = await fabric.prepare("aer", work, affinity=f"only-{user}")
            report = await fabric.standin.give(
                task_of(execute_task(work, prepared), affinity=f"only-{user}", timeout_s=2.0)
            )
            served[user] |= await busy(fabric)
            assert (await report).error is not None
    assert served["ada"]
    assert served["ben"]
    assert not served["ada"] & served["ben"]


async def test_a_time_limit_is_a_kill(fabric: Fabric) -> None:
    """A run beyond its time fails as such, is reported as started, and its process is gone."""
    end, task = await looping(fabric, timeout_s=1.0)
    report = await end
    assert report.error.code == "job.time"  # type: ignore[attr-defined]
    assert report.charged  # type: ignore[attr-defined]
    assert 0.9 < report.usage_s < 5  # type: ignore[attr-defined]
    states = [report.state for name, report in fabric.standin.reports if name == task]
    assert states == ["started", "failed"]


async def test_cancelling_kills(fabric: Fabric) -> None:
    """A task that the service stops is killed at once, and others go on."""
    end, task = await looping(fabric, affinity="eve")
    prepared = await fabric.prepare("aer", work_of(bell()))
    assert prepared.error is None
    await asyncio.sleep(0.5)
    await fabric.standin.cancel(task)
    report = await asyncio.wait_for(end, 10)
    assert report.error.code == "task.stopped"  # type: ignore[attr-defined]


async def test_a_crash_harms_nobody_else(fabric: Fabric) -> None:
    """A worker that dies of a segmentation fault fails its own task only; another's run goes on to its end."""
    other, name = await looping(fabric, affinity="other")
    others = await busy(fabric)
    end, _ = await looping(fabric, affinity="crashing")
    (victim, *_) = await busy(fabric, others)
    os.kill(victim, signal.SIGSEGV)
    report = await asyncio.wait_for(end, 10)
    assert report.error.code == "job.crash"  # type: ignore[attr-defined]
    assert not other.done()
    await fabric.standin.cancel(name)
    assert (await other).error.code == "task.stopped"  # type: ignore[attr-defined]
    assert (await fabric.prepare("aer", work_of(bell()))).error is None


async def test_a_report_describes_every_device(fabric: Fabric) -> None:
    """One report task: each device with its numbers, a dry run of both kinds, a drawing; refusals beside them."""
    devices = ["aer", "fake_torino", "fake_fez", "campus_qpu"]
    report = await fabric.standin.do(
        ReportTask(work=work_of(bell(), shots=1000), devices=devices, dry_run="fake_torino")
    )
    rows: dict[str, Prepared] = {one.device: one for one in report.prepared}
    assert list(rows) == devices
    assert rows["aer"].noise_free
    assert rows["aer"].success is None
    assert rows["aer"].source_depth == rows["aer"].depth == 3
    for name in devices[1:]:
        assert rows[name].two_qubit_gates == 1
        assert rows[name].success is not None
        assert rows[name].executable is None
        assert rows[name].digest is not None
    assert report.dry_run is not None
    assert set(report.dry_run.ideal) == {"00", "11"}
    assert len(report.dry_run.noisy) > 2
    assert abs(sum(report.dry_run.noisy.values()) - 1) < 1e-9
    assert "meas" in report.drawing


async def test_wide_circuits_are_looked_at_in_the_locked_worker(fabric: Fabric) -> None:
    """60 qubits: a dry run of a stand-in, said to be one; resources by the estimator; rows come before both."""
    circuit = QuantumCircuit(60)
    for qubit in range(59):
        circuit.rx(0.3, qubit)
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    work = work_of(circuit, shots=200, method="matrix_product_state")
    task = ReportTask(work=work, devices=["fake_torino", "fake_fez"], dry_run="fake_fez", resources=True)
    report = await fabric.standin.do(task)
    assert {row.device: row.error for row in report.prepared} == {"fake_torino": None, "fake_fez": None}
    assert all(row.basis == ["gates", "readout"] for row in report.prepared)
    assert report.dry_run is not None
    assert report.dry_run.stand_in
    assert report.dry_run.method == "stim"
    assert report.dry_run.note == (
        "Too wide to simulate, so this dry run uses a Clifford stand-in with the same layout. "
        "Not your circuit's result."
    )
    assert {len(bits) for bits in report.dry_run.noisy} == {60}
    assert report.resources is not None
    assert report.resources.method == "qdk"
    assert report.resources.rotations == 59
    assert len(report.resources.models) == 4


async def test_resources_that_cannot_be_told_cost_no_row(fabric: Fabric) -> None:
    """An estimator's circuit of Clifford gates: every device has its row, and the resources say what they know."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    work = work_of(circuit, "estimator", [Pub(circuit=0, observables={"ZZ": 1.0})])
    report = await fabric.standin.do(ReportTask(work=work, devices=["fake_torino", "fake_fez"], resources=True))
    assert report.error is None
    assert {row.device: row.error for row in report.prepared} == {"fake_torino": None, "fake_fez": None}
    assert report.resources is not None
    assert report.resources.gates == 2


async def test_the_same_shape_again_costs_next_to_nothing(fabric: Fabric) -> None:
    """A user's second report on a circuit with another name is many times quicker; another user's is not."""
    circuit = QuantumCircuit(30, name="first")
    for layer in range(20):
        for qubit in range(29):
            circuit.rx(0.1 + layer, qubit)
            circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    seconds, digests = [], []
    for name, who in (("first", "remembered"), ("second", "remembered"), ("first", "another")):
        circuit.name = name
        began = time.monotonic()
        work = work_of(circuit, method="matrix_product_state")
        task = ReportTask(work=work, devices=["fake_torino", "fake_fez"], draw=False)
        report = await fabric.standin.do(task, affinity=who)
        seconds.append(time.monotonic() - began)
        digests.append([row.digest for row in report.prepared])
    assert seconds[1] < seconds[0] / 3, seconds
    assert digests[0] == digests[2] != digests[1]


async def test_an_unknown_device_is_a_refusal(fabric: Fabric) -> None:
    """A task for a device that is not served here is refused by name."""
    prepared = await fabric.prepare("nowhere", work_of(bell()))
    assert prepared.error is not None
    assert prepared.error.code == "device.absent"


async def test_leases_are_renewed_while_a_task_runs(fabric: Fabric) -> None:
    """A long run is named with its fence in the polls that follow."""
    end, task = await looping(fabric, timeout_s=6.0)
    await end
    assert any(lease.running.get(task) == 1 for lease in fabric.standin.leases)


async def test_a_lost_lease_does_not_stop_the_runner(fabric: Fabric) -> None:
    """A refused report (an older fence) is dropped, and the next task is served."""
    fabric.standin.refuse_reports = True
    work = work_of(bell())
    lost = task_of(PrepareTask(work=work, device="aer"))
    seen = len(fabric.standin.reports)
    await fabric.standin.give(lost)
    await until(lambda: len(fabric.standin.reports) > seen)
    fabric.standin.refuse_reports = False
    assert (await fabric.prepare("aer", work)).error is None


async def test_an_outage_of_the_service_is_survived(fabric: Fabric) -> None:
    """While the service answers 503 the runner backs off; afterwards it announces itself again and serves."""
    before = fabric.standin.announcements
    fabric.standin.down = True
    await fabric.standin.cancel("tsk_wakes_the_poll")
    await asyncio.sleep(0.5)
    fabric.standin.down = False
    await until(lambda: fabric.standin.announcements > before)
    assert (await fabric.prepare("aer", work_of(bell()))).error is None


@pytest.mark.parametrize("how", ["SIGTERM", "end of standard input"])
async def test_draining_ends_every_process(tmp_path: Path, how: str) -> None:
    """On either signal the runner stops leasing, lets a short run end, reports it, and leaves no process."""
    async with running(tmp_path, AER, workers=1) as (standin, runner):
        fabric = Fabric(standin, runner)
        work = work_of(endless(), shots=10_000)
        prepared = await fabric.prepare("aer", work)
        family = psutil.Process(runner.pid).children(recursive=True)
        task: ExecuteTask = execute_task(work, prepared)
        end = await standin.give(task_of(task, timeout_s=2.0))
        await asyncio.sleep(0.5)
        if how == "SIGTERM":
            os.kill(runner.pid, signal.SIGTERM)
        else:
            assert runner.process.stdin is not None
            runner.process.stdin.close()
        report = await asyncio.wait_for(end, 10)
        assert report.error is not None
        assert report.error.code == "job.time"
        assert await asyncio.wait_for(runner.process.wait(), 15) == 0
        _, alive = psutil.wait_procs(family, timeout=5)
        assert not alive


async def test_a_run_that_a_drain_cuts_off_is_not_reported_as_failed(tmp_path: Path) -> None:
    """It is nobody's fault: the service, not told of an end, reconciles it; a failure would be charged."""
    async with running(tmp_path, AER, workers=1) as (standin, runner):
        fabric = Fabric(standin, runner)
        end, task = await looping(fabric, timeout_s=60.0)
        await until(lambda: any(name == task for name, _ in standin.reports))
        assert runner.process.stdin is not None
        runner.process.stdin.close()
        assert await asyncio.wait_for(runner.process.wait(), 20) == 0
        assert [report.state for name, report in standin.reports if name == task] == ["started"]
        end.cancel()


async def test_workers_do_not_outlive_a_killed_runner(tmp_path: Path) -> None:
    """A runner that is killed outright takes its zygote and workers along."""
    async with running(tmp_path, AER, workers=2) as (_, runner):
        family = psutil.Process(runner.pid).children(recursive=True)
        assert family
        runner.process.kill()
        await runner.process.wait()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive
