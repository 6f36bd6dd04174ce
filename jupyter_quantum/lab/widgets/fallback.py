"""A promotion without JavaScript: complete text, and HTML of ``table meter details time`` only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from jupyter_quantum.client.html import Html, clean, columns, details, esc, table
from jupyter_quantum.lab.widgets.shown import Shown

__all__ = ["GLYPHS", "html", "text"]

GLYPHS: Final = {
    "ok": "✓",
    "approval": "◆",
    "limit": "▲",
    "refused": "✕",
    "running": "▶",
    "waiting": "◷",
    "off": "■",
    "offline": "○",
    "cancelled": "⊘",
}
_SAVED: Final = "As it was when the cell ran. Run the cell again to go on; Hub().jobs() lists what was submitted."
"""Plain HTML is what stays of a notebook that is opened again: a live one shows the widget."""
_HEADS: Final = ("Device", "Kind", "2q", "Depth", "Success (est.)", "Start", "Price", "Verdict")


def _line(row: dict[str, Any], *, chosen: bool) -> list[str]:
    mark = "● " if chosen else "o "
    cells = [row["cells"][name] for name in ("two_qubit", "depth", "success", "start", "price")]
    return [mark + clean(row["device"]), clean(row["label"]), *cells, f"{GLYPHS[row['icon']]} {row['word']}"]


def _ordered(view: dict[str, Any], prefer: str) -> list[dict[str, Any]]:
    by_name = {row["device"]: row for row in view["rows"]}
    return [by_name[name] for name in view["orders"][prefer]["order"]]


def _lines(promotion: Shown) -> tuple[dict[str, Any], list[list[str]], dict[str, Any] | None]:
    view = promotion.table()
    ordered = _ordered(view, promotion.prefer)
    chosen = next((row for row in ordered if row["device"] == promotion.selected), None)
    return view, [_line(row, chosen=row is chosen) for row in ordered], chosen


def _job_lines(card: dict[str, Any]) -> list[str]:
    head = (
        f"{GLYPHS[card['icon']]} {clean(card['name'])} → {clean(card['device'])} ({clean(card['label'])})  {card['id']}"
    )
    said = [f"  {card['word']}: {clean(card['line'])}", *(f"  {clean(line)}" for line in card["more"])]
    return [head, *said, *([f"  {card['hold']}"] if card["hold"] else [])]


def _plot_rows(plot: dict[str, Any] | None) -> list[Sequence[str]]:
    return [plot["heads"], *plot["rows"]] if plot and plot["rows"] else []


def text(promotion: Shown) -> str:
    """The promotion as aligned text, complete."""
    view, body, chosen = _lines(promotion)
    parts = [clean(view["title"])]
    card = promotion.card()
    if card is not None:
        parts += _job_lines(card)
        plot = card["plot"]
    else:
        parts.append(columns([_HEADS, *body]))
        plot = promotion.plots().get(promotion.selected or "")
        if chosen is not None:
            parts.append(f"{GLYPHS[chosen['icon']]} {clean(chosen['message'])}  {chosen['quota']}".rstrip())
            if chosen["icon"] in ("ok", "approval"):
                parts.append(f'Submit: .submit("{clean(chosen["device"])}")')
    if view["checking"]:
        parts.append(f"{GLYPHS['waiting']} {view['checking']}")
    if promotion.note:
        parts.append(f"✕ {clean(promotion.note['text'])} {clean(promotion.note['hint'])} [{promotion.note['code']}]")
    if table_rows := _plot_rows(plot):
        parts.append(columns(table_rows))
    if plot and plot["note"]:
        parts.append(clean(plot["note"]))
    return "\n".join(part for part in parts if part)


def html(promotion: Shown) -> str:
    """The same as HTML that reads well without script and style."""
    view, body, chosen = _lines(promotion)
    parts: list[str] = [table(_HEADS, body, view["title"])]
    card = promotion.card()
    plot = promotion.plots().get(promotion.selected or "") if card is None else card["plot"]
    if card is not None:
        parts += [f"<p>{esc(line)}</p>" for line in _job_lines(card)]
    elif chosen is not None:
        parts.append(f"<p>{GLYPHS[chosen['icon']]} {esc(chosen['message'])} {esc(chosen['quota'])}</p>")
        parts.append(details("Why?", table((), chosen["why"])))
    if promotion.note:
        parts.append(f"<p>✕ {esc(promotion.note['text'])} {esc(promotion.note['hint'])}</p>")
    if plot and plot["rows"]:
        parts.append(details(plot["finding"], Html(table(plot["heads"], plot["rows"], plot["caption"]))))
    if plot and plot["note"]:
        parts.append(f"<p>{esc(plot['note'])}</p>")
    parts.append(f"<p><small>{esc(_SAVED)}</small></p>")
    return "".join(parts)
