"""The tutorials run top to bottom against a real hub, as a newcomer runs them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from jupyter_quantum import Hub
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.testing.demo import DemoHub

_TUTORIALS = Path(__file__).parents[3] / "tutorials"


class _Reader(NotebookClient):  # type: ignore[misc]  # traitlets ship no types
    """Runs cells in order, and restarts the kernel where the text asks for it."""

    async def async_execute_cell(self, cell: Any, cell_index: int, **more: Any) -> Any:
        """Run one cell."""
        if "after-restart" in cell.metadata.get("tags", []):
            await self.km.restart_kernel(now=True)
            await self.kc.wait_for_ready(timeout=60)
        return await super().async_execute_cell(cell, cell_index, **more)


def _run(name: str, demo: DemoHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a tutorial in ``folder``; returns all text that it put out."""
    monkeypatch.setenv("JUPYTER_QUANTUM_URL", demo.service)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", demo.token("ben"))
    monkeypatch.setenv("PYTHONPATH", str(_TUTORIALS.parent))
    notebook = nbformat.read(_TUTORIALS / name, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    assert notebook.metadata.kernelspec == {
        "display_name": "Quantum Sandbox",
        "language": "python",
        "name": "quantum-sandbox",
    }
    reader = _Reader(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    reader.execute()
    return "\n".join(_texts(notebook))


def _texts(notebook: Any) -> list[str]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [str(one.get("text") or one.get("data", {}).get("text/plain", "")) for one in outputs]


def test_first_circuit(demo: DemoHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tutorial 01: quota, counts, prices, the refusal with its reason, and the result after a restart."""
    said = _run("01-first-circuit.ipynb", demo, tmp_path, monkeypatch)
    assert "of 50 credits left" in said
    assert re.search(r"ZZ: 0\.\d{3} ± 0\.\d{3} \(1 SE\)", said)
    assert re.search(r"20.000 shots is over 10.000 in the sandbox tier", said)
    assert re.search(r"\{(?=[^}]*'00': \d+)(?=[^}]*'11': \d+)", said)
    job = (tmp_path / "my-job.txt").read_text()
    assert Hub(url=demo.service, token=demo.token("ben")).job(job).state is JobState.COMPLETED


def test_promotion(demo: DemoHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tutorial 02: report, submission, a request that waits for a lead, provenance."""
    said = _run("02-promotion.ipynb", demo, tmp_path, monkeypatch)
    assert "Needs a lead's approval because the estimate" in said
    assert "awaiting_approval" in said
    assert "It goes on; ask again later" in said
    assert re.search(r"Circuits sent\s+sha256:", said)
    waiting = Hub(url=demo.service, token=demo.token("ben")).jobs(state="awaiting_approval")
    assert [job.view.device for job in waiting] == ["campus_qpu"]
