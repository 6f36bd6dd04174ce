"""Qiskit's QPY writer is never used by two threads at once, nor by a widget's thread on a circuit of the notebook."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from qiskit import QuantumCircuit, qpy

from jupyter_quantum.client import circuits
from jupyter_quantum.client.hub import Hub
from jupyter_quantum.lab.widgets.hubdoor import HubDoor

Writers = list[tuple[threading.Thread, int]]


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> Writers:
    """Who wrote, and how many wrote at that moment."""
    seen: Writers = []
    now: list[threading.Thread] = []
    write = qpy.dump

    def slow(*given: Any, **named: Any) -> None:
        me = threading.current_thread()
        now.append(me)
        seen.append((me, len(now)))
        time.sleep(0.005)
        write(*given, **named)
        now.remove(me)

    monkeypatch.setattr(circuits.qpy, "dump", slow)
    return seen


def together(*acts: Any) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def test_one_writes_at_a_time(bell: QuantumCircuit, writers: Writers) -> None:
    """Cells and widgets that send the same circuit take turns."""
    together(*[lambda: circuits.to_qpy([bell]) for _ in range(6)])
    assert [count for _, count in writers] == [1] * 6


def test_the_widget_writes_no_circuit(hub: Hub, bell: QuantumCircuit, writers: Writers) -> None:
    """Other shots and dry runs, asked for by the widget's threads, go with what the cell wrote."""
    door = HubDoor(hub)
    door.report(bell, shots=1000)
    together(
        lambda: door.report(bell, shots=500),
        lambda: door.report(bell, shots=1000, devices=["fake_torino"], dry_run="fake_torino"),
    )
    assert [thread for thread, _ in writers] == [threading.current_thread()]
    assert door.report(bell, shots=2000).shots == 2000
    assert len(writers) == 1
