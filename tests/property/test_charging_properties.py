"""What an attempt costs, for any end, any use and any parts."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from jupyter_quantum.core.charging import NOTHING, Charge, End, Part, Use, came, charge, end_of, seconds_of

SECONDS = st.floats(0, 1e6, allow_nan=False)
USES = st.builds(Use, st.integers(0, 1000), st.integers(0, 10**9), SECONDS)
ENDS = st.sampled_from(End)


@st.composite
def jobs(draw: st.DrawFn) -> tuple[list[Use], Use, set[int]]:
    """Shares of PUBs, the whole (with what belongs to none of them), and which PUBs are missing."""
    shares = draw(st.lists(st.builds(Use, st.integers(1, 50), st.integers(1, 10**6)), min_size=1, max_size=8))
    rest = draw(st.builds(Use, st.integers(0, 50), st.integers(0, 10**6)))
    whole = Use(sum(one.tasks for one in shares) + rest.tasks, sum(one.executions for one in shares) + rest.executions)
    return shares, whole, draw(st.sets(st.integers(0, len(shares) - 1)))


def parts(owners: int) -> st.SearchStrategy[list[Part]]:
    """Submissions of a job with so many PUBs."""
    some = st.lists(st.integers(0, owners - 1), unique=True).map(tuple)
    known = st.builds(Part, st.booleans(), SECONDS, st.none() | SECONDS, some)
    return st.lists(known, min_size=1, max_size=6)


@given(ENDS, USES, st.booleans())
def test_nobody_pays_for_what_was_not_delivered(end: End, used: Use, ours: bool) -> None:
    """Credits are for a result, or for a machine that others count and that was stopped for its user's sake."""
    found = charge(end, used, ours=ours)
    if end is not End.ANSWERED and (ours or end in (End.MEMORY, End.FAULT)):
        assert found.priced == NOTHING
    if end is End.FAULT:
        assert found == Charge()


@given(ENDS, USES, st.booleans())
def test_no_more_is_charged_than_was_used(end: End, used: Use, ours: bool) -> None:
    """What counts in budgets is at most what was used, and what is priced at most what counts."""
    found = charge(end, used, ours=ours)
    for less, more in ((found.priced, found.counted), (found.counted, used)):
        assert less.tasks <= more.tasks
        assert less.executions <= more.executions
        assert less.seconds <= more.seconds


@given(USES)
def test_a_simulator_is_not_to_be_had_for_nothing(used: Use) -> None:
    """A run that is stopped at a limit, or taken back just before it, has used its seconds, and no shots."""
    for end in (End.TIME, End.MEMORY, End.TAKEN_BACK):
        assert charge(end, used, ours=True).counted == Use(seconds=used.seconds)


@given(st.text())
def test_what_nobody_knows_costs_nothing(code: str) -> None:
    """Any code that is not one of the three ends in which something was used is a fault."""
    known = {"job.time", "job.memory", "task.stopped"}
    assert (end_of(code) is End.FAULT) == (code not in known)


@given(jobs())
def test_what_came_and_what_did_not_is_the_whole(job: tuple[list[Use], Use, set[int]]) -> None:
    """A job split in two halves costs as much as in one piece, whichever half its rest is counted with."""
    shares, whole, missing = job
    there = set(range(len(shares))) - missing
    one, other = came(shares, whole, missing, rest=True), came(shares, whole, there, rest=False)
    assert one.tasks + other.tasks == whole.tasks
    assert one.executions + other.executions == whole.executions
    assert came(shares, whole, (), rest=True) == whole


@given(jobs(), st.data())
def test_of_more_that_is_missing_less_is_charged(job: tuple[list[Use], Use, set[int]], data: st.DataObject) -> None:
    """One more PUB that did not come costs less circuits and executions, and no more seconds."""
    shares, whole, missing = job
    submitted = data.draw(parts(len(shares)))
    more = missing | {data.draw(st.integers(0, len(shares) - 1))}
    before, after = came(shares, whole, missing, rest=False), came(shares, whole, more, rest=False)
    assert (after == before) == (more == missing)
    assert after.executions <= before.executions
    assert seconds_of(submitted, shares, more, 1.0) <= seconds_of(submitted, shares, missing, 1.0) + 1e-6


@given(jobs(), st.data())
def test_seconds_of_what_was_not_answered_cost_nothing(
    job: tuple[list[Use], Use, set[int]], data: st.DataObject
) -> None:
    """The vendor's seconds of each answered submission, whole; our own at most; of the others none."""
    shares, _, missing = job
    submitted = data.draw(parts(len(shares)))
    answered = [part for part in submitted if part.answered]
    found = seconds_of(submitted, shares, missing, 1.0)
    vendors = sum(part.vendor_s for part in answered if part.vendor_s is not None)
    ours = sum(part.seconds or 0.0 for part in answered if part.vendor_s is None)
    assert vendors * (1 - 1e-9) <= found <= (vendors + ours) * (1 + 1e-9)
    assert math.isclose(seconds_of(submitted, shares, (), 1.0), vendors + ours, rel_tol=1e-9)


def test_where_nobody_saw_a_submission_run_the_whole_counts() -> None:
    """An answered part without anybody's seconds: what is told of the run in all."""
    shares = [Use(1, 10), Use(1, 10)]
    blind = [Part(True, None, None, (0,)), Part(False, 5.0, None, (1,))]
    assert seconds_of(blind, shares, {1}, 2.5) == 2.5
