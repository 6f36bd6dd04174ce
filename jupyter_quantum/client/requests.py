"""What one asks a person for, and what came of it: ``hub.requests``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import quote

from jupyter_quantum.client import html
from jupyter_quantum.client.http import Connection
from jupyter_quantum.core.money import credits_to_micro
from jupyter_quantum.exceptions import InputError
from jupyter_quantum.wire.requests import Ask, RequestList, RequestView

__all__ = ["RequestCard", "RequestTable", "Requests"]

_HEAD = ("request", "kind", "project", "asked by", "state", "decides")


class RequestCard(RequestView):
    """One request, shown in words."""

    def __repr__(self) -> str:
        said = [f"{self.id} · {self.kind} · {self.state}", self.words]
        if self.reason:
            said.append(f"Reason: {self.reason}")
        if self.decided_by is not None:
            said.append(f"Decided by {self.decided_by}" + (f": {self.note}" if self.note else "."))
        return "\n".join(html.clean(line) for line in said)


class RequestTable(RequestList):
    """Requests as a table, newest first."""

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (one.id, one.kind, one.project or "–", one.asked_by, one.state, one.decided_by or one.role)
            for one in self.requests
        ]

    def __repr__(self) -> str:
        if not self.requests:
            return "No requests."
        return html.columns([_HEAD, *(tuple(map(html.clean, row)) for row in self._rows())])

    def _repr_html_(self) -> str:
        return html.table(_HEAD, self._rows())


class Requests:
    """Asks, lists, withdraws. Deciding takes a person who is signed in on the hub's page."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, state: str = "open", *, kind: str | None = None, project: str | None = None) -> RequestTable:
        """Your own requests and those that you may decide; ``state="all"`` shows decided ones too."""
        return self._connection.get("requests", RequestTable, state=state, kind=kind, project=project)

    def get(self, id: str) -> RequestCard:  # noqa: A002
        """One request. Raises NotFound."""
        return self._connection.get(f"requests/{quote(id, safe='')}", RequestCard)

    def ask(self, kind: str, *, project: str | None = None, reason: str = "", **body: Any) -> RequestCard:
        """Ask for something; ``body`` is what the kind wants to know (``role="user", days=30`` …)."""
        return self._connection.post("requests", RequestCard, Ask(kind=kind, project=project, reason=reason, body=body))

    def ask_quota(
        self,
        amount: int | float | str | Decimal,
        *,
        project: str,
        unit: str = "credits",
        reason: str = "",
        **more: Any,
    ) -> RequestCard:
        """Ask for so much more of a quota for a while.

        Args:
            amount: credits, shots, jobs or seconds, as ``unit`` says.
            project: whose quota it is, or in which yours is.
            unit: of the quota: credits, shots, jobs, qpu_seconds, simulator_seconds.
            reason: shown to who decides.
            more: ``scope`` (``user`` or ``project``), ``window`` (``month`` …), ``device_kind``, ``days`` (30).

        Raises:
            InputError: no such quota, or ``amount`` is no number.
        """
        try:
            exact = Decimal(str(amount))
            whole = credits_to_micro(exact) if unit == "credits" else int(exact * (1000 if "seconds" in unit else 1))
        except (ArithmeticError, ValueError):
            raise InputError(f"{amount!r} is not an amount.", code="usage", hint="Such as 12.50.") from None
        return self.ask("quota", project=project, reason=reason, unit=unit, amount=whole, **more)

    def withdraw(self, id: str) -> RequestCard:  # noqa: A002
        """Take your own request back. Raises Conflict where it is decided already."""
        return self._connection.post(f"requests/{quote(id, safe='')}/withdraw", RequestCard)
