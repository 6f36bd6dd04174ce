"""The promotion's Python side: words, choice, submission, live moves; without a browser."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import Conflict, InputError, QuotaExceeded, Unavailable
from jupyter_quantum.lab.widgets import Promotion, jobcard, promote, rows
from jupyter_quantum.lab.widgets.widget import PromotionWidget
from jupyter_quantum.testing.door import MemoryDoor, memory_report
from jupyter_quantum.wire.devices import Wait
from jupyter_quantum.wire.jobs import JobView
from jupyter_quantum.wire.reports import DryRun

NOW = datetime(2026, 5, 12, 14, 19, tzinfo=UTC)


@pytest.fixture
def door() -> Iterator[MemoryDoor]:
    """A door, whose followers are released at the end."""
    made = MemoryDoor()
    yield made
    made.away = Unavailable("over")
    made.wake()


def until(said: Callable[[], bool]) -> None:
    """Wait for another thread."""
    ends = time.monotonic() + 5
    while not said():
        assert time.monotonic() < ends
        time.sleep(0.005)


def view(device: str, **how: Any) -> dict[str, Any]:
    """One row of the table, as the browser gets it."""
    table = rows.table(memory_report(**how), NOW)
    return next(row for row in table["rows"] if row["device"] == device)


@pytest.mark.parametrize(
    ("device", "word", "message", "button", "quota"),
    [
        ("fake_torino", "ready", "Ready. fake_torino costs about 0.42 credits, at most 0.45.",
         "Submit to fake_torino · 0.42 credits", "Quota 12.40 → 11.95 or more"),
        ("aer", "ready", "Ready. aer is free.", "Submit to aer · free", "Quota 12.40, unchanged"),
        ("campus_qpu", "approval", "Needs a lead's approval because the estimate, 6.10 credits, is over 5.",
         "Ask for approval · 6.10 credits", "Quota 12.40 → 5.82 or more"),
        ("old_qpu", "drained", "old_qpu takes no new jobs until 16:00 CEST (drained by the operators). Choose another.",
         "Choose fake_torino · 0.42 credits", ""),
    ],
)  # fmt: skip
def test_a_row_says_verdict_price_and_quota(device: str, word: str, message: str, button: str, quota: str) -> None:
    """The words of the guide, for each kind of verdict."""
    row = view(device)
    assert (row["word"], row["message"], row["action"]["label"], row["quota"]) == (word, message, button, quota)


def test_too_many_shots_offers_the_most_allowed() -> None:
    """A refusal for shots has a button that uses as many as are allowed."""
    row = view("fake_torino", shots=20_000)
    assert row["message"] == "Not allowed. 20\u202f000 shots is over 10,000 in the sandbox tier.".replace(",", "\u202f")
    assert row["action"] == {"do": "shots", "label": "Use 10\u202f000 shots", "shots": 10_000}


def test_over_quota_names_a_device_that_fits() -> None:
    """A run that may cost more than is left is refused before it is submitted, with the next step."""
    row = view("campus_qpu", left="5.20")
    assert row["word"] == "over quota"
    assert row["message"] == (
        "This run may cost 6.58 credits; 5.20 are left. Use fewer shots, choose fake_torino (0.42), or ask for more."
    )


def test_unknown_is_a_dash() -> None:
    """What is not known is –, never 0."""
    assert set(view("old_qpu")["cells"].values()) == {"–"}


def test_preference_orders_and_picks() -> None:
    """Fidelity, speed and cost each put the right device first; what cannot be used is last."""
    report = memory_report()
    assert rows.order(report.rows, "fidelity") == ["aer", "fake_torino", "campus_qpu", "old_qpu"]
    assert {prefer: rows.pick(report.rows, prefer) for prefer in rows.PREFERENCES} == dict.fromkeys(
        rows.PREFERENCES, "fake_torino"
    )


def test_text_and_html_are_complete(door: MemoryDoor) -> None:
    """Without a widget the same is there: devices, verdict, quota, dry run, how to submit."""
    promotion = Promotion(door, "circuit")
    promotion._early.join()
    text, (bundle, told) = repr(promotion), promotion._repr_mimebundle_()
    for said in ("● fake_torino", "0.96 (0.95–0.97)", "◆ approval", "12.40 → 11.95", '.submit("fake_torino")', "0.482"):
        assert said in text
    assert bundle["text/plain"] == text
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert told == {"jupyter_quantum": {"saved": "text/html"}}
    assert "Run the cell again to go on" in bundle["text/html"]
    assert not [tag for tag in ("<svg", "<style", "<script") if tag in bundle["text/html"]]


def test_headless_submission_to_the_end(door: MemoryDoor) -> None:
    """``submit`` needs no display; the job is followed to its counts."""
    promotion = Promotion(door, "circuit")
    job = promotion.submit()
    assert isinstance(job, JobView)
    assert job.device == "fake_torino"
    assert ("submit", {"device": "fake_torino", "reason": None, "max_price": 450_000}) in door.asked
    door.move(JobState.RUNNING, started=datetime.now(UTC))
    until(lambda: promotion.card()["state"] == "running")
    door.move(JobState.COMPLETED, cost=412_000, seconds=3.9)
    until(lambda: promotion.card()["final"])
    assert promotion.card()["line"] == "Done in 3.9 s · 0.42 credits, 0.03 released"
    assert "0.478 (0.447–0.509)" in repr(promotion)


def test_one_job_at_a_time(door: MemoryDoor) -> None:
    """A second click while the first job is under way submits nothing."""
    promotion = Promotion(door, "circuit")
    promotion.submit()
    with pytest.raises(Conflict, match=r"promotion\.active"):
        promotion.submit()
    assert len(door.jobs) == 1
    promotion.cancel()
    promotion.submit("aer")
    assert [job.device for job in door.jobs] == ["fake_torino", "aer"]


def test_unknown_names_are_refused(door: MemoryDoor) -> None:
    """A device or a preference that does not exist is named, with what there is."""
    promotion = Promotion(door, "circuit")
    with pytest.raises(InputError, match=r"fake_torino.*device\.unknown"):
        promotion.submit("nowhere")
    with pytest.raises(InputError, match="fidelity, speed or cost"):
        promote("circuit", prefer="luck")  # type: ignore[arg-type]


def test_offline_is_said_and_ends(door: MemoryDoor) -> None:
    """While the service is away the view says since when, and catches up by itself."""
    promotion = Promotion(door, "circuit")
    promotion.submit()
    door.away = Unavailable("away")
    door.wake()
    until(lambda: promotion.offline.startswith("Quantum service unreachable since"))
    door.away = None
    door.move(JobState.COMPLETED, cost=0)
    until(lambda: promotion.offline == "" and promotion.card()["final"])


def test_a_job_is_polled_long_not_often(door: MemoryDoor) -> None:
    """A waiting job costs one request that the service holds back."""
    promotion = Promotion(door, "circuit")
    promotion.submit()
    time.sleep(0.3)
    assert sum(what == "follow" for what, _ in door.asked) == 1


def test_clicks_become_acts_and_errors_words(door: MemoryDoor) -> None:
    """A refused submission is shown in the service's words; choosing another row takes it away."""
    door.refusal = QuotaExceeded("This run may cost 0.45 credits; 0.20 are left.", hint="Use fewer shots.")
    promotion = Promotion(door, "circuit")
    widget = PromotionWidget(promotion)
    widget._heard(None, {"do": "submit", "device": "fake_torino"}, None)
    until(lambda: widget.done == 1)
    assert widget.note == {
        "text": "This run may cost 0.45 credits; 0.20 are left.",
        "hint": "Use fewer shots.",
        "code": "quota.exceeded",
    }
    assert widget.busy == ""
    widget.note = None
    assert promotion.note is None


def test_messages_of_others_do_nothing(door: MemoryDoor) -> None:
    """What is not an act of the widget is ignored, whatever its shape."""
    promotion = Promotion(door, "circuit")
    promotion._early.join()
    widget, before = PromotionWidget(promotion), len(door.asked)
    for content in ({}, {"do": "__init__"}, {"do": ["submit"]}, [], "submit"):
        widget._heard(None, content, None)
    widget.selected = "nowhere"
    assert len(door.asked) == before
    assert promotion.selected == "fake_torino"


def job(state: JobState, **changes: Any) -> JobView:
    """A job of the memory door in this state."""
    door = MemoryDoor()
    made = door.submit(memory_report(), "fake_torino", reason=None, max_price=None)
    return made.model_copy(update={"state": state, "submitted": NOW, **changes})


@pytest.mark.parametrize(
    ("state", "changes", "said"),
    [
        (JobState.QUEUED, {"wait": Wait(p50=780, p90=1860, place=3)},
         "Place 3. Starts about 14:32 UTC, 9 in 10 by 14:50."),
        (JobState.QUEUED, {"wait": Wait(p50=5, p90=20, place=1)}, "Place 1. Starts within a minute."),
        (JobState.QUEUED, {"wait": Wait()}, "When it starts is not known."),
        (JobState.RUNNING, {"started": NOW + timedelta(seconds=52)}, "On fake_torino since 14:19:52 UTC"),
        (JobState.COMPLETED, {"seconds": 3.91, "cost": 6_020_000, "price_at_most": 6_600_000},
         "Done in 3.9 s · 6.02 credits, 0.58 released"),
        (JobState.COMPLETED, {"seconds": 0.01, "cost": 0, "price_at_most": 0}, "Done in <1 s · free"),
        (JobState.FAILED, {"error": {"message": "The device stopped answering."}, "cost": 0, "attempts": 2},
         "The device stopped answering. Nothing was charged; 2 attempts."),
        (JobState.REJECTED, {"error": {"message": 'Rejected by grace: "Use the emulator first." Nothing was charged.'}},
         'Rejected by grace: "Use the emulator first." Nothing was charged.'),
        (JobState.CANCELLED, {"cost": 0}, "Cancelled. Nothing was charged."),
    ],
)  # fmt: skip
def test_each_state_has_its_line(state: JobState, changes: dict[str, Any], said: str) -> None:
    """What the card says of a state, word for word."""
    assert jobcard.lines(job(state, **changes), NOW)[0] == said


def test_approval_names_leads_and_expiry() -> None:
    """Who was asked, and until when."""
    waits = job(JobState.AWAITING_APPROVAL)
    assert jobcard.lines(waits, NOW, NOW + timedelta(days=1))[0] == (
        "Sent to the leads of qcourse. It runs by itself once approved; the request expires Wed 13 May 14:19 UTC."
    )


def test_way_of_a_job_knows_past_and_future() -> None:
    """One step is current; those before it are past, those after it ahead."""
    running = jobcard.steps(job(JobState.RUNNING, started=NOW), NOW)
    assert [(step["word"], step["now"], step["ahead"]) for step in running] == [
        ("submitted", False, False), ("waiting", False, False), ("running", True, False), ("done", False, True),
    ]  # fmt: skip


def test_dry_run_without_counts_says_why(door: MemoryDoor) -> None:
    """A dry run that could not be made shows its note in place of the plot."""
    promotion = Promotion(door, "circuit")
    promotion._early.join()
    promotion._dry_runs["fake_torino"] = DryRun(device="fake_torino", shots=0, note="Too wide to simulate.")
    assert promotion.plots()["fake_torino"]["note"] == "Too wide to simulate."


def test_a_completed_job_is_replayed_and_compared(door: MemoryDoor) -> None:
    """[Replay] makes a new job with a card of its own, which says in the end how both compare."""
    promotion = Promotion(door, "circuit")
    with pytest.raises(Conflict, match="has completed yet"):
        promotion.replay()
    promotion.submit("aer")
    first = door.move(JobState.COMPLETED, cost=0, seconds=0.1)
    until(lambda: (promotion.card() or {})["word"] == "done")
    card = promotion.card() or {}
    assert [one["label"] for one in card["buttons"]] == ["Copy code", "Replay", "Bundle", "Run again…"]
    promotion.replay()
    again = promotion.view
    assert again is not None
    assert (again.id != first.id, again.replay_of) == (True, first.id)
    door.move(JobState.COMPLETED, cost=0, seconds=0.1)
    until(lambda: (promotion.card() or {})["word"] == "done")
    card = promotion.card() or {}
    assert "Same: no difference at the level 0.01 (circuit 0: G-test, p = 0.41)." in card["more"]
    assert ["Replay of", first.id] in card["details"]
    assert card["folded"].startswith(f"replay of {first.id[:8]}…{first.id[-2:]} · ")
    assert "G-test" in repr(promotion)


def test_a_completed_job_is_bundled(door: MemoryDoor) -> None:
    """[Bundle] saves a file and says how a reviewer verifies it; a refusal is shown in the service's words."""
    promotion = Promotion(door, "circuit")
    promotion.submit("aer")
    door.move(JobState.COMPLETED, cost=0, seconds=0.1)
    until(lambda: (promotion.card() or {})["word"] == "done")
    file = promotion.bundle()
    assert f"jupyter quantum bundle verify {file}" in (promotion.card() or {})["more"][-1]
