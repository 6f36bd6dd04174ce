"""The public names: few, guarded, lazy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import jupyter_quantum

_NAMES = ["Batch", "Estimator", "EstimatorV2", "Hub", "QuantumError", "Sampler", "SamplerV2", "Session", "promote"]


def test_exported_names() -> None:
    """A new public name is a decision, made here too."""
    assert jupyter_quantum.__all__ == _NAMES
    assert dir(jupyter_quantum) == _NAMES
    for name in _NAMES:
        assert callable(getattr(jupyter_quantum, name))
    assert jupyter_quantum.Sampler is jupyter_quantum.SamplerV2
    assert jupyter_quantum.Estimator is jupyter_quantum.EstimatorV2


def test_unknown_names() -> None:
    """An unknown name is an AttributeError, as for every module."""
    with pytest.raises(AttributeError, match="nothing"):
        jupyter_quantum.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    """The service imports this package too: no Qiskit, no widgets, no client."""
    heavy = "{'qiskit', 'anywidget', 'urllib3', 'pydantic', 'jupyter_quantum.client'}"
    code = f"import sys, jupyter_quantum; print({heavy} & set(sys.modules))"
    root = Path(__file__).parents[3]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert found.stdout.strip() == "set()"
