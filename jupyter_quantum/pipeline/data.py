"""Data at rest: keys, retention, exports."""

from __future__ import annotations

from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.keys import Keys
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.retention import Retention

__all__ = ["Data"]


class Data:
    """The parts that keep data, and let it go."""

    def __init__(self, context: Context, live: Live) -> None:
        self._context = context
        self.keys = Keys(context, live)
        self.retention = Retention(context, live)

    def start(self) -> None:
        """Keep going, beside the rest."""
        start = self._context.background.start
        start(self.keys.run(), "seal again")
        start(self.retention.run(), "retention")
