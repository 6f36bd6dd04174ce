"""The cell that a job is sent from: found in a kernel, bounded and clean; nothing elsewhere."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from qiskit import QuantumCircuit

from jupyter_quantum import Hub
from jupyter_quantum.client.origin import origin, sent_from
from jupyter_quantum.lab.widgets.hubdoor import HubDoor
from jupyter_quantum.wire.jobs import JobRequest, Origin

CELL = "3f2a9c1e-77aa"


class Cells:
    """A kernel whose running cell a test sets."""

    def __init__(self) -> None:
        self.metadata: Any = {"cellId": CELL, "deletedCells": []}
        self.user_ns: dict[str, Any] = {}

    @property
    def kernel(self) -> Any:
        return SimpleNamespace(get_parent=lambda: {"header": {}, "metadata": self.metadata})


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> Cells:
    """A notebook, in its user's folder."""
    made = Cells()
    monkeypatch.setattr("IPython.get_ipython", lambda: made)
    monkeypatch.setenv("JPY_SESSION_NAME", "/users/ada/thesis/bell.ipynb")
    return made


def test_outside_of_notebooks_there_is_none() -> None:
    """A script: IPython is not even imported."""
    code = (
        "import sys; from jupyter_quantum.client.origin import origin; assert origin() is None;"
        "sys.exit('IPython' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert origin() is None


def test_a_cell_is_named_without_its_folder(cells: Cells) -> None:
    """The file's name, and the cell's id as the frontend sent it."""
    assert origin() == Origin(notebook="bell.ipynb", cell=CELL)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("C:\\Users\\ada\\bell.ipynb", "bell.ipynb"),
        ("/users/ada/Console 1", None),
        ("", None),
        ("/x/\u202eevil\x07.ipynb", "evil.ipynb"),
        ("/x/" + "n" * 300 + ".ipynb", "n" * 193 + "….ipynb"),
    ],
    ids=["windows", "console", "none", "control", "long"],
)
def test_names_are_bounded_and_clean(
    cells: Cells, monkeypatch: pytest.MonkeyPatch, name: str, shown: str | None
) -> None:
    """Whatever the session is called, what is sent passes the service's own check."""
    monkeypatch.setenv("JPY_SESSION_NAME", name)
    found = origin()
    assert found is not None
    assert (found.notebook, found.cell) == (shown, CELL)
    assert Origin.model_validate(found.model_dump()) == found


@pytest.mark.parametrize("metadata", [{}, None, {"cellId": "../x"}, {"cellId": 7}, {"cellId": "a" * 65}])
def test_an_id_that_is_none_is_left_out(cells: Cells, metadata: Any) -> None:
    """What is no id of nbformat is not sent; the notebook is."""
    cells.metadata = metadata
    assert origin() == Origin(notebook="bell.ipynb")


def test_a_kernel_that_says_nothing_has_none(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file nor a cell."""
    cells.metadata = {}
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert origin() is None


def test_jobs_carry_it(cells: Cells, hub: Hub, bell: QuantumCircuit) -> None:
    """``run`` sends it with the job; what a widget sends is of the cell that promoted, not of the one that runs."""
    here = Origin(notebook="bell.ipynb", cell=CELL)
    assert hub.backend("aer").run(bell).view.origin == here
    door = HubDoor(hub)
    cells.metadata = {"cellId": "another"}
    assert door.submit(door.report(bell, shots=100), "aer", reason=None, max_price=None).origin == here
    with sent_from(None):
        assert hub.backend("aer").run(bell).view.origin is None
    assert hub.backend("aer").run(bell).view.origin == Origin(notebook="bell.ipynb", cell="another")


@pytest.mark.parametrize(
    "told",
    [
        {"notebook": "a/b.ipynb"},
        {"notebook": "a\nb.ipynb"},
        {"notebook": "n" * 201},
        {"notebook": ""},
        {"cell": "a b"},
        {"cell": "<img>"},
        {"user": "ada"},
    ],
    ids=["folder", "line", "long", "empty", "blank", "markup", "more"],
)
def test_the_service_takes_nothing_else(told: dict[str, str]) -> None:
    """A notebook may send anything: what is no name and no id is refused."""
    with pytest.raises(ValidationError):
        JobRequest.model_validate({"device": "aer", "origin": told})
