"""What a runner elsewhere says of its devices beyond names and numbers: schemas of options, and Targets.

The service checks users' options by these schemas, in its own process. So a schema may state types, values and bounds,
and nothing that has the service fetch something (``$ref``) or work for ever (``pattern``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.pipeline.health import two_qubit_error

__all__ = ["bad_options", "bad_target"]

_LONGEST: Final = 64 * 1024
"""Characters of the schema of one kind of job."""
_DEEPEST: Final = 4
_TYPES: Final = frozenset({"integer", "number", "boolean", "string", "array", "object", "null"})
_NUMBERS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_SIZES: Final = frozenset({"minLength", "maxLength", "minItems", "maxItems"})
_KEYWORDS: Final = _NUMBERS | _SIZES | {"type", "enum", "default", "title", "description"}
_NESTED: Final = frozenset({"items", "properties", "additionalProperties"})


def bad_options(options: Mapping[str, Any]) -> str | None:
    """Why the service cannot take these options (kind of job → JSON schema), in words; None where it can."""
    kinds = {kind.value for kind in JobKind}
    for kind, schema in options.items():
        if kind not in kinds:
            return f"there is no kind of job {kind[:40]!r}"
        if len(json.dumps(schema)) > _LONGEST:
            return f"the options of {kind} jobs take more than {_LONGEST >> 10} KiB"
        if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
            return f"the options of {kind} jobs are no JSON schema with properties"
        if (problem := _problem(schema, _DEEPEST)) is not None:
            return f"the options of {kind} jobs have {problem}"
    return None


def _problem(rule: Any, left: int) -> str | None:
    """What a rule has that the service does not take."""
    if not isinstance(rule, dict) or not left:
        return "a rule that is no mapping, or is nested too deeply"
    for word, said in rule.items():
        if word not in _KEYWORDS | _NESTED:
            return f"a rule {word[:40]!r}; taken are types, values and bounds"
        if word in _KEYWORDS and not _fits(word, said):
            return f"a rule {word!r} with a value that it cannot have"
    inner = [*_parts(rule.get("properties", {})), *(rule[word] for word in ("items",) if word in rule)]
    if not isinstance(rule.get("additionalProperties", False), bool):
        inner.append(rule["additionalProperties"])
    return next((found for one in inner if (found := _problem(one, left - 1)) is not None), None)


def _parts(properties: Any) -> list[Any]:
    return list(properties.values()) if isinstance(properties, dict) else [None]


def _fits(word: str, said: Any) -> bool:
    if word == "type":
        named = said if isinstance(said, list) else [said]
        return bool(named) and all(isinstance(one, str) and one in _TYPES for one in named)
    if word in _NUMBERS:
        return isinstance(said, int | float) and not isinstance(said, bool)
    if word in _SIZES:
        return isinstance(said, int) and not isinstance(said, bool) and said >= 0
    if word == "enum":
        return isinstance(said, list) and bool(said)
    return word == "default" or isinstance(said, str)


def bad_target(target: Mapping[str, Any], num_qubits: int) -> bool:
    """Whether a Target's JSON is of another width than the device, or has gates that the service could not even find.

    Notebooks make a Target of it, of as many qubits as it says.
    """
    try:
        two_qubit_error(target)
    except (AttributeError, IndexError, KeyError, TypeError):
        return True
    return target.get("num_qubits") not in (None, num_qubits)
