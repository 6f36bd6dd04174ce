"""Data at rest: keys, retention, exports."""

from __future__ import annotations

from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.exports import ExportKind, Exports
from jupyter_quantum.pipeline.keys import Keys
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.requests import Requests
from jupyter_quantum.pipeline.retention import Retention
from jupyter_quantum.pipeline.views import job_view
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.wire.data import DataClass

__all__ = ["Data"]


class Data:
    """The parts that keep data, and let it go."""

    def __init__(self, context: Context, live: Live, requests: Requests) -> None:
        self._context = context
        self.keys = Keys(context, live)
        self.retention = Retention(context, live)
        self.exports = Exports(context, live, requests, self._collect)
        requests.register(ExportKind(context, self.exports))

    async def read(self, row: JobRow, data: DataClass, digest: str | None, what: str) -> bytes:
        """An artefact of a job. Raises Conflict ``job.archived`` where it was deleted, ``data.shredded``, NotFound."""
        gone = self.retention.gone(row, data, what)
        if gone is not None:
            raise gone
        return await self._context.store.artefacts.get(row.project, digest or "")

    async def _collect(self, row: JobRow, classes: list[str]) -> dict[str, bytes]:
        """What an export of these classes holds: the job, and its circuits and result."""
        files = {"job.json": job_view(row).model_dump_json(indent=1).encode()}
        if "inputs" in classes:
            files[f"source.{row.source_format}"] = await self.read(row, "inputs", row.source, "source of this job")
            files["pubs.json"] = row.pubs.encode()
            if row.executable is not None:
                files["executable.qpy"] = await self.read(row, "inputs", row.executable, "executable of this job")
        if "results" in classes:
            if row.result is None:
                raise Conflict("This job has no result.", code="job.unfinished")
            files["result.json"] = await self.read(row, "results", row.result, "result of this job")
        return files

    def start(self) -> None:
        """Keep going, beside the rest."""
        start = self._context.background.start
        start(self.keys.run(), "seal again")
        start(self.retention.run(), "retention")
        start(self.exports.resume(), "exports")
