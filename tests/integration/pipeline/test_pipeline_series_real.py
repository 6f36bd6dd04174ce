"""Benchmark series with nothing made up: mqt.bench, a runner's sandboxed workers, an emulator's noise, real Cedar."""

from __future__ import annotations

import csv
import io
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_quantum.client.circuit_sets import RECIPES, make_set, make_sets
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.hub.metrics import Metrics
from jupyter_quantum.hub.runner_api import RunnerServer
from jupyter_quantum.hub.runner_process import RunnerProcess, socket_path
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.pipeline.circuitsets import read_sets
from jupyter_quantum.wire.series import CircuitSets, SeriesView
from tests.integration.pipeline.conftest import ADA, COURSE, OTTO, House, running, until
from tests.integration.pipeline.test_pipeline_series import BENCHMARKS, measured

RECIPE: dict[str, Any] = {
    "name": "small",
    "mirror": {"qubits": [2, 3, 5], "layers": 2, "seed": 1},
    "mqt.bench": {"algorithms": ["ghz", "wstate"], "qubits": [3]},
}


@asynccontextmanager
async def real_runner(house: House, folder: Path, fake: str) -> AsyncIterator[None]:
    """A runner's process that serves ``fake_torino`` with the noise of this snapshot."""
    home = Path(tempfile.mkdtemp(prefix="jq-", dir=folder))
    token, socket = secrets.token_urlsafe(16), socket_path(home)
    device = {"name": "fake_torino", "adapter": "ibm_fake", "fake": fake, "kind": "emulator"}
    words = {"socket": str(socket), "token": token, "devices": [device], "workers": 2, "threads": 1}
    server = RunnerServer(SimpleNamespace(pipeline=house.pipeline, metrics=Metrics()), socket, token, lambda _: None)  # type: ignore[arg-type]
    process = RunnerProcess(home / "runner", words, gone=lambda: None)
    process.start()
    try:
        yield
    finally:
        await process.stop()
        await server.close()
        shutil.rmtree(home, ignore_errors=True)


async def measure(house: House, count: int) -> list[SeriesView]:
    """Begin a run by hand once the device is there; the series once so many runs are done."""
    await until(lambda: (d := house.pipeline._context.registry.get("fake_torino")) and _ready(house, d), 120)
    await house.pipeline.series.run(OTTO, "fake_torino")

    async def look() -> list[SeriesView] | None:
        ended = await house.store.read(lambda view: view.series_runs(state="failed"))
        assert [one.code for one in ended] == []
        found = (await house.pipeline.series.all(ADA)).series
        return found if sum(len(one.runs) for one in found) >= count else None

    found: list[SeriesView] = await until(look, 180)
    return found


def _ready(house: House, device: Any) -> bool:
    return house.pipeline._context.registry.state(device) == "ready"


async def test_a_series_on_an_emulator(settings: Settings, tmp_path: Path) -> None:
    """Runs through the door; another calibration begins another series; board, file and estimates agree with it."""
    told = measured(tmp_path, make_set(RECIPE), devices=(), shots=1000)
    projects = {spec.name: spec for spec in (COURSE, BENCHMARKS)}
    async with running(settings, series=told, projects=projects) as house:
        house.directory.now["quantum@service"] = frozenset()
        async with real_runner(house, tmp_path, "FakeTorino"):
            await measure(house, 1)
            (first,) = await measure(house, 2)
        assert first.compiler["name"] == "qiskit"
        assert (first.compiler["level"], first.compiler["seed"]) == (2, 7)
        figures = {one.name: one for one in first.runs[0].figures}
        assert list(figures) == ["mirror-2x2-1", "mirror-3x2-1", "mirror-5x2-1", "ghz-3", "wstate-3"]
        assert all(0.5 < one.value < 1 and one.low < one.value < one.high for one in figures.values())
        assert all(one.shots == 1000 for one in figures.values())
        assert figures["mirror-5x2-1"].value < figures["mirror-2x2-1"].value
        again = {one.name: one for one in (await house.pipeline.series.one(ADA, first.id)).runs[1].figures}
        assert all(again[name].value == pytest.approx(one.value, abs=0.1) for name, one in figures.items())

        async with real_runner(house, tmp_path, "FakeMarrakesh"):  # as if the device had been calibrated anew
            newer, older = await measure(house, 3)
        assert older.id == first.id
        assert newer.calibration != older.calibration
        assert (newer.circuits, newer.options, newer.compiler) == (older.circuits, older.options, older.compiler)

        (board,) = (await house.pipeline.series.leaderboards(ADA)).boards
        (leader,) = board.leaders
        assert (leader.series, leader.run, leader.score) == (newer.id, newer.runs[0].id, newer.runs[0].score)
        assert leader.width in (0, 2, 3, 5)
        lines = list(csv.DictReader(io.StringIO((await house.pipeline.series.csv(ADA)).decode())))
        assert len(lines) == 15
        assert {line["series"] for line in lines} == {newer.id, older.id}
        assert {line["measure"] for line in lines} == {"success", "fidelity"}

        device = await house.pipeline.device(ADA, "fake_torino")
        assert {(one.what, one.runs, one.error) for one in device.scores} >= {("success", 3, None)}  # too few runs yet
        rows = await house.store.read(lambda view: view.scores("fake_torino", benchmarks=True))
        pairs = [(row.success, row.agreement) for row in rows]
        off = [abs(said - came) for said, came in pairs if said is not None and came is not None]
        assert len(off) == 3
        assert sorted(off)[1] < 0.1
        jobs = await house.store.read(lambda view: view.jobs(project="benchmarks"))
        assert [job.state for job in jobs] == [JobState.COMPLETED] * 3
        await house.ledger()


def test_the_packaged_sets_are_those_of_their_recipe() -> None:
    """Made anew they have the same names, sizes and right answers; with the same versions, the same bytes."""
    packaged, made = {one.name: one for one in read_sets(None)}, make_sets()
    assert [one.name for one in made.sets] == [recipe["name"] for recipe in RECIPES] == list(packaged)
    for one in made.sets:
        kept = packaged[one.name]
        assert [(c.name, c.num_qubits, c.measure) for c in kept.circuits] == [
            (c.name, c.num_qubits, c.measure) for c in one.circuits
        ]
        for ours, theirs in zip(kept.circuits, one.circuits, strict=True):
            assert ours.ideal == pytest.approx(theirs.ideal)
        if kept.recipe == one.recipe:
            assert (kept.qpy_digest, kept.digest) == (one.qpy_digest, one.digest)


def test_a_file_that_was_written_is_read_again(tmp_path: Path) -> None:
    """The widest set comes first, whatever the order in the file."""
    sets = [make_set(narrow(2)), make_set(narrow(4)), make_set(narrow(3))]
    path = tmp_path / "circuits.json"
    path.write_text(CircuitSets(sets=sets).model_dump_json())
    assert [one.num_qubits for one in read_sets(path)] == [4, 3, 2]


def narrow(qubits: int) -> dict[str, Any]:
    """A recipe with one mirror circuit."""
    return {
        "name": f"m{qubits}",
        "mirror": {"qubits": [qubits], "layers": 1, "seed": 1},
        "mqt.bench": {"algorithms": [], "qubits": []},
    }
