"""The conformance suite, for each vendor's real SDK against a fake of its documented API, or its own simulator."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from jupyter_quantum.testing.adapters.conformance import CHECKS, Bench, Check
from tests.vendors import azure, braket, ibm, ionq

_HERE = "jupyter_quantum.fabric.adapters."


def _ibm(stack: ExitStack) -> Bench:
    fake = stack.enter_context(ibm.Ibm())
    wrong = fake.secret | {"token": "another-ibm-api-key-0000"}
    spec = {"name": "manila", "adapter": f"{_HERE}ibm:IbmDevice", **fake.settings}
    spec |= {"sessions": "dedicated", "session_s": 600}
    return Bench(spec, fake.secret, wrong_secret=wrong, unreachable={"proxy": "http://127.0.0.1:9"})


def _braket(arn: str) -> Callable[[ExitStack], Bench]:
    def make(stack: ExitStack) -> Bench:
        fake = stack.enter_context(braket.Braket())
        wrong = braket.KEYS | {"aws_access_key_id": "AKIANOBODYSKEY000002"}
        spec = {"name": "aws", "adapter": f"{_HERE}braket:BraketDevice", **fake.settings(arn)}
        return Bench(spec, braket.KEYS, wrong_secret=wrong, unreachable={"endpoint": "http://127.0.0.1:9"})

    return make


def _ionq(backend: str, gateset: str) -> Callable[[ExitStack], Bench]:
    def make(stack: ExitStack) -> Bench:
        fake = stack.enter_context(ionq.Ionq(offers_shots=gateset == "native"))
        spec = {"name": "ions", "adapter": f"{_HERE}ionq:IonqDevice", **fake.settings(backend, gateset)}
        if backend != "simulator":
            spec |= {"sessions": "dedicated", "session_s": 600}
        wrong, nobody = {"token": "another-ionq-key-0000"}, {"url": "http://127.0.0.1:9/v0.4"}
        return Bench(spec, {"token": ionq.TOKEN}, wrong_secret=wrong, unreachable=nobody)

    return make


def _azure(stack: ExitStack) -> Bench:
    fake = stack.enter_context(azure.Azure())
    spec = {"name": "qvm", "adapter": f"{_HERE}azure:AzureDevice", **fake.settings}
    wrong, nobody = {"api_key": "another-azure-key-0000"}, {"endpoint": "http://127.0.0.1:9"}
    return Bench(spec, fake.secret, shots=100, wrong_secret=wrong, unreachable=nobody)


def _local(adapter: str, **settings: Any) -> Callable[[ExitStack], Bench]:
    return lambda stack: Bench({"name": "here", "adapter": _HERE + adapter, **settings})


MAKE: dict[str, Callable[[ExitStack], Bench]] = {
    "ibm": _ibm,
    "braket-sv1": _braket(braket.SV1),
    "braket-qpu": _braket(braket.QPU),
    "ionq-simulator": _ionq("simulator", "qis"),
    "ionq-native": _ionq("qpu.forte-1", "native"),
    "azure": _azure,
    "braket-local": _local("braket:LocalBraketDevice"),
    "qsharp": _local("azure:QsharpDevice"),
}


@pytest.fixture(scope="module", params=MAKE)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One device, and its vendor's fake for as long."""
    with ExitStack() as stack, MAKE[request.param](stack) as found:
        yield found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(bench: Bench, check: Check) -> None:
    """Each check holds."""
    check(bench)


def test_microsofts_kit_does_not_call_home() -> None:
    """Once the adapter is imported, no thread of the kit's telemetry runs."""
    code = "import jupyter_quantum.fabric.adapters.azure, threading; print(threading.active_count())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert said.stdout.strip() == "1"
