"""Twelve snapshots of IBM's devices, from 7 to 156 qubits and with four kinds of two-qubit gates."""

from __future__ import annotations

from typing import Any, Final

from jupyter_quantum.fabric.adapters import Device, build
from jupyter_quantum.fabric.settings import DeviceSpec

__all__ = ["NAMES", "built", "specs"]

NAMES: Final = (
    "FakeLagosV2",
    "FakeGuadalupeV2",
    "FakeHanoiV2",
    "FakeAuckland",
    "FakeMontrealV2",
    "FakeBrisbane",
    "FakeCusco",
    "FakeKyiv",
    "FakeOsaka",
    "FakeSherbrooke",
    "FakeTorino",
    "FakeFez",
)


def specs(names: tuple[str, ...] = NAMES) -> list[dict[str, Any]]:
    """Entries of a service's ``devices``."""
    return [
        {"name": name.removesuffix("V2").lower().replace("fake", "fake_"), "adapter": "ibm_fake", "fake": name}
        for name in names
    ]


def built(threads: int = 2) -> list[Device]:
    """The devices themselves, in this process."""
    return [build(DeviceSpec.model_validate(spec), threads) for spec in specs()]
