"""The runner and the service are killed at every step of an attempt, against a vendor that loses, delays and repeats.

Real processes, real SIGKILL, real SQLite, a real HTTP server that counts what it runs. Violations are: a job that ran
more than once at its vendor; an acknowledged job that is gone or never ends; a ledger that does not balance, or a final
job that holds something; a run that is charged and did not complete, or the other way round.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jupyter_quantum.store import Store
from jupyter_quantum.testing.adapters.server import Behaviour, VendorServer
from tests.prove.attempt_parts import Places, Steps, run_runner, run_service

__all__ = ["Case", "cases_of", "prove", "run_cases", "steps_of"]

_KINDS: Final = ("idempotent", "searchable", "opaque")
_MOODS: Final[dict[str, dict[str, float]]] = {
    "plain": {},
    "slow": {"delay_s": 0.2, "queue_s": 0.2},
    "deaf": {"lose_before": 0.3},
    "mute": {"lose_after": 0.3},
    "late": {"indexing_s": 0.15},
    "stutters": {"repeat": 0.4},
    "busy": {"busy": 0.3},
}
_CALM: Final[dict[str, float]] = dict.fromkeys(
    ("delay_s", "queue_s", "lose_before", "lose_after", "indexing_s", "repeat", "busy"), 0.0
)
_PATIENCE_S: Final = 120.0
"""A busy machine is no violation."""
_LANES: Final = 8
"""A case mostly waits for leases to end."""
_MAY_FAIL: Final = {"vendor.unavailable", "vendor.unsure", "attempt.absent", "runner.lost", "job.lost"}


@dataclass(frozen=True, slots=True)
class Case:
    """Who dies where, at which vendor, in which mood."""

    kind: str
    mood: str
    service: int = 0
    """The step at which the service dies; 0: it does not."""
    runner: int = 0
    again: int = 0
    """The step at which whoever takes the place of one that died dies, too."""
    plant: bool = False


@dataclass(slots=True)
class _Found:
    """What a case came to."""

    violations: list[str] = field(default_factory=list)
    unknown: bool = False
    deaths: int = 0


def cases_of(cases: int, seed: int, steps: dict[str, int]) -> list[Case]:
    """Every step of both sides for every kind of vendor in turn, moods and second deaths as the seed has it."""
    rng = random.Random(seed)
    points = [(side, at) for side, most in sorted(steps.items()) for at in range(1, most + 1)]
    turns = itertools.cycle(list(itertools.product(points, _KINDS)))
    found = []
    for (side, at), kind in itertools.islice(turns, cases):
        moods = [mood for mood in _MOODS if not (mood == "stutters" and kind == "searchable")]
        again = rng.randint(1, 12) if rng.random() < 0.3 else 0
        both = {side: at} | ({"runner": rng.randint(1, steps["runner"])} if rng.random() < 0.2 else {})
        found.append(Case(kind, rng.choice(moods), again=again, **both))
    return found


# -- one case ----------------------------------------------------------------------------------------------------------


class _Child:
    """A forked process, and what it writes."""

    def __init__(self, work: Callable[[Callable[[dict[str, Any]], None]], None], log: Path) -> None:
        self._reading, writing = os.pipe()
        self._rest = b""
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reading)
            _live(work, writing, log)
        os.close(writing)

    def heard(self, timeout_s: float) -> list[dict[str, Any]]:
        """Its words since the last time."""
        ready, _, _ = select.select([self._reading], [], [], timeout_s)
        if not ready:
            return []
        self._rest += os.read(self._reading, 1 << 16)
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(line) for line in lines]

    def is_dead(self) -> bool:
        """Whether it has ended."""
        return os.waitpid(self.pid, os.WNOHANG)[0] != 0

    def end(self) -> None:
        """Kill it, where it still lives."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._reading)


def _live(work: Callable[[Callable[[dict[str, Any]], None]], None], writing: int, log: Path) -> None:
    """The life of a forked child; never returns."""
    status = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        work(lambda words: os.write(writing, json.dumps(words).encode() + b"\n") and None)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


class _Trial:
    """One case, from its empty directory to the verdict."""

    def __init__(self, case: Case, template: Path, vendor: VendorServer, rng: random.Random) -> None:
        self._case = case
        self._home = Path(tempfile.mkdtemp(prefix="ak-"))
        shutil.copytree(template, self._home, dirs_exist_ok=True)
        self._vendor = vendor
        self._places = Places(self._home, vendor.url, case.kind, case.plant)
        self._rng = rng
        self._runners = itertools.count(1)
        self._job = ""

    def run(self) -> _Found:
        """The verdict."""
        found = _Found()
        self._vendor.behave(**(_CALM | _MOODS[self._case.mood]))
        service, runner = self._service(self._case.service), self._runner(self._case.runner)
        try:
            until = time.monotonic() + _PATIENCE_S
            last: dict[str, Any] | None = None
            while last is None and time.monotonic() < until:
                for words in service.heard(0.02):
                    self._job = words.get("ack", self._job)
                    found.unknown = found.unknown or "unknown" in words
                    last = words if "final" in words else last
                if service.is_dead() and last is None:
                    found.deaths += 1
                    service = self._reborn(service, self._service)
                if runner.is_dead():
                    found.deaths += 1
                    runner = self._reborn(runner, self._runner)
        finally:
            service.end()
            runner.end()
        found.violations = [f"{self._case}: {words}" for words in self._judged(last)]
        if found.violations:
            sys.stderr.write((self._home / "log").read_text()[-6000:])
        shutil.rmtree(self._home, ignore_errors=True)
        return found

    def _reborn(self, child: _Child, start: Callable[[int], _Child]) -> _Child:
        child.end()
        time.sleep(self._rng.random() * 0.1)
        again, self._case_again = self._next_again()
        return start(again)

    _case_again: bool = False

    def _next_again(self) -> tuple[int, bool]:
        """The step at which the next one dies: only the first one that is born again does."""
        return (0 if self._case_again else self._case.again), True

    def _service(self, fatal: int) -> _Child:
        return _Child(lambda say: run_service(self._places, Steps(fatal), say), self._home / "log")

    def _runner(self, fatal: int) -> _Child:
        name = f"run_{next(self._runners)}"
        return _Child(lambda _: run_runner(self._places, Steps(fatal), name), self._home / "log")

    def _judged(self, last: dict[str, Any] | None) -> Iterator[str]:
        if last is None:
            yield f"{self._job or 'the job'} never ended: {self._stuck()}"
            return
        runs = {tag: times for tag, times in self._vendor.runs().items() if tag in last["tags"]}
        yield from last["books"]
        if sum(runs.values()) > 1:
            yield f"it ran {runs} at the vendor"
        if last["on_hold"]:
            yield f"{last['on_hold']} are still on hold"
        yield from self._ended(last, sum(runs.values()))

    def _stuck(self) -> str:
        """Where it is, as far as it was written."""
        store = Store(f"sqlite:///{self._home}/quantum.sqlite", artefacts=f"file://{self._home}/artefacts")
        with store.reading() as view:
            found = []
            for row in view.jobs():
                tries = [(one.tag, one.state.value, one.fence) for one in view.attempts(row.id)]
                found.append(f"{row.state.value} ({row.wait}): {tries}")
        store.close()
        return " ".join(found) or "nothing is written"

    def _ended(self, last: dict[str, Any], runs: int) -> Iterator[str]:
        if last["final"] == "completed":
            if runs != 1:
                yield f"it completed, and ran {runs} times"
            if not 0 < (last["cost"] or 0) <= last["most"]:
                yield f"it completed and cost {last['cost']}"
        elif last["final"] != "failed" or last["code"] not in _MAY_FAIL:
            yield f"it ended {last['final']}: {last['code']}"
        elif (last["code"] == "job.lost") != bool(last["cost"]):
            yield f"it failed ({last['code']}) and cost {last['cost']}"


# -- all cases ---------------------------------------------------------------------------------------------------------


def _template() -> Path:
    """A migrated, empty database: copied for each case."""
    home = Path(tempfile.mkdtemp(prefix="ak-template-"))
    store = Store(f"sqlite:///{home}/quantum.sqlite", artefacts=f"file://{home}/artefacts")
    store.migrate()
    store.close()
    return home


def steps_of(kind: str = "searchable") -> dict[str, int]:
    """How many steps an attempt has on each side where nobody dies."""
    template = _template()
    counts: dict[str, int] = {"service": 0, "runner": 0}
    with VendorServer(Behaviour()) as vendor:
        home = Path(tempfile.mkdtemp(prefix="ak-"))
        shutil.copytree(template, home, dirs_exist_ok=True)
        places = Places(home, vendor.url, kind)

        def counting(side: str, say: Callable[[dict[str, Any]], None]) -> Steps:
            return Steps(told=lambda name: say({"step": name, "side": side}))

        service = _Child(lambda say: run_service(places, counting("service", say), say), home / "log")
        runner = _Child(lambda say: run_runner(places, counting("runner", say), "run_0"), home / "log")
        until = time.monotonic() + _PATIENCE_S
        ended = False
        while not ended and time.monotonic() < until:
            for words in [*service.heard(0.02), *runner.heard(0.02)]:
                counts[words.get("side", "service")] += "step" in words
                ended = ended or "final" in words
        service.end()
        runner.end()
        if not ended:
            raise RuntimeError((home / "log").read_text()[-4000:])
        shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(template, ignore_errors=True)
    return counts


def run_cases(cases: list[Case], seed: int, lanes: int = _LANES) -> tuple[int, list[str]]:
    """How many ended unknown on the way, and every violation. Each lane is a process with a vendor of its own."""
    template = _template()
    children = [
        _Child(lambda say, at=at: _lane(cases[at::lanes], template, seed + at, say), template / f"log-{at}")
        for at in range(min(lanes, len(cases)))
    ]
    unknown, violations, left = 0, [], set(range(len(children)))
    done = 0
    while left:
        for at in sorted(left):
            for words in children[at].heard(0.05):
                unknown += words["unknown"]
                violations += words["violations"]
                done += 1
            if children[at].is_dead():
                left.discard(at)
    if done != len(cases):
        violations.append(f"{len(cases) - done} cases were not tried: {_logs(template)}")
    if violations:
        sys.stderr.write(_logs(template))
    shutil.rmtree(template, ignore_errors=True)
    return unknown, violations


def _logs(template: Path) -> str:
    return "\n".join(path.read_text()[-6000:] for path in sorted(template.glob("log-*")))


def _lane(cases: list[Case], template: Path, seed: int, say: Callable[[dict[str, Any]], None]) -> None:
    rng = random.Random(seed)
    with VendorServer(Behaviour(seed=seed, run_s=0.02)) as vendor:
        for case in cases:
            found = _Trial(case, template, vendor, rng).run()
            say({"unknown": found.unknown, "deaths": found.deaths, "violations": found.violations})


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """Kill at every step, in turn. *Unknown* must come up at opaque vendors."""
    steps = steps_of()
    asked = cases_of(cases, seed, steps)
    unknown, violations = run_cases(asked, seed)
    if cases >= 10 * sum(steps.values()) and not unknown:
        violations.append("no attempt was ever unknown, though a third of the vendors cannot be asked")
    return cases, violations
