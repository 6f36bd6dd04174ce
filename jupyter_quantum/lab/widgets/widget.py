"""The anywidget of a promotion: shows what it says, and turns clicks into its acts."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from jupyter_quantum.exceptions import QuantumError
from jupyter_quantum.lab.widgets.rows import PREFERENCES
from jupyter_quantum.lab.widgets.shown import Acting

__all__ = ["PromotionWidget", "show"]

_HERE: Final = Path(__file__).parent


class PromotionWidget(anywidget.AnyWidget):
    """State for the browser: words and charts, ready to be placed. Acts come back as messages ``{"do": …}``."""

    _esm = _HERE / "promote.js"
    _css = _HERE / "promote.css"

    table = traitlets.Dict().tag(sync=True)
    plots = traitlets.Dict().tag(sync=True)
    job = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)
    note = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)
    offline = traitlets.Unicode("").tag(sync=True)
    selected = traitlets.Unicode("").tag(sync=True)
    prefer = traitlets.Unicode("fidelity").tag(sync=True)
    busy = traitlets.Unicode("").tag(sync=True)
    """What is being done right now, in words."""
    done = traitlets.Int(0).tag(sync=True)
    """How many acts have been answered: the browser's button becomes active again."""

    def __init__(self, promotion: Acting) -> None:
        self._promotion = promotion
        self._act_lock = threading.Lock()
        super().__init__(**self._state())
        self.on_msg(self._heard)
        self.observe(self._chosen, names=["selected", "prefer", "note"])
        promotion.on_change(self.refresh)

    def _state(self) -> dict[str, Any]:
        told = self._promotion
        return {
            "table": told.table(),
            "plots": told.plots(),
            "job": told.card(),
            "note": told.note,
            "offline": told.offline,
            "selected": told.selected or "",
            "prefer": told.prefer,
        }

    def refresh(self) -> None:
        """Take over what the promotion says now; only what differs is sent."""
        with self.hold_sync():
            for name, value in self._state().items():
                if getattr(self, name) != value:
                    setattr(self, name, value)

    def _chosen(self, change: dict[str, Any]) -> None:
        if change["name"] == "note":
            self._promotion.note = change["new"]
        elif change["name"] == "prefer" and change["new"] in PREFERENCES:
            self._promotion.prefer = change["new"]
        elif change["name"] == "selected" and any(row["device"] == change["new"] for row in self.table["rows"]):
            self._promotion.select(change["new"])

    def _heard(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        acts = self._acts(content if isinstance(content, dict) else {})
        found = acts.get(str(content.get("do"))) if isinstance(content, dict) else None
        if found is not None:
            words, act = found
            threading.Thread(target=self._do, args=(words, act), name="promotion-act", daemon=True).start()

    def _acts(self, content: dict[str, Any]) -> dict[str, tuple[str, Callable[[], object]]]:
        told = self._promotion
        device = str(content.get("device") or told.selected or "")
        reason = str(content.get("reason") or "").strip()[:1000] or None
        shots = content.get("shots")
        return {
            "submit": ("Submitting…", lambda: told.submit(device, reason=reason)),
            "retry": ("Submitting…", lambda: told.submit(device)),
            "cancel": ("Cancelling…", told.cancel),
            "replay": ("Submitting…", told.replay),
            "bundle": ("Saving…", told.bundle),
            "again": ("Validating…", told.again),
            "shots": ("Validating…", lambda: told.validate(shots=shots if isinstance(shots, int) else None)),
            "dry_run": ("", lambda: told.dry_run(device)),
        }

    def _do(self, words: str, act: Callable[[], object]) -> None:
        with self._act_lock if words else contextlib.nullcontext():
            if words:
                self.busy = words
            try:
                act()
            except QuantumError as error:
                self._promotion.tell_error(error)
            finally:
                if words:
                    self.busy = ""
                    self.done += 1


def show(widget: PromotionWidget) -> dict[str, Any]:
    """The part of a MIME bundle that shows the widget."""
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle or {}
    return {name: value for name, value in data.items() if name.startswith("application/")}
