"""Pseudonyms in the record, turned back into names for those who may see them."""

from __future__ import annotations

from typing import Any, Final

from jupyter_quantum.core.tenancy import name_of
from jupyter_quantum.store import View

__all__ = ["FORGOTTEN", "Naming"]

FORGOTTEN: Final = "someone who was forgotten"
_PSEUDONYM: Final = "ppl_"


class Naming:
    """Names behind the pseudonyms of a few events, each looked up once."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._known: dict[str, str] = {}

    def actor(self, actor: str) -> str:
        """The name of a person; :data:`FORGOTTEN` where nobody can tell any more; parts of the service as they are."""
        if not actor.startswith(_PSEUDONYM):
            return name_of(actor)
        if actor not in self._known:
            person = self._view.person(actor)
            self._known[actor] = FORGOTTEN if person is None else name_of(person)
        return self._known[actor]

    def data(self, value: Any) -> Any:
        """An event's data, with names in the place of pseudonyms."""
        if isinstance(value, str):
            return self.actor(value) if value.startswith(_PSEUDONYM) else value
        if isinstance(value, dict):
            return {key: self.data(each) for key, each in value.items()}
        return [self.data(each) for each in value] if isinstance(value, list) else value
