"""IBM's executor classes and our backends.

``qiskit_ibm_runtime``'s executor-based ``Sampler``, ``Estimator``, ``Executor`` and noise learners simulate *locally*
any backend that is not IBM's own, without ever calling its ``run``: past quota and policy, and without a word. They
offer no hook, but they cannot work without looking at the backend: their constructors ask for its class, their
simulation for its Target. Both questions come through here, and the one who asks is found on the stack.
"""

from __future__ import annotations

import sys
from typing import Final

from jupyter_quantum.exceptions import InputError

__all__ = ["refuse_local_simulation"]

_PACKAGE: Final = "qiskit_ibm_runtime."
_PARTS: Final = ("executor", "noise_learner", "calibrator", "fake_provider.executor")
_OURS: Final = {
    "executor_estimator": "hub.estimator({name!r})",
    "executor_sampler": "hub.sampler({name!r})",
}


def refuse_local_simulation(name: str, depth: int) -> None:
    """Raise if one of the next ``depth`` callers is an executor class of IBM's; ``name`` is the device's."""
    frame = sys._getframe(2)
    for _ in range(depth):
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_PACKAGE) and module[len(_PACKAGE) :].startswith(_PARTS):
            raise _refusal(module, name)
        if frame.f_back is None:
            return
        frame = frame.f_back


def _refusal(module: str, name: str) -> InputError:
    ours = next((call for part, call in _OURS.items() if f".{part}." in module), "hub.sampler({name!r})")
    return InputError(
        f"IBM's {module} would simulate {name!r} on this machine instead of running on it.",
        code="backend.foreign",
        hint=f"Use {ours.format(name=name)}; SamplerV2 and EstimatorV2 of jupyter_quantum have the same calls.",
    )
