"""Estimators score themselves: what was estimated of a run, beside what came, and how good such estimates have been.

The scores are shown with the estimates, and change none. What decides by them is a rule that an operator sets and that
says so: ``Isolation.mirror``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from jupyter_quantum.core.scores import Scored, Summary, summary
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.store.rows import JobRow, ScoreRow
from jupyter_quantum.wire.devices import Score
from jupyter_quantum.wire.results import ResultView

__all__ = ["LEAST", "RUNS", "Scores", "score_of", "scores"]

LEAST: Final = 5
"""So many finished runs are needed before something is said of the estimates."""
RUNS: Final = 200
"""A device's latest runs that scores rest on, at most."""
_FRESH_S: Final = 10.0
_What = Literal["success", "seconds", "price", "wait"]


def score_of(row: JobRow, result: ResultView, now: datetime) -> ScoreRow:
    """What was estimated of a job, and what came; for the transaction that has settled its cost.

    A part of a result says nothing of the time and the price of the whole.
    """
    prepared: dict[str, Any] = json.loads(row.prepared or "{}")
    success, seconds, found = prepared.get("success") or {}, prepared.get("seconds") or {}, result.agreement
    whole = not result.missing
    priced = whole and bool(row.price_at_most)
    return ScoreRow(
        job=row.id,
        device=row.device,
        created=now,
        success=success.get("value"),
        success_low=success.get("low"),
        success_high=success.get("high"),
        agreement=None if found is None else found.value,
        known=None if found is None else found.certain,
        seconds=seconds.get("value"),
        seconds_low=seconds.get("low"),
        seconds_high=seconds.get("high"),
        took=result.seconds if whole else None,
        price=row.price if priced else None,
        price_at_most=row.price_at_most if priced else None,
        cost=row.cost if priced else None,
        **_wait_of(row),
    )


def _wait_of(row: JobRow) -> dict[str, float]:
    """The first forecast of its start, and when that was; nothing where it moved or was tried again meanwhile."""
    if row.forecast is None or row.started is None or row.attempts > 1 or row.moved_from != "[]":
        return {}
    told = json.loads(row.forecast)
    waited = (row.started - datetime.fromisoformat(told["at"])).total_seconds()
    return {"wait": told["p50"], "wait_high": told["p90"], "waited": max(0.0, waited)}


def _success(row: ScoreRow) -> Scored | None:
    if row.success is None or row.success_high is None or row.agreement is None:
        return None
    return Scored(row.success, row.success_low, row.success_high, row.agreement)


def _seconds(row: ScoreRow) -> Scored | None:
    if row.seconds is None or row.seconds_high is None or row.took is None:
        return None
    return Scored(row.seconds, row.seconds_low, row.seconds_high, row.took)


def _price(row: ScoreRow) -> Scored | None:
    if row.price is None or row.price_at_most is None or row.cost is None:
        return None
    return Scored(row.price, None, row.price_at_most, row.cost)


def _wait(row: ScoreRow) -> Scored | None:
    if row.wait is None or row.wait_high is None or row.waited is None:
        return None
    return Scored(row.wait, None, row.wait_high, row.waited)


_KINDS: Final[tuple[tuple[_What, Callable[[ScoreRow], Scored | None], bool], ...]] = (
    ("success", _success, False),
    ("seconds", _seconds, True),
    ("price", _price, True),
    ("wait", _wait, True),
)


def scores(rows: Sequence[ScoreRow]) -> list[Score]:
    """How good the estimates of these runs were, of each thing that was estimated; of few runs, that they are few."""
    found = []
    for what, read, relative in _KINDS:
        pairs = [(row, point) for row in rows if (point := read(row)) is not None]
        told = summary((point for _, point in pairs), relative=relative)
        if told is not None and told.runs < LEAST:
            words = f"Too few runs yet: {told.runs} of the {LEAST} that it takes to say how good they are."
            found.append(Score(what=what, runs=told.runs, words=words))
        elif told is not None:
            known = all(row.known for row, _ in pairs)
            since = min(row.created for row, _ in pairs).replace(hour=0, minute=0, second=0, microsecond=0)
            found.append(
                Score(
                    what=what,
                    runs=told.runs,
                    error=told.error,
                    covered=told.covered,
                    since=since,
                    words=_words(what, told, known),
                )
            )
    return found


def _words(what: _What, told: Summary, known: bool) -> str:
    runs = f"{told.runs} finished runs"
    inside = f"{told.covered:.0%} of {runs} came out within the range".replace("%", " %")
    if what == "success":
        measured = "how often the known bit string came" if known else "the Hellinger fidelity to ideal counts"
        return f"{inside}; half are off by {told.error:.2f} or less, measured by {measured}."
    if what == "wait":
        early = f"{told.covered:.0%} of {told.runs} runs that waited started by the time of 9 in 10".replace("%", " %")
        return f"{early}; half of the forecasts of the start are off by {100 * told.error:.0f} % or less."
    noun = {"seconds": "time", "price": "price"}[what]
    return f"{inside}; half of the estimates of {noun} are off by {100 * told.error:.0f} % or less."


class Scores:
    """Scores of devices, at most a few seconds old."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[str, tuple[float, list[Score]]] = {}

    async def of(self, devices: Sequence[str]) -> dict[str, list[Score]]:
        """Device → how good its estimates have been; nothing of one where nothing has run yet.

        With those of too few runs, which say only that: :meth:`shown` leaves them out.
        """
        now = time.monotonic()
        stale = [name for name in devices if self._known.get(name, (-1e9,))[0] < now - _FRESH_S]
        if stale:
            rows = await self._context.store.read(lambda view: {name: view.scores(name, limit=RUNS) for name in stale})
            self._known |= {name: (now, scores(found)) for name, found in rows.items()}
        return {name: self._known[name][1] for name in devices}

    async def shown(self, devices: Sequence[str]) -> dict[str, list[Score]]:
        """The same without those of too few runs, for lists and beside estimates."""
        found = await self.of(devices)
        return {name: [one for one in told if one.runs >= LEAST] for name, told in found.items()}
