"""How many jobs of each person are under way: a cap that keeps one script from filling queue and disk."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.exceptions import TooBusy
from jupyter_quantum.store.rows import JobRow

__all__ = ["Intake"]

_LATER_S: Final = 5
"""A client asks again so soon (seconds) where too much of its user's is under way."""


class Intake:
    """Jobs that came in and have not ended, by owner: drafts, those that wait for a person or a device, and runs.

    Args:
        most: of one principal.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: defaultdict[str, set[str]] = defaultdict(set)

    def enter(self, row: JobRow) -> None:
        """Count a job. Raises TooBusy ``jobs.active`` where its owner has as many as one may have."""
        if len(self._jobs[row.principal]) >= self._most:
            raise TooBusy(
                f"{words.plural(self._most, 'job')} of yours are under way, the most at once.",
                code="jobs.active",
                hint="Wait until some have ended, or cancel some.",
                details={"retry_after": _LATER_S, "most": self._most},
            )
        self.restore(row)

    def restore(self, row: JobRow) -> None:
        """Count a job of before the restart, however many there are."""
        self._jobs[row.principal].add(row.id)

    def leave(self, row: JobRow) -> None:
        """Count it no longer: it has ended, or was never written."""
        mine = self._jobs[row.principal]
        mine.discard(row.id)
        if not mine:
            del self._jobs[row.principal]

    def moved(self, row: JobRow) -> None:
        """A move was committed."""
        if row.state in FINAL:
            self.leave(row)
