"""The Lab extension as a person meets it: status bar, panel, live changes, offline, keyboard, notebook."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, expect

from tests.integration.lab.conftest import OpenLab, change_theme
from tests.unit.lab.standin import Standin, approval, job, quota

Shot = Callable[[Page, str], None]
AXE_RUN = """async () => {
  const tags = ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'];
  const options = { runOnly: tags, rules: { 'target-size': { enabled: true } } };
  const { violations } = await axe.run({ include: [['.jq-Panel'], ['.jq-Quota']] }, options);
  return violations.filter(one => ['serious', 'critical'].includes(one.impact))
    .map(one => `${one.id}: ${one.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | ')}`);
}"""


def _panel(page: Page) -> None:
    page.locator(".jq-Quota").click()
    expect(page.locator(".jq-Panel")).to_be_visible()


def test_the_status_bar_opens_the_panel(open_lab: OpenLab, shot: Shot) -> None:
    """Quota in words and figures; one click shows devices and jobs, in light and dark."""
    page = open_lab()
    for theme in ("Light", "Dark"):
        change_theme(page, f"JupyterLab {theme}")
        button = page.locator(".jq-Quota")
        expect(button).to_have_text("12.40 cr · 2 runs")
        expect(button).to_have_accessible_name(re.compile(r"^12\.40 of 50 credits left, 2 runs of bell"))
        shot(page, f"launcher-{theme.lower()}")
        _panel(page)
        expect(page.locator("[data-device]")).to_have_count(4)
        expect(page.locator("[data-device=campus_qpu]")).to_contain_text("emulated QPU")
        expect(page.locator("[data-device=campus_qpu]")).to_contain_text("drained until")
        expect(page.locator("[data-device=fake_fez]")).to_contain_text("calibration 26 h old")
        expect(page.get_by_text("My jobs · 3 active")).to_be_visible()
        expect(page.get_by_text("Approvals")).to_have_count(0)
        shot(page, f"panel-{theme.lower()}")
        page.get_by_title(re.compile("File Browser")).click()


def test_a_jobs_life_is_live(open_lab: OpenLab, service: Standin, shot: Shot) -> None:
    """Row, status bar and the spoken line follow the events without a reload; a long job's end is told."""
    page = open_lab()
    _panel(page)
    one = service.jobs[0]
    row = page.locator(f"[data-job={one.id}]")
    expect(row).to_have_attribute("data-state", "running")
    service.quota = quota(12.88, 0.45)
    service.emit("quota.changed", service.quota.model_dump(mode="json"))
    service.move(one.id, "completed", cost=6_020_000, seconds=3.9, ended=datetime.now(UTC), on_hold=0)
    expect(row).to_contain_text("done in 4 s · 6.02 credits")
    expect(page.locator(".jq-Quota")).to_have_text("12.88 cr · 2 runs")
    expect(page.locator(".jq-Spoken")).to_have_text("bell on campus_qpu: done")
    expect(page.locator(".jp-toast-message")).to_have_count(0)  # the person is looking at it
    page.get_by_title(re.compile("File Browser")).click()
    late = {"ended": datetime.now(UTC) + timedelta(minutes=2), "cost": 410_000, "seconds": 4.0}
    service.move(service.jobs[1].id, "completed", **late)
    expect(page.get_by_text("vqe-7 on fake_fez: done in 4 s · 0.41 credits")).to_be_visible()
    page.wait_for_timeout(800)  # it slides in
    shot(page, "notification-light")


def test_a_new_job_appears(open_lab: OpenLab, service: Standin) -> None:
    """A job that a notebook submits comes to the top of the list by itself."""
    service.jobs = []
    page = open_lab()
    _panel(page)
    expect(page.get_by_text("No jobs yet. Try")).to_be_visible()
    fresh = job("ghz-3", "aer", "running", started=datetime.now(UTC))
    service.jobs = [fresh]
    service.emit("job.moved", fresh.model_dump(mode="json"), fresh.id)
    expect(page.locator("[data-job]")).to_contain_text("ghz-3")


def test_lab_says_when_the_service_is_gone(open_lab: OpenLab, service: Standin, shot: Shot) -> None:
    """Offline: the last value with its time; back by itself."""
    page = open_lab()
    _panel(page)
    expect(page.locator("[data-device]")).to_have_count(4)
    service.stop()
    button = page.locator(".jq-Quota")
    expect(button).to_have_text(re.compile(r"^12\.40 cr at \d\d:\d\d$"))
    expect(button).to_have_accessible_name(re.compile(r"^Offline; value of \d\d:\d\d"))
    expect(page.locator(".jq-Notice")).to_contain_text("Jobs continue there; this view catches up by itself.")
    shot(page, "offline-light")
    service.quota = quota(11.0, 0)
    service.start()
    expect(button).to_contain_text("11.00 cr", timeout=45_000)
    expect(page.locator(".jq-Notice")).to_have_count(0)


def test_lab_starts_without_the_service(open_lab: OpenLab, service: Standin, shot: Shot) -> None:
    """Lab comes up, and says so in the status bar and the panel."""
    service.stop()
    page = open_lab()
    expect(page.locator(".jq-Quota")).to_have_text("quantum offline")
    _panel(page)
    expect(page.locator(".jq-Notice")).to_contain_text("Quantum service unreachable since")
    shot(page, "offline-at-start-light")
    service.start()
    expect(page.locator(".jq-Quota")).to_contain_text("12.40 cr", timeout=45_000)


def test_near_and_over(open_lab: OpenLab, service: Standin, shot: Shot) -> None:
    """The chip turns red near the limit and at it, with a word for each; reaching it is told."""
    service.quota = quota(0.90, 0)
    page = open_lab("JupyterLab Dark")
    button = page.locator(".jq-Quota")
    expect(button).to_have_attribute("data-state", "near")
    expect(button).to_have_accessible_name(re.compile("^Nearly used up: 0.90 of 50 credits left"))
    shot(page, "near-dark")
    service.quota = quota(0, 0)
    service.emit("quota.changed", service.quota.model_dump(mode="json"))
    expect(button).to_have_text("0 cr · until 1 Dec")
    expect(button).to_have_accessible_name(re.compile("^Used up until 1 December"))
    expect(page.get_by_text("Your quantum credits are used up until 1 December.")).to_be_visible()
    _panel(page)
    shot(page, "over-dark")


def test_a_lead_sees_what_waits(open_lab: OpenLab, service: Standin, shot: Shot) -> None:
    """Leads get a list of approvals that leads to the hub's page; nothing is decided in Lab."""
    service.me = service.me.model_copy(update={"name": "grace", "projects": {"qcourse": "lead"}})
    service.jobs = [one.model_copy(update={"owner": "grace"}) for one in service.jobs[3:5]]
    held = job("bell", "campus_qpu", "awaiting_approval", price=6_100_000, price_at_most=6_580_000)
    service.approvals = [approval(held)]
    page = open_lab()
    _panel(page)
    row = page.locator("[data-approval]")
    expect(row).to_contain_text("ada: bell")
    expect(row).to_contain_text("6.10 credits, at most 6.58 · expires in 3 h 40 min")
    expect(row).to_contain_text("“Last figure for the thesis”")
    expect(page.get_by_role("link", name="Decide on the hub page")).to_have_attribute("href", "/services/quantum/")
    expect(page.locator(".jq-Panel").get_by_role("button", name="Approve")).to_have_count(0)
    shot(page, "lead-light")


def test_narrow(open_lab: OpenLab, service: Standin, shot: Shot) -> None:
    """At 250 px nothing is cut off sideways, in a small window too."""
    hostile = "<img src=x onerror=alert(1)>" + "long" * 40
    service.jobs = [service.jobs[0].model_copy(update={"name": hostile}), *service.jobs[1:]]
    page = open_lab("JupyterLab Dark", width=640, height=900)
    _panel(page)
    expect(page.locator("[data-job]").first).to_contain_text("<img src=x onerror=alert(1)>")
    wide = page.evaluate(
        "[...document.querySelectorAll('.jq-Section, .jq-Head')].filter(e => e.scrollWidth > e.clientWidth).length"
    )
    assert wide == 0
    panel, head = (page.locator(place).bounding_box() for place in (".jq-Panel", ".jq-Head"))
    assert panel is not None
    assert head is not None
    assert panel["width"] <= 260
    assert head["height"] <= 150
    shot(page, "narrow-dark")


def test_keyboard_only(open_lab: OpenLab, service: Standin, shot: Shot) -> None:
    """The status bar's button, a job's menu and cancelling work without a pointer; focus comes back."""
    page = open_lab()
    page.locator(".jq-Quota").focus()
    page.keyboard.press("Enter")
    more = page.get_by_role("button", name=re.compile("Actions for vqe-7"))
    more.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Cancel job")).to_be_visible()
    shot(page, "menu-light")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator(f"[data-job={service.jobs[1].id}]")).to_contain_text("cancelled")
    expect(page.get_by_role("button", name=re.compile("Actions for vqe-7"))).to_be_focused()


def test_notebook_commands(open_lab: OpenLab, service: Standin, shot: Shot) -> None:
    """The launcher's card opens tutorial 01; *Promote circuit* and *Open result code* write the cell one would."""
    page = open_lab()
    page.locator(".jp-LauncherCard", has_text="Quantum tutorials").click()
    expect(page.locator(".jp-Cell").first).to_contain_text("bell = QuantumCircuit(2)", timeout=30_000)
    expect(page.locator("#jp-main-statusbar")).to_contain_text(re.compile(r"\|\s*Idle"), timeout=60_000)
    page.locator(".jp-Cell").first.click()
    page.keyboard.press("Control+Shift+C")
    page.locator("#modal-command-palette input").fill("Promote circuit")
    expect(page.locator("#modal-command-palette .lm-mod-active")).to_contain_text("Promote circuit")
    page.keyboard.press("Enter")
    expect(page.locator(".jp-Cell").nth(1)).to_contain_text("promote(bell)")
    expect(page.locator(".jp-Cell").nth(1)).to_contain_text("from jupyter_quantum import promote")
    _panel(page)
    done = next(one for one in service.jobs if one.state == "completed")
    page.locator(f"[data-job={done.id}] .jq-More").click()
    page.get_by_role("menuitem", name="Open result code").click()
    expect(page.locator(".jp-Cell").nth(2)).to_contain_text(f'Hub().job("{done.id}")')
    shot(page, "notebook-light")


def test_the_filter(open_lab: OpenLab) -> None:
    """The filter finds jobs by device, and says so when none matches."""
    page = open_lab()
    _panel(page)
    page.locator(".jq-Filter input").fill("fake_fez")
    expect(page.locator("[data-job]")).to_have_count(1)
    page.locator(".jq-Filter input").fill("nothing like this")
    expect(page.get_by_text("No job matches.")).to_be_visible()


def test_accessible(open_lab: OpenLab, service: Standin, axe: str) -> None:
    """axe-core finds nothing serious in the status bar's button and the panel: light, dark, high contrast."""
    held = job("bell", "campus_qpu", "awaiting_approval", price=6_100_000)
    service.me = service.me.model_copy(update={"projects": {"qcourse": "lead"}})
    service.approvals = [approval(held)]
    page = open_lab()
    _panel(page)
    expect(page.locator("[data-approval]")).to_be_visible()
    page.mouse.move(700, 300)
    page.evaluate(axe)
    for theme in ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"):
        change_theme(page, theme)
        found = page.evaluate(AXE_RUN)
        assert found == [], theme
