"""What a runner may answer that nobody asked for: results without a shape, words without an end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from jupyter_quantum.core.jobs import FINAL, JobKind, JobState
from jupyter_quantum.exceptions import JobFailed, QuantumError
from jupyter_quantum.testing.runner import MemoryRunner
from jupyter_quantum.wire.base import ErrorBody
from jupyter_quantum.wire.jobs import JobRequest, JobView, Pub
from jupyter_quantum.wire.results import Array, Bits, Experiment, PubResult, ResultView
from jupyter_quantum.wire.runner import Prepared, Share, Task
from tests.integration.pipeline.conftest import ADA, DEVICES, House, request, until

EIGHT = Array(dtype="<f8", shape=[], data=b"\0" * 8)
RUN: Mapping[str, list[Experiment]] = {
    "one too many": [Experiment(name="c", shots=100, counts={"0x0": 100})] * 2,
    "none": [],
    "nothing counted": [Experiment(name="c", shots=100)],
    "fewer than its shots": [Experiment(name="c", shots=100, counts={"0x0": 99})],
    "less than nothing": [Experiment(name="c", shots=100, counts={"0x0": 101, "0x1": -1})],
    "a shot too many": [Experiment(name="c", shots=1, memory=["0x0", "0x0"])],
}
ESTIMATED: Mapping[str, PubResult] = {
    "no errors": PubResult(shape=[], evs=EIGHT),
    "bytes missing": PubResult(shape=[], evs=EIGHT, stds=EIGHT.model_copy(update={"data": b"\0"})),
    "another shape": PubResult(shape=[2], evs=EIGHT, stds=EIGHT),
    "negative": PubResult(shape=[-1], **dict.fromkeys(("evs", "stds"), Array(dtype="<f8", shape=[-1], data=b""))),
    "bits": PubResult(shape=[], **dict.fromkeys(("evs", "stds"), Array(dtype="|u1", shape=[], data=b"\0"))),
}


class Forger(MemoryRunner):
    """Answers every run with this."""

    def __init__(self, house: House, **told: Any) -> None:
        super().__init__(house.pipeline, DEVICES)
        self.told = told

    async def _execute(self, task: Task, do: Any) -> Any:
        return await self._report(task, **self.told)


async def ended(house: House, asked: JobRequest) -> JobView:
    """Ada's job once it is final."""
    job = await house.pipeline.submit(ADA, asked, key=None, wait_s=0)

    async def final() -> JobView | None:
        now = await house.pipeline.job(ADA, job.id)
        return now if now.state in FINAL else None

    found: JobView = await until(final, 10.0)
    await house.ledger()
    return found


async def unusable(house: House, asked: JobRequest, **parts: Any) -> None:
    """A job whose device answers so fails in words, and costs nothing."""
    result = ResultView(kind=asked.kind, backend=asked.device, seconds=1.0, **parts)
    async with Forger(house, state="done", result=result, usage_s=1.0):
        job = await ended(house, asked)
        assert (job.state, job.cost) == (JobState.FAILED, 0)
        with pytest.raises(JobFailed, match="cannot be used") as error:
            await house.pipeline.result(ADA, job.id)
        assert error.value.code == "result.shape"


@pytest.mark.parametrize("name", RUN)
async def test_counts_that_are_none_are_no_result(house: House, name: str) -> None:
    """Another number of circuits than was sent, or of shots than it says: no result, and nothing to pay."""
    await unusable(house, request("fake_torino"), experiments=RUN[name])


@pytest.mark.parametrize("name", ESTIMATED)
async def test_values_without_a_shape_are_no_result(house: House, name: str) -> None:
    """Arrays that nobody could read do not become a result that breaks in somebody's notebook."""
    pubs = [Pub(circuit=0, observables={"ZZ": 1.0})]
    asked = request("fake_torino").model_copy(update={"kind": JobKind.ESTIMATOR, "pubs": pubs, "options": {}})
    await unusable(house, asked, pubs=[ESTIMATED[name]])


@pytest.mark.parametrize(
    ("bits", "shape", "data"), [(2, [5, 1], b"\0" * 4), (9, [5, 1], b"\0" * 5), (2, [5], b"\0" * 5), (-1, [5, 0], b"")]
)
async def test_bits_without_a_shape_are_no_result(house: House, bits: int, shape: list[int], data: bytes) -> None:
    """The same of a sampler's registers."""
    asked = request("fake_torino").model_copy(update={"kind": JobKind.SAMPLER, "pubs": [Pub(circuit=0, shots=5)]})
    array = Array(dtype="|u1", shape=shape, data=data)
    await unusable(house, asked, pubs=[PubResult(shape=[], registers={"meas": Bits(num_bits=bits, array=array)})])


async def test_words_of_a_runner_have_an_end(house: House) -> None:
    """A code that is none, endless or hidden words and details: what is stored and recorded of them is small."""
    said = ErrorBody(
        error="X" * 10_000,
        code="x" * 100_000,
        message="Broken.\x1b[2J\u202e" + "y" * 100_000,
        details={"z": "z" * 100_000},
    )
    versions = {f"package {at}": "1" * 10_000 for at in range(1_000)}
    async with Forger(house, state="failed", error=said, versions=versions):
        job = await ended(house, request("fake_torino"))
    row = await house.store.read(lambda view: view.job(job.id))
    events = await house.store.read(lambda view: view.job_events(job.id))
    assert job.state is JobState.FAILED
    assert len(row.error or "") < 6_000
    assert len(row.versions or "") < 20_000
    assert "runner.garbage" in (row.error or "")
    assert "\\u001b" not in (row.error or "")
    assert max(len(str(event.data)) for event in events) < 2_000


SPLITS: Mapping[str, list[Share]] = {
    "a PUB less": [Share(tasks=1, executions=2000)],
    "less than it asks for": [Share(tasks=1, executions=1), Share(tasks=1, executions=1000)],
    "more than the whole": [Share(tasks=1, executions=1000), Share(tasks=1, executions=9000)],
    "more circuits than there are": [Share(tasks=9, executions=1000), Share(tasks=1, executions=1000)],
    "no circuit": [Share(tasks=0, executions=1000), Share(tasks=1, executions=1000)],
}


@pytest.mark.parametrize("name", SPLITS)
async def test_what_a_part_of_a_job_takes_is_not_made_up(house: House, name: str) -> None:
    """A worker that splits a job so that what comes costs too little is not believed, before anything is on hold."""

    class Splitter(MemoryRunner):
        def _prepare(self, *asked: Any, **more: Any) -> Prepared:
            return super()._prepare(*asked, **more).model_copy(update={"shares": SPLITS[name]})

    pubs = [Pub(circuit=0, shots=1000)] * 2
    async with Splitter(house.pipeline, DEVICES):
        with pytest.raises(QuantumError) as caught:
            await house.pipeline.submit(
                ADA, request("fake_torino", kind=JobKind.SAMPLER, pubs=pubs), key=None, wait_s=5
            )
    assert caught.value.code == "runner.garbage"
    await house.ledger()
