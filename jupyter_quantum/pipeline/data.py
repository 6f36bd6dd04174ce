"""Data at rest: keys, retention, exports."""

from __future__ import annotations

from jupyter_quantum.pipeline.checkpoints import Checkpoints
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.dossier import Dossier
from jupyter_quantum.pipeline.exports import ExportKind, Exports
from jupyter_quantum.pipeline.keys import Keys
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.provenance import Provenances
from jupyter_quantum.pipeline.requests import Requests
from jupyter_quantum.pipeline.retention import Retention
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.wire.data import DataClass

__all__ = ["Data"]


class Data:
    """The parts that keep data, and let it go."""

    def __init__(self, context: Context, live: Live, requests: Requests, checkpoints: Checkpoints) -> None:
        self._context = context
        self.provenances = Provenances(context, self.read)
        self.keys = Keys(context, live)
        self.retention = Retention(context, live)
        self.exports = Exports(context, live, requests, Dossier(context, live, checkpoints, self.read))
        requests.register(ExportKind(context, self.exports))

    async def read(self, row: JobRow, data: DataClass, digest: str | None, what: str) -> bytes:
        """An artefact of a job. Raises Conflict ``job.archived`` where it was deleted, ``data.shredded``, NotFound."""
        gone = self.retention.gone(row, data, what)
        if gone is not None:
            raise gone
        return await self._context.store.artefacts.get(row.project, digest or "")

    def start(self) -> None:
        """Keep going, beside the rest."""
        start = self._context.background.start
        start(self.keys.run(), "seal again")
        start(self.retention.run(), "retention")
        start(self.exports.resume(), "exports")
