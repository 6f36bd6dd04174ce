"""What the record binds of a job by digest, so that a reviewer can prove what its bundle says (``bundle_verify``).

Neither names of people nor the words of an error are in it: both change when a person is forgotten.
"""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any, Final

from jupyter_quantum.store.rows import JobRow, Json
from jupyter_quantum.wire.base import canonical, digest_of

__all__ = ["EXPECTED", "expected_digest", "facts_digest"]

EXPECTED: Final = ("success", "seconds", "noise_free")
"""What validation expected of a run, as people are told."""

_PLAIN: Final = (
    *("id", "name", "project", "device", "device_label", "report", "source", "executable", "num_circuits"),
    *("num_qubits", "shots", "executions", "price", "price_at_most", "on_hold", "cost", "attempts", "approval"),
    *("envelope", "version", "replay_of", "session"),
)
_WORDS: Final = ("kind", "state", "device_kind")
_JSON: Final = ("fallback", "moved_from", "marks")
_MOMENTS: Final = ("created", "changed", "submitted", "started", "ended", "cancel_asked")
_SECONDS: Final = {"seconds": "seconds", "vendor_seconds": "vendor_s"}


def facts_digest(job: JobRow) -> str:
    """Digest of all that ``wire.jobs.JobView`` says of a job, with its error's code; by the view's names."""
    facts: dict[str, Any] = {name: getattr(job, name) for name in _PLAIN}
    facts |= {name: str(getattr(job, name)) for name in _WORDS}
    facts |= {name: json.loads(getattr(job, name)) for name in _JSON}
    for name in _MOMENTS:
        when = getattr(job, name)
        facts[name] = None if when is None else when.astimezone(UTC).isoformat()
    for name, column in _SECONDS.items():
        took = getattr(job, column)
        facts[name] = None if took is None else float(took)
    facts["origin"] = None if job.origin is None else json.loads(job.origin)
    facts["error"] = None if job.error is None else json.loads(job.error)["code"]
    return digest_of(canonical(facts))


def expected_digest(prepared: Json) -> str:
    """Digest of what was expected before the job ran."""
    told = json.loads(prepared)
    return digest_of(canonical({name: told.get(name) for name in EXPECTED}))
