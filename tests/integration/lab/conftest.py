"""A real Lab with our extension in Chromium, on a stand-in service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.unit.lab.server import LOGIN, Server
from tests.unit.lab.standin import Standin

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts" / "lab"
OpenLab = Callable[..., Page]

NOTEBOOK = {
    "cells": [
        {
            "id": "first",
            "cell_type": "code",
            "metadata": {},
            "source": "from qiskit import QuantumCircuit\n\nbell = QuantumCircuit(2)\nbell.h(0)",
            "outputs": [],
            "execution_count": None,
        }
    ],
    "metadata": {"kernelspec": {"name": "quantum-sandbox", "display_name": "Quantum Sandbox", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture(scope="module")
def standin() -> Iterator[Standin]:
    """The service of this module's tests."""
    standin = Standin()
    yield standin
    standin.close()


@pytest.fixture
def service(standin: Standin) -> Iterator[Standin]:
    """The stand-in as at the beginning, and running again afterwards."""
    standin.reset()
    yield standin
    if not standin.listens:
        standin.start()


@pytest.fixture(scope="module")
def lab(standin: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Lab with one tutorial."""
    home = tmp_path_factory.mktemp("home")
    (home / "01-first-circuit.ipynb").write_text(json.dumps(NOTEBOOK))
    server = Server(home, standin.url, "lab")
    yield server
    server.close()


@pytest.fixture
def open_lab(lab: Server, service: Standin, browser: Browser) -> Iterator[OpenLab]:
    """Opens Lab in a new page of some width and theme."""
    pages: list[Page] = []

    def open_page(theme: str = "JupyterLab Light", width: int = 1280, height: int = 800) -> Page:
        _settings(lab.home, theme)
        page = browser.new_page(viewport={"width": width, "height": height})
        pages.append(page)
        page.goto(f"{lab.url}lab?reset&token={LOGIN}")
        page.locator("#jupyterlab-splash").wait_for(state="detached", timeout=60_000)
        page.locator(".jq-Quota").wait_for(timeout=20_000)
        page.locator(".jp-LauncherCard").first.wait_for(timeout=20_000)
        return page

    yield open_page
    for page in pages:
        page.close()


def change_theme(page: Page, theme: str) -> None:
    """Change Lab's theme without a reload."""
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
    page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=theme)
    page.wait_for_timeout(200)  # its style sheet


def _settings(home: Path, theme: str) -> None:
    folder = home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension"
    folder.mkdir(parents=True, exist_ok=True)
    quiet = {"checkForUpdates": False, "fetchNews": "false"}
    for name, values in (("themes", {"theme": theme}), ("notification", quiet)):
        (folder / f"{name}.jupyterlab-settings").write_text(json.dumps(values))


@pytest.fixture
def shot() -> Callable[[Page, str], None]:
    """Keeps a picture for people to look at."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    return lambda page, name: page.screenshot(path=str(ARTIFACTS / f"{name}.png")) and None
