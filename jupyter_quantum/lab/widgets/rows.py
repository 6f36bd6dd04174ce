"""A report as the table of devices: every number in words, one verdict, one message and one button a row.

Pure: :class:`ReportView` → JSON values for the browser. All words are made here, so that the browser only places them
and text, plain HTML and widget say the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

from jupyter_quantum.client.evidence import evidence
from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.wire.jobs import DecisionView
from jupyter_quantum.wire.reports import ReportRow, ReportView

__all__ = ["PREFERENCES", "Prefer", "checking", "order", "pick", "plottable", "table", "title", "verdict"]

Prefer = Literal["fidelity", "speed", "cost"]
PREFERENCES: Final[tuple[Prefer, ...]] = ("fidelity", "speed", "cost")

_STATES: Final = {
    "drained": ("off", "drained"),
    "paused": ("off", "paused"),
    "isolated": ("off", "isolated"),
    "offline": ("offline", "offline"),
}
_PROBLEMS: Final = {
    "quota": ("refused", "over quota"),
    "policy": ("refused", "not allowed"),
    "calibration": ("limit", "stale"),
}


def title(report: ReportView) -> str:
    """``bell · 2 qubits · 1 000 shots``."""
    parts = [report.name, *([words.plural(report.num_qubits, "qubit")] if report.num_qubits else [])]
    if report.num_circuits > 1:
        parts.insert(1, words.plural(report.num_circuits, "circuit"))
    if report.shots:
        parts.append(words.shots(report.shots))
    return " · ".join(parts)


def verdict(row: ReportRow) -> tuple[str, str]:
    """Icon and word of a row, such as ``("ok", "ready")``."""
    if row.pending:
        return "waiting", "checking"
    if row.decision is not None and row.decision.effect == "refuse":
        return "refused", "not allowed"
    if row.problem is not None:
        family = (row.code or "").partition(".")[0]
        return _STATES.get(row.state) or _PROBLEMS.get(family) or ("refused", "cannot run")
    if row.state in ("drained", "offline"):
        return _STATES[row.state]
    if _over(row):
        return "refused", "over quota"
    if row.decision is not None and row.decision.effect == "needs_approval":
        return "approval", "approval"
    return "ok", "ready"


def _over(row: ReportRow) -> bool:
    return row.quota_after is not None and row.quota_after < 0


def _usable(row: ReportRow) -> bool:
    return verdict(row)[0] in ("ok", "approval")


def _key(row: ReportRow, prefer: Prefer) -> tuple[float, ...]:
    chance = 1.0 if row.noise_free else (row.success.value if row.success else 0.0)
    start = row.wait.p50 if row.wait and row.wait.p50 is not None else float("inf")
    took = row.seconds.value if row.seconds else 0.0
    price = float(row.price) if row.price is not None else float("inf")
    keys = {"fidelity": (-chance, start, price), "speed": (start + took, price, -chance)}
    return keys.get(prefer, (price, -chance, start))


def order(rows: Sequence[ReportRow], prefer: Prefer) -> list[str]:
    """Names of the devices, best first in the preferred sense; those that cannot be used last."""
    return [row.device for row in sorted(rows, key=lambda row: (not _usable(row), *_key(row, prefer), row.device))]


def pick(rows: Sequence[ReportRow], prefer: Prefer) -> str | None:
    """The row to select at first: ready before approval, a device with noise before a plain simulator."""
    best = {name: index for index, name in enumerate(order(rows, prefer))}
    ranks = {"ok": 0, "approval": 1}

    def rank(row: ReportRow) -> tuple[int, bool, bool, int]:
        state = ranks.get(verdict(row)[0], 3)
        plain = row.kind is DeviceKind.SIMULATOR
        return (2 if plain and state < 3 else state, _over(row), plain, best[row.device])

    return min(rows, key=rank).device if rows else None


def _start(row: ReportRow) -> str:
    if row.wait is None or row.wait.p50 is None or not _usable(row):
        return "–"
    return "now" if row.wait.p50 < 1 else f"about {words.seconds(row.wait.p50)}"


def _success(row: ReportRow, digits: int) -> str:
    if row.noise_free:
        return "noise-free"
    found = row.success
    return "–" if found is None else words.with_range(found.value, found.low, found.high, digits)


def _digits(rows: Sequence[ReportRow]) -> int:
    """One precision for the whole column: three where two would hide a range."""
    ranges = [row.success for row in rows if row.success is not None and not row.noise_free]
    return 3 if any(f"{one.low:.2f}" == f"{one.high:.2f}" for one in ranges) else 2


def _count(value: int | None) -> str:
    return "–" if value is None else words.number(value)


def credits_text(micro: int | None) -> str:
    """``0.42 credits``, ``free``, ``price unknown``."""
    if micro is None:
        return "price unknown"
    return "free" if micro == 0 else f"{words.price(micro)} credits"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def message(row: ReportRow, best: ReportRow | None = None) -> str:
    """The line below the table, without its icon; ``best`` is a device to name where this one is too dear."""
    icon, _ = verdict(row)
    if row.pending:
        return f"{row.device} is being checked."
    if row.decision is not None and row.decision.effect == "refuse" and row.problem is None:
        said = row.decision.words
        return said if said.lower().startswith(("not allowed", "this run")) else f"Not allowed. {_capital(said)}"
    if row.problem is not None:
        return row.problem
    if icon in ("off", "offline"):
        return f"{row.device} is {row.state} and takes no new jobs. Choose another device."
    if _over(row):
        return _too_dear(row, best)
    if icon == "approval" and row.decision is not None:
        return row.decision.words
    if row.price == 0:
        return f"Ready. {row.device} is free."
    return f"Ready. {row.device} costs about {words.price(row.price)} credits{_at_most(row)}."


def _too_dear(row: ReportRow, best: ReportRow | None) -> str:
    left = (row.quota_after or 0) + (row.price_at_most or 0)
    instead = "" if best is None else f" choose {best.device} ({words.price(best.price)}),"
    return (
        f"This run may cost {words.price(row.price_at_most)} credits; {words.left(left)} are left. "
        f"Use fewer shots,{instead} or ask for more."
    )


def _at_most(row: ReportRow) -> str:
    return "" if row.price_at_most is None else f", at most {words.price(row.price_at_most)}"


def quota_line(row: ReportRow) -> str:
    """``Quota 12.40 → 11.95 or more``; empty where nothing is known."""
    if row.quota_after is None or (not _usable(row) and row.quota_after >= 0):
        return ""
    if not row.price_at_most:
        return f"Quota {words.left(row.quota_after)}, unchanged"
    before = row.quota_after + row.price_at_most
    if row.quota_after < 0:
        return f"Quota {words.left(before)} left"
    return f"Quota {words.left(before)} → {words.left(row.quota_after)} or more"


def _shots_allowed(decision: DecisionView | None, shots: int) -> int | None:
    """The limit of shots that a refusal names, in its facts or else in its words."""
    if decision is None or decision.effect != "refuse":
        return None
    known = [value for name, value in decision.facts.items() if "shots" in name and isinstance(value, int)]
    if "shot" in decision.words:
        known += [int(re.sub(r"\D", "", text)) for text in re.findall(r"\d[\d \u202f\u00a0]*", decision.words)]
    below = [value for value in known if 0 < value < shots]
    return max(below, default=None)


def action(row: ReportRow, report: ReportView, best: ReportRow | None) -> dict[str, Any]:
    """The one button: what it does, and its label, which states device and price."""
    if row.pending:
        return {"do": "none", "label": ""}
    icon, _ = verdict(row)
    price = credits_text(row.price)
    if icon == "ok":
        return {"do": "submit", "label": f"Submit to {row.device} · {price}"}
    if icon == "approval":
        return {"do": "submit", "label": f"Ask for approval · {price}", "reason": True}
    fewer = _shots_allowed(row.decision, report.shots)
    if fewer is not None:
        return {"do": "shots", "label": f"Use {words.shots(fewer)}", "shots": fewer}
    if best is not None and best.device != row.device:
        return {"do": "choose", "label": f"Choose {best.device} · {credits_text(best.price)}", "device": best.device}
    return {"do": "none", "label": ""}


def _fact(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no"}.get(value, "–") if value is not None else "–"
    if isinstance(value, int):
        return words.number(value)
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(sorted(str(item) for item in value)) or "none"
    return str(value)


def _fact_row(name: str, value: object) -> list[str]:
    head = _capital(name.replace("_", " "))
    if name.startswith(("price", "cost")) and isinstance(value, int):
        return [head, credits_text(value)]
    return [head, _fact(value)]


def _about(seconds: float) -> str:
    return words.seconds(seconds) if seconds < 1 else f"about {words.seconds(seconds)}"


def why(row: ReportRow, now: datetime) -> list[list[str]]:
    """What stands behind the verdict, as pairs of name and value."""
    lines: list[list[str]] = []
    if row.decision is not None:
        lines.append(["Decided by", ", ".join(row.decision.policies) or "no policy allows it"])
        lines += [_fact_row(name, value) for name, value in sorted(row.decision.facts.items())]
        lines.append(["Policy version", row.decision.version.removeprefix("sha256:")[:12]])
    if row.seconds is not None:
        lines.append(["Time on the device", _about(row.seconds.value)])
    if row.success is not None:
        lines.append(
            ["Success (est.)", "the chance that no modelled error occurs; the output is often better than that"]
        )
    lines += [list(pair) for pair in evidence(row)]
    if row.calibration is not None and row.calibration.at is not None:
        lines.append(["Calibrated", words.moment(row.calibration.at.astimezone(now.tzinfo), now)])
    if row.kind is DeviceKind.QPU and "emulated" in row.label:
        lines.append([_capital(row.label), "a simulator with a real device's noise and limits, governed like hardware"])
    return lines


def plottable(row: ReportRow) -> bool:
    """Whether a dry run on this device would show noise."""
    return not row.pending and row.problem is None and not row.noise_free and row.kind is not DeviceKind.SIMULATOR


def row_view(row: ReportRow, report: ReportView, best: ReportRow | None, now: datetime) -> dict[str, Any]:
    """One row as the browser gets it."""
    icon, word = verdict(row)
    return {
        "device": row.device,
        "label": row.label,
        "cells": {
            "two_qubit": _count(row.two_qubit_gates),
            "depth": _count(row.depth),
            "success": _success(row, _digits(report.rows)),
            "start": _start(row),
            "price": words.price(row.price),
        },
        "icon": icon,
        "word": word,
        "message": message(row, best),
        "action": action(row, report, best),
        "quota": quota_line(row),
        "why": why(row, now),
        "plottable": plottable(row),
    }


def checking(rows: Sequence[ReportRow]) -> str:
    """``Checking the devices: 3 of 12 are done.`` while rows are still to come; empty afterwards."""
    done = sum(not row.pending for row in rows)
    return "" if done == len(rows) else f"Checking the devices: {done} of {len(rows)} are done."


def table(report: ReportView, now: datetime, *, settled: Prefer | None = None) -> dict[str, Any]:
    """The whole table; ``now`` carries the reader's time zone.

    Nothing moves while rows come: until the last one, and for the preference ``settled`` also afterwards, the devices
    stand as the report lists them.
    """
    names = [row.device for row in report.rows]
    said = checking(report.rows)
    orders = {
        prefer: {
            "order": names if said or prefer == settled else order(report.rows, prefer),
            "pick": None if said else pick(report.rows, prefer),
        }
        for prefer in PREFERENCES
    }
    pick_of = pick([row for row in report.rows if verdict(row)[0] == "ok"], "fidelity")
    best = next((row for row in report.rows if row.device == pick_of), None)
    return {
        "id": report.id,
        "title": title(report),
        "name": report.name,
        "project": report.project,
        "drawing": report.text,
        "checking": said,
        "orders": orders,
        "rows": [row_view(row, report, best, now) for row in report.rows],
    }
