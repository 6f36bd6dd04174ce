"""The kernel *Quantum Sandbox*: starts, is warm, is limited, knows no vendor's credentials."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from jupyter_quantum.lab.limits import scrubbed
from jupyter_quantum.lab.provisioner import SandboxProvisioner

SECRETS = {
    "QISKIT_IBM_TOKEN": "secret-1",
    "AWS_SECRET_ACCESS_KEY": "secret-2",
    "AZURE_CLIENT_SECRET": "secret-3",
    "IONQ_API_KEY": "secret-4",
    "IQM_TOKEN": "secret-5",
}


class Kernel:
    """A running kernel and what its cells print."""

    def __init__(self, manager: Any, client: Any) -> None:
        self.manager = manager
        self.client = client

    def run(self, code: str) -> str:
        """Run a cell; returns all it printed, showed or raised."""
        said: list[str] = []

        def hook(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                said.append(content["text"])
            elif message["msg_type"] == "error":
                said.append("\n".join(content["traceback"]))
            elif message["msg_type"] == "execute_result":
                said.append(content["data"]["text/plain"])

        self.client.execute_interactive(code, timeout=60, output_hook=hook)
        return "".join(said)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """One kernel, started as a Jupyter server would, by a server whose environment holds credentials."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        patch.setenv("JUPYTERHUB_API_TOKEN", "the-hubs-token")
        manager = KernelManager(kernel_name="quantum-sandbox")
        manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield Kernel(manager, client)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_it_is_started_by_our_provisioner(kernel: Kernel) -> None:
    """The kernelspec names the provisioner and the installed entry point is found."""
    assert isinstance(kernel.manager.provisioner, SandboxProvisioner)


def test_qiskit_is_there_and_warm(kernel: Kernel) -> None:
    """A first cell imports Qiskit and Aer without waiting for the disk once the kernel is warm."""
    until = time.monotonic() + 30
    while "True" not in kernel.run("import sys; 'jupyter_quantum.client.hub' in sys.modules"):
        assert time.monotonic() < until
    seconds = kernel.run(
        "import time; t = time.monotonic(); import qiskit, qiskit_aer; print(time.monotonic() - t < 0.1)"
    )
    assert seconds.strip() == "True"


def test_vendors_credentials_are_gone(kernel: Kernel) -> None:
    """Neither the environment nor the process's memory of it holds one; the hub's token is still there."""
    said = kernel.run(
        "import os; print(sorted(os.environ)); print(open('/proc/self/environ').read()); "
        "print(os.environ['JUPYTERHUB_API_TOKEN'])"
    )
    assert "the-hubs-token" in said
    for name, value in SECRETS.items():
        assert name not in said
        assert value not in said


def test_memory_limit_speaks(kernel: Kernel) -> None:
    """A cell that asks for too much is stopped with words, and the kernel lives on."""
    said = kernel.run("import numpy; state = numpy.ones(2**30)")
    assert "reached the kernel's 2 GB memory limit and was stopped" in said
    assert "Use fewer qubits" in said
    assert kernel.run("print(6 * 7)").strip() == "42"


def test_a_large_array_within_the_limit_works(kernel: Kernel) -> None:
    """The budget is what was promised: Qiskit's own libraries do not count."""
    assert kernel.run("a = numpy.ones(3 * 2**26); print(a.nbytes); del a").strip() == str(3 * 2**29)


def test_transpiling_for_a_device_leaves_the_kernel_alive(kernel: Kernel) -> None:
    """A pass manager for 133 qubits runs beside the libraries that were imported in a thread of their own."""
    code = """
from qiskit import QuantumCircuit
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime.fake_provider import FakeTorino
bell = QuantumCircuit(2)
bell.h(0)
bell.cx(0, 1)
bell.measure_all()
passes = generate_preset_pass_manager(optimization_level=1, backend=FakeTorino(), seed_transpiler=7)
print(passes.run(bell).num_qubits)
"""
    assert kernel.run(code).strip() == "133"


def test_threads_are_limited(kernel: Kernel) -> None:
    """Numeric libraries see the configured number of threads."""
    assert kernel.run("import os; print(os.environ['OMP_NUM_THREADS'])").strip() == "2"


def test_magics_are_loaded(kernel: Kernel) -> None:
    """%promote says what it wants, without %load_ext."""
    assert "Name a circuit: %promote bell" in kernel.run("%promote")
    said = kernel.run("print([name for name in ('quota', 'devices', 'jobs', 'promote') "
                      "if name in get_ipython().magics_manager.magics['line']])")  # fmt: skip
    assert said.strip() == "['quota', 'devices', 'jobs', 'promote']"


def test_scrubbing_keeps_what_is_needed() -> None:
    """Ordinary variables and the hub's stay; vendors' names go in any case."""
    before = {"PATH": "/bin", "JUPYTERHUB_API_TOKEN": "t", "aws_access_key_id": "x", "QISKIT_PARALLEL": "FALSE"}
    assert set(scrubbed(before)) == {"PATH", "JUPYTERHUB_API_TOKEN", "QISKIT_PARALLEL"}
