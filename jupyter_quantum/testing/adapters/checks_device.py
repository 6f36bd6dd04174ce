"""Conformance: what a device says of itself, and its options."""

from __future__ import annotations

import json
from collections.abc import Callable

from qiskit import QuantumCircuit

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.fabric.vendors.host import Host
from jupyter_quantum.fabric.vendors.messages import Call, Reply
from jupyter_quantum.fabric.vendors.scrub import Scrubber
from jupyter_quantum.targets import canonical, target_from_json, target_to_json
from jupyter_quantum.testing.adapters.bench import Bench, LocalVendor, Rejected
from jupyter_quantum.testing.adapters.circuits import marked
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.runner import DeviceAnnouncement

__all__ = [
    "announcement_is_complete",
    "calibration_is_stable",
    "messages_cross_processes",
    "published_options_are_taken",
    "target_round_trips",
    "too_many_shots_are_refused",
    "unknown_options_are_refused",
]


def announcement_is_complete(bench: Bench) -> str | None:
    """Every field that people and policies rely on is filled in, and survives the way to the service."""
    found = bench.device.announcement()
    assert found.name == bench.spec.name
    assert found.vendor
    assert found.label
    assert found.num_qubits >= 1
    assert found.basis_gates
    assert found.max_shots >= 1
    assert found.max_circuits >= 1
    assert found.remote is bench.device.remote
    assert not (found.remote and found.recovery == "repeatable"), "a run at a vendor's is not free to repeat"
    assert DeviceAnnouncement.model_validate_json(found.model_dump_json()) == found
    assert set(found.options) == {kind.value for kind in JobKind}
    return None


def target_round_trips(bench: Bench) -> str | None:
    """The Target is rebuilt from its document without loss, by whoever has Qiskit only."""
    document = json.loads(bench.device.announcement().model_dump_json())["target"]
    document.pop("vendor", None)  # only the adapter itself reads it
    target = target_from_json(document)
    assert target.num_qubits == bench.device.num_qubits
    assert canonical(target_to_json(target)) == canonical(document)
    assert "measure" in target.operation_names
    return None


def calibration_is_stable(bench: Bench) -> str | None:
    """Asked twice without a new calibration, the device has the same digest."""
    digests = {digest_of(canonical(bench.vendor.calibration().target)) for _ in range(2)}
    assert digests == {bench.device.calibration.digest}
    return None


def messages_cross_processes(bench: Bench) -> str | None:
    """What the vendor answers fits into the messages between its process and the runner."""
    if isinstance(bench.vendor, LocalVendor):
        return "it runs in the worker"
    host = Host(bench.vendor, Scrubber(bench.secret.values()))
    run = bench.run("run", marked(1, 1))
    for verb in ("announce", "calibration", "status", "result", "cancel"):
        reply = host.answer(Call(id=1, verb=verb, name=run.handles[0]))
        assert reply.error is None, f"{verb}: {reply.words}"
        assert Reply.model_validate_json(reply.model_dump_json()) == reply
    return None


def unknown_options_are_refused(bench: Bench) -> str | None:
    """An option that the device does not publish is an error before anything is priced."""
    for kind in JobKind:
        pubs, circuit = _work_of(kind)
        code = _code(lambda: bench.prepare(kind.value, circuit, pubs, no_such_option=1))  # noqa: B023  at once
        assert code is not None, f"{kind.value} took an option that it does not have"
        assert code.startswith("option."), code
    return None


def published_options_are_taken(bench: Bench) -> str | None:
    """Each option's default, and each value of an enumeration, can be asked for."""
    for kind in JobKind:
        pubs, circuit = _work_of(kind)
        for name, rule in bench.device.options[kind.value]["properties"].items():
            for value in rule.get("enum", [rule.get("default")]):
                if value is not None:
                    prepared, _ = bench.prepare(kind.value, circuit, pubs, **{name: value})
                    assert prepared.options[name] == value
    return None


def too_many_shots_are_refused(bench: Bench) -> str | None:
    """More shots than the device takes are refused, and as many as it takes are not."""
    most = bench.device.announcement().max_shots
    bench.prepare("run", marked(1, 1), shots=most)
    code = _code(lambda: bench.prepare("run", marked(1, 1), shots=most + 1))
    assert code is not None, f"{most + 1} shots were taken"
    assert code.startswith("option."), code
    return None


def _code(ask: Callable[[], object]) -> str | None:
    """The code of the refusal; None: it was taken."""
    try:
        ask()
    except Rejected as refused:
        return refused.error.code
    return None


def _work_of(kind: JobKind) -> tuple[list[Pub], QuantumCircuit]:
    if kind is JobKind.ESTIMATOR:
        circuit = QuantumCircuit(1)
        circuit.x(0)
        return [Pub(circuit=0, observables={"Z": 1.0})], circuit
    return ([] if kind is JobKind.RUN else [Pub(circuit=0)]), marked(1, 1)
