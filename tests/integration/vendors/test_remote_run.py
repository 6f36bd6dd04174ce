"""Runs at a vendor's, with a real runner, real vendor processes and a vendor behind HTTP."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from qiskit import QuantumCircuit

from jupyter_quantum.testing.adapters.server import VendorServer
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.runner import ExecuteTask, Task
from tests.integration.fabric.asking import work_of
from tests.integration.vendors.far import CALM, KINDS, Far, bell, far_away

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(vendor: VendorServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Far]:
    """One runner for the module, with a device of each kind."""
    async with far_away(tmp_path_factory.mktemp("far"), vendor) as far:
        yield far


def tag_of(task: Task) -> str:
    assert isinstance(task.do, ExecuteTask)
    return task.do.tag


def changed(task: Task, **changes: object) -> Task:
    return task.model_copy(update={"do": task.do.model_copy(update=changes)})


def anew(task: Task, **changes: object) -> Task:
    """The task that recovers this one's attempt."""
    return changed(task, recover=True, **changes).model_copy(update={"id": f"{task.id}r"})


@pytest.mark.parametrize("device", KINDS)
async def test_runs_once_and_tells_where(far: Far, device: str) -> None:
    """A run is handed over once, its handle reported before its end, and the vendor's seconds and words are kept."""
    task = await far.task(device)
    report = await far.do(task)
    assert report.state == "done", report.error
    assert report.result is not None
    assert sum((report.result.experiments[0].counts or {}).values()) == 50
    assert far.vendor.runs()[tag_of(task)] == 1
    assert [one.handles for one in far.started(task)] == [report.handles] == [far.vendor.jobs()[tag_of(task)]]
    assert report.vendor_s == report.usage_s == report.result.seconds == pytest.approx(0.05)
    assert report.result.metadata["vendor"] == [{"id": report.handles[0], "api": "1"}]
    assert report.versions["qiskit"]
    assert report.marks == []


async def test_sampler_and_estimator(far: Far) -> None:
    """Primitives come back as from any other device."""
    sampled = await far.do(await far.task("idempotent", work_of(bell(), "sampler", [Pub(circuit=0, shots=20)])))
    assert sampled.result is not None, sampled.error
    assert sampled.result.pubs[0].registers["meas"].array.shape == [20, 1]
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    pub = Pub(circuit=0, observables=[{"ZZ": 1.0}, {"XX": 1.0}], precision=0.1)
    estimated = await far.do(await far.task("idempotent", work_of(circuit, "estimator", [pub])))
    assert estimated.result is not None, estimated.error
    assert estimated.result.pubs[0].shape == [2]


async def test_small_pubs_are_one_submission(far: Far) -> None:
    """Twelve PUBs cost the overhead of one job; more circuits than fit are split under tags that follow."""
    task = await far.task("searchable", work_of(bell(), "sampler", [Pub(circuit=0, shots=10)] * 12))
    assert (await far.do(task)).state == "done"
    assert far.vendor.runs()[tag_of(task)] == 1
    split = await far.task("searchable", work_of(bell(), "sampler", [Pub(circuit=0, shots=10)] * 25))
    report = await far.do(split)
    assert report.state == "done", report.error
    assert len(report.handles) == 2
    assert {tag: times for tag, times in far.vendor.runs().items() if tag.startswith(tag_of(split))} == {
        tag_of(split): 1,
        f"{tag_of(split)}.1": 1,
    }


@pytest.mark.parametrize(("device", "state"), [("idempotent", "done"), ("searchable", "done"), ("opaque", "unknown")])
async def test_answer_to_a_submission_is_lost(far: Far, device: str, state: str) -> None:
    """The vendor has it and its answer never came: found again, or unknown; in no case handed over twice."""
    task = await far.task(device)
    far.vendor.behave(lose_after=1.0)
    end = await far.give(task)
    await far.until(lambda: tag_of(task) in far.vendor.jobs())
    far.vendor.behave(lose_after=0.0)
    report = await asyncio.wait_for(end, 60)
    assert report.state == state, report.error
    assert far.vendor.runs()[tag_of(task)] == 1
    assert len(far.vendor.jobs()[tag_of(task)]) == 1


async def test_submission_that_never_arrived(far: Far) -> None:
    """A connection that broke before the vendor saw anything: absent, so that a new attempt may be made."""
    task = await far.task("searchable")
    far.vendor.behave(lose_before=1.0)
    end = await far.give(task)
    await asyncio.sleep(1.5)
    far.vendor.behave(lose_before=0.0)
    report = await asyncio.wait_for(end, 60)
    assert report.state == "absent", report
    assert tag_of(task) not in far.vendor.jobs()


async def test_vendor_that_is_busy_is_asked_again(far: Far) -> None:
    """*Unavailable* means that nothing was done: the submission is tried again, and polling goes on."""
    far.vendor.behave(busy=0.4)
    task = await far.task("opaque")
    report = await far.do(task)
    assert report.state == "done", report.error
    assert far.vendor.runs()[tag_of(task)] == 1


async def test_failure_at_the_vendor(far: Far) -> None:
    """The vendor's words, whether another try may help, and what it used."""
    far.vendor.behave(fail=1.0)
    report = await far.do(await far.task("searchable"))
    assert report.state == "failed"
    assert report.error is not None
    assert "the cryostat is warm" in report.error.message
    assert report.retry
    assert report.charged
    assert report.vendor_s == pytest.approx(0.05)


async def test_part_of_a_result(far: Far) -> None:
    """PUBs whose circuits failed are marked, the others are there, and the report says *partial*."""
    far.vendor.behave(fail_circuits=0.5)
    report = await far.do(await far.task("searchable", work_of(bell(), "sampler", [Pub(circuit=0, shots=10)] * 16)))
    assert report.state == "done", report.error
    assert report.result is not None
    missing = [one for one in report.result.pubs if one.missing]
    assert 0 < len(missing) < 16
    assert all(one.metadata["why"] == "the readout was lost" and not one.registers for one in missing)
    assert report.marks == ["partial"]
    (part,) = report.parts
    assert (part.answered, part.owners, part.handle) == (True, list(range(16)), report.handles[0])
    assert part.vendor_s == report.vendor_s


async def test_parts_say_what_became_of_each_submission(far: Far) -> None:
    """Some fail at the vendor: which PUBs were in them, what the vendor counts, and why; the others are answered."""
    far.vendor.behave(fail=0.5, seed=3)
    task = await far.task("searchable", work_of(bell(), "sampler", [Pub(circuit=0, shots=10 + at) for at in range(8)]))
    report = await far.do(task)
    assert report.state == "done", report.error
    assert report.result is not None
    assert [part.owners for part in report.parts] == [[at] for at in range(8)]  # other shots, another submission
    assert [part.handle for part in report.parts] == report.handles
    assert [not part.answered for part in report.parts] == [one.missing for one in report.result.pubs]
    assert 0 < len(report.result.missing) < 8
    assert {part.why for part in report.parts if not part.answered} == {"the cryostat is warm"}
    assert [part.vendor_s for part in report.parts] == pytest.approx([0.001 * (10 + at) for at in range(8)])
    assert sum(part.vendor_s or 0.0 for part in report.parts) == pytest.approx(report.vendor_s)


@pytest.mark.parametrize(
    ("device", "told", "state"),
    [
        ("idempotent", False, "done"),
        ("searchable", False, "done"),
        ("searchable", True, "done"),
        ("opaque", True, "done"),
        ("opaque", False, "unknown"),
    ],
)
async def test_recovering_finds(far: Far, device: str, told: bool, state: str) -> None:
    """An attempt that is at the vendor is found by handle or tag and goes on; it runs once."""
    task = await far.task(device)
    first = await far.do(task)
    report = await far.do(anew(task, handles=first.handles if told else []))
    assert report.state == state, report.error
    if state == "done":
        assert report.handles == first.handles
        assert report.result is not None
    assert far.vendor.runs()[tag_of(task)] == 1
    assert len(far.vendor.jobs()[tag_of(task)]) == 1


@pytest.mark.parametrize("device", ["idempotent", "searchable"])
async def test_recovering_in_an_outage(far: Far, device: str) -> None:
    """A vendor that is away is waited for and then asked: nothing is sent meanwhile, and nobody gives up."""
    task = await far.task(device)
    await far.do(task)
    far.vendor.behave(busy=1.0)
    end = await far.give(anew(task))
    await asyncio.sleep(12)
    assert not end.done(), end.result()
    far.vendor.behave(busy=0.0)
    report = await asyncio.wait_for(end, 60)
    assert report.state == "done", report.error
    assert len(far.vendor.jobs()[tag_of(task)]) == 1


async def test_recovering_what_is_not_there(far: Far) -> None:
    """A search that had time enough says *absent*; an idempotent vendor is given the payload under the same tag."""
    task = await far.task("searchable")
    began = time.monotonic()
    report = await far.do(anew(task))
    assert report.state == "absent", report
    assert time.monotonic() - began > 2.3, "not before the submission and its indexing would be over"
    assert tag_of(task) not in far.vendor.jobs()
    other = await far.task("idempotent")
    assert (await far.do(anew(other))).state == "done"
    assert far.vendor.runs()[tag_of(other)] == 1


async def test_owner_takes_it_back(far: Far) -> None:
    """Cancelled at the vendor as well, and reported with what it used."""
    far.vendor.behave(queue_s=120.0)
    task = await far.task("opaque")
    end = await far.give(task)
    await far.until(lambda: far.started(task))
    await far.standin.cancel(task.id, owner=True)
    report = await asyncio.wait_for(end, 30)
    assert (report.state, report.charged) == ("failed", False)
    assert report.error is not None
    assert report.error.code == "task.stopped"
    assert tag_of(task) not in far.vendor.runs()


async def test_unanswered_then_out_of_reach(far: Far) -> None:
    """The vendor took it without an answer and is away since: nobody may make another attempt of it."""
    task = await far.task("idempotent")
    far.vendor.behave(lose_after=1.0)
    end = await far.give(task)
    await far.until(lambda: tag_of(task) in far.vendor.jobs())
    far.vendor.behave(lose_after=0.0, busy=1.0)
    report = await asyncio.wait_for(end, 60)
    assert (report.state, report.retry) == ("unknown", False), report.error


async def test_taken_back_while_unanswered(far: Far) -> None:
    """Its owner takes it back while nobody knows whether the vendor has it: it is found, and taken back there."""
    far.vendor.behave(lose_after=1.0, queue_s=120.0)
    task = await far.task("idempotent")
    end = await far.give(task)
    await far.until(lambda: tag_of(task) in far.vendor.jobs())
    await far.standin.cancel(task.id, owner=True)
    await asyncio.sleep(2)
    far.vendor.behave(lose_after=0.0, queue_s=0.0)
    report = await asyncio.wait_for(end, 60)
    assert report.state == "failed"
    assert report.handles == far.vendor.jobs()[tag_of(task)]


async def test_taken_back_while_it_is_looked_for(far: Far) -> None:
    """Its owner takes a lost attempt back before it was found: the search goes on, and it is taken back there."""
    far.vendor.behave(indexing_s=2.0, queue_s=120.0)
    task = await far.task("searchable")
    await far.give(task)
    await far.until(lambda: far.started(task))
    await far.standin.cancel(task.id)
    again = anew(task)
    end = await far.give(again)
    await asyncio.sleep(0.5)
    await far.standin.cancel(again.id, owner=True)
    report = await asyncio.wait_for(end, 60)
    assert report.state == "failed", report
    assert report.handles == far.vendor.jobs()[tag_of(task)]


async def test_recovered_to_be_cancelled(far: Far) -> None:
    """A lost attempt whose job was cancelled meanwhile is found and taken back."""
    far.vendor.behave(queue_s=120.0)
    task = await far.task("searchable")
    await far.give(task)
    await far.until(lambda: far.started(task))
    await far.standin.cancel(task.id)
    report = await far.do(anew(task, cancel=True))
    assert report.state == "failed"
    assert report.error is not None
    assert report.error.code == "task.stopped"
    assert tag_of(task) not in far.vendor.runs()


async def test_lost_lease_leaves_it_there(far: Far) -> None:
    """Without the lease nothing is cancelled and nothing reported: somebody else recovers it."""
    far.vendor.behave(run_s=4.0)
    task = await far.task("searchable")
    end = await far.give(task)
    await far.until(lambda: far.started(task))
    await far.standin.cancel(task.id)
    await asyncio.sleep(3)
    assert not end.done()
    far.vendor.behave(run_s=0.0)
    assert (await far.do(anew(task))).state == "done"
    assert far.vendor.runs()[tag_of(task)] == 1


async def test_longest_time_on_the_device(far: Far) -> None:
    """What runs longer than the job may is taken back; time in the vendor's queue does not count."""
    far.vendor.behave(queue_s=3.0, run_s=120.0)
    task = changed(await far.task("opaque"), device_s=1.0)
    began = time.monotonic()
    report = await far.do(task)
    assert report.error is not None
    assert report.error.code == "job.time"
    assert time.monotonic() - began > 3.5


async def test_executable_of_another_digest(far: Far) -> None:
    """What was not validated is never handed over."""
    task = changed(await far.task("opaque"), digest=digest_of(b"another"))
    report = await far.do(task)
    assert report.error is not None
    assert report.error.code == "executable.digest"
    assert tag_of(task) not in far.vendor.jobs()


async def test_vendor_process_dies(far: Far) -> None:
    """In the middle of a submission: found again. At rest: started again. Nothing runs twice."""
    task = await far.task("idempotent")
    far.vendor.behave(delay_s=1.5)
    end = await far.give(task)
    await far.until(lambda: tag_of(task) in far.vendor.jobs() or far.started(task))
    for process in far.vendor_processes():
        process.kill()
    far.vendor.behave(delay_s=0.0)
    assert (await asyncio.wait_for(end, 90)).state == "done"
    assert far.vendor.runs()[tag_of(task)] == 1
    assert (await far.do(await far.task("opaque"))).state == "done"


async def test_new_calibration(vendor: VendorServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It is announced, a run in flight goes on and says *drift*, and draining is quick and leaves what is there."""
    vendor.behave(**CALM.model_dump())
    spec = {"name": "m1", "adapter": "memory", "url": vendor.url, "secret": "memory", "recovery": "searchable"}
    async with far_away(tmp_path_factory.mktemp("drift"), vendor, [spec], calibration_s=1.0) as far:
        before = far.standin.announced
        assert before is not None
        vendor.behave(run_s=8.0)
        task = await far.task("m1")
        end = await far.give(task)
        await far.until(lambda: far.started(task))
        vendor.behave(epoch=2)
        await far.until(lambda: far.standin.announced is not before)
        assert far.standin.announced is not None
        (old,), (new,) = before.devices, far.standin.announced.devices
        assert old.calibration.digest != new.calibration.digest
        assert (new.submit_s, new.remote) == (10.0, True)
        report = await asyncio.wait_for(end, 90)
        assert (report.state, report.marks) == ("done", ["drift"]), report.error
        stale = await far.do(changed(task, tag="job_stale-1").model_copy(update={"id": "tsk_stale"}))
        assert stale.error is not None
        assert stale.error.code == "calibration.changed"
        await _drains(far)


async def _drains(far: Far) -> None:
    far.vendor.behave(run_s=120.0)
    task = await far.task("m1")
    end = await far.give(task)
    await far.until(lambda: far.started(task))
    began = time.monotonic()
    far.runner.process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(far.runner.process.wait(), 20)
    assert time.monotonic() - began < 10
    assert not end.done(), "what is at the vendor is left for the next runner"
    assert far.vendor.runs()[tag_of(task)] == 1, "and was not cancelled there"
