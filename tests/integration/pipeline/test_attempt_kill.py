"""The proof ``attempt-kill`` in short: some steps of an attempt, and that it finds what it looks for."""

from __future__ import annotations

from tests.prove.attempt_kill import Case, cases_of, run_cases

STEPS = {"service": 15, "runner": 13}


def test_no_kill_makes_a_job_run_twice_or_get_lost() -> None:
    """The service and the runner die at every third step or so, at vendors of each kind and mood."""
    cases = cases_of(84, 11, STEPS)[::4]
    assert {case.kind for case in cases} == {"idempotent", "searchable", "opaque"}
    _, violations = run_cases(cases, 11, lanes=5)
    assert violations == []


def test_the_proof_finds_an_attempt_that_is_submitted_again() -> None:
    """With the defect planted, a runner that dies after the vendor has the job leads to a violation."""
    _, violations = run_cases([Case("searchable", "plain", runner=6, plant=True)], 3)
    assert any("ran" in words and "at the vendor" in words for words in violations)
