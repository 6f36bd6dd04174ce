"""Configuration of benchmark series and of the weights of priority classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_quantum.core.jobs import JobClass
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.exceptions import InputError
from jupyter_quantum.hub.app import QuantumService
from jupyter_quantum.hub.settings import settings_of
from jupyter_quantum.pipeline.settings import CLASS_WEIGHTS, SeriesSettings, Settings


def told(tmp_path: Path, **config: Any) -> Settings:
    """What the pipeline is told of a service's configuration."""
    return settings_of(QuantumService(**config), tmp_path, b"")


def test_what_is_configured_is_what_the_pipeline_is_told(tmp_path: Path) -> None:
    """Hours become seconds, credits micro-credits, a list of devices a set."""
    given = {
        "project": "benchmarks",
        "devices": ["qpu"],
        "hours": 6,
        "shots": 500,
        "max_price": 2.5,
        "circuits": "c.json",
    }
    found = told(tmp_path, series=given, class_weights={"benchmark": 0.1})
    assert found.series == SeriesSettings(
        "benchmarks", "quantum", frozenset({"qpu"}), 6 * 3600.0, 500, int(2.5 * CREDIT), Path("c.json")
    )
    assert found.class_weights == {JobClass.INTERACTIVE: 1.0, JobClass.BENCHMARK: 0.1}


def test_nothing_runs_where_nothing_is_configured(tmp_path: Path) -> None:
    """And every class has a weight all the same."""
    found = told(tmp_path)
    assert found.series == SeriesSettings()
    assert found.class_weights == CLASS_WEIGHTS
    assert set(CLASS_WEIGHTS) == set(JobClass)


@pytest.mark.parametrize(
    "config",
    [
        {"series": {"devices": ["qpu"]}},
        {"series": {"project": "p", "hours": 0}},
        {"series": {"project": "p", "shots": 0}},
        {"series": {"project": "p", "days": 1}},
        {"class_weights": {"benchmark": 0}},
        {"class_weights": {"urgent": 2}},
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, config: dict[str, Any]) -> None:
    """Devices that nobody pays for, no interval, no shots, a weight that would stop a class, names that are none."""
    with pytest.raises(InputError) as caught:
        told(tmp_path, **config)
    assert caught.value.code == "config"
