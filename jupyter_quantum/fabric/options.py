"""The options that each kind of job has, as JSON schema; values are checked, and an unknown name is an error."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import OptionRejected
from jupyter_quantum.fabric.refusals import clean

__all__ = ["METHODS", "fill", "schemas"]

METHODS: Final = ("automatic", "statevector", "density_matrix", "stabilizer", "matrix_product_state")
_SEED: Final = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}


def schemas(max_shots: int, level: int) -> dict[str, Any]:
    """JSON schemas by kind of job, for a device that takes ``max_shots`` and transpiles at ``level`` by default."""
    common = {
        "seed_simulator": _SEED | {"default": None, "description": "chosen and recorded where it is null"},
        "seed_transpiler": _SEED | {"default": 0},
        "optimization_level": {"type": "integer", "minimum": 0, "maximum": 3, "default": level},
        "method": {"type": "string", "enum": list(METHODS), "default": "automatic"},
    }
    shots = {"type": "integer", "minimum": 1, "maximum": max_shots}
    return {
        JobKind.RUN.value: _schema(
            common | {"shots": shots | {"default": 1024}, "memory": {"type": "boolean", "default": False}}
        ),
        JobKind.SAMPLER.value: _schema(
            common
            | {
                "default_shots": shots | {"default": 1024},
                "shots": shots | {"default": None, "description": "for PUBs that name none; wins over default_shots"},
            }
        ),
        JobKind.ESTIMATOR.value: _schema(
            common
            | {
                "default_precision": _precision(0.015625),
                "precision": _precision(None),
                "abelian_grouping": {"type": "boolean", "default": True},
            }
        ),
    }


def _precision(default: float | None) -> dict[str, Any]:
    return {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": default}


def _schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": dict(sorted(properties.items()))}


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
    if filled["seed_simulator"] is None:
        filled["seed_simulator"] = secrets.randbelow(2**31)
    return filled


_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
}


def _checked(name: str, value: Any, rule: Mapping[str, Any]) -> Any:
    fits = isinstance(value, _TYPES[rule["type"]]) and (rule["type"] == "boolean" or not isinstance(value, bool))
    if fits and rule["type"] in {"integer", "number"}:
        low, high = rule.get("minimum", float("-inf")), rule.get("maximum", float("inf"))
        fits = low <= value <= high and value > rule.get("exclusiveMinimum", float("-inf"))
    if fits and "enum" in rule:
        fits = value in rule["enum"]
    if not fits:
        raise OptionRejected(
            f"The option `{name}` cannot be {clean(repr(value), 60)}.",
            code="option.value",
            hint=f"It takes {_words(rule)}.",
            details={"option": name},
        )
    return value


def _words(rule: Mapping[str, Any]) -> str:
    if "enum" in rule:
        return "one of " + ", ".join(rule["enum"])
    if rule["type"] == "boolean":
        return "true or false"
    noun = "a whole number" if rule["type"] == "integer" else "a number"
    low = f"above {rule['exclusiveMinimum']}" if "exclusiveMinimum" in rule else f"from {rule['minimum']:,}"
    return f"{noun} {low} to {rule['maximum']:,}"
