"""A user's way through both tutorials, a lead's decision, and what the screens look like: on the real demo hub."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from jupyter_quantum.testing.demo import DemoHub
from tests.acceptance.browser import (
    RUN_MS,
    cell,
    enter_lab,
    kernel_idle,
    log_in,
    notebook,
    open_notebook,
    picture,
    run_all,
    saved_cells,
    scroll_to,
    theme,
)

pytestmark = pytest.mark.acceptance
Open = Callable[..., Page]


def credits_left(page: Page) -> float:
    """What the status bar says is left."""
    chip = page.locator(".jq-Quota")
    expect(chip).to_contain_text("cr", timeout=RUN_MS)
    found = re.search(r"(\d+\.\d\d) cr", chip.inner_text())
    assert found, chip.inner_text()
    return float(found[1])


def widget(page: Page) -> Locator:
    """The promotion widget in the notebook in front."""
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


def both_themes(page: Page, name: str) -> None:
    """Pictures of the screen in light and dark; leaves it light."""
    picture(page, f"{name}-light")
    theme(page, "JupyterLab Dark")
    page.wait_for_timeout(500)  # the theme's transition
    picture(page, f"{name}-dark")
    theme(page, "JupyterLab Light")


def test_the_first_tutorial_from_top_to_bottom(demo: DemoHub, person: Open) -> None:
    """A newcomer signs in, lands in Lab, runs everything, and sees counts."""
    page = person()
    enter_lab(page, demo.url, "ada", demo.passwords["ada"])
    open_notebook(page, "01-first-circuit.ipynb")
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Quantum Sandbox")
    before = credits_left(page)
    run_all(page)
    scroll_to(page, 1.0)
    counts = notebook(page).locator(".jp-OutputArea-output", has_text=re.compile(r"'00': \d+"))
    expect(counts.first).to_be_visible()
    assert not [one for _, _, outputs in saved_cells(page) for one in outputs if one.get("name") == "stderr"]
    assert credits_left(page) < before
    scroll_to(page, 0.45)
    both_themes(page, "lab")


def test_promote_submit_watch_and_approve(demo: DemoHub, person: Open) -> None:
    """From the widget to fake_torino and, with a lead's approval, to the emulated QPU; everything without a reload."""
    page = person()
    enter_lab(page, demo.url, "ada", demo.passwords["ada"])
    open_notebook(page, "02-promotion.ipynb")
    run_to_promote(page)
    box = widget(page)
    choose(box, "fake_torino")
    expect(plot(box)).to_be_visible(timeout=RUN_MS)
    both_themes(page, "widget")
    before = credits_left(page)
    box.locator(".jq-primary").click()
    expect(box.locator(".jq-job")).to_be_visible()
    expect(box.locator(".jq-job .jq-line").first).to_contain_text("Done", timeout=RUN_MS)
    expect(plot(box.locator(".jq-job"))).to_be_visible()
    expect(page.locator(".jq-Quota")).not_to_contain_text(f"{before:.2f}", timeout=10_000)
    assert 0.40 <= before - credits_left(page) <= 0.46
    both_themes(page, "result")


def test_a_lead_approves_and_the_job_goes_on_by_itself(demo: DemoHub, person: Open) -> None:
    """The user asks in the widget, the lead decides on the hub's page, the user's screen follows."""
    page = person()
    enter_lab(page, demo.url, "ada", demo.passwords["ada"])
    open_notebook(page, "02-promotion.ipynb")
    run_to_promote(page)
    box = widget(page)
    choose(box, "campus_qpu")
    box.locator(".jq-reason input").fill("Last figure for the thesis")
    box.locator(".jq-primary").click()
    expect(box.locator(".jq-job .jq-line").first).to_contain_text("Sent to the leads", timeout=RUN_MS)

    lead = person()
    log_in(lead, f"{demo.url}services/quantum/", "grace", demo.passwords["grace"])
    item = lead.locator("article", has_text="ada")
    expect(item).to_contain_text("emulated QPU")
    expect(item).to_contain_text("Last figure for the thesis")
    picture(lead, "hub-light")
    lead.locator("#dark-theme-toggle").click()
    lead.wait_for_timeout(500)  # the colours' transition
    picture(lead, "hub-dark")
    item.get_by_role("button", name=re.compile("^Approve")).click()
    expect(lead.get_by_text("Nothing needs you now.")).to_be_visible()

    expect(box.locator(".jq-job .jq-line").first).to_contain_text("Done", timeout=RUN_MS)
    expect(plot(box.locator(".jq-job"))).to_be_visible()
    picture(page, "approved-light")


def run_to_promote(page: Page) -> None:
    """Run all cells of the second tutorial up to the first widget."""
    first = cell(page, "promote(")
    first.locator(".cm-content").click()
    page.locator("#jp-MainMenu").get_by_text("Run", exact=True).click()
    page.get_by_text("Run All Above Selected Cell", exact=True).click()
    kernel_idle(page)
    first.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(first.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"), timeout=RUN_MS)


def test_the_operators_page(demo: DemoHub, person: Open) -> None:
    """An operator pauses a device; a user's open page follows without a reload; then it goes on."""
    user = person(width=320)
    log_in(user, f"{demo.url}services/quantum/", "ben", demo.passwords["ben"])
    expect(user.locator("#device-fake_fez")).to_contain_text("ready")
    operator = person(dark=True)
    log_in(operator, f"{demo.url}services/quantum/", "otto", demo.passwords["otto"])
    operator.get_by_role("button", name="Pause fake_fez").click()
    expect(operator.locator("#device-fake_fez")).to_contain_text("paused")
    expect(user.locator("#device-fake_fez")).to_contain_text("paused", timeout=10_000)
    assert user.evaluate("document.documentElement.scrollWidth") == 320
    picture(operator, "hub-operator-dark")
    user.screenshot(path=picture(user, "hub-narrow-light"), full_page=True)
    operator.get_by_role("button", name="Resume fake_fez").click()
    expect(operator.locator("#device-fake_fez")).to_contain_text("ready")
