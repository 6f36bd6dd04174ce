"""Driving Jupyter in Chromium the way a person does: sign in, open, run, wait, look."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Locator, Page, expect

ARTIFACTS: Final = Path(__file__).resolve().parents[1] / "artifacts"
SPAWN_MS: Final = 90_000
RUN_MS: Final = 120_000


def log_in(page: Page, url: str, name: str, password: str) -> None:
    """Sign in on the hub's page; ends wherever the hub leads."""
    page.goto(url)
    page.locator("#username_input").fill(name)
    page.locator("#password_input").fill(password)
    page.locator("#login_submit").click()


def wait_for_lab(page: Page, name: str) -> None:
    """Wait until the user's Lab is open and its splash screen gone."""
    page.wait_for_url(f"**/user/{name}/lab**", timeout=SPAWN_MS)
    page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=SPAWN_MS)
    page.locator("#jp-main-statusbar").wait_for(timeout=SPAWN_MS)


def enter_lab(page: Page, url: str, name: str, password: str) -> None:
    """Sign in and wait for Lab."""
    log_in(page, url, name, password)
    wait_for_lab(page, name)


def open_notebook(page: Page, notebook: str) -> None:
    """Open a notebook from the file browser and wait until its kernel is idle."""
    page.locator(".jp-DirListing-item", has_text=notebook).dblclick()
    page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook").wait_for(timeout=SPAWN_MS)
    kernel_idle(page)


def kernel_idle(page: Page, timeout_ms: int = RUN_MS) -> None:
    """Wait until the status bar says that the kernel is idle; the notebook's own indicator lies at first."""
    expect(page.locator("#jp-main-statusbar")).to_contain_text(re.compile(r"\|\s*Idle"), timeout=timeout_ms)


def cell(page: Page, text: str) -> Locator:
    """The first code cell whose source holds ``text``."""
    return notebook(page).locator(".jp-CodeCell").filter(has=page.locator(".jp-InputArea", has_text=text)).first


def notebook(page: Page) -> Locator:
    """The notebook in front."""
    return page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")


def run_cell(page: Page, text: str, timeout_ms: int = RUN_MS) -> Locator:
    """Run the cell that holds ``text``; returns it once its execution count is there."""
    found = cell(page, text)
    found.scroll_into_view_if_needed()
    found.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    expect(found.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"), timeout=timeout_ms)
    return found


def run_all(page: Page, timeout_ms: int = RUN_MS) -> None:
    """Run all cells and wait until the kernel is idle again; fails where a cell did."""
    page.locator("#jp-MainMenu").get_by_text("Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    deadline = time.monotonic() + timeout_ms / 1000
    while True:
        kernel_idle(page, timeout_ms)  # it is idle for a moment between two cells as well
        cells = saved_cells(page)
        for _, source, outputs in cells:
            errors = [output for output in outputs if output["output_type"] == "error"]
            assert not errors, f"{source}\n{errors[0]['ename']}: {errors[0]['evalue']}"
        waiting = [source for number, source, _ in cells if number is None]
        if not waiting:
            return
        assert time.monotonic() < deadline, f"did not run:\n{waiting[0]}"


def saved_cells(page: Page) -> list[tuple[int | None, str, list[dict[str, Any]]]]:
    """The code cells of the notebook in front as saved: number, source, outputs. Lab draws only those in sight."""
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    page.wait_for_timeout(1000)
    name = page.locator(".jp-mod-current .lm-TabBar-tabLabel").first.inner_text()
    base = re.match(r"https?://[^/]+/user/[^/]+/", page.url)
    assert base
    answer = page.request.get(f"{base[0]}api/contents/{name}?content=1")
    cells = answer.json()["content"]["cells"]
    return [(one["execution_count"], one["source"], one["outputs"]) for one in cells if one["cell_type"] == "code"]


def picture(page: Page, name: str) -> Path:
    """Save a screenshot of what is on screen as ``tests/artifacts/<name>.png``."""
    ARTIFACTS.mkdir(exist_ok=True)
    path = ARTIFACTS / f"{name}.png"
    page.screenshot(path=path)
    return path


def open_terminal(page: Page) -> None:
    """A terminal of Lab, with the focus in it."""
    page.locator("#jp-MainMenu").get_by_text("File", exact=True).click()
    page.get_by_text("New", exact=True).hover()
    page.get_by_role("menuitem", name="Terminal").click()
    page.locator(".jp-Terminal .xterm-screen").wait_for(timeout=RUN_MS)
    page.locator(".jp-Terminal").click()
    page.wait_for_timeout(1000)  # the shell's prompt cannot be seen from outside: it is painted on a canvas


def theme(page: Page, name: str) -> None:
    """Choose one of Lab's themes by its menu entry, such as ``JupyterLab Dark``."""
    wanted = "false" if "Dark" in name else "true"
    for _ in range(3):  # a menu that opens while Lab is busy may swallow the click
        page.locator("#jp-MainMenu").get_by_text("Settings", exact=True).click()
        page.get_by_text("Theme", exact=True).hover()
        page.get_by_role("menuitem", name=name, exact=True).click()
        page.wait_for_timeout(1000)
        if page.locator("body").get_attribute("data-jp-theme-light") == wanted:
            return
        page.keyboard.press("Escape")
    raise AssertionError(f"Lab did not change to {name}")


def scroll_to(page: Page, share: float) -> None:
    """Scroll the notebook in front to a share (0…1) of its length."""
    notebook(page).locator(".jp-WindowedPanel-outer").evaluate(
        "(panel, share) => { panel.scrollTop = share * panel.scrollHeight; }", share
    )
    page.wait_for_timeout(500)
