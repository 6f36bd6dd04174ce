"""The handler of every route of the table: checks the caller, parses the body once, writes the answer once."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, stream_request_body

from jupyter_quantum.exceptions import InputError, QuantumError, Unauthenticated
from jupyter_quantum.hub.api.base import Handler, body_of, error_for
from jupyter_quantum.hub.api.route import File, Route
from jupyter_quantum.pipeline.once import Outcome, request_digest

if TYPE_CHECKING:
    from jupyter_quantum.pipeline import Pipeline

__all__ = ["Api", "TooLarge", "by_path", "malformed"]

log = logging.getLogger("jupyter_quantum.hub")

Body = TypeVar("Body", bound=BaseModel)

_CHUNK: Final = 1024 * 1024
_QUERY: Final = 4096
_PARAMETERS: Final = 32
_UNSAFE: Final = re.compile(r"[^\w.-]")


class TooLarge(InputError):
    """The request is larger than the route takes."""

    default_code = "request.size"
    status = 413


def malformed(error: ValidationError) -> InputError:
    """A 422 that names each field and what is wrong with it, without repeating what was sent."""
    problems = [
        {"field": ".".join(map(str, found["loc"])) or "body", "reason": found["msg"]}
        for found in error.errors(include_url=False, include_context=False, include_input=False)[:20]
    ]
    first = problems[0]
    return InputError(
        f"The request cannot be used: {first['field']}: {first['reason']}.",
        code="request.malformed",
        details={"fields": problems},
    )


@stream_request_body
class Api(Handler):
    """One path of the table with its methods. The caller is checked before the body is read."""

    def initialize(self, routes: Mapping[str, Route] | None = None, **_: Any) -> None:
        """Take the path's routes, by method."""
        super().initialize()
        self._routes = routes or {}
        self._body = bytearray()
        self._received = 0
        self._admitted = False
        self._began = time.monotonic()

    @property
    def pipeline(self) -> Pipeline:
        """Shorthand for ``self.context.pipeline``."""
        return self.context.pipeline

    async def prepare(self) -> None:
        """Find the route, identify the caller, refuse a body that is too large."""
        route = self._routes.get(self.request.method or "")
        if route is None:
            self.allow = ", ".join(sorted(self._routes))
            raise HTTPError(405)
        self.route = route
        self.label = route.path
        self._check_query()
        if route.scope is None:
            await self.context.pipeline.door.limits.take(route.rate_limit, self.address)
        else:
            await self.authenticate(
                route.scope, max_age=route.max_age, cookie_only=route.cookie_only, limit=route.rate_limit
            )
        self._check_size(self._announced() or 0)
        if self.request.connection is not None:  # a chunked body says its length by ending
            self.request.connection.set_max_body_size(route.body_limit + _CHUNK)  # type: ignore[attr-defined]
        self._admitted = True

    def _check_query(self) -> None:
        if len(self.request.query) > _QUERY or len(self.request.query_arguments) > _PARAMETERS:
            raise TooLarge(
                f"The query has more than {_QUERY} characters or {_PARAMETERS} parameters.", details={"limit": _QUERY}
            )

    def _announced(self) -> int | None:
        """Bytes that the request says it carries; None where it does not say so."""
        if "Transfer-Encoding" in self.request.headers:
            return None
        said = self.request.headers.get("Content-Length", "0")
        return int(said) if said.isdecimal() else None

    def _check_size(self, size: int) -> None:
        if size > self.route.body_limit:
            raise TooLarge(
                f"The request has more than {self.route.body_limit} bytes.", details={"limit": self.route.body_limit}
            )

    def data_received(self, chunk: bytes) -> None:
        """Collect the body; of one that is longer than was announced, only that it is too long."""
        self._received += len(chunk)
        if self._received <= self.route.body_limit:
            self._body += chunk

    def write_failure(self, error: QuantumError) -> None:
        """Write the body of an error, and say so where the connection ends with it.

        Tornado closes it in silence when it is answered before the body is read, even where there is none: a proxy
        that keeps connections would send its next request into the closed one.
        """
        if not self._admitted or self._received != self._announced():
            self.set_header("Connection", "close")
        super().write_failure(error)

    def wants(self, media: str) -> bool:
        """Whether the caller names this form of the answer in ``Accept``."""
        return media in self.request.headers.get("Accept", "")

    async def reauthenticate(self) -> None:
        """Ask the hub again unless it was asked during this request; groups and scopes may have changed."""
        assert self.identified is not None
        assert self.route.scope is not None
        if self.identified.at < self._began:
            before = self.who.id
            if await self.identify(max_age=0.0) is None or self.who.id != before:
                raise Unauthenticated("Your token is not valid any more.", hint="Sign in again.")
            self._check_scopes(self.who, self.route.scope)

    @property
    def raw(self) -> bytes:
        """The request's body as it came."""
        return bytes(self._body)

    def body(self, model: type[Body]) -> Body:
        """The request's body as ``model``; raises :class:`InputError` naming the fields that are wrong."""
        try:
            return model.model_validate_json(bytes(self._body))
        except ValidationError as error:
            raise malformed(error) from error

    def number(self, name: str, default: float, high: float, *, low: float = 0.0) -> float:
        """A number from the query, brought within its bounds; raises :class:`InputError` for anything else."""
        text = self.get_query_argument(name, None)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if value != value:  # NaN, also when it was written out
            raise InputError(f"The query parameter {name!r} must be a number.", code="request.malformed")
        return min(max(value, low), high)

    def key(self) -> str | None:
        """The request's idempotency key."""
        key = self.request.headers.get("Idempotency-Key")
        if key is not None and not 0 < len(key) <= 200:
            raise InputError("The header Idempotency-Key takes 1 to 200 characters.", code="request.malformed")
        return key

    def whole(self, name: str) -> int:
        """A whole number from the query, which must be there; raises :class:`InputError` for anything else."""
        text = self.get_query_argument(name, "")
        if not text.isdecimal() or len(text) > 18:
            raise InputError(f"The query parameter {name!r} must be a whole number.", code="request.malformed")
        return int(text)

    def moment(self, name: str) -> datetime | None:
        """A moment with its zone from the query; None where it is not there. Raises :class:`InputError`."""
        text = self.get_query_argument(name, None)
        if text is None:
            return None
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            raise InputError(
                f"The query parameter {name!r} must be a moment with its zone.",
                code="request.malformed",
                hint="Such as 2026-05-12T09:00:00Z.",
            )
        return found

    async def _serve(self, **path: str) -> None:
        self._check_size(self._received)
        key = self.key() if self.route.keyed else None
        if key is not None:
            await self._serve_once(key, path)
            return
        answer = await self._call(path)
        if isinstance(answer, File):
            await self._send_file(answer)
        elif answer is not None:
            self._send(answer.model_dump_json())

    async def _call(self, path: Mapping[str, str]) -> BaseModel | File | None:
        assert self.route.call is not None
        answer = await self.route.call(self, **path)
        if self.get_status() == 200:
            self.set_status(self.route.status)
        return answer

    async def _serve_once(self, key: str, path: Mapping[str, str]) -> None:
        """Serve the route, or give the answer again that the first request with this key got."""
        failure: Exception | None = None
        file: File | None = None

        async def act() -> Outcome:
            nonlocal failure, file
            try:
                answer = await self._call(path)
            except Exception as error:
                failure = error
                status, said = error_for(error)
                return Outcome(status, body_of(said).model_dump_json().encode())
            if isinstance(answer, File):
                file = answer
                return Outcome(self.get_status(), None)
            raw = b"" if answer is None else answer.model_dump_json().encode()
            project = getattr(answer, "project", None)
            return Outcome(self.get_status(), raw, tenant=project if isinstance(project, str) else None)

        route, address = self.route, self.request.uri or ""
        request = request_digest(route.method, address, bytes(self._body))
        once = self.pipeline.door.once
        outcome = await once.run(self.who.id, key, request, act, repeatable=route.repeats, secret=route.secret)
        if failure is not None:
            raise failure
        if file is not None:
            await self._send_file(file)
            return
        self.set_status(outcome.status)
        if outcome.repeated:
            self.set_header("Idempotency-Replayed", "true")
        if outcome.body:
            self._send(outcome.body)

    def _send(self, body: str | bytes) -> None:
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(body)

    async def _send_file(self, file: File) -> None:
        """Send a file, piece by piece where it comes in pieces; one that breaks off has no end that looks like one."""
        self.set_header("Content-Type", file.media or self.route.media)
        if file.name is not None:
            self.set_header("Content-Disposition", f'attachment; filename="{_UNSAFE.sub("_", file.name)}"')
        if isinstance(file.content, bytes):
            self.finish(file.content)
            return
        pieces = file.content
        try:
            async for piece in pieces:
                self.write(piece)
                await self.flush()
        except StreamClosedError:  # nobody listens any more
            return
        except Exception:
            if not self._headers_written:
                raise
            log.exception("%s broke off", self.request.path)
            assert self.request.connection is not None
            self.request.connection.close()  # type: ignore[attr-defined]
            return
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()
        self.finish()

    async def get(self, **path: str) -> None:
        """Serve the route."""
        await self._serve(**path)

    post = put = patch = delete = get


def by_path(routes: Iterable[Route]) -> dict[str, dict[str, Route]]:
    """The table, grouped: path → method → route."""
    grouped: dict[str, dict[str, Route]] = {}
    for route in routes:
        grouped.setdefault(route.path, {})[route.method] = route
    return grouped
