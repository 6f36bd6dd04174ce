"""The kernel *Quantum Sandbox*: ipykernel with limits, Qiskit warm, and a few magics.

Run as ``python -m jupyter_quantum.lab.kernel -f CONNECTION_FILE``, normally by
:class:`jupyter_quantum.lab.provisioner.SandboxProvisioner`. The limits here guard a user against an own mistake that
would take the workspace down; they are no wall. Walls are the service's, which trusts no kernel.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
import threading
from typing import Any, Final

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

from jupyter_quantum.lab.limits import limit_memory, out_of_memory, scrubbed

__all__ = ["SandboxApp", "SandboxKernel", "main"]

_WARM: Final = ("qiskit", "qiskit_aer", "jupyter_quantum.client.hub")
_imported: Final = threading.Event()
_LIBRARIES_MB: Final = 1536
"""What importing Qiskit and Aer may ask for, until the exact figure is known."""


def _budget_mb() -> int:
    text = os.environ.get("JUPYTER_QUANTUM_KERNEL_MEMORY_MB", "")
    return int(text) if text.isdecimal() else 2048


def _drop_credentials() -> None:
    """Second line, where another provisioner has started this kernel."""
    kept = scrubbed(os.environ)
    for name in set(os.environ) - set(kept):
        del os.environ[name]


def _warm_up(budget_mb: int) -> None:
    """Import what a first cell imports, so that it finds it there; then count the budget from here."""
    for name in _WARM:
        try:
            importlib.import_module(name)
        except Exception as error:
            print(f"quantum sandbox: {name} is not warm: {error}", file=sys.__stderr__)
    limit_memory(budget_mb)
    _imported.set()


class SandboxKernel(IPythonKernel):
    """A Python kernel that says so when its memory is used up."""

    implementation = "jupyter_quantum"
    banner = "Quantum Sandbox: Python with Qiskit and a governed door to devices. hub = Hub() opens it."

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]  # ipykernel leaves it bare
        self.budget_mb = _budget_mb()
        assert self.shell is not None
        self.shell.set_custom_exc((MemoryError,), self._memory_error)
        self.shell.extension_manager.load_extension("jupyter_quantum.lab.magics")

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Run a cell once the imports are done: two threads inside one package's import break each other."""
        await asyncio.to_thread(_imported.wait)
        await super().execute_request(stream, ident, parent)  # type: ignore[no-untyped-call]  # bare in ipykernel

    def _memory_error(self, shell: Any, kind: type[MemoryError], value: MemoryError, trace: Any, **_: Any) -> None:
        """Show the limit in words; the traceback stays behind it, for ``%tb``."""
        words = out_of_memory(self.budget_mb)
        shell._showtraceback(kind, value, [f"MemoryError: {words}"])


class SandboxApp(IPKernelApp):
    """Starts :class:`SandboxKernel`."""

    name = "quantum-sandbox"
    kernel_class = SandboxKernel

    def start(self) -> None:
        """Set the limits, begin to warm up beside the first messages, and serve."""
        budget = _budget_mb()
        limit_memory(budget + _LIBRARIES_MB)
        threading.Thread(target=_warm_up, args=(budget,), name="warm-up", daemon=True).start()
        super().start()  # type: ignore[no-untyped-call]  # ipykernel leaves it bare


def main() -> None:
    """Entry point of the kernelspec."""
    _drop_credentials()
    # Threads of Qiskit's own, where it was imported beside the main thread and memory is limited, end in a segmentation
    # fault while a circuit is transpiled for a device; without them it is as quick on the few cores of a workspace.
    os.environ.setdefault("QISKIT_IN_PARALLEL", "TRUE")
    SandboxApp.launch_instance()


if __name__ == "__main__":
    main()
