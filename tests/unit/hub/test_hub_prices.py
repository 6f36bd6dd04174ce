"""Price lists of the configuration: one that always holds, or several by date."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jupyter_quantum.core.money import CREDIT, PriceList
from jupyter_quantum.exceptions import InputError
from jupyter_quantum.hub.settings import dated_prices, prices
from jupyter_quantum.pipeline.prices import PriceBook
from jupyter_quantum.pipeline.settings import Settings

GIVEN: dict[str, Any] = {
    "aer": {},
    "campus_qpu": [
        {"since": "2026-10-01", "per_shot": 0.007, "per_queue_minute": 0.5, "queue_minutes": 10},
        {"since": "2026-04-01", "per_shot": 0.006},
    ],
}
BERLIN = ZoneInfo("Europe/Berlin")


def test_lists_by_date(tmp_path: Any) -> None:
    """Days begin in the lab's zone; before the first there is none; a later one takes over at its moment."""
    settings = Settings(tmp_path, "", tmp_path, {}, prices=prices(GIVEN), dated_prices=dated_prices(GIVEN, BERLIN))
    book = PriceBook(settings)

    def at(when: str, device: str = "campus_qpu") -> PriceList | None:
        return book.at(device, datetime.fromisoformat(when).replace(tzinfo=UTC))

    assert at("2026-03-31T21:59") is None
    assert at("2026-03-31T22:00") == PriceList(per_shot=6000)
    assert at("2026-09-30T22:00") == PriceList(per_shot=7000, per_queue_minute=CREDIT // 2, queue_minutes=10)
    assert at("2026-03-01T00:00", "aer") == PriceList()
    assert at("2026-03-01T00:00", "other") is None


@pytest.mark.parametrize("entry", [{"per_shot": 1}, {"since": "soon"}, {"since": "2026-01-01", "per_hour": 1}])
def test_what_cannot_be_used_is_named(entry: dict[str, Any]) -> None:
    """A list without its moment, or with a price of nothing that is counted."""
    with pytest.raises(InputError):
        dated_prices({"campus_qpu": [entry]}, BERLIN)


def test_minutes_in_the_queue_are_bounded() -> None:
    """What waiting costs at most is known before."""
    given = PriceList(per_task=10, per_queue_minute=3, queue_minutes=5)
    cost = given.cost(tasks=1, executions=1, seconds=1, seconds_at_most=1, queue_minutes=2.5)
    assert (cost.estimate, cost.at_most) == (18, 25)
    assert given.amount(tasks=1, executions=1, seconds=1, queue_minutes=500) == cost.at_most
