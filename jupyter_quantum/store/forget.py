"""Where names of people are kept besides the record, so that a person can be forgotten everywhere.

An area whose tables name people adds its columns to :data:`PLACES`. The record needs nothing: it holds pseudonyms.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, delete, func, or_, select, update

from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.core.tenancy import name_of
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.audit import AuditWrites
from jupyter_quantum.store.reading import absent

__all__ = ["PLACES", "Forgetting", "Place"]

_FORGOTTEN: Final = "someone who was forgotten"


_SENTENCES: Final = (
    (t.jobs.c.error, "Rejected by {}: "),
    (t.jobs.c.error, '"The account of {} is gone'),
    (t.jobs.c.error, '"{} is no longer in the project'),
    (t.exports.c.error, "{} is not in the project"),
)
"""Texts for people that name one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Columns of a table that name a person."""

    table: Table
    principal: str
    """Column with the ``Principal.id``."""
    names: tuple[str, ...] = ()
    """Columns of the same row with the person's name."""
    delete: bool = False
    """Rows are of use to nobody without the person: they go."""


PLACES: Final[list[Place]] = [
    Place(t.jobs, "principal", ("owner",)),
    Place(t.reports, "principal", ("owner",)),
    Place(t.approvals, "principal", ("asked_by",)),
    Place(t.approvals, "decided_by"),
    Place(t.admissions, "decided_by"),
    Place(t.requests, "principal", ("asked_by",)),
    Place(t.requests, "decided_by"),
    Place(t.memberships, "principal", ("name",)),
    Place(t.memberships, "granted_by"),
    Place(t.memberships, "ended_by"),
    Place(t.memberships, "reviewed_by"),
    Place(t.revisions, "changed_by"),
    Place(t.workloads, "principal"),
    Place(t.workloads, "revoked_by"),
    Place(t.envelopes, "principal", ("asked_by",)),
    Place(t.envelopes, "decided_by"),
    Place(t.exports, "principal", ("asked_by",)),
    Place(t.answers, "principal", delete=True),
    Place(t.webhooks, "principal"),
    Place(t.sessions, "principal"),
]
"""Every place, in no order; a test finds columns that are missing here by their names."""


class Forgetting(AuditWrites):
    """Forgetting's part of a writing request."""

    def forget(self, principal: str) -> tuple[str, int]:
        """Put the pseudonym in the place of a person everywhere, and forget whose it is.

        Answers the pseudonym and how many rows changed; the caller records the act. Raises NotFound for a principal
        that nothing is known of, Conflict (``person.busy``) where jobs of theirs are open.
        """
        open_jobs = select(func.count()).where(
            t.jobs.c.principal == principal, or_(t.jobs.c.state.not_in(sorted(FINAL)), t.jobs.c.on_hold > 0)
        )
        count = self._reading().execute(open_jobs).scalar_one()
        if count:
            raise Conflict(
                f"{count} of their jobs are open.", code="person.busy", hint="Cancel them, or wait for their end."
            )
        known = self._lookup(principal)
        if known is None and not self._is_anywhere(principal):
            raise absent("person")
        pseudonym = known or self.named(principal)
        changed = sum(self._replace(place, principal, pseudonym) for place in PLACES)
        self._reject_words(principal)
        self.forget_name(principal)
        return pseudonym, changed

    def _is_anywhere(self, principal: str) -> bool:
        columns = (place.table.c[place.principal] for place in PLACES)
        queries = (select(column).where(column == principal).limit(1) for column in columns)
        return any(self._reading().execute(query).first() is not None for query in queries)

    def _replace(self, place: Place, principal: str, pseudonym: str) -> int:
        theirs = place.table.c[place.principal] == principal
        if place.delete:
            return int(self._reading().execute(delete(place.table).where(theirs)).rowcount)
        values: dict[str, Any] = dict.fromkeys((place.principal, *place.names), pseudonym)
        return int(self._reading().execute(update(place.table).where(theirs).values(values)).rowcount)

    def _reject_words(self, principal: str) -> None:
        """A rejected job says in words who rejected it, and one that was taken back whose it was."""
        name = json.dumps(name_of(principal), ensure_ascii=False)[1:-1]  # as it stands within a JSON text
        for column, sentence in _SENTENCES:
            said, instead = sentence.format(name), sentence.format(_FORGOTTEN)
            query = update(column.table).where(column.contains(said, autoescape=True))
            self._reading().execute(query.values({column.name: func.replace(column, said, instead)}))
