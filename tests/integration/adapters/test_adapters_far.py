"""The whole way at each vendor: a real runner, its locked workers, vendor processes, real SDKs, the vendors' fakes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from qiskit import QuantumCircuit

from jupyter_quantum.wire.jobs import Pub
from tests.integration.fabric.asking import work_of
from tests.integration.fabric.standin import running
from tests.integration.vendors.far import Far, bell
from tests.vendors import azure, braket, ibm, ionq

# four SDKs are imported at once
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]
_HERE = "jupyter_quantum.fabric.adapters."
DEVICES = ("ibm", "braket", "ionq", "azure", "braket_sv", "qsharp")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Far]:
    """One runner with a device of each vendor."""
    with ExitStack() as stack:
        i, b = stack.enter_context(ibm.Ibm()), stack.enter_context(braket.Braket())
        q, a = stack.enter_context(ionq.Ionq()), stack.enter_context(azure.Azure())
        devices: list[dict[str, Any]] = [
            {"name": "ibm", "adapter": f"{_HERE}ibm:IbmDevice", "secret": "ibm", **i.settings, "instance": ibm.CRN},
            {"name": "braket", "adapter": f"{_HERE}braket:BraketDevice", "secret": "aws", **b.settings(braket.QPU)},
            {
                "name": "ionq",
                "adapter": f"{_HERE}ionq:IonqDevice",
                "secret": "ionq",
                **q.settings("simulator", "native"),
            },
            {"name": "azure", "adapter": f"{_HERE}azure:AzureDevice", "secret": "azure", **a.settings},
            {"name": "braket_sv", "adapter": f"{_HERE}braket:LocalBraketDevice"},
            {"name": "qsharp", "adapter": f"{_HERE}azure:QsharpDevice"},
        ]
        secret = {
            "ibm": {"token": ibm.TOKEN},
            "aws": braket.KEYS,
            "ionq": {"token": ionq.TOKEN},
            "azure": a.secret,
        }
        directory = tmp_path_factory.mktemp("far")
        file = directory / "secrets.json"
        file.write_text(json.dumps(secret))
        file.chmod(0o600)
        more: dict[str, Any] = {"secrets": {"provider": "file", "path": str(file)}, "poll_s": 0.5}
        async with running(directory, devices, 2, **more) as (standin, runner):
            nobody: Any = None
            found = Far(standin, runner, nobody)
            await found.until(lambda: set(DEVICES) <= set(found.announced()), 500)
            yield found


@pytest.mark.parametrize("device", DEVICES)
async def test_the_whole_way(far: Far, device: str) -> None:
    """``backend.run``, a sampler and an estimator come back from each vendor, parsed and encoded in locked workers."""
    ran = await far.do(await far.task(device, work_of(bell(), shots=200)))
    assert ran.state == "done", ran.error
    assert ran.result is not None
    counts = ran.result.experiments[0].counts or {}
    assert sum(counts.values()) == 200
    assert sum(times for outcome, times in counts.items() if outcome in {"0x0", "0x3"}) > 150
    sampled = await far.do(await far.task(device, work_of(bell(), "sampler", [Pub(circuit=0, shots=100)])))
    assert sampled.result is not None, sampled.error
    assert sampled.result.pubs[0].registers["meas"].array.shape == [100, 1]
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    pub = Pub(circuit=0, observables=[{"ZZ": 1.0}, {"XX": 1.0}], precision=0.1)
    estimated = await far.do(await far.task(device, work_of(circuit, "estimator", [pub])))
    assert estimated.result is not None, estimated.error
    evs = estimated.result.pubs[0].evs
    assert evs is not None
    assert (np.frombuffer(evs.data, dtype="<f8") > 0.6).all()


async def test_the_vendors_seconds_are_told(far: Far) -> None:
    """IBM's, IonQ's and Azure's own seconds come with the report, Braket tells none."""
    told = {}
    for device in ("ibm", "braket", "ionq", "azure"):
        told[device] = (await far.do(await far.task(device, work_of(bell(), shots=10)))).vendor_s
    assert told == {"ibm": 2.0, "braket": None, "ionq": 1.25, "azure": 3.0}


async def test_no_secret_is_said(far: Far) -> None:
    """Neither what the runner logs nor what it reports and announces holds one of the planted secrets."""
    planted = (ibm.TOKEN, *braket.KEYS.values(), ionq.TOKEN, azure.KEY)
    said = "".join(far.runner.said) + "".join(report.model_dump_json() for _, report in far.standin.reports)
    assert far.standin.announced is not None
    said += far.standin.announced.model_dump_json()
    assert not [secret for secret in planted if secret in said]
