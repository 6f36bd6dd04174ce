"""What one tenant can learn of another: nothing but their own place, and when their own job will probably start."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel

from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import QuantumError
from jupyter_quantum.hub.metrics import Metrics
from jupyter_quantum.pipeline.queues import _coarse
from jupyter_quantum.wire.jobs import EventView
from jupyter_quantum.wire.reports import ReportRequest
from tests.integration.pipeline.conftest import ADA, LISE, House, request, until

SECRETS = ("lise", "lab", "trade-secret", "n=3")
"""Lise's name, project, what her job is called, what it runs."""


async def told(house: House, who: Principal, foreign: list[str]) -> list[str]:
    """Everything that the service answers to somebody, as text: views, lists, refusals of what is another's."""
    door = house.pipeline
    views: list[BaseModel] = [await door.me(who), await door.quota(who), await door.devices(who), await door.jobs(who)]
    views += [await door.device(who, "campus_qpu"), await door.approvals(who, state="all")]
    views.append(await door.report(who, ReportRequest(circuits=request().circuits)))
    views.append(await door.webhooks.list(who))
    said = [view.model_dump_json() for view in views]
    for job in foreign:
        for ask in (door.job, door.result, door.executable, door.source, door.provenance, door.cancel):
            try:
                said.append(repr(await ask(who, job)))
            except QuantumError as error:
                said.append(f"{error} {error.details}")
    return said


@contextlib.asynccontextmanager
async def listening(house: House, who: Principal) -> AsyncIterator[list[EventView]]:
    """What the stream tells somebody meanwhile."""
    seen: list[EventView] = []

    async def listen() -> None:
        async for event in house.pipeline.events(who, after=0):
            seen.append(event)  # noqa: PERF401 (read while it grows)

    task = asyncio.create_task(listen())
    yield seen
    await asyncio.sleep(0.2)
    task.cancel()


async def busy(house: House, jobs: int) -> list[str]:
    """Lise's jobs wait for the emulated QPU, whose runner is not there."""
    return [(await house.pipeline.submit(LISE, lises(), key=None, wait_s=0.0)).id for _ in range(jobs)]


def lises() -> Any:
    return request("fake_torino", 500, data=b"n=3", name="trade-secret")


async def test_nothing_of_another_tenant_is_told(house: House) -> None:
    """Ada's views, streams and refusals name nothing of lise's jobs: neither ids, names, projects nor circuits."""
    async with house.runner(), listening(house, ADA) as events:
        theirs = await busy(house, 3)
        mine = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0.0)
        said = await told(house, ADA, theirs)
        said.append((await house.pipeline.job(ADA, mine.id)).model_dump_json())
        await until(lambda: any(event.job == mine.id for event in events))
    said += [event.model_dump_json() for event in events]
    for text in said:
        for secret in (*SECRETS, *theirs):
            words = text.replace("available", "").replace("label", "")
            assert secret not in words, f"{secret!r} in {text[:300]}"
    assert {event.project for event in events} <= {None, "qcourse"}
    assert {event.job for event in events} <= {None, mine.id}


async def test_a_device_does_not_tell_how_many_wait(house: House) -> None:
    """A device's view has no length of its queue; a job has its own place, and estimates are too coarse to count by."""
    async with house.runner():
        before = await house.pipeline.device(ADA, "campus_qpu")
        assert before.wait.place is None
        report = await house.pipeline.report(ADA, ReportRequest(circuits=request().circuits))
        assert all(row.wait is None or row.wait.place is None for row in report.rows)
    assert [_coarse(value) for value in (None, 0.0, 0.02, 1.4, 9.6, 61.7, 749.0, 5021.0)] == [
        None,
        0.0,
        1.0,
        1.0,
        10.0,
        62.0,
        750.0,
        5000.0,
    ]


def test_metrics_name_nobody() -> None:
    """Labels of metrics are methods, routes (without ids), statuses, codes, runners: no tenant, user, job or device."""
    allowed = {"method", "route", "status", "code", "le", "quantile", "kind", "state", "part", "runner"}
    for family in Metrics().registry.collect():
        for sample in family.samples:
            assert set(sample.labels) <= allowed, sample.name
    for collector in Metrics().registry._collector_to_names:
        assert set(getattr(collector, "_labelnames", ())) <= allowed
