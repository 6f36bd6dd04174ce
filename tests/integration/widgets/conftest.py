"""The promotion widget in a real browser, joined to its Python side by a small model instead of Lab's comms."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from jupyter_quantum.lab import widgets
from jupyter_quantum.lab.widgets.promotion import Promotion
from jupyter_quantum.lab.widgets.widget import PromotionWidget
from jupyter_quantum.testing.door import MemoryDoor

ROOT = Path(__file__).parents[3]
ARTIFACTS = ROOT / "tests" / "artifacts" / "widgets"
PLACE = Path(widgets.__file__).parent
ORIGIN = "http://widget.test"
TRAITS = ("table", "plots", "job", "note", "offline", "selected", "prefer", "busy", "done")

THEMES = {
    "light": {
        "--jp-layout-color1": "white",
        "--jp-layout-color4": "#757575",
        "--jp-ui-font-color1": "rgba(0, 0, 0, 0.87)",
        "--jp-ui-font-color2": "rgba(0, 0, 0, 0.54)",
        "--jp-border-color2": "#e0e0e0",
        "--jp-accept-color-normal": "#1976d2",
        "--jp-content-link-color": "#0d47a1",
    },
    "dark": {
        "--jp-layout-color1": "#111",
        "--jp-layout-color4": "#757575",
        "--jp-ui-font-color1": "rgba(255, 255, 255, 1)",
        "--jp-ui-font-color2": "rgba(255, 255, 255, 0.7)",
        "--jp-border-color2": "#424242",
        "--jp-accept-color-normal": "#1976d2",
        "--jp-content-link-color": "#42a5f5",
    },
}
"""What JupyterLab's two themes set."""

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Widget</title>
<link rel="stylesheet" href="/promote.css"><style>:root{%s} body{margin:8px;font-family:system-ui,sans-serif;
background:var(--jp-layout-color1)}</style></head><body><main id="root"></main><script type="module">
import widget from "/promote.js";
const heard = new Map(), state = %s, dirty = {};
const emit = (name) => (heard.get(name) ?? []).forEach((call) => call());
window.push = (changes) => {
  Object.assign(state, changes);
  Object.keys(changes).forEach((name) => emit("change:" + name));
};
window.emit = emit;
const model = {
  get: (name) => state[name],
  set: (name, value) => { state[name] = value; dirty[name] = value; },
  save_changes: () => { window.toPython({ method: "set", value: { ...dirty } }); },
  send: (value) => { window.toPython({ method: "send", value }); },
  on: (name, call) => heard.set(name, [...(heard.get(name) ?? []), call]),
  off: (name, call) => heard.set(name, (heard.get(name) ?? []).filter((one) => one !== call)),
};
window.cleanup = widget.render({ model, el: document.getElementById("root") });
window.ready = true;
</script></body></html>"""


class Stage:
    """One widget on one page."""

    def __init__(self, page: Page, door: MemoryDoor, theme: str) -> None:
        self.page, self.door, self.theme = page, door, theme
        self.promotion = Promotion(door, "circuit")
        self.promotion._early.join()
        self.widget = PromotionWidget(self.promotion)
        self._sent: dict[str, Any] = self._state()
        page.expose_function("toPython", self._heard)
        page.route(f"{ORIGIN}/**", self._serve)
        page.goto(f"{ORIGIN}/")
        page.wait_for_function("window.ready === true")

    def _state(self) -> dict[str, Any]:
        return {name: json.loads(json.dumps(getattr(self.widget, name))) for name in TRAITS}

    def _serve(self, route: Any) -> None:
        path = route.request.url.removeprefix(ORIGIN)
        if path == "/":
            theme = ";".join(f"{name}:{value}" for name, value in THEMES[self.theme].items())
            state = json.dumps(self._sent).replace("<", "\\u003c")
            route.fulfill(body=PAGE % (theme, state), content_type="text/html")
        elif (PLACE / path.strip("/")).is_file():
            kind = "text/javascript" if path.endswith("js") else "text/css"
            route.fulfill(body=(PLACE / path.strip("/")).read_text(), content_type=kind)
        else:
            route.fulfill(status=204, body="")

    def _heard(self, message: dict[str, Any]) -> None:
        if message["method"] == "send":
            self.widget._heard(None, message["value"], None)
            return
        for name, value in message["value"].items():
            setattr(self.widget, name, value)

    def sync(self) -> None:
        """Send what changed in Python to the page."""
        now = self._state()
        changed = {name: value for name, value in now.items() if value != self._sent[name]}
        self._sent = now
        if changed:
            self.page.evaluate("changes => push(changes)", changed)
            self.page.evaluate("() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")

    def until(self, said: Callable[[], bool], seconds: float = 10.0) -> None:
        """Keep both sides joined until ``said`` holds."""
        ends = time.monotonic() + seconds
        while True:
            self.sync()
            if said():
                self.sync()
                return
            assert time.monotonic() < ends, self.page.locator("main").inner_text()
            self.page.wait_for_timeout(20)

    def sees(self, text: str) -> None:
        """Wait until the page shows ``text``."""
        self.until(lambda: text in self.page.locator("main").inner_text())

    def shot(self, name: str) -> Path:
        """A picture of the page, for people to look at."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        self.page.screenshot(path=path, full_page=True)
        return path


@pytest.fixture
def stage(browser: Browser) -> Iterator[Callable[..., Stage]]:
    """Makes stages: ``stage(door, theme="dark", width=320)``."""
    contexts = []

    def make(door: MemoryDoor | None = None, *, theme: str = "light", width: int = 900, **context: Any) -> Stage:
        contexts.append(browser.new_context(viewport={"width": width, "height": 600}, **context))
        return Stage(contexts[-1].new_page(), door or MemoryDoor(), theme)

    yield make
    for context in contexts:
        context.close()
