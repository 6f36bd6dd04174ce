"""A user's way through both tutorials, a lead's decision, and what the screens look like: on the real demo hub."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from jupyter_quantum import Hub
from jupyter_quantum.testing.demo import DemoHub
from tests.acceptance.browser import (
    RUN_MS,
    enter_lab,
    kernel_idle,
    log_in,
    notebook,
    open_notebook,
    picture,
    restart_kernel,
    run_above,
    run_all,
    saved_cells,
    show,
    theme,
    wait_for_lab,
)

pytestmark = pytest.mark.acceptance
Open = Callable[..., Page]
NUMBER = re.compile(r"\[\d+\]:")


def credits_left(page: Page) -> float:
    """What the status bar says is left."""
    chip = page.locator(".jq-Quota")
    expect(chip).to_contain_text("cr", timeout=RUN_MS)
    found = re.search(r"(\d+\.\d\d) cr", chip.inner_text())
    assert found, chip.inner_text()
    return float(found[1])


def promote(page: Page) -> Locator:
    """Run the second tutorial up to its widget; returns the widget."""
    asking = run_above(page, "promote(")
    asking.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    found = notebook(page).locator("section.jq").first
    found.wait_for(timeout=RUN_MS)
    found.scroll_into_view_if_needed()
    return found


def choose(box: Locator, device: str) -> None:
    """Select a device's row."""
    row = box.locator(f"tr[data-device={device}]")
    row.locator("input").check()
    expect(row).to_have_class(re.compile("jq-chosen"))


def plot(box: Locator) -> Locator:
    """The chart in sight: there is one for wide screens and one for narrow ones."""
    return box.locator(".jq-plot svg:visible").first


def line(box: Locator) -> Locator:
    """What the widget says of the job."""
    return box.locator(".jq-job .jq-line").first


def both_themes(page: Page, name: str) -> None:
    """Pictures of the screen in light and dark; leaves it light."""
    picture(page, f"{name}-light")
    theme(page, "JupyterLab Dark")
    page.wait_for_timeout(500)  # the theme's transition
    picture(page, f"{name}-dark")
    theme(page, "JupyterLab Light")


def errors_in(page: Page) -> list[object]:
    """What the notebook in front wrote to stderr or raised."""
    outputs = [one for _, _, outputs in saved_cells(page) for one in outputs]
    return [one for one in outputs if one.get("name") == "stderr" or one["output_type"] == "error"]


def test_the_first_tutorial_and_a_restart(demo: DemoHub, person: Open) -> None:
    """A newcomer signs in, lands in Lab, runs everything, sees counts; the kernel restarts and the result is there."""
    page = person()
    enter_lab(page, demo.url, "ada", demo.passwords["ada"])
    open_notebook(page, "01-first-circuit.ipynb")
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Quantum Sandbox")
    before = credits_left(page)
    run_above(page, "hub.job(job_id)")
    assert errors_in(page) == []
    assert credits_left(page) < before
    show(page, "noisy_job = ")
    both_themes(page, "lab")

    restart_kernel(page)
    show(page, "promote(bell")
    expect(notebook(page).locator("section.jq")).to_contain_text("The kernel was restarted. Run the cell again")
    again = show(page, "hub.job(job_id)")
    again.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(again.locator(".jp-InputPrompt")).to_have_text("[1]:", timeout=RUN_MS)
    expect(again.locator(".jp-OutputArea-output")).to_contain_text(re.compile(r"'00': \d+"))

    saved_cells(page)
    page.reload()
    wait_for_lab(page, "ada")
    kernel_idle(page)
    show(page, "promote(bell")
    saved = notebook(page).locator(".jp-OutputArea-output", has_text="As it was when the cell ran.")
    expect(saved).to_contain_text(re.compile(r"Ready\. fake_\w+ costs about 0\.42 credits, at most 0\.45\."))
    expect(page.get_by_text("Error displaying widget")).to_have_count(0)
    picture(page, "saved-light")


def test_the_second_tutorial_from_top_to_bottom(demo: DemoHub, person: Open) -> None:
    """Another newcomer runs tutorial 02 in one go: it submits, asks a lead, and shows where the numbers come from."""
    page = person()
    enter_lab(page, demo.url, "ben", demo.passwords["ben"])
    open_notebook(page, "02-promotion.ipynb")
    run_all(page)
    assert errors_in(page) == []
    said = "\n".join(str(output) for _, _, outputs in saved_cells(page) for output in outputs)
    for words in (
        "the estimate, 6.10 credits, is over 5",
        "awaiting_approval",
        "It goes on; ask again later",
        "sha256:",
    ):
        assert words in said
    show(page, "promote(bell")
    expect(notebook(page).locator("section.jq").first).to_contain_text("Done in")


def test_promote_submit_and_watch(demo: DemoHub, person: Open) -> None:
    """From the widget to fake_torino without a reload: state, plot, quota; after a reload the widget is live again."""
    page = person()
    enter_lab(page, demo.url, "ada", demo.passwords["ada"])
    open_notebook(page, "02-promotion.ipynb")
    box = promote(page)
    choose(box, "fake_torino")
    expect(plot(box)).to_be_visible(timeout=RUN_MS)
    expect(box.locator(".jq-primary")).to_have_text("Submit to fake_torino · 0.42 credits")
    both_themes(page, "widget")
    before = credits_left(page)
    box.locator(".jq-primary").click()
    expect(box.locator(".jq-job")).to_be_visible()
    expect(line(box)).to_contain_text("Done", timeout=RUN_MS)
    expect(plot(box.locator(".jq-job"))).to_be_visible()
    expect(page.locator(".jq-Quota")).not_to_contain_text(f"{before:.2f}", timeout=10_000)
    assert 0.40 <= before - credits_left(page) <= 0.46
    both_themes(page, "result")

    saved_cells(page)
    page.reload()
    wait_for_lab(page, "ada")
    kernel_idle(page)
    show(page, "promote(bell")
    expect(line(notebook(page).locator("section.jq").first)).to_contain_text("Done", timeout=RUN_MS)


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until the focus is on what matches the selector ``wanted``."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            return
    raise AssertionError(f"Tab does not lead to {wanted}")


def ask_by_keyboard(page: Page, box: Locator, reason: str) -> None:
    """Choose campus_qpu, give a reason, submit; no pointer."""
    tab_to(page, "section.jq tbody input")
    chosen = box.locator("tr[data-device=campus_qpu].jq-chosen")
    for _ in range(4):
        if chosen.count():
            break
        page.keyboard.press("ArrowDown")
    expect(chosen).to_be_visible()
    expect(box.locator("figcaption", has_text="Dry run on campus_qpu")).to_be_visible(timeout=RUN_MS)
    tab_to(page, ".jq-reason input")
    page.keyboard.type(reason)
    page.keyboard.press("Enter")


def test_a_lead_decides_and_the_job_goes_on_by_itself(demo: DemoHub, person: Open) -> None:
    """By keyboard the user asks; the lead approves one request and rejects another; the user's screen follows."""
    page = person()
    enter_lab(page, demo.url, "ada", demo.passwords["ada"])
    open_notebook(page, "02-promotion.ipynb")
    box = promote(page)
    expect(plot(box)).to_be_visible(timeout=RUN_MS)
    ask_by_keyboard(page, box, "Last figure for the thesis")
    expect(line(box)).to_contain_text("Sent to the leads", timeout=RUN_MS)
    assert page.evaluate("document.activeElement.textContent") == "bell → campus_qpu (emulated QPU)"

    lead = person()
    log_in(lead, f"{demo.url}services/quantum/", "grace", demo.passwords["grace"])
    item = lead.locator("article", has_text="Last figure for the thesis")
    expect(item).to_contain_text("ada: bell on campus_qpu (emulated QPU)")
    expect(item).to_contain_text("6.10 credits, at most 6.58")
    item.get_by_text("Dry run", exact=True).click()
    expect(item.get_by_role("img")).to_be_visible()
    picture(lead, "hub-light")
    lead.locator("#dark-theme-toggle").click()
    lead.wait_for_timeout(500)  # the colours' transition
    picture(lead, "hub-dark")
    item.get_by_role("button", name=re.compile("^Approve")).click()
    expect(item).to_have_count(0)
    expect(line(box)).to_contain_text("Done", timeout=RUN_MS)
    expect(plot(box.locator(".jq-job"))).to_be_visible()
    page.wait_for_timeout(800)  # the notification slides in
    picture(page, "approved-light")

    other = lead.locator("article", has_text="Tutorial 02: my first run on a QPU")
    other.get_by_text("Reject…").click()
    other.get_by_label("Reason, shown to").fill("Use the emulator first.")
    other.get_by_role("button", name="Reject", exact=True).click()
    expect(lead.get_by_text("Nothing needs you now.")).to_be_visible()
    jobs = repr(Hub(url=demo.service, token=demo.token("ben")).jobs(limit=5))
    assert "✕ rejected" in jobs
    ben = person(width=320)
    log_in(ben, f"{demo.url}services/quantum/", "ben", demo.passwords["ben"])
    row = ben.locator("tr", has_text="rejected")
    expect(row).to_contain_text('Rejected by grace: "Use the emulator first." Nothing was charged.')
    ben.screenshot(path=picture(ben, "hub-narrow-light"), full_page=True)


def test_the_operators_page(demo: DemoHub, person: Open) -> None:
    """An operator pauses a device; a user's open page follows without a reload; then it goes on."""
    user = person()
    log_in(user, f"{demo.url}services/quantum/", "ada", demo.passwords["ada"])
    expect(user.locator("#device-fake_fez")).to_contain_text("ready")
    operator = person(dark=True)
    log_in(operator, f"{demo.url}services/quantum/", "otto", demo.passwords["otto"])
    operator.get_by_role("button", name="Pause fake_fez").click()
    expect(operator.locator("#device-fake_fez")).to_contain_text("paused")
    expect(user.locator("#device-fake_fez")).to_contain_text("paused", timeout=10_000)
    picture(operator, "hub-operator-dark")
    operator.get_by_role("button", name="Resume fake_fez").click()
    expect(operator.locator("#device-fake_fez")).to_contain_text("ready")
