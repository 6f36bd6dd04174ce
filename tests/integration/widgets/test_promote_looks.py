"""Every state of the promotion widget, in both themes and two widths: accessible, and pictured for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import PolicyRefused, Unavailable
from jupyter_quantum.testing.door import MemoryDoor

from .conftest import Stage


def ready(_: Stage) -> None:
    """As it opens."""


def approval(stage: Stage) -> None:
    """A device that asks for a lead, and its reasons."""
    stage.page.get_by_role("radio", name="campus_qpu").check()
    stage.page.get_by_text("Why?").click()
    stage.until(lambda: len(stage.widget.plots) == 2)


def drained(stage: Stage) -> None:
    """A device that takes no jobs."""
    stage.page.get_by_role("radio", name="old_qpu").check()


def refused(stage: Stage) -> None:
    """Too many shots: the fix in place of the submission."""
    stage.promotion.validate(shots=20_000)
    stage.sees("Use 10")


def error(stage: Stage) -> None:
    """The service says no to the submission itself."""
    stage.door.refusal = PolicyRefused(
        "This run may cost 0.45 credits; 0.20 are left until 1 December.",
        code="quota.exceeded",
        hint="Use fewer shots, or choose aer (free).",
    )
    stage.page.get_by_role("button", name="Submit to").click()
    stage.sees("0.20 are left")


def submit(stage: Stage, device: str = "fake_torino") -> None:
    stage.page.get_by_role("radio", name=device).check()
    stage.page.locator(".jq-primary").click()
    stage.until(lambda: stage.widget.job is not None and stage.widget.done > 0)


def asked(stage: Stage) -> None:
    """Waits for a person."""
    submit(stage, "campus_qpu")


def waiting(stage: Stage) -> None:
    """Waits for the device."""
    submit(stage)


def running(stage: Stage) -> None:
    """On the device."""
    submit(stage)
    stage.door.move(JobState.RUNNING, started=datetime.now(UTC) - timedelta(seconds=4), wait=None)
    stage.sees("running")


def done(stage: Stage) -> None:
    """With its counts."""
    submit(stage)
    stage.door.move(JobState.RUNNING, started=datetime.now(UTC) - timedelta(seconds=4), wait=None)
    stage.door.move(JobState.COMPLETED, cost=412_000, seconds=3.9)
    stage.sees("Done in 3.9 s")
    stage.sees("Result of")


def failed(stage: Stage) -> None:
    """Without counts."""
    submit(stage)
    error = {"error": "JobFailed", "code": "device.gone", "message": "The device stopped answering."}
    stage.door.move(JobState.FAILED, error=error, cost=0, attempts=2)
    stage.sees("stopped answering")


def rejected(stage: Stage) -> None:
    """A lead said no."""
    submit(stage, "campus_qpu")
    error = {
        "error": "JobRejected",
        "code": "approval.rejected",
        "message": 'Rejected by grace: "Use the emulator first."',
    }
    stage.door.move(JobState.REJECTED, error=error, cost=0)
    stage.sees("Rejected by grace")


def cancelled(stage: Stage) -> None:
    """Taken back."""
    submit(stage)
    stage.page.get_by_role("button", name="Cancel").click()
    stage.sees("Nothing was charged")


def offline(stage: Stage) -> None:
    """Nobody answers."""
    submit(stage)
    stage.door.away = Unavailable("The quantum service does not answer.")
    stage.door.wake()
    stage.sees("unreachable since")


STATES: dict[str, Callable[[Stage], None]] = {
    one.__name__: one
    for one in (
        ready, approval, drained, refused, error, asked, waiting, running, done, failed, rejected, cancelled, offline,
    )
}  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_state_is_accessible(stage: Callable[..., Stage], axe: str, state: str, theme: str) -> None:
    """axe-core finds nothing, and nothing is wider than the page; as a table and as cards."""
    shown = stage(theme=theme)
    STATES[state](shown)
    shown.page.evaluate(axe)
    for width in (900, 320):
        shown.page.set_viewport_size({"width": width, "height": 600})
        shown.shot(f"{state}-{theme}-{width}")
        options = {"runOnly": {"type": "tag", "values": RULES}, "rules": {"target-size": {"enabled": True}}}
        found = shown.page.evaluate("options => axe.run(document.querySelector('main'), options)", options)
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
        assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_greyscale_and_forced_colours(stage: Callable[..., Stage]) -> None:
    """The result also reads without colour, and with the reader's own colours."""
    shown = stage()
    done(shown)
    shown.page.add_style_tag(content="html{filter:grayscale(1)}")
    shown.shot("done-greyscale-900")
    forced = stage(forced_colors="active", color_scheme="dark")
    approval(forced)
    forced.shot("approval-forced-900")


def test_names_are_text(stage: Callable[..., Stage]) -> None:
    """A name with markup, right-to-left text and 200 characters is shown as it is, and nothing of it runs."""
    name = '<img src=x onerror="window.hacked=1">' + "\u05d0\u05d1\u05d2" + "n" * 150
    shown = stage(MemoryDoor(name=name), width=320)
    shown.sees("<img src=x")
    done(shown)
    shown.shot("hostile-light-320")
    assert shown.page.evaluate("window.hacked === undefined")
    assert shown.page.locator("main img").count() == 0
    assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
