"""The page of benchmark series: what it says, to whom it offers a run, and that it needs no script."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.devices import CalibrationRef, Devices, DeviceView, PriceView, Score, Wait
from jupyter_quantum.wire.jobs import Me
from jupyter_quantum.wire.series import Leader, Leaderboard, Leaderboards, SeriesList, SeriesRunView, SeriesView
from tests.unit.hub.support import ALL, READ, MemoryDoor, Service, cookies, signed_in

DIGEST = digest_of(b"")
NOW = datetime(2026, 5, 12, 12, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>"


def a_run(number: int, series: str, score: float) -> SeriesRunView:
    """A run that is done, some hours later than the first."""
    fields = {"score": score, "low": score - 0.02, "high": score + 0.02, "success": score, "fidelity": score}
    at = NOW + timedelta(hours=number)
    return SeriesRunView(
        id=f"bmr_{number}", device="campus_qpu", created=at, state="done", series=series, ended=at, **fields
    )


def a_series(name: str, *runs: SeriesRunView) -> SeriesView:
    """A series with these runs, the newest first."""
    return SeriesView(
        id=name,
        device="campus_qpu",
        name=HOSTILE,
        circuits=DIGEST,
        options={"shots": 1000},
        calibration=DIGEST,
        calibrated=NOW,
        compiler={"name": "qiskit", "version": "2.6.2"},
        created=NOW,
        runs=list(runs),
    )


@dataclass
class MemorySeries:
    """Two series of one device; remembers what was begun."""

    there: bool = True
    begun: list[tuple[str, str]] = field(default_factory=list)
    under_way: bool = False

    async def all(self, who: Principal, device: str | None = None) -> SeriesList:
        waiting = [SeriesRunView(id="bmr_9", device="campus_qpu", created=NOW, state="open")] if self.under_way else []
        newer = a_series("ser_2", a_run(2, "ser_2", 0.8))
        older = a_series("ser_1", a_run(1, "ser_1", 0.91), a_run(0, "ser_1", 0.9))
        return SeriesList(series=[newer, older] if self.there else [], open=waiting)

    async def leaderboards(self, who: Principal) -> Leaderboards:
        leader = Leader(
            rank=1,
            device="campus_qpu",
            label="emulated QPU",
            score=0.8,
            success=0.8,
            fidelity=None,
            width=5,
            at=NOW,
            run="bmr_2",
            series="ser_2",
        )
        board = Leaderboard(name="standard-12", circuits=DIGEST, options={"shots": 1000}, leaders=[leader])
        return Leaderboards(boards=[board] if self.there else [])

    async def run(self, who: Principal, device: str) -> None:
        if device == "busy":
            raise Conflict("A benchmark of busy is under way.", code="series.open")
        self.begun.append((who.name, device))


@dataclass
class Pages:
    """As much of a pipeline as the page asks."""

    roles: tuple[str, ...] = ()
    series: MemorySeries = field(default_factory=MemorySeries)
    door: MemoryDoor = field(default_factory=MemoryDoor)

    async def me(self, who: Principal) -> Me:
        return Me(name=who.name, roles=list(self.roles), scopes=[], projects={}, tiers={})

    async def devices(self, who: Principal) -> Devices:
        score = Score(what="success", runs=40, error=0.021, covered=0.9, since=NOW, words="")
        device = DeviceView(
            name="campus_qpu",
            kind=DeviceKind.QPU,
            label="emulated QPU",
            vendor="ours",
            region="here",
            num_qubits=133,
            state="ready",
            max_shots=1,
            max_circuits=1,
            calibration=CalibrationRef(digest=DIGEST),
            price=PriceView(),
            wait=Wait(),
            scores=[score],
        )
        return Devices(devices=[device])


@pytest.fixture
def pages(service: Service) -> Pages:
    """The service's pipeline from now on."""
    found = Pages()
    service.context.started = found  # type: ignore[assignment]
    return found


async def page(service: Service, scopes: list[str] = ALL) -> str:
    """The page as it comes."""
    answer = await service.fetch("series", headers=cookies(service, service.hub.add("t", scopes)))
    assert answer.code == 200, answer.body
    return answer.body.decode()


async def send(service: Service, scopes: list[str] = ALL, **form: str) -> Any:
    """The form to begin a run."""
    headers = await signed_in(service, service.hub.add("t", scopes))
    form["_xsrf"] = headers.pop("X-XSRFToken")
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return await service.fetch("series/run", method="POST", headers=headers, body=urlencode(form))


def words(text: str) -> str:
    """Without markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


async def test_the_page_tells_ranks_trends_and_scores(service: Service, pages: Pages) -> None:
    """Each chart has a sentence and a table; each series its conditions; names are text."""
    text = await page(service)
    said = words(text)
    for expected in (
        "standard-12 · shots 1 000",
        "0.800 – 5 qubits",
        "Series B set &lt;img src=x onerror=alert(1)&gt; · shots 1 000 · compiler qiskit 2.6.2",
        "calibration e3b0c442 of",
        "B 0.800 (0.780–0.820)",
        "A 0.910 (0.890–0.930)",
        "chance of success 40 90 % 0.02 12 May 2026",
        "They change no estimate and no decision",
    ):
        assert expected in said
    assert 'aria-label="3 runs, 2 series; the latest scored 0.800 (0.780–0.820)."' in text
    assert HOSTILE not in text
    assert not re.search(r'\sstyle="|<style|<script(?![^>]*src=)', text)
    assert 'aria-current="page" href="/services/quantum/series"' in text
    assert 'href="/services/quantum/api/v1/series.csv' in text


async def test_only_operators_are_offered_a_run(service: Service, pages: Pages) -> None:
    """By a form, with the scope to operate; what refuses it is said."""
    assert "Run now" not in await page(service)
    pages.roles = ("operator",)
    assert 'name="device" value="campus_qpu"' in await page(service)
    answer = await send(service, device="campus_qpu")
    assert (answer.code, answer.headers["Location"]) == (303, "/services/quantum/series")
    assert pages.series.begun == [("ada", "campus_qpu")]
    busy = await send(service, device="busy")
    assert busy.code == 409
    assert "A benchmark of busy is under way." in busy.body.decode()
    assert (await send(service, [READ], device="campus_qpu")).code == 403


async def test_a_run_under_way_cannot_be_begun_again(service: Service, pages: Pages) -> None:
    """The page says since when it is under way instead."""
    pages.roles, pages.series.under_way, pages.series.there = ("operator",), True, False
    text = await page(service)
    assert "A run is under way since" in words(text)
    assert "Run now" not in text
    assert "No benchmark has run yet." in text
