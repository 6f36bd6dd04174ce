"""Fair share under any history: as its oracle says, starving nobody, in the shares that the weights give."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_quantum.core.fairshare import (
    LEVELS,
    Demand,
    DeviceSet,
    Ended,
    Event,
    Path,
    Requeued,
    Rules,
    Scheduler,
    Started,
    Submitted,
    Used,
    Withdrawn,
)
from jupyter_quantum.core.forecast import ahead, plan, snapshot

RULES = Rules(
    half_life=500.0, credit=20.0, weights={("o1",): 2.0, ("o0", "p1"): 0.5, ("o1", "p0"): 3.0, ("o0", "p0", "u1"): 1.5}
)

demands = st.builds(
    lambda o, p, u, seconds, spread, priority: {
        "organisation": f"o{o}",
        "project": f"p{p}",
        "user": f"u{u}",
        "seconds": seconds,
        "seconds_p90": seconds + spread,
        "priority": priority,
    },
    st.integers(0, 1),
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from([0.5, 1.0, 7.0, 60.0]),
    st.sampled_from([0.0, 3.0]),
    st.sampled_from([0.5, 1.0, 4.0]),
)
acts = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), demands),
        st.tuples(st.just("used"), demands),
        st.tuples(st.sampled_from(["next", "end", "requeue", "withdraw"]), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 1.0, 90.0, 3000.0, 300_000.0])),
        st.tuples(st.just("device"), st.sampled_from(["ready", "paused", "drained"])),
    ),
    min_size=15,
    max_size=90,
)


class History:
    """A device that lives through the acts; knows what waits and runs by itself."""

    def __init__(self, slots: int) -> None:
        self.now = 1000.0
        self.slots = slots
        self.made = Scheduler(RULES)
        self.made.apply(DeviceSet("qpu", slots))
        self.waiting: dict[str, Demand] = {}
        self.running: dict[str, Demand] = {}
        self.count = 0

    def act(self, name: str, value: Any) -> None:
        """One of ``acts``."""
        getattr(self, name)(value)
        self.now += 0.25

    def new(self, fields: dict[str, Any]) -> Demand:
        """A job with a fresh id."""
        self.count += 1
        return Demand(id=f"j{self.count:04}", device="qpu", submitted=self.now, **fields)

    def submit(self, fields: dict[str, Any]) -> None:
        job = self.new(fields)
        self.waiting[job.id] = job
        self.made.apply(Submitted(job, self.now))

    def used(self, fields: dict[str, Any]) -> None:
        self.made.apply(Used(self.new(fields), 30.0, self.now - 100.0))

    def next(self, _: int) -> None:
        job = self.made.next("qpu", self.now)
        if job is not None:
            self.running[job.id] = self.waiting.pop(job.id)
            self.made.apply(Started(job.id, self.now))

    def end(self, at: int) -> None:
        if self.running:
            job = self.running.pop(sorted(self.running)[at % len(self.running)])
            self.made.apply(Ended(job.id, job.seconds * (at % 3)))

    def requeue(self, at: int) -> None:
        if self.running:
            job = self.running.pop(sorted(self.running)[at % len(self.running)])
            self.waiting[job.id] = job
            self.made.apply(Requeued(job.id, self.now))

    def withdraw(self, at: int) -> None:
        if self.waiting:
            job = self.waiting.pop(sorted(self.waiting)[at % len(self.waiting)])
            self.made.apply(Withdrawn(job.id))

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def device(self, state: Any) -> None:
        self.made.apply(DeviceSet("qpu", self.slots, state, self.now + 50.0))


class Plain:
    """The rules once more, by looking at everything each time: no heaps, no caches, nothing scaled down."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.usage: dict[Path, float] = {}
        self.floor: dict[Path, float] = {}
        self.waiting: dict[str, Demand] = {}
        self.running: dict[str, tuple[Demand, float]] = {}

    def inflation(self, at: float) -> float:
        return float(2.0 ** ((at - self.start) / RULES.half_life))

    def key(self, path: Path) -> float:
        return self.usage[path] / RULES.weights.get(path, 1.0)

    def apply(self, event: Event) -> None:
        match event:
            case Submitted():
                self.add(event.job, event.at)
            case Used():
                self.charge(event.job, event.seconds / event.job.priority, event.at)
            case Withdrawn():
                self.waiting.pop(event.id)
            case Started():
                job = self.waiting[event.id]
                for path in paths(job):
                    self.floor[path[:-1]] = max(self.floor.get(path[:-1], 0.0), self.key(path))
                self.charge(job, job.seconds / job.priority, event.at)
                self.running[job.id] = (self.waiting.pop(job.id), event.at)
            case Ended():
                self.correct(event.id, event.seconds)
            case Requeued():
                self.add(self.correct(event.id, 0.0), event.at)

    def correct(self, job_id: str, seconds: float) -> Demand:
        job, started = self.running.pop(job_id)
        self.charge(job, (seconds - job.seconds) / job.priority, started)
        return job

    def charge(self, job: Demand, amount: float, at: float) -> None:
        for path in paths(job):
            self.usage[path] = max(0.0, self.usage.get(path, 0.0) + amount * self.inflation(at))

    def add(self, job: Demand, at: float) -> None:
        there = {path for other in self.waiting.values() for path in paths(other)}
        for path in paths(job):
            if path in there:
                continue
            weight = RULES.weights.get(path, 1.0)
            siblings = [self.key(other) for other in there if other[:-1] == path[:-1]]
            level = min(siblings, default=self.floor.get(path[:-1], 0.0))
            credit = RULES.credit * self.inflation(at) if path in self.usage else 0.0
            self.usage[path] = max(self.usage.get(path, 0.0), (level - credit) * weight)
        self.waiting[job.id] = job

    def next(self, jobs: list[Demand], depth: int = 1) -> Demand:
        """Of the child with the least usage per weight."""
        if depth > len(LEVELS):
            return min(jobs, key=lambda job: job.order)
        below: dict[Path, list[Demand]] = {}
        for job in jobs:
            below.setdefault(job.path[:depth], []).append(job)
        heads = {path: self.next(some, depth + 1) for path, some in below.items()}
        return heads[min(heads, key=lambda path: (self.key(path), heads[path].order))]


def paths(job: Demand) -> list[Path]:
    """Every node that a job is below."""
    return [job.path[:depth] for depth in range(1, len(LEVELS) + 1)]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(acts=acts, slots=st.integers(1, 3))
def test_usage_and_levels_are_as_the_rules_say(acts: list[tuple[str, Any]], slots: int) -> None:
    """Charges, corrections, decay and waking up: the same usage at every node, and the same next job."""
    history, plain = History(slots), Plain(1000.0)
    apply = history.made.apply

    def both(event: Event) -> None:
        apply(event)
        plain.apply(event)

    history.made.apply = both  # type: ignore[method-assign]
    for name, value in acts:
        history.act(name, min(value, 3000.0) if name == "wait" else value)
        lane = history.made.lane("qpu")
        exact = 1e-9 * lane.shares.inflation(history.now)
        start = lane.shares.start or plain.start
        scale = 2.0 ** ((plain.start - start) / RULES.half_life)
        for path, (_, usage, floor) in lane.shares.usages().items():
            # To a billionth of what a second counts now: corrections leave rounding errors of what they take back.
            assert (usage or 0.0) == pytest.approx(plain.usage.get(path, 0.0) * scale, rel=1e-9, abs=exact)
            assert floor == pytest.approx(plain.floor.get(path, 0.0) * scale, rel=1e-9, abs=exact)
        head = history.made.next("qpu", history.now)
        if head is not None:
            expected = plain.next(list(plain.waiting.values()))
            same = plain.key(head.path[:1]) == pytest.approx(plain.key(expected.path[:1]), rel=1e-9)
            assert head.id == expected.id or same


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(acts=acts, slots=st.integers(1, 3))
def test_the_scheduler_is_its_oracle(acts: list[tuple[str, Any]], slots: int) -> None:
    """After any history: same order, times and reasons as the plain computation; nothing lost, nothing overbooked."""
    history = History(slots)
    for name, value in acts:
        history.act(name, value)
        lane = history.made.lane("qpu")
        assert len(history.running) <= slots
        assert lane.running.keys() == history.running.keys()
        assert {job.id for job in lane.shares.waiting} == history.waiting.keys()
    found = ahead(lane := history.made.lane("qpu"), history.now)
    assert found == plan(snapshot(lane, RULES.half_life, history.now), history.now)
    assert {one.job for one in found} == history.waiting.keys()
    assert [one.place for one in found] == list(range(1, len(found) + 1))
    head = history.made.next("qpu", history.now)
    if head is not None:
        assert head.id == found[0].job


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nobody_starves(seed: int) -> None:
    """One job waits while all others, old users and new ones, flood the device: it starts within a bounded time."""
    rng = random.Random(seed)
    made = Scheduler(RULES)
    made.apply(DeviceSet("qpu"))
    patient = Demand("patient", "qpu", "o0", "p1", "slow", 0.0, 50.0, 60.0, priority=0.5)
    made.apply(Used(patient, 500.0, 0.0))
    for at in range(40):
        other = Demand(f"w{at}", "qpu", "o1", "p0", f"u{at % 4}", 0.0, 5.0, 6.0)
        made.apply(Submitted(other, 0.0))
    made.apply(Submitted(patient, 0.0))
    now, count = 0.0, 0
    while (job := made.next("qpu", now)) is not None and job.id != "patient":
        count += 1
        assert count < 1500
        made.apply(Started(job.id, now))
        now += job.seconds
        made.apply(Ended(job.id, job.seconds))
        for _ in range(2):
            user = f"new{count}" if rng.random() < 0.5 else f"u{rng.randrange(9)}"
            where = rng.choice([("o0", "p0"), ("o0", "p1"), ("o1", "p0"), (f"fresh{count}", "p")])
            made.apply(Submitted(Demand(f"n{now}{rng.random()}", "qpu", *where, user, now, 5.0, 6.0), now))
    assert job is not None


def served(made: Scheduler, seconds: float) -> Counter[str]:
    """Time on the device for each user while all of them always have work."""
    now, got = 0.0, Counter[str]()
    while now < seconds:
        job = made.next("qpu", now)
        assert job is not None
        made.apply(Started(job.id, now))
        now += job.seconds
        made.apply(Ended(job.id, job.seconds))
        made.apply(Submitted(Demand(f"{job.id}'", "qpu", "o", "p", job.user, now, job.seconds, job.seconds), now))
        got[job.user] += job.seconds  # type: ignore[assignment]
    return got


def flood(rules: Rules, lengths: list[float]) -> Scheduler:
    """One user for each length, with two jobs of that many seconds waiting."""
    made = Scheduler(rules)
    made.apply(DeviceSet("qpu"))
    for at, length in enumerate(lengths):
        for number in range(2):
            made.apply(Submitted(Demand(f"{at}-{number}", "qpu", "o", "p", f"u{at}", 0.0, length, length), 0.0))
    return made


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.sampled_from([1.0, 2.0, 5.0, 11.0]), min_size=2, max_size=12))
def test_equal_users_get_equal_time(lengths: list[float]) -> None:
    """Jain's index is close to 1, however long each one's jobs are."""
    got = served(flood(Rules(half_life=1e6), lengths), 3000.0).values()
    assert sum(got) ** 2 / (len(lengths) * sum(x * x for x in got)) > 0.999


@settings(max_examples=20, deadline=None)
@given(weights=st.lists(st.sampled_from([0.5, 1.0, 2.0, 5.0]), min_size=2, max_size=8))
def test_weights_are_respected(weights: list[float]) -> None:
    """Time is shared in the proportion of the weights."""
    rules = Rules(half_life=1e6, weights={("o", "p", f"u{at}"): weight for at, weight in enumerate(weights)})
    got = served(flood(rules, [1.0] * len(weights)), 3000.0)
    for at, weight in enumerate(weights):
        share = 3000.0 * weight / sum(weights)
        assert abs(got[f"u{at}"] - share) < 0.02 * share + 5
