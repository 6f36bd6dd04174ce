"""Benchmark series in a notebook and on the command line: complete in text and HTML, names as text."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.series import Boards, RunCard, SeriesCard, SeriesTable, SeriesTools
from jupyter_quantum.client.series_commands import app
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.series import CircuitSets, Figure, Leader, Leaderboard, RunSeries, SeriesRunView

DIGEST = digest_of(b"")
NOW = datetime(2026, 5, 12, 12, tzinfo=UTC)
HOSTILE = "<img src=x>\x1b[31m"


def a_figure(**changes: Any) -> Figure:
    """Of a mirror circuit."""
    fields = {"name": "mirror-5", "family": "mirror", "num_qubits": 5, "depth": 14, "measure": "success"}
    return Figure(**(fields | {"value": 0.9, "low": 0.88, "high": 0.92, "shots": 1000} | changes))


def a_run(at: int, score: float) -> SeriesRunView:
    """A run that is done."""
    when = NOW + timedelta(hours=at)
    shares = {"score": score, "low": score - 0.01, "high": score + 0.01, "success": 0.9, "fidelity": None}
    run = SeriesRunView(id=f"bmr_{at}", device="torino", created=when, ended=when, state="done", series="ser_1")
    return run.model_copy(update=shares | {"figures": [a_figure()]})


def a_series(**changes: Any) -> dict[str, Any]:
    """Two runs."""
    fields = {"id": "ser_1", "device": "torino", "name": HOSTILE, "circuits": DIGEST, "options": {"shots": 1000}}
    fields |= {"calibration": DIGEST, "compiler": {"seed": 7, "name": "qiskit", "version": "2.6.2", "level": 2}}
    return fields | {"created": NOW, "runs": [a_run(1, 0.875), a_run(0, 0.85)]} | changes


LEADER = Leader(
    rank=1, device="torino", label="emulator", score=0.9, success=0.9, width=5, at=NOW, run="bmr_1", series="ser_1"
)
TABLE = SeriesTable.model_validate({"series": [a_series()], "open": [a_run(2, 0.5)]})
CARD = SeriesCard.model_validate(a_series())
BOARDS = Boards(boards=[Leaderboard(name="standard", circuits=DIGEST, options={"shots": 1000}, leaders=[LEADER])])


class Told:
    """A connection that answers from here, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def get(self, path: str, shape: type, **params: object) -> Any:
        self.asked.append((path, params))
        return {"series": TABLE, "series/ser_1": CARD, "leaderboards": BOARDS}[path]

    def post(self, path: str, shape: type, body: RunSeries) -> Any:
        self.asked.append((path, body.device))
        return RunCard(id="bmr_9", device=body.device, created=NOW, state="open")

    def file(self, path: str, **params: object) -> bytes:
        self.asked.append((path, params))
        return b"series,device\r\n"


def test_a_table_says_how_devices_do() -> None:
    """The latest score with its range, unknown as –, what is under way in words; nothing that steers a screen."""
    text = repr(TABLE)
    assert "0.875 (0.865–0.885)  0.900    –         2 " in text
    assert "torino: a run is under way since" in text
    assert "\x1b" not in text
    assert "<img" not in TABLE._repr_html_()
    assert repr(SeriesTable(series=[])) == "No benchmark has run yet."


def test_a_series_shows_conditions_runs_and_figures() -> None:
    """Compiler in a fixed order; each figure with its interval; the trend from the oldest run on."""
    text = repr(CARD)
    for words in ("name qiskit, version 2.6.2, level 2, seed 7", "shots 1\u202f000", "0.900 (0.880–0.920)", "bmr_0"):
        assert words in text
    assert "\x1b" not in text
    assert "<img" not in CARD._repr_html_()
    chart = CARD.trend()
    assert "2 runs; the latest scored 0.875 (0.865–0.885)." in chart
    assert "<img" not in chart


def test_a_board_and_a_run_in_words() -> None:
    """Ranks, and how a run stands."""
    assert "1  torino  emulator  0.900  0.900    –         5 qubits" in repr(BOARDS)
    assert "<td>5 qubits</td>" in BOARDS._repr_html_()
    assert repr(Boards()) == "No benchmark has run yet."
    run = RunCard.model_validate(a_run(0, 0.875).model_dump())
    assert repr(run) == "bmr_0: the benchmark of torino scored 0.875 (0.865–0.885)."
    failed = run.model_copy(update={"state": "failed", "code": "quota.exceeded"})
    assert repr(failed) == "bmr_0: the benchmark of torino failed (quota.exceeded)."


def test_the_tools_ask_the_right_addresses() -> None:
    """One address each; a name cannot leave its place."""
    told = Told()
    tools = SeriesTools(told)  # type: ignore[arg-type]
    assert tools("torino") is TABLE
    assert tools.of("ser_1") is CARD
    assert tools.leaderboards() is BOARDS
    assert tools.csv() == b"series,device\r\n"
    assert tools.run("torino").id == "bmr_9"
    with pytest.raises(KeyError, match=r"series/\.\.%2Fme"):
        tools.of("../me")
    assert told.asked[:5] == [
        ("series", {"device": "torino"}),
        ("series/ser_1", {}),
        ("leaderboards", {}),
        ("series.csv", {"device": None}),
        ("series", "torino"),
    ]


def test_the_commands_print_what_the_tools_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Text or one JSON document; CSV as it is; `make` writes sets that are what they say."""
    monkeypatch.setenv("JUPYTER_QUANTUM_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t")
    told = Told()
    for name in ("get", "post", "file"):
        monkeypatch.setattr(Connection, name, getattr(told, name).__func__.__get__(told))
    run = CliRunner().invoke
    assert repr(TABLE) in run(app, ["list"]).stdout
    assert json.loads(run(app, ["show", "ser_1", "--json"]).stdout)["id"] == "ser_1"
    assert json.loads(run(app, ["leaderboard", "--json"]).stdout)["boards"][0]["leaders"][0]["device"] == "torino"
    assert "is under way" in run(app, ["run", "torino"]).stdout
    assert run(app, ["csv"]).stdout.startswith("series,device")
    target = tmp_path / "sets.json"
    made = run(app, ["make", str(target)])
    assert made.exit_code == 0, made.output
    sets = CircuitSets.model_validate_json(target.read_bytes()).sets
    assert all(digest_of(one.qpy) == one.qpy_digest for one in sets)
