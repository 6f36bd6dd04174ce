"""IBM's executor classes on our backends raise and name ours; what goes through the door keeps working."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2
from qiskit_aer import AerSimulator

from jupyter_quantum.client.backend import HubBackend
from jupyter_quantum.client.hub import Hub
from jupyter_quantum.exceptions import InputError
from tests.unit.client.conftest import Service

_CLASSES = [
    ("executor", "Executor"),
    ("executor_sampler", "Sampler"),
    ("executor_estimator", "Estimator"),
    ("noise_learner", "NoiseLearner"),
    ("noise_learner_v3", "NoiseLearnerV3"),
]


def _ibms(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"qiskit_ibm_runtime.{module}"), name)


@pytest.mark.parametrize(("module", "name"), _CLASSES)
def test_constructor_raises(service: Service, hub: Hub, module: str, name: str) -> None:
    """Given our backend, each of them raises at once and names what to use."""
    backend = hub.backend("aer")
    theirs = _ibms(module, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with pytest.raises(InputError, match=r"simulate 'aer' on this machine.*hub\.") as caught:
            theirs(backend)
    assert caught.value.code == "backend.foreign"
    assert service.jobs == {}


@pytest.mark.parametrize(("module", "name"), [_CLASSES[1], _CLASSES[0]])
def test_their_session_does_not_help(service: Service, hub: Hub, bell: QuantumCircuit, module: str, name: str) -> None:
    """Wrapped in IBM's Session it still runs nowhere: the simulation itself cannot read the backend."""
    from qiskit_ibm_runtime import QuantumProgram, Session

    with Session(hub.backend("aer")) as session:
        primitive = _ibms(module, name)(session)
        given: Any = [bell]
        if name == "Executor":
            given = QuantumProgram(shots=10)
            given.append_circuit_item(bell)
        with pytest.raises(InputError, match="simulate 'aer' on this machine"):
            primitive.run(given).result()
    assert service.jobs == {}


def test_their_legacy_sampler_goes_through_the_door(service: Service, hub: Hub, bell: QuantumCircuit) -> None:
    """IBM's SamplerV2 calls ``run``, so it is governed like everything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        sampler = _ibms("sampler", "SamplerV2")(hub.backend("aer"))
    counts = sampler.run([bell], shots=10).result()[0].data.meas.get_counts()
    assert sum(counts.values()) == 10
    assert len(service.jobs) == 1


def test_simulating_on_purpose_is_allowed(hub: Hub) -> None:
    """Someone who builds a local simulator from our Target knows what it is."""
    backend = hub.backend("aer")
    assert isinstance(backend, BackendV2)
    assert isinstance(backend, HubBackend)
    assert type(backend) is HubBackend is backend.__class__
    assert AerSimulator(target=backend.target).num_qubits == backend.num_qubits
