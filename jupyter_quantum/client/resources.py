"""What a circuit would take on a fault-tolerant computer, as a person reads it."""

from __future__ import annotations

from typing import Final

from jupyter_quantum.client.html import Html, clean, columns, esc, table
from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.report import report_lines
from jupyter_quantum.core import words
from jupyter_quantum.exceptions import NotFound
from jupyter_quantum.wire.devices import Devices
from jupyter_quantum.wire.reports import ReportRequest, Resources

__all__ = ["ResourcesCard", "estimated"]

_HEAD: Final = ("Qubits", "Physical", "Code distance", "Run time")


class ResourcesCard(Resources):
    """An estimate; every number in its fields, shown as a table of kinds of qubits."""

    @property
    def headline(self) -> str:
        """``54 logical qubits · 0 T gates · 120 rotations · 1 920 T states in all``."""
        parts = [
            words.plural(self.logical_qubits, "logical qubit"),
            words.plural(self.t_count, "T gate"),
            words.plural(self.rotations, "rotation"),
        ]
        if self.toffoli:
            parts.append(words.plural(self.toffoli, "Toffoli gate"))
        if self.t_states is not None:
            parts.append(f"{words.number(self.t_states)} T states in all")
        return " · ".join(parts)

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (one.words, words.number(one.physical_qubits), words.number(one.code_distance), _seconds(one.seconds))
            for one in self.models
        ]

    @property
    def _said(self) -> str:
        budget = f"So that the whole run goes wrong with a chance of at most {self.error_budget:g}."
        return clean(self.note) or budget

    def __repr__(self) -> str:
        rows = [tuple(map(clean, row)) for row in self._rows()]
        return "\n".join([self.headline, *([columns([_HEAD, *rows])] if rows else []), self._said])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        shown = table(_HEAD, self._rows(), self.headline) if self.models else Html(f"<p>{esc(self.headline)}</p>")
        return Html(f"{shown}<p>{esc(self._said)}</p>")


def _seconds(value: float) -> str:
    """Run times of a fault-tolerant computer go down to microseconds, where ``<1 s`` would say nothing."""
    if value >= 1:
        return words.seconds(value)
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def estimated(connection: Connection, request: ReportRequest) -> ResourcesCard:
    """Ask a runner, by a report on one device. Raises NotFound ``resources.none`` where none can say."""
    ready = [one for one in connection.get("devices", Devices).devices if one.state == "ready"]
    if not ready:
        raise NotFound("No runner is there to ask.", code="resources.none", hint="Try again in a minute.")
    device = min(ready, key=lambda one: (one.kind.value != "simulator", one.num_qubits, one.name))
    asked = request.model_copy(update={"devices": [device.name], "resources": True})
    *_, last = report_lines(connection, asked)
    view = last.report
    assert view is not None  # the last line has it
    if view.resources is None:
        problem = view.rows[0].problem if view.rows else None
        raise NotFound(
            "The circuit could not be estimated." + (f" {problem}" if problem else ""),
            code="resources.none",
            hint="Write it in standard gates, and with fewer of them.",
        )
    return ResourcesCard.model_validate(view.resources.model_dump())
