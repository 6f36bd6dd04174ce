"""What a report says of an attempt, for the rule in :mod:`jupyter_quantum.core.charging`.

Which circuits and PUBs came follows from the result itself, so that nobody keeps what they do not pay for. What each of
them takes was found out when the job was validated, before it had a price.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from jupyter_quantum.core.charging import NOTHING, Charge, End, Part, Use, came, charge, end_of, seconds_of
from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.exceptions import QuantumError
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.store.rows import JobRow, Json
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import PartReport, Prepared, TaskReport

__all__ = ["Account", "answered", "is_ours", "stopped", "whole"]


@dataclass(frozen=True, slots=True)
class Account:
    """What an attempt is charged for, and how that came about."""

    end: End
    charge: Charge
    missing: Sequence[int] = ()
    """Of a result: indices of the circuits or PUBs that did not come."""
    parts: Sequence[PartReport] = ()
    """The submissions to a vendor."""

    def kept(self) -> Json:
        """As it is stored with the attempt."""
        parts = [part.model_dump(mode="json") for part in self.parts]
        return json.dumps({"end": self.end.value, **asdict(self.charge), "missing": list(self.missing), "parts": parts})

    def told(self) -> dict[str, Any]:
        """For the record, where not all was charged that was asked for."""
        return {"missing": list(self.missing), "charged_for": asdict(self.charge.priced)} if self.missing else {}


def answered(row: JobRow, report: TaskReport, result: ResultView) -> Account:
    """Of an attempt with a result."""
    prepared, missing = Prepared.model_validate_json(row.prepared or "{}"), result.missing
    used = replace(_all(prepared), seconds=_counted(report))
    shares, told = _shares(prepared), _parts(report, prepared)
    lacks = bool(missing) or any(not part.answered for part in told)
    if lacks and len(shares) == len(result.experiments or result.pubs):
        parts = [Part(one.answered, one.usage_s, one.vendor_s, tuple(one.owners)) for one in told]
        rest = any(one.mitigated is not None for one in result.pubs)
        took = seconds_of(parts, shares, missing, used.seconds) if parts else used.seconds
        used = replace(came(shares, used, missing, rest=rest), seconds=took)
    return Account(End.ANSWERED, charge(End.ANSWERED, used, ours=False), missing, told)


def stopped(row: JobRow, report: TaskReport, error: QuantumError, device: Device | None) -> Account:
    """Of an attempt that failed: nothing where its runner says that nothing was used."""
    end, prepared = end_of(error.code), Prepared.model_validate_json(row.prepared or "{}")
    parts = _parts(report, prepared)
    used = _used(prepared, report, parts) if report.charged else NOTHING
    return Account(end, charge(end, used, ours=is_ours(row, device)), (), parts)


def whole(row: JobRow, seconds: float) -> Use:
    """Everything that a job asks for, run for so long."""
    return replace(_all(Prepared.model_validate_json(row.prepared or "{}")), seconds=max(0.0, seconds))


def is_ours(row: JobRow, device: Device | None) -> bool:
    """Whether it runs in a worker of ours, where running it again costs nothing. A device that is gone is known by its
    kind."""
    if device is None:
        return row.device_kind is not DeviceKind.QPU
    return not device.words.remote and device.words.recovery == "repeatable"


def _used(prepared: Prepared, report: TaskReport, parts: Sequence[PartReport]) -> Use:
    """What was used without a result: where its parts are known, those that the vendor counts seconds for."""
    used = replace(_all(prepared), seconds=_counted(report))
    counted = [part for part in parts if part.vendor_s]
    if not counted or any(not part.owners for part in counted):
        return used
    shares = _shares(prepared)
    gone = set(range(len(shares))) - {at for part in counted for at in part.owners}
    return replace(came(shares, used, gone, rest=not gone), seconds=sum(part.vendor_s or 0.0 for part in counted))


def _all(prepared: Prepared) -> Use:
    return Use(prepared.tasks or prepared.num_circuits, prepared.executions)


def _shares(prepared: Prepared) -> list[Use]:
    """Of each circuit or PUB; none of a job that was validated before they were counted."""
    return [Use(one.tasks, one.executions) for one in prepared.shares]


def _parts(report: TaskReport, prepared: Prepared) -> list[PartReport]:
    """The submissions. What a worker says of circuits or PUBs that there are not is as if it said nothing."""
    there = len(prepared.shares)
    return [
        part.model_copy(update={"owners": sorted(set(part.owners)) if all(at < there for at in part.owners) else []})
        for part in report.parts
    ]


def _counted(report: TaskReport) -> float:
    """Seconds that are charged: the vendor's where it tells."""
    return report.usage_s if report.vendor_s is None else report.vendor_s
