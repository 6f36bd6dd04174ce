"""Who is next: hierarchical start-time fair queueing with decay. No I/O; times are seconds, passed in by the caller.

Each device has a tree: organisation, project, user, priority class. A node has a weight and a usage that halves every
``half_life``; the next job is found by walking down, at each level to the waiting child with the least usage per
weight. Ties break by submission, then id. (P. Goyal, H. M. Vin, H. Cheng, *Start-time Fair Queueing*, 1996.)

- **Decay.** All usages shrink alike, so only new charges need to change: a charge at time ``t`` counts
  ``2 ** ((t - start) / half_life)`` fold. Orders, and thus heaps, stay valid; a pick costs O(log n).
- **Waking up.** A node that starts to wait is brought level with the least waiting sibling (with where the last pick
  was, if none waits), minus a bounded credit for having used little. A node that was never seen gets no credit, so that
  a stream of newcomers cannot keep anybody waiting for ever.
- **Priority classes** weigh: a charge is divided by its class's weight at every level.
- **Charges.** A start is charged as expected, and corrected when the job has ended.

:class:`Scheduler` does this step by step, :mod:`jupyter_quantum.core.forecast` runs it ahead and says why a job waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from math import floor
from typing import Final, Literal

__all__ = [
    "LEVELS",
    "Demand",
    "DeviceSet",
    "Ended",
    "Event",
    "Lane",
    "Path",
    "Requeued",
    "Rules",
    "Scheduler",
    "Shares",
    "Started",
    "Submitted",
    "Used",
    "Withdrawn",
]

Path = tuple[str, ...]
"""Names from the root down: organisation, project, user, priority class."""

LEVELS: Final = ("organisation", "project", "user", "class")

_REBASE: Final = 400
"""Half-lives after which the inflated numbers are scaled down, far from the end of a float's range."""
_REBASE_AHEAD: Final = 900
"""The same where the future is tried out: as late as can be, since scaling moves the last digit of a time."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator sets. Weights that are not given are 1."""

    half_life: float = 86_400.0
    """Seconds in which usage counts half."""
    credit: float = 1_800.0
    """The most that having used little is worth, in the unit of charges (seconds on the device) per weight."""
    weights: Mapping[Path, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Demand:
    """A job as the scheduler sees it."""

    id: str
    device: str
    organisation: str
    project: str
    user: str
    submitted: float
    """Seconds since 1970."""
    seconds: float
    """Expected time on the device."""
    seconds_p90: float
    """It takes no longer in nine of ten cases."""
    priority: float = 1.0
    """Weight of its priority class."""

    @property
    def path(self) -> Path:
        """Where it is in the tree."""
        return (self.organisation, self.project, self.user, repr(self.priority))

    @property
    def order(self) -> tuple[float, str]:
        """What ties break by."""
        return (self.submitted, self.id)

    def charge(self, seconds: float) -> float:
        """What so many seconds on the device count."""
        return seconds / self.priority


# -- events ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceSet:
    """A device is there, or changed."""

    name: str
    slots: int = 1
    state: Literal["ready", "paused", "drained", "offline"] = "ready"
    until: float | None = None

    def opens(self, now: float) -> float | None:
        """When jobs may start: now, at the end of a pause, or None where nobody knows.

        A drained device takes nothing new, but finishes its queue.
        """
        if self.state in ("ready", "drained"):
            return now
        if self.state == "offline" or self.until is None:
            return None
        return max(now, self.until)


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job waits."""

    job: Demand
    at: float


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A job waits no longer: cancelled, or back to validation."""

    id: str


@dataclass(frozen=True, slots=True)
class Started:
    """A job got a slot."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A started job gave its slot back, having used the device for ``seconds`` (0 where nothing shall count)."""

    id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Requeued:
    """A started job gave its slot back and waits again, for its old submission; the try counts nothing."""

    id: str
    at: float


@dataclass(frozen=True, slots=True)
class Used:
    """Usage from before this process: of a job that has ended."""

    job: Demand
    seconds: float
    at: float


Event = DeviceSet | Submitted | Withdrawn | Started | Ended | Requeued | Used


# -- one device's tree -------------------------------------------------------------------------------------------------


class _Node:
    """A place in the tree. ``heap`` holds its waiting children (its jobs, in a leaf), stale entries among them."""

    __slots__ = ("children", "floor", "head", "heap", "name", "parent", "stamp", "usage", "weight")

    def __init__(self, name: str, parent: _Node | None, weight: float) -> None:
        self.name = name
        self.parent = parent
        self.weight = weight
        self.usage: float | None = None
        """Inflated; None before the first charge or wake-up."""
        self.floor = 0.0
        """Key of the child picked last."""
        self.head: Demand | None = None
        """The job that a pick below here would give."""
        self.stamp = 0
        self.children: dict[str, _Node] = {}
        self.heap: list[tuple[float, float, str, str, int]] = []

    @property
    def key(self) -> float:
        """Usage per weight: the least goes first."""
        return (self.usage or 0.0) / self.weight

    def entry(self) -> tuple[float, float, str, str, int]:
        """What its parent's heap holds of it; valid until the next stamp."""
        assert self.head is not None
        return (self.key, *self.head.order, self.name, self.stamp)


class Shares:
    """The tree of one device: add, remove and charge jobs; :attr:`head` is the next. All steps cost O(log n)."""

    def __init__(self, rules: Rules, start: float | None = None) -> None:
        self._rules = rules
        self._limit = _REBASE
        self.start = start
        """The time at which a charge counts once; None before the first."""
        self._root = _Node("", None, 1.0)
        self._jobs: dict[str, Demand] = {}

    @property
    def head(self) -> Demand | None:
        """The next job."""
        return self._root.head

    @property
    def waiting(self) -> list[Demand]:
        """All that wait, by submission."""
        return sorted(self._jobs.values(), key=lambda job: job.order)

    def inflation(self, at: float) -> float:
        """How much a charge at this time counts."""
        if self.start is None:
            self.start = at
        age = (at - self.start) / self._rules.half_life
        if age > self._limit:
            self._rebase(floor(age))
            return self.inflation(at)
        return float(2.0**age)

    def usages(self) -> dict[Path, tuple[float, float | None, float]]:
        """Weight, inflated usage and floor of each node; the root's path is empty."""
        found: dict[Path, tuple[float, float | None, float]] = {}
        stack: list[tuple[Path, _Node]] = [((), self._root)]
        while stack:
            path, node = stack.pop()
            found[path] = (node.weight, node.usage, node.floor)
            stack += [((*path, name), child) for name, child in node.children.items()]
        return found

    def add(self, job: Demand, at: float) -> None:
        """A job waits from now on."""
        self._jobs[job.id] = job
        inflation = self.inflation(at)
        nodes = self._nodes(job.path)
        for node in nodes:
            if node.head is None:
                self._wake(node, inflation)
        heappush(nodes[-1].heap, (0.0, *job.order, "", 0))
        self._refresh(nodes[-1])

    def remove(self, job_id: str) -> Demand:
        """A job waits no longer."""
        job = self._jobs.pop(job_id)
        self._refresh(self._nodes(job.path)[-1])
        return job

    def pick(self, job_id: str, at: float) -> Demand:
        """A job stops waiting because it starts: charge what is expected."""
        job = self._jobs[job_id]
        for node in self._nodes(job.path):
            assert node.parent is not None
            node.parent.floor = max(node.parent.floor, node.key)
        self.charge(job, job.charge(job.seconds), at)
        return self.remove(job_id)

    def charge(self, job: Demand, amount: float, at: float) -> None:
        """Count ``amount`` (negative: a correction) as of this time, on every level."""
        inflated = amount * self.inflation(at)
        nodes = self._nodes(job.path)
        for node in nodes:
            node.usage = max(0.0, (node.usage or 0.0) + inflated)
        self._refresh(nodes[-1])

    def copy(self) -> Shares:
        """The same tree, to be run ahead."""
        twin = Shares(self._rules, self.start)
        twin._limit = _REBASE_AHEAD
        twin._root = _copy(self._root, None)
        twin._jobs = dict(self._jobs)
        return twin

    def reweigh(self, rules: Rules) -> None:
        """Other weights from now on; what was used stays what it was."""
        self._rules = rules
        nodes: list[tuple[Path, _Node]] = [((), self._root)]
        for path, node in nodes:
            nodes += [((*path, name), child) for name, child in node.children.items()]
            node.weight = rules.weights.get(path, 1.0)
        self._reorder([node for _, node in nodes])

    # -- inside ----------------------------------------------------------------------------------------------------

    def _nodes(self, path: Path) -> list[_Node]:
        """The nodes on a path, top down, made where they are new."""
        node, nodes = self._root, []
        for depth, name in enumerate(path, start=1):
            child = node.children.get(name)
            if child is None:
                child = node.children[name] = _Node(name, node, self._rules.weights.get(path[:depth], 1.0))
            node = child
            nodes.append(node)
        return nodes

    def _wake(self, node: _Node, inflation: float) -> None:
        """Bring a node level with its least waiting sibling, minus the credit."""
        parent = node.parent
        assert parent is not None
        level = self._least(parent)
        level = parent.floor if level is None else level
        if node.usage is None:
            node.usage = level * node.weight
        else:
            node.usage = max(node.usage, (level - self._rules.credit * inflation) * node.weight)

    def _least(self, node: _Node) -> float | None:
        """Key of the least waiting child; drops stale entries."""
        heap, children = node.heap, node.children
        while heap and children[heap[0][3]].stamp != heap[0][4]:
            heappop(heap)
        return heap[0][0] if heap else None

    def _refresh(self, leaf: _Node) -> None:
        """After a change below ``leaf``: set heads and heap entries again, from there up."""
        while leaf.heap and leaf.heap[0][2] not in self._jobs:
            heappop(leaf.heap)
        leaf.head = self._jobs[leaf.heap[0][2]] if leaf.heap else None
        node = leaf
        while (parent := node.parent) is not None:
            node.stamp += 1
            if node.head is not None:
                heappush(parent.heap, node.entry())
            if len(parent.heap) > 2 * len(parent.children) + 16:
                parent.heap = [entry for entry in parent.heap if parent.children[entry[3]].stamp == entry[4]]
                heapify(parent.heap)
            parent.head = None if self._least(parent) is None else parent.children[parent.heap[0][3]].head
            node = parent

    def _rebase(self, half_lives: int) -> None:
        """Scale every number down by a power of two, which costs no digit."""
        assert self.start is not None
        scale = 0.5**half_lives
        self.start += half_lives * self._rules.half_life
        nodes = [self._root]
        for node in nodes:
            nodes += node.children.values()
            node.floor *= scale
            node.usage = None if node.usage is None else node.usage * scale
        self._reorder(nodes)  # what is old enough becomes nothing, so that ties appear

    @staticmethod
    def _reorder(nodes: Sequence[_Node]) -> None:
        """Look for the heads again, from below; ``nodes`` are all, parents before their children."""
        for node in reversed(nodes):
            if node.children:
                node.heap = [child.entry() for child in node.children.values() if child.head is not None]
                heapify(node.heap)
                node.head = node.children[node.heap[0][3]].head if node.heap else None


def _copy(node: _Node, parent: _Node | None) -> _Node:
    twin = _Node(node.name, parent, node.weight)
    twin.usage, twin.floor, twin.head, twin.stamp = node.usage, node.floor, node.head, node.stamp
    twin.heap = node.heap.copy()
    twin.children = {name: _copy(child, twin) for name, child in node.children.items()}
    return twin


# -- the scheduler -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Lane:
    """A device and what runs on it (job, start in seconds since 1970)."""

    device: DeviceSet
    shares: Shares
    running: dict[str, tuple[Demand, float]] = field(default_factory=dict)


class Scheduler:
    """Every device's queue. Feed it events as they are committed; ask :meth:`next` whenever a slot may be free."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self._lanes: dict[str, Lane] = {}
        self._where: dict[str, str] = {}

    def reweigh(self, weights: Mapping[Path, float]) -> None:
        """Other weights of organisations and projects, on every device, from now on."""
        self.rules = replace(self.rules, weights=weights)
        for lane in self._lanes.values():
            lane.shares.reweigh(self.rules)

    def next(self, device: str, now: float) -> Demand | None:
        """The job that should start on this device now; None where none should. Changes nothing.

        1. A device that is absent, paused or offline starts nothing.
        2. Without a free slot nothing starts.
        3. Otherwise the walk down the tree says who (kept up to date by :meth:`apply`).

        The caller checks membership again, writes the attempt and applies :class:`Started`, or withdraws the job.
        """
        lane = self._lanes.get(device)
        if lane is None or lane.device.opens(now) != now:
            return None
        if len(lane.running) >= lane.device.slots:
            return None
        return lane.shares.head

    def apply(self, event: Event) -> None:
        """Take note of what was committed. Events of a job that is not known (any more) are ignored."""
        match event:
            case DeviceSet():
                self._set(event)
            case Submitted():
                self._submit(event.job, event.at)
            case Used():
                self.lane(event.job.device).shares.charge(event.job, event.job.charge(event.seconds), event.at)
            case _:
                self._follow(event)

    def lane(self, device: str) -> Lane:
        """A device's queue; one that was not announced yet is offline."""
        if device not in self._lanes:
            self._lanes[device] = Lane(DeviceSet(device, state="offline"), Shares(self.rules))
        return self._lanes[device]

    def knows(self, job_id: str) -> bool:
        """Whether the job waits or runs here."""
        return job_id in self._where

    def _set(self, event: DeviceSet) -> None:
        if event.name in self._lanes:
            self._lanes[event.name].device = event
        else:
            self._lanes[event.name] = Lane(event, Shares(self.rules))

    def _submit(self, job: Demand, at: float) -> None:
        if job.id not in self._where:
            self._where[job.id] = job.device
            self.lane(job.device).shares.add(job, at)

    def _follow(self, event: Withdrawn | Started | Ended | Requeued) -> None:
        device = self._where.get(event.id)
        if device is None:
            return
        lane = self._lanes[device]
        runs = event.id in lane.running
        match event:
            case Withdrawn() if not runs:
                lane.shares.remove(event.id)
                del self._where[event.id]
            case Started() if not runs:
                lane.running[event.id] = (lane.shares.pick(event.id, event.at), event.at)
            case Ended() if runs:
                self._correct(lane, event.id, event.seconds)
                del self._where[event.id]
            case Requeued() if runs:
                lane.shares.add(self._correct(lane, event.id, 0.0), event.at)

    def _correct(self, lane: Lane, job_id: str, seconds: float) -> Demand:
        """Give the slot back, and count what was used instead of what was expected."""
        job, started = lane.running.pop(job_id)
        lane.shares.charge(job, job.charge(seconds) - job.charge(job.seconds), started)
        return job
