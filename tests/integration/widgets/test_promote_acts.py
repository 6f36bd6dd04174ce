"""What a person does with the promotion widget: keyboard, focus, announcements, what the page may not do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.testing.door import MemoryDoor

from .conftest import Stage

FOCUS = "document.activeElement.textContent || document.activeElement.tagName"


def chosen(stage: Stage) -> str:
    return stage.page.locator("tr.jq-chosen .jq-name").inner_text()


def test_promote_by_keyboard_alone(stage: Callable[..., Stage]) -> None:
    """Arrow keys choose, Enter submits, focus goes to the job's heading, and Cancel is reached by Tab."""
    shown = stage()
    page = shown.page
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowUp")
    shown.until(lambda: shown.promotion.selected == "aer")
    assert chosen(shown) == "aer"
    assert page.locator(".jq-primary").inner_text() == "Submit to aer · free"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    shown.until(lambda: shown.widget.done == 1)
    assert [job.device for job in shown.door.jobs] == ["fake_torino"]
    assert page.evaluate(FOCUS) == "bell → fake_torino (emulator)"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUS) == "Cancel"
    page.keyboard.press("Enter")
    shown.sees("Nothing was charged")


def test_a_double_click_submits_once(stage: Callable[..., Stage]) -> None:
    """The second click of an impatient hand does nothing."""
    shown = stage()
    shown.page.locator(".jq-primary").dblclick()
    shown.until(lambda: shown.widget.done == 1)
    assert len(shown.door.jobs) == 1


def test_live_moves_leave_focus_and_announce_states_only(stage: Callable[..., Stage]) -> None:
    """A new place in the queue is silent; a new state is said once; the focus stays where it was."""
    shown = stage()
    page = shown.page
    status = page.get_by_role("status")
    assert status.count() == 1
    assert status.inner_text() == ""
    page.locator(".jq-primary").click()
    shown.until(lambda: shown.widget.done == 1)
    page.evaluate("() => document.querySelector('.jq-job summary').focus()")
    assert status.inner_text() == "bell on fake_torino: waiting."
    page.evaluate("""() => { window.said = [];
        new MutationObserver(() => said.push(document.querySelector('[role=status]').textContent))
        .observe(document.querySelector('[role=status]'), {childList: true, characterData: true, subtree: true}); }""")
    job = shown.door.jobs[-1]
    assert job.wait is not None
    shown.door.move(JobState.QUEUED, wait=job.wait.model_copy(update={"place": 2}))
    shown.sees("Place 2.")
    shown.door.move(JobState.RUNNING, started=datetime.now(UTC) - timedelta(seconds=2))
    shown.sees("running")
    assert page.evaluate("said") == ["bell on fake_torino: running."]
    assert page.evaluate(FOCUS) == "Details"


def test_a_vanished_button_hands_the_focus_on(stage: Callable[..., Stage]) -> None:
    """Where the focus was on Cancel and the job ends, it goes to the heading instead of being lost."""
    shown = stage()
    shown.page.locator(".jq-primary").click()
    shown.until(lambda: shown.widget.done == 1)
    shown.page.get_by_role("button", name="Cancel").focus()
    shown.door.move(JobState.COMPLETED, cost=0, seconds=1.0)
    shown.sees("Copy code")
    assert shown.page.evaluate(FOCUS) == "bell → fake_torino (emulator)"


def test_show_as_table_has_every_number(stage: Callable[..., Stage]) -> None:
    """The plot's alternative, and back."""
    shown = stage()
    shown.page.get_by_role("button", name="Show as table").click()
    assert "0.482" in shown.page.locator(".jq-plain").inner_text()
    shown.page.get_by_role("button", name="Show as chart").click()
    assert shown.page.get_by_role("img").first.get_attribute("aria-label").startswith("00 is the most frequent")


def test_the_reason_reaches_the_approver(stage: Callable[..., Stage]) -> None:
    """What is typed is sent with the request."""
    shown = stage()
    shown.page.get_by_role("radio", name="campus_qpu").check()
    shown.page.get_by_label("Reason").fill("Last figure for the thesis")
    shown.page.get_by_label("Reason").press("Enter")
    shown.until(lambda: shown.widget.done == 1)
    submitted = next(how for what, how in shown.door.asked if what == "submit")
    assert submitted["reason"] == "Last figure for the thesis"


def test_preference_chooses_and_python_knows(stage: Callable[..., Stage]) -> None:
    """The browser's choice is Python's: ``submit()`` without a name takes it."""
    shown = stage()
    shown.page.get_by_role("radio", name="cost").check()
    shown.page.get_by_role("radio", name="campus_qpu").check()
    shown.until(lambda: shown.promotion.selected == "campus_qpu")
    assert shown.promotion.prefer == "cost"


def test_copy_code_without_clipboard_shows_the_code(stage: Callable[..., Stage]) -> None:
    """Where the browser does not let a page write the clipboard, the code can be copied by hand."""
    shown = stage()
    shown.page.locator(".jq-primary").click()
    shown.until(lambda: shown.widget.done == 1)
    shown.door.move(JobState.COMPLETED, cost=0, seconds=1.0)
    shown.sees("Copy code")
    shown.page.evaluate("() => Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    shown.page.get_by_role("button", name="Copy code").click()
    assert shown.door.jobs[-1].id in shown.page.get_by_label("Code").input_value()


def test_a_restarted_kernel_is_said(stage: Callable[..., Stage]) -> None:
    """The page outlives its kernel: it says so, keeps the code at hand, and offers no click that cannot work."""
    shown = stage()
    shown.page.locator(".jq-primary").click()
    shown.until(lambda: shown.widget.done == 1)
    shown.page.evaluate("emit('comm_live_update')")
    text = shown.page.locator("main").inner_text()
    assert f'The kernel was restarted. The job goes on; Hub().job("{shown.door.jobs[-1].id}") finds it.' in text
    assert shown.page.get_by_role("button", name="Cancel").get_attribute("aria-disabled") == "true"


def test_each_copy_of_a_chart_has_its_own_hatch(stage: Callable[..., Stage]) -> None:
    """The dry run stays visible, hatch and all, when the table that showed it first is folded away."""
    shown = stage(MemoryDoor())
    shown.page.locator(".jq-primary").click()
    shown.until(lambda: shown.widget.done == 1)
    ids = shown.page.eval_on_selector_all("pattern", "found => found.map((one) => one.id)")
    assert len(ids) == len(set(ids)) == 4
    fills = shown.page.eval_on_selector_all(
        ".jq-job rect[fill^=url]", "found => found.map((one) => one.getAttribute('fill'))"
    )
    inside = shown.page.eval_on_selector_all(".jq-job pattern", "found => found.map((one) => `url(#${one.id})`)")
    assert set(fills) == set(inside)


def test_cleaning_up_ends_the_clock(stage: Callable[..., Stage]) -> None:
    """A view that is removed listens to nothing any more."""
    shown = stage()
    shown.page.evaluate("cleanup()")
    shown.page.evaluate("push({selected: 'aer'})")
    shown.page.wait_for_timeout(50)
    assert chosen(shown) == "fake_torino"


def test_a_completed_job_is_bundled_and_replayed_by_its_buttons(stage: Callable[..., Stage]) -> None:
    """[Bundle] says where the file is; [Replay] shows the new job, and in the end how both compare."""
    shown = stage()
    shown.page.locator(".jq-primary").click()
    shown.until(lambda: shown.widget.done == 1)
    first = shown.door.move(JobState.COMPLETED, cost=0, seconds=1.0)
    shown.sees("Copy code")
    shown.page.get_by_role("button", name="Bundle").click()
    shown.sees(f"jupyter quantum bundle verify bell-{first.id}.zip")
    shown.until(lambda: shown.widget.done == 2)
    shown.page.get_by_role("button", name="Replay").click()
    shown.until(lambda: shown.widget.done == 3)
    assert shown.door.jobs[-1].replay_of == first.id
    assert shown.page.evaluate(FOCUS) == "bell → fake_torino (emulator)"
    shown.door.move(JobState.COMPLETED, cost=0, seconds=1.0)
    shown.sees("Same: no difference at the level 0.01")
