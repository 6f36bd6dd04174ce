"""The conformance suite passes for devices that conform, and fails for those that do not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from qiskit import QuantumCircuit

from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.fabric.adapters.remote import Counted
from jupyter_quantum.testing.adapters import conformance, example
from jupyter_quantum.testing.adapters.conformance import CHECKS, Bench, Check
from jupyter_quantum.testing.adapters.memory import MemoryDevice
from jupyter_quantum.testing.adapters.server import Behaviour, VendorServer
from tests.integration.vendors.lab import LabMachine

KINDS = ("aer", "example", "idempotent", "searchable", "opaque")


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorServer]:
    """A vendor that is slow to list what it has."""
    with VendorServer(Behaviour(indexing_s=0.3, run_s=0.1)) as server:
        yield server


@pytest.fixture(scope="module")
def benches(vendor: VendorServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Bench]]:
    """One bench a device."""
    directory = tmp_path_factory.mktemp("lab")
    lab = {"name": "lab", "adapter": "jupyter_quantum.testing.adapters.example:LabDevice", "directory": str(directory)}
    with LabMachine(directory):
        found = {"aer": Bench({"name": "aer", "adapter": "aer"}), "example": Bench(lab)}
        for kind in KINDS[2:]:
            spec = {"name": "m1", "adapter": "memory", "url": vendor.url, "recovery": kind, "indexing_s": 0.5}
            found[kind] = Bench(
                spec,
                {"key": "memory-key"},
                wrong_secret={"key": "not-the-key"},
                unreachable={"url": "http://127.0.0.1:9"},
            )
        yield found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(benches: dict[str, Bench], kind: str, check: Check) -> None:
    """Each check holds for a simulator, for the example, and for the vendor of the tests in its three kinds."""
    check(benches[kind])


def test_remote_devices_leave_out_nothing_important(benches: dict[str, Bench]) -> None:
    """For a vendor with everything to try, the checks that do not apply are those of another kind of device."""
    left_out = [check.__name__ for check in CHECKS if check(benches["idempotent"])]
    assert left_out == ["same_seed_same_counts"]


def test_the_example_is_short() -> None:
    """An adapter takes fewer than 60 lines."""
    assert len(Path(example.__file__).read_text().splitlines()) < 60


class Reversed(MemoryDevice):
    """Turns bits around."""

    def counted(self, circuits: Sequence[QuantumCircuit], answer: bytes) -> Sequence[Counted]:
        found = []
        for circuit, one in zip(circuits, json.loads(answer), strict=True):
            width = circuit.num_clbits
            counts = {f"{int(bits, 16):0{width}b}"[::-1]: times for bits, times in one["counts"].items()}
            found.append(Counted(counts=counts))
        return found


class Zero(MemoryDevice):
    """Makes zeros of nothing."""

    def counted(self, circuits: Sequence[QuantumCircuit], answer: bytes) -> Sequence[Counted]:
        try:
            return super().counted(circuits, answer)
        except Exception:
            return [Counted(counts={"0x0": 1024}) for _ in circuits]


class Forgetful(MemoryDevice):
    """Loses every tenth shot."""

    def counted(self, circuits: Sequence[QuantumCircuit], answer: bytes) -> Sequence[Counted]:
        return [
            Counted(counts={bits: times * 9 // 10 for bits, times in one["counts"].items()})
            for one in json.loads(answer)
        ]


class Moody(MemoryDevice):
    """Another payload each time."""

    count = 0

    def payload(self, circuits: Sequence[QuantumCircuit], shots: Sequence[int], order: Any) -> bytes:
        Moody.count += 1
        body = json.loads(super().payload(circuits, shots, order))
        return json.dumps(body | {"number": Moody.count}).encode()


@pytest.mark.parametrize(
    ("device", "check"),
    [
        (Reversed, conformance.bits_are_in_qiskits_order),
        (Reversed, conformance.sampler_keeps_registers),
        (Zero, conformance.results_are_never_silently_zero),
        (Forgetful, conformance.bell_is_correlated),
        (Moody, conformance.payloads_are_repeatable),
    ],
)
def test_defects_are_found(vendor: VendorServer, device: type[MemoryDevice], check: Check) -> None:
    """A device with a defect fails the check that is about it."""
    spec = {"name": "m1", "adapter": f"{device.__module__}:{device.__name__}", "url": vendor.url}
    with Bench(spec, {"key": "memory-key"}) as bench, pytest.raises((AssertionError, JobFailed)):
        check(bench)


def test_duplicates_are_found(vendor: VendorServer) -> None:
    """A vendor that claims to be idempotent and is not fails."""
    spec = {"name": "m1", "adapter": "memory", "url": vendor.url, "recovery": "searchable"}
    with Bench(spec, {"key": "memory-key"}) as bench:
        bench.device.recovery = "idempotent"
        with pytest.raises(AssertionError):
            conformance.same_tag_same_submission(bench)


def test_command_says_each_check(vendor: VendorServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without pytest: a line a check, JSON at the end, and an exit status."""
    secret = tmp_path / "secret.json"
    secret.write_text('{"key": "memory-key"}')
    spec = {"name": "m1", "adapter": "memory", "url": vendor.url}
    assert conformance.main([json.dumps(spec), str(secret)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(CHECKS) + 1
    assert json.loads(said[-1]) == {"device": "m1", "checks": len(CHECKS), "failed": []}
