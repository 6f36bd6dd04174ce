"""axe-core on the hub page of a real hub: each role, light and dark, wide and at 320 px."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from qiskit import QuantumCircuit

from jupyter_quantum import Hub
from jupyter_quantum.testing.demo import DemoHub
from tests.acceptance.browser import log_in, picture

pytestmark = pytest.mark.acceptance
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
OPTIONS = {"runOnly": {"type": "tag", "values": RULES}, "rules": {"target-size": {"enabled": True}}}
REASON = "For the accessibility test"


@pytest.fixture(scope="module")
def request_of_ben(demo: DemoHub) -> Iterator[str]:
    """A request that waits, with a dry run; withdrawn at the end."""
    bell = QuantumCircuit(2, name="bell")
    bell.h(0)
    bell.cx(0, 1)
    bell.measure_all()
    hub = Hub(url=demo.service, token=demo.token("ben"))
    report = hub.report(bell, shots=1000, devices=["campus_qpu"], dry_run="campus_qpu")
    job = hub.submit(report, "campus_qpu", reason=REASON)
    yield job.job_id()
    job.cancel()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ben", "grace", "otto"])
def test_the_hub_page_is_accessible(
    demo: DemoHub, request_of_ben: str, person: Callable[..., Page], axe: str, name: str, dark: bool
) -> None:
    """axe-core finds nothing with everything unfolded, and nothing is wider than the page."""
    page = person(dark=dark)
    log_in(page, f"{demo.url}services/quantum/", name, demo.passwords[name])
    expect(page.locator("#device-aer")).to_be_visible()
    if name == "grace":
        expect(page.locator("article", has_text=REASON)).to_contain_text("ben: bell on campus_qpu")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.wait_for_timeout(300)  # the colours' transition
    page.evaluate(axe)
    for width in (1280, 320):
        page.set_viewport_size({"width": width, "height": 900})
        picture(page, f"hub-{name}-{'dark' if dark else 'light'}-{width}")
        found = page.evaluate("options => axe.run(document, options)", OPTIONS)
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_of_benchmarks_is_accessible_and_shows_a_run(
    demo: DemoHub, person: Callable[..., Page], axe: str
) -> None:
    """An operator begins a run; it appears by itself, for members too, as a file as well, and axe finds nothing."""
    page = person(dark=False)
    log_in(page, f"{demo.url}services/quantum/series", "otto", demo.passwords["otto"])
    page.get_by_role("button", name="Run now on fake_torino").click()
    section = page.get_by_role("region", name="fake_torino emulator")
    expect(section).to_contain_text("A run is under way since")
    expect(section.get_by_role("img")).to_have_accessible_name(
        re.compile("1 run; the latest scored 0"), timeout=120_000
    )
    expect(page.get_by_role("region", name="Leaderboard")).to_contain_text("fake_torino")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download every figure as CSV").click()
    assert len(download.value.path().read_text().splitlines()) == 21
    member = person(dark=True)
    log_in(member, f"{demo.url}services/quantum/series", "ben", demo.passwords["ben"])
    expect(member.get_by_role("button", name="Run now")).to_have_count(0)
    for name, shown in (("otto-light", page), ("ben-dark", member)):
        shown.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        shown.wait_for_timeout(300)
        shown.evaluate(axe)
        for width in (1280, 320):
            shown.set_viewport_size({"width": width, "height": 900})
            picture(shown, f"series-{name}-{width}")
            found = shown.evaluate("options => axe.run(document, options)", OPTIONS)
            assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
            assert shown.evaluate("document.documentElement.scrollWidth") <= width
