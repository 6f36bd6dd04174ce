"""One base class for every handler: who asks, may they, and what an error looks like.

A page subclasses :class:`Page`, a JSON route is a line in :mod:`jupyter_quantum.hub.api.routes`. In both, ``self.who``
is the caller's :class:`~jupyter_quantum.core.tenancy.Principal`, already identified and checked for ``scope``, and
``self.context.pipeline`` does the work. Raise :mod:`jupyter_quantum.exceptions`; anything else becomes ``internal``
without its text.
"""

from __future__ import annotations

import logging
import re
from typing import Any, ClassVar

from jupyterhub.services.auth import HubOAuthenticated
from tornado.web import HTTPError, RequestHandler

from jupyter_quantum.core.tenancy import Principal, Scope
from jupyter_quantum.exceptions import InputError, NotFound, QuantumError, Refused, ScopeMissing, Unauthenticated
from jupyter_quantum.hub.api.peer import address_of
from jupyter_quantum.hub.auth import ADMINISTER, READ, Identified
from jupyter_quantum.hub.context import Context
from jupyter_quantum.pipeline.refusals import UNKNOWN, Refusal, address_class, is_refusal
from jupyter_quantum.wire.base import ErrorBody

__all__ = ["Absent", "Handler", "Page", "body_of", "error_for"]

log = logging.getLogger("jupyter_quantum.hub")

_AUTHORIZATION = re.compile(r"(?:token|bearer)\s+(\S+)\s*", re.IGNORECASE)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def error_for(error: BaseException | None) -> tuple[int, QuantumError]:
    """HTTP status and the error that the caller gets to see for whatever was raised."""
    if isinstance(error, QuantumError):
        return error.status, error
    if isinstance(error, HTTPError) and error.status_code < 500:
        return _for_http(error)
    return 500, QuantumError(
        "Something went wrong on our side; it has been logged.", code="internal", hint="Try again in a moment."
    )


def _for_http(error: HTTPError) -> tuple[int, QuantumError]:
    if error.status_code == 404:
        return 404, NotFound("There is nothing here.")
    if error.status_code == 405:
        return 405, InputError("This address does not take this method.", code="request.method")
    if error.status_code == 403:
        return 403, Refused("This is not allowed.")
    return error.status_code, InputError("The request cannot be read.", code="request.malformed")


def body_of(error: QuantumError) -> ErrorBody:
    """The error as it travels."""
    details = dict(error.details)
    job = details.pop("job", None)
    return ErrorBody(
        error=type(error).__name__,
        code=error.code,
        message=error.message,
        hint=error.hint,
        details=details,
        job=job if isinstance(job, str) else None,
    )


class Handler(HubOAuthenticated, RequestHandler):  # type: ignore[misc]
    """Base of all handlers behind the hub's proxy."""

    scope: ClassVar[Scope | None] = Scope.READ
    """What the token must hold; None leaves the route open."""
    allow: str = ""
    """Methods that the address takes, for a 405."""
    label: str = "other"
    """Name of the route in metrics."""

    def initialize(self, **_: Any) -> None:
        """Take the hub's OAuth client of this service."""
        self._hub_auth = self.context.oauth
        self.identified: Identified | None = None
        self._asker: str | None = None

    @property
    def context(self) -> Context:
        """The parts of the service."""
        context: Context = self.settings["context"]
        return context

    @property
    def who(self) -> Principal:
        """The caller. Only where the route is not open."""
        assert self.identified is not None
        return self.identified.who

    def get_current_user(self) -> Principal | None:
        """For Tornado and the hub's XSRF code; never asks the hub."""
        return self.identified.who if self.identified else None

    def set_default_headers(self) -> None:
        """Nothing is cached, sniffed, framed or shared across origins."""
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", _CSP)
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")  # a window that a notebook opened is not its own
        self.clear_header("Server")

    def compute_etag(self) -> None:
        """None: hashing each answer costs more than it saves; routes set their own."""

    # who asks

    def _credentials(self) -> tuple[str, bool] | None:
        """Token and whether it came by cookie; a header wins, so that a page's script can act as a token."""
        found = _AUTHORIZATION.fullmatch(self.request.headers.get("Authorization", ""))
        if found:
            return found[1], False
        raw = self.get_secure_cookie(self.context.oauth.cookie_name)
        return (raw.decode("ascii", "replace"), True) if raw else None

    async def identify(self, max_age: float = READ) -> Principal | None:
        """Ask who the caller is (the hub's answer may be ``max_age`` seconds old); None where nobody is signed in."""
        credentials = self._credentials()
        if credentials is None:
            return None
        token, interactive = credentials
        self.identified = await self.context.gate.identify(token, interactive=interactive, max_age=max_age)
        if self.identified is None:
            return None
        self._token_authenticated = not interactive
        self._asker = self.identified.who.id
        return self.identified.who

    @property
    def address(self) -> str:
        """Where the request comes from, as the hub's proxy says where it came through it."""
        return address_of(self.request, self.context.trusted_proxies)

    async def authenticate(
        self, scope: Scope, *, max_age: float = READ, cookie_only: bool = False, limit: str = "read"
    ) -> Principal:
        """The caller, allowed to use this service and holding ``scope``; ``limit`` is the class of the rate limit.

        Raises :class:`Unauthenticated`, :class:`ScopeMissing`, :class:`Refused` (``auth.interactive``, ``auth.xsrf``)
        or :class:`TooBusy`.
        """
        await self._admit_stranger()
        who = await self.identify(max_age)
        if who is None:
            await self._count_stranger()
            raise Unauthenticated(
                "You are not signed in, or your token is not valid any more.",
                hint="Send the header 'Authorization: token <token>' with a token of the hub.",
            )
        await self.context.pipeline.door.limits.take(limit, who.id)
        self._check_scopes(who, scope)
        if cookie_only and not who.interactive:
            raise Refused(
                "This needs a person who is signed in on the hub's page; tokens may not do it.",
                code="auth.interactive",
                hint="Open the quantum page of the hub.",
            )
        if who.interactive and not self._is_visit():
            self._check_xsrf()
        return who

    async def _admit_stranger(self) -> None:
        """Where too many unknown tokens came from, further unknown ones are not looked up; known ones pass."""
        pipeline, credentials = self.context.started, self._credentials()
        if pipeline is None or (credentials is not None and self.context.gate.knows(*credentials)):
            return
        if pipeline.door.limits.refuses("stranger", self.address):
            await pipeline.door.limits.take("stranger", self.address)

    async def _count_stranger(self) -> None:
        if self.context.started is None:
            return
        limits = self.context.started.door.limits
        if self.address != self.request.remote_ip:  # what a proxy says is bounded by the proxy itself
            await limits.take("peer", str(self.request.remote_ip))
        await limits.take("stranger", self.address)

    def _check_scopes(self, who: Principal, scope: Scope) -> None:
        needed = self.context.oauth.access_scopes
        if who.interactive and needed and not self.context.oauth.check_scopes(needed, {"scopes": who.scopes}):
            raise ScopeMissing(
                "You may not open this service.",
                hint=f"An administrator can give you the scope {min(needed)}.",
                details={"scope": min(needed)},
            )
        if scope not in who.scopes:
            raise ScopeMissing(
                f"Your token lacks the scope {scope.value}.",
                hint="Ask for a token with it, or ask an administrator for the role.",
                details={"scope": scope.value},
            )

    def _is_visit(self) -> bool:
        """Whether a browser shows this address to a person (clients that do not say count as such).

        A notebook's script runs on this origin too and sends the cookie along: what it reads, it could act with.
        """
        return self.request.method in _SAFE and self.request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"

    def _check_xsrf(self) -> None:
        try:
            if self.request.headers.get("Sec-Fetch-Mode") == "no-cors":  # the hub's check would let its reads pass
                raise HTTPError(403)
            self.check_xsrf_cookie()
        except HTTPError as error:
            self.identified = None  # so that the error's page carries no token either
            raise Refused(
                "The request does not carry this page's token (X-XSRFToken).", code="auth.xsrf", hint="Reload the page."
            ) from error

    # errors

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an :class:`ErrorBody`."""
        raised = kwargs["exc_info"][1] if kwargs.get("exc_info") else HTTPError(status_code)
        status, error = error_for(raised)
        self.context.metrics.refusals.labels(error.code).inc()
        self._record(status, error)
        self.set_status(status)
        if "retry_after" in error.details:
            self.set_header("Retry-After", str(error.details["retry_after"]))
        if status == 405 and self.allow:
            self.set_header("Allow", self.allow)
        if status == 401:
            self.set_header("WWW-Authenticate", 'Bearer realm="jupyterhub"')
        self.write_failure(error)

    def _record(self, status: int, error: QuantumError) -> None:
        """A refusal is an entry of the record; a token that the hub does not know is a failed sign-in."""
        if not is_refusal(status, error):
            return
        failed = status == 401 and self._credentials() is not None
        self.context.refused(
            Refusal(
                type="auth.failed" if failed else "request.refused",
                who=self._asker or UNKNOWN,
                route=f"{self.request.method} {self.label}",
                status=status,
                code=error.code,
                address=address_class(self.address),
            )
        )

    def write_failure(self, error: QuantumError) -> None:
        """Write the body of an error; pages show it as HTML."""
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(body_of(error).model_dump_json())

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log defects with their trace, everything else not at all."""
        if error_for(value)[0] == 500:
            log.error("%s %s failed", self.request.method, self.request.path, exc_info=value)

    def on_finish(self) -> None:
        """Count the request."""
        method, status = self.request.method or "", str(self.get_status())
        self.context.metrics.requests.labels(method, self.label, status).observe(self.request.request_time())


class Page(Handler):
    """Base of web pages: a person signs in by the hub; nobody signed in is sent to the hub's login.

    ``cookie_only`` pages and every unsafe method ask the hub afresh. They, and whatever a script asks for, need the
    XSRF token (form field or query parameter ``_xsrf``, or header ``X-XSRFToken``); ``self.xsrf_token`` is its value.
    The content security policy allows scripts, styles and images of this service only, none inline.
    """

    label = "page"

    async def prepare(self) -> None:
        """Identify the caller, or send the browser to the hub."""
        if self.scope is None:
            return
        safe = self.request.method in _SAFE
        if safe and await self.identify() is None:
            self.redirect(self.get_login_url())
            return
        age, limit = (READ, "read") if safe else (ADMINISTER, "decide")
        await self.authenticate(self.scope, max_age=age, cookie_only=not safe, limit=limit)


class Absent(Handler):
    """Every address that is not in a table."""

    async def prepare(self) -> None:
        """Answer 404 to everybody."""
        raise NotFound("There is nothing here.")
