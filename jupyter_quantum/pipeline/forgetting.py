"""Forgetting a person: their pseudonym stays in the record, and nobody can tell any more whose it was."""

from __future__ import annotations

from jupyter_quantum.core.tenancy import Principal, name_of
from jupyter_quantum.exceptions import Conflict, Refused
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.store import Tx, View
from jupyter_quantum.wire.audit import Forgotten

__all__ = ["Forgetting"]


class Forgetting:
    """Erases whose a pseudonym is."""

    def __init__(self, context: Context, live: Live) -> None:
        self._context = context
        self._live = live

    async def forget(self, who: Principal, user: str) -> Forgotten:
        """Forget ``user``: a name, or ``name@created`` where a name was used again. For administrators.

        Raises NotFound; Conflict ``person.several`` (the name alone does not say who), ``person.busy`` (open jobs);
        Refused ``person.own``: what they asked for would be somebody else's, and theirs to decide.
        """
        if not self._context.people.administers(who):
            raise Refused("Administrators do this.", code="person.role")
        principal = await self._context.store.read(lambda view: _principal(view, user))
        if principal == who.id or name_of(principal) == who.name:
            raise Refused("Nobody forgets themselves.", code="person.own", hint="Let another administrator do it.")

        def write(tx: Tx) -> Forgotten:
            tx.forget_webhooks(principal)  # they would go on telling an address of theirs
            pseudonym, changed = tx.forget(principal)
            tx.add_event("person.forgotten", actor=who.id, data={"person": pseudonym, "changed": changed})
            return Forgotten(pseudonym=pseudonym, changed=changed)

        done = await self._context.store.write(write)
        self._live.committed()
        return done


def _principal(view: View, user: str) -> str:
    found = view.people(view.pseudonyms(user))
    if not found:
        raise absent("person")
    if len(found) > 1:
        raise Conflict(
            f"{len(found)} people have had the name {user!r}.",
            code="person.several",
            hint=f"Say which one: {', '.join(sorted(found.values()))}.",
        )
    return next(iter(found.values()))
