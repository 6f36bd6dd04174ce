"""Stories of the door: what runs, what is refused, and what is recorded."""

from __future__ import annotations

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.testing.runner import MemoryRunner

from .conftest import ADA, House, request


async def test_a_job_runs_and_its_result_comes_with_the_answer(house: House, runner: MemoryRunner) -> None:
    """One call takes a circuit from the request to the result."""
    job = await house.pipeline.submit(ADA, request(), key=None, wait_s=5)
    assert job.state is JobState.COMPLETED
    assert job.result is not None
    assert job.result["experiments"][0]["counts"] == {"0x0": 500, "0x3": 500}
    assert job.cost == 0
    await house.ledger()
