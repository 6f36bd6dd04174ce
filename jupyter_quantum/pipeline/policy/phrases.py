"""Policy in words: the sentences of decisions, and conditions where a policy brings no words of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jupyter_quantum.core import words
from jupyter_quantum.pipeline.policy.conditions import Part, fact_of, facts_in
from jupyter_quantum.pipeline.policy.files import PLACE, Policy

__all__ = ["because", "said", "value_text", "wanted"]

_THOUSANDS: Final = re.compile(r"(?<=\d) (?=\d{3}\b)")
_MONEY: Final = frozenset({"price", "price_at_most"})
_NOUNS: Final = {
    "data_class": "the data class",
    "date": "the date",
    "device": "the device",
    "device_kind": "the device kind",
    "hour": "the hour",
    "num_bytes": "bytes",
    "num_qubits": "qubits",
    "organisation": "the organisation",
    "price": "the estimate",
    "price_at_most": "the most that it may cost",
    "project": "the project",
    "region": "the device's region",
    "regions": "the project's regions",
    "role": "the role",
    "target": "the target",
    "target_region": "the target's region",
    "targets": "the project's targets",
    "tier": "the tier",
    "user": "the user",
    "vendor": "the vendor",
    "weekday": "the day",
}
_FLAGS: Final = {
    "mfa": ("signed in with a second factor", "not signed in with a second factor"),
    "validated": ("the circuits are validated", "the circuits are not validated for this device"),
}
_DAYS: Final = ("", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_OPPOSITE: Final = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_WISHES: Final = {"==": "{0} {1}", "!=": "{0} other than {1}", "<": "{0} under {1}", "<=": "{0} at most {1}",
                  ">": "{0} over {1}", ">=": "{0} at least {1}"}  # fmt: skip

Values = Mapping[str, Any]


def because(policy: Policy, context: Values, holds: frozenset[int]) -> str:
    """Why this policy forbids: its own words, else its condition in words."""
    if policy.approval:
        given = policy.words and _filled(policy.words, context)
        return (
            f"Needs {_whose(policy.approval)} approval because {(given or _why(policy, context, holds)).rstrip('.')}."
        )
    if policy.words:
        return _filled(policy.words, context)
    return f"The rule {policy.id} does not allow this: {_why(policy, context, holds)}."


def _whose(role: str) -> str:
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role}'s"


def _why(policy: Policy, context: Values, holds: frozenset[int]) -> str:
    reasons = [part for part in policy.condition.parts if not _speaks_of_approvals(part)]
    return said(reasons, reasons, context, holds) or f"of the rule {policy.id}"


def said(parts: Sequence[Part], all_parts: Sequence[Part], context: Values, holds: frozenset[int]) -> str:
    """Why ``parts`` are as they are: ``shots 20 000 is over 10 000 in the sandbox tier``."""
    tier = next((part for part in all_parts if part.number in holds and _equals(part, "tier")), None)
    others = [part for part in parts if part is not tier]
    where = f" in the {context.get('tier')} tier" if tier is not None and others else ""
    phrases = [_phrase(part, context, holds) for part in others or parts]
    return " and ".join(dict.fromkeys(phrases)) + where


def wanted(parts: Sequence[Part], holds: frozenset[int], want: bool) -> str:
    """What would have to be so, for ``parts`` (all of them) to hold or not to: ``shots at most 10 000``."""
    found = [wish for part in parts if (wish := _wish(part, holds, want))]
    return (" and " if want else " or ").join(dict.fromkeys(found))


def _filled(template: str, context: Values) -> str:
    """The template with its facts, numbers as people read them."""
    whole = PLACE.sub(lambda found: value_text(found[1], context.get(found[1])), template)
    return _THOUSANDS.sub("\u202f", whole)


def value_text(fact: str, value: Any) -> str:
    """A fact's value as people read it; amounts without their unit."""
    if fact in _MONEY and isinstance(value, int):
        return words.price(value)
    if fact == "weekday" and isinstance(value, int) and 0 < value < len(_DAYS):
        return _DAYS[value]
    if fact == "date" and isinstance(value, int):
        return f"{value // 10_000}-{value // 100 % 100:02}-{value % 100:02}"
    if isinstance(value, bool) or not isinstance(value, int):
        return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
    return str(value) if fact in ("hour", "minute") else words.number(value)


def _amount(fact: str, value: Any) -> str:
    text = value_text(fact, value)
    return f"{text} credits" if fact in _MONEY and text != "free" else text


def _noun(fact: str) -> str:
    return _NOUNS.get(fact, fact.replace("_", " "))


# Reading Cedar's JSON


def _literal(body: Any) -> tuple[Any] | None:
    """A value, or a set of values, that is written out; None for anything else."""
    if not isinstance(body, dict):
        return None
    if "Value" in body and not isinstance(body["Value"], dict):
        return (body["Value"],)
    if "neg" in body and (found := _literal(body["neg"]["arg"])) is not None:
        return (-found[0],)
    if "Set" in body:
        values = [_literal(one) for one in body["Set"]]
        return ([one[0] for one in values if one is not None],) if all(values) else None
    return None


def _comparison(body: Any) -> tuple[str, str, Any] | None:
    """Operator, fact, and what it is compared with: a literal as a tuple of one, or another fact's name."""
    op = next((sign for sign in _OPPOSITE if isinstance(body, dict) and sign in body), None)
    if op is None:
        return None
    left, right = body[op]["left"], body[op]["right"]
    for one, other, sign in ((left, right, op), (right, left, _MIRRORED[op])):
        fact = fact_of(one)
        against = _literal(other) or fact_of(other)
        if fact is not None and against is not None:
            return sign, fact, against
    return None


def _membership(body: Any) -> tuple[Any, Any] | None:
    """The two sides of ``set.contains(element)``, each a fact's name or a literal as a tuple of one."""
    found = body.get("contains") if isinstance(body, dict) else None
    if not isinstance(found, dict):
        return None
    sides = [_literal(side) or fact_of(side) for side in (found["left"], found["right"])]
    return (sides[0], sides[1]) if None not in sides else None


def _equals(part: Part, fact: str) -> bool:
    found = _comparison(part.body) if part.op == "is" else None
    return found is not None and found[:2] == ("==", fact)


def _speaks_of_approvals(part: Part) -> bool:
    return set(facts_in(part.body)) == {"approvals"}


# What is


def _phrase(part: Part, context: Values, holds: frozenset[int]) -> str:
    """The part as it is now, whether it holds or not."""
    true = part.number in holds
    if part.op == "not":
        return _phrase(part.parts[0], context, holds)
    if part.op in ("and", "or"):
        alike = [one for one in part.parts if (one.number in holds) is true] or list(part.parts)
        return " and ".join(_phrase(one, context, holds) for one in (alike[:1] if true and part.op == "or" else alike))
    return _simple(part.body, context, true)


def _simple(body: Any, context: Values, true: bool) -> str:
    if (fact := fact_of(body)) is not None:
        return _FLAGS.get(fact, (f"{_noun(fact)} is true", f"{_noun(fact)} is false"))[not true]
    if (compared := _comparison(body)) is not None:
        return _compared(*compared, context, true)
    if (member := _membership(body)) is not None:
        return _contained(*member, context, true)
    facts = list(dict.fromkeys(facts_in(body)))
    values = ", ".join(f"{_noun(fact)} is {_amount(fact, context.get(fact))}" for fact in facts)
    return f"its condition {'holds' if true else 'does not hold'}" + (f" ({values})" if values else "")


def _compared(op: str, fact: str, against: Any, context: Values, true: bool) -> str:
    value = context.get(fact)
    limit, text = _against(fact, against, context)
    name = f"{_noun(fact)} {_amount(fact, value)}"
    if isinstance(value, int) and not isinstance(value, bool) and isinstance(limit, int):
        how = "over" if value > limit else "under" if value < limit else "exactly"
        return f"{name} is {how} {text}"
    if (op == "==") is true:
        return f"{_noun(fact)} is {_amount(fact, value)}"
    return f"{_noun(fact)} is {_amount(fact, value)}, not {text}"


def _against(fact: str, against: Any, context: Values) -> tuple[Any, str]:
    if isinstance(against, tuple):
        return against[0], _amount(fact, against[0])
    value = context.get(against)
    return value, f"{_noun(against)} {_amount(against, value)}"


def _contained(whole: Any, element: Any, context: Values, true: bool) -> str:
    if isinstance(whole, tuple) and isinstance(element, str):
        value = value_text(element, context.get(element))
        choice = " or ".join(value_text(element, one) for one in whole[0])
        return f"{_noun(element)} is {value}" + ("" if true else f", not {choice}")
    fact = whole if isinstance(whole, str) else ""
    value = value_text("", element[0]) if isinstance(element, tuple) else value_text(element, context.get(element))
    if fact == "approvals":
        return f"{_whose(value)} approval is there" if true else f"{_whose(value)} approval is missing"
    if fact == "groups":
        return f"a member of the group {value}" if true else f"not a member of the group {value}"
    name = value if isinstance(element, tuple) else f"{_noun(element)} {value}"
    listed = value_text(fact, context.get(fact))
    return f"{name} is among {_noun(fact)}" if true else f"{name} is not among {_noun(fact)} ({listed})"


# What would have to be


def _wish(part: Part, holds: frozenset[int], want: bool) -> str:
    if (part.number in holds) is want:
        return ""
    if part.op == "not":
        return _wish(part.parts[0], holds, not want)
    if part.op in ("and", "or"):
        wishes = [wish for one in part.parts if (wish := _wish(one, holds, want))]
        return (" and " if (part.op == "and") is want else " or ").join(wishes)
    return _simple_wish(part.body, want)


def _simple_wish(body: Any, want: bool) -> str:
    if (fact := fact_of(body)) is not None:
        return _FLAGS.get(fact, (f"{_noun(fact)} true", f"{_noun(fact)} false"))[not want]
    if (compared := _comparison(body)) is not None:
        op, fact, against = compared
        text = _amount(fact, against[0]) if isinstance(against, tuple) else _noun(against)
        return _WISHES[op if want else _OPPOSITE[op]].format(_noun(fact), text)
    if (member := _membership(body)) is not None:
        return _member_wish(*member, want)
    facts = " and ".join(dict.fromkeys(map(_noun, facts_in(body))))
    return f"another value of {facts}" if facts else ""


def _member_wish(whole: Any, element: Any, want: bool) -> str:
    if isinstance(whole, tuple) and isinstance(element, str):
        choice = " or ".join(value_text(element, one) for one in whole[0])
        return f"{_noun(element)} {choice}" if want else f"{_noun(element)} other than {choice}"
    value = value_text("", element[0]) if isinstance(element, tuple) else _noun(element)
    if whole == "approvals":
        return f"{_whose(value)} approval" if want else ""
    return f"{value} {'among' if want else 'not among'} {_noun(whole if isinstance(whole, str) else '')}"
