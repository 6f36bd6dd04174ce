"""Starts the kernel *Quantum Sandbox*: a local process with a scrubbed environment and set limits."""

from __future__ import annotations

from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Integer

from jupyter_quantum.lab.limits import scrubbed, threads

__all__ = ["SandboxProvisioner"]


class SandboxProvisioner(LocalProvisioner):
    """Registered as ``quantum-sandbox``; configured in the kernelspec's metadata."""

    memory_mb = Integer(2048, min=256, config=True, help="MiB that a kernel may use beyond its libraries.")
    threads = Integer(2, min=1, config=True, help="Threads of numeric libraries in a kernel.")

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Take vendors' credentials out of the environment before the process exists, and name its limits."""
        prepared: dict[str, Any] = await super().pre_launch(**kwargs)
        environment = scrubbed(prepared.get("env") or {})
        environment |= threads(self.threads) | {"JUPYTER_QUANTUM_KERNEL_MEMORY_MB": str(self.memory_mb)}
        return prepared | {"env": environment}
