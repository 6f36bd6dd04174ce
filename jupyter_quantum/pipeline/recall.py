"""What workers said of a person's circuits a moment ago, so that asking the same again asks no worker.

It is kept in memory, for each person apart: what a worker says after it saw a circuit is believed about that person's
circuits only. What is kept are sizes and estimates of one request (circuits without their names and metadata, PUBs,
options, limits) on devices; price, policy and waiting time are worked out anew each time. Jobs are never made of it.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jupyter_quantum.core.qpy_labels import split
from jupyter_quantum.pipeline.validate import PUBS, Parcel
from jupyter_quantum.wire.runner import Announce, Prepared

__all__ = ["Recall", "Recalled", "Said", "key_of"]

_KEPT: Final = 512


@dataclass(frozen=True, slots=True)
class Said:
    """What a worker said of a device: under which announcement, and of which circuits to the byte."""

    runner: Announce
    source: str
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is known by device, and the drawing of the first circuit."""

    rows: Mapping[str, Said] = field(default_factory=dict)
    drawing: str = ""


class Recall:
    """The latest requests of everybody, each only for who made it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, bytes], Recalled] = OrderedDict()

    def recall(self, principal: str, key: bytes) -> Recalled:
        """What this person's worker said of this; empty where nothing is known."""
        found = self._kept.get((principal, key))
        if found is None:
            return Recalled()
        self._kept.move_to_end((principal, key))
        return found

    def keep(self, principal: str, key: bytes, found: Recalled) -> None:
        """Add to what is known of this request."""
        before = self._kept.pop((principal, key), Recalled())
        self._kept[principal, key] = Recalled({**before.rows, **found.rows}, found.drawing or before.drawing)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


def key_of(parcel: Parcel, limits: Mapping[str, int]) -> bytes:
    """A digest of everything that a worker's answer depends on, but for the names of circuits."""
    data = parcel.circuits.data
    found = split(data) if parcel.circuits.format == "qpy" else None
    rest = [parcel.kind.value, parcel.circuits.format, parcel.transpile, dict(parcel.options), dict(limits)]
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode())
    for part in (PUBS.dump_json(list(parcel.pubs)), data if found is None else found[1]):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
