"""A machine at a vendor's that takes circuits with a number of shots and returns counts or shots.

A subclass says how circuits become a payload (:meth:`RemoteDevice.payload`), what an answer says about each of them
(:meth:`RemoteDevice.counted`), and how the vendor is reached (:meth:`~.base.Device.connect`). Runs, samplers and
estimators come of themselves: everything of a job is taken apart into bound circuits, packed into as few submissions as
the device allows, and put together again from what was counted.

The two are called in a locked worker, without network and without the secret. They must give the same payloads for the
same order however often they are asked: an attempt whose runner was lost is recovered with the payloads made anew.
Names and metadata of circuits stay here: they are made up anew by Qiskit now and then, and are nobody else's business.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, ClassVar

from qiskit import QuantumCircuit
from qiskit_aer.noise import NoiseModel

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.fabric.adapters.base import Device, Order, Planned
from jupyter_quantum.fabric.adapters.vendor import Calibration
from jupyter_quantum.fabric.assemble import Counted, assemble, counts_of_piece
from jupyter_quantum.fabric.estimates import device_seconds, success
from jupyter_quantum.fabric.isa import used
from jupyter_quantum.fabric.mitigation import mitigated, own_pieces
from jupyter_quantum.fabric.noise import noise_of
from jupyter_quantum.fabric.plan import Piece, packed, pieces
from jupyter_quantum.fabric.registers import plainly
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.simulation import Timed
from jupyter_quantum.targets import canonical, target_from_json
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.devices import CalibrationRef, Interval
from jupyter_quantum.wire.results import ResultView

__all__ = ["Counted", "RemoteDevice"]


class RemoteDevice(Device):
    """A vendor's machine, known by the calibration that its vendor announced."""

    kind: ClassVar[DeviceKind] = DeviceKind.QPU
    remote: ClassVar[bool] = True
    max_batch: int = 100
    """Circuits of one submission; more make several."""
    mixed_shots: ClassVar[bool] = False
    """Whether the circuits of a submission may differ in shots."""

    def __init__(self, spec: DeviceSpec, threads: int, found: Calibration) -> None:
        super().__init__(spec, threads, target_from_json(found.target), found.at)
        # The vendor's document as it came: its digest is what the runner compares with later ones.
        self._document = found.target
        self.calibration = CalibrationRef(digest=digest_of(canonical(found.target)), at=found.at)
        self._noise_of = lru_cache(maxsize=64)(partial(noise_of, self.target))

    @abstractmethod
    def payload(self, circuits: Sequence[QuantumCircuit], shots: Sequence[int], order: Order) -> bytes:
        """One submission: circuits in the device's own gates, how often each is to run (all alike unless
        :attr:`mixed_shots`), and the order whose ``options`` they belong to.

        Classical registers follow each other and hold every bit once, unless there is control flow.
        """

    @abstractmethod
    def counted(self, circuits: Sequence[QuantumCircuit], answer: bytes) -> Sequence[Counted]:
        """What an answer says about each circuit of a submission, in their order."""

    def encode(self, order: Order) -> list[bytes]:
        """One payload a submission."""
        found = self._pieces(order)[0]
        return [
            self.payload([_nameless(found[at], at) for at in group], [found[at].shots for at in group], order)
            for group in self._packed(found)
        ]

    def carried(self, order: Order) -> list[list[int]]:
        """The owners of the circuits of each submission; those of mitigation have none."""
        found = self._pieces(order)[0]
        return [sorted({found[at].owner for at in group} - {-1}) for group in self._packed(found)]

    def decode(self, order: Order, answers: Sequence[bytes | None]) -> ResultView:
        """The result; circuits of a submission without an answer are marked as missing."""
        found, own = self._pieces(order)
        counted = [Counted()] * len(found)
        for group, answer in zip(self._packed(found), answers, strict=True):
            if answer is not None:
                read = self.counted([plainly(found[at].circuit) for at in group], answer)
                if len(read) != len(group):
                    raise JobFailed(
                        f"{self.name} answered for {len(read)} circuits of {len(group)}.", code="job.no_shots"
                    )
                for at, one in zip(group, read, strict=True):
                    counted[at] = one
        asked = len(found) - own
        view = assemble(self, order, found[:asked], counted[:asked])
        if not own:
            return view
        counts = [counts_of_piece(self, order, piece, one) for piece, one in zip(found, counted, strict=True)]
        return mitigated(self, order, view, found[:asked], found[asked:], counts)

    def _pieces(self, order: Order) -> tuple[list[Piece], int]:
        """Everything that is run, and how much of its end is for mitigation."""
        found = pieces(self, order)
        own = own_pieces(self, order, found)
        return found + own, len(own)

    def _packed(self, found: Sequence[Piece]) -> list[list[int]]:
        return packed(found, self.max_batch, mixed=self.mixed_shots)

    def noise(self, circuits: Sequence[QuantumCircuit]) -> NoiseModel | None:
        """What the Target says of what these circuits do; None where it names no error."""
        model = self._noise_of(used(circuits))
        return None if model.is_ideal() else model

    def seconds(self, planned: Sequence[Planned], options: Mapping[str, Any]) -> Timed:
        """From the Target's durations, where it has them."""
        return Timed(device_seconds([(circuit, count * shots) for circuit, count, shots in planned], self.target))

    def success(self, circuit: QuantumCircuit) -> Interval | None:
        """From the Target's errors; None where one of them is unknown."""
        return success(circuit, self.target)


def _nameless(piece: Piece, at: int) -> QuantumCircuit:
    circuit: QuantumCircuit = plainly(piece.circuit).copy(name=f"circuit-{at}")
    circuit.metadata = {}
    return circuit
