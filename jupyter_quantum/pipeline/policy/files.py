"""Policy files: read, checked against the schema, and indexed as far as words need it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import cedarpy

from jupyter_quantum.core.facts import Approver
from jupyter_quantum.pipeline.policy.conditions import Condition, condition_of, facts_in

__all__ = ["SCHEMA", "Files", "Loaded", "Policy", "PolicyBroken", "load", "read", "stamp"]

SCHEMA: Final = "schema.cedarschema"
PLACE: Final = re.compile(r"\{(\w+)\}")
_ANNOTATIONS: Final = frozenset({"id", "words", "approval", "doc"})
_PERSONAL: Final = frozenset({"user", "groups"})
"""Words are kept for ever, so they name no person."""
_TYPE: Final = re.compile(r"^type (\w+) = \{(.*?)\};", re.MULTILINE | re.DOTALL)
_FACT: Final = re.compile(r'^\s*"?(\w+)"?(\?)?:\s*(.+?),?$', re.MULTILINE)
_KINDS: Final = frozenset({"String", "Long", "Bool", "Set<String>"})
_ACTION: Final = re.compile(r"^action ([^{]*?) appliesTo \{.*?context: (\w+)\s*\}", re.MULTILINE | re.DOTALL)

Files = Sequence[tuple[str, bytes]]
"""Names and bytes, the schema first."""


class PolicyBroken(ValueError):
    """The files cannot be used; the text says which and why. For the operator, never for a user."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy of the files."""

    id: str
    effect: Literal["permit", "forbid"]
    words: str | None
    approval: str | None
    actions: frozenset[str]
    looks_at: tuple[str, ...]
    condition: Condition


@dataclass(frozen=True, slots=True)
class Loaded:
    """A set of policies that is fit to decide."""

    handle: Any
    schema: Any
    version: str
    policies: Mapping[str, Policy]
    facts: Mapping[str, Mapping[str, str]]
    """Action → fact → its type: ``String``, ``Long``, ``Bool``, ``Set<String>``."""
    texts: Mapping[str, str]
    """The files themselves, by name."""


def stamp(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes when a file does; empty where the directory cannot be read."""
    try:
        found = [(path, path.stat()) for path in _paths(directory)]
    except OSError:
        return ()
    return tuple((path.name, stat.st_mtime_ns, stat.st_size) for path, stat in found)


def _paths(directory: Path) -> list[Path]:
    return [directory / SCHEMA, *sorted(directory.glob("*.cedar"))]


def read(directory: Path) -> Files:
    """The files of a directory. Raises PolicyBroken where one cannot be read."""
    if not directory.is_dir():
        raise PolicyBroken(f"{directory} is not a directory of policies.")
    return [(path.name, _bytes(path)) for path in _paths(directory)]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PolicyBroken(f"{path.name}: {error.strerror or error}") from error


def load(files: Files) -> Loaded:
    """Policies that are fit to decide. Raises PolicyBroken where they are not, with everything that Cedar says."""
    digest = sha256()
    for name, raw in files:
        digest.update(f"{name}\0{len(raw)}\0".encode() + raw)
    try:
        texts = [raw.decode() for _, raw in files]
    except UnicodeDecodeError as error:
        raise PolicyBroken(f"the files are not UTF-8 text: {error}") from error
    named = MappingProxyType(dict(zip((name for name, _ in files), texts, strict=True)))
    schema = _parsed("schema", cedarpy.Schema.from_str, texts[0])
    text = "\n".join(texts[1:])
    handle = _parsed("policies", cedarpy.PolicySet.from_str, text)
    checked = cedarpy.validate_policies(text, schema)
    if not checked.validation_passed:
        raise PolicyBroken("; ".join(str(error) for error in checked.errors))
    facts = _facts_of(str(schema))
    policies = _index(json.loads(cedarpy.policies_to_json_str(text)), facts)
    return Loaded(handle, schema, "sha256:" + digest.hexdigest(), MappingProxyType(policies), facts, named)


def _parsed(what: str, parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise PolicyBroken(f"{what}: {error}") from error


def _facts_of(schema: str) -> Mapping[str, Mapping[str, str]]:
    """Facts by action. None may be optional: a condition on an absent one would be skipped in silence."""
    types: dict[str, dict[str, str]] = {}
    for name, body in _TYPE.findall(schema):
        found = _FACT.findall(body)
        optional = [fact for fact, mark, _ in found if mark]
        if optional:
            raise PolicyBroken(f"schema: {', '.join(optional)} must not be optional: every fact is always there")
        strange = [fact for fact, _, kind in found if kind not in _KINDS]
        if strange:
            raise PolicyBroken(f"schema: {', '.join(strange)} must be String, Long, Bool or Set<String>")
        types[name] = {fact: kind for fact, _, kind in found}
    actions = {
        action: MappingProxyType(types[context])
        for names, context in _ACTION.findall(schema)
        for action in re.findall(r'"([^"]+)"', names)
        if context in types
    }
    if not actions:
        raise PolicyBroken("schema: no action with a context of a named type")
    return MappingProxyType(actions)


def _index(parsed: Mapping[str, Any], facts: Mapping[str, Mapping[str, str]]) -> dict[str, Policy]:
    if parsed["templates"]:
        raise PolicyBroken("templates are not used: write the policy out")
    found: dict[str, Policy] = {}
    for body in parsed["staticPolicies"].values():
        policy = _described(body, frozenset(facts))
        if policy.id in found:
            raise PolicyBroken(f'two policies have @id("{policy.id}")')
        _check_words(policy, facts)
        found[policy.id] = policy
    if not found:
        raise PolicyBroken("there is no policy at all")
    return found


def _check_words(policy: Policy, facts: Mapping[str, Mapping[str, str]]) -> None:
    named = set(PLACE.findall(policy.words or ""))
    known = set.intersection(*(set(facts[action]) for action in policy.actions)) if policy.actions else set()
    if unknown := sorted(named - known):
        raise PolicyBroken(f"{policy.id}: @words names {', '.join(unknown)}, which is no fact")
    if personal := sorted(named & _PERSONAL):
        raise PolicyBroken(f"{policy.id}: @words are kept for ever, so they do not name {', '.join(personal)}")


def _described(body: Mapping[str, Any], actions: frozenset[str]) -> Policy:
    notes = body.get("annotations") or {}
    if not notes.get("id"):
        raise PolicyBroken(f"a {body['effect']} has no @id")
    name = notes["id"]
    unknown = sorted(set(notes) - _ANNOTATIONS)
    if unknown:
        raise PolicyBroken(f"{name}: there is no annotation @{unknown[0]}")
    if "approval" in notes:
        _check_gate(name, body, notes["approval"])
    looks_at = tuple(sorted(set(facts_in(body["conditions"]))))
    return Policy(
        name,
        body["effect"],
        notes.get("words"),
        notes.get("approval"),
        _actions(body["action"], actions),
        looks_at,
        condition_of(body),
    )


def _check_gate(name: str, body: Mapping[str, Any], role: str | None) -> None:
    if body["effect"] != "forbid":
        raise PolicyBroken(f"{name}: @approval belongs to a forbid")
    known = [approver.value for approver in Approver]
    if role not in known:  # another role's approval is one that nobody checks
        raise PolicyBroken(f'{name}: nobody can hold the role in @approval("{role}"); roles are {", ".join(known)}')
    if not _asks(body["conditions"], role):
        raise PolicyBroken(f'{name}: no approval lifts it: add unless {{ context.approvals.contains("{role}") }}')


def _asks(node: Any, role: str) -> bool:
    """Whether an expression looks for this role among the approvals."""
    if isinstance(node, list):
        return any(_asks(part, role) for part in node)
    if not isinstance(node, dict):
        return False
    found = node.get("contains")
    if isinstance(found, dict) and found.get("right") == {"Value": role} and "approvals" in facts_in(found["left"]):
        return True
    return any(_asks(part, role) for part in node.values())


def _actions(scope: Mapping[str, Any], known: frozenset[str]) -> frozenset[str]:
    """The actions that a policy speaks of."""
    if scope["op"] == "All":
        return known
    named = [scope["entity"]] if "entity" in scope else scope.get("entities", [])
    return frozenset(one["id"] for one in named) & known
