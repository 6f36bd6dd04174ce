"""The routes of runners on other machines: what ``wire/runner.py`` says, for tokens of services that are runners.

They stand beside the API of people: a runner's token opens nothing there, and nobody else's opens anything here.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pydantic import BaseModel

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.json import Api
from jupyter_quantum.hub.api.route import File, Route
from jupyter_quantum.wire.runner import Announce, Leased, LeaseRequest, Reported, TaskReport, Welcome

__all__ = ["ROUTES", "RunnerApi"]

_ANNOUNCE: Final = 16 * 1024 * 1024
"""Bytes of an announcement: the Targets of all devices."""
_LEASE: Final = 256 * 1024
_REPORT: Final = 160 * 1024 * 1024
"""Bytes of a report: what a worker may say, and its envelope."""


class RunnerApi(Api):
    """A route of runners. Whoever is no runner is refused before the body is read."""

    _poll: asyncio.Future[Any] | None = None

    async def prepare(self) -> None:
        """Check the token as every route does, and that it is a runner's."""
        await super().prepare()
        self.named("prepare")

    def named(self, instance: str) -> str:
        """The runner's id, from what it calls itself and whose token it brought."""
        return self.pipeline.runner_id(self.who, instance)

    async def _call(self, path: Any) -> BaseModel | File | None:
        if self.route.call is not lease:
            return await super()._call(path)
        self._poll = asyncio.ensure_future(super()._call(path))
        await asyncio.wait({self._poll})
        return Leased() if self._poll.cancelled() else self._poll.result()

    def on_connection_close(self) -> None:
        """A poll whose runner has gone takes no work: the task would be lost with the answer."""
        if self._poll is not None:
            self._poll.cancel()


async def announce(api: RunnerApi) -> Welcome:
    """What it serves."""
    words = api.body(Announce)
    return await api.pipeline.announce(words.model_copy(update={"runner": api.named(words.runner)}))


async def lease(api: RunnerApi) -> Leased:
    """Work for it."""
    asked = api.body(LeaseRequest)
    return await api.pipeline.lease(asked.model_copy(update={"runner": api.named(asked.runner)}))


async def report(api: RunnerApi, task: str) -> Reported:
    """A move of a task that it holds."""
    said = api.body(TaskReport)
    api.context.metrics.reports.labels(api.who.name, said.state).inc()
    return await api.pipeline.report_task(task, said.model_copy(update={"runner": api.named(said.runner)}))


ROUTES: Final = (
    Route(
        "POST", "runner/v1/announce", Scope.RUNNER, "Say what is served", Welcome, announce, Announce, size=_ANNOUNCE
    ),
    Route("POST", "runner/v1/lease", Scope.RUNNER, "Ask for work", Leased, lease, LeaseRequest, size=_LEASE),
    Route(
        "POST",
        "runner/v1/tasks/{task}/report",
        Scope.RUNNER,
        "Tell of a move of a task",
        Reported,
        report,
        TaskReport,
        size=_REPORT,
    ),
)
"""They are not part of the OpenAPI document: their contract is the protocol, which has its own version."""
