"""IBM's service: options by IBM's names, failures in IBM's words, what calibrations and snapshots say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, QuantumRegister
from qiskit_ibm_runtime import fake_provider

from jupyter_quantum.client.options import EstimatorOptions, SamplerOptions
from jupyter_quantum.exceptions import InputError, OptionRejected
from jupyter_quantum.fabric.adapters import build
from jupyter_quantum.fabric.adapters.ibm_vendor import IbmVendor
from jupyter_quantum.fabric.adapters.vendor import Submission, VendorRefused
from jupyter_quantum.fabric.options import fill
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.testing.adapters.conformance import Bench
from jupyter_quantum.wire.jobs import Pub
from tests.vendors.ibm import CRN, TOKEN, Ibm


@pytest.fixture(scope="module")
def fake() -> Iterator[Ibm]:
    with Ibm() as running:
        yield running


@pytest.fixture(scope="module")
def bench(fake: Ibm) -> Iterator[Bench]:
    spec = {"name": "manila", "adapter": "jupyter_quantum.fabric.adapters.ibm:IbmDevice", **fake.settings}
    with Bench(spec, fake.secret) as made:
        yield made


def one(width: int = 1) -> QuantumCircuit:
    circuit = QuantumCircuit(width)
    circuit.x(0)
    circuit.measure_all()
    return circuit


def sent(fake: Ibm) -> dict[str, Any]:
    """The last job that IBM got."""
    return list(fake.jobs.values())[-1].body


def test_options_reach_ibm_under_its_names(bench: Bench, fake: Ibm) -> None:
    """Decoupling, twirling and the time limit arrive as the SDK itself would send them, the tag among its tags."""
    options = {
        "dynamical_decoupling.enable": True,
        "dynamical_decoupling.sequence_type": "XY4",
        "twirling.enable_gates": True,
        "twirling.num_randomizations": 8,
        "max_execution_time": 60,
    }
    run = bench.run("sampler", one(), [Pub(circuit=0)], **options)
    body = sent(fake)
    assert body["program_id"] == "sampler"
    assert body["tags"] == run.tags
    assert body["cost"] == 60
    said = body["params"]["options"]
    assert said["dynamical_decoupling"]["enable"] is True
    assert said["dynamical_decoupling"]["sequence_type"] == "XY4"
    assert said["twirling"]["num_randomizations"] == 8
    assert "simulator" not in said


def test_nothing_is_mitigated_unasked(bench: Bench, fake: Ibm) -> None:
    """IBM would mitigate by itself (level 1): the level is always sent, and is the one of the job."""
    circuit = QuantumCircuit(1)
    circuit.x(0)
    pub = Pub(circuit=0, observables=[{"Z": 1.0}])
    bench.run("estimator", circuit, [pub])
    assert sent(fake)["params"]["resilience_level"] == 0
    bench.run("estimator", circuit, [pub], **{"resilience_level": 1, "resilience.measure_mitigation": True})
    assert sent(fake)["params"]["resilience_level"] == 1
    assert sent(fake)["params"]["options"]["resilience"] == {"measure_mitigation": True}


def test_a_ported_notebooks_options_have_the_published_names(bench: Bench) -> None:
    """What a notebook sets as with IBM's own primitives is what the device takes, and nothing of it is left out."""
    sampler = SamplerOptions()
    sampler.dynamical_decoupling.enable = True
    sampler.dynamical_decoupling.sequence_type = "XpXm"
    sampler.twirling.enable_measure = True
    sampler.max_execution_time = 30
    estimator = EstimatorOptions({"resilience_level": 2, "resilience": {"zne_mitigation": True}})
    for kind, options in (("sampler", sampler), ("estimator", estimator)):
        chosen = options.chosen()
        filled = fill("manila", bench.device.options[kind], chosen)
        assert chosen
        assert chosen.items() <= filled.items()


def test_a_simulator_has_none_of_it() -> None:
    """The same options on a device that cannot do them are refused before anything is priced."""
    device = build(DeviceSpec(name="aer", adapter="aer"), 1)
    with pytest.raises(OptionRejected, match=r"dynamical_decoupling\.enable"):
        fill("aer", device.options["sampler"], {"dynamical_decoupling.enable": True})


def test_registers_that_ibm_cannot_return(bench: Bench) -> None:
    """A name that a result cannot have, and a bit in no register, are refused in words."""
    for circuit in (
        QuantumCircuit(QuantumRegister(1, "q"), ClassicalRegister(1, "items")),
        QuantumCircuit(QuantumRegister(1, "q"), ClassicalRegister(1, "a-b")),
    ):
        circuit.measure(0, 0)
        _, order = bench.prepare("run", circuit)
        with pytest.raises(InputError, match="classical register"):
            bench.device.encode(order)


def test_failures_in_ibms_words(fake: Ibm, bench: Bench) -> None:
    """A job that IBM gave up says why; codes that ask for another try are marked."""
    _, order = bench.prepare("run", one(), shots=10)
    (payload,) = bench.encode(order)
    for code, words, retry in ((1305, "ran too long", False), (9999, "internal error", True)):
        fake.fails = (code, words)
        status = bench.wait(bench.vendor.submit(bench.tag(), payload))
        assert status.state is Submission.FAILED
        assert str(code) in status.words
        assert words in status.words
        assert status.retry is retry
    fake.fails = None


def test_the_calibration_is_ibms(bench: Bench) -> None:
    """Errors, durations, T1 and the moment are those of the backend's properties."""
    snapshot = fake_provider.FakeManilaV2()
    target = bench.device.target
    assert target["cx"][(0, 1)].error == pytest.approx(snapshot.target["cx"][(0, 1)].error)
    assert target["measure"][(2,)].duration == pytest.approx(snapshot.target["measure"][(2,)].duration)
    assert target.qubit_properties[0].t1 == pytest.approx(snapshot.target.qubit_properties[0].t1)
    assert bench.device.calibration.at == snapshot.properties().last_update_date


def test_only_programs_that_we_write_pass(bench: Bench, fake: Ibm) -> None:
    """A worker that was taken over can name no other program and no time beyond IBM's."""
    before = len(fake.jobs)
    for payload in (
        b'{"program_id": "executor", "params": {}, "max_execution_time": null}',
        b'{"program_id": "sampler", "params": {}, "max_execution_time": 999999}',
    ):
        with pytest.raises(VendorRefused):
            bench.vendor.submit(bench.tag(), payload)
    assert len(fake.jobs) == before


def test_settings_that_are_missing_are_named() -> None:
    """Without a token or an instance the device says what its secret lacks."""
    spec = DeviceSpec(name="torino", adapter="ibm", backend="ibm_torino")
    for secret in ({}, {"token": TOKEN}, {"instance": CRN}):
        with pytest.raises(ValueError, match="torino"):
            IbmVendor(spec, secret)


@pytest.mark.parametrize("name", ["FakeTorino", "FakeCairoV2", "FakeSherbrooke"])
def test_snapshots_are_served(name: str) -> None:
    """Snapshots that work are devices."""
    device = build(DeviceSpec(name="snapshot", adapter="ibm_fake", fake=name), 1)
    (compiled,) = device.compile([one(2)], 1, 0)
    assert device.misfit(compiled) is None


@pytest.mark.parametrize("name", ["FakeKyoto", "FakeNowhere", "os"])
def test_snapshots_that_are_broken_say_so(name: str) -> None:
    """A snapshot of which every connection is out of order, and one that is none, give a ValueError that names it."""
    with pytest.raises(ValueError, match=name):
        build(DeviceSpec(name="snapshot", adapter="ibm_fake", fake=name), 1)
