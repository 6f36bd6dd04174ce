"""Submitting at each vendor through answers that are lost: at most once, and the right one of the three errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from qiskit import QuantumCircuit

from jupyter_quantum.fabric.adapters.vendor import VendorRefused, VendorUnavailable, VendorUnsure
from jupyter_quantum.testing.adapters.conformance import Bench
from tests.vendors import azure, braket, ibm, ionq
from tests.vendors.server import Fake

_HERE = "jupyter_quantum.fabric.adapters."


@dataclass
class Case:
    """A device, its vendor's fake, and what the fake keeps submissions in."""

    bench: Bench
    fake: Fake
    kept: dict[str, Any]
    payload: bytes = b""

    def submit(self, tag: str, *plan: int | str) -> str:
        """Submit once while the plan goes wrong."""
        self.fake.plan = list(plan)
        try:
            return self.bench.vendor.submit(tag, self.payload)
        finally:
            self.fake.plan = []


def _case(stack: ExitStack, name: str) -> Case:
    fake: Any = {"ibm": ibm.Ibm, "braket": braket.Braket, "ionq": ionq.Ionq, "azure": azure.Azure}[name]()
    stack.enter_context(fake)
    settings, secret, kept = {
        "ibm": lambda: (fake.settings, fake.secret, fake.jobs),
        "braket": lambda: (fake.settings(), braket.KEYS, fake.tasks),
        "ionq": lambda: (fake.settings(), {"token": ionq.TOKEN}, fake.jobs),
        "azure": lambda: (fake.settings, fake.secret, fake.jobs),
    }[name]()
    classes = {"ibm": "ibm:IbmDevice", "braket": "braket:BraketDevice", "ionq": "ionq:IonqDevice"}
    adapter = _HERE + classes.get(name, "azure:AzureDevice")
    bench = stack.enter_context(Bench({"name": "d", "adapter": adapter, **settings}, secret, shots=20))
    circuit = QuantumCircuit(1)
    circuit.x(0)
    circuit.measure_all()
    _, order = bench.prepare("run", circuit, shots=20)
    (payload,) = bench.encode(order)
    return Case(bench, fake, kept, payload)


@pytest.fixture(scope="module", params=["ibm", "braket", "ionq", "azure"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    with ExitStack() as stack:
        yield _case(stack, request.param)


def test_lost_answer_is_unsure_and_sent_once(case: Case) -> None:
    """The vendor has it and the answer is lost: unsure, one submission, and its tag finds it where it can."""
    before, tag = len(case.kept), case.bench.tag()
    with pytest.raises(VendorUnsure):
        case.submit(tag, "lost")
    assert len(case.kept) == before + 1
    if case.bench.device.recovery != "opaque":
        assert case.bench.vendor.find(tag) in case.kept


def test_what_comes_after_a_lost_answer_does_not_speak_for_it(case: Case) -> None:
    """No SDK sends by itself again and tells of the second answer alone: *nothing was done* would be believed."""
    before, seen = len(case.kept), len(case.fake.seen)
    with pytest.raises(VendorUnsure):
        case.submit(case.bench.tag(), "lost", 429, 429, 429)
    assert len(case.kept) == before + 1
    assert sum(map(case.fake.breaks, case.fake.seen[seen:])) == 1


def test_idempotent_vendor_takes_it_again_as_the_same(case: Case) -> None:
    """Where the tag gives the id, sending again after a lost answer is the same submission."""
    if case.bench.device.recovery != "idempotent":
        with pytest.raises(VendorUnsure):
            case.submit(case.bench.tag(), "dropped")
        return
    before, tag = len(case.kept), case.bench.tag()
    with pytest.raises(VendorUnsure):
        case.submit(tag, "lost")
    handle = case.submit(tag)
    assert handle == case.bench.vendor.find(tag)
    assert len(case.kept) == before + 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(500, VendorUnsure), (503, VendorUnsure), (429, VendorUnavailable), (400, VendorRefused), (403, VendorRefused)],
)
def test_statuses_have_their_kind(case: Case, status: int, kind: type[Exception]) -> None:
    """5xx: nobody knows; 429: nothing was done; 4xx: no. Nothing is at the vendor in any of these cases."""
    before = len(case.kept)
    with pytest.raises(kind) as caught:
        case.submit(case.bench.tag(), status)
    assert len(case.kept) == before
    assert len(str(caught.value)) <= 400
    assert not any(secret in str(caught.value) for secret in case.bench.secret.values())


def test_payload_of_another_kind_is_refused_before_it_is_sent(case: Case) -> None:
    """What a worker that was taken over writes does not reach the vendor unless it has the adapter's form."""
    seen = len(case.fake.seen)
    for payload in (b"", b"{}", b"[1]", json.dumps({"program_id": "executor", "params": {}}).encode()):
        with pytest.raises(VendorRefused):
            case.bench.vendor.submit(case.bench.tag(), payload)
    assert len(case.fake.seen) == seen


def test_shares_of_braket_come_to_all_its_shots() -> None:
    """Probabilities whose shots, rounded one by one, would be one too few: what was paid for is not lost for that."""
    circuit = QuantumCircuit(2)
    circuit.measure_all()
    said = {"measurementProbabilities": dict.fromkeys(("00", "01", "10"), 1 / 3), "taskMetadata": {"shots": 100}}
    with ExitStack() as stack:
        device: Any = _case(stack, "braket").bench.device
        (found,) = device.counted([circuit], json.dumps(said | {"measuredQubits": [0, 1]}).encode())
    assert found.counts == {"0x0": 34, "0x1": 33, "0x2": 33}
