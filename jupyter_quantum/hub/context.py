"""What every handler of the service may reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_quantum.hub.api.limits import Bucket
from jupyter_quantum.hub.auth import Gate
from jupyter_quantum.hub.metrics import Metrics

if TYPE_CHECKING:
    from jupyter_quantum.pipeline import Pipeline

__all__ = ["Context"]


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a running service."""

    pipeline: Pipeline
    gate: Gate
    metrics: Metrics
    bucket: Bucket
    prefix: str
    """Path of the service with both slashes: ``/services/quantum/``."""
    hub_base: str
    """Path of the hub's own base: ``/``, or ``/jupyter/`` behind a prefix."""
    oauth: Any
    """``jupyterhub.services.auth.HubOAuth``."""
    ready: Callable[[], dict[str, str]]
    """Parts that are not ready yet, each with the reason; empty once everything is."""
