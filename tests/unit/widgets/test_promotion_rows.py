"""A report that is shown while it is made: rows come in place, nothing that stands there moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.lab.widgets import Promotion
from jupyter_quantum.lab.widgets.widget import PromotionWidget
from jupyter_quantum.testing.door import MemoryDoor
from jupyter_quantum.wire.reports import ReportLine


@pytest.fixture
def slow() -> Iterator[MemoryDoor]:
    """A door whose rows wait to be let through."""
    door = MemoryDoor()
    door.gate = threading.Semaphore(0)
    yield door
    door.away = Unavailable("over")
    door.gate.release(100)


def until(said: Callable[[], bool]) -> None:
    """Wait for another thread."""
    ends = time.monotonic() + 20
    while not said():
        assert time.monotonic() < ends
        time.sleep(0.005)


def test_rows_come_in_their_places(slow: MemoryDoor) -> None:
    """Each device is there from the first moment; a row that comes changes its own line, and the order stays."""
    assert slow.gate is not None
    promotion = Promotion(slow, "circuit")
    widget = PromotionWidget(promotion)
    names = [row["device"] for row in widget.table["rows"]]
    assert {row["word"] for row in widget.table["rows"]} == {"checking"}
    assert widget.table["checking"] == "Checking the devices: 0 of 4 are done."
    assert promotion.selected is None
    before = {row["device"]: row for row in widget.table["rows"]}
    slow.gate.release()
    until(lambda: widget.table["rows"][0]["word"] == "ready")
    after = {row["device"]: row for row in widget.table["rows"]}
    assert [name for name in names if before[name] != after[name]] == ["aer"]
    assert widget.table["orders"]["fidelity"]["order"] == names
    slow.gate.release(10)
    until(lambda: widget.table["checking"] == "")
    assert widget.table["orders"]["fidelity"]["order"] == names
    assert widget.table["orders"]["cost"]["order"][0] == "aer"
    assert promotion.selected == "fake_torino"


def test_acts_wait_for_the_rows(slow: MemoryDoor) -> None:
    """``submit`` straight after ``promote`` waits for the report that it is bound to."""
    assert slow.gate is not None
    promotion = Promotion(slow, "circuit")
    threading.Timer(0.2, slow.gate.release, (10,)).start()
    assert promotion.submit("fake_torino").device == "fake_torino"
    assert len(promotion.report.rows) == 4


def test_what_was_chosen_meanwhile_stays(slow: MemoryDoor) -> None:
    """A row that is chosen before all are there stays chosen."""
    assert slow.gate is not None
    promotion = Promotion(slow, "circuit")
    promotion.select("campus_qpu")
    slow.gate.release(10)
    promotion._early.join(20)
    assert promotion.selected == "campus_qpu"


def test_a_report_that_breaks_off_says_so(slow: MemoryDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the place of the report is raised at once, or shown where rows were shown before."""
    whole = slow.lines

    def broken(work: object, *, shots: int | None) -> Iterator[ReportLine]:
        yield next(whole(work, shots=shots))
        assert slow.gate is not None
        slow.gate.acquire(timeout=10)
        raise Unavailable("No worker was free to check the circuits in time.", code="runner.busy")

    monkeypatch.setattr(slow, "lines", broken)
    shown = Promotion(slow, "circuit")
    assert slow.gate is not None
    slow.gate.release()
    with pytest.raises(Unavailable, match="No worker was free"):
        _ = shown.report
    assert shown.note is not None
    assert shown.note["code"] == "runner.busy"
    slow.gate.release()
    with pytest.raises(Unavailable, match="No worker was free"):
        Promotion(slow, "circuit")
