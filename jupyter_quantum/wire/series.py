"""Benchmark series: sets of circuits, runs of them on devices, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from jupyter_quantum.wire.base import Answer, Blob, Digest, Request, Time, digest_of

__all__ = [
    "CircuitSet",
    "CircuitSets",
    "Figure",
    "Leader",
    "Leaderboard",
    "Leaderboards",
    "RunSeries",
    "SeriesCircuit",
    "SeriesList",
    "SeriesRunView",
    "SeriesView",
]

Share = Annotated[float, Field(ge=0, le=1)]


class SeriesCircuit(Answer):
    """One circuit of a set, and what should come of it."""

    name: str
    family: str = Field(description="mirror, or the algorithm's name in mqt.bench")
    num_qubits: Annotated[int, Field(ge=1)]
    depth: int = Field(description="of the circuit as it is in the set")
    measure: Literal["success", "fidelity"] = Field(
        description="success: how often the one right bit string comes; fidelity: Hellinger fidelity to ideal counts"
    )
    ideal: dict[str, Share] = Field(description="hexadecimal outcome of all bits → its share without errors")


class CircuitSet(Answer):
    """Circuits that run together, always the same ones: one QPY file, and how it was made."""

    name: str
    num_qubits: int = Field(description="of the widest circuit")
    recipe: dict[str, Any] = Field(description="versions, seeds and sizes: enough to make the same set again")
    qpy: Blob
    qpy_digest: Digest
    circuits: list[SeriesCircuit]

    @property
    def digest(self) -> str:
        """Of circuits and ideal shares alike: what a series is bound to."""
        return digest_of(self.model_dump_json(exclude={"qpy", "recipe"}).encode())


class CircuitSets(Answer):
    """A file of sets; a device runs the widest that fits."""

    sets: list[CircuitSet]


class Figure(Answer):
    """What came of one circuit in one run, with its 95 % Wilson interval."""

    name: str
    family: str
    num_qubits: int
    depth: int
    measure: Literal["success", "fidelity"]
    value: Share
    low: Share
    high: Share
    shots: int


class SeriesRunView(Answer):
    """One run of a set on a device."""

    id: str
    device: str
    created: Time
    state: Literal["open", "done", "failed"]
    job: str | None = Field(default=None, description="the job that runs it, once it is submitted")
    series: str | None = Field(default=None, description="known once it has run")
    ended: Time | None = None
    score: Share | None = Field(default=None, description="mean over the circuits; None: it has not run, or failed")
    low: Share | None = Field(default=None, description="lower end of its 95 % interval")
    high: Share | None = None
    success: Share | None = Field(default=None, description="mean over the mirror circuits")
    fidelity: Share | None = Field(default=None, description="mean over the others")
    figures: list[Figure] = Field(default_factory=list, description="in lists: of each series' latest run only")
    code: str | None = Field(default=None, description="why it failed")


class SeriesView(Answer):
    """Runs of one set on one device under the same conditions; other conditions are another series."""

    id: str
    device: str
    name: str = Field(description="of the set of circuits")
    circuits: Digest = Field(description="of the set")
    options: dict[str, Any]
    calibration: str = Field(description="digest; empty where the device tells of none")
    calibrated: Time | None = None
    compiler: dict[str, Any] = Field(description="name, version, level, seed")
    created: Time
    runs: list[SeriesRunView] = Field(default_factory=list, description="the latest first, where they were asked for")


class SeriesList(Answer):
    series: list[SeriesView]
    open: list[SeriesRunView] = Field(default_factory=list, description="runs that have not ended")


class Leader(Answer):
    """A device's latest run."""

    rank: int
    device: str
    label: str
    score: Share = Field(description="mean over all circuits of the set")
    success: Share | None = Field(default=None, description="mean over its mirror circuits")
    fidelity: Share | None = Field(default=None, description="mean over the others")
    width: int = Field(
        description="qubits of the widest mirror circuit whose right string came in over 2/3 of the shots, as all "
        "narrower ones: its interval lies above; 0: none"
    )
    at: Time
    run: str
    series: str


class Leaderboard(Answer):
    """Devices by the mean of their latest run's figures: those that ran one set of circuits with the same options."""

    name: str = Field(description="of the set of circuits")
    circuits: Digest
    options: dict[str, Any]
    leaders: list[Leader]


class Leaderboards(Answer):
    """One for each set and options, the latest first: runs of different ones do not compare."""

    boards: list[Leaderboard] = Field(default_factory=list)


class RunSeries(Request):
    """Run the set on a device now."""

    device: str
