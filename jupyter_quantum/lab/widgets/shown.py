"""What a display may ask of a promotion: text and HTML read it, the widget acts on it as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from jupyter_quantum.exceptions import QuantumError
from jupyter_quantum.lab.widgets.rows import Prefer

__all__ = ["Acting", "Shown"]


class Shown(Protocol):
    """Words and charts, ready to be placed."""

    prefer: Prefer
    note: dict[str, Any] | None
    offline: str

    @property
    def selected(self) -> str | None:
        """The device that is submitted to next."""

    def table(self) -> dict[str, Any]:
        """The devices side by side."""

    def plots(self) -> dict[str, Any]:
        """Dry runs, by device."""

    def card(self) -> dict[str, Any] | None:
        """The submitted job; None before."""


class Acting(Shown, Protocol):
    """And what a click may do."""

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever something changed."""

    def select(self, device: str) -> None:
        """Choose the device that is submitted to next."""

    def submit(self, device: str | None = None, *, reason: str | None = None) -> Any:
        """Submit to a device."""

    def cancel(self) -> None:
        """Cancel the job."""

    def replay(self) -> Any:
        """Run the job's work once more."""

    def bundle(self) -> Any:
        """Save the job's bundle."""

    def again(self) -> None:
        """Show the devices once more."""

    def validate(self, *, shots: int | None = None) -> Any:
        """Ask for a fresh report."""

    def dry_run(self, device: str) -> Any:
        """Simulate on this device."""

    def tell_error(self, error: QuantumError) -> None:
        """Show an error below the table."""
