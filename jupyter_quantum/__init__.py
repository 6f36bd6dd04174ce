"""A governed door from a notebook to quantum hardware. In a notebook: ``from jupyter_quantum import Hub, promote``.

Names are imported when they are first used, so that the service, the runner and the command line, which import this
package too, load neither Qiskit nor widgets.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jupyter_quantum.client.hub import Hub as Hub
    from jupyter_quantum.client.modes import Batch as Batch
    from jupyter_quantum.client.modes import Session as Session
    from jupyter_quantum.client.primitives import EstimatorV2 as EstimatorV2
    from jupyter_quantum.client.primitives import SamplerV2 as SamplerV2
    from jupyter_quantum.exceptions import QuantumError as QuantumError

_WHERE: Final = {
    "Batch": ("client.modes", "Batch"),
    "Estimator": ("client.primitives", "EstimatorV2"),
    "EstimatorV2": ("client.primitives", "EstimatorV2"),
    "Hub": ("client.hub", "Hub"),
    "QuantumError": ("exceptions", "QuantumError"),
    "Sampler": ("client.primitives", "SamplerV2"),
    "SamplerV2": ("client.primitives", "SamplerV2"),
    "Session": ("client.modes", "Session"),
    "promote": ("lab.widgets", "promote"),
}

__all__ = ["Batch", "Estimator", "EstimatorV2", "Hub", "QuantumError", "Sampler", "SamplerV2", "Session", "promote"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _WHERE[name]
    found = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
