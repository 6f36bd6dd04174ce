"""Driving Jupyter in Chromium the way a person does: sign in, open, run, wait, look."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Locator, Page, expect

ARTIFACTS: Final = Path(__file__).resolve().parents[1] / "artifacts"
KEPT: Final = {"widget-light": "promotion"}
"""Pictures that the README shows, and their names in ``screenshots``."""
Cells = list[tuple[int | None, str, list[dict[str, Any]]]]
"""Number, source and outputs of code cells."""
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
        waiting = [source for number, source, _ in succeeded(page) if number is None]
        if not waiting:
            return
        assert time.monotonic() < deadline, f"did not run:\n{waiting[0]}"


def saved_cells(page: Page) -> Cells:
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


def succeeded(page: Page) -> Cells:
    """The same; fails where a cell did."""
    cells = saved_cells(page)
    for _, source, outputs in cells:
        errors = [output for output in outputs if output["output_type"] == "error"]
        assert not errors, f"{source}\n{errors[0]['ename']}: {errors[0]['evalue']}"
    return cells


def picture(page: Page, name: str) -> Path:
    """Save a screenshot of what is on screen as ``tests/artifacts/<name>.png``.

    With JUPYTER_QUANTUM_PICTURES=1 the README's pictures are renewed as well.
    """
    ARTIFACTS.mkdir(exist_ok=True)
    path = ARTIFACTS / f"{name}.png"
    page.screenshot(path=path)
    if name in KEPT and os.environ.get("JUPYTER_QUANTUM_PICTURES") == "1":
        shutil.copy(path, Path(__file__).with_name("screenshots") / f"{KEPT[name]}.png")
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


def menu(page: Page, *entries: str) -> None:
    """Choose an entry of Lab's menus: the menu's name, then the entry."""
    page.locator("#jp-MainMenu").get_by_text(entries[0], exact=True).click()
    for entry in entries[1:]:
        page.get_by_role("menuitem", name=entry).first.click()


def restart_kernel(page: Page) -> None:
    """Kernel → Restart Kernel…, confirmed."""
    menu(page, "Kernel", "Restart Kernel…")
    page.locator(".jp-Dialog").locator(".jp-mod-accept").click()
    page.locator(".jp-Dialog").wait_for(state="detached")
    page.wait_for_timeout(1000)  # until then the status bar tells of the kernel that is gone
    kernel_idle(page)


def run_above(page: Page, text: str) -> Locator:
    """Clear all outputs, run everything above the cell that holds ``text``; returns that cell, selected."""
    menu(page, "Edit", "Clear Outputs of All Cells")
    show(page, text).locator(".cm-content").click()
    above: list[int | None] = []
    deadline = time.monotonic() + RUN_MS / 1000
    while not above or None in above:
        if not any(above):  # a menu that opens while Lab is busy may swallow the click
            menu(page, "Run", "Run All Above Selected Cell")
            page.wait_for_timeout(500)
        kernel_idle(page)
        cells = succeeded(page)
        above = [number for number, _, _ in cells][: [text in source for _, source, _ in cells].index(True)]
        assert time.monotonic() < deadline, f"did not run: {above}"
    return show(page, text)


def show(page: Page, text: str) -> Locator:
    """Scroll to the first code cell that holds ``text``: Lab draws only what is near."""
    found = cell(page, text)
    for step in range(21):
        if found.count():
            break
        scroll_to(page, step / 20)
    for _ in range(10):  # what comes into sight is measured, and moves the rest
        found.evaluate("cell => cell.scrollIntoView({ block: 'start' })")
        page.wait_for_timeout(200)
        box = found.bounding_box()
        if box is not None and 80 <= box["y"] <= 200:
            break
    return found


def scroll_to(page: Page, share: float) -> None:
    """Scroll the notebook in front to a share (0…1) of its length."""
    notebook(page).locator(".jp-WindowedPanel-outer").evaluate(
        "(panel, share) => { panel.scrollTop = share * panel.scrollHeight; }", share
    )
    page.wait_for_timeout(300)
