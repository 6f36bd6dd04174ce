"""Browser profiles, and demo hubs of one's own for tests of its beginning and end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.acceptance.browser import ARTIFACTS

_READY_S = 200


@dataclass(frozen=True)
class Demo:
    """A running ``jupyter quantum demo``."""

    url: str
    passwords: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path


def start_demo(folder: Path, *options: str) -> Demo:
    """Start the command, wait for its ready file."""
    ready, log = folder / "ready.json", folder / "demo.log"
    program = Path(sys.executable).with_name("jupyter-quantum")
    command = [program, "demo", "--port", "0", "--ready-file", ready, *options]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder)
    deadline = time.monotonic() + _READY_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"The demo did not become ready:\n{log.read_text()}")
        time.sleep(0.1)
    told = json.loads(ready.read_text())
    return Demo(told["url"], {user["name"]: user["password"] for user in told["users"]}, process, log)


Open = Callable[..., Page]


@pytest.fixture
def person(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Open a browser profile of its own: ``person(dark=True, width=320)`` gives a page."""
    contexts = []

    def open_page(*, dark: bool = False, width: int = 1280, height: int = 900) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(30_000)
        contexts.append(context)
        return context.new_page()

    yield open_page
    for number, context in enumerate(contexts):
        for page in context.pages:
            ARTIFACTS.mkdir(exist_ok=True)
            page.screenshot(path=ARTIFACTS / f"last-{request.node.name}-{number}.png")
        context.close()
