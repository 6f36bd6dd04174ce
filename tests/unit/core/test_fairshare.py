"""The scheduler step by step: who is next, and why the others wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jupyter_quantum.core.fairshare import (
    Demand,
    DeviceSet,
    Ended,
    Requeued,
    Rules,
    Scheduler,
    Started,
    Submitted,
    Used,
    Withdrawn,
)
from jupyter_quantum.core.forecast import REASONS, Forecast, ahead, if_submitted


def demand(id_: str, user: str = "ada", project: str = "qcourse", **more: Any) -> Demand:
    """A job of ten seconds on ``qpu``, submitted at the second that its id ends with."""
    at = float("".join(filter(str.isdigit, id_)) or 0)
    given: dict[str, Any] = {"organisation": "campus", "submitted": at, "seconds": 10.0, "seconds_p90": 12.0}
    return Demand(id=id_, device="qpu", project=project, user=user, **(given | more))


def scheduler(*jobs: Demand, rules: Rules | None = None, slots: int = 1) -> Scheduler:
    """A ready device with these jobs waiting."""
    made = Scheduler(rules)
    made.apply(DeviceSet("qpu", slots=slots))
    for job in jobs:
        made.apply(Submitted(job, job.submitted))
    return made


def order(made: Scheduler, now: float = 100.0, count: int = 1000) -> list[str]:
    """Ids in the order in which they run, one after the other, each as long as expected."""
    ids: list[str] = []
    while len(ids) < count and (job := made.next("qpu", now)) is not None:
        ids.append(job.id)
        made.apply(Started(job.id, now))
        now += job.seconds
        made.apply(Ended(job.id, job.seconds))
    return ids


def test_one_user_is_served_in_turn() -> None:
    """By submission, then id."""
    jobs = [demand("b2"), demand("a2"), demand("c1")]
    assert order(scheduler(*jobs)) == ["c1", "a2", "b2"]


def test_users_alternate() -> None:
    """A long queue of one user does not keep another waiting."""
    made = scheduler(*(demand(f"a{at}") for at in range(4)), *(demand(f"b{at}", "ben") for at in range(4, 6)))
    assert order(made) == ["a0", "b4", "a1", "b5", "a2", "a3"]


def test_projects_come_before_users() -> None:
    """A project with three users gets no more than one with a single user."""
    many = [demand(f"{user}{at}", user, "crowd") for at in range(3) for user in "xyz"]
    made = scheduler(*many, *(demand(f"s{at}", "sam", "solo") for at in range(3)))
    assert sorted(order(made, count=6), key=lambda i: i[0] == "s")[3:] == ["s0", "s1", "s2"]


def test_weights_are_shares() -> None:
    """Weight 3 gets three of four slots."""
    rules = Rules(weights={("campus", "big"): 3.0}, half_life=1e9)
    jobs = [demand(f"{name[0]}{at}", "u", name) for at in range(40) for name in ("big", "tiny")]
    first = order(scheduler(*jobs, rules=rules), count=40)
    assert sum(id_.startswith("b") for id_ in first) == 30


def test_priority_weighs_and_does_not_starve() -> None:
    """Twice the weight, twice the slots; the others still run."""
    jobs = [demand(f"{kind}{at}", priority=2.0 if kind == "h" else 1.0) for at in range(30) for kind in "hl"]
    first = order(scheduler(*jobs, rules=Rules(half_life=1e9)), count=30)
    assert sum(id_.startswith("h") for id_ in first) == 20


def test_actual_use_corrects_the_expected() -> None:
    """Who announces ten seconds and uses a hundred pays a hundred."""
    made = scheduler(*(demand(f"a{at}") for at in range(3)), *(demand(f"b{at}", "ben") for at in range(3, 16)))
    made.apply(Started("a0", 20))
    made.apply(Ended("a0", 100.0))
    assert order(made, count=11)[:10] == [f"b{at}" for at in range(3, 13)]


def test_a_failed_start_counts_nothing() -> None:
    """A job whose device failed waits again at its old place."""
    made = scheduler(demand("a0"), demand("a1"), demand("b2", "ben"))
    made.apply(Started("a0", 10))
    made.apply(Requeued("a0", 11))
    assert order(made) == ["a0", "b2", "a1"]


def test_idle_time_is_worth_a_bounded_credit() -> None:
    """Who comes back is brought level: ahead by the credit, not by all that others used meanwhile."""
    made = scheduler(*(demand(f"a{at}") for at in range(200)), rules=Rules(credit=30.0, half_life=1e9))
    ben = demand("b0", "ben")
    made.apply(Used(ben, 1.0, 0.0))
    order(made, count=100)
    for at in range(1000, 1010):
        made.apply(Submitted(demand(f"b{at}", "ben"), 1000.0))
    first = order(made, now=1000.0, count=8)
    assert first[:3] == ["b1000", "b1001", "b1002"]
    assert first[3:].count("a100") == 1


def test_newcomers_cannot_keep_anyone_waiting() -> None:
    """A stream of users that were never seen before goes after who already waits."""
    made = scheduler(demand("a0"), demand("a1"))
    order(made, count=1)
    for at in range(2, 50):
        made.apply(Submitted(demand(f"n{at}", f"new{at}"), float(at)))
    assert order(made, count=1) == ["a1"]


def test_old_use_is_forgotten() -> None:
    """Ten half-lives later a thousand seconds count less than one."""
    rules = Rules(half_life=100.0, credit=1e9)
    made = scheduler(rules=rules)
    made.apply(Used(demand("x", "ada"), 1000.0, 0.0))
    made.apply(Used(demand("y", "ben"), 1.5, 1000.0))
    for job in (demand("b1000", "ben"), demand("a1001", "ada")):
        made.apply(Submitted(job, job.submitted))
    assert order(made, 1001.0) == ["a1001", "b1000"]


def test_centuries_do_not_overflow() -> None:
    """The inflated numbers are scaled down in time, and the order stays."""
    made = scheduler(rules=Rules(half_life=1.0))
    for at in range(0, 5000, 250):
        made.apply(Used(demand("x", "ada"), 5.0, float(at)))
        made.apply(Used(demand("y", "ben"), 4.0, float(at)))
    for job in (demand("a5000"), demand("b5001", "ben")):
        made.apply(Submitted(job, job.submitted))
    assert order(made, 5001.0) == ["b5001", "a5000"]


@pytest.mark.parametrize(
    ("state", "until", "starts"),
    [
        ("ready", None, True),
        ("drained", None, True),
        ("paused", None, False),
        ("paused", 150.0, False),
        ("paused", 90.0, True),
        ("offline", 90.0, False),
    ],
)
def test_only_open_devices_start_jobs(state: Any, until: float | None, starts: bool) -> None:
    """A drained device finishes its queue; a paused one waits for its end; an absent one is not asked."""
    made = scheduler(demand("a0"))
    made.apply(DeviceSet("qpu", 1, state, until))
    assert (made.next("qpu", 100.0) is not None) is starts


def test_slots_are_not_overbooked() -> None:
    """Two slots take two jobs; asking changes nothing."""
    made = scheduler(*(demand(f"a{at}") for at in range(3)), slots=2)
    for _ in range(5):
        head = made.next("qpu", 10.0)
        assert head is not None
        assert head.id == "a0"
    made.apply(Started("a0", 10.0))
    made.apply(Started("a1", 10.0))
    assert made.next("qpu", 10.0) is None
    made.apply(Ended("a0", 1.0))
    assert made.next("qpu", 10.0) == demand("a2")


def test_what_is_not_known_is_ignored() -> None:
    """Late or doubled events change nothing; an unknown device has nothing to start."""
    made = scheduler(demand("a0"), demand("a1"))
    for event in (
        Withdrawn("x"),
        Started("x", 1.0),
        Ended("a0", 1.0),
        Requeued("a0", 1.0),
        Submitted(demand("a0"), 9.0),
    ):
        made.apply(event)
    made.apply(Withdrawn("a0"))
    made.apply(Withdrawn("a0"))
    assert not made.knows("a0")
    assert made.next("nowhere", 0.0) is None
    assert order(made) == ["a1"]


def test_jobs_may_come_before_their_device() -> None:
    """After a restart jobs are known before a runner has announced: they wait, and say so."""
    made = Scheduler()
    made.apply(Submitted(demand("a0"), 0.0))
    assert made.next("qpu", 1.0) is None
    assert [f.reason for f in ahead(made.lane("qpu"), 1.0)] == ["wait.offline"]
    made.apply(DeviceSet("qpu"))
    assert made.next("qpu", 1.0) == demand("a0")


# -- forecasts ---------------------------------------------------------------------------------------------------------


def forecasts(made: Scheduler, now: float) -> dict[str, Forecast]:
    """By job."""
    return {found.job: found for found in ahead(made.lane("qpu"), now)}


def test_places_times_and_reasons() -> None:
    """Next, in turn, and behind its share, each with the time that is left before it."""
    made = scheduler(demand("a0"), demand("a1"), demand("b2", "ben"), demand("a3"))
    made.apply(Started("a0", 4.0))
    found = forecasts(made, 8.0)
    assert [(f.job, f.place, f.p50, f.reason, f.level) for f in found.values()] == [
        ("b2", 1, 6.0, "wait.device", None),
        ("a1", 2, 16.0, "wait.share", "user"),
        ("a3", 3, 26.0, "wait.turn", None),
    ]
    for one in found.values():
        assert one.p90 is not None
        assert one.p50 is not None
        assert one.p90 > one.p50
    spreads = [f.p90 - f.p50 for f in found.values() if f.p90 is not None and f.p50 is not None]
    assert spreads == sorted(spreads)


def test_more_slots_start_sooner() -> None:
    """Free slots start at once; the third job waits for the first that ends."""
    made = scheduler(demand("a0", seconds=30.0), demand("a1"), demand("a2"), slots=2)
    assert [f.p50 for f in ahead(made.lane("qpu"), 5.0)] == [0.0, 0.0, 10.0]


def test_late_runs_are_expected_to_end_soon() -> None:
    """A run that has lasted longer than expected still needs a tenth of its time."""
    made = scheduler(demand("a0"), demand("a1"))
    made.apply(Started("a0", 0.0))
    assert forecasts(made, 500.0)["a1"].p50 == pytest.approx(1.0)


def test_pauses_say_when_they_end() -> None:
    """With an end the wait is known; without one nobody knows."""
    made = scheduler(demand("a0"))
    made.apply(DeviceSet("qpu", 1, "paused", 60.0))
    assert forecasts(made, 10.0)["a0"] == Forecast("a0", 1, 50.0, 50.0, "wait.paused")
    made.apply(DeviceSet("qpu", 1, "paused"))
    assert forecasts(made, 10.0)["a0"] == Forecast("a0", 1, None, None, "wait.paused")


def test_what_if_i_submitted_now() -> None:
    """The answer for a job that is not there yet changes nothing; a drained device takes none."""
    made = scheduler(*(demand(f"a{at}") for at in range(3)))
    new = demand("b9", "ben")
    assert if_submitted(made.lane("qpu"), new, 9.0) == replace(
        if_submitted(made.lane("qpu"), new, 9.0), place=2, p50=10.0, reason="wait.turn"
    )
    made.apply(DeviceSet("qpu", 1, "drained"))
    assert if_submitted(made.lane("qpu"), new, 9.0).reason == "wait.drained"
    assert not made.knows("b9")


def test_fewer_slots_than_running_jobs() -> None:
    """A device that was given fewer slots frees none until it is below them again."""
    made = scheduler(*(demand(f"a{at}") for at in range(4)), slots=3)
    for at in range(3):
        made.apply(Started(f"a{at}", float(at)))
    made.apply(DeviceSet("qpu", 1))
    assert forecasts(made, 5.0)["a3"].p50 == 7.0


def test_every_reason_has_words() -> None:
    """No wait without a text."""
    assert {"wait.device", "wait.turn", "wait.share", "wait.paused", "wait.offline", "wait.drained"} == set(REASONS)
