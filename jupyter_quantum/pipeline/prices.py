"""Price lists by device and date: those of the configuration, and those that operators set by the API."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from jupyter_quantum.core.money import PriceList, in_force
from jupyter_quantum.pipeline.settings import Settings
from jupyter_quantum.store.rows import PriceRow

__all__ = ["ALWAYS", "PriceBook"]

ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
"""Since when a list without a date holds."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class PriceBook:
    """Which list is in force. One that was set later wins over one of the same moment from the configuration."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = _utc_now) -> None:
        self._settings = settings
        self.clock = clock
        self._set: dict[str, list[tuple[datetime, PriceList]]] = {}
        self._lists: dict[str, tuple[tuple[datetime, PriceList], ...]] = {}
        self._merge()

    def learn(self, rows: Sequence[PriceRow]) -> None:
        """The lists as they are in the store now."""
        self._set = {}
        for row in rows:
            self._set.setdefault(row.device, []).append((row.since, PriceList(**json.loads(row.prices))))
        self._merge()

    def _merge(self) -> None:
        declared = self._settings
        names = {*declared.prices, *declared.dated_prices, *self._set}
        for name in names:
            found = dict(declared.dated_prices.get(name, ()))
            if name in declared.prices:
                found.setdefault(ALWAYS, declared.prices[name])
            found.update(self._set.get(name, ()))
            self._lists[name] = tuple(sorted(found.items(), key=lambda pair: pair[0]))

    def lists(self) -> dict[str, tuple[tuple[datetime, PriceList], ...]]:
        """Every list by device, by when it holds from."""
        return dict(self._lists)

    def at(self, device: str, when: datetime | None = None) -> PriceList | None:
        """The list of a device at that moment (now); None where it has none yet."""
        lists = self._lists.get(device)
        if not lists:
            return None
        return lists[0][1] if len(lists) == 1 and lists[0][0] == ALWAYS else in_force(lists, when or self.clock())
