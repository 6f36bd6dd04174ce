"""What every handler of the service may reach."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.hub.auth import Gate
from jupyter_quantum.hub.cursor import Cursors
from jupyter_quantum.hub.exchange import Verifier
from jupyter_quantum.hub.metrics import Metrics
from jupyter_quantum.pipeline.refusals import Refusal

if TYPE_CHECKING:
    from jupyter_quantum.pipeline import Pipeline

__all__ = ["Context"]


def _forgotten(_: Refusal) -> None:
    """Before the pipeline has started, there is no record to write to."""


@dataclass(slots=True)
class Context:
    """The parts of a running service."""

    gate: Gate
    metrics: Metrics
    prefix: str
    """Path of the service with both slashes: ``/services/quantum/``."""
    hub_base: str
    """Path below which the hub serves everything: ``/``, or ``/jupyter/`` behind a prefix."""
    oauth: Any
    """``jupyterhub.services.auth.HubOAuth``."""
    ready: Callable[[], Awaitable[dict[str, str]]]
    """Each part of the service: ``ready``, or why it is not."""
    metrics_token: str
    """With which Prometheus reads the metrics; nothing else can be done with it."""
    cursors: Cursors
    """Numbers of events as readers see them."""
    trusted_proxies: frozenset[str] = frozenset({"127.0.0.1", "::1"})
    """From whom ``X-Forwarded-For`` is believed."""
    refused: Callable[[Refusal], None] = _forgotten
    """Takes a refusal into the record; once the pipeline has started."""
    verifier: Verifier | None = None
    """Checks tokens of workloads."""
    started: Pipeline | None = None
    """The pipeline, once it has started."""

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline; raises :class:`Unavailable` (``service.starting``) in the first seconds of the service."""
        if self.started is None:
            raise Unavailable(
                "The quantum service is starting.",
                code="service.starting",
                hint="Try again in a moment.",
                details={"retry_after": 1},
            )
        return self.started
