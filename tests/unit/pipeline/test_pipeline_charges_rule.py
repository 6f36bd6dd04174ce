"""What a report of a runner comes to, for the rule of what an attempt costs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from jupyter_quantum.core.charging import Charge, End, Use
from jupyter_quantum.core.jobs import DeviceKind, JobKind
from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.pipeline.charges import answered, is_ours, stopped
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.wire.results import Mitigated, PubResult, ResultView
from jupyter_quantum.wire.runner import PartReport, Prepared, Share, TaskReport

NOW = datetime(2026, 5, 12, tzinfo=UTC)
SHARES = [Share(tasks=1, executions=100), Share(tasks=2, executions=400), Share(tasks=1, executions=100)]
STOPPED = JobFailed("Taken back by its owner.", code="task.stopped")


def row(shares: list[Share] = SHARES, kind: DeviceKind = DeviceKind.QPU) -> JobRow:
    """A job of three PUBs, and two circuits of 50 shots of a method of mitigation."""
    prepared = Prepared(device="q", num_circuits=3, tasks=6, executions=700, shares=shares)
    fields: dict[str, Any] = {"project": "p", "device": "q", "device_kind": kind, "device_label": "", "name": "n"}
    fields |= {"created": NOW, "changed": NOW, "source": "s", "prepared": prepared.model_dump_json()}
    return JobRow(id="job_1", principal="a@1", owner="a", organisation="o", kind=JobKind.SAMPLER, **fields)


def result(*missing: int, mitigated: bool = False) -> ResultView:
    """Three PUBs, of which these are missing."""
    values = Mitigated(method="m") if mitigated else None
    pubs = [PubResult(shape=[], missing=at in missing, mitigated=None if at in missing else values) for at in range(3)]
    return ResultView(kind=JobKind.SAMPLER, backend="q", pubs=pubs, seconds=9.0)


def report(*parts: PartReport, **fields: Any) -> TaskReport:
    """A runner's, at the end."""
    return TaskReport(runner="r", fence=1, state="done", parts=list(parts), usage_s=9.0, **fields)


def part(came: bool, *owners: int, **fields: Any) -> PartReport:
    """A submission."""
    return PartReport(answered=came, owners=list(owners), **fields)


@pytest.mark.parametrize(
    ("mitigated", "use"), [(True, Use(4, 300, 9.0)), (False, Use(2, 200, 9.0))], ids=["mitigated", "raw"]
)
def test_circuits_of_mitigation_cost_something_where_they_served(mitigated: bool, use: Use) -> None:
    """The second PUB did not come: what mitigation ran besides is charged where anything was mitigated with it."""
    found = answered(row(), report(), result(1, mitigated=mitigated))
    assert (found.end, found.missing, found.charge.priced) == (End.ANSWERED, [1], use)


def test_circuits_of_mitigation_that_did_not_come_cost_nothing() -> None:
    """Every PUB is there, and the submission with the method's own circuits failed."""
    parts = [part(True, 0, 1, 2, vendor_s=3.0), part(False, vendor_s=5.0)]
    assert answered(row(), report(*parts, vendor_s=8.0), result()).charge.priced == Use(4, 600, 3.0)


def test_a_whole_result_costs_the_whole() -> None:
    """Without a part that is missing every circuit, execution and second of the vendor's counts."""
    found = answered(row(), report(part(True, 0, 1, 2, vendor_s=3.0), vendor_s=3.0), result(mitigated=True))
    assert found.charge == Charge(Use(6, 700, 3.0), Use(6, 700, 3.0))


def test_our_own_seconds_of_a_submission_count_as_far_as_it_came() -> None:
    """Where the vendor does not tell: of one with 500 executions, 100 of which came, a fifth."""
    parts = [part(True, 0, 1, usage_s=5.0), part(True, 2, usage_s=2.0)]
    assert answered(row(), report(*parts), result(1)).charge.priced.seconds == pytest.approx(3.0)


def test_what_a_worker_says_of_pubs_that_there_are_not_changes_nothing() -> None:
    """Owners out of range are as if nobody knew them: the submission counts whole."""
    found = answered(row(), report(part(True, 0, 7, usage_s=5.0)), result(1))
    assert found.charge.priced.seconds == 5.0
    assert [one.owners for one in found.parts] == [[]]


def test_a_job_of_an_older_release_costs_the_whole() -> None:
    """What each PUB takes was not counted when it was validated, so that nothing can be taken off."""
    assert answered(row([]), report(), result(1)).charge.priced == Use(6, 700, 9.0)


def test_what_is_taken_back_costs_the_parts_that_the_vendor_counts() -> None:
    """One of three submissions ran before the vendor was told to stop; without owners it is the whole."""
    parts = [part(False, 0, vendor_s=2.0), part(False, 1, vendor_s=0.0), part(False, 2)]
    told = report(*parts, charged=True, vendor_s=2.0)
    assert stopped(row(), told, STOPPED, None).charge.priced == Use(1, 100, 2.0)
    blind = report(part(False, vendor_s=2.0), charged=True, vendor_s=2.0)
    assert stopped(row(), blind, STOPPED, None).charge.priced == Use(6, 700, 2.0)
    assert stopped(row(), report(*parts, vendor_s=2.0), STOPPED, None).charge == Charge()


def test_an_answer_that_could_not_be_read_costs_nothing() -> None:
    """The vendor counts it, and our worker made nothing of it."""
    unread = JobFailed("It could not be read.", code="job.unread")
    told = report(part(True, 0, 1, 2, vendor_s=2.0), charged=True, vendor_s=2.0)
    found = stopped(row(), told, unread, None)
    assert (found.end, found.charge) == (End.FAULT, Charge())


def test_a_device_that_is_gone_is_known_by_its_kind() -> None:
    """Only hardware is somebody else's then."""
    assert [is_ours(row(kind=kind), None) for kind in DeviceKind] == [True, True, False]
