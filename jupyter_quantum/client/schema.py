"""Options against the schema that a device publishes: what it does not have is refused here, before anything is sent.

The service checks again; this check only makes the refusal immediate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import OptionRejected
from jupyter_quantum.wire.devices import DeviceView

__all__ = ["check_options", "properties"]

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
    "null": (type(None),),
}


def properties(device: DeviceView, kind: JobKind) -> Mapping[str, Any]:
    """Options of the device for this kind of job: name → JSON schema of its value."""
    found = device.options.get(kind.value, {}).get("properties", {})
    return found if isinstance(found, Mapping) else {}


def check_options(device: DeviceView, kind: JobKind, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are set (None is unset); raises :class:`OptionRejected` for what the device does not have."""
    known = properties(device, kind)
    chosen = {name: _plain(value) for name, value in options.items() if value is not None}
    for name, value in chosen.items():
        if name not in known:
            have = ", ".join(sorted(known)) or "none"
            raise OptionRejected(
                f"{device.name} has no option {name!r} for {_WORDS[kind]}.",
                hint=f"It has: {have}.",
                details={"option": name},
            )
        if problem := _problem(value, known[name]):
            raise OptionRejected(
                f"{name} = {value!r} is not possible on {device.name}: {problem}.",
                code="option.value",
                details={"option": name},
            )
    return chosen


_WORDS: Final = {JobKind.RUN: "backend.run", JobKind.SAMPLER: "a sampler", JobKind.ESTIMATOR: "an estimator"}


def _plain(value: Any) -> Any:
    """NumPy scalars as Python's own, since JSON knows only those."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value


def _problem(value: Any, schema: Mapping[str, Any]) -> str:
    """Why the schema does not allow the value; empty where it does, or where only the service can tell."""
    wanted = schema.get("type")
    kinds = [wanted] if isinstance(wanted, str) else list(wanted or [])
    if kinds and not any(_is(value, kind) for kind in kinds):
        return f"it must be {' or '.join(kinds)}"
    if "enum" in schema and value not in schema["enum"]:
        return f"it must be one of {', '.join(map(str, schema['enum']))}"
    if _is(value, "number"):
        if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
            return f"it must be above {schema['exclusiveMinimum']}"
        if "minimum" in schema and value < schema["minimum"]:
            return f"the least is {schema['minimum']}"
        if "maximum" in schema and value > schema["maximum"]:
            return f"the most is {schema['maximum']}"
    return ""


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) and kind != "boolean":
        return False
    return isinstance(value, _TYPES.get(kind, (object,)))
