"""Policy and approvals from a notebook: ``hub.policy``, ``hub.approvals()``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_quantum.client import html
from jupyter_quantum.client.http import Connection
from jupyter_quantum.core import words
from jupyter_quantum.core.money import credits_to_micro
from jupyter_quantum.exceptions import InputError
from jupyter_quantum.wire.approvals import Envelopes, EnvelopeView, Revoke
from jupyter_quantum.wire.jobs import Approvals
from jupyter_quantum.wire.policy import Explanation, PolicyFiles, PolicyView, ReplayView
from jupyter_quantum.wire.requests import Ask, RequestView

__all__ = ["ApprovalTable", "EnvelopeTable", "ExplanationCard", "Policy", "PolicyCard", "ReplayCard", "files_of"]


class _Table:
    """Rows that show as a table, in a notebook and as text."""

    def _head(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _rows(self) -> list[tuple[str, ...]]:
        raise NotImplementedError

    def __repr__(self) -> str:
        rows = self._rows()
        return html.columns([self._head(), *(tuple(map(html.clean, row)) for row in rows)]) if rows else "None."

    def _repr_html_(self) -> str:
        return html.table(self._head(), self._rows())


class ApprovalTable(_Table, Approvals):
    """Requests for approval of jobs. Deciding takes a person who is signed in on the hub's page."""

    def _head(self) -> tuple[str, ...]:
        return ("request", "job", "device", "asked by", "price", "asks", "state", "why")

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                one.id,
                one.job.name,
                one.job.device,
                one.asked_by,
                words.price(one.job.price),
                one.role,
                "you may decide" if one.may_decide else one.state,
                one.words,
            )
            for one in self.approvals
        ]


class EnvelopeTable(_Table, Envelopes):
    """What was approved ahead."""

    def _head(self) -> tuple[str, ...]:
        return ("envelope", "kind", "project", "device", "left", "a job at most", "until", "approved by", "state")

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                one.id,
                one.kind,
                one.project,
                one.device,
                "–" if one.left is None else words.left(one.left),
                words.price(one.price_cap),
                f"{one.until:%Y-%m-%d %H:%M %Z}",
                one.decided_by,
                one.state,
            )
            for one in self.envelopes
        ]


class PolicyCard(PolicyView):
    """The rules in force."""

    def __repr__(self) -> str:
        rows = [(rule.id, rule.effect, rule.approval or "–", ", ".join(rule.actions)) for rule in self.rules]
        table = html.columns([("policy", "effect", "asks", "actions"), *rows])
        return f"{table}\nVersion {self.version}" + (f"\nNot in force: {self.problem}" if self.problem else "")


class ExplanationCard(Explanation):
    """Why a job was decided as it was."""

    def __repr__(self) -> str:
        if not self.made:
            return "Nothing was decided about this job yet."
        last = self.made[-1]
        said = [f"{last.effect.replace('_', ' ')} · {', '.join(last.policies) or last.code or '–'}", last.words]
        if self.changed and self.now is not None:
            said.append(f"Other policies are in force now: {self.now.effect.replace('_', ' ')}. {self.now.words}")
        said.append("Facts: " + ", ".join(f"{name} {_plain(value)}" for name, value in sorted(self.facts.items())))
        for rule in self.rules:
            said.append(f"{'●' if rule.applies else '○'} {rule.policy} ({rule.effect}): {rule.words}")
            if rule.change:
                said.append(f"    would change with: {rule.change}")
        return "\n".join(html.clean(line) for line in said)


class ReplayCard(ReplayView):
    """Who would win, who would lose under other files."""

    def __repr__(self) -> str:
        said = [f"{self.total} decisions since {self.since:%Y-%m-%d}, {self.same} would be the same."]
        said += [f"{move}: {count}" for move, count in self.moves.items()]
        said += [f"{one.person} ({one.project}): {one.wins} win, {one.loses} lose" for one in self.people]
        for title, examples in (("Loses", self.loses), ("Wins", self.wins)):
            said += [f"{title}: {one.person} {one.job or one.action}: {one.words}" for one in examples]
        return "\n".join(html.clean(line) for line in said)


class Policy:
    """Shows, explains, replays; asks for budgets."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def show(self) -> PolicyCard:
        """The rules in force."""
        return self._connection.get("policy", PolicyCard)

    def explain(self, job: str) -> ExplanationCard:
        """Why a job was decided as it was, and what would have to change. Raises NotFound."""
        return self._connection.get(f"jobs/{quote(job, safe='')}/decision", ExplanationCard)

    def replay(self, directory: str | Path, *, days: float = 30, limit: int = 20_000) -> ReplayCard:
        """The decisions of the last ``days`` under the files of a directory; for operators."""
        asked = PolicyFiles(files=files_of(Path(directory)), days=days, limit=limit)
        return self._connection.post("policy/replay", ReplayCard, asked)

    def envelopes(self, *, ended: bool = False) -> EnvelopeTable:
        """What was approved ahead in your projects."""
        return self._connection.get("envelopes", EnvelopeTable, ended="1" if ended else None)

    def envelope(self, id: str) -> EnvelopeView:  # noqa: A002
        """One envelope, with the jobs that went on in it. Raises NotFound."""
        return self._connection.get(f"envelopes/{quote(id, safe='')}", EnvelopeView)

    def revoke(self, id: str, note: str | None = None) -> EnvelopeView:  # noqa: A002
        """End an envelope; jobs that go on in it already are not disturbed."""
        return self._connection.post(f"envelopes/{quote(id, safe='')}/revoke", EnvelopeView, Revoke(note=note))

    def ask_budget(
        self, device: str, amount: float | str, until: datetime, *, project: str, reason: str = "", **more: Any
    ) -> RequestView:
        """Ask that a project's members may spend ``amount`` credits on a device until then, without asking.

        ``more``: ``price_cap`` (micro-credits of one job), ``success_floor``, ``role`` (whose approval it stands for).
        """
        body = {"device": device, "amount": credits_to_micro(amount), "until": until.isoformat(), **more}
        return self._connection.post(
            "requests", RequestView, Ask(kind="budget", project=project, reason=reason, body=body)
        )


def _plain(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def files_of(directory: Path) -> dict[str, str]:
    """The policy files of a directory. Raises InputError where there are none, or one cannot be read."""
    paths = [directory / "schema.cedarschema", *sorted(directory.glob("*.cedar"))]
    try:
        return {path.name: path.read_text(encoding="utf-8") for path in paths}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{directory} cannot be read as policies: {error}.", code="policy.files") from None
