"""The routes that a runner calls (``wire/runner.py``), on a unix socket for the runner that the service started."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application, HTTPError, RequestHandler

from jupyter_quantum.exceptions import Unauthenticated
from jupyter_quantum.hub.api.base import body_of, error_for
from jupyter_quantum.hub.api.json import malformed
from jupyter_quantum.hub.context import Context
from jupyter_quantum.wire.runner import Announce, Leased, LeaseRequest, TaskReport

__all__ = ["RunnerServer"]

log = logging.getLogger("jupyter_quantum.hub")

_RESULTS = 256 * 1024 * 1024
"""Bytes of one report: a result with the memory of many shots is large, and comes from our own runner."""
_BEARER = re.compile(r"Bearer (\S+)")

Body = TypeVar("Body", bound=BaseModel)


class _Handler(RequestHandler):
    @property
    def pipeline(self) -> Any:
        context: Context = self.settings["context"]
        return context.pipeline

    def prepare(self) -> None:
        """Only whoever holds the token of this start may go on."""
        found = _BEARER.fullmatch(self.request.headers.get("Authorization", ""))
        token: str = self.settings["token"]
        if found is None or not hmac.compare_digest(found[1].encode(), token.encode()):
            raise Unauthenticated("The runner's token is not valid.")

    def body(self, model: type[Body]) -> Body:
        try:
            return model.model_validate_json(self.request.body)
        except ValidationError as error:
            raise malformed(error) from error

    def reply(self, answer: BaseModel) -> None:
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(answer.model_dump_json())

    def compute_etag(self) -> None:
        """None: nothing here is cached."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors look as they do on the public routes."""
        raised = kwargs["exc_info"][1] if kwargs.get("exc_info") else HTTPError(status_code)
        status, error = error_for(raised)
        self.set_status(status)
        self.reply(body_of(error))

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log defects with their trace."""
        if error_for(value)[0] == 500:
            log.error("%s failed", self.request.path, exc_info=value)


class _Announcing(_Handler):
    async def post(self) -> None:
        words = self.body(Announce)
        welcome = await self.pipeline.announce(words)
        self.settings["announced"](words)
        self.reply(welcome)


class _Leasing(_Handler):
    _poll: asyncio.Future[Leased] | None = None

    async def post(self) -> None:
        self._poll = asyncio.ensure_future(self.pipeline.lease(self.body(LeaseRequest)))
        await asyncio.wait({self._poll})
        self.reply(Leased() if self._poll.cancelled() else self._poll.result())

    def on_connection_close(self) -> None:
        """A poll whose runner has gone takes no work: the task would be lost with the answer."""
        if self._poll is not None:
            self._poll.cancel()


class _Reporting(_Handler):
    async def post(self, task: str) -> None:
        said = self.body(TaskReport)
        context: Context = self.settings["context"]
        context.metrics.reports.labels("local", said.state).inc()
        self.reply(await self.pipeline.report_task(task, said))


class RunnerServer:
    """Listens on a unix socket that only this user may open.

    Args:
        context: for the pipeline.
        socket: path of the socket, made with mode 0600; a stale one is replaced.
        token: what each request must carry.
        announced: called after each announcement.
    """

    def __init__(self, context: Context, socket: Path, token: str, announced: Callable[[Announce], None]) -> None:
        routes = [
            (r"/runner/v1/announce", _Announcing),
            (r"/runner/v1/lease", _Leasing),
            (r"/runner/v1/tasks/([a-z0-9_]+)/report", _Reporting),
        ]
        settings: dict[str, Any] = {"context": context, "token": token, "announced": announced}
        app = Application(routes, None, None, log_function=lambda _: None, **settings)
        self._server = HTTPServer(app, max_body_size=_RESULTS, max_buffer_size=_RESULTS)
        self._server.add_socket(bind_unix_socket(str(socket), mode=0o600))

    async def close(self) -> None:
        """Stop listening and close open connections."""
        self._server.stop()
        await self._server.close_all_connections()
