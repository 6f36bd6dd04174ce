"""What an export of a job holds, so that a reviewer can verify it without asking anybody (``bundle_verify``).

The record goes along with every export: the job's entries as they were written, each with its proof, the public keys,
the texts whose digests the entries hold. People are pseudonyms there, but for the job's owner. Circuits and parameters
belong to the class *inputs*, the result to *results*.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any, Final

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.pipeline.asking import round_of
from jupyter_quantum.pipeline.audit import proofs
from jupyter_quantum.pipeline.checkpoints import Checkpoints
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.views import estimate, job_view
from jupyter_quantum.store import View
from jupyter_quantum.store.crypt import SERVICE
from jupyter_quantum.store.rows import ApprovalRow, EventRow, JobRow
from jupyter_quantum.wire.data import DataClass

__all__ = ["Dossier", "Read"]

Read = Callable[[JobRow, DataClass, str | None, str], Awaitable[bytes]]
"""An artefact of a job: its class, its digest, and what to call it in an error."""

_README: Final = """{name}, run on {device}

This archive holds what {project} let leave of the job {job}, and what its hub recorded of it.
Verify it offline, without the hub that made it:

    python -m jupyter_quantum.bundle_verify FILE --key PUBLIC

PUBLIC is the public key of the hub's record; take it from the hub's operators, not from here. Without --key the archive
is checked against the key that lies in it, which shows that nothing was changed afterwards, not who made it.
What the program lists as stated is said here, and nothing here proves it: the owner's name, and this text.

source.*         the circuits as they were sent       pubs.json       parameters, observables, shots
executable.qpy   the circuits as they ran             options.json    every option, with seeds
calibration.json the device's Target at that time     prepared.json   what validation found: layout, estimates
result.json      raw bits, and what was made of them  estimate.json   what was expected, and what came of it
decision.json    what policy said, on which facts     approvals.json  who was asked (people are pseudonyms)
record/          entries of the record, proofs, keys  CITATION.cff    how to cite the run
"""


class Dossier:
    """Collects the files of an export."""

    def __init__(self, context: Context, live: Live, checkpoints: Checkpoints, read: Read) -> None:
        self._context = context
        self._live = live
        self._checkpoints = checkpoints
        self._read = read

    async def collect(self, row: JobRow, classes: list[str], *, proven: bool = False) -> dict[str, bytes]:
        """The files. Raises Conflict ``job.unfinished``, ``job.archived``.

        ``proven``: not without a proof of each entry; Conflict ``audit.unsigned`` until the leader has signed them.
        """
        files: dict[str, bytes] = {}
        if "inputs" in classes:
            files |= await self._inputs(row)
        if "results" in classes:
            if row.result is None:
                raise Conflict("This job has no result.", code="job.unfinished")
            files["result.json"] = await self._read(row, "results", row.result, "result of this job")
        if row.snapshot is not None:
            files["calibration.json"] = await self._context.store.artefacts.get(SERVICE, row.snapshot)
        return files | await self._record(row, proven) | _words(row)

    async def _inputs(self, row: JobRow) -> dict[str, bytes]:
        files = {f"source.{row.source_format}": await self._read(row, "inputs", row.source, "source of this job")}
        files["pubs.json"] = row.pubs.encode()
        if row.executable is not None:
            files["executable.qpy"] = await self._read(row, "inputs", row.executable, "executable of this job")
            files["options.json"] = row.options.encode()
            files["prepared.json"] = (row.prepared or "{}").encode()
        return files

    async def sign(self) -> None:
        """Let a checkpoint cover everything so far, so that the entries of a job that has just ended have proofs."""
        await self._live.finish()
        await self._checkpoints.make()

    async def _record(self, row: JobRow, proven: bool) -> dict[str, bytes]:
        keys = await asyncio.to_thread(self._checkpoints.key.verifiers)

        def read(view: View) -> dict[str, bytes]:
            events = view.job_events(row.id)
            found = proofs(view, events)
            if proven and len(found) < len(events):
                raise Conflict(
                    "No checkpoint covers the last entries of this job yet.",
                    code="audit.unsigned",
                    hint="Try again in a minute.",
                )
            files = {
                "record/events.jsonl": b"".join(event.payload.encode() + b"\n" for event in events),
                "record/keys.txt": "".join(f"{key.text}\n" for key in keys).encode(),
                "approvals.json": _json([_approval(view, asked) for asked in round_of(view, row)]),
            }
            return files | {_place(at): found[event.id].encode() for at, event in _proven(events, found)}

        return await self._context.store.read(read)


def _proven(events: list[EventRow], found: dict[str, str]) -> list[tuple[int, EventRow]]:
    return [(at, event) for at, event in enumerate(events, 1) if event.id in found]


def _place(at: int) -> str:
    return f"record/proofs/{at:04d}.txt"


def _approval(view: View, row: ApprovalRow) -> dict[str, Any]:
    by = None if row.decided_by is None else view.pseudonym(row.decided_by) or row.decided_by.partition("@")[0]
    return {"approval": row.id, "role": row.role, "state": row.state, "decided_by": by, "note": row.note}


def _words(row: JobRow) -> dict[str, bytes]:
    files = {
        "job.json": job_view(row).model_dump_json(indent=1, exclude={"decision", "options"}).encode(),
        "estimate.json": _json(
            {"estimate": estimate(row), "actual": {"seconds": row.seconds, "cost": row.cost}, "unit": "micro-credits"}
        ),
        "README.txt": _README.format(name=row.name, device=row.device, project=row.project, job=row.id).encode(),
        "CITATION.cff": _citation(row).encode(),
    }
    return files if row.decision is None else files | {"decision.json": row.decision.encode()}


def _citation(row: JobRow) -> str:
    """Citation File Format 1.2.0; JSON strings are YAML strings."""
    ended = row.ended or row.changed
    lines = [
        "cff-version: 1.2.0",
        "type: dataset",
        'message: "Cite this run of a quantum circuit as below."',
        f"title: {json.dumps(f'{row.name}, run on {row.device}')}",
        f"authors: [{{name: {json.dumps(row.owner)}}}]",
        f"date-released: {ended.astimezone(UTC):%Y-%m-%d}",
        "identifiers:",
        f"  - {{type: other, value: {json.dumps(row.id)}, description: job}}",
    ]
    if row.state is JobState.COMPLETED and row.result is not None:
        lines.append(f"  - {{type: other, value: {json.dumps(row.result)}, description: digest of the result}}")
    return "\n".join(lines) + "\n"


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()
