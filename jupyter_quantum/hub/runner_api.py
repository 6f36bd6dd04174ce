"""The routes that a runner calls (``wire/runner.py``), on a unix socket for the runner that the service started."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import Callable
from http.client import responses
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.netutil import bind_unix_socket
from tornado.web import HTTPError

from jupyter_quantum.exceptions import Unauthenticated
from jupyter_quantum.hub.api.base import body_of, error_for
from jupyter_quantum.hub.api.json import malformed
from jupyter_quantum.hub.context import Context
from jupyter_quantum.wire.runner import Announce, LeaseRequest, TaskReport

__all__ = ["RunnerServer"]

log = logging.getLogger("jupyter_quantum.hub")

_RESULTS = 256 * 1024 * 1024
"""Bytes of one report: a result with the memory of many shots is large, and comes from our own runner."""
_BEARER = re.compile(r"Bearer (\S+)")
_REPORT = re.compile(r"/runner/v1/tasks/([a-z0-9_]+)/report")

Body = TypeVar("Body", bound=BaseModel)


class _Answering:
    """Answers one request: no routes, cookies, templates or entity tags, which is most of a general handler's time."""

    def __init__(self, context: Context, token: str, announced: Callable[[Announce], None]) -> None:
        self._context = context
        self._token = token.encode()
        self._announced = announced
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, request: HTTPServerRequest) -> None:
        """Called with each request once it is read."""
        task = asyncio.get_running_loop().create_task(self._serve(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: HTTPServerRequest) -> None:
        status, answer = 200, None
        try:
            self._check(request)
            answer = await self._route(request)
        except Exception as raised:
            status, error = error_for(raised)
            if status == 500:
                log.error("%s failed", request.path, exc_info=raised)
            answer = body_of(error)
        _reply(request, status, answer.model_dump_json().encode())

    def _check(self, request: HTTPServerRequest) -> None:
        """Only whoever holds the token of this start may go on."""
        found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        if found is None or not hmac.compare_digest(found[1].encode(), self._token):
            raise Unauthenticated("The runner's token is not valid.")

    async def _route(self, request: HTTPServerRequest) -> BaseModel:
        pipeline: Any = self._context.pipeline
        task = _REPORT.fullmatch(request.path)
        if request.method != "POST":
            raise HTTPError(405)
        answer: BaseModel
        if task is not None:
            answer = await pipeline.report_task(task[1], _body(request, TaskReport))
        elif request.path == "/runner/v1/lease":
            answer = await pipeline.lease(_body(request, LeaseRequest))
        elif request.path == "/runner/v1/announce":
            words = _body(request, Announce)
            answer = await pipeline.announce(words)
            self._announced(words)
        else:
            raise HTTPError(404)
        return answer


def _body(request: HTTPServerRequest, model: type[Body]) -> Body:
    try:
        return model.model_validate_json(request.body)
    except ValidationError as error:
        raise malformed(error) from error


def _reply(request: HTTPServerRequest, status: int, raw: bytes) -> None:
    connection = request.connection
    if connection is None:
        return
    headers = HTTPHeaders({"Content-Type": "application/json; charset=UTF-8", "Content-Length": str(len(raw))})
    start = ResponseStartLine("HTTP/1.1", status, responses.get(status, "Unknown"))
    connection.write_headers(start, headers, raw).add_done_callback(_seen)
    connection.finish()


def _seen(written: asyncio.Future[None]) -> None:
    """A runner that has gone meanwhile is noticed by its leases."""
    if not written.cancelled():
        written.exception()


class RunnerServer:
    """Listens on a unix socket that only this user may open.

    Args:
        context: for the pipeline.
        socket: path of the socket, made with mode 0600; a stale one is replaced.
        token: what each request must carry.
        announced: called after each announcement.
    """

    def __init__(self, context: Context, socket: Path, token: str, announced: Callable[[Announce], None]) -> None:
        answering = _Answering(context, token, announced)
        self._server = HTTPServer(answering, max_body_size=_RESULTS, max_buffer_size=_RESULTS)
        self._server.add_socket(bind_unix_socket(str(socket), mode=0o600))

    async def close(self) -> None:
        """Stop listening and close open connections."""
        self._server.stop()
        await self._server.close_all_connections()
