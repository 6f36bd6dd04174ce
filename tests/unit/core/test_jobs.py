"""The life of a job, identifiers and errors."""

from __future__ import annotations

import itertools
import time

import pytest

from jupyter_quantum import exceptions
from jupyter_quantum.core.ids import is_id, new_id
from jupyter_quantum.core.jobs import ACTIVE, FINAL, HOLDING, MOVES, JobState, check_move


def test_every_state_is_in_the_table_and_can_be_reached() -> None:
    """No state is forgotten, and only draft has no way in."""
    assert set(MOVES) == set(JobState)
    reached = set(itertools.chain.from_iterable(MOVES.values()))
    assert set(JobState) - reached == {JobState.DRAFT}


def test_final_states_lead_only_to_the_archive() -> None:
    """What has ended never runs again."""
    for state in FINAL - {JobState.ARCHIVED}:
        assert MOVES[state] == {JobState.ARCHIVED}
    assert not MOVES[JobState.ARCHIVED]


def test_every_open_state_can_be_cancelled_and_reaches_an_end() -> None:
    """A job can be taken back anywhere before its end."""
    for state in set(JobState) - FINAL:
        assert JobState.CANCELLED in MOVES[state]


def test_sets_of_states_fit_together() -> None:
    """Credits are on hold only in active states, and no active state is final."""
    assert HOLDING < ACTIVE
    assert not ACTIVE & FINAL


@pytest.mark.parametrize(("before", "after"), list(itertools.product(JobState, JobState)))
def test_check_move_follows_the_table(before: JobState, after: JobState) -> None:
    """check_move allows exactly the table's moves."""
    if after in MOVES[before]:
        check_move(before, after)
    else:
        with pytest.raises(exceptions.Conflict) as caught:
            check_move(before, after)
        assert caught.value.code == "job.move"


def test_ids_sort_by_time_and_are_recognised() -> None:
    """Ids made later sort later (to the millisecond), and a wrong prefix or form is not an id."""
    first = new_id("job")
    time.sleep(0.002)
    second = new_id("job")
    assert first < second
    assert is_id(first, "job")
    assert not is_id(first, "rep")
    assert not is_id("job_../../etc/passwd", "job")
    assert first[4 + 12] == "7"
    assert first[4 + 16] in "89ab"


def _classes(root: type[exceptions.QuantumError]) -> set[type[exceptions.QuantumError]]:
    return {root}.union(*(_classes(sub) for sub in root.__subclasses__()))


def test_every_error_is_public_drawn_and_has_its_own_code() -> None:
    """The tree in the docstring, ``__all__`` and the classes agree; codes are unique."""
    found = _classes(exceptions.QuantumError)
    found = {kind for kind in found if kind.__module__ == exceptions.__name__}
    assert {kind.__name__ for kind in found} | {"error_from"} == set(exceptions.__all__)
    assert all(kind.__name__ in (exceptions.__doc__ or "") for kind in found)
    assert len({kind.default_code for kind in found}) == len(found)


def test_an_error_crosses_a_process() -> None:
    """Class, code, words and details survive; an unknown class keeps its text."""
    told = exceptions.error_from("QuotaExceeded", "Too much.", code="quota.exceeded", hint="Ask.", details={"left": 3})
    assert isinstance(told, exceptions.QuotaExceeded)
    assert str(told) == "Too much. Ask. [quota.exceeded]"
    assert told.details == {"left": 3}
    assert type(exceptions.error_from("Newer", "Text.", code="new")) is exceptions.QuantumError
