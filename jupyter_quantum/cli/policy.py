"""``jupyter quantum policy …``: what works on files comes with the hub, what asks the service with the client."""

from __future__ import annotations

from jupyter_quantum.cli import frame

__all__ = ["app"]

app = frame(
    "policy",
    "jupyter_quantum.commands.policy",
    "Policies: check and test the files, explain a decision, try other files on what was decided.",
)
