"""The options that each kind of job has, as JSON schema; values are checked, and an unknown name is an error.

A device adds its own (:meth:`~jupyter_quantum.fabric.adapters.base.Device.own_options`). Groups of options are flat
here: IBM's ``options.dynamical_decoupling.enable`` is ``dynamical_decoupling.enable``.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import OptionRejected
from jupyter_quantum.fabric.refusals import clean

__all__ = ["METHODS", "fill", "schemas"]

METHODS: Final = ("automatic", "statevector", "density_matrix", "stabilizer", "matrix_product_state")
_SEED: Final = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}


def schemas(
    max_shots: int,
    level: int,
    *,
    simulates: bool = True,
    mitigation: Sequence[str] = ("none",),
    own: Mapping[JobKind, Mapping[str, Any]] | None = None,
    without: Collection[str] = (),
) -> dict[str, Any]:
    """JSON schemas by kind of job.

    Args:
        max_shots: of one circuit.
        level: of the transpiler, where the job names none.
        simulates: whether a simulator of ours runs the circuits, which has a seed and a method.
        mitigation: what the option of this name takes for samplers and estimators; published where there is a choice.
        own: options that only this device has, or takes in another range: kind of job → name → schema of the value.
        without: options that the device cannot do: asking for one is an error.
    """
    common: dict[str, Any] = {
        "seed_transpiler": _SEED | {"default": 0},
        "optimization_level": {"type": "integer", "minimum": 0, "maximum": 3, "default": level},
    }
    if simulates:
        common["seed_simulator"] = _SEED | {"default": None, "description": "chosen and recorded where it is null"}
        common["method"] = {"type": "string", "enum": list(METHODS), "default": "automatic"}
    choice = {} if len(mitigation) < 2 else {"mitigation": _choice(mitigation)}
    shots = {"type": "integer", "minimum": 1, "maximum": max_shots}
    usual = shots | {"default": min(1024, max_shots)}
    of_kind: dict[JobKind, dict[str, Any]] = {
        JobKind.RUN: {"shots": usual, "memory": {"type": "boolean", "default": False}},
        JobKind.SAMPLER: {
            "default_shots": usual,
            "shots": shots | {"default": None, "description": "for PUBs that name none; wins over default_shots"},
            **choice,
        },
        JobKind.ESTIMATOR: {
            "default_precision": _precision(_usual_precision(max_shots)),
            "precision": _precision(None),
            "abelian_grouping": {"type": "boolean", "default": True},
            **choice,
        },
    }
    return {
        kind.value: _schema(common | properties | dict((own or {}).get(kind, {})), without)
        for kind, properties in of_kind.items()
    }


def _choice(mitigation: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "string",
        "enum": list(mitigation),
        "default": "none",
        "description": "mitigated values stand beside the raw ones, which are kept",
    }


def _usual_precision(max_shots: int) -> float:
    """Qiskit's 1/64, or what so many shots allow."""
    return min(1.0, max(0.015625, round(1 / math.sqrt(max_shots) + 5e-5, 4)))


def _precision(default: float | None) -> dict[str, Any]:
    return {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": default}


def _schema(properties: Mapping[str, Any], without: Collection[str]) -> dict[str, Any]:
    had = {name: rule for name, rule in sorted(properties.items()) if name not in without}
    return {"type": "object", "additionalProperties": False, "properties": had}


def fill(device: str, schema: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """The options with every default and the seed filled in; raises :class:`OptionRejected`.

    ``None`` stands for the default.
    """
    known: Mapping[str, Mapping[str, Any]] = schema["properties"]
    unknown = sorted(set(sent) - set(known))
    if unknown:
        names = ", ".join(f"`{clean(name, 60)}`" for name in unknown)
        raise OptionRejected(
            f"{device} has no option {names} for this kind of job.",
            hint=f"It has: {', '.join(known)}.",
            details={"options": [clean(name, 60) for name in unknown], "device": device},
        )
    filled = {name: rule.get("default") for name, rule in known.items()}
    for name, value in sent.items():
        if value is not None:
            filled[name] = _checked(name, value, known[name])
    if "seed_simulator" in filled and filled["seed_simulator"] is None:
        filled["seed_simulator"] = secrets.randbelow(2**31)
    return filled


_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "array": (list, tuple),
    "object": (dict,),
}


def _types(rule: Mapping[str, Any]) -> list[str]:
    wanted = rule.get("type", list(_TYPES))
    return [wanted] if isinstance(wanted, str) else [one for one in wanted if one != "null"]


def _checked(name: str, value: Any, rule: Mapping[str, Any]) -> Any:
    if not (any(_is(value, kind) for kind in _types(rule)) and _within(value, rule)):
        raise OptionRejected(
            f"The option `{name}` cannot be {clean(repr(value), 60)}.",
            code="option.value",
            hint=f"It takes {_words(rule)}.",
            details={"option": name},
        )
    return value


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _within(value: Any, rule: Mapping[str, Any]) -> bool:
    if "enum" in rule and value not in rule["enum"]:
        return False
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    low, high = rule.get("minimum", float("-inf")), rule.get("maximum", float("inf"))
    return bool(low <= value <= high and value > rule.get("exclusiveMinimum", float("-inf")))


_NOUNS: Final = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "array": "a list",
    "object": "a mapping",
}


def _words(rule: Mapping[str, Any]) -> str:
    if "enum" in rule:
        return "one of " + ", ".join(map(str, rule["enum"]))
    return " or ".join(_NOUNS[kind] for kind in _types(rule)) + _range(rule)


def _range(rule: Mapping[str, Any]) -> str:
    low = f" above {rule['exclusiveMinimum']}" if "exclusiveMinimum" in rule else ""
    low = low or (f" from {rule['minimum']:,}" if "minimum" in rule else "")
    return low + (f" to {rule['maximum']:,}" if "maximum" in rule else "")
