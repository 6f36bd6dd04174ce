"""Runs in a vendor's session: a real runner, its vendor processes, and a vendor that loses and ends things."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.testing.adapters.server import VendorServer
from jupyter_quantum.wire.runner import EndSessionTask, ExecuteTask, SessionReport, SessionTask, Task, TaskReport
from tests.integration.fabric.standin import task_of
from tests.integration.vendors.far import KINDS, Far, far_away

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(vendor: VendorServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Far]:
    """One runner for the module, with a device of each kind, and one whose operator pays for dedicated sessions."""
    common = {"adapter": "memory", "url": vendor.url, "secret": "memory", "submit_s": 2.0, "indexing_s": 0.3}
    devices = [{"name": kind, "recovery": kind, "slots": 4} | common for kind in KINDS]
    devices.append({"name": "paid", "recovery": "searchable", "sessions": "dedicated", "session_s": 600} | common)
    async with far_away(tmp_path_factory.mktemp("far"), vendor, devices) as far:
        yield far


def asked(**changes: Any) -> SessionTask:
    return SessionTask(name=new_id("ses"), **({"mode": "batch"} | changes))


def told(far: Far, task: Task) -> list[SessionReport]:
    """What the runner said of the task's session."""
    return [report.session for name, report in far.standin.reports if name == task.id and report.session is not None]


def sessions(far: Far, name: str) -> dict[str, Any]:
    """The vendor's sessions under this name."""
    return {handle: one for handle, one in far.vendor.sessions().items() if one["name"] == name}


def tag_of(task: Task) -> str:
    assert isinstance(task.do, ExecuteTask)
    return task.do.tag


async def test_announced(far: Far) -> None:
    """The service hears what a session is on each device: a batch, unless its operator said otherwise."""
    assert far.standin.announced is not None
    found = {one.name: (one.sessions, one.session_s) for one in far.standin.announced.devices}
    assert found["searchable"] == ({"session": "batch", "batch": "batch"}, 0.0)
    assert found["paid"] == ({"session": "dedicated", "batch": "batch"}, 600.0)


@pytest.mark.parametrize("device", KINDS)
async def test_opened_with_the_first_run(far: Far, device: str) -> None:
    """The service has the session's id before the run is handed over; the next run uses it and opens none."""
    session = asked()
    first = await far.task(device, session=session)
    assert (await far.do(first)).state == "done"
    (handle,) = sessions(far, session.name)
    assert told(far, first) == [SessionReport(handle=handle)]
    states = [report.state for name, report in far.standin.reports if name == first.id]
    assert states == ["session", "started", "done"]
    second = await far.task(device, session=session.model_copy(update={"handle": handle}))
    assert (await far.do(second)).state == "done"
    assert told(far, second) == []
    assert sessions(far, session.name)[handle]["tags"] == [tag_of(first), tag_of(second)]


async def test_many_first_runs_open_one(far: Far) -> None:
    """Runs that begin at the same moment share one session."""
    session = asked()
    far.vendor.behave(delay_s=0.3)
    ends = [await far.give(await far.task("searchable", session=session)) for _ in range(3)]
    reports = await asyncio.wait_for(asyncio.gather(*ends), 60)
    assert [report.state for report in reports] == ["done"] * 3
    (one,) = sessions(far, session.name).values()
    assert len(one["tags"]) == 3


@pytest.mark.parametrize("device", ["searchable", "opaque"])
async def test_the_answer_to_opening_is_lost(far: Far, device: str) -> None:
    """A second one is never opened where the first may be there: the run goes without, once, and says so."""
    session = asked()
    task = await far.task(device, session=session)
    far.vendor.behave(lose_opening=1.0)
    end = await far.give(task)
    await far.until(lambda: sessions(far, session.name))
    far.vendor.behave(lose_opening=0.0)
    assert (await asyncio.wait_for(end, 60)).state == "done"
    assert [(one.handle, one.why) for one in told(far, task)] == [(None, "unsure")]
    again = await far.task(device, session=session)
    assert (await far.do(again)).state == "done"
    assert [one.why for one in told(far, again)] == ["unsure"]
    assert [one["tags"] for one in sessions(far, session.name).values()] == [[]]
    assert far.vendor.runs()[tag_of(task)] == 1


async def test_a_vendor_that_gives_the_same_one_is_asked_again(far: Far) -> None:
    """Where the same name gives the same session, a lost answer costs nothing."""
    session = asked()
    task = await far.task("idempotent", session=session)
    far.vendor.behave(lose_opening=1.0)
    end = await far.give(task)
    await far.until(lambda: sessions(far, session.name))
    far.vendor.behave(lose_opening=0.0)
    assert (await asyncio.wait_for(end, 60)).state == "done"
    (handle,) = sessions(far, session.name)
    assert told(far, task) == [SessionReport(handle=handle)]
    assert sessions(far, session.name)[handle]["tags"] == [tag_of(task)]


async def test_no_sessions_for_this_account(far: Far) -> None:
    """What the vendor refuses to open is refused once; the run goes without."""
    far.vendor.behave(sessions=False)
    task = await far.task("searchable", session=asked())
    assert (await far.do(task)).state == "done"
    assert [(one.handle, one.why) for one in told(far, task)] == [(None, "refused")]


@pytest.mark.parametrize("device", KINDS)
async def test_ended_early(far: Far, device: str) -> None:
    """A session that takes no more: the same attempt runs outside of it, under its own tag, once."""
    session = asked()
    await far.do(await far.task(device, session=session))
    (handle,) = sessions(far, session.name)
    far.vendor.end_session(handle)
    task = await far.task(device, session=session.model_copy(update={"handle": handle}))
    report = await far.do(task)
    assert report.state == "done", report.error
    assert [(one.handle, one.why) for one in told(far, task)] == [(handle, "ended")]
    assert (far.vendor.runs()[tag_of(task)], len(far.vendor.jobs()[tag_of(task)])) == (1, 1)
    assert tag_of(task) not in sessions(far, session.name)[handle]["tags"]


async def test_a_payload_that_is_refused_stays_refused(far: Far) -> None:
    """What the vendor takes neither in the session nor outside of it fails, as without a session."""
    session = asked()
    await far.do(await far.task("searchable", session=session))
    (handle,) = sessions(far, session.name)
    far.vendor.behave(key="another-key")
    task = await far.task("searchable", session=session.model_copy(update={"handle": handle}))
    report = await far.do(task)
    assert (report.state, report.error and report.error.code) == ("failed", "vendor.refused")
    assert tag_of(task) not in far.vendor.jobs()


async def test_cancelled_with_its_session(far: Far) -> None:
    """The vendor ends a session and what waits in it: it has not run, and may be tried again outside."""
    session = asked()
    far.vendor.behave(queue_s=30.0)
    task = await far.task("searchable", session=session)
    end = await far.give(task)
    await far.until(lambda: any(one["tags"] for one in sessions(far, session.name).values()))
    (handle,) = sessions(far, session.name)
    far.vendor.end_session(handle, cancel=True)
    report = await asyncio.wait_for(end, 60)
    assert (report.state, report.retry, report.charged) == ("failed", True, False)
    assert report.error is not None
    assert report.error.code == "vendor.session"
    assert report.session is not None
    assert (report.session.handle, report.session.why) == (handle, "ended")
    assert tag_of(task) not in far.vendor.runs()


async def test_taken_back_in_a_session_is_taken_back(far: Far) -> None:
    """What its owner cancels is not tried again, though its session has ended as well."""
    session = asked()
    far.vendor.behave(queue_s=30.0)
    task = await far.task("searchable", session=session)
    end = await far.give(task)
    await far.until(lambda: far.started(task))
    (handle,) = sessions(far, session.name)
    far.vendor.end_session(handle)
    await far.standin.cancel(task.id, owner=True)
    report = await asyncio.wait_for(end, 60)
    assert (report.state, report.retry, report.error and report.error.code) == ("failed", False, "task.stopped")


@pytest.mark.parametrize("device", ["idempotent", "searchable"])
async def test_looking_for_a_run_opens_nothing(far: Far, device: str) -> None:
    """A run of before is found in the session that it was handed over in, and is not handed over a second time."""
    session = asked()
    task = await far.task(device, session=session)
    await far.do(task)
    (handle,) = sessions(far, session.name)
    assert isinstance(task.do, ExecuteTask)
    known = SessionTask(name="", mode="batch", handle=handle)
    do = task.do.model_copy(update={"recover": True, "handles": [], "session": known})
    again = task.model_copy(update={"id": f"{task.id}r", "do": do})
    assert (await far.do(again)).state == "done"
    assert told(far, again) == []
    assert far.vendor.runs()[tag_of(task)] == 1
    assert len(sessions(far, session.name)) == 1


async def test_a_dedicated_one_is_the_operators_to_allow(far: Far) -> None:
    """Whatever the service asks for: without the operator's word none is opened, with it the operator's limit holds."""
    free = await far.task("searchable", session=asked(mode="dedicated"))
    assert (await far.do(free)).state == "done"
    assert [one.why for one in told(far, free)] == ["refused"]
    session = asked(mode="dedicated", most_s=5000.0)
    assert (await far.do(await far.task("paid", session=session))).state == "done"
    (one,) = sessions(far, session.name).values()
    assert (one["mode"], one["most_s"]) == ("dedicated", 600.0)


async def end_session(far: Far, device: str, handle: str) -> TaskReport:
    task = task_of(EndSessionTask(device=device, handle=handle))  # type: ignore[arg-type]  # the runner takes it
    return await asyncio.wait_for(await far.give(task), 60)


async def test_ending_one(far: Far) -> None:
    """The vendor is told, and says what it counts; again is harmless; nobody there is said, and tried again."""
    session = asked(mode="dedicated")
    await far.do(await far.task("paid", session=session))
    (handle,) = sessions(far, session.name)
    report = await end_session(far, "paid", handle)
    assert (report.state, sessions(far, session.name)[handle]["open"]) == ("done", False)
    assert report.vendor_s is not None
    assert report.vendor_s > 0
    assert (await end_session(far, "paid", handle)).vendor_s == report.vendor_s
    unknown = await end_session(far, "paid", "s999999")
    assert (unknown.state, unknown.retry) == ("failed", False)
    far.vendor.behave(busy=1.0)
    gone = await end_session(far, "paid", handle)
    assert (gone.state, gone.retry, gone.error and gone.error.code) == ("failed", True, "vendor.unavailable")
