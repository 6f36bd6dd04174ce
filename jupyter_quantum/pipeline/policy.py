"""The policy engine: Cedar files in, decisions out. It fails closed.

Cedar skips a ``forbid`` whose condition errors, and then allows. So every request is checked against the schema, and
any diagnostic, any answer but *Allow* and any missing or mistyped fact is a refusal here. The files are parsed once and
their handles kept; a broken file is refused, and the last good set stays in force.
"""

from __future__ import annotations

import json
import logging
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import cedarpy

from jupyter_quantum.core import words
from jupyter_quantum.core.facts import Decision, Facts
from jupyter_quantum.core.tenancy import Role

__all__ = ["Policies", "PolicyBroken", "context_of"]

log = logging.getLogger(__name__)

SCHEMA: Final = "schema.cedarschema"
_ANNOTATIONS: Final = frozenset({"id", "words", "approval", "doc"})
_PLACE: Final = re.compile(r"\{(\w+)\}")
_THOUSANDS: Final = re.compile(r"(?<=\d) (?=\d{3}\b)")
_MONEY: Final = frozenset({"price", "price_at_most"})
_UNDECIDED: Final = "policy.error"
_REMEMBERED: Final = 512
"""Answers kept: the same request under the same policies has the same answer."""
_NO_ENTITIES: Final = cedarpy.Entities.from_json_str("[]")


class PolicyBroken(ValueError):
    """The files cannot be used; the text says which and why. For the operator, never for a user."""


@dataclass(frozen=True, slots=True)
class _Policy:
    """One policy of the files, as far as words need it."""

    id: str
    effect: Literal["permit", "forbid"]
    words: str | None
    approval: str | None
    looks_at: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Loaded:
    handle: Any
    schema: Any
    version: str
    policies: Mapping[str, _Policy]


@dataclass(frozen=True, slots=True)
class _Answer:
    allowed: bool
    ids: tuple[str, ...]
    errors: tuple[str, ...]


def context_of(facts: Facts) -> dict[str, Any]:
    """The facts as Cedar's context. Types are checked by the schema, not here."""
    now = facts.now
    return {
        "user": facts.user,
        "groups": sorted(facts.groups),
        "role": facts.role,
        "project": facts.project,
        "tier": facts.tier,
        "device": facts.device,
        "device_kind": str(facts.device_kind),
        "vendor": facts.vendor,
        "region": facts.region,
        "data_class": facts.data_class,
        "num_qubits": facts.num_qubits,
        "depth": facts.depth,
        "shots": facts.shots,
        "executions": facts.executions,
        "price": facts.price,
        "price_at_most": facts.price_at_most,
        "validated": facts.validated,
        "mfa": facts.mfa,
        "approvals": sorted(facts.approvals),
        "hour": now.hour,
        "weekday": now.isoweekday(),
        "timezone": str(now.tzinfo),
    }


class Policies:
    """The policies of a directory.

    Args:
        directory: holds ``schema.cedarschema`` and one or more ``*.cedar``, read in the order of their names.

    Raises PolicyBroken where the files cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stamp = _stamp(directory)
        self._loaded = _load(directory)
        self._answers: OrderedDict[tuple[str, str], Decision] = OrderedDict()
        self.problem: str | None = None
        """Why the files as they are now are not in force; None where they are."""

    @property
    def version(self) -> str:
        """Digest over the names and bytes of the files in force."""
        return self._loaded.version

    def refresh(self) -> bool:
        """Load the files again if they changed; whether another version is in force now. Never raises."""
        stamp = _stamp(self._directory)
        if stamp == self._stamp:
            return False
        self._stamp, before = stamp, self._loaded.version
        try:
            self._loaded = _load(self._directory)
        except (PolicyBroken, OSError) as error:
            self.problem = str(error)
            log.error("policy files refused, the last good set stays in force: %s", error)
            return False
        self.problem = None
        self._answers.clear()
        return self._loaded.version != before

    def decide(self, facts: Facts) -> Decision:
        """What policy says to these facts. Never raises: what cannot be decided is refused."""
        try:
            context = context_of(facts)
        except Exception as error:
            log.error("policy could not be asked: %s", error)
            return _undecided(self._loaded.version)
        return self.evaluate(facts.action, context)

    def evaluate(self, action: str, context: Mapping[str, Any]) -> Decision:
        """The same for facts that are a context already (:func:`context_of`)."""
        try:
            key = (action, json.dumps(context))
        except (TypeError, ValueError):
            return self._evaluate(action, context)
        known = self._answers.get(key)
        if known is not None and known.version == self._loaded.version:
            return known
        made = self._evaluate(action, context)
        if made.code != _UNDECIDED:  # what went wrong may go right the next time
            self._answers[key] = made
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        return made

    def _evaluate(self, action: str, context: Mapping[str, Any]) -> Decision:
        loaded = self._loaded
        first = _ask(loaded, action, context)
        if first.allowed:
            return _decision("allow", loaded, first.ids, context, "Allowed.")
        if first.errors or not set(first.ids) <= loaded.policies.keys():
            log.error("policy refused because it could not decide: %s", "; ".join(first.errors))
            return _undecided(loaded.version)
        if not first.ids:
            return _default_deny(loaded, action, context)
        return _lift(loaded, action, context, first.ids)


def _ask(loaded: _Loaded, action: str, context: Mapping[str, Any]) -> _Answer:
    """One evaluation. Allowed means: Cedar said Allow, named a permit, and complained of nothing."""
    request = {
        "principal": {"type": "User", "id": context.get("user")},
        "action": {"type": "Action", "id": action},
        "resource": {"type": "Device", "id": context.get("device")},
        "context": context,
    }
    try:
        result = cedarpy.is_authorized(request, loaded.handle, _NO_ENTITIES, loaded.schema)
    except Exception as error:
        return _Answer(False, (), (str(error),))
    found = result.diagnostics
    names = found.id_annotations_by_reason
    ids = tuple(sorted(names.get(reason) or reason for reason in found.reasons))
    errors = tuple(str(error) for error in found.errors)
    decided = result.decision
    if decided is not cedarpy.Decision.Allow and decided is not cedarpy.Decision.Deny and not errors:
        errors = (f"the engine answered {decided}",)
    return _Answer(decided is cedarpy.Decision.Allow and not errors and bool(ids), ids, errors)


def _lift(loaded: _Loaded, action: str, context: Mapping[str, Any], ids: tuple[str, ...]) -> Decision:
    """Forbidden: refused, or needs approval where approvals are the only obstacle."""
    gates = [loaded.policies[i] for i in ids if loaded.policies[i].approval]
    hard = [i for i in ids if not loaded.policies[i].approval]
    roles = sorted({gate.approval for gate in gates if gate.approval})
    if not hard:
        lifted = _ask(loaded, action, {**context, "approvals": sorted({*context["approvals"], *roles})})
        if lifted.allowed:
            said = " ".join(_needs(gate, context) for gate in gates if gate.approval == roles[0])
            made = _decision("needs_approval", loaded, ids, context, said)
            return replace(made, role=roles[0])
        if lifted.errors:
            return _undecided(loaded.version)
        if not lifted.ids:
            return _default_deny(loaded, action, context)
        hard = list(lifted.ids)
    said = " ".join(_because(loaded.policies[i], context) for i in hard)
    made = _decision("refuse", loaded, tuple(hard), context, said)
    return replace(made, code=f"policy.{hard[0]}")


def _decision(
    effect: Literal["allow", "refuse", "needs_approval"],
    loaded: _Loaded,
    ids: tuple[str, ...],
    context: Mapping[str, Any],
    said: str,
) -> Decision:
    looked = sorted({fact for i in ids if i in loaded.policies for fact in loaded.policies[i].looks_at})
    return Decision(effect, ids, loaded.version, said, deciding={fact: context[fact] for fact in looked})


def _undecided(version: str) -> Decision:
    said = "Policy could not decide about this request, so it is refused. Tell the operators."
    return Decision("refuse", (), version, said, code=_UNDECIDED)


def _default_deny(loaded: _Loaded, action: str, context: Mapping[str, Any]) -> Decision:
    said = (
        f"No policy allows {context['project']} to {action} on {context['device']} ({context['device_kind']}). "
        "Choose another device, or ask the operators."
    )
    made = Decision("refuse", (), loaded.version, said, code="policy.default")
    return replace(made, deciding={fact: context[fact] for fact in ("device_kind", "role", "tier", "validated")})


def _needs(gate: _Policy, context: Mapping[str, Any]) -> str:
    because = _fill(gate.words, context) if gate.words else f"of the rule {gate.id}"
    return f"Needs a {gate.approval}'s approval because {because.rstrip('.')}."


def _because(policy: _Policy, context: Mapping[str, Any]) -> str:
    if policy.approval:
        return _needs(policy, context)
    return _fill(policy.words, context) if policy.words else f"The rule {policy.id} does not allow this."


def _fill(template: str, context: Mapping[str, Any]) -> str:
    """The template with its facts, numbers as people read them."""
    return _THOUSANDS.sub("\u202f", _PLACE.sub(lambda found: _text(found[1], context[found[1]]), template))


def _text(fact: str, value: Any) -> str:
    if fact in _MONEY:
        return words.price(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return ", ".join(value) if isinstance(value, list) else str(value)
    return words.number(value)


# Loading


def _stamp(directory: Path) -> tuple[tuple[str, int, int], ...]:
    try:
        found = [(path, path.stat()) for path in _files(directory)]
    except OSError:
        return ()
    return tuple((path.name, stat.st_mtime_ns, stat.st_size) for path, stat in found)


def _files(directory: Path) -> list[Path]:
    return [directory / SCHEMA, *sorted(directory.glob("*.cedar"))]


def _load(directory: Path) -> _Loaded:
    files = [(path.name, _read(path)) for path in _files(directory)]
    digest = sha256()
    for name, raw in files:
        digest.update(f"{name}\0{len(raw)}\0".encode() + raw)
    schema = _parsed("schema", cedarpy.Schema.from_str, files[0][1].decode())
    text = "\n".join(raw.decode() for _, raw in files[1:])
    handle = _parsed("policies", cedarpy.PolicySet.from_str, text)
    checked = cedarpy.validate_policies(text, schema)
    if not checked.validation_passed:
        raise PolicyBroken("; ".join(str(error) for error in checked.errors))
    known = _facts_of(str(schema))
    policies = _index(json.loads(cedarpy.policies_to_json_str(text)), known)
    return _Loaded(handle, schema, "sha256:" + digest.hexdigest(), MappingProxyType(policies))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PolicyBroken(f"{path.name}: {error.strerror or error}") from error


def _parsed(what: str, parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise PolicyBroken(f"{what}: {error}") from error


def _facts_of(schema: str) -> frozenset[str]:
    """Names that the schema declares; a schema without one of ours could never be satisfied."""
    return frozenset(re.findall(r'"?(\w+)"?\s*:\s*(?:Set\s*<|__cedar|String|Long|Bool)', schema))


def _index(parsed: Mapping[str, Any], known: frozenset[str]) -> dict[str, _Policy]:
    if parsed["templates"]:
        raise PolicyBroken("templates are not used: write the policy out")
    found: dict[str, _Policy] = {}
    for body in parsed["staticPolicies"].values():
        policy = _described(body)
        if policy.id in found:
            raise PolicyBroken(f'two policies have @id("{policy.id}")')
        unknown = sorted(set(_PLACE.findall(policy.words or "")) - known)
        if unknown:
            raise PolicyBroken(f"{policy.id}: @words names {', '.join(unknown)}, which is no fact")
        found[policy.id] = policy
    if not found:
        raise PolicyBroken("there is no policy at all")
    return found


def _described(body: Mapping[str, Any]) -> _Policy:
    notes = body.get("annotations") or {}
    if not notes.get("id"):
        raise PolicyBroken(f"a {body['effect']} has no @id")
    unknown = sorted(set(notes) - _ANNOTATIONS)
    if unknown:
        raise PolicyBroken(f"{notes['id']}: there is no annotation @{unknown[0]}")
    if notes.get("approval") and body["effect"] != "forbid":
        raise PolicyBroken(f"{notes['id']}: @approval belongs to a forbid")
    if notes.get("approval", Role.LEAD.value) != Role.LEAD.value:  # another role's approval is one that nobody checks
        raise PolicyBroken(f'{notes["id"]}: only a lead can approve, so write @approval("{Role.LEAD.value}")')
    looks_at = tuple(sorted(set(_attributes(body["conditions"]))))
    return _Policy(notes["id"], body["effect"], notes.get("words"), notes.get("approval"), looks_at)


def _attributes(node: Any) -> Iterable[str]:
    """Attributes of the context that an expression reads."""
    if isinstance(node, list):
        for part in node:
            yield from _attributes(part)
    elif isinstance(node, dict):
        access = node.get(".")
        if isinstance(access, dict) and access.get("left") == {"Var": "context"}:
            yield access["attr"]
        for part in node.values():
            yield from _attributes(part)
