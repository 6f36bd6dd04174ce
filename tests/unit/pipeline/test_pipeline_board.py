"""The board: who gets which task, leases, fences, and what is told to be stopped."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.pipeline.board import Board, LeaseLost, Ticket
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.runner import PROTOCOL, Announce, LeaseRequest, PrepareTask, TaskReport, Work

BUNDLE = CircuitBundle(format="qpy", data=b"n=2")


def ticket(device: str = "aer", user: str = "a", attempt: int = 0) -> Ticket:
    """A validation for this device; with ``attempt``, it counts as a run."""
    work = Work(kind=JobKind.RUN, circuits=BUNDLE, pubs=[], options={}, transpile="auto", limits={})
    return Ticket(PrepareTask(work=work, device=device), user, 1.0, 100, "job_1", attempt=attempt)


def board(*runners: str, lease_s: float = 10.0, devices: tuple[str, ...] = ("aer",)) -> Board:
    """A board with runners that serve these devices."""
    made = Board(lease_s)
    for name in runners:
        words = Announce(
            protocol=PROTOCOL,
            runner=name,
            version="0",
            python="3",
            packages={},
            sandbox=[],
            qpy_versions=(13, 17),
            devices=[],
        )
        made.announce(words, devices)
    return made


def board_again(made: Board) -> Board:
    """The same board, ``run_a`` announced once more."""
    made.announce(next(iter(board("run_a").runners.values())).words, ("aer",))
    return made


def asks(runner: str, slots: int = 1, wait_s: float = 0.0, **running: int) -> LeaseRequest:
    """A lease request."""
    return LeaseRequest(runner=runner, slots=slots, wait_s=wait_s, running=running)


async def test_a_waiting_runner_gets_a_task_at_once() -> None:
    """A long poll ends when work comes, not when its time is over."""
    made = board("run_a")
    poll = asyncio.create_task(made.lease(asks("run_a", wait_s=5.0)))
    await asyncio.sleep(0)
    offered = ticket()
    made.put(offered)
    leased = await asyncio.wait_for(poll, 1.0)
    assert [task.id for task in leased.tasks] == [offered.id]
    assert offered.leased


async def test_a_poll_of_a_lost_runner_takes_nothing() -> None:
    """A runner that has ended, its last question still open: what comes now waits for the next one."""
    made = board("run_a")
    poll = asyncio.create_task(made.lease(asks("run_a", wait_s=0.3)))
    await asyncio.sleep(0.05)
    made.forget("run_a")
    offered = ticket()
    made.put(offered)
    with pytest.raises(Conflict, match="not known here"):
        await poll
    assert not offered.leased
    again = asyncio.create_task(board_again(made).lease(asks("run_a", wait_s=5.0)))
    assert [task.id for task in (await asyncio.wait_for(again, 1.0)).tasks] == [offered.id]


async def test_tasks_go_where_their_device_is_served_and_fit() -> None:
    """Another device's task, and one more than fits, stay on the board."""
    made = board("run_a")
    made.put(ticket("fake_fez"))
    for _ in range(3):
        made.put(ticket())
    assert len((await made.lease(asks("run_a", slots=2))).tasks) == 2
    assert len((await made.lease(asks("run_a", slots=5))).tasks) == 1


async def test_a_report_needs_the_fence_and_the_runner() -> None:
    """Neither an older fence nor another runner can report."""
    made = board("run_a", "run_b")
    made.put(ticket())
    (task,) = (await made.lease(asks("run_a"))).tasks
    good = TaskReport(runner="run_a", fence=task.fence, state="done")
    assert made.held(task.id, good).id == task.id
    for wrong in ({"fence": task.fence - 1}, {"runner": "run_b"}):
        with pytest.raises(Conflict) as caught:
            made.held(task.id, good.model_copy(update=wrong))
        assert caught.value.code == "fence"


async def test_a_lease_lives_while_it_is_renewed() -> None:
    """Renewed it stays; silent it is lost, and whoever awaits it learns so."""
    made = board("run_a", lease_s=0.1)
    offered = ticket()
    made.put(offered)
    (task,) = (await made.lease(asks("run_a"))).tasks
    for _ in range(3):
        await asyncio.sleep(0.05)
        await made.lease(asks("run_a", slots=0, **{task.id: task.fence}))
        assert made.expired() == []
    await asyncio.sleep(0.15)
    assert made.expired() == [offered]
    with pytest.raises(LeaseLost):
        await offered.outcome
    assert made.serving("aer") is None


async def test_what_a_live_runner_names_no_more_is_lost() -> None:
    """It polls on, and never heard that it was given the task: that is found out within two leases, not after days."""
    made = board("run_a", lease_s=0.2)
    offered = ticket()
    made.put(offered)
    await made.lease(asks("run_a"))  # this answer is lost
    offered.kill_after += 1e6
    lost: list[Ticket] = []
    for _ in range(20):
        poll = asyncio.create_task(made.lease(asks("run_a", slots=0, wait_s=5.0)))
        await asyncio.sleep(0.05)
        lost += made.expired()
        await poll
    assert lost == [offered]
    assert made.serving("aer") is not None


async def test_what_is_stopped_or_lost_is_told() -> None:
    """A stopped task is named until its runner reports; one that is not held is named too, once in a while."""
    made = board("run_a")
    offered = ticket()
    made.put(offered)
    (task,) = (await made.lease(asks("run_a"))).tasks
    poll = asyncio.create_task(made.lease(asks("run_a", slots=0, wait_s=5.0, **{task.id: task.fence})))
    await asyncio.sleep(0)
    made.stop(offered)
    assert (await asyncio.wait_for(poll, 1.0)).stop == [task.id]
    foreign = asks("run_a", slots=0, tsk_gone=1)
    assert (await made.lease(foreign)).stop == ["tsk_gone"]
    assert (await made.lease(foreign)).stop == []


async def test_a_stopped_task_that_nobody_has_is_gone() -> None:
    """It is never leased."""
    made = board("run_a")
    offered = ticket()
    made.put(offered)
    made.stop(offered)
    assert (await made.lease(asks("run_a"))).tasks == []


async def test_the_latest_runner_of_a_device_is_asked_first() -> None:
    """A runner that was started again takes over from the one that died unseen."""
    made = board("run_a", "run_b")
    found = made.serving("aer")
    assert found is not None
    assert found.words.runner == "run_b"


async def test_users_take_turns() -> None:
    """One who sends many validations does not keep another waiting; a run, which has its slot, goes first."""
    made = board("run_a")
    flood = [ticket(user="eve") for _ in range(50)]
    others = [ticket(user="ada"), ticket(user="ben"), ticket(user="eve", attempt=1)]
    for each in (*flood, *others):
        made.put(each)
    first = (await made.lease(asks("run_a", slots=2))).tasks
    assert [task.id for task in first] == [others[2].id, flood[0].id]
    held = {task.id: task.fence for task in first}
    second = (await made.lease(asks("run_a", slots=2, **held))).tasks
    assert [task.id for task in second] == [others[0].id, others[1].id]


async def test_a_task_for_a_runner_that_cannot_take_it_is_lost() -> None:
    """Its runner is gone, or serves the device no more: the task does not wait for ever."""
    made = board("run_a", "run_b")
    offered = [ticket(attempt=1) for _ in range(3)]
    for one, name in zip(offered, ("run_a", "run_b", "run_c"), strict=True):
        one.runner = name
        made.put(one)
    assert made.expired() == offered[2:]
    made.announce(made.runners["run_b"].words, ("fake_fez",))
    assert made.expired() == offered[1:2]
    assert made.expired() == []


async def test_a_task_names_its_job_for_the_runners_log() -> None:
    """What is leased says of which job it is."""
    made = board("run_a")
    made.put(ticket())
    leased = await made.lease(asks("run_a"))
    assert [task.job for task in leased.tasks] == ["job_1"]
