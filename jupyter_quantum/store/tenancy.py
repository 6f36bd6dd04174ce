"""What is declared, who is a member for how long, tokens of workloads: each change with its event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, update

from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.rows import DeclaredRow, MembershipRow, WorkloadRow
from jupyter_quantum.store.unit import Unit

__all__ = ["TenancyWrites"]

_STALE: Final = "tenants.version"


class TenancyWrites(Unit):
    """The tenancy's part of a writing request."""

    def apply_tenants(
        self,
        put: Sequence[DeclaredRow],
        remove: Iterable[str],
        *,
        expect: int,
        digest: str,
        actor: str,
        changes: Sequence[Mapping[str, Any]],
    ) -> int:
        """Replace declared rows (``put`` whole, ``remove`` by id) and return the new version, with one event.

        Raises Conflict ``tenants.version`` where it is not ``expect`` any more.
        """
        revision = t.revisions.c
        moved = self._reading().execute(
            update(t.revisions)
            .where(revision.name == "tenants", revision.version == expect)
            .values(version=expect + 1, changed=c.micros(self.now), changed_by=actor, digest=digest)
        )
        if moved.rowcount != 1:
            raise Conflict(
                "Somebody else changed the tenants since this plan was made.",
                code=_STALE,
                hint="Make the plan again, look at it, and apply that.",
            )
        gone = sorted({*remove, *(row.id for row in put)})
        if gone:
            self._conn.execute(delete(t.declared).where(t.declared.c.id.in_(gone)))
        for row in put:
            self._shelf(c.DECLARED).add(row)
        self._tell("tenants.applied", actor=actor, data={"version": expect + 1, "digest": digest, "changes": changes})
        return expect + 1

    # -- memberships -----------------------------------------------------------------------------------------------

    def add_membership(self, row: MembershipRow, *, actor: str) -> MembershipRow:
        """Give a role, with an event (``membership.changed``)."""
        self._members_changed(actor)
        self._tell_membership(row, actor, "given")
        return self._shelf(c.MEMBERSHIPS).add(row)

    def end_membership(self, membership_id: str, *, actor: str, code: str = "membership.ended") -> MembershipRow:
        """Take a role back before its end. Raises Conflict ``membership.over`` where it has ended."""
        row = self.membership(membership_id)
        if not row.in_force(max(self.now, row.start)):
            raise Conflict("This membership has ended already.", code="membership.over")
        after = self._shelf(c.MEMBERSHIPS).change(row, ended=self.now, ended_by=actor)
        self._members_changed(actor)
        self._tell_membership(after, actor, "ended", code=code)
        return after

    def review_membership(self, membership_id: str, *, actor: str, review: str) -> MembershipRow:
        """Note that somebody else looked at a break-glass. Raises Conflict ``membership.reviewed`` the second time."""
        row = self.membership(membership_id)
        if row.reviewed is not None:
            raise Conflict("This has been reviewed already.", code="membership.reviewed")
        after = self._shelf(c.MEMBERSHIPS).change(row, reviewed=self.now, reviewed_by=actor, review=review)
        self._tell_membership(after, actor, "reviewed")
        return after

    def remind_membership(self, membership_id: str, *, actor: str) -> MembershipRow:
        """Say once more that a break-glass waits for its review."""
        row = self._shelf(c.MEMBERSHIPS).change(self.membership(membership_id), reminded=self.now)
        self._tell_membership(row, actor, "unreviewed")
        return row

    def _members_changed(self, actor: str) -> None:
        revision = t.revisions.c
        values = {"version": revision.version + 1, "changed": c.micros(self.now), "changed_by": actor}
        self._reading().execute(update(t.revisions).where(revision.name == "members").values(values))

    def _tell_membership(self, row: MembershipRow, actor: str, act: str, **more: Any) -> None:
        end = None if row.end is None else row.end.isoformat()
        data = {"membership": row.id, "act": act, "kind": row.kind, "role": row.role, "end": end, **more}
        self._tell(
            "membership.changed",
            actor=actor,
            principal=row.principal,
            project=row.project,
            data=data | {"request": row.request},
        )

    # -- workloads -------------------------------------------------------------------------------------------------

    def spend_token(self, token_hash: str, expires: datetime) -> None:
        """Remember that a foreign token was exchanged. Raises Conflict ``token.replayed`` for one that was before."""
        insert = self._dialect().insert(t.seen_tokens).values(hash=token_hash, expires=c.micros(expires))
        made = insert.on_conflict_do_nothing().returning(t.seen_tokens.c.hash)
        if self._reading().execute(made).first() is None:
            raise Conflict("This token was exchanged before.", code="token.replayed")

    def add_workload(self, row: WorkloadRow) -> WorkloadRow:
        """A token for a workload, with an event (``token.exchanged``)."""
        data = {"token": row.id, "issuer": row.issuer, "expires": row.expires.isoformat()}
        self._tell("token.exchanged", actor=row.principal, principal=row.principal, project=row.project, data=data)
        return self._shelf(c.WORKLOADS).add(row)

    def revoke_workload(self, row: WorkloadRow, *, actor: str) -> WorkloadRow:
        """End a token before its time, with an event (``token.revoked``)."""
        after = self._shelf(c.WORKLOADS).change(row, revoked=self.now, revoked_by=actor)
        data = {"token": row.id}
        self._tell("token.revoked", actor=actor, principal=row.principal, project=row.project, data=data)
        return after

    def forget_spent(self) -> None:
        """Drop what has expired: foreign tokens that could not be replayed any more, and our own."""
        now = c.micros(self.now)
        self._reading().execute(delete(t.seen_tokens).where(t.seen_tokens.c.expires < now))
        self._conn.execute(delete(t.workloads).where(t.workloads.c.expires < now))
