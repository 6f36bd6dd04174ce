"""Short forms in a notebook: ``%quota``, ``%devices``, ``%jobs``, ``%promote circuit``.

The kernel *Quantum Sandbox* loads them by itself; elsewhere ``%load_ext jupyter_quantum.lab.magics`` does.
"""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class

__all__ = ["QuantumMagics", "load_ipython_extension"]


@magics_class
class QuantumMagics(Magics):
    """Each is one call of the public interface, which it names in its help."""

    @line_magic
    def quota(self, line: str) -> Any:
        """Credits left: ``Hub(project=…).quota()``. Usage: ``%quota [project]``."""
        return self._hub(line).quota()

    @line_magic
    def devices(self, line: str) -> Any:
        """What may be used: ``Hub().backends()``."""
        return self._hub(line).backends()

    @line_magic
    def jobs(self, line: str) -> Any:
        """The latest jobs: ``Hub().jobs()``."""
        return self._hub(line).jobs()

    @line_magic
    def promote(self, line: str) -> Any:
        """Where a circuit could run, at what price: ``promote(circuit)``. Usage: ``%promote circuit``."""
        if not line.strip():
            raise UsageError("Name a circuit: %promote bell")
        from jupyter_quantum import promote

        assert self.shell is not None
        return promote(self.shell.ev(line))  # type: ignore[no-untyped-call]  # IPython leaves it bare

    @staticmethod
    def _hub(project: str) -> Any:
        from jupyter_quantum import Hub

        return Hub(project=project.strip() or None)


def load_ipython_extension(shell: Any) -> None:
    """Register the magics; imports nothing of Qiskit."""
    shell.register_magics(QuantumMagics)
