"""Options of the primitives as IBM Runtime spells them; what a device does not have is refused, never ignored.

The tree accepts every name of IBM's ``SamplerOptions`` and ``EstimatorOptions``, so that a ported notebook reads the
same. On submission each option that is set to something else than *off* must be in the schema that the device
publishes, under its dotted name (``dynamical_decoupling.enable``) or its last part (``seed_simulator``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from jupyter_quantum.exceptions import OptionRejected

__all__ = ["EstimatorOptions", "Group", "SamplerOptions"]

_SWITCH: Final = "enable"


class Group:
    """A group of options with attribute access; an unknown name raises :class:`OptionRejected`."""

    _fields: ClassVar[Mapping[str, Any]] = {}
    """Name → neutral value, or a subclass of :class:`Group`."""
    _where: ClassVar[str] = "options"

    def __init__(self, values: Mapping[str, Any] | None = None, **more: Any) -> None:
        for name, neutral in self._fields.items():
            made = neutral() if isinstance(neutral, type) and issubclass(neutral, Group) else neutral
            object.__setattr__(self, name, made)
        self.update(**(dict(values or {}) | more))

    def update(self, **values: Any) -> None:
        """Set several options; a mapping updates the group of that name."""
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._fields:
            raise OptionRejected(
                f"{self._where} has no option {name!r}.", hint=f"It has: {', '.join(sorted(self._fields))}."
            )
        held = getattr(self, name, None)
        if isinstance(held, Group):
            if isinstance(value, Group):
                value = dict(value)
            held.update(**({_SWITCH: value} if isinstance(value, bool) else value))
        else:
            object.__setattr__(self, name, value)

    if TYPE_CHECKING:  # the names come from _fields

        def __getattr__(self, name: str) -> Any: ...

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        for name in self._fields:
            value = getattr(self, name)
            yield name, dict(value) if isinstance(value, Group) else value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self)})"

    def chosen(self, prefix: str = "") -> dict[str, Any]:
        """Dotted name → value of what is set to something else than its neutral value.

        The knobs of a group that is switched off do nothing by IBM's definition, so they are left out.
        """
        if self._fields.get(_SWITCH) is False and not getattr(self, _SWITCH):
            return {}
        found: dict[str, Any] = {}
        for name, neutral in self._fields.items():
            value = getattr(self, name)
            if isinstance(value, Group):
                found |= value.chosen(f"{prefix}{name}.")
            elif value is not None and value != neutral:
                found[prefix + name] = value
        return found


def _group(where: str, /, **fields: Any) -> type[Group]:
    return type(where.title().replace("_", "") + "Options", (Group,), {"_fields": fields, "_where": where})


_TWIRLING: Final = _group(
    "twirling",
    enable_gates=False,
    enable_measure=False,
    num_randomizations="auto",
    shots_per_randomization="auto",
    strategy="active-accum",
)
_COMMON: Final[dict[str, Any]] = {
    "default_shots": None,
    "dynamical_decoupling": _group(
        "dynamical_decoupling",
        enable=False,
        sequence_type="XX",
        extra_slack_distribution="middle",
        scheduling_method="alap",
        skip_reset_qubits=False,
    ),
    "twirling": _TWIRLING,
    "execution": _group("execution", init_qubits=True, rep_delay=None, meas_type="classified"),
    "environment": _group(
        "environment",
        log_level="WARNING",
        callback=None,
        job_tags=None,
        private=False,
        image=None,
        max_execution_time=None,
    ),
    "simulator": _group("simulator", noise_model=None, seed_simulator=None, coupling_map=None, basis_gates=None),
    "max_execution_time": None,
    "experimental": None,
    "device": None,
    "mitigation": None,
    "transpile": "auto",
    "optimization_level": None,
    "seed_transpiler": None,
}


class SamplerOptions(Group):
    """Options of a sampler: ``default_shots``, ``simulator.seed_simulator``, ``environment.job_tags``, ``transpile`` …

    ``environment.job_tags`` becomes the job's name; ``transpile`` is "auto" or "never". ``device`` takes a mapping of
    options that only the device has, named as its schema names them (``hub.backend(name).view.options``).
    """

    _where = "sampler options"
    _fields = _COMMON


class EstimatorOptions(Group):
    """Options of an estimator: ``default_precision`` (standard error), ``default_shots``, ``seed_estimator`` …

    ``environment.job_tags`` becomes the job's name; ``transpile`` is "auto" or "never".
    """

    _where = "estimator options"
    _fields: ClassVar[Mapping[str, Any]] = _COMMON | {
        "default_precision": 0.015625,
        "resilience_level": 0,
        "resilience": _group(
            "resilience",
            measure_mitigation=False,
            measure_noise_learning=None,
            zne_mitigation=False,
            zne=None,
            pec_mitigation=False,
            pec=None,
            layer_noise_learning=None,
            layer_noise_model=None,
        ),
        "seed_estimator": None,
    }
