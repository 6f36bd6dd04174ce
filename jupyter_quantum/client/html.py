"""Representations: HTML of ``<table> <meter> <details> <time>`` only (Lab strips more when untrusted), and text.

Names come from other people. In HTML everything is escaped; in text, control characters and direction marks are made
visible, so that a name can neither colour a terminal nor turn a line around.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import JobState

__all__ = ["GLYPHS", "Html", "clean", "columns", "details", "esc", "meter", "now", "table", "time_tag", "when"]

GLYPHS: Final = {
    JobState.DRAFT: "○",
    JobState.VALIDATED: "◷",
    JobState.AWAITING_APPROVAL: "◆",
    JobState.QUEUED: "◷",
    JobState.SCHEDULED: "◷",
    JobState.RUNNING: "▶",
    JobState.COMPLETED: "✓",
    JobState.FAILED: "✕",
    JobState.CANCELLED: "⊘",
    JobState.REJECTED: "✕",
    JobState.ARCHIVED: "○",
}
"""The glyph of each state in text; the state's word always stands beside it."""

_LONGEST: Final = 200


class Html(str):
    """Text that is markup already; everything else is escaped."""

    __slots__ = ()


def clean(text: object) -> str:
    """Text of others for a terminal: at most 200 characters, control and format characters as ``�``."""
    shown = "".join("�" if unicodedata.category(one) in {"Cc", "Cf", "Cs"} else one for one in str(text)[:_LONGEST])
    return shown + "…" if len(str(text)) > _LONGEST else shown


def esc(value: object) -> str:
    """``value`` as markup: escaped unless it is :class:`Html`."""
    return str(value) if isinstance(value, Html) else html.escape(clean(value))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], caption: object = "") -> Html:
    """A table; the first cell of each row is its heading."""
    top = "".join(f'<th scope="col">{esc(one)}</th>' for one in head)
    body = "".join(
        f'<tr><th scope="row">{esc(row[0])}</th>' + "".join(f"<td>{esc(one)}</td>" for one in row[1:]) + "</tr>"
        for row in rows
    )
    title = f"<caption>{esc(caption)}</caption>" if caption else ""
    heading = f"<thead><tr>{top}</tr></thead>" if top else ""
    return Html(f"<table>{title}{heading}<tbody>{body}</tbody></table>")


def meter(value: int, limit: int, label: str) -> Html:
    """A gauge from 0 to ``limit``; the label is read aloud and shown where there are no gauges."""
    top = max(limit, 1)
    low = f'<meter min="0" max="{top}" low="{top // 5}" optimum="{top}" value="{max(value, 0)}"'
    return Html(f'{low} title="{esc(label)}">{esc(label)}</meter>')


def details(summary: object, body: Html) -> Html:
    """Something to unfold."""
    return Html(f"<details><summary>{esc(summary)}</summary>{body}</details>")


def now() -> datetime:
    """This moment in the reader's time zone."""
    return datetime.now(UTC).astimezone()


def when(moment: datetime | None) -> str:
    """``14:32 CEST`` in the reader's time zone; ``–`` where there is none."""
    return "–" if moment is None else words.moment(moment.astimezone(), now())


def time_tag(moment: datetime | None) -> Html:
    """The moment as ``<time>``."""
    if moment is None:
        return Html("–")
    return Html(f'<time datetime="{moment.astimezone(UTC).isoformat()}">{esc(when(moment))}</time>')


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text, two blanks between the columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
