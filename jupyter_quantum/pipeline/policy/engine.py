"""The policy engine: Cedar files in, decisions out. It fails closed.

Cedar skips a ``forbid`` whose condition errors, and then allows. So every request is checked against the schema, and
any diagnostic, any answer but *Allow* and any missing or mistyped fact is a refusal here. The files are parsed once and
their handles kept; a broken file is refused, and the last good set stays in force.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import cedarpy

from jupyter_quantum.core.facts import Decision, ExportFacts, Facts, NearMiss
from jupyter_quantum.pipeline.policy.conditions import SCOPE, Part, facts_in, holding
from jupyter_quantum.pipeline.policy.facts import context_of, request_of
from jupyter_quantum.pipeline.policy.files import Loaded, Policy, PolicyBroken, load, read, stamp
from jupyter_quantum.pipeline.policy.phrases import because, said, wanted

__all__ = ["Policies", "evaluate", "undecided"]

log = logging.getLogger(__name__)

_UNDECIDED: Final = "policy.error"
_REMEMBERED: Final = 512
"""Answers kept: the same request under the same policies has the same answer."""
_NEAREST: Final = 3
_ROUNDS: Final = 8
"""The most times that approvals are added and the question put again."""
_NO_ENTITIES: Final = cedarpy.Entities.from_json_str("[]")
_PLACES: Final = frozenset({"device", "device_kind", "vendor", "target"})
_BOUNDS: Final = ("device_kind", "role", "target", "tier", "validated")
"""Facts that a refusal without a policy shows."""


@dataclass(frozen=True, slots=True)
class _Answer:
    allowed: bool
    ids: tuple[str, ...]
    errors: tuple[str, ...]


class Policies:
    """The policies of a directory.

    Args:
        directory: holds ``schema.cedarschema`` and one or more ``*.cedar``, read in the order of their names.

    Raises PolicyBroken where the files cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stamp = stamp(directory)
        self._loaded = load(read(directory))
        self._answers: OrderedDict[tuple[str, str], Decision] = OrderedDict()
        self.problem: str | None = None
        """Why the files as they are now are not in force; None where they are."""

    @property
    def version(self) -> str:
        """Digest over the names and bytes of the files in force."""
        return self._loaded.version

    @property
    def loaded(self) -> Loaded:
        """The set in force."""
        return self._loaded

    def refresh(self) -> bool:
        """Load the files again if they changed; whether another version is in force now. Never raises."""
        now = stamp(self._directory)
        if now == self._stamp:
            return False
        self._stamp, before = now, self._loaded.version
        try:
            self._loaded = load(read(self._directory))
        except (PolicyBroken, OSError) as error:
            self.problem = str(error)
            log.error("policy files refused, the last good set stays in force: %s", error)
            return False
        self.problem = None
        self._answers.clear()
        return self._loaded.version != before

    def decide(self, facts: Facts | ExportFacts) -> Decision:
        """What policy says to these facts. Never raises: what cannot be decided is refused."""
        try:
            context = context_of(facts)
        except Exception as error:
            log.error("policy could not be asked: %s", error)
            return undecided(self._loaded.version)
        return self.evaluate(facts.action, context)

    def evaluate(self, action: str, context: Mapping[str, Any]) -> Decision:
        """The same for facts that are a context already (:func:`context_of`)."""
        try:
            key = (action, json.dumps(context))
        except (TypeError, ValueError):
            return evaluate(self._loaded, action, context)
        known = self._answers.get(key)
        if known is not None and known.version == self._loaded.version:
            return known
        made = evaluate(self._loaded, action, context)
        if made.code != _UNDECIDED:  # what went wrong may go right the next time
            self._answers[key] = made
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        return made


def evaluate(loaded: Loaded, action: str, context: Mapping[str, Any]) -> Decision:
    """What these policies say. Never raises: what cannot be decided is refused."""
    try:
        return _evaluated(loaded, action, context)
    except Exception:
        log.exception("policy refused because it could not decide")
        return undecided(loaded.version)


def _evaluated(loaded: Loaded, action: str, context: Mapping[str, Any]) -> Decision:
    first = _ask(loaded, action, context)
    if first.allowed:
        return _decision("allow", loaded, first.ids, context, "Allowed.")
    if first.errors or not set(first.ids) <= loaded.policies.keys():
        log.error("policy refused because it could not decide: %s", "; ".join(first.errors))
        return undecided(loaded.version)
    if not first.ids:
        return _default_deny(loaded, action, context)
    return _lift(loaded, action, context, first.ids)


def _ask(loaded: Loaded, action: str, context: Mapping[str, Any]) -> _Answer:
    """One evaluation. Allowed means: Cedar said Allow, named a permit, and complained of nothing."""
    try:
        result = cedarpy.is_authorized(request_of(action, context), loaded.handle, _NO_ENTITIES, loaded.schema)
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


def _lift(loaded: Loaded, action: str, context: Mapping[str, Any], ids: tuple[str, ...]) -> Decision:
    """Forbidden: refused, or needs approval where approvals are the only obstacle."""
    gates: dict[str, Policy] = {}
    asked = ids
    for _ in range(_ROUNDS):
        hard = [i for i in asked if not loaded.policies[i].approval]
        new = {i: loaded.policies[i] for i in asked if loaded.policies[i].approval}
        if hard or not new.keys() - gates.keys():  # a gate that its own approval does not open is none
            return _forbidden(loaded, action, context, hard or list(asked))
        gates |= new
        roles = sorted({gate.approval for gate in gates.values() if gate.approval})
        lifted = _ask(loaded, action, {**context, "approvals": sorted({*context["approvals"], *roles})})
        if lifted.errors:
            return undecided(loaded.version)
        if lifted.allowed:
            words = " ".join(_because(loaded, gates[i], action, context) for i in sorted(gates))
            made = _decision("needs_approval", loaded, tuple(sorted(gates)), context, words)
            return replace(made, roles=tuple(roles))
        if not lifted.ids:
            return _default_deny(loaded, action, context)
        asked = lifted.ids
    return undecided(loaded.version)


def _forbidden(loaded: Loaded, action: str, context: Mapping[str, Any], ids: list[str]) -> Decision:
    words = " ".join(_because(loaded, loaded.policies[i], action, context) for i in ids)
    return replace(_decision("refuse", loaded, tuple(ids), context, words), code=f"policy.{ids[0]}")


def _because(loaded: Loaded, policy: Policy, action: str, context: Mapping[str, Any]) -> str:
    holds = frozenset[int]()
    if not policy.words:
        holds = holding(policy.condition, request_of(action, context), loaded.schema)
    return because(policy, context, holds)


def _decision(
    effect: Literal["allow", "refuse", "needs_approval"],
    loaded: Loaded,
    ids: Iterable[str],
    context: Mapping[str, Any],
    words: str,
) -> Decision:
    names = tuple(ids)
    looked = sorted({fact for i in names if i in loaded.policies for fact in loaded.policies[i].looks_at})
    return Decision(effect, names, loaded.version, words, deciding={fact: context[fact] for fact in looked})


def undecided(version: str) -> Decision:
    """The answer to what cannot be decided."""
    said = "Policy could not decide about this request, so it is refused. Tell the operators."
    return Decision("refuse", (), version, said, code=_UNDECIDED)


def _default_deny(loaded: Loaded, action: str, context: Mapping[str, Any]) -> Decision:
    """Nothing permits it: say which policies nearly did, and what was missing."""
    near = near_misses(loaded, action, context)
    closest = "; or: ".join(dict.fromkeys(one.words for one in near))
    reason = f": {closest}" if closest else ""
    if "device" in context:
        where, instead = f"on {context['device']} ({context['device_kind']})", "Choose another device, or ask"
    else:
        where, instead = f"to {context['target']}", "Ask"
    words = f"No policy allows {context['project']} to {action} {where}{reason}. {instead} the operators."
    shown = {fact: context[fact] for fact in _BOUNDS if fact in context}
    return Decision("refuse", (), loaded.version, words, code="policy.default", deciding=shown, near=near)


def near_misses(loaded: Loaded, action: str, context: Mapping[str, Any]) -> tuple[NearMiss, ...]:
    """Permits that fewest conditions keep from applying, with these conditions in words."""
    found: list[tuple[int, NearMiss]] = []
    for policy in loaded.policies.values():
        if policy.effect != "permit" or action not in policy.actions:
            continue
        holds = holding(policy.condition, request_of(action, context), loaded.schema)
        missing = [part for part in policy.condition.parts if part.number not in holds]
        if SCOPE not in holds or not missing:
            continue
        words = said(missing, policy.condition.parts, context, holds)
        found.append((_distance(missing), NearMiss(policy.id, words, wanted(missing, holds, True))))
    least = min((distance for distance, _ in found), default=0)
    return tuple(one for distance, one in found if distance == least)[:_NEAREST]


def _distance(missing: Iterable[Part]) -> int:
    """How far a permit is: one that speaks of other devices than the chosen one is further than any that does not."""
    return sum(100 if _PLACES & set(facts_in(part.body)) else 1 for part in missing)
