"""The page's addresses below the service's prefix: the page itself, its three forms, its style and script."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from tornado.web import RequestHandler, StaticFileHandler

from jupyter_quantum.core.money import credits_to_micro
from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.exceptions import Conflict, InputError, QuantumError
from jupyter_quantum.hub.api.base import Page
from jupyter_quantum.hub.pages.benchmarks import collect_benchmarks
from jupyter_quantum.hub.pages.board import Board, collect
from jupyter_quantum.wire.approvals import ApprovalsDecision
from jupyter_quantum.wire.devices import AdmissionDecision, DeviceAction
from jupyter_quantum.wire.jobs import ApprovalDecision
from jupyter_quantum.wire.operations import Resolution
from jupyter_quantum.wire.requests import Decision

__all__ = ["routes"]

_HERE: Final = Path(__file__).parent
_DAYS: Final = frozenset({"1", "7", "30"})
_Form = TypeVar("_Form", AdmissionDecision, ApprovalDecision, ApprovalsDecision, Decision, DeviceAction, Resolution)
Route = tuple[str, type[RequestHandler], dict[str, Any]]


class _HubPage(Page):
    """What all of the page's handlers share: templates, the hub's own addresses, errors as a page."""

    def get_template_path(self) -> str:
        """Our templates lie beside this file."""
        return str(_HERE / "templates")

    def get_template_namespace(self) -> dict[str, Any]:
        """Names that every template may use."""
        names: dict[str, Any] = super().get_template_namespace()
        hub = self.context.hub_base
        names |= {
            "hub": hub,
            "prefix": self.context.prefix,
            "here": "series" if self.request.path.startswith(f"{self.context.prefix}series") else "",
            "name": self.who.name if self.identified else None,
            "xsrf": self.xsrf_token.decode() if self.identified else "",
        }
        return names

    def write_failure(self, error: QuantumError) -> None:
        """A page with the error's own words."""
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.render("error.html", error=error)

    async def show(self, *, problem: QuantumError | None = None, at: str = "") -> None:
        """Render the page; ``problem`` is shown at the item ``at``."""
        board: Board = await collect(self.context.pipeline, self.who)
        self.render("hub.html", board=board, problem=problem, at=at)

    def back(self) -> None:
        """After a form that worked: the page again, so that a reload repeats nothing."""
        self.redirect(self.context.prefix, status=303)


class _Home(_HubPage):
    """The page."""

    async def get(self) -> None:
        """Show it."""
        await self.show()


class _Series(_HubPage):
    """Benchmark series; operators begin a run here."""

    async def get(self) -> None:
        """Show them."""
        await self.show_series()

    async def show_series(self, *, problem: QuantumError | None = None, at: str = "") -> None:
        """Render them; ``problem`` is shown at the device ``at``."""
        page = await collect_benchmarks(self.context.pipeline, self.who)
        known = at if at in {one.device for one in page.devices} else ""
        self.render("series.html", page=page, problem=problem, at=known)


class _RunSeries(_Series):
    """Run the benchmarks on one device."""

    scope = Scope.OPERATE

    async def post(self) -> None:
        """Begin, then show the page again."""
        device = self.get_body_argument("device", "")
        try:
            await self.context.pipeline.series.run(self.who, device)
        except QuantumError as problem:
            self.set_status(problem.status)
            await self.show_series(problem=problem, at=device)
        else:
            self.redirect(f"{self.context.prefix}series", status=303)


class _Decide(_HubPage):
    """Approve or reject one request."""

    scope = Scope.APPROVE

    async def post(self, approval: str) -> None:
        """Decide, then show the page again."""
        note = self.get_body_argument("note", "") or None
        try:
            standing = self._standing()
            verdict = self.get_body_argument("verdict", "")
            decision = _parsed(ApprovalDecision, verdict=verdict, note=note, standing=standing)
            await self.context.pipeline.decide(self.who, approval, decision)
        except QuantumError as problem:
            self.set_status(problem.status)
            await self.show(problem=problem, at=approval)
        else:
            self.back()

    def _standing(self) -> dict[str, Any] | None:
        """For how many days later runs need not ask, where the form says so."""
        days = self.get_body_argument("days", "")
        if not days:
            return None
        if days not in _DAYS:
            raise InputError("days: 1, 7 or 30.", code="request.malformed")
        until = datetime.now(UTC) + timedelta(days=int(days))
        return {"until": until, "free_parameters": self.get_body_argument("free", "") == "1"}


class _DecideSeveral(_HubPage):
    """Approve several requests, each on its own."""

    scope = Scope.APPROVE

    async def post(self) -> None:
        """Decide, then show the page again; what could not be decided says why at its place."""
        try:
            ids = self.get_body_arguments("approval")
            if not ids:
                raise InputError("Nothing is selected.", code="request.malformed", hint="Select one or more requests.")
            answer = _parsed(ApprovalsDecision, ids=ids, verdict=self.get_body_argument("verdict", ""))
            decided = (await self.context.pipeline.decide_several(self.who, answer)).decided
        except QuantumError as problem:
            self.set_status(problem.status)
            await self.show(problem=problem, at="several")
            return
        failed = next((one for one in decided if one.error is not None), None)
        if failed is None or failed.error is None:
            self.back()
            return
        said = Conflict(failed.error.message, code=failed.error.code, hint=failed.error.hint)
        self.set_status(said.status)
        still_there = {item.id for item in (await collect(self.context.pipeline, self.who)).approvals}
        await self.show(problem=said, at=failed.id if failed.id in still_there else "several")


class _DecideRequest(_HubPage):
    """Approve or reject a request that is not for a job."""

    scope = Scope.APPROVE

    async def post(self, request: str) -> None:
        """Decide, then show the page again."""
        note = self.get_body_argument("note", "") or None
        try:
            answer = _parsed(Decision, verdict=self.get_body_argument("verdict", ""), note=note)
            await self.context.pipeline.requests.decide(self.who, request, answer)
        except QuantumError as problem:
            self.set_status(problem.status)
            await self.show(problem=problem, at=request)
        else:
            self.back()


class _Withdraw(_HubPage):
    """Take one of one's own requests back."""

    scope = Scope.SUBMIT

    async def post(self, request: str) -> None:
        """Withdraw, then show the page again."""
        try:
            await self.context.pipeline.requests.withdraw(self.who, request)
        except QuantumError as problem:
            self.set_status(problem.status)
            await self.show(problem=problem, at=request)
        else:
            self.back()


class _Act(_HubPage):
    """Pause, drain or resume one device."""

    scope = Scope.OPERATE

    async def post(self, device: str) -> None:
        """Act, then show the page again."""
        try:
            action = _parsed(
                DeviceAction, action=self.get_body_argument("action", ""), reason=self.get_body_argument("reason", "")
            )
            await self.context.pipeline.act_on_device(self.who, device, action)
        except QuantumError as problem:
            self.set_status(problem.status)
            await self.show(problem=problem, at=device)
        else:
            self.back()


class _Admit(_HubPage):
    """Admit or reject a device that a runner announced."""

    scope = Scope.OPERATE

    async def post(self, device: str) -> None:
        """Decide, then show the page again."""
        try:
            answer = _parsed(AdmissionDecision, **self._said())
            await self.context.pipeline.admissions.decide(self.who, device, answer)
        except QuantumError as problem:
            self.set_status(problem.status)
            await self.show(problem=problem, at=f"new-{device}")
        else:
            self.back()

    def _said(self) -> dict[str, Any]:
        said: dict[str, Any] = {name: self.get_body_argument(name, "") for name in ("verdict", "version")}
        said["note"] = self.get_body_argument("note", "") or None
        for name in ("per_task", "per_shot", "per_second"):
            text = self.get_body_argument(name, "0")
            try:
                said[name] = credits_to_micro(text.strip().replace(",", "."))
            except (ArithmeticError, ValueError):
                raise InputError(f"{name}: an amount of credits, such as 0.02.", code="request.malformed") from None
        return said | {"max_seconds": self.get_body_argument("max_seconds", "").strip() or None}


class _Resolve(_HubPage):
    """Say what became of an attempt that nobody can tell about."""

    scope = Scope.OPERATE

    async def post(self, tag: str) -> None:
        """Resolve, then show the page again."""
        try:
            verdict = self.get_body_argument("verdict", "")
            charge = self._amount("charge") if verdict == "ran" else None
            told = _parsed(Resolution, verdict=verdict, charge=charge, note="on the hub's page")
            await self.context.pipeline.resolving.resolve(self.who, tag, told)
        except QuantumError as problem:
            self.set_status(problem.status)
            await self.show(problem=problem, at=tag)
        else:
            self.back()

    def _amount(self, name: str) -> int:
        try:
            return credits_to_micro(self.get_body_argument(name, "").strip().replace(",", "."))
        except (ArithmeticError, ValueError):
            raise InputError(f"{name}: an amount of credits, such as 0.02.", code="request.malformed") from None


class _Cancel(_HubPage):
    """Take one of one's own jobs back."""

    scope = Scope.SUBMIT

    async def post(self, job: str) -> None:
        """Cancel, then show the page again."""
        try:
            await self.context.pipeline.cancel(self.who, job)
        except QuantumError as problem:
            self.set_status(problem.status)
            await self.show(problem=problem, at=job)
        else:
            self.back()


def _parsed(shape: type[_Form], **fields: Any) -> _Form:
    try:
        return shape(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{first['loc'][0]}: {first['msg']}.", code="request.malformed") from None


def routes() -> list[Route]:
    """Tornado's rules of the page; the paths are below the service's prefix."""
    return [
        ("", _Home, {}),
        ("series", _Series, {}),
        ("series/run", _RunSeries, {}),
        ("approvals", _DecideSeveral, {}),
        ("approvals/([^/]+)", _Decide, {}),
        ("requests/([^/]+)", _DecideRequest, {}),
        ("requests/([^/]+)/withdraw", _Withdraw, {}),
        ("devices/([^/]+)", _Act, {}),
        ("devices/([^/]+)/admission", _Admit, {}),
        ("attempts/([^/]+)", _Resolve, {}),
        ("jobs/([^/]+)/cancel", _Cancel, {}),
        ("static/(.+)", StaticFileHandler, {"path": str(_HERE / "static")}),
    ]
