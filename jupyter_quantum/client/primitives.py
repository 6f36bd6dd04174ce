"""``SamplerV2`` and ``EstimatorV2`` with IBM Runtime's signatures, run by the hub's devices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, cast

from qiskit.primitives import BaseEstimatorV2, BaseSamplerV2

from jupyter_quantum.client.backend import HubBackend
from jupyter_quantum.client.circuits import Work, estimator_work, sampler_work
from jupyter_quantum.client.jobs import PrimitiveJob
from jupyter_quantum.client.modes import Mode, backend_of
from jupyter_quantum.client.options import EstimatorOptions, Group, SamplerOptions
from jupyter_quantum.client.schema import check_options, properties
from jupyter_quantum.client.submit import Terms, names_of
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import OptionRejected

__all__ = ["EstimatorV2", "SamplerV2"]

_DEFAULT_SHOTS: Final = 1024
_DEFAULT_PRECISION: Final = 0.015625
_HERE: Final = frozenset({"default_shots", "default_precision", "device", "environment.job_tags", "transpile"})
"""Options that are acted on here and do not travel under their own name."""
_OURS: Final = {("resilience.measure_mitigation", True): ("mitigation", "readout")}
"""Options of IBM's that ours stand for, where the device has them."""


class SamplerV2(BaseSamplerV2):  # type: ignore[misc]  # Qiskit ships no types
    """Samples bit strings on a device of the hub.

    Args:
        mode: a backend of ``hub.backend(name)``, a :class:`Session` or a :class:`Batch`; the open one where omitted.
        options: a mapping or :class:`~jupyter_quantum.client.options.SamplerOptions`; see there for what means what.
        fallback: devices that a run may move to, as in :meth:`HubBackend.run`.

    Raises:
        OptionRejected: ``run`` with an option set that the device does not have; before anything is priced.
    """

    version = 2

    def __init__(
        self,
        mode: HubBackend | Mode | None = None,
        options: Mapping[str, Any] | SamplerOptions | None = None,
        *,
        fallback: str | Iterable[str] = (),
    ) -> None:
        self._backend, self._mode = backend_of(mode)
        self.fallback = names_of(fallback)
        self.options = options if isinstance(options, SamplerOptions) else SamplerOptions(options)

    def backend(self) -> HubBackend:
        """The device."""
        return self._backend

    @property
    def mode(self) -> Mode | None:
        """The session or batch, if there is one."""
        return self._mode

    def run(self, pubs: Iterable[Any], *, shots: int | None = None) -> PrimitiveJob:
        """Run PUBs (circuits, or tuples of circuit, parameter values and shots) as one job.

        ``shots`` holds for PUBs that name none; then ``options.default_shots``, then 1024.
        """
        options = _wire_options(self._backend, JobKind.SAMPLER, self.options)
        work = sampler_work(pubs, shots or self.options.default_shots or _DEFAULT_SHOTS)
        return _submit(self._backend, self._mode, work, options, self)


class EstimatorV2(BaseEstimatorV2):  # type: ignore[misc]  # Qiskit ships no types
    """Estimates expectation values on a device of the hub, by sampling, as hardware does (readout error included).

    Args:
        mode: a backend of ``hub.backend(name)``, a :class:`Session` or a :class:`Batch`; the open one where omitted.
        options: a mapping or :class:`~jupyter_quantum.client.options.EstimatorOptions`; see there for what means what.
        fallback: devices that a run may move to, as in :meth:`HubBackend.run`.

    Raises:
        OptionRejected: ``run`` with an option set that the device does not have; before anything is priced.
    """

    version = 2

    def __init__(
        self,
        mode: HubBackend | Mode | None = None,
        options: Mapping[str, Any] | EstimatorOptions | None = None,
        *,
        fallback: str | Iterable[str] = (),
    ) -> None:
        self._backend, self._mode = backend_of(mode)
        self.fallback = names_of(fallback)
        self.options = options if isinstance(options, EstimatorOptions) else EstimatorOptions(options)

    def backend(self) -> HubBackend:
        """The device."""
        return self._backend

    @property
    def mode(self) -> Mode | None:
        """The session or batch, if there is one."""
        return self._mode

    def run(self, pubs: Iterable[Any], *, precision: float | None = None) -> PrimitiveJob:
        """Run PUBs (tuples of circuit, observables, parameter values and precision) as one job.

        ``precision``, the standard error to reach, holds for PUBs that name none; then ``options.default_shots`` (as
        1/√shots), then ``options.default_precision``, 1/64 at first.
        """
        options = _wire_options(self._backend, JobKind.ESTIMATOR, self.options)
        shots = self.options.default_shots
        wanted = precision or (shots and shots**-0.5) or self.options.default_precision or _DEFAULT_PRECISION
        return _submit(self._backend, self._mode, estimator_work(pubs, wanted), options, self)


def _wire_options(backend: HubBackend, kind: JobKind, options: Group) -> dict[str, Any]:
    """What travels: each option that is set, under the name by which the device knows it."""
    known = properties(backend.view, kind)
    flat: dict[str, Any] = {}
    for dotted, value in (options.chosen() | dict(options.device or {})).items():
        if dotted in _HERE:
            continue
        dotted, value = _OURS.get((dotted, value), (dotted, value)) if "mitigation" in known else (dotted, value)
        last = dotted.rpartition(".")[2]
        if dotted not in known and last not in known:
            able = backend.others_with(kind, dotted) or backend.others_with(kind, last)
            raise OptionRejected(
                f"{backend.name} cannot do {dotted} = {value!r}; it would have no effect there.",
                hint=f"Devices that can: {', '.join(able)}." if able else "Leave it off on this device.",
                details={"option": dotted, "devices": able},
            )
        flat[dotted if dotted in known else last] = value
    return check_options(backend.view, kind, flat)


def _submit(
    backend: HubBackend,
    mode: Mode | None,
    work: Work,
    options: dict[str, Any],
    primitive: SamplerV2 | EstimatorV2,
) -> PrimitiveJob:
    chosen = primitive.options
    if mode is not None:
        backend = mode.admit()
    tags = chosen.environment.job_tags
    transpile = cast(Literal["auto", "never"], chosen.transpile)
    session = None if mode is None else mode.reference
    terms = Terms(", ".join(tags) if tags else None, transpile, fallback=primitive.fallback, session=session)
    job = backend.submit(work, options, terms)
    assert isinstance(job, PrimitiveJob)
    if mode is not None:
        mode.jobs.append(job)
    return job
