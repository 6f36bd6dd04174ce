"""What every adapter has to do, as a list of checks for authors of plug-ins.

With pytest::

    import pytest
    from jupyter_quantum.testing.adapters.conformance import CHECKS, Bench

    @pytest.fixture(scope="module")
    def bench():
        with Bench({"name": "mine", "adapter": "my_package:MyDevice", "url": …}, {"token": "…"}) as bench:
            yield bench

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_conforms(bench, check):
        check(bench)

Without::

    python -m jupyter_quantum.testing.adapters.conformance '{"name": "mine", "adapter": "mine"}' [SECRET.json]

Remote devices are reached through their :class:`~jupyter_quantum.fabric.adapters.vendor.Vendor`; those that run in the
worker are driven by the same verbs. A check raises ``AssertionError`` where the device does not conform. It returns why
where it does not apply to this device (no control flow, no second secret to try), and None otherwise.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.fabric.adapters.base import Order
from jupyter_quantum.fabric.adapters.vendor import (
    Submission,
    VendorRefused,
    VendorUnavailable,
    VendorUnsure,
)
from jupyter_quantum.fabric.vendors.host import Host
from jupyter_quantum.fabric.vendors.messages import Call, Reply
from jupyter_quantum.fabric.vendors.scrub import Scrubber
from jupyter_quantum.targets import canonical, target_from_json, target_to_json
from jupyter_quantum.testing.adapters.bench import Bench, LocalVendor, Rejected
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import Bits, ResultView
from jupyter_quantum.wire.runner import DeviceAnnouncement

__all__ = ["CHECKS", "Bench", "Check", "main"]

Check = Callable[[Bench], str | None]

_ABSENT: Final = "nobody-has-this-0"


# Circuits


def _bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def _ghz(width: int) -> QuantumCircuit:
    circuit = QuantumCircuit(width, name="ghz")
    circuit.h(0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def _marked(width: int, ones: int, name: str = "marked") -> QuantumCircuit:
    """The basis state ``ones``."""
    circuit = QuantumCircuit(width, name=name)
    for qubit in range(width):
        if ones >> qubit & 1:
            circuit.x(qubit)
    circuit.measure_all()
    return circuit


def _registers() -> QuantumCircuit:
    """Qubit 0 is 1 and goes to the upper bit of *high*; qubits 1 and 2 are 0."""
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(1, "low"), ClassicalRegister(2, "high"))
    circuit.x(0)
    circuit.measure([0, 1, 2], [2, 0, 1])
    return circuit


def _dynamic() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    return circuit


def _width(bench: Bench, most: int = 3) -> int:
    return min(most, bench.device.num_qubits)


def _share(counts: Mapping[str, int] | None, *outcomes: int) -> float:
    """The share of shots with one of these outcomes."""
    assert counts, "there are no counts"
    return sum(times for outcome, times in counts.items() if int(outcome, 16) in outcomes) / sum(counts.values())


def _values(bits: Bits) -> np.ndarray[Any, Any]:
    """Each shot of a register as a number, shape of the PUB and then shots."""
    raw = np.frombuffer(bits.array.data, dtype=np.uint8).reshape(bits.array.shape)
    total = np.zeros(raw.shape[:-1], dtype=np.int64)
    for at in range(raw.shape[-1]):
        total = total << 8 | raw[..., at]
    return total


# What the device says of itself


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
    run = bench.run("run", _marked(1, 1))
    for verb in ("announce", "calibration", "status", "result", "cancel"):
        reply = host.answer(Call(id=1, verb=verb, name=run.handles[0]))
        assert reply.error is None, f"{verb}: {reply.words}"
        assert Reply.model_validate_json(reply.model_dump_json()) == reply
    return None


# Results


def bell_is_correlated(bench: Bench) -> str | None:
    """Both outcomes of a Bell pair appear, mixed ones seldom, and counts add up to the shots."""
    if bench.device.num_qubits < 2:
        return "it has one qubit"
    (found,) = bench.run("run", _bell()).result.experiments
    assert found.counts is not None
    assert sum(found.counts.values()) == found.shots == bench.shots
    assert _share(found.counts, 0b00, 0b11) > 0.6
    assert min(_share(found.counts, 0b00), _share(found.counts, 0b11)) > 0.1
    return None


def ghz_is_correlated(bench: Bench) -> str | None:
    """The same on three qubits, laid out by the device."""
    width = _width(bench)
    (found,) = bench.run("run", _ghz(width)).result.experiments
    assert _share(found.counts, 0, 2**width - 1) > 0.5
    return None


def bits_are_in_qiskits_order(bench: Bench) -> str | None:
    """Qubit 0 is the last digit."""
    width = _width(bench)
    (found,) = bench.run("run", _marked(width, 1)).result.experiments
    assert _share(found.counts, 1) > 0.6, found.counts
    return None


def circuits_keep_their_order(bench: Bench) -> str | None:
    """Several circuits of one run come back in their order, under their names."""
    width = _width(bench)
    circuits = [_marked(width, at, f"state {at}") for at in range(2**width - 1)]
    found = bench.run("run", circuits).result.experiments
    assert [one.name for one in found] == [one.name for one in circuits]
    for at, one in enumerate(found):
        assert _share(one.counts, at) > 0.5, (at, one.counts)
    return None


def memory_holds_each_shot(bench: Bench) -> str | None:
    """With ``memory`` each shot is there, and they add up to the counts."""
    if "memory" not in bench.device.options["run"]["properties"]:
        return "it has no option memory"
    (found,) = bench.run("run", _marked(1, 1), memory=True).result.experiments
    assert found.memory is not None
    assert len(found.memory) == bench.shots
    assert found.counts == {one: found.memory.count(one) for one in set(found.memory)}
    return None


def sampler_keeps_registers(bench: Bench) -> str | None:
    """Classical registers keep names, widths and the place of each bit."""
    if bench.device.num_qubits < 3:
        return "it has fewer than three qubits"
    (found,) = bench.run("sampler", _registers(), [Pub(circuit=0)]).result.pubs
    assert list(found.registers) == ["low", "high"]
    assert [one.num_bits for one in found.registers.values()] == [1, 2]
    assert float(np.mean(_values(found.registers["high"]) == 0b10)) > 0.6
    assert float(np.mean(_values(found.registers["low"]) == 0)) > 0.6
    return None


def sampler_binds_parameters(bench: Bench) -> str | None:
    """A PUB with values has their shape, each binding its own shots."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("angle"), 0)
    circuit.measure_all()
    pub = Pub(circuit=0, parameters=[[0.0], [float(np.pi)], [0.0]])
    (found,) = bench.run("sampler", circuit, [pub]).result.pubs
    assert found.shape == [3]
    ones = _values(found.registers["meas"]).mean(axis=-1)
    assert ones.shape == (3,)
    assert ones[0] < 0.4 < 0.6 < ones[1], ones
    assert ones[2] < 0.4, ones
    return None


def pubs_have_their_own_shots(bench: Bench) -> str | None:
    """PUBs of one job may differ in shots, and keep their order."""
    few = max(1, bench.shots // 2)
    pubs = [Pub(circuit=0, shots=few), Pub(circuit=1), Pub(circuit=0, shots=few)]
    width = _width(bench, 2)
    found = bench.run("sampler", [_marked(width, 0), _marked(width, 1)], pubs).result.pubs
    assert [_values(one.registers["meas"]).shape[-1] for one in found] == [few, bench.shots, few]
    means = [float(np.mean(_values(one.registers["meas"]) == 1)) for one in found]
    assert means[0] < 0.4
    assert means[1] > 0.6
    assert means[2] < 0.4
    return None


def estimator_agrees_with_theory(bench: Bench) -> str | None:
    """Expectation values of a Bell pair: ⟨ZZ⟩ and ⟨XX⟩ near 1, ⟨ZI⟩ near 0, with standard errors."""
    if bench.device.num_qubits < 2:
        return "it has one qubit"
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    pub = Pub(circuit=0, observables=[{"ZZ": 1.0}, {"XX": 1.0}, {"ZI": 1.0}], precision=0.07)
    (found,) = bench.run("estimator", circuit, [pub]).result.pubs
    assert found.evs is not None
    assert found.stds is not None
    values = np.frombuffer(found.evs.data, dtype="<f8")
    assert values.shape == (3,)
    assert values[0] > 0.4, values
    assert values[1] > 0.4, values
    assert abs(values[2]) < 0.5, values
    assert (np.frombuffer(found.stds.data, dtype="<f8") >= 0).all()
    return None


def estimator_binds_parameters(bench: Bench) -> str | None:
    """Values of parameters broadcast against observables."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("angle"), 0)
    pub = Pub(circuit=0, parameters=[[0.0], [float(np.pi)]], observables={"Z": 2.0}, precision=0.07)
    (found,) = bench.run("estimator", circuit, [pub]).result.pubs
    assert found.evs is not None
    values = np.frombuffer(found.evs.data, dtype="<f8")
    assert found.shape == [2]
    assert values[0] > 0.4, values
    assert values[1] < -0.4, values
    return None


def control_flow_runs_or_is_refused(bench: Bench) -> str | None:
    """Where ``if_else`` is announced it acts on what was measured; elsewhere the circuit is refused."""
    if "if_else" not in bench.device.target.operation_names:
        try:
            bench.prepare("run", _dynamic())
        except Rejected:
            return None
        raise AssertionError("if_else is not announced, and the circuit was taken nevertheless")
    (found,) = bench.run("run", _dynamic()).result.experiments
    assert _share(found.counts, 0b11) > 0.5, found.counts
    return None


def results_are_never_silently_zero(bench: Bench) -> str | None:
    """An answer that is missing, or no answer, is an error and not a row of zeros."""
    if isinstance(bench.vendor, LocalVendor):
        return "it runs in the worker"
    for kind, pubs in (("run", []), ("sampler", [Pub(circuit=0)])):
        _, order = bench.prepare(kind, _marked(1, 1), pubs)
        payloads = bench.encode(order)
        for answer in (None, b"", b"{}", b"[]", b"null"):
            _is_error(bench, order, [answer] * len(payloads))
    return None


def _is_error(bench: Bench, order: Order, answers: list[bytes | None]) -> None:
    try:
        found = bench.decode(order, answers)
    except Exception:
        return
    raise AssertionError(f"{answers[0]!r} became a result: {_short(found)}")


def _short(found: ResultView) -> str:
    return found.model_dump_json()[:200]


def same_seed_same_counts(bench: Bench) -> str | None:
    """Where there is a seed, it decides."""
    if "seed_simulator" not in bench.device.options["run"]["properties"]:
        return "it has no seed"
    first, second = (bench.run("run", _ghz(_width(bench)), seed_simulator=7).result for _ in range(2))
    assert first.experiments[0].counts == second.experiments[0].counts
    return None


# Options


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
    bench.prepare("run", _marked(1, 1), shots=most)
    code = _code(lambda: bench.prepare("run", _marked(1, 1), shots=most + 1))
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
    return ([] if kind is JobKind.RUN else [Pub(circuit=0)]), _marked(1, 1)


# Handing over and finding again


def payloads_are_repeatable(bench: Bench) -> str | None:
    """The same order gives the same payloads: a lost attempt is recovered with payloads that are made anew."""
    if isinstance(bench.vendor, LocalVendor):
        return "it runs in the worker"
    _, order = bench.prepare(
        "sampler", _registers() if bench.device.num_qubits > 2 else _marked(1, 1), [Pub(circuit=0)]
    )
    assert bench.encode(order) == bench.encode(order)
    return None


def tags_find_submissions(bench: Bench) -> str | None:
    """Before it is handed over nothing is found under a tag, afterwards it is; an opaque vendor says that it cannot."""
    tag = bench.tag()
    if bench.device.recovery == "opaque":
        try:
            bench.vendor.find(tag)
        except VendorUnsure:
            return None
        raise AssertionError("an opaque vendor cannot know what it has")
    assert bench.vendor.find(tag) is None
    run = bench.run("run", _marked(1, 1))
    until = time.monotonic() + bench.vendor.indexing_s + 1
    while (found := bench.vendor.find(run.tags[0])) is None and time.monotonic() < until:
        time.sleep(0.2)
    assert found == run.handles[0]
    return None


def same_tag_same_submission(bench: Bench) -> str | None:
    """An idempotent vendor takes a payload once under a tag, however often it is sent."""
    if bench.device.recovery != "idempotent":
        return f"it is {bench.device.recovery}"
    _, order = bench.prepare("run", _marked(1, 1), shots=bench.shots)
    (payload,) = bench.encode(order)
    tag = bench.tag()
    assert len({bench.submit(tag, payload) for _ in range(3)}) == 1
    return None


def ended_submissions_stay(bench: Bench) -> str | None:
    """After its end a submission has the same status and the same answer, and cannot be taken back."""
    run = bench.run("run", _marked(1, 1))
    handle = run.handles[0]
    assert bench.vendor.cancel(handle) is False
    assert bench.vendor.status(handle).state is Submission.DONE
    again = bench.decode(run.order, [bench.vendor.result(handle).data])
    assert again.experiments == run.result.experiments
    return None


def cancelling_ends_a_submission(bench: Bench) -> str | None:
    """What is taken back at once ends: cancelled, or done where it was quicker."""
    _, order = bench.prepare("run", _marked(1, 1), shots=bench.shots)
    handle = bench.submit(bench.tag(), bench.encode(order)[0])
    taken = bench.vendor.cancel(handle)
    state = bench.wait(handle).state
    assert state in ((Submission.CANCELLED,) if taken else (Submission.DONE, Submission.CANCELLED)), state
    return None


# Errors


def nonsense_is_refused(bench: Bench) -> str | None:
    """A handle that nobody has is an error; a payload that is none is refused, or taken by a machine that reads it
    later, but never an unsure submission."""
    assert _kind(lambda: bench.vendor.status(_ABSENT)) not in (VendorUnsure, None)
    assert _kind(lambda: bench.vendor.result(_ABSENT)) not in (VendorUnsure, None)
    tag = bench.tag()
    assert _kind(lambda: bench.vendor.submit(tag, b"\x00no payload")) in (VendorRefused, VendorUnavailable, None)
    return None


def _kind(ask: Callable[[], object]) -> type[Exception] | None:
    """Which error it gives; None: it gives none."""
    try:
        ask()
    except Exception as error:
        return type(error)
    return None


def wrong_secret_is_refused(bench: Bench) -> str | None:
    """Without rights the vendor refuses, and its words do not repeat the secret."""
    if bench.wrong_secret is None:
        return "there is no wrong secret to try"
    said = None
    try:
        bench.connect(bench.wrong_secret).announce()
    except VendorRefused as error:
        said = str(error)
    assert said is not None, "a wrong secret opens the device"
    assert Scrubber(bench.wrong_secret.values()).text(said) == said, "its words repeat the secret"
    return None


def outages_are_unavailable(bench: Bench) -> str | None:
    """Where nobody answers, nothing was done."""
    if bench.unreachable is None:
        return "there is no address to try at which nobody answers"
    try:
        bench.connect(**bench.unreachable).announce()
    except VendorUnavailable:
        return None
    raise AssertionError("it answered")


def secret_stays_inside(bench: Bench) -> str | None:
    """Neither the announcement nor a result holds the secret."""
    if not bench.secret:
        return "it has no secret"
    run = bench.run("run", _marked(1, 1))
    said = bench.device.announcement().model_dump_json() + run.result.model_dump_json()
    said += json.dumps([run.handles, [dict(answer.metadata) for answer in run.answers]], default=str)
    assert Scrubber(bench.secret.values()).text(said) == said
    return None


CHECKS: Final[list[Check]] = [
    announcement_is_complete,
    target_round_trips,
    calibration_is_stable,
    messages_cross_processes,
    bell_is_correlated,
    ghz_is_correlated,
    bits_are_in_qiskits_order,
    circuits_keep_their_order,
    memory_holds_each_shot,
    sampler_keeps_registers,
    sampler_binds_parameters,
    pubs_have_their_own_shots,
    estimator_agrees_with_theory,
    estimator_binds_parameters,
    control_flow_runs_or_is_refused,
    results_are_never_silently_zero,
    same_seed_same_counts,
    unknown_options_are_refused,
    published_options_are_taken,
    too_many_shots_are_refused,
    payloads_are_repeatable,
    tags_find_submissions,
    same_tag_same_submission,
    ended_submissions_stay,
    cancelling_ends_a_submission,
    nonsense_is_refused,
    wrong_secret_is_refused,
    outages_are_unavailable,
    secret_stays_inside,
]
"""All checks, in an order from simple to special."""


def main(arguments: list[str]) -> int:
    """Check one device; one line a check, and one of JSON at the end. Returns the exit status."""
    secret = json.loads(Path(arguments[1]).read_text()) if len(arguments) > 1 else {}
    failed: list[str] = []
    with Bench(json.loads(arguments[0]), secret) as bench:
        for check in CHECKS:
            try:
                why = check(bench)
            except Exception as error:
                failed.append(check.__name__)
                sys.stdout.write(f"FAILED {check.__name__}: {type(error).__name__}: {str(error)[:300]}\n")
            else:
                sys.stdout.write(f"ok {check.__name__}{f' (does not apply: {why})' if why else ''}\n")
            sys.stdout.flush()
        said = {"device": bench.spec.name, "checks": len(CHECKS), "failed": failed}
    sys.stdout.write(json.dumps(said) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
