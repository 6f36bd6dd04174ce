"""Pseudonyms that are known to be committed, so that naming an actor costs no query."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

__all__ = ["Names"]

_KEPT_S: Final = 60.0
"""Another process may forget a person: after so many seconds, everything is looked up again."""
_MOST: Final = 50_000


class Names:
    """Principal → pseudonym, shared by the threads of one store.

    A request takes from here, and what it looked up or made is learnt only after its commit: nothing that was rolled
    back gets in. A request that forgot somebody changes the generation, so that what others read before is not learnt.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, str] = {}
        self._since = clock()
        self.generation = 0
        """Grows whenever somebody was forgotten."""

    def get(self, principal: str) -> str | None:
        """The pseudonym; None where the database has to be asked."""
        if self._clock() - self._since > _KEPT_S:
            self._known, self._since = {}, self._clock()
        return self._known.get(principal)

    def drop(self, principal: str) -> None:
        """Forget a person; called when the request does it and again after its commit."""
        self.generation += 1
        self._known = {name: known for name, known in self._known.items() if name != principal}

    def learn(self, named: Mapping[str, str], generation: int, forgotten: Collection[str] = ()) -> None:
        """What a committed request found out; ``generation`` is that of its beginning."""
        for principal in forgotten:
            self.drop(principal)
        if generation == self.generation and len(self._known) < _MOST:
            self._known.update(named)
